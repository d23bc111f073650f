//! The content hash of a step's rows, put together while they are computed.
//!
//! A content hash is over chunks of rows by their numbers in the output. The worker that packs a batch gives its rows
//! to [`Digesting`], which numbers them once everything before them has come, and hashes the chunks that are whole then,
//! on that worker. Chunks with rows that are not at hand (an earlier run made them, or there were too many to wait for
//! those before them) get no digest; their rows are read back when the step is finished. So what is held is
//! bounded, and the hash is the same whatever is at hand.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rowmark_hashing::{CHUNK_ROWS, ChunkDigest};
use rowmark_rows::{RowRange, RowRanges, RowType};
use rowmark_warehouse::Frame;

use super::in_order::InOrder;

/// About the most memory of rows that are held until a chunk of them is whole.
const HELD_BYTES_MAX: u64 = 64 << 20;

/// The digests of the chunks of a step's output, as far as they are known.
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
    /// What the hash of so many rows is to be made of, in order.
    pub(crate) fn parts(&self, rows_out: u64) -> impl Iterator<Item = Part> + '_ {
        let chunk_rows = CHUNK_ROWS as u64;
        let digest = move |chunk: u64| {
            let is_whole = (chunk + 1) * chunk_rows <= rows_out;
            self.0.get(chunk as usize).copied().flatten().filter(|_| is_whole)
        };
        let mut chunk = 0;
        std::iter::from_fn(move || {
            let first = chunk * chunk_rows;
            if first >= rows_out {
                return None;
            }
            if let Some(digest) = digest(chunk) {
                chunk += 1;
                return Some(Part::Digest(digest));
            }
            while chunk * chunk_rows < rows_out && digest(chunk).is_none() {
                chunk += 1;
            }
            Some(Part::Rows(RowRange::new(first, rows_out.min(chunk * chunk_rows))))
        })
    }
}

/// Makes digests of rows that come in batches, in any order and from many threads.
pub(crate) struct Digesting<T> {
    state: Mutex<State<T>>,
    held_bytes: Arc<AtomicU64>,
    held_bytes_max: u64,
}

struct State<T> {
    /// The output of input rows, in their order.
    batches: InOrder<Batch<T>>,
    /// How many output rows have their number.
    numbered: u64,
    /// Those of the last chunk, which is not whole, as far as they are at hand.
    open: Vec<Slice<T>>,
    digests: Vec<Option<ChunkDigest>>,
}

/// What input rows gave.
struct Batch<T> {
    rows: u64,
    at_hand: Option<Arc<Held<T>>>,
}

/// Rows, which count as held until they are dropped.
struct Held<T> {
    rows: Vec<T>,
    bytes: u64,
    held_bytes: Arc<AtomicU64>,
}

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        // Relaxed here and below: a bound on memory, which orders nothing.
        self.held_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Rows that lie in one chunk.
struct Slice<T> {
    held: Arc<Held<T>>,
    rows: Range<usize>,
}

/// A chunk whose rows are all at hand.
struct WholeChunk<T> {
    number: usize,
    rows: Vec<Slice<T>>,
}

impl<T: RowType> Digesting<T> {
    /// Begins with what there is: the batches of earlier runs, and input rows whose failure was recorded.
    pub(crate) fn new(frames: &[Frame], failed: &RowRanges) -> Self {
        Self::holding(frames, failed, HELD_BYTES_MAX)
    }

    fn holding(frames: &[Frame], failed: &RowRanges, held_bytes_max: u64) -> Self {
        let mut batches = InOrder::new();
        for frame in frames {
            batches.push(frame.range(), Batch { rows: frame.rows(), at_hand: None });
        }
        failed.iter().for_each(|range| batches.push(range, Batch { rows: 0, at_hand: None }));
        let state = State { batches, numbered: 0, open: Vec::new(), digests: Vec::new() };
        Self { state: Mutex::new(state), held_bytes: Arc::default(), held_bytes_max }
    }

    /// Takes what input rows gave, about so many bytes in memory, and hashes the chunks that are whole then.
    pub(crate) fn add(&self, range: RowRange, rows: Vec<T>, bytes: u64) {
        let count = rows.len() as u64;
        let held_before = self.held_bytes.fetch_add(bytes, Ordering::Relaxed);
        let held = Held { rows, bytes, held_bytes: Arc::clone(&self.held_bytes) };
        let at_hand = (held_before + bytes <= self.held_bytes_max).then(|| Arc::new(held));
        self.take(range, Batch { rows: count, at_hand });
    }

    /// Takes note of input rows that gave so many rows, which are not at hand; none if they failed.
    pub(crate) fn add_unknown(&self, range: RowRange, rows: u64) {
        self.take(range, Batch { rows, at_hand: None });
    }

    fn take(&self, range: RowRange, batch: Batch<T>) {
        let whole = self.lock().take(range, batch);
        for WholeChunk { number, rows } in whole {
            // A row that cannot be hashed is met again, and told, when the chunk is read back.
            let digest = ChunkDigest::of(rows.iter().flat_map(|slice| &slice.held.rows[slice.rows.clone()]));
            self.lock().digests[number] = digest.ok();
        }
    }

    pub(crate) fn finish(self) -> Digests {
        Digests(self.state.into_inner().unwrap_or_else(PoisonError::into_inner).digests)
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Every change of it is whole: nothing in between panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    /// Numbers what is next in order; answers the chunks that this made whole.
    fn take(&mut self, range: RowRange, batch: Batch<T>) -> Vec<WholeChunk<T>> {
        self.batches.push(range, batch);
        let mut whole = Vec::new();
        while let Some(Batch { rows, at_hand }) = self.batches.pop() {
            let mut taken = 0;
            while taken < rows {
                let in_chunk = self.numbered % CHUNK_ROWS as u64;
                let end = rows.min(taken + CHUNK_ROWS as u64 - in_chunk);
                if let Some(held) = &at_hand {
                    self.open.push(Slice { held: Arc::clone(held), rows: taken as usize..end as usize });
                }
                self.numbered += end - taken;
                taken = end;
                if self.numbered.is_multiple_of(CHUNK_ROWS as u64) {
                    let rows = std::mem::take(&mut self.open);
                    let number = self.digests.len();
                    self.digests.push(None);
                    if rows.iter().map(|slice| slice.rows.len()).sum::<usize>() == CHUNK_ROWS {
                        whole.push(WholeChunk { number, rows });
                    }
                }
            }
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use rowmark_hashing::{ContentHash, ContentHasher, hash_rows};
    use rowmark_warehouse::CodeId;

    use super::*;

    /// How a batch comes to be known.
    #[derive(Clone, Copy, Debug)]
    enum Known {
        Computed,
        Unknown,
        Before,
        Failed,
    }

    fn known() -> impl Strategy<Value = Known> {
        prop_oneof![
            6 => Just(Known::Computed),
            1 => Just(Known::Unknown),
            1 => Just(Known::Before),
            1 => Just(Known::Failed),
        ]
    }

    /// The hash of rows of which those without a digest are read.
    fn hash(rows: &[u64], digests: &Digests) -> ContentHash {
        let mut hasher = ContentHasher::new();
        for part in digests.parts(rows.len() as u64) {
            match part {
                Part::Digest(digest) => hasher.update_chunk(digest),
                Part::Rows(range) => {
                    let rows = &rows[range.start() as usize..range.end() as usize];
                    rows.iter().for_each(|row| hasher.update(row).unwrap());
                }
            }
        }
        hasher.finish()
    }

    proptest! {
        /// Batches of any size, which give fewer or more rows than they cover or none, in any order, some of them not
        /// at hand, within any bound.
        #[test]
        fn the_hash_is_that_of_the_rows(
            batches in vec((1..300_u64, 0..2500_usize, known(), any::<u64>()), 0..12),
            held_bytes_max in prop_oneof![Just(HELD_BYTES_MAX), 0..40_000_u64],
        ) {
            let code = CodeId::new(ContentHash::from_bytes([7; 32]));
            let (mut all, mut frames, mut failed, mut to_come) = (Vec::new(), Vec::new(), RowRanges::new(), Vec::new());
            let mut start = 0;
            for (covered, count, known, order) in batches {
                let range = RowRange::new(start, start + covered);
                start = range.end();
                let count = if matches!(known, Known::Failed) { 0 } else { count };
                let rows: Vec<u64> = (all.len()..all.len() + count).map(|row| row as u64).collect();
                all.extend_from_slice(&rows);
                match known {
                    Known::Before => frames.push(Frame::new(range, count as u64, code)),
                    Known::Failed if order % 2 == 0 => failed.insert(range),
                    _ => to_come.push((order, range, known, rows)),
                }
            }
            to_come.sort_by_key(|(order, ..)| *order);
            let digesting = Digesting::holding(&frames, &failed, held_bytes_max);
            for (_, range, known, rows) in to_come {
                match known {
                    Known::Computed => digesting.add(range, rows.clone(), 8 * rows.len() as u64),
                    _ => digesting.add_unknown(range, rows.len() as u64),
                }
            }
            prop_assert!(digesting.held_bytes.load(Ordering::Relaxed) <= held_bytes_max);
            prop_assert_eq!(hash(&all, &digesting.finish()), hash_rows(&all)?);
        }
    }

    #[test]
    fn every_chunk_has_its_digest_when_all_rows_are_at_hand() {
        let digesting = Digesting::new(&[], &RowRanges::new());
        let rows: Vec<u64> = (0..10_000).collect();
        for (batch, rows) in rows.chunks(700).enumerate().rev() {
            let batch = batch as u64;
            digesting.add(RowRange::new(batch, batch + 1), rows.to_vec(), 1);
        }
        let digests = digesting.finish();
        let parts: Vec<Part> = digests.parts(10_000).collect();
        let digested = parts.iter().filter(|part| matches!(part, Part::Digest(_))).count();
        assert_eq!((digested, parts.last()), (9, Some(&Part::Rows(RowRange::new(9 * 1024, 10_000)))));
        assert_eq!(hash(&rows, &digests), hash_rows(&rows).unwrap());
    }

    #[test]
    fn a_row_that_never_comes_leaves_what_follows_to_be_read() {
        let digesting = Digesting::new(&[], &RowRanges::new());
        digesting.add(RowRange::new(1, 2), (0..2000).collect(), 1);
        assert_eq!(digesting.held_bytes.load(Ordering::Relaxed), 1);
        assert_eq!(digesting.finish().parts(2000).collect::<Vec<_>>(), [Part::Rows(RowRange::new(0, 2000))]);
    }
}
