//! Hashing on many cores: chunks of rows, and blocks of bytes, are independent of each other.
//!
//! The digests are those of the sequential functions, whatever the number of threads; work runs in the `rayon`
//! pool of the caller.

use std::io::{self, Read};

use rayon::prelude::*;
use serde::Serialize;
use sha2::Digest as _;

use crate::digest::{Kind, finish};
use crate::rows::{CHUNK_ROWS, ChunkHasher, ContentHasher};
use crate::serializer::At;
use crate::{BLOCK_BYTES, ContentHash, Error};

/// How many blocks of bytes each thread gets at a time.
const BLOCKS_PER_THREAD: usize = 4;

/// Hashes rows on the threads of the current `rayon` pool; the same hash as [`hash_rows`](crate::hash_rows).
///
/// ```
/// let rows: Vec<(u32, String)> = (0..5_000).map(|id| (id, format!("row {id}"))).collect();
/// assert_eq!(rowmark_hashing::par_hash_rows(&rows)?, rowmark_hashing::hash_rows(&rows)?);
/// # Ok::<(), rowmark_hashing::Error>(())
/// ```
///
/// # Errors
///
/// When a row [cannot be hashed](Error); of several such rows it may name any.
pub fn par_hash_rows<T: Serialize + Sync>(rows: &[T]) -> Result<ContentHash, Error> {
    let mut hasher = ContentHasher::new();
    hasher.par_update(rows)?;
    Ok(hasher.finish())
}

impl ContentHasher {
    /// Takes the next rows, hashing them on the threads of the current `rayon` pool; the same as
    /// [`update`](Self::update) for each.
    ///
    /// It pays for many times [`CHUNK_ROWS`] rows.
    ///
    /// # Errors
    ///
    /// When a row [cannot be hashed](Error); of several such rows it may name any. Some of the rows are then part
    /// of the stream, so that it cannot be gone on with.
    pub fn par_update<T: Serialize + Sync>(&mut self, rows: &[T]) -> Result<(), Error> {
        let open = (CHUNK_ROWS - self.chunk.rows) % CHUNK_ROWS;
        let (open, rows) = rows.split_at(open.min(rows.len()));
        open.iter().try_for_each(|row| self.update(row))?;

        let first = self.rows() as usize;
        let chunks = rows.par_chunks_exact(CHUNK_ROWS);
        let rest = chunks.remainder();
        let digests = chunks
            .enumerate()
            .map_init(ChunkHasher::new, |hasher, (chunk, rows)| {
                for (index, row) in rows.iter().enumerate() {
                    hasher.update(|encoder, position| row.serialize(At { encoder, position })).map_err(
                        |failure| failure.in_index(first + chunk * CHUNK_ROWS + index).rooted("rows"),
                    )?;
                }
                Ok(hasher.finish())
            })
            .collect::<Result<Vec<[u8; 32]>, Error>>()?;
        digests.into_iter().for_each(|digest| self.push_digest(digest));
        rest.iter().try_for_each(|row| self.update(row))
    }
}

/// Hashes what a reader gives on the threads of the current `rayon` pool; the same hash as
/// [`hash_reader`](crate::hash_reader).
///
/// Keeps a few blocks of [`BLOCK_BYTES`] for each thread in memory.
///
/// ```
/// let bytes = vec![7; 3_000_000];
/// assert_eq!(rowmark_hashing::par_hash_reader(&bytes[..])?, rowmark_hashing::hash_reader(&bytes[..])?);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// What the reader answers, except that an interrupted read is tried again.
pub fn par_hash_reader(mut reader: impl Read) -> io::Result<ContentHash> {
    let batch_bytes = BLOCK_BYTES * BLOCKS_PER_THREAD * rayon::current_num_threads();
    let mut sha = Kind::Bytes.hasher();
    let mut bytes = 0;
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        reader.by_ref().take(batch_bytes as u64).read_to_end(&mut buffer)?;
        let digests: Vec<[u8; 32]> = buffer
            .par_chunks(BLOCK_BYTES)
            .map(|block| Kind::Block.hasher().chain_update(block).finalize().into())
            .collect();
        digests.iter().for_each(|digest| sha.update(digest));
        bytes += buffer.len() as u64;
        if buffer.len() < batch_bytes {
            sha.update(bytes.to_le_bytes());
            return Ok(finish(sha));
        }
    }
}
