//! What can end a run early.

use std::error::Error as StdError;
use std::ops::Range;

/// Why a call of the task was not finished: it answered an error, or panicked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure<E: StdError + 'static> {
    /// The function answered an error.
    #[error(transparent)]
    Error(E),
    /// The function panicked; the panic was caught and this is its text.
    #[error("panicked: {message}")]
    Panic {
        /// What the panic said.
        message: String,
    },
}

/// A row that failed and was not tried again.
#[derive(Debug)]
pub struct FailedRow<E: StdError + 'static> {
    /// The row's number.
    pub row: u64,
    /// How often it was tried.
    pub attempts: u32,
    /// How it failed the last time.
    pub failure: Failure<E>,
}

/// An error of [`Executor::run`](crate::Executor::run), over the task's error `E` and the sink's `S`.
///
/// Whichever it is, the rows that were finished before it have been handed to the sink and
/// committed, unless the sink itself failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error<E: StdError + 'static, S: StdError + 'static> {
    /// A row failed. Of several that fail at one time it is the first in row order.
    #[error("row {row} failed{}", after(*attempts))]
    Row {
        /// The row's number.
        row: u64,
        /// How often it was tried.
        attempts: u32,
        /// Whether it answered an error or panicked, the last time.
        source: Failure<E>,
    },
    /// More rows failed than may be recorded.
    #[error(
        "{failures} rows failed, the last of them row {row}{}; no more than {failures_max} may be recorded",
        after(*attempts)
    )]
    TooManyFailures {
        /// How many rows failed, those that were recorded before the run and the last one included.
        failures: u64,
        /// How many may be recorded.
        failures_max: u64,
        /// The row that was one too many; it is not recorded.
        row: u64,
        /// How often it was tried.
        attempts: u32,
        /// How it failed.
        source: Failure<E>,
    },
    /// A worker could not be set up, so none of its rows were begun.
    #[error("a worker could not be set up")]
    Setup(#[source] Failure<E>),
    /// A range of finished rows could not be packed into a batch.
    #[error("rows {}..{} could not be packed into a batch", range.start, range.end)]
    Pack {
        /// The rows of the batch.
        range: Range<u64>,
        /// What the task answered.
        source: Failure<E>,
    },
    /// The task's iterator ended before the range it was opened for.
    #[error("the input ended at row {row}, before the end of its range {}..{}", range.start, range.end)]
    Short {
        /// The row that was missing.
        row: u64,
        /// The range that was opened.
        range: Range<u64>,
    },
    /// The task's iterator gave an item of no rows, or of rows beyond the range it was opened for.
    #[error("an item of {rows} rows at row {row} does not fit in its range {}..{}", range.start, range.end)]
    Misfit {
        /// The item's first row.
        row: u64,
        /// How many rows it claims to cover.
        rows: u64,
        /// The range that was opened.
        range: Range<u64>,
    },
    /// The sink refused a batch or could not commit.
    #[error("finished rows could not be committed")]
    Sink(#[source] S),
    /// The run was asked to stop through its [`CancelToken`](crate::CancelToken).
    #[error("cancelled with {rows_left} rows left; what was finished is committed")]
    Cancelled {
        /// How many rows remain to be computed.
        rows_left: u64,
    },
    /// The run was started by a worker of its own pool, which could wait for itself for ever.
    #[error("a run was started inside a row of another run on the same thread pool; start it outside")]
    Nested,
}

fn after(attempts: u32) -> String {
    if attempts > 1 { format!(" after {attempts} attempts") } else { String::new() }
}
