//! What keeps finished rows.

use std::error::Error as StdError;

use crate::FailedRow;

/// What keeps finished batches. It is called from one thread only: the one that called `run`.
pub trait Sink {
    /// What it takes: the task's batches.
    type Batch;
    /// Why a row can fail: the task's error.
    type Failure: StdError + 'static;
    /// Why it can fail itself.
    type Error: StdError + 'static;

    /// Takes a batch; it need not be durable before the next [`commit`](Self::commit). Answers how
    /// many output rows it holds. Batches of several workers come in any order; no two of them overlap.
    ///
    /// # Errors
    /// Ends the run.
    fn append(&mut self, batch: Self::Batch) -> Result<u64, Self::Error>;

    /// Takes note of a row that failed, to be durable with the next [`commit`](Self::commit); called only
    /// under [`OnError::Record`](crate::OnError::Record). No batch covers the row.
    ///
    /// # Errors
    /// Ends the run.
    fn record(&mut self, failed: FailedRow<Self::Failure>) -> Result<(), Self::Error>;

    /// Sees to it that all that was taken so far becomes durable soon, without waiting for it: called when rows have
    /// waited for so long as they may, unless every row is to be durable as it finishes.
    ///
    /// # Errors
    /// Ends the run; also those of what was begun before.
    fn begin_commit(&mut self) -> Result<(), Self::Error> {
        self.commit()
    }

    /// Makes all that was taken so far durable. It is the last that is asked for.
    ///
    /// # Errors
    /// Ends the run.
    fn commit(&mut self) -> Result<(), Self::Error>;
}
