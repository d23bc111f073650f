//! The places in a chain: each knows the one before it, and how to give its rows when the chain runs.

use std::marker::PhantomData;
use std::sync::Arc;

use rowmark_executor::Computed;
use rowmark_hashing::Fingerprint;
use rowmark_metastore::DatasetRef;
use rowmark_readers::Source;
use rowmark_rows::{RowRange, RowSchema, RowType};

use crate::Result;
use crate::dataset::StoredDataset;
use crate::error::RowError;
use crate::explain::Explanation;
use crate::function::{Function, Items};
use crate::group::{Aggregate, FlatAggregate, Group, GroupRow};
use crate::input::{
    FilterInput, Input, LastRowInput, ProjectInput, Rows, SliceInput, SourceInput, TableInput, UnionInput,
};
use crate::read::schema_of;
use crate::report::Report;
use crate::session::Session;
use crate::sort::SortKey;
use crate::step::cut::CutWork;
use crate::step::fold::FoldWork;
use crate::step::groups::GroupsWork;
use crate::step::rows::RowWork;
use crate::step::sorted::{DistinctWork, SortWork};
use crate::step::work::Work;
use crate::step::{Step, Stored};
use crate::udf::{FoldUdf, Identity, Udf};

/// What a run of a chain has done so far.
pub(crate) struct Run<'a> {
    pub(crate) session: &'a Session,
    pub(crate) report: Report,
    /// The dataset versions that are read.
    pub(crate) dependencies: Vec<DatasetRef>,
    /// Rows whose failure was recorded are tried again.
    pub(crate) retries_failed: bool,
    /// What would be done, where nothing is to be.
    pub(crate) plan: Option<Explanation>,
}

impl Run<'_> {
    /// Has the explanation say that a place is here, if one is made.
    pub(crate) fn place(&mut self, kind: &'static str, name: &str, detail: Option<String>, before: usize) {
        if let Some(explanation) = &mut self.plan {
            explanation.place(kind, name.to_owned(), detail, before);
        }
    }

    /// As [`place`](Self::place), of the source of an input.
    pub(crate) fn source(&mut self, name: &str, fingerprint: &Fingerprint) {
        let content = ["source content", "input content", "dataset content", "table content"];
        let content = content.iter().find_map(|label| fingerprint.get(label));
        // It begins with the name.
        let shown = content.map(|content| content.shown.strip_prefix(name).unwrap_or(&content.shown));
        let shown = shown.map(|shown| shown.trim_start_matches([',', ' '])).filter(|shown| !shown.is_empty());
        self.place("source", name, shown.map(|shown| format!("content {shown}")), 0);
    }

    /// Runs a step whose identity is that of a UDF over an input.
    fn step(
        &mut self,
        kind: &'static str,
        name: &str,
        input: &Fingerprint,
        identity: &Identity,
        schema: &RowSchema,
        work: &dyn Work,
    ) -> Result<Stored> {
        let code = self.session.with_build(identity.code_fingerprint()?)?;
        let step = Step {
            name,
            kind,
            input,
            parameters: identity.parameters()?,
            code: &code,
            schema,
            work,
            retries_failed: self.retries_failed,
        };
        if let Some(explanation) = &mut self.plan {
            let (plan, stored) = step.plan(self.session)?;
            explanation.push(plan);
            return Ok(stored);
        }
        let stored = step.run(self.session)?;
        self.report.push(stored.report.clone());
        Ok(stored)
    }

    /// Runs a step that computes row by row.
    fn rows<In: RowType, F: Function<In>>(&mut self, input: &dyn Input<In>, function: &F) -> Result<Stored> {
        self.rows_as(input, function, &RowSchema::of::<F::Out>()?)
    }

    /// Runs a step that computes row by row, its rows of this schema.
    pub(crate) fn rows_as<In: RowType, F: Function<In>>(
        &mut self,
        input: &dyn Input<In>,
        function: &F,
        schema: &RowSchema,
    ) -> Result<Stored> {
        let identity = function.identity();
        let work = RowWork { input, function, schema };
        self.step(F::KIND, identity.name(), input.fingerprint(), &identity, schema, &work)
    }
}

/// The rows of a step's table.
fn rows_of<T: RowType>(session: &Session, stored: Stored) -> Result<TableInput> {
    let Stored { table, checkpoint, .. } = stored;
    let fingerprint =
        Fingerprint::new("rowmark.rows").with_hash("step", checkpoint.identity, &checkpoint.step);
    let schema = schema_of::<T>(table.schema())?;
    Ok(TableInput::new(session, Some(checkpoint), table, schema, fingerprint))
}

/// A place in a chain. It has one of `input` and `stored` of its own.
pub(crate) trait Stage<T>: Send + Sync {
    /// A name for people.
    fn name(&self) -> String;

    /// Sees to it that what the rows are computed from is stored, and answers how to read them.
    fn input(&self, run: &mut Run<'_>) -> Result<Arc<dyn Input<T>>>
    where
        T: RowType,
    {
        Ok(Arc::new(rows_of::<T>(run.session, self.stored(run)?)?))
    }

    /// The rows as a table of their own.
    fn stored(&self, run: &mut Run<'_>) -> Result<Stored>
    where
        T: RowType,
    {
        let input = self.input(run)?;
        run.rows_as(&*input, &Keep, input.schema())
    }
}

/// What stores rows as they are.
pub(crate) struct Keep;

impl<T: RowType> Function<T> for Keep {
    type Out = T;
    type Outputs = Option<T>;
    type Worker = ();

    const KIND: &'static str = "store";

    fn identity(&self) -> Identity {
        Identity::new("store")
    }

    fn setup(&self) -> Result<(), RowError> {
        Ok(())
    }

    fn apply<'a>(&'a self, (): &'a mut (), rows: Rows<'a, T>) -> Items<'a, Option<T>> {
        Box::new(rows.map(|row| row.map(Computed::from)))
    }
}

pub(crate) struct SourceStage<S>(pub(crate) Arc<S>);

impl<S: Source<Row: RowType> + 'static> Stage<S::Row> for SourceStage<S> {
    fn name(&self) -> String {
        self.0.name()
    }

    fn input(&self, run: &mut Run<'_>) -> Result<Arc<dyn Input<S::Row>>> {
        let input = SourceInput::new(Arc::clone(&self.0))?;
        run.source(&self.0.name(), input.fingerprint());
        Ok(Arc::new(input))
    }
}

impl<T: RowType> Stage<T> for StoredDataset {
    fn name(&self) -> String {
        self.label()
    }

    fn input(&self, run: &mut Run<'_>) -> Result<Arc<dyn Input<T>>> {
        run.dependencies.push(self.version());
        let input = self.table_input()?;
        run.source(&self.label(), &input.fingerprint);
        Ok(Arc::new(input))
    }
}

pub(crate) struct FilterStage<T, U> {
    pub(crate) before: Arc<dyn Stage<T>>,
    pub(crate) predicate: Arc<U>,
}

impl<T: RowType, U: Udf<T, Output = bool>> Stage<T> for FilterStage<T, U> {
    fn name(&self) -> String {
        self.predicate.identity().name().to_owned()
    }

    fn input(&self, run: &mut Run<'_>) -> Result<Arc<dyn Input<T>>> {
        let input = self.before.input(run)?;
        run.place("filter", self.predicate.identity().name(), None, 1);
        Ok(Arc::new(FilterInput::new(run.session, input, Arc::clone(&self.predicate))?))
    }
}

pub(crate) struct ProjectStage<T, U> {
    pub(crate) before: Arc<dyn Stage<T>>,
    pub(crate) udf: Arc<U>,
}

impl<T: RowType, U: Udf<T, Output: RowType>> Stage<U::Output> for ProjectStage<T, U> {
    fn name(&self) -> String {
        self.udf.identity().name().to_owned()
    }

    fn input(&self, run: &mut Run<'_>) -> Result<Arc<dyn Input<U::Output>>> {
        let input = self.before.input(run)?;
        run.place("project", self.udf.identity().name(), None, 1);
        Ok(Arc::new(ProjectInput::new(run.session, input, Arc::clone(&self.udf))?))
    }
}

pub(crate) struct UnionStage<T>(pub(crate) [Arc<dyn Stage<T>>; 2]);

impl<T: RowType> Stage<T> for UnionStage<T> {
    fn name(&self) -> String {
        let [first, second] = &self.0;
        format!("{} and {}", first.name(), second.name())
    }

    fn input(&self, run: &mut Run<'_>) -> Result<Arc<dyn Input<T>>> {
        let [first, second] = &self.0;
        let inputs = [first.input(run)?, second.input(run)?];
        run.place("union", "", None, 2);
        Ok(Arc::new(UnionInput::new(inputs)?))
    }
}

/// `limit` and `offset`.
pub(crate) struct CutStage<T> {
    pub(crate) before: Arc<dyn Stage<T>>,
    pub(crate) kept: RowRange,
}

impl<T: RowType> Stage<T> for CutStage<T> {
    fn name(&self) -> String {
        format!("rows {} of {}", self.kept, self.before.name())
    }

    fn input(&self, run: &mut Run<'_>) -> Result<Arc<dyn Input<T>>> {
        let input = self.before.input(run)?;
        let kept = (self.kept.start(), self.kept.end());
        if input.is_dense() {
            let fingerprint = input.fingerprint().clone().with("rows kept", &kept)?;
            run.place("rows", &self.kept.to_string(), None, 1);
            return Ok(Arc::new(SliceInput::new(input, self.kept, fingerprint)?));
        }
        let identity = Identity::new("cut").parameter("rows kept", &kept);
        let schema = input.schema();
        let work = CutWork { input: &*input, schema, kept: self.kept };
        let stored = run.step("cut", "cut", input.fingerprint(), &identity, schema, &work)?;
        Ok(Arc::new(rows_of::<T>(run.session, stored)?))
    }
}

/// `order_by`.
pub(crate) struct SortStage<T, U> {
    pub(crate) before: Arc<dyn Stage<T>>,
    pub(crate) key: Arc<U>,
}

impl<T: RowType, U: Udf<T, Output: SortKey>> Stage<T> for SortStage<T, U> {
    fn name(&self) -> String {
        format!("order by {}", self.key.identity().name())
    }

    fn stored(&self, run: &mut Run<'_>) -> Result<Stored> {
        let input = self.before.input(run)?;
        let (identity, schema) = (self.key.identity(), input.schema());
        let work = SortWork { input: &*input, schema, key: &*self.key };
        let name = format!("order by {}", identity.name());
        run.step("sort", &name, input.fingerprint(), &identity, schema, &work)
    }
}

pub(crate) struct DistinctStage<T> {
    pub(crate) before: Arc<dyn Stage<T>>,
}

impl<T: RowType> Stage<T> for DistinctStage<T> {
    fn name(&self) -> String {
        format!("distinct {}", self.before.name())
    }

    fn stored(&self, run: &mut Run<'_>) -> Result<Stored> {
        let input = self.before.input(run)?;
        let schema = input.schema();
        let work = DistinctWork { input: &*input, schema };
        run.step("distinct", "distinct", input.fingerprint(), &Identity::new("distinct"), schema, &work)
    }
}

/// A UDF that computes row by row.
pub(crate) struct RowsStage<T, F> {
    pub(crate) before: Arc<dyn Stage<T>>,
    pub(crate) function: F,
}

impl<T: RowType, F: Function<T>> Stage<F::Out> for RowsStage<T, F> {
    fn name(&self) -> String {
        self.function.identity().name().to_owned()
    }

    fn stored(&self, run: &mut Run<'_>) -> Result<Stored> {
        let input = self.before.input(run)?;
        run.rows(&*input, &self.function)
    }
}

/// Makes the function of a step over groups, once the table is there that the groups' rows are in.
type MakeFunction<T, U, F> = fn(Aggregate<U, T>) -> F;

/// `agg` and `flat_agg`.
pub(crate) struct AggregateStage<T, Key, U, F> {
    before: Arc<dyn Stage<T>>,
    key: Arc<Key>,
    udf: Arc<U>,
    make: MakeFunction<T, U, F>,
}

impl<T, Key, U> AggregateStage<T, Key, U, Aggregate<U, T>> {
    /// One row for each group.
    pub(crate) fn one(before: Arc<dyn Stage<T>>, key: Arc<Key>, udf: Arc<U>) -> Self {
        Self { before, key, udf, make: |function| function }
    }
}

impl<T, Key, U> AggregateStage<T, Key, U, FlatAggregate<U, T>> {
    /// Any number of rows for each group.
    pub(crate) fn many(before: Arc<dyn Stage<T>>, key: Arc<Key>, udf: Arc<U>) -> Self {
        Self { before, key, udf, make: FlatAggregate }
    }
}

impl<T, K, Key, U, F> Stage<F::Out> for AggregateStage<T, Key, U, F>
where
    T: RowType,
    K: SortKey,
    Key: Udf<T, Output = K>,
    U: Udf<Group<K, T>>,
    F: Function<GroupRow<K>>,
{
    fn name(&self) -> String {
        self.udf.identity().name().to_owned()
    }

    fn stored(&self, run: &mut Run<'_>) -> Result<Stored> {
        let sort = SortStage { before: Arc::clone(&self.before), key: Arc::clone(&self.key) };
        let sorted = rows_of::<T>(run.session, sort.stored(run)?)?;

        let (identity, schema) = (self.key.identity(), &RowSchema::of::<GroupRow<K>>()?);
        let work = GroupsWork { sorted: &sorted, schema, key: &*self.key };
        let name = format!("groups by {}", identity.name());
        let groups = run.step("groups", &name, &sorted.fingerprint, &identity, schema, &work)?;
        let groups = rows_of::<GroupRow<K>>(run.session, groups)?;

        let aggregate = Aggregate { udf: Arc::clone(&self.udf), sorted, row: PhantomData };
        run.rows::<GroupRow<K>, F>(&groups, &(self.make)(aggregate))
    }
}

pub(crate) struct FoldStage<S, T, U> {
    pub(crate) before: Arc<dyn Stage<T>>,
    pub(crate) initial: S,
    pub(crate) udf: U,
}

impl<S: RowType + Clone, T: RowType, U: FoldUdf<S, T>> Stage<S> for FoldStage<S, T, U> {
    fn name(&self) -> String {
        self.udf.identity().name().to_owned()
    }

    /// The table holds the states on the way; the rows are the last of them.
    fn input(&self, run: &mut Run<'_>) -> Result<Arc<dyn Input<S>>> {
        let input = self.before.input(run)?;
        let identity = self.udf.identity().parameter("initial", &self.initial);
        let schema = &RowSchema::of::<S>()?;
        let work = FoldWork { input: &*input, schema, initial: &self.initial, udf: &self.udf };
        let stored = run.step("fold", identity.name(), input.fingerprint(), &identity, schema, &work)?;
        let states = rows_of::<S>(run.session, stored)?;
        Ok(Arc::new(LastRowInput { rows: states, otherwise: self.initial.clone() }))
    }
}
