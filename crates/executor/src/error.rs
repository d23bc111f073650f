//! What can end a run early.

use std::error::Error as StdError;
use std::ops::Range;

/// Why a row was not finished: its function answered an error, or panicked.
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

/// An error of [`Executor::run`](crate::Executor::run), over the task's error `E` and the sink's `S`.
///
/// Whichever it is, the rows that were finished before it have been handed to the sink and
/// committed, unless the sink itself failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error<E: StdError + 'static, S: StdError + 'static> {
    /// A row failed. Of several that fail at one time it is the first in row order.
    #[error("row {row} failed")]
    Row {
        /// The row's number.
        row: u64,
        /// Whether it answered an error or panicked.
        source: Failure<E>,
    },
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
