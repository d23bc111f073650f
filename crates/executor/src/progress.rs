//! Counters of a run that any thread may read at any time.
//!
//! They are for people. What is done is decided by what the sink has committed, never by these.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::posts::{Post, Posts};
use crate::sync::{AtomicU64, Ordering};
use crate::{RowInWork, Snapshot};

/// Live counters of one run, and the rows that its workers are at.
///
/// Every counter is in rows of the input, but for `rows_out`.
///
/// ```
/// use rowmark_executor::Progress;
///
/// let progress = Progress::new(10, 4).failed_before(1); // of ten rows an earlier run did four, and one failed
/// assert_eq!(progress.snapshot().rows_left(), 5);
/// assert_eq!(progress.workers(), []);
/// ```
#[derive(Debug)]
pub struct Progress {
    rows_total: u64,
    rows_reused: u64,
    rows_failed_before: u64,
    // Relaxed everywhere: counters for display that order no other memory.
    rows_done: AtomicU64,
    /// Of the rows done, those that were not computed.
    rows_found: AtomicU64,
    rows_failed: AtomicU64,
    rows_overdue: AtomicU64,
    rows_out: AtomicU64,
    started: Instant,
    posts: Posts,
}

impl Progress {
    /// Begins to count a run over `rows_total` rows, of which `rows_reused` were done before it.
    pub fn new(rows_total: u64, rows_reused: u64) -> Self {
        Self {
            rows_total,
            rows_reused,
            rows_failed_before: 0,
            rows_done: AtomicU64::new(0),
            rows_found: AtomicU64::new(0),
            rows_failed: AtomicU64::new(0),
            rows_overdue: AtomicU64::new(0),
            rows_out: AtomicU64::new(0),
            started: Instant::now(),
            posts: Posts::default(),
        }
    }

    /// Says that so many rows had failed and been recorded before the run, which does not try them again.
    /// They count for [`OnError::Record`](crate::OnError::Record).
    #[must_use]
    pub fn failed_before(self, rows: u64) -> Self {
        Self { rows_failed_before: rows, ..self }
    }

    /// Says that of the rows that a sink is handed so many were not computed but found: they count as reused, and not
    /// as done.
    ///
    /// ```
    /// use rowmark_executor::Progress;
    ///
    /// let progress = Progress::new(10, 4);
    /// progress.add_found(2);
    /// assert_eq!(progress.snapshot().rows_reused, 6);
    /// ```
    pub fn add_found(&self, rows: u64) {
        self.rows_found.fetch_add(rows, Ordering::Relaxed);
    }

    pub(crate) fn add_done(&self, rows: u64, rows_out: u64) {
        self.rows_done.fetch_add(rows, Ordering::Relaxed);
        self.rows_out.fetch_add(rows_out, Ordering::Relaxed);
    }

    pub(crate) fn add_failed(&self) {
        self.rows_failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Makes room for what so many workers are at; the answer is theirs to write to.
    pub(crate) fn begin(&self, workers: usize) -> Arc<[Post]> {
        self.posts.begin(workers)
    }

    /// Notes since when each worker is at its row, and tells of rows that take longer than `timeout`.
    pub(crate) fn look(&self, now: Instant, timeout: Option<Duration>) {
        let overdue = self.posts.look(now, timeout);
        self.rows_overdue.fetch_add(overdue, Ordering::Relaxed);
    }

    /// The rows that workers are at, to find the one that hangs. A worker that waits is not told.
    pub fn workers(&self) -> Vec<RowInWork> {
        self.posts.workers(Instant::now())
    }

    /// Reads all counters. While a run goes on they may be one batch apart from each other.
    pub fn snapshot(&self) -> Snapshot {
        let rows_found = self.rows_found.load(Ordering::Relaxed);
        Snapshot {
            rows_total: self.rows_total,
            rows_reused: self.rows_reused + rows_found,
            rows_failed_before: self.rows_failed_before,
            rows_done: self.rows_done.load(Ordering::Relaxed).saturating_sub(rows_found),
            rows_failed: self.rows_failed.load(Ordering::Relaxed),
            rows_overdue: self.rows_overdue.load(Ordering::Relaxed),
            rows_out: self.rows_out.load(Ordering::Relaxed),
            elapsed: self.started.elapsed(),
        }
    }
}
