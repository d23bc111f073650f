//! [`Body`]: the bytes of a file as they come over the network, a bounded number of blocks ahead.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::Semaphore;

use super::Remote;
use super::told::is_changed;
use crate::Error;
use crate::storage::File;

/// Blocks that may wait to be read. A block is what the connection gave at once, which `hyper` bounds by 408 KiB.
const BLOCKS_AHEAD: usize = 8;

/// Bytes of a file, which a task fetches.
pub(in crate::storage) struct Body {
    blocks: Receiver<Result<Vec<u8>, Error>>,
    /// How many more blocks may be fetched. Closed when nobody reads any more.
    credit: Arc<Semaphore>,
    block: io::Cursor<Vec<u8>>,
}

impl Body {
    /// Begins to fetch what is left of an answer, on the runtime that it is called on.
    pub(super) fn new<B>(
        remote: Arc<Remote>,
        file: File,
        mut stream: BoxStream<'static, Result<B, object_store::Error>>,
    ) -> Self
    where
        B: Into<Vec<u8>> + Send + 'static,
    {
        // The channel itself has no bound, since a task must not wait in it; the credit is its bound.
        let (sender, blocks) = channel();
        let credit = Arc::new(Semaphore::new(BLOCKS_AHEAD));
        let allowed = Arc::clone(&credit);
        tokio::spawn(async move {
            while let Some(block) = stream.next().await {
                let Ok(permit) = allowed.acquire().await else { return };
                permit.forget();
                let block = match block {
                    Ok(block) => Ok(block.into()),
                    Err(error) if is_changed(&error) => Err(Error::changed(file.uri())),
                    Err(error) => Err(remote.error("read", &file.path, &error)),
                };
                if sender.send(block).is_err() {
                    return;
                }
            }
        });
        Self { blocks, credit, block: io::Cursor::default() }
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let len = self.block.read(buffer)?;
            if len > 0 {
                return Ok(len);
            }
            // Without a task that sends there is no more; whether that was all is for the reader of the file.
            let Ok(block) = self.blocks.recv() else { return Ok(0) };
            self.credit.add_permits(1);
            self.block = io::Cursor::new(block.map_err(io::Error::other)?);
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.credit.close();
    }
}
