//! Rows one after the other, read ahead by a thread of their own.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use rowmark_rows::{RowRange, RowSchema, RowType};

use crate::input::Input;
use crate::{Error, Result};

/// Rows that are read, and checked, together.
const WINDOW_ROWS: u64 = 1024;

/// Windows that wait to be taken.
const WINDOWS_AHEAD: usize = 2;

/// The rows of a chain, in their order; made by [`Chain::iter`](crate::Chain::iter).
///
/// It ends after the first error.
pub struct ChainRows<T> {
    /// The columns of the rows.
    pub(super) schema: RowSchema,
    windows: Receiver<Result<Vec<T>>>,
    window: std::vec::IntoIter<T>,
}

impl<T: RowType> ChainRows<T> {
    pub(super) fn begin(input: Arc<dyn Input<T>>) -> Result<Self> {
        let (rows, schema) = (input.rows()?, input.schema().clone());
        let (sender, windows) = sync_channel(WINDOWS_AHEAD);
        let reading = move || {
            if let Err(error) = read(&*input, rows, &sender) {
                // Nobody waits for it if nobody is there.
                let _ = sender.send(Err(error));
            }
        };
        let spawned = thread::Builder::new().name("rowmark-reader".to_owned()).spawn(reading);
        spawned.map_err(|source| Error::Threads { threads: 1, source: Box::new(source) })?;
        Ok(Self { schema, windows, window: Vec::new().into_iter() })
    }
}

/// Sends the rows of an input, until all are sent or nobody takes them any more.
fn read<T>(input: &dyn Input<T>, rows: u64, sender: &SyncSender<Result<Vec<T>>>) -> Result<()> {
    let failed = |row| move |source| Error::Row { row, source: Box::new(source) };
    let mut reader = input.reader().map_err(failed(0))?;
    let mut start = 0;
    while start < rows {
        let range = RowRange::new(start, rows.min(start + WINDOW_ROWS));
        let mut window = Vec::new();
        for (row, read) in (start..).zip(reader.read(range).map_err(failed(start))?) {
            window.extend(read.map_err(failed(row))?);
        }
        input.verify()?;
        if sender.send(Ok(window)).is_err() {
            break;
        }
        start = range.end();
    }
    Ok(())
}

impl<T> Iterator for ChainRows<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        loop {
            if let Some(row) = self.window.next() {
                return Some(Ok(row));
            }
            match self.windows.recv() {
                Ok(Ok(window)) => self.window = window.into_iter(),
                Ok(Err(error)) => return Some(Err(error)),
                Err(_) => return None,
            }
        }
    }
}

impl<T> fmt::Debug for ChainRows<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChainRows").finish_non_exhaustive()
    }
}
