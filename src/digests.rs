//! Digests of the chunks of a table's rows, as they go into its content hash: they tell what rows are without reading
//! them.
//!
//! They come from whoever has computed the rows ([`Digesting`](crate::step::digesting::Digesting)), and are stored with
//! batches. A digest is of rows alone, wherever they stand, so one that is stored with a batch holds wherever that begins a
//! chunk at the same of its rows.

use rowmark_hashing::{CHUNK_ROWS, ChunkDigest};
use rowmark_rows::RowRange;
use rowmark_warehouse::{Error, Table};

use crate::input::row_ends;
use crate::store;

pub(crate) const CHUNK: u64 = CHUNK_ROWS as u64;

/// The digests of the chunks of a table's rows, as far as they are known.
#[derive(Debug, Default)]
pub(crate) struct Digests(Vec<Option<ChunkDigest>>);

/// A part of a step's output.
#[derive(Debug, PartialEq)]
pub(crate) enum Part {
    /// The next chunk.
    Digest(ChunkDigest),
    /// Rows that are to be read; they begin where a chunk does.
    Rows(RowRange),
}

impl Digests {
    pub(crate) fn new(digests: Vec<Option<ChunkDigest>>) -> Self {
        Self(digests)
    }

    /// Adds what is stored with the batches of the table. What is damaged is left out: the rows are read then.
    pub(crate) fn with_stored(mut self, table: &Table) -> Result<Self, Error> {
        self.0.resize((table.rows_out() / CHUNK) as usize, None);
        for (frame, end) in table.frames().iter().zip(row_ends(table)) {
            let first = end - frame.rows();
            let (chunk, chunks_end) = ((first.div_ceil(CHUNK)) as usize, (end / CHUNK) as usize);
            if chunk >= chunks_end || self.0[chunk..chunks_end].iter().all(Option::is_some) {
                continue;
            }
            let told = match table.digests(frame) {
                Ok(told) => told.unwrap_or_default(),
                Err(error) if store::is_lost(&error) => continue,
                Err(error) => return Err(error),
            };
            if first + u64::from(told.rows_before) == chunk as u64 * CHUNK {
                let known = self.0[chunk..chunks_end].iter_mut().zip(told.chunks);
                known.for_each(|(known, told)| *known = Some(told));
            }
        }
        Ok(self)
    }

    /// Those of rows that are whole chunks, if all of them are known.
    pub(crate) fn of_rows(&self, rows: RowRange) -> Option<Vec<ChunkDigest>> {
        if !rows.start().is_multiple_of(CHUNK) || !rows.end().is_multiple_of(CHUNK) {
            return None;
        }
        let chunks = (rows.start() / CHUNK) as usize..(rows.end() / CHUNK) as usize;
        self.0.get(chunks)?.iter().copied().collect()
    }

    /// What the hash of so many rows is to be made of, in order.
    pub(crate) fn parts(&self, rows_out: u64) -> impl Iterator<Item = Part> + '_ {
        let digest = move |chunk: u64| {
            let is_whole = (chunk + 1) * CHUNK <= rows_out;
            self.0.get(chunk as usize).copied().flatten().filter(|_| is_whole)
        };
        let mut chunk = 0;
        std::iter::from_fn(move || {
            let first = chunk * CHUNK;
            if first >= rows_out {
                return None;
            }
            if let Some(digest) = digest(chunk) {
                chunk += 1;
                return Some(Part::Digest(digest));
            }
            while chunk * CHUNK < rows_out && digest(chunk).is_none() {
                chunk += 1;
            }
            Some(Part::Rows(RowRange::new(first, rows_out.min(chunk * CHUNK))))
        })
    }
}
