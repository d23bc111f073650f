//! Which row each worker is at, and since when.
//!
//! A worker writes down the number of each row that it begins and reads no clock for it. The
//! committing thread looks at the numbers now and then: a row is as old as the first look that found it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::sync::{AtomicU64, Mutex, Ordering, lock};

/// The number of no row: ranges end before it.
const NO_ROW: u64 = u64::MAX;

/// A row that a worker is computing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RowInWork {
    /// The worker's number, from 0.
    pub worker: usize,
    /// The row's number; of an item of several rows the first.
    pub row: u64,
    /// How long it has been seen to take, by looks a few milliseconds apart.
    pub elapsed: Duration,
}

/// Where a worker writes down the row that it is at.
// Aligned to two cache lines: workers write at every row, and neighbours must not share a line.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Post(AtomicU64);

impl Default for Post {
    fn default() -> Self {
        Self(AtomicU64::new(NO_ROW))
    }
}

impl Post {
    // Relaxed: a number for display that orders no other memory.
    #[inline]
    pub(crate) fn begin(&self, row: u64) {
        self.0.store(row, Ordering::Relaxed);
    }

    pub(crate) fn rest(&self) {
        self.begin(NO_ROW);
    }

    fn row(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Posts(Mutex<Watch>);

#[derive(Debug, Default)]
struct Watch {
    posts: Arc<[Post]>,
    seen: Vec<Seen>,
}

/// What the last look found at a post.
#[derive(Clone, Copy, Debug)]
struct Seen {
    row: u64,
    since: Instant,
    is_told: bool,
}

impl Posts {
    /// Sets up posts for so many workers.
    pub(crate) fn begin(&self, workers: usize) -> Arc<[Post]> {
        let posts: Arc<[Post]> = (0..workers).map(|_| Post::default()).collect();
        let seen = vec![Seen { row: NO_ROW, since: Instant::now(), is_told: false }; workers];
        *lock(&self.0) = Watch { posts: Arc::clone(&posts), seen };
        posts
    }

    /// Looks at all posts. Answers how many rows were found to take longer than `timeout`, each of
    /// which is told once.
    pub(crate) fn look(&self, now: Instant, timeout: Option<Duration>) -> u64 {
        let mut watch = lock(&self.0);
        let Watch { posts, seen } = &mut *watch;
        let mut overdue = 0;
        for (post, seen) in posts.iter().zip(seen) {
            let row = post.row();
            if row != seen.row {
                *seen = Seen { row, since: now, is_told: false };
            } else if row != NO_ROW
                && !seen.is_told
                && timeout.is_some_and(|timeout| now - seen.since >= timeout)
            {
                seen.is_told = true;
                overdue += 1;
                let seconds = (now - seen.since).as_secs_f64();
                tracing::warn!(row, seconds, "a row takes longer than its timeout; the run waits for it");
            }
        }
        overdue
    }

    pub(crate) fn workers(&self, now: Instant) -> Vec<RowInWork> {
        let watch = lock(&self.0);
        let at_row = |(worker, (post, seen)): (usize, (&Post, &Seen))| {
            let row = post.row();
            let since = if row == seen.row { seen.since } else { now };
            (row != NO_ROW).then(|| RowInWork { worker, row, elapsed: now.saturating_duration_since(since) })
        };
        watch.posts.iter().zip(&watch.seen).enumerate().filter_map(at_row).collect()
    }
}
