//! Rows one after the other, read ahead by a thread of their own.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use rowmark_executor::Failure;
use rowmark_rows::{RowRange, RowSchema, RowType};

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
    pub(super) fn begin(input: Arc<dyn Input<T>>) -> Result<Self> {
        let (rows, schema) = (input.rows()?, input.schema().clone());
        let (sender, windows) = sync_channel(WINDOWS_AHEAD);
        let is_dropped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&is_dropped);
        let reading = move || {
            if let Err(error) = read(&*input, rows, &sender, &stop) {
                // Nobody waits for it if nobody is there.
                let _ = sender.send(Err(error));
            }
        };
        let spawned = thread::Builder::new().name("rowmark-reader".to_owned()).spawn(reading);
        let thread = spawned.map_err(|source| Error::Threads { threads: 1, source: Box::new(source) })?;
        let (windows, window) = (Some(windows), Vec::new().into_iter());
        Ok(Self { schema, windows, window, is_dropped, thread: Some(thread) })
    }
}

/// Sends the rows of an input, until all are sent or nobody takes them any more.
fn read<T>(
    input: &dyn Input<T>,
    rows: u64,
    sender: &SyncSender<Result<Vec<T>>>,
    stop: &AtomicBool,
) -> Result<()> {
    let mut row = 0;
    let ended = Failure::catch(|| {
        let mut reader = input.reader()?;
        let mut window_rows = 1;
        while row < rows {
            let range = RowRange::new(row, rows.min(row + window_rows));
            let mut window = Vec::new();
            for read in reader.read(range)? {
                window.extend(read?);
                row += 1;
                // Relaxed: seen a row late it is as right.
                if stop.load(Ordering::Relaxed) {
                    return Ok(Ok(()));
                }
            }
            let verified = input.verify();
            if verified.is_err() || sender.send(Ok(window)).is_err() {
                return Ok(verified.map_err(Error::from));
            }
            row = range.end();
            window_rows = WINDOW_ROWS_MAX.min(2 * window_rows);
        }
        Ok(Ok(()))
    });
    ended.unwrap_or_else(|failure| Err(Error::Row { row, source: Box::new(failure) }))
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
                Ok(Err(error)) => return Some(Err(error)),
                Err(_) => return None,
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
