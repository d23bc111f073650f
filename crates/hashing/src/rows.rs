//! The hash of a stream of rows.
//!
//! A stream is cut into chunks of [`CHUNK_ROWS`] rows. Each chunk has a digest of its own, and the stream's is over
//! these and the number of rows. So it does not depend on how the rows arrive, chunks can be hashed on any
//! number of threads, and what is kept in memory is one buffer and the state of two digests.
//!
//! Invariant: a row that fails leaves the hasher as it was before.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::digest::{Kind, finish};
use crate::encoder::Encoder;
use crate::error::Failure;
use crate::serializer::At;
use crate::{ContentHash, Error};

/// How many rows make a chunk; the last may have fewer.
pub const CHUNK_ROWS: usize = 1024;

/// When this much is encoded it goes to the digest: little, so that reading rows and digesting them take turns often
/// and memory is not idle meanwhile.
const FLUSH_BYTES: usize = 1024;

const SHA_BLOCK_BYTES: usize = 64;

/// A buffer that one large row has made larger than this is given back.
pub(crate) const BUFFER_KEPT_BYTES_MAX: usize = 1024 * 1024;

/// Hashes a stream of rows as they come, in constant memory.
///
/// The order of the rows counts; how they are divided into calls does not. For a hash in which the order does
/// not count there is [`UnorderedHasher`](crate::UnorderedHasher).
///
/// ```
/// use rowmark_hashing::{ContentHasher, hash_rows};
///
/// let mut hasher = ContentHasher::new();
/// hasher.update(&("Ada", 1815))?;
/// hasher.update(&("Grace", 1906))?;
/// assert_eq!(hasher.rows(), 2);
/// assert_eq!(hasher.finish(), hash_rows([("Ada", 1815), ("Grace", 1906)])?);
/// # Ok::<(), rowmark_hashing::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ContentHasher {
    pub(crate) chunk: ChunkHasher,
    pub(crate) sha: Sha256,
    pub(crate) chunks: u64,
}

impl ContentHasher {
    /// Begins a stream without rows.
    #[must_use]
    pub fn new() -> Self {
        Self { chunk: ChunkHasher::new(), sha: Kind::Rows.hasher(), chunks: 0 }
    }

    /// Takes the next row.
    ///
    /// # Errors
    ///
    /// When the row [cannot be hashed](Error); the path in the error begins with `rows[n]`, counted from 0. The row
    /// is then not part of the stream, and the next one may be given.
    #[inline]
    pub fn update<T: Serialize + ?Sized>(&mut self, row: &T) -> Result<(), Error> {
        self.update_with(|encoder, position| row.serialize(At { encoder, position }))
    }

    #[inline]
    pub(crate) fn update_with(
        &mut self,
        encode: impl FnOnce(&mut Encoder, usize) -> Result<usize, Failure>,
    ) -> Result<(), Error> {
        match self.chunk.update(encode) {
            Ok(()) => {
                self.close_full_chunk();
                Ok(())
            }
            Err(failure) => Err(failure.in_index(self.rows() as usize).rooted("rows")),
        }
    }

    /// Gives the number of rows so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.chunks * CHUNK_ROWS as u64 + self.chunk.rows as u64
    }

    /// Ends the stream.
    #[must_use]
    pub fn finish(mut self) -> ContentHash {
        let rows = self.rows();
        if self.chunk.rows > 0 {
            self.sha.update(self.chunk.finish());
        }
        self.sha.update(rows.to_le_bytes());
        finish(self.sha)
    }

    #[inline]
    fn close_full_chunk(&mut self) {
        if self.chunk.rows == CHUNK_ROWS {
            let digest = self.chunk.finish();
            self.push_digest(digest);
        }
    }

    /// Takes a chunk by its digest.
    pub(crate) fn push_digest(&mut self, digest: [u8; 32]) {
        self.sha.update(digest);
        self.chunks += 1;
    }
}

impl Default for ContentHasher {
    fn default() -> Self {
        Self::new()
    }
}

/// The digest of one chunk; after [`finish`](Self::finish) it begins the next.
#[derive(Clone, Debug)]
pub(crate) struct ChunkHasher {
    encoder: Encoder,
    /// How much of the encoder's buffer is not in the digest yet.
    buffered: usize,
    sha: Sha256,
    pub(crate) rows: usize,
}

impl ChunkHasher {
    pub(crate) fn new() -> Self {
        let mut hasher = Self { encoder: Encoder::default(), buffered: 0, sha: Sha256::new(), rows: 0 };
        hasher.begin();
        hasher
    }

    /// Takes the row that `encode` writes from a position on, whole or not at all.
    #[inline]
    pub(crate) fn update(
        &mut self,
        encode: impl FnOnce(&mut Encoder, usize) -> Result<usize, Failure>,
    ) -> Result<(), Failure> {
        let shapes = self.encoder.shapes.mark();
        match encode(&mut self.encoder, self.buffered) {
            Ok(end) => self.buffered = end,
            Err(failure) => {
                self.encoder.abandon(shapes);
                return Err(failure);
            }
        }
        self.rows += 1;
        if self.buffered >= FLUSH_BYTES {
            self.flush();
        }
        Ok(())
    }

    fn begin(&mut self) {
        self.buffered = self.encoder.buffer.put_slice(0, &Kind::Chunk.head());
        self.rows = 0;
    }

    /// Gives whole blocks to the digest, which takes them as they are, and keeps the rest.
    fn flush(&mut self) {
        let rest = self.encoder.buffer.slice(0, self.buffered).len() % SHA_BLOCK_BYTES;
        let whole = self.buffered - rest;
        self.sha.update(self.encoder.buffer.slice(0, whole));
        self.buffered = self.encoder.buffer.keep(whole, self.buffered, BUFFER_KEPT_BYTES_MAX);
    }

    pub(crate) fn finish(&mut self) -> [u8; 32] {
        self.sha.update(self.encoder.buffer.slice(0, self.buffered));
        self.encoder.buffer.keep(self.buffered, self.buffered, BUFFER_KEPT_BYTES_MAX);
        self.encoder.shapes.begin_chunk();
        self.begin();
        std::mem::replace(&mut self.sha, Sha256::new()).finalize().into()
    }
}

/// Hashes rows, by value or by reference, in the order in which they come.
///
/// ```
/// let rows = vec![("Ada", 1815), ("Grace", 1906)];
/// let hash = rowmark_hashing::hash_rows(&rows)?;
/// assert_eq!(hash, rowmark_hashing::hash_rows(rows.iter().cloned())?);
/// assert_ne!(hash, rowmark_hashing::hash_rows(rows.iter().rev())?);
/// # Ok::<(), rowmark_hashing::Error>(())
/// ```
///
/// # Errors
///
/// When a row [cannot be hashed](Error), with a path such as `rows[17].meta.tags`.
pub fn hash_rows<T: Serialize>(rows: impl IntoIterator<Item = T>) -> Result<ContentHash, Error> {
    let mut hasher = ContentHasher::new();
    rows.into_iter().try_for_each(|row| hasher.update(&row))?;
    Ok(hasher.finish())
}
