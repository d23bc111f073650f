//! The run: workers on a `rayon` pool, one committing thread behind a bounded channel.

use std::error::Error as StdError;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::queue::{LEASE_TIME, Queue};
use crate::{CancelToken, Error, Failure, Progress, Sink, Task};

/// Batches that may wait for the committing thread, for each worker. With it the channel bounds
/// the memory of a run: a slow sink makes the workers wait.
const QUEUE_DEPTH_PER_WORKER: usize = 2;

/// After so long a worker gives the rest of its lease back: the rows are slower than was measured.
const OVERDUE: Duration = LEASE_TIME.saturating_mul(4);

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

/// How a run goes about it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// When finished rows are made durable.
    pub durability: Durability,
    /// The most rows in one batch.
    pub batch_rows_max: u64,
    /// Stops the run in good order.
    pub cancel: CancelToken,
}

impl Default for Options {
    fn default() -> Self {
        Self { durability: Durability::default(), batch_rows_max: 8192, cancel: CancelToken::new() }
    }
}

impl Options {
    /// Sets when finished rows are made durable.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Sets the most rows in one batch; at least 1.
    #[must_use]
    pub fn batch_rows_max(mut self, rows: u64) -> Self {
        self.batch_rows_max = rows.max(1);
        self
    }

    /// Sets the token that stops the run.
    #[must_use]
    pub fn cancel(mut self, cancel: CancelToken) -> Self {
        self.cancel = cancel;
        self
    }
}

/// Runs tasks on a pool of worker threads. Clones share the pool.
#[derive(Clone, Debug)]
pub struct Executor {
    pool: Arc<rayon::ThreadPool>,
    /// Runs on one pool take turns, for the same reason.
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
        S: Sink<Batch = T::Batch>,
    {
        if self.pool.current_thread_index().is_some() {
            return Err(Error::Nested);
        }
        let workers = self.threads();
        let Group { interval, rows_max } = Group::of(options.durability);
        let run = Run {
            task,
            queue: Queue::new(ranges, workers, options.batch_rows_max),
            progress,
            cancel: &options.cancel,
            // Half of the interval passes at most before a worker hands over, half before the commit.
            hand_over_after: interval / 2,
            hand_over_rows: usize::try_from(rows_max).unwrap_or(usize::MAX),
            stop: AtomicBool::new(false),
            failure: Mutex::new(None),
        };
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let (sender, receiver) = bounded(QUEUE_DEPTH_PER_WORKER * workers);
        let committed = self.pool.in_place_scope(|scope| {
            // One worker to each thread, and bound to it: a plain job could be stolen by a thread that waits
            // inside a row for `rayon` work of the user's own, and that row would then wait for the whole run.
            let run = &run;
            scope.spawn_broadcast(move |_, _| run.work(&sender));
            commit_all(receiver, sink, progress, interval / 2, rows_max)
        });
        let rows_left = run.queue.rows_left();
        let failure = run.failure.into_inner().unwrap_or_else(PoisonError::into_inner);
        match (committed, failure) {
            (Err(source), _) => Err(Error::Sink(source)),
            (Ok(()), Some((row, Stop::Row(source)))) => Err(Error::Row { row, source }),
            (Ok(()), Some((row, Stop::Short(range)))) => Err(Error::Short { row, range }),
            (Ok(()), Some((_, Stop::Pack(range, source)))) => Err(Error::Pack { range, source }),
            (Ok(()), _) if rows_left > 0 => Err(Error::Cancelled { rows_left }),
            (Ok(()), _) => Ok(()),
        }
    }
}

/// The bounds of a group of rows that share a commit.
struct Group {
    interval: Duration,
    rows_max: u64,
}

impl Group {
    fn of(durability: Durability) -> Self {
        match durability {
            Durability::EveryRow => Self { interval: Duration::ZERO, rows_max: 1 },
            Durability::Group { interval, rows_max } => Self { interval, rows_max: rows_max.max(1) },
        }
    }
}

/// Finished rows on their way: how many input rows they stand for, and the batch.
type HandOver<B> = (u64, B);

/// Appends what the workers hand over and commits it in time, until all of them have ended. When
/// it ends with an error the receiver is dropped, at which the workers stop.
fn commit_all<S: Sink>(
    receiver: Receiver<HandOver<S::Batch>>,
    sink: &mut S,
    progress: &Progress,
    wait: Duration,
    rows_max: u64,
) -> Result<(), S::Error> {
    // Since when how many rows wait for a commit.
    let mut waiting: Option<(Instant, u64)> = None;
    loop {
        let first = match waiting {
            None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some((since, _)) => match since.checked_add(wait) {
                Some(deadline) => receiver.recv_deadline(deadline),
                None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
            },
        };
        if matches!(first, Err(RecvTimeoutError::Disconnected)) {
            return if waiting.is_some() { sink.commit() } else { Ok(()) };
        }
        // Whatever has come meanwhile goes along; the bound keeps a fast sender from delaying the commit.
        for (rows, batch) in
            first.into_iter().chain(receiver.try_iter().take(receiver.capacity().unwrap_or(0)))
        {
            let rows_out = sink.append(batch)?;
            progress.add_done(rows, rows_out);
            waiting.get_or_insert((Instant::now(), 0)).1 += rows;
        }
        if waiting.is_some_and(|(since, rows)| rows >= rows_max || since.elapsed() >= wait) {
            sink.commit()?;
            waiting = None;
        }
    }
}

/// What the workers of one run share.
struct Run<'run, T: Task> {
    task: &'run T,
    queue: Queue,
    progress: &'run Progress,
    cancel: &'run CancelToken,
    hand_over_after: Duration,
    hand_over_rows: usize,
    stop: AtomicBool,
    /// The first row that failed, in row order, and how.
    failure: Mutex<Option<(u64, Stop<T::Error>)>>,
}

/// Why a worker ends before its lease does.
enum Stop<E: StdError + 'static> {
    Row(Failure<E>),
    Short(Range<u64>),
    Pack(Range<u64>, Failure<E>),
    /// The committing thread is gone: its sink failed, and that is the run's error.
    SinkGone,
}

/// The rows of a lease that are finished and not handed over.
struct Finished<R> {
    start: u64,
    rows: Vec<R>,
}

impl<R> Finished<R> {
    fn next_row(&self) -> u64 {
        self.start + self.rows.len() as u64
    }

    fn take(&mut self) -> (Range<u64>, Vec<R>) {
        let range = self.start..self.next_row();
        self.start = range.end;
        (range, std::mem::take(&mut self.rows))
    }
}

impl<T: Task> Run<'_, T> {
    /// One worker: takes leases until there are none, or the run is to stop.
    fn work(&self, sender: &Sender<HandOver<T::Batch>>) {
        while !self.is_stopped() {
            let Some(lease) = self.queue.take() else { return };
            let mut finished = Finished { start: lease.start, rows: Vec::new() };
            let computed = caught(|| self.compute(&lease, &mut finished, sender))
                .unwrap_or_else(|panic| Err(Stop::Row(panic)));
            let row = finished.next_row();
            let handed_over = self.hand_over(&mut finished, sender);
            for stop in [computed, handed_over].into_iter().filter_map(Result::err) {
                self.fail(row, stop);
            }
            // After a failure is known: else another worker could take the row that failed and fail at it again.
            self.queue.give_back(row..lease.end);
        }
    }

    /// Computes the rows of a lease into `finished`, handing over in time; what remains in
    /// `finished` at the end is the caller's to hand over.
    fn compute(
        &self,
        lease: &Range<u64>,
        finished: &mut Finished<T::Row>,
        sender: &Sender<HandOver<T::Batch>>,
    ) -> Result<(), Stop<T::Error>> {
        let failed = |error| Stop::Row(Failure::Error(error));
        let begun = Instant::now();
        let mut handed_over = begun;
        let mut rows = self.task.open(lease.clone()).map_err(failed)?;
        for _ in lease.clone() {
            if self.is_stopped() {
                break;
            }
            let row = rows.next().ok_or_else(|| Stop::Short(lease.clone()))?;
            finished.rows.push(row.map_err(failed)?);
            let now = Instant::now();
            if now - handed_over >= self.hand_over_after || finished.rows.len() >= self.hand_over_rows {
                self.hand_over(finished, sender)?;
                handed_over = now;
            }
            if now - begun > OVERDUE {
                break;
            }
        }
        self.queue.measure(finished.next_row() - lease.start, begun.elapsed());
        Ok(())
    }

    fn hand_over(
        &self,
        finished: &mut Finished<T::Row>,
        sender: &Sender<HandOver<T::Batch>>,
    ) -> Result<(), Stop<T::Error>> {
        if finished.rows.is_empty() {
            return Ok(());
        }
        let (range, rows) = finished.take();
        let count = rows.len() as u64;
        let batch = caught(|| self.task.pack(range.clone(), rows).map_err(Failure::Error))
            .and_then(|packed| packed)
            .map_err(|failure| Stop::Pack(range, failure))?;
        sender.send((count, batch)).map_err(|_| Stop::SinkGone)
    }

    fn is_stopped(&self) -> bool {
        // Relaxed here and below: the flag orders nothing else; a worker that sees it a row late is as right.
        self.stop.load(Ordering::Relaxed) || self.cancel.is_cancelled()
    }

    /// Stops the run, and keeps the failure that is first in row order.
    fn fail(&self, row: u64, stop: Stop<T::Error>) {
        self.stop.store(true, Ordering::Relaxed);
        if matches!(stop, Stop::SinkGone) {
            return;
        }
        self.progress.add_failed();
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        if failure.as_ref().is_none_or(|(earlier, _)| row < *earlier) {
            *failure = Some((row, stop));
        }
    }
}

/// Calls the user's code; a panic in it becomes a failure with the panic's text.
///
/// Unwind safety: after a panic the task is not used for this lease again, and the rows finished
/// before it are whole, since a row is pushed only when it is done.
fn caught<O, E: StdError + 'static>(call: impl FnOnce() -> O) -> Result<O, Failure<E>> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| {
        let message = match payload.downcast::<String>() {
            Ok(text) => *text,
            Err(payload) => {
                payload.downcast_ref::<&str>().map_or("a value that is not text", |text| text).to_owned()
            }
        };
        Failure::Panic { message }
    })
}
