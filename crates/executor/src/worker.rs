//! A worker: takes leases, computes their rows, and hands over what is finished.

use std::time::Duration;

use crossbeam_channel::{Sender, TrySendError};
use rayon::Yield;

use crate::caught::caught;
use crate::lease::Lease;
use crate::posts::Post;
use crate::queue::{LEASE_TIME, Next};
use crate::run::{HandOver, Message, Run, Stop};
use crate::slot::Inlet;
use crate::{Computed, FailedRow, Failure, OnError, Task};

/// After so long a worker gives the rest of its lease back: the rows are slower than was measured.
const OVERDUE: Duration = LEASE_TIME.saturating_mul(4);

/// How long a worker without rows sleeps until it looks whether it can help with a row's own `rayon` work.
const IDLE: Duration = Duration::from_millis(1);

pub(crate) struct Worker<'run, T: Task> {
    run: &'run Run<'run, T>,
    inlet: Inlet<'run, T::Row>,
    post: &'run Post,
    sender: &'run Sender<Message<T>>,
}

/// How a lease goes on after a row failed.
#[derive(PartialEq, Eq)]
enum After {
    /// With the row behind it, if the iterator can.
    GoOn,
    /// With the range opened anew.
    Reopen,
}

impl<'run, T: Task> Worker<'run, T> {
    pub(crate) fn new(run: &'run Run<'run, T>, index: usize, sender: &'run Sender<Message<T>>) -> Self {
        Self { run, inlet: run.slots[index].inlet(run.bounds), post: &run.posts[index], sender }
    }

    /// Takes leases until there are none, or the run is to stop.
    pub(crate) fn work(mut self) {
        let mut state = None;
        while !self.run.is_stopped() {
            match self.run.queue.take() {
                Next::Lease(range) => self.lease(&mut state, Lease::new(range)),
                Next::Wait if rayon::yield_now() == Some(Yield::Executed) => {}
                Next::Wait => self.run.queue.wait(IDLE),
                Next::Done => break,
            }
        }
        discard::<T>(state);
    }

    fn lease(&mut self, state: &mut Option<T::Worker>, mut lease: Lease) {
        self.inlet.begin(lease.next);
        let computed = self.compute(state, &mut lease);
        self.post.rest();
        let handed_over = self.hand_over(&mut lease);
        if let Some(cost) = lease.cost() {
            self.run.queue.measure(cost);
        }
        for stop in [computed, handed_over].into_iter().filter_map(Result::err) {
            self.run.fail(lease.next, stop);
        }
        // After a failure is known: else another worker could take the row that failed and fail at it again.
        self.run.queue.give_back(lease.next..lease.end);
        self.run.queue.end();
    }

    /// Computes the rows of a lease, handing over in time; what remains in the slot at the end is the
    /// caller's to hand over.
    fn compute(&mut self, state: &mut Option<T::Worker>, lease: &mut Lease) -> Result<(), Stop<T::Error>> {
        while lease.next < lease.end && !self.run.is_stopped() {
            let worker = match state {
                Some(worker) => worker,
                None => state.insert(Failure::catch(|| self.run.task.setup()).map_err(Stop::Setup)?),
            };
            match caught(|| self.pass(worker, lease)) {
                Ok(passed) => passed?,
                Err(panic) => {
                    discard::<T>(state.take());
                    self.failed(lease, panic)?;
                }
            }
        }
        Ok(())
    }

    /// Opens the rest of a lease and goes through it, to its end or to where it is to be opened anew.
    fn pass(&mut self, worker: &mut T::Worker, lease: &mut Lease) -> Result<(), Stop<T::Error>> {
        let opened = lease.open();
        self.post.begin(opened.start);
        let mut rows = match self.run.task.open(worker, opened.clone()) {
            Ok(rows) => rows,
            Err(error) => return self.failed(lease, Failure::Error(error)).map(drop),
        };
        let mut may_end = false;
        while lease.next < opened.end && !self.run.is_stopped() {
            self.post.begin(lease.next);
            match rows.next() {
                Some(Ok(item)) => {
                    if item.rows == 0 || item.rows > opened.end - lease.next {
                        return Err(Stop::Misfit(item.rows, opened));
                    }
                    self.finished(lease, item)?;
                    if lease.next >= lease.end {
                        break; // the rest was given back
                    }
                }
                Some(Err(error)) => match self.failed(lease, Failure::Error(error))? {
                    After::GoOn => may_end = true,
                    After::Reopen => break,
                },
                None if may_end => break,
                None => return Err(Stop::Short(opened)),
            }
        }
        Ok(())
    }

    fn finished(&mut self, lease: &mut Lease, item: Computed<T::Row>) -> Result<(), Stop<T::Error>> {
        let bytes = lease.add(item.rows, || self.run.task.row_bytes(&item.row));
        if self.inlet.push(item, bytes) {
            self.hand_over(lease)?;
            if lease.elapsed() > OVERDUE {
                self.run.queue.give_back(lease.next..lease.end);
                lease.end = lease.next;
            }
        }
        Ok(())
    }

    /// Hands over what is finished before the row that failed, and decides what becomes of that row.
    fn failed(&mut self, lease: &mut Lease, failure: Failure<T::Error>) -> Result<After, Stop<T::Error>> {
        self.hand_over(lease)?;
        let (task, options, row) = (self.run.task, self.run.options, lease.next);
        let is_of_the_row = match &failure {
            Failure::Error(error) => caught::<_, T::Error>(|| task.is_of_the_row(error)).unwrap_or(false),
            Failure::Panic { .. } => true,
        };
        if is_of_the_row && lease.isolate(task.rows_at_once()) {
            return Ok(After::Reopen);
        }
        let failed = FailedRow { row, attempts: lease.attempt(), failure };
        if is_of_the_row && failed.attempts < options.retry.attempts {
            self.run.queue.give_back(row + 1..lease.end);
            lease.end = row + 1;
            self.post.rest();
            lease.pause(|| self.run.sleep(options.retry.delay_after(row, failed.attempts)));
            return Ok(After::Reopen);
        }
        if !is_of_the_row || options.on_error == OnError::Fail {
            return Err(Stop::Row(failed));
        }
        self.run.progress.add_failed();
        lease.next += 1;
        self.inlet.begin(lease.next);
        self.send(lease, HandOver::Failed(failed))?;
        Ok(After::GoOn)
    }

    fn hand_over(&mut self, lease: &mut Lease) -> Result<(), Stop<T::Error>> {
        match self.inlet.take() {
            Some(finished) => self.send(lease, self.run.pack(finished)?),
            None => Ok(()),
        }
    }

    /// Sends to the committing thread; the time that it waits for a slow sink is not the rows' cost.
    fn send(&mut self, lease: &mut Lease, message: Message<T>) -> Result<(), Stop<T::Error>> {
        match self.sender.try_send(message) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(message)) => {
                lease.pause(|| self.sender.send(message)).map_err(|_| Stop::SinkGone)
            }
            Err(TrySendError::Disconnected(_)) => Err(Stop::SinkGone),
        }
    }
}

/// Drops a worker's state. A panic there cannot harm the rows, which are handed over.
fn discard<T: Task>(state: Option<T::Worker>) {
    if let Err(panic) = caught::<_, T::Error>(|| drop(state)) {
        tracing::warn!("a worker's state could not be dropped: it {panic}");
    }
}
