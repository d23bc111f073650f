//! The hash of raw bytes: files, bodies, anything that is not rows.
//!
//! Bytes are cut into blocks of [`BLOCK_BYTES`], each with a digest of its own, as rows are cut into chunks and for
//! the same reason: many cores can hash one file.

use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256};

use crate::ContentHash;
use crate::digest::{Kind, finish};

/// How many bytes make a block; the last may have fewer.
pub const BLOCK_BYTES: usize = 1024 * 1024;

const READ_BYTES: usize = 64 * 1024;

/// Hashes bytes as they come, in constant memory; what is written to it is hashed.
///
/// ```
/// use std::io::Write;
/// use rowmark_hashing::{BytesHasher, hash_reader};
///
/// let mut hasher = BytesHasher::new();
/// hasher.update(b"hello, ");
/// hasher.write_all(b"world")?;
/// assert_eq!(hasher.bytes(), 12);
/// assert_eq!(hasher.finish(), hash_reader(&b"hello, world"[..])?);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct BytesHasher {
    block: Sha256,
    block_bytes: usize,
    sha: Sha256,
    bytes: u64,
}

impl BytesHasher {
    /// Begins a content without bytes.
    #[must_use]
    pub fn new() -> Self {
        Self { block: Kind::Block.hasher(), block_bytes: 0, sha: Kind::Bytes.hasher(), bytes: 0 }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK_BYTES - self.block_bytes));
            self.block.update(now);
            self.block_bytes += now.len();
            self.bytes += now.len() as u64;
            if self.block_bytes == BLOCK_BYTES {
                self.close_block();
            }
            bytes = later;
        }
    }

    /// Gives the number of bytes so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Ends the content.
    #[must_use]
    pub fn finish(mut self) -> ContentHash {
        if self.block_bytes > 0 {
            self.close_block();
        }
        self.sha.update(self.bytes.to_le_bytes());
        finish(self.sha)
    }

    fn close_block(&mut self) {
        self.block_bytes = 0;
        self.sha.update(std::mem::replace(&mut self.block, Kind::Block.hasher()).finalize());
    }
}

impl Default for BytesHasher {
    fn default() -> Self {
        Self::new()
    }
}

impl Write for BytesHasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Hashes what a reader gives until its end.
///
/// ```
/// let hash = rowmark_hashing::hash_reader(&b"id,text\n1,good\n"[..])?;
/// assert_ne!(hash, rowmark_hashing::hash_reader(&b"id,text\n1,bad\n"[..])?);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// What the reader answers, except that an interrupted read is tried again.
pub fn hash_reader(mut reader: impl Read) -> io::Result<ContentHash> {
    let mut hasher = BytesHasher::new();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
