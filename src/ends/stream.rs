//! Rows one after the other, read ahead by a thread of their own.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use rowmark_executor::{CancelToken, Failure};
use rowmark_rows::{RowRange, RowSchema, RowType};

use crate::error::{CommitError, RowError};
use crate::input::Input;
use crate::{Error, Result};

/// Rows that are read, and checked, together; it begins with one and doubles, so that the first come at once.
const WINDOW_ROWS_MAX: u64 = 1024;

/// Windows that wait to be taken.
const WINDOWS_AHEAD: usize = 2;

/// The rows of a chain, in their order; made by [`Chain::iter`](crate::Chain::iter).
///
/// It ends after the first error. Dropping it ends the reading, and waits for the row that is being read.
pub struct ChainRows<T> {
    /// The columns of the rows.
    pub(super) schema: RowSchema,
    /// None when it is dropped.
    windows: Option<Receiver<Result<Vec<T>>>>,
    window: std::vec::IntoIter<T>,
    is_dropped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl<T: RowType> ChainRows<T> {
    pub(super) fn begin(input: Arc<dyn Input<T>>, cancel: CancelToken) -> Result<Self> {
        let (rows, schema) = (input.rows()?, input.schema().clone());
        let (sender, windows) = sync_channel(WINDOWS_AHEAD);
        let is_dropped = Arc::new(AtomicBool::new(false));
        let reading = Reading { input, rows, sender, is_dropped: Arc::clone(&is_dropped), cancel };
        let spawned = thread::Builder::new().name("rowmark-reader".to_owned()).spawn(move || reading.run());
        let thread = spawned.map_err(|source| Error::Threads { threads: 1, source: Box::new(source) })?;
        let (windows, window) = (Some(windows), Vec::new().into_iter());
        Ok(Self { schema, windows, window, is_dropped, thread: Some(thread) })
    }
}

/// What the thread does.
struct Reading<T> {
    input: Arc<dyn Input<T>>,
    rows: u64,
    sender: SyncSender<Result<Vec<T>>>,
    /// Relaxed: it orders nothing, and seen a row late it does no harm.
    is_dropped: Arc<AtomicBool>,
    cancel: CancelToken,
}

/// Why it ends before the last row.
enum Stop {
    /// Nobody takes the rows any more.
    Unwanted,
    Error(Error),
}

impl<T> Reading<T> {
    fn run(self) {
        let mut row = 0;
        // A panic of the user's code is a failure of the row that it was at: the rows must not just end there.
        let ended = Failure::catch(|| self.read(&mut row));
        let ended =
            ended.unwrap_or_else(|failure| Err(Stop::Error(Error::Row { row, source: Box::new(failure) })));
        if let Err(Stop::Error(error)) = ended {
            // Nobody waits for it if nobody is there.
            let _ = self.sender.send(Err(error));
        }
    }

    /// Sends the rows; `row` is the one it is at.
    fn read(&self, row: &mut u64) -> Result<Result<(), Stop>, RowError> {
        let mut reader = self.input.reader()?;
        let mut window_rows = 1;
        while *row < self.rows {
            let range = RowRange::new(*row, self.rows.min(*row + window_rows));
            let mut window = Vec::new();
            let mut rows = reader.read(range)?;
            while *row < range.end() {
                if let Err(stop) = self.go_on(*row) {
                    return Ok(Err(stop));
                }
                let Some(read) = rows.next() else {
                    return Ok(Err(stopped(rowmark_executor::Error::Short {
                        row: *row,
                        range: range.into(),
                    })));
                };
                window.extend(read?);
                *row += 1;
            }
            drop(rows);
            if let Err(error) = self.input.verify() {
                return Ok(Err(Stop::Error(error.into())));
            }
            if self.sender.send(Ok(window)).is_err() {
                return Ok(Err(Stop::Unwanted));
            }
            window_rows = WINDOW_ROWS_MAX.min(2 * window_rows);
        }
        Ok(Ok(()))
    }

    /// Whether the next row is to be read.
    fn go_on(&self, row: u64) -> Result<(), Stop> {
        if self.is_dropped.load(Ordering::Relaxed) {
            return Err(Stop::Unwanted);
        }
        if self.cancel.is_cancelled() {
            return Err(stopped(rowmark_executor::Error::Cancelled { rows_left: self.rows - row }));
        }
        Ok(())
    }
}

/// An error of the whole reading.
fn stopped(source: rowmark_executor::Error<RowError, CommitError>) -> Stop {
    Stop::Error(Error::Step { step: "iter".to_owned(), source: Box::new(source) })
}

impl<T> Iterator for ChainRows<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        loop {
            if let Some(row) = self.window.next() {
                return Some(Ok(row));
            }
            match self.windows.as_ref()?.recv() {
                Ok(Ok(window)) => self.window = window.into_iter(),
                Ok(Err(error)) => {
                    self.windows = None;
                    return Some(Err(error));
                }
                Err(_) => self.windows = None,
            }
        }
    }
}

impl<T> Drop for ChainRows<T> {
    fn drop(&mut self) {
        // The thread has the session, and so the state folder, which is free when this is gone.
        self.is_dropped.store(true, Ordering::Relaxed);
        self.windows = None;
        if let Some(thread) = self.thread.take() {
            // Panics of the user's code were caught and told.
            let _ = thread.join();
        }
    }
}

impl<T> fmt::Debug for ChainRows<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChainRows").finish_non_exhaustive()
    }
}
