//! Counters of a run that any thread may read at any time.
//!
//! They are for people. What is done is decided by what the sink has committed, never by these.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Live counters of one run.
///
/// Every counter is in rows of the input, but for `rows_out`.
///
/// ```
/// use rowmark_executor::Progress;
///
/// let progress = Progress::new(10, 4); // ten rows, of which an earlier run did four
/// let snapshot = progress.snapshot();
/// assert_eq!(snapshot.rows_left(), 6);
/// ```
#[derive(Debug)]
pub struct Progress {
    rows_total: u64,
    rows_reused: u64,
    // Relaxed everywhere: counters for display that order no other memory.
    rows_done: AtomicU64,
    rows_failed: AtomicU64,
    rows_out: AtomicU64,
    started: Instant,
}

impl Progress {
    /// Begins to count a run over `rows_total` rows, of which `rows_reused` were done before it.
    pub fn new(rows_total: u64, rows_reused: u64) -> Self {
        Self {
            rows_total,
            rows_reused,
            rows_done: AtomicU64::new(0),
            rows_failed: AtomicU64::new(0),
            rows_out: AtomicU64::new(0),
            started: Instant::now(),
        }
    }

    pub(crate) fn add_done(&self, rows: u64, rows_out: u64) {
        self.rows_done.fetch_add(rows, Ordering::Relaxed);
        self.rows_out.fetch_add(rows_out, Ordering::Relaxed);
    }

    pub(crate) fn add_failed(&self) {
        self.rows_failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Reads all counters. While a run goes on they may be one batch apart from each other.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            rows_total: self.rows_total,
            rows_reused: self.rows_reused,
            rows_done: self.rows_done.load(Ordering::Relaxed),
            rows_failed: self.rows_failed.load(Ordering::Relaxed),
            rows_out: self.rows_out.load(Ordering::Relaxed),
            elapsed: self.started.elapsed(),
        }
    }
}

/// The counters of a [`Progress`] at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Rows of the input.
    pub rows_total: u64,
    /// Rows that an earlier run had done.
    pub rows_reused: u64,
    /// Rows that this run computed and handed to the sink.
    pub rows_done: u64,
    /// Rows that failed in this run.
    pub rows_failed: u64,
    /// Rows that this run's rows gave.
    pub rows_out: u64,
    /// Time since the run began.
    pub elapsed: Duration,
}

impl Snapshot {
    /// Rows that are neither reused nor done: not begun, in flight or failed.
    pub fn rows_left(&self) -> u64 {
        self.rows_total.saturating_sub(self.rows_reused + self.rows_done)
    }

    /// Rows computed per second since the run began.
    pub fn rows_per_second(&self) -> f64 {
        self.rows_done as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// The time that the rows left will take at the rate so far; `None` before the first row.
    pub fn time_left(&self) -> Option<Duration> {
        let rate = self.rows_per_second();
        (rate > 0.0)
            .then(|| Duration::try_from_secs_f64(self.rows_left() as f64 / rate).unwrap_or(Duration::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_gives_the_time_left() {
        let snapshot = Snapshot {
            rows_total: 100,
            rows_reused: 40,
            rows_done: 20,
            rows_failed: 1,
            rows_out: 20,
            elapsed: Duration::from_secs(10),
        };
        assert_eq!(snapshot.rows_left(), 40);
        assert_eq!(snapshot.rows_per_second(), 2.0);
        assert_eq!(snapshot.time_left(), Some(Duration::from_secs(20)));
    }

    #[test]
    fn before_the_first_row_there_is_no_time_left() {
        assert_eq!(Progress::new(5, 0).snapshot().time_left(), None);
    }
}
