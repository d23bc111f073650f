//! Chains: a source, steps, and an end. Building one reads no row and runs nothing.

use std::fmt;
use std::sync::Arc;

use rowmark_hashing::Fingerprint;
use rowmark_metastore::DatasetRef;
use rowmark_readers::Source;
use rowmark_rows::{RowSchema, RowType};

use crate::collect::collect;
use crate::dataset::{Saved, StoredDataset};
use crate::error::RowError;
use crate::input::{FilterInput, Input, SourceInput, TableInput};
use crate::report::Report;
use crate::session::Session;
use crate::step::{Step, Stored};
use crate::udf::Udf;
use crate::{Error, Result};

/// Rows on their way from a source through steps; lazily built, run by its ends `save` and `collect`.
///
/// Clones share what they are built from.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let session = rowmark::Session::open(folder.path().join("state"))?;
/// use rowmark::prelude::*;
///
/// let words = session.read_values(&["map", "filter", "save"].map(String::from));
/// let long = words
///     .filter(udf!("long", |word: &String| word.len() > 3))
///     .map(udf!("length", |word: &String| word.len() as u64));
/// assert_eq!(long.collect()?, [6, 4]);
/// assert_eq!(long.save("lengths")?.version(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Chain<T> {
    session: Session,
    stage: Arc<dyn Stage<T>>,
}

impl<T> Clone for Chain<T> {
    fn clone(&self) -> Self {
        Self { session: self.session.clone(), stage: Arc::clone(&self.stage) }
    }
}

impl<T> fmt::Debug for Chain<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain").field("stage", &self.stage.name()).finish_non_exhaustive()
    }
}

/// What a run of a chain has done so far.
pub(crate) struct Run<'a> {
    session: &'a Session,
    report: Report,
    /// The dataset versions that are read.
    dependencies: Vec<DatasetRef>,
}

impl Run<'_> {
    fn step<In, Out: RowType>(&mut self, step: &Step<'_, In, Out>) -> Result<Stored> {
        let stored = step.run(self.session)?;
        self.report.push(stored.report.clone());
        Ok(stored)
    }
}

/// A place in a chain.
pub(crate) trait Stage<T>: Send + Sync {
    /// A name for people.
    fn name(&self) -> String;

    /// Sees to it that what the rows are computed from is stored, and answers how to read them.
    fn input(&self, run: &mut Run<'_>) -> Result<Arc<dyn Input<T>>>;

    /// The rows as a table of their own.
    fn stored(&self, run: &mut Run<'_>) -> Result<Stored>
    where
        T: RowType,
    {
        let input = self.input(run)?;
        let nothing = Fingerprint::new("rowmark.no function");
        run.step(&Step {
            name: "store",
            kind: "store",
            input: &*input,
            parameters: &nothing,
            code: &nothing,
            schema: input.schema(),
            function: &|row: T| Ok(row),
        })
    }
}

pub(crate) struct SourceStage<S>(pub(crate) Arc<S>);

impl<S> Stage<S::Row> for SourceStage<S>
where
    S: Source<Row: RowType> + 'static,
{
    fn name(&self) -> String {
        self.0.name()
    }

    fn input(&self, _: &mut Run<'_>) -> Result<Arc<dyn Input<S::Row>>> {
        Ok(Arc::new(SourceInput::new(Arc::clone(&self.0))?))
    }
}

struct FilterStage<T, U> {
    before: Arc<dyn Stage<T>>,
    predicate: Arc<U>,
}

impl<T: RowType, U: Udf<T, Output = bool>> Stage<T> for FilterStage<T, U> {
    fn name(&self) -> String {
        self.predicate.identity().name().to_owned()
    }

    fn input(&self, run: &mut Run<'_>) -> Result<Arc<dyn Input<T>>> {
        Ok(Arc::new(FilterInput::new(self.before.input(run)?, Arc::clone(&self.predicate))?))
    }
}

struct MapStage<T, U> {
    before: Arc<dyn Stage<T>>,
    udf: Arc<U>,
}

impl<T: RowType, U: Udf<T, Output: RowType>> Stage<U::Output> for MapStage<T, U> {
    fn name(&self) -> String {
        self.udf.identity().name().to_owned()
    }

    fn input(&self, run: &mut Run<'_>) -> Result<Arc<dyn Input<U::Output>>> {
        let Stored { table, checkpoint, .. } = self.stored(run)?;
        let fingerprint =
            Fingerprint::new("rowmark.rows").with_hash("step", checkpoint.identity, &checkpoint.step);
        let schema = RowSchema::of::<U::Output>()?;
        let (session, checkpoint) = (run.session.clone(), Some(checkpoint));
        Ok(Arc::new(TableInput { session, checkpoint, table, schema, fingerprint }))
    }

    fn stored(&self, run: &mut Run<'_>) -> Result<Stored> {
        let identity = self.udf.identity();
        let name = identity.name();
        let schema = RowSchema::of::<U::Output>()?;
        let input = self.before.input(run)?;
        run.step(&Step {
            name,
            kind: "map",
            input: &*input,
            parameters: identity.parameters()?,
            code: identity.code_fingerprint()?,
            schema: &schema,
            function: &|row: T| {
                self.udf.call(&row).map_err(|source| RowError::Udf { udf: name.to_owned(), source })
            },
        })
    }
}

impl<T: RowType> Stage<T> for StoredDataset {
    fn name(&self) -> String {
        self.label()
    }

    fn input(&self, run: &mut Run<'_>) -> Result<Arc<dyn Input<T>>> {
        run.dependencies.push(self.version());
        Ok(Arc::new(self.table_input()?))
    }
}

impl<T: RowType> Chain<T> {
    /// A chain of one stage.
    pub(crate) fn begin(session: &Session, stage: impl Stage<T> + 'static) -> Self {
        Self { session: session.clone(), stage: Arc::new(stage) }
    }

    /// Keeps the rows for which the predicate answers `true`.
    ///
    /// It is evaluated on the way, by the worker that computes the next step; nothing is stored.
    #[must_use]
    pub fn filter<U: Udf<T, Output = bool>>(&self, predicate: U) -> Self {
        let stage = FilterStage { before: Arc::clone(&self.stage), predicate: Arc::new(predicate) };
        Self { session: self.session.clone(), stage: Arc::new(stage) }
    }

    /// Computes one row from each. Every finished row is saved as it finishes.
    #[must_use]
    pub fn map<U: Udf<T, Output: RowType>>(&self, udf: U) -> Chain<U::Output> {
        let stage = MapStage { before: Arc::clone(&self.stage), udf: Arc::new(udf) };
        Chain { session: self.session.clone(), stage: Arc::new(stage) }
    }

    /// Runs the chain and saves its rows as the next version of a dataset. If a version of it has the
    /// same rows by the same code already, that one is answered and nothing is made.
    ///
    /// # Errors
    /// A row fails, a source or the store cannot be read or written, or the name is no dataset's.
    pub fn save(&self, name: &str) -> Result<Saved> {
        self.run(|run| {
            let name = name.parse().map_err(Error::from)?;
            let stored = self.stage.stored(run)?;
            Saved::find_or_make(run.session, &name, stored, &run.report, &run.dependencies)
        })
    }

    /// Runs the chain and reads its rows into memory.
    ///
    /// # Errors
    /// A row fails, or a source or the store cannot be read or written.
    pub fn collect(&self) -> Result<Vec<T>> {
        self.run(|run| {
            let input = self.stage.input(run)?;
            collect(run.session, &*input)
        })
    }

    fn run<R>(&self, end: impl FnOnce(&mut Run<'_>) -> Result<R>) -> Result<R> {
        let mut run = Run { session: &self.session, report: Report::default(), dependencies: Vec::new() };
        let result = end(&mut run);
        self.session.ended(result)
    }
}
