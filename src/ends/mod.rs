//! The ends of a chain: they run it.

use rowmark_rows::{RowRange, RowRanges, RowType};

use crate::chain::Chain;
use crate::dataset::Saved;
use crate::explain::Explanation;
use crate::input::Input;
use crate::report::Report;
use crate::session::Session;
use crate::stage::Run;
use crate::step::work::{Gather, Workers};
use crate::{Error, Result};

mod collect;
mod export;
mod stream;

pub use stream::ChainRows;

use collect::{Collected, Counted, ReadTask};

impl<T: RowType> Chain<T> {
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

    /// Runs the chain and reads its rows into memory, on all workers.
    ///
    /// # Errors
    /// A row fails, or a source or the store cannot be read or written.
    pub fn collect(&self) -> Result<Vec<T>> {
        self.run(|run| {
            let input = self.stage.input(run)?;
            let mut collected = Collected::new(&*input);
            self.gather("collect", run.session, &*input, &mut collected)?;
            Ok(collected.into_rows())
        })
    }

    /// Runs the chain and gives its rows one after the other; few of them are in memory at a time.
    ///
    /// Steps that store their rows are finished when this answers. What comes behind the last of them is read ahead
    /// on a thread of its own, which ends when the answer is dropped, and stops where the session is cancelled.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let session = rowmark::Session::open(folder.path().join("state"))?;
    /// let mut sum = 0;
    /// for n in session.read_values(&[1, 2, 3]).iter()? {
    ///     sum += n?;
    /// }
    /// assert_eq!(sum, 6);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`collect`](Self::collect); what goes wrong later is an item, the last.
    pub fn iter(&self) -> Result<ChainRows<T>> {
        self.run(|run| {
            let cancel = run.session.settings().options.cancel.clone();
            ChainRows::begin(self.stage.input(run)?, cancel)
        })
    }

    /// Runs the chain and counts its rows. Unless some are filtered out behind the last stored step, none is read.
    ///
    /// # Errors
    /// As [`collect`](Self::collect).
    pub fn count(&self) -> Result<u64> {
        self.run(|run| {
            let input = self.stage.input(run)?;
            if input.is_dense() {
                return input.rows();
            }
            let mut counted = Counted::new(&*input);
            self.gather("count", run.session, &*input, &mut counted)?;
            Ok(counted.rows())
        })
    }

    /// Runs the chain and gives its first row.
    ///
    /// # Errors
    /// As [`collect`](Self::collect).
    pub fn first(&self) -> Result<Option<T>> {
        self.iter()?.next().transpose()
    }

    /// Says what a run would do with each step, and why: what it would skip, continue or run, whose rows it would use
    /// and, for what is run, the first thing that differs from the last run, old and new. It prints as a tree, and a run
    /// logs the same texts. Nothing is run and nothing is changed; sources are looked at, as their
    /// content decides.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let session = rowmark::Session::open(folder.path().join("state"))?;
    /// use rowmark::prelude::*;
    ///
    /// let lengths = |words: &[&str]| {
    ///     let words: Vec<String> = words.iter().map(|word| word.to_string()).collect();
    ///     session.read_records(words).map(udf!("length", |word: &String| word.len() as u64))
    /// };
    /// lengths(&["map", "filter"]).collect()?;
    /// let plan = lengths(&["map", "filter"]).explain()?;
    /// assert!(plan.to_string().starts_with("source 2 values: content "));
    /// assert!(plan.to_string().ends_with("\nmap length: skip (done before in this job)"));
    ///
    /// let plan = lengths(&["map", "save"]).explain()?;
    /// assert!(plan.to_string().contains("map length: reuse by row, about 2 of 2"), "{plan}");
    /// assert!(plan.steps()[0].reason.contains("source: content: "), "{plan}"); // the old content → the new one
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A source or the store cannot be read, or the identity of a UDF cannot be known.
    pub fn explain(&self) -> Result<Explanation> {
        let mut run = Run {
            session: &self.session,
            report: Report::default(),
            dependencies: Vec::new(),
            retries_failed: self.retries_failed,
            plan: Some(Explanation::default()),
        };
        self.stage.input(&mut run)?;
        Ok(run.plan.unwrap_or_default().ended())
    }

    fn run<R>(&self, end: impl FnOnce(&mut Run<'_>) -> Result<R>) -> Result<R> {
        let mut run = Run {
            session: &self.session,
            report: Report::default(),
            dependencies: Vec::new(),
            retries_failed: self.retries_failed,
            plan: None,
        };
        let result = end(&mut run);
        self.session.ended(result)
    }

    /// Reads all rows of an input on the session's workers.
    fn gather<G>(&self, end: &str, session: &Session, input: &dyn Input<T>, to: &mut G) -> Result<()>
    where
        G: Gather<Batch = (RowRange, Vec<T>)>,
    {
        let rows = input.rows()?;
        let progress = rowmark_executor::Progress::new(rows, 0);
        let workers = Workers { session, step: end, progress: &progress };
        workers.gather(
            &RowRanges::from(RowRange::new(0, rows)),
            &ReadTask(input),
            to,
            workers.options_in_bulk(),
        )
    }
}
