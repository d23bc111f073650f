//! [`ChunkDigest`]: a chunk of a stream that is hashed apart from the others.

use serde::Serialize;

use crate::Error;
use crate::rows::{CHUNK_ROWS, ChunkHasher, ContentHasher};
use crate::serializer::At;

/// The digest of one whole chunk of a stream: of [`CHUNK_ROWS`] rows, the first of which has a number that is a multiple
/// of that.
///
/// Chunks of a stream can be hashed where and when their rows are at hand, and the stream from their digests.
///
/// ```
/// use rowmark_hashing::{CHUNK_ROWS, ChunkDigest, ContentHasher, hash_rows};
///
/// let rows: Vec<u64> = (0..2_500).collect();
/// let (second, first) = (ChunkDigest::of(&rows[1024..2048])?, ChunkDigest::of(&rows[..CHUNK_ROWS])?);
/// let mut hasher = ContentHasher::new();
/// hasher.update_chunk(first);
/// hasher.update_chunk(second);
/// rows[2048..].iter().try_for_each(|row| hasher.update(row))?;
/// assert_eq!(hasher.finish(), hash_rows(&rows)?);
/// # Ok::<(), rowmark_hashing::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkDigest([u8; 32]);

impl ChunkDigest {
    /// Hashes the rows of one chunk.
    ///
    /// # Errors
    ///
    /// When a row [cannot be hashed](Error); the path in the error begins with `rows[n]`, counted from the chunk's first.
    ///
    /// # Panics
    ///
    /// When there are not [`CHUNK_ROWS`] rows.
    pub fn of<T: Serialize>(rows: impl IntoIterator<Item = T>) -> Result<Self, Error> {
        let mut hasher = ChunkHasher::new();
        for (index, row) in rows.into_iter().enumerate() {
            let taken = hasher.update(|encoder, position| row.serialize(At { encoder, position }));
            taken.map_err(|failure| failure.in_index(index).rooted("rows"))?;
        }
        assert_eq!(hasher.rows, CHUNK_ROWS, "a chunk has so many rows");
        Ok(Self(hasher.finish()))
    }

    /// Wraps 32 bytes that are known to be such a digest.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Gives the 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl ContentHasher {
    /// Takes the next [`CHUNK_ROWS`] rows, which have this digest; the same as [`update`](Self::update) for each.
    ///
    /// # Panics
    ///
    /// When the number of rows so far is no multiple of [`CHUNK_ROWS`].
    pub fn update_chunk(&mut self, ChunkDigest(digest): ChunkDigest) {
        assert_eq!(self.chunk.rows, 0, "a chunk begins where another has ended");
        self.push_digest(digest);
    }
}
