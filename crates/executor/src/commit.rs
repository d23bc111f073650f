//! The committing thread: appends what the workers hand over, commits it in time, and watches the workers.

use std::iter::once;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use crate::run::{HandOver, Message, Run, Stop};
use crate::slot::LOOKS_MAX;
use crate::{Durability, OnError, Sink, Task};

/// The longest time between two looks at the workers.
const LOOK_EVERY_MAX: Duration = Duration::from_millis(25);

/// The shortest.
const LOOK_EVERY_MIN: Duration = Duration::from_micros(100);

pub(crate) struct Committer<'run, T: Task, S> {
    run: &'run Run<'run, T>,
    sink: &'run mut S,
    receiver: Receiver<Message<T>>,
    /// How long rows wait for a commit.
    wait: Duration,
    /// Since when how many rows wait for a commit to begin.
    waiting: Option<(Instant, u64)>,
    /// Whether there are rows of which no commit has answered.
    is_uncommitted: bool,
    /// Failures that are recorded, those before the run included.
    failures: u64,
}

impl<'run, T, S> Committer<'run, T, S>
where
    T: Task,
    S: Sink<Batch = T::Batch, Failure = T::Error>,
{
    pub(crate) fn new(run: &'run Run<'run, T>, sink: &'run mut S, receiver: Receiver<Message<T>>) -> Self {
        let wait = run.options.durability.interval() / 2;
        let failures = run.failures_before;
        Self { run, sink, receiver, wait, waiting: None, is_uncommitted: false, failures }
    }

    /// Goes on until all workers have ended. When it ends with an error or a panic, the workers stop.
    pub(crate) fn commit_all(mut self) -> Result<(), S::Error> {
        let look_every = self.look_every();
        let mut next_look = Instant::now() + look_every;
        loop {
            let deadline = match self.waiting.and_then(|(since, _)| since.checked_add(self.wait)) {
                Some(commit) => commit.min(next_look),
                None => next_look,
            };
            match self.receiver.recv_deadline(deadline) {
                Ok(message) => self.take(message)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.commit(),
            }
            let now = Instant::now();
            if now >= next_look {
                self.look(now)?;
                next_look = now + look_every;
            }
            let rows_max = self.run.options.durability.rows_max();
            if self.waiting.is_some_and(|(since, rows)| rows >= rows_max || since.elapsed() >= self.wait) {
                self.waiting = None;
                match self.run.options.durability {
                    Durability::EveryRow => self.commit()?,
                    Durability::Group { .. } => self.sink.begin_commit()?,
                }
            }
        }
    }

    /// Finished rows wait at most half of the interval for the looks, and half for the commit.
    fn look_every(&self) -> Duration {
        let interval = self.run.options.durability.interval();
        let for_rows = if interval.is_zero() { LOOK_EVERY_MAX } else { self.wait / (LOOKS_MAX + 1) };
        let for_timeout = self.run.options.row_timeout.map_or(LOOK_EVERY_MAX, |timeout| timeout / 2);
        for_rows.min(for_timeout).clamp(LOOK_EVERY_MIN, LOOK_EVERY_MAX)
    }

    /// Looks at what the workers are at, and takes the rows of those that are held up.
    fn look(&mut self, now: Instant) -> Result<(), S::Error> {
        self.run.progress.look(now, self.run.options.row_timeout);
        for slot in &self.run.slots {
            let Some(finished) = slot.look() else { continue };
            let row = finished.range.start;
            match self.run.pack(finished) {
                // What the worker handed over before came first: the channel was emptied since the first look.
                Ok(message) => self.keep(message)?,
                Err(stop) => self.run.fail(row, stop),
            }
        }
        Ok(())
    }

    /// Keeps a message and whatever else has come. A fast sender must not delay the commit for ever: no more
    /// is taken than the channel holds.
    fn take(&mut self, first: Message<T>) -> Result<(), S::Error> {
        let messages = self.receiver.clone();
        let more = messages.try_iter().take(messages.capacity().unwrap_or(0));
        once(first).chain(more).try_for_each(|message| self.keep(message))
    }

    fn keep(&mut self, message: Message<T>) -> Result<(), S::Error> {
        let rows = match message {
            HandOver::Batch(rows, batch) => {
                let rows_out = self.sink.append(batch)?;
                self.run.progress.add_done(rows, rows_out);
                rows
            }
            HandOver::Failed(failed) => {
                let failures_max = match self.run.options.on_error {
                    OnError::Record { failures_max } => failures_max,
                    OnError::Fail => 0,
                };
                if self.failures >= failures_max {
                    let failures = self.failures + 1;
                    self.run.fail(failed.row, Stop::TooManyFailures { failed, failures, failures_max });
                    return Ok(());
                }
                self.failures += 1;
                self.sink.record(failed)?;
                1
            }
        };
        self.waiting.get_or_insert((Instant::now(), 0)).1 += rows;
        self.is_uncommitted = true;
        Ok(())
    }

    fn commit(&mut self) -> Result<(), S::Error> {
        if std::mem::take(&mut self.is_uncommitted) { self.sink.commit() } else { Ok(()) }
    }
}

impl<T: Task, S> Drop for Committer<'_, T, S> {
    fn drop(&mut self) {
        // The workers have ended, or the sink failed or panicked and they are to.
        self.run.stop();
    }
}
