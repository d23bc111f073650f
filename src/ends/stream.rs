//! Rows one after the other, read ahead by a thread of their own.

use std::cell::Cell;
use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use rowmark_executor::CancelToken;
use rowmark_rows::{RowRange, RowType};

use crate::error::RowError;
use crate::input::Input;
use crate::{Error, Result};

/// Rows that are read, and checked, together: the first is on its way at once, then they double up to this.
const WINDOW_ROWS_MAX: u64 = 1024;

/// Windows that wait to be taken.
const WINDOWS_AHEAD: usize = 2;

/// The rows of a chain, in their order; made by [`Chain::iter`](crate::Chain::iter).
///
/// It ends after the first error. Dropping it waits for the row that is being read ahead, if there is one.
pub struct ChainRows<T> {
    window: std::vec::IntoIter<T>,
    /// None when the rows have ended.
    windows: Option<Receiver<Result<Vec<T>>>>,
    is_dropped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl<T: RowType> ChainRows<T> {
    pub(super) fn begin(input: Arc<dyn Input<T>>, cancel: CancelToken) -> Result<Self> {
        let rows = input.rows()?;
        let (sender, windows) = sync_channel(WINDOWS_AHEAD);
        let is_dropped = Arc::new(AtomicBool::new(false));
        let reading = Reading { input, rows, sender, is_dropped: Arc::clone(&is_dropped), cancel };
        let thread = thread::Builder::new().name("rowmark-reader".to_owned()).spawn(move || reading.run());
        let thread = thread.map_err(|source| Error::Threads { threads: 1, source: Box::new(source) })?;
        Ok(Self { window: Vec::new().into_iter(), windows: Some(windows), is_dropped, thread: Some(thread) })
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

impl<T> Reading<T> {
    fn run(self) {
        let row = Cell::new(0);
        // Nothing of what a panic left behind is used again. The rows must not end as if there were no more.
        let read = catch_unwind(AssertUnwindSafe(|| self.read(&row))).unwrap_or_else(|panic| {
            Err(Error::Row { row: row.get(), source: Box::new(RowError::of_panic(&*panic)) })
        });
        if let Err(error) = read {
            // Nobody waits for it if nobody is there.
            let _ = self.sender.send(Err(error));
        }
    }

    /// Sends the rows, until all are sent or nobody takes them any more; `row` is the one it is at.
    fn read(&self, row: &Cell<u64>) -> Result<()> {
        let failed = |source| Error::Row { row: row.get(), source: Box::new(source) };
        let mut reader = self.input.reader().map_err(failed)?;
        let mut window_rows = 1;
        while row.get() < self.rows {
            let range = RowRange::new(row.get(), self.rows.min(row.get() + window_rows));
            let mut window = Vec::new();
            let mut rows = reader.read(range).map_err(failed)?;
            while row.get() < range.end() {
                if self.is_dropped.load(Ordering::Relaxed) {
                    return Ok(());
                }
                if self.cancel.is_cancelled() {
                    let cancelled = rowmark_executor::Error::Cancelled { rows_left: self.rows - row.get() };
                    return Err(Error::Step { step: "iter".to_owned(), source: Box::new(cancelled) });
                }
                let Some(read) = rows.next() else {
                    let short = rowmark_executor::Error::Short { row: row.get(), range: Range::from(range) };
                    return Err(Error::Step { step: "iter".to_owned(), source: Box::new(short) });
                };
                window.extend(read.map_err(failed)?);
                row.set(row.get() + 1);
            }
            drop(rows);
            self.input.verify()?;
            if self.sender.send(Ok(window)).is_err() {
                break;
            }
            window_rows = WINDOW_ROWS_MAX.min(2 * window_rows);
        }
        Ok(())
    }
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
        self.is_dropped.store(true, Ordering::Relaxed);
        self.windows = None;
        if let Some(thread) = self.thread.take() {
            // The thread has the session open. Its panics were told as rows.
            let _ = thread.join();
        }
    }
}

impl<T> fmt::Debug for ChainRows<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChainRows").finish_non_exhaustive()
    }
}
