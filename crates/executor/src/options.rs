//! How a run goes about it.

use std::time::Duration;

use crate::{CancelToken, Retry};

/// When finished rows are made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Every row is committed as it finishes; rows that finish at one time share a commit.
    EveryRow,
    /// Rows are committed together, at the latest so long after the first of them finished or
    /// when there are so many, whichever comes first. What a kill can lose is bounded by it.
    Group {
        /// The longest time between finishing a row and its commit.
        interval: Duration,
        /// The most rows that wait for a commit.
        rows_max: u64,
    },
}

impl Default for Durability {
    /// A commit every 100 ms.
    fn default() -> Self {
        Self::Group { interval: Duration::from_millis(100), rows_max: 1 << 20 }
    }
}

impl Durability {
    pub(crate) fn interval(self) -> Duration {
        match self {
            Self::EveryRow => Duration::ZERO,
            Self::Group { interval, .. } => interval,
        }
    }

    pub(crate) fn rows_max(self) -> u64 {
        match self {
            Self::EveryRow => 1,
            Self::Group { rows_max, .. } => rows_max.max(1),
        }
    }
}

/// What becomes of the run when a row fails, after all its attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnError {
    /// The run ends; what is finished is committed.
    #[default]
    Fail,
    /// The failure is given to the sink and the run goes on, until there are too many.
    Record {
        /// How many failures may be recorded, those before the run included
        /// ([`Progress::failed_before`](crate::Progress::failed_before), and earlier runs with the same progress); one
        /// more ends the run.
        failures_max: u64,
    },
}

/// How a run goes about it.
///
/// ```
/// use std::time::Duration;
/// use rowmark_executor::{OnError, Options, Retry};
///
/// let options = Options::default()
///     .on_error(OnError::Record { failures_max: 100 })
///     .retry(Retry { attempts: 3, ..Retry::default() })
///     .row_timeout(Duration::from_secs(30));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// When finished rows are made durable.
    pub durability: Durability,
    /// The most rows in one batch; an item that covers more makes a larger one.
    pub batch_rows_max: u64,
    /// The size in bytes, as far as it is known, at which a batch is handed over.
    pub batch_bytes_max: u64,
    /// Stops the run in good order.
    pub cancel: CancelToken,
    /// What becomes of the run when a row fails.
    pub on_error: OnError,
    /// How often, and when, a row that failed is tried again.
    pub retry: Retry,
    /// A row that takes longer is told in the log and in the progress; it is not killed.
    pub row_timeout: Option<Duration>,
    /// The most workers, if fewer than the pool has threads; 1 computes strictly in row order.
    pub workers_max: Option<usize>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            batch_rows_max: 8192,
            batch_bytes_max: 4 << 20,
            cancel: CancelToken::new(),
            on_error: OnError::default(),
            retry: Retry::default(),
            row_timeout: None,
            workers_max: None,
        }
    }
}

impl Options {
    /// Sets when finished rows are made durable.
    #[must_use]
    pub fn durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    /// Sets the most rows in one batch; at least 1.
    #[must_use]
    pub fn batch_rows_max(self, rows: u64) -> Self {
        Self { batch_rows_max: rows.max(1), ..self }
    }

    /// Sets the size at which a batch is handed over; at least 1 byte.
    #[must_use]
    pub fn batch_bytes_max(self, bytes: u64) -> Self {
        Self { batch_bytes_max: bytes.max(1), ..self }
    }

    /// Sets the token that stops the run.
    #[must_use]
    pub fn cancel(self, cancel: CancelToken) -> Self {
        Self { cancel, ..self }
    }

    /// Sets what becomes of the run when a row fails.
    #[must_use]
    pub fn on_error(self, on_error: OnError) -> Self {
        Self { on_error, ..self }
    }

    /// Sets how often, and when, a row that failed is tried again.
    #[must_use]
    pub fn retry(self, retry: Retry) -> Self {
        Self { retry, ..self }
    }

    /// Sets after how long a row is told to take too long.
    #[must_use]
    pub fn row_timeout(self, timeout: Duration) -> Self {
        Self { row_timeout: Some(timeout), ..self }
    }

    /// Sets the most workers; at least 1, and 1 computes strictly in row order.
    #[must_use]
    pub fn workers_max(self, workers: usize) -> Self {
        Self { workers_max: Some(workers.max(1)), ..self }
    }
}
