//! A segment's bytes on their way to the disk, while the next ones are made.
//!
//! Little is written at once, by whoever has it. From [`PIECE_BYTES`] on it goes to a thread of the segment's own, which
//! writes and syncs in the order in which it is told, so that encoding does not wait for the disk. What is on its way is
//! bounded: who is faster than the disk waits.
//!
//! Invariants: a commit has been answered only when everything before it is durable; after the first error nothing more
//! is written, and the error is told to the next who asks for anything.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use super::disk::AppendFile;
use crate::{Error, TableName};

/// What is written at a time.
pub(super) const PIECE_BYTES: usize = 1 << 20;

/// Pieces, and syncs, that may be on their way.
const ON_THE_WAY_MAX: usize = 8;

/// The file that a writer appends to.
#[derive(Debug)]
pub(super) struct Appender {
    table: TableName,
    place: Place,
    /// How much of the file is written, or on its way.
    bytes: u64,
    /// How much of it has been synced.
    durable_bytes: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Place {
    Here(AppendFile),
    Away(Background),
    /// An earlier error was told.
    Failed,
}

/// The thread that has the file.
#[derive(Debug)]
struct Background {
    requests: Option<SyncSender<Request>>,
    /// Buffers that were written.
    spent: Receiver<Vec<u8>>,
    error: Arc<Mutex<Option<Error>>>,
    thread: Option<JoinHandle<()>>,
}

enum Request {
    Append(Vec<u8>),
    /// Sync, and say so to whoever waits for it.
    Sync(Option<SyncSender<()>>),
}

impl Appender {
    /// Goes on behind the bytes of a file that are there and durable.
    pub(super) fn new(table: TableName, file: AppendFile, bytes: u64) -> Self {
        Self { table, place: Place::Here(file), bytes, durable_bytes: Arc::new(AtomicU64::new(bytes)) }
    }

    /// The file, as long as nothing was written to it.
    pub(super) fn file(&mut self) -> Option<&mut AppendFile> {
        match &mut self.place {
            Place::Here(file) => Some(file),
            _ => None,
        }
    }

    /// How much of the file is written, or on its way.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How much of it has been synced: never more than an `fdatasync` has answered for.
    pub(super) fn durable_bytes(&self) -> u64 {
        // Acquire, with the thread's release: what is told as durable was synced before.
        self.durable_bytes.load(Ordering::Acquire)
    }

    /// Writes what is in a buffer, or sends it on its way; the buffer is empty then.
    pub(super) fn append(&mut self, buffer: &mut Vec<u8>) -> Result<(), Error> {
        let bytes = buffer.len();
        if let Place::Here(_) = self.place
            && bytes >= PIECE_BYTES
        {
            self.go_away()?;
        }
        match &mut self.place {
            Place::Here(file) => {
                let appended = file.append(buffer);
                buffer.clear();
                self.fail_if(appended)?;
            }
            Place::Away(background) => {
                let next = background.spent.try_recv().unwrap_or_default();
                let piece = std::mem::replace(buffer, next);
                self.request(Request::Append(piece))?;
            }
            Place::Failed => return Err(Error::WriterFailed { table: self.table.clone() }),
        }
        self.bytes += bytes as u64;
        Ok(())
    }

    /// Sees to it that what was appended becomes durable, and does not wait for it where that takes long.
    pub(super) fn begin_sync(&mut self) -> Result<(), Error> {
        match &self.place {
            Place::Away(_) => self.request(Request::Sync(None)),
            _ => self.sync(),
        }
    }

    /// Makes what was appended durable.
    pub(super) fn sync(&mut self) -> Result<(), Error> {
        match &mut self.place {
            Place::Here(file) => {
                let synced = file.sync();
                self.fail_if(synced)?;
                self.durable_bytes.store(self.bytes, Ordering::Release);
                Ok(())
            }
            Place::Away(_) => {
                let (done, synced) = sync_channel(1);
                self.request(Request::Sync(Some(done)))?;
                match synced.recv() {
                    Ok(()) => Ok(()),
                    Err(_) => Err(self.fail()),
                }
            }
            Place::Failed => Err(Error::WriterFailed { table: self.table.clone() }),
        }
    }

    /// Gives the file to a thread of its own.
    fn go_away(&mut self) -> Result<(), Error> {
        let Place::Here(mut file) = std::mem::replace(&mut self.place, Place::Failed) else { return Ok(()) };
        let (requests, received) = sync_channel(ON_THE_WAY_MAX);
        let (spent, recycled) = channel();
        let error: Arc<Mutex<Option<Error>>> = Arc::default();
        let (durable_bytes, told, bytes) = (Arc::clone(&self.durable_bytes), Arc::clone(&error), self.bytes);
        let not_started = file.error("start a thread that writes to");
        let run = move || {
            if let Err(error) = serve(&mut file, bytes, &received, &spent, &durable_bytes) {
                *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            }
        };
        let thread = Builder::new().name("rowmark-append".to_owned()).spawn(run).map_err(not_started)?;
        let (requests, thread) = (Some(requests), Some(thread));
        self.place = Place::Away(Background { requests, spent: recycled, error, thread });
        Ok(())
    }

    fn request(&mut self, request: Request) -> Result<(), Error> {
        let Place::Away(Background { requests: Some(requests), .. }) = &self.place else {
            return Err(Error::WriterFailed { table: self.table.clone() });
        };
        requests.send(request).map_err(|_| self.fail())
    }

    fn fail_if(&mut self, outcome: Result<(), Error>) -> Result<(), Error> {
        if outcome.is_err() {
            self.place = Place::Failed;
        }
        outcome
    }

    /// Ends with the error that the thread has ended with.
    fn fail(&mut self) -> Error {
        let failed = std::mem::replace(&mut self.place, Place::Failed);
        let error = match failed {
            Place::Away(mut background) => background.end(),
            _ => None,
        };
        error.unwrap_or_else(|| Error::WriterFailed { table: self.table.clone() })
    }
}

impl Background {
    /// Waits until what is on its way is written; answers what went wrong.
    fn end(&mut self) -> Option<Error> {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            // A panic there is told as a writer that failed.
            let _ = thread.join();
        }
        self.error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Background {
    /// The file is closed, and free for others, before its writer is gone.
    fn drop(&mut self) {
        if let Some(error) = self.end() {
            tracing::warn!("rows that were not committed could not be written: {error}");
        }
    }
}

/// What the thread does.
fn serve(
    file: &mut AppendFile,
    mut bytes: u64,
    requests: &Receiver<Request>,
    spent: &Sender<Vec<u8>>,
    durable_bytes: &AtomicU64,
) -> Result<(), Error> {
    for request in requests {
        match request {
            Request::Append(mut piece) => {
                file.append(&piece)?;
                bytes += piece.len() as u64;
                piece.clear();
                piece.shrink_to(2 * PIECE_BYTES);
                // A writer that is gone needs no buffers.
                let _ = spent.send(piece);
            }
            Request::Sync(done) => {
                file.sync()?;
                durable_bytes.store(bytes, Ordering::Release);
                if let Some(done) = done {
                    let _ = done.send(());
                }
            }
        }
    }
    Ok(())
}
