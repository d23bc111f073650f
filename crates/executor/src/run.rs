//! What the workers and the committing thread of one run share.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::posts::Post;
use crate::queue::Queue;
use crate::slot::{Bounds, Finished, Slot};
use crate::sync::{AtomicBool, Mutex, Ordering, lock};
use crate::{Error, FailedRow, Failure, Options, Progress, Task};

/// One run.
pub(crate) struct Run<'run, T: Task> {
    pub(crate) task: &'run T,
    pub(crate) queue: Queue,
    pub(crate) progress: &'run Progress,
    pub(crate) options: &'run Options,
    /// Failures that are recorded: before, and by other runs with the same progress.
    pub(crate) failures_before: u64,
    /// What makes a worker hand over.
    pub(crate) bounds: Bounds,
    /// The finished rows of each worker.
    pub(crate) slots: Box<[Slot<T::Row>]>,
    /// The row that each worker is at.
    pub(crate) posts: Arc<[Post]>,
    stop: AtomicBool,
    /// Of the rows at which a worker stopped the first, and why.
    stopped_at: Mutex<Option<(u64, Stop<T::Error>)>>,
}

/// What comes through the channel to the committing thread.
pub(crate) enum HandOver<B, E: std::error::Error + 'static> {
    /// A batch, and how many rows of the input it covers.
    Batch(u64, B),
    /// A row to be recorded as failed.
    Failed(FailedRow<E>),
}

/// What the workers of a task send.
pub(crate) type Message<T> = HandOver<<T as Task>::Batch, <T as Task>::Error>;

/// Why a run stops.
pub(crate) enum Stop<E: std::error::Error + 'static> {
    Row(FailedRow<E>),
    TooManyFailures {
        failed: FailedRow<E>,
        failures: u64,
        failures_max: u64,
    },
    Setup(Failure<E>),
    Pack(Range<u64>, Failure<E>),
    Short(Range<u64>),
    Misfit(u64, Range<u64>),
    /// The committing thread is gone: its sink failed, and that is the run's error.
    SinkGone,
}

impl<'run, T: Task> Run<'run, T> {
    pub(crate) fn new(
        task: &'run T,
        ranges: impl IntoIterator<Item = Range<u64>>,
        workers: usize,
        progress: &'run Progress,
        options: &'run Options,
    ) -> Self {
        let (rows, bytes) = (options.batch_rows_max.max(1), options.batch_bytes_max.max(1));
        let leases = Bounds { rows, bytes };
        let counts = progress.snapshot();
        Self {
            task,
            queue: Queue::new(ranges, workers, task.rows_at_once(), leases),
            progress,
            options,
            failures_before: counts.rows_failed_before + counts.rows_failed,
            bounds: Bounds { rows: rows.min(options.durability.rows_max()), bytes },
            slots: (0..workers).map(|_| Slot::new()).collect(),
            posts: progress.begin(workers),
            stop: AtomicBool::new(false),
            stopped_at: Mutex::new(None),
        }
    }

    pub(crate) fn pack(&self, finished: Finished<T::Row>) -> Result<Message<T>, Stop<T::Error>> {
        let Finished { range, rows } = finished;
        let batch = Failure::catch(|| self.task.pack(range.clone(), rows));
        let rows = range.end - range.start;
        batch.map(|batch| HandOver::Batch(rows, batch)).map_err(|failure| Stop::Pack(range, failure))
    }

    pub(crate) fn is_stopped(&self) -> bool {
        // Relaxed here and below: the flag orders nothing else; a worker that sees it a row late is as right.
        self.stop.load(Ordering::Relaxed) || self.options.cancel.is_cancelled()
    }

    /// Makes the workers stop after the rows they are at.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.options.cancel.wake();
    }

    /// Waits, unless the run is stopped.
    pub(crate) fn sleep(&self, duration: Duration) {
        self.options.cancel.sleep(duration, || self.is_stopped());
    }

    /// Stops the run, and keeps why if it is the first in row order.
    pub(crate) fn fail(&self, row: u64, stop: Stop<T::Error>) {
        match stop {
            Stop::SinkGone => return self.stop(),
            Stop::Row(_) => self.progress.add_failed(),
            _ => {}
        }
        let mut stopped_at = lock(&self.stopped_at);
        if stopped_at.as_ref().is_none_or(|(earlier, _)| row < *earlier) {
            *stopped_at = Some((row, stop));
        }
        drop(stopped_at);
        self.stop();
    }

    /// How the run ended.
    pub(crate) fn end<S: std::error::Error + 'static>(self) -> Result<(), Error<T::Error, S>> {
        let Some((row, stop)) = lock(&self.stopped_at).take() else {
            let rows_left = self.queue.rows_left();
            return if rows_left > 0 { Err(Error::Cancelled { rows_left }) } else { Ok(()) };
        };
        Err(match stop {
            Stop::Row(FailedRow { row, attempts, failure }) => Error::Row { row, attempts, source: failure },
            Stop::TooManyFailures {
                failed: FailedRow { row, attempts, failure },
                failures,
                failures_max,
            } => Error::TooManyFailures { failures, failures_max, row, attempts, source: failure },
            Stop::Setup(failure) => Error::Setup(failure),
            Stop::Pack(range, source) => Error::Pack { range, source },
            Stop::Short(range) => Error::Short { row, range },
            Stop::Misfit(rows, range) => Error::Misfit { row, rows, range },
            Stop::SinkGone => unreachable!("not kept by `fail`"),
        })
    }
}
