//! The run: workers on a `rayon` pool, one committing thread behind a bounded channel.

use std::ops::Range;
use std::sync::Arc;

use crossbeam_channel::bounded;

use crate::commit::Committer;
use crate::run::Run;
use crate::sync::{Mutex, lock};
use crate::worker::Worker;
use crate::{Error, Options, Progress, Sink, Task};

/// Batches that may wait for the committing thread, for each worker. With it the channel bounds
/// the memory of a run: a slow sink makes the workers wait.
const QUEUE_DEPTH_PER_WORKER: usize = 2;

/// Runs tasks on a pool of worker threads. Clones share the pool.
#[derive(Clone, Debug)]
pub struct Executor {
    pool: Arc<rayon::ThreadPool>,
    /// A thread that is in one run's row must not be bound to another run: runs on one pool take turns.
    turn: Arc<Mutex<()>>,
}

impl Executor {
    /// Starts a pool of so many worker threads; 0 means one for each core.
    ///
    /// # Errors
    /// The system refused to start a thread.
    pub fn new(threads: usize) -> Result<Self, rayon::ThreadPoolBuildError> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("rowmark-worker-{index}"))
            .build()?;
        Ok(Self::with_pool(Arc::new(pool)))
    }

    /// Uses a pool that is there already.
    pub fn with_pool(pool: Arc<rayon::ThreadPool>) -> Self {
        Self { pool, turn: Arc::default() }
    }

    /// The number of worker threads.
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// The pool, for other work of the same program.
    pub fn pool(&self) -> &rayon::ThreadPool {
        &self.pool
    }

    /// Computes all rows of `ranges` (which must not overlap) with `task` and commits them to
    /// `sink` on the calling thread.
    ///
    /// # Errors
    /// The first failure in row order of those that happened before all workers had stopped, a
    /// sink's failure, or [`Error::Cancelled`]. Rows that were finished by then are committed.
    pub fn run<T, S>(
        &self,
        ranges: impl IntoIterator<Item = Range<u64>>,
        task: &T,
        sink: &mut S,
        progress: &Progress,
        options: &Options,
    ) -> Result<(), Error<T::Error, S::Error>>
    where
        T: Task,
        S: Sink<Batch = T::Batch, Failure = T::Error>,
    {
        if self.pool.current_thread_index().is_some() {
            return Err(Error::Nested);
        }
        let workers = self.threads().min(options.workers_max.unwrap_or(usize::MAX)).max(1);
        let _turn = lock(&self.turn);
        let run = Run::new(task, ranges, workers, progress, options);
        let (sender, receiver) = bounded(QUEUE_DEPTH_PER_WORKER * workers);
        let committed = self.pool.in_place_scope(|scope| {
            // One worker to each thread, and bound to it: a plain job could be stolen by a thread that waits
            // inside a row for `rayon` work of the user's own, and that row would then wait for the whole run.
            let run = &run;
            scope.spawn_broadcast(move |_, thread| {
                if thread.index() < workers {
                    Worker::new(run, thread.index(), &sender).work();
                }
            });
            Committer::new(run, sink, receiver).commit_all()
        });
        match committed {
            Err(source) => Err(Error::Sink(source)),
            Ok(()) => run.end(),
        }
    }
}
