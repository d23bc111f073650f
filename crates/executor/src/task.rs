//! The two ends of a run: the function that computes rows and the sink that keeps them.

use std::error::Error as StdError;
use std::ops::Range;

/// What computes rows: it opens a range of the input and yields one result per row of it.
///
/// A result per *range* would hide which row failed and force work to be repeated; a call per
/// *row* would make an input that is read in order (a file, a table) seek for each. So a task is
/// opened for a range and is then an iterator. It is called from many threads at a time.
pub trait Task: Sync {
    /// What one input row gives: one output row, none, or many.
    type Row;
    /// Finished rows on their way to the sink, for instance encoded.
    type Batch: Send;
    /// What can go wrong while a row is read, computed or packed.
    type Error: StdError + Send + 'static;

    /// Begins to compute `range`: an iterator with exactly one item for each of its rows, in order.
    ///
    /// # Errors
    /// An error here is told as the failure of the range's first row.
    fn open(
        &self,
        range: Range<u64>,
    ) -> Result<impl Iterator<Item = Result<Self::Row, Self::Error>>, Self::Error>;

    /// Packs the finished rows of `range` (never empty) into a batch, still on the worker's thread.
    ///
    /// # Errors
    /// Ends the run; the range counts as not done.
    fn pack(&self, range: Range<u64>, rows: Vec<Self::Row>) -> Result<Self::Batch, Self::Error>;
}

/// What keeps finished batches. It is called from one thread only: the one that called `run`.
pub trait Sink {
    /// What it takes.
    type Batch;
    /// Why it can fail.
    type Error: StdError + 'static;

    /// Takes a batch; it need not be durable before the next [`commit`](Self::commit). Answers how
    /// many output rows it holds. Batches come in any order; no two of them overlap.
    ///
    /// # Errors
    /// Ends the run.
    fn append(&mut self, batch: Self::Batch) -> Result<u64, Self::Error>;

    /// Makes all batches taken so far durable.
    ///
    /// # Errors
    /// Ends the run.
    fn commit(&mut self) -> Result<(), Self::Error>;
}

/// A [`Task`] made from a function of the row's number; see [`per_row`].
#[derive(Clone, Copy, Debug)]
pub struct PerRow<F>(F);

/// Makes a [`Task`] from a fallible function of the row's number. Its batches are the range and
/// one output per row of it.
pub fn per_row<F, O, E>(function: F) -> PerRow<F>
where
    F: Fn(u64) -> Result<O, E> + Sync,
    O: Send,
    E: StdError + Send + 'static,
{
    PerRow(function)
}

impl<F, O, E> Task for PerRow<F>
where
    F: Fn(u64) -> Result<O, E> + Sync,
    O: Send,
    E: StdError + Send + 'static,
{
    type Row = O;
    type Batch = (Range<u64>, Vec<O>);
    type Error = E;

    fn open(&self, range: Range<u64>) -> Result<impl Iterator<Item = Result<O, E>>, E> {
        Ok(range.map(&self.0))
    }

    fn pack(&self, range: Range<u64>, rows: Vec<O>) -> Result<Self::Batch, E> {
        Ok((range, rows))
    }
}
