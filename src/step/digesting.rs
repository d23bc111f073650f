//! The content hash of a step's rows, put together while they are computed.
//!
//! A content hash is over chunks of rows by their numbers in the output. The worker that packs a batch gives its rows
//! to [`Digesting`]. Where each input row gives one output row, they have their numbers by that; elsewhere they are numbered
//! once everything before them has come. The chunks that lie in one batch are hashed at once, on that worker, and their
//! rows let go; those that lie in several wait for the others. Chunks with rows that are not at hand (an earlier run made
//! them, or there were too many to wait for those before them) get no digest; their rows are read back when the step is
//! finished. So what is held is bounded, and the hash is the same whatever is at hand.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rowmark_hashing::{CHUNK_ROWS, ChunkDigest};
use rowmark_rows::{RowRange, RowRanges, RowType};
use rowmark_warehouse::{BatchDigests, Frame};

use super::in_order::InOrder;
use crate::digests::{CHUNK, Digests};

/// Rows that are held until a chunk of them is whole take about as much memory as so many batches, at the most.
const HELD_BATCHES_MAX: u64 = 8;

/// Makes digests of rows that come in batches, in any order and from many threads.
pub(crate) struct Digesting<T> {
    state: Mutex<State<T>>,
    held_bytes: Arc<AtomicU64>,
    held_bytes_max: u64,
}

struct State<T> {
    numbering: Numbering<T>,
    /// The chunks of which some rows are numbered, and not all.
    open: BTreeMap<u64, OpenChunk<T>>,
    digests: Vec<Option<ChunkDigest>>,
}

/// How output rows get their numbers.
enum Numbering<T> {
    /// Each input row gives one output row, which has its number.
    OfInput,
    /// The rows before them are counted: the output of input rows waits for what comes before it.
    Counted { batches: InOrder<Batch<T>>, rows: u64 },
}

/// What input rows gave.
struct Batch<T> {
    range: RowRange,
    rows: u64,
    at_hand: Option<Held<T>>,
}

/// Rows, which count as held until they are dropped.
struct Held<T> {
    rows: Vec<T>,
    bytes: u64,
    held_bytes: Arc<AtomicU64>,
}

/// A chunk whose rows lie in several batches.
struct OpenChunk<T> {
    /// How many of its rows are numbered.
    rows: u64,
    /// Those rows, by the number of the first; none once some of them are not at hand.
    at_hand: Option<BTreeMap<u64, Held<T>>>,
}

impl<T> Held<T> {
    /// Parts from the rows behind some.
    fn split_off(&mut self, at: usize) -> Self {
        let behind = self.rows.len() - at;
        let bytes = self.bytes * behind as u64 / self.rows.len().max(1) as u64;
        self.bytes -= bytes;
        Self { rows: self.rows.split_off(at), bytes, held_bytes: Arc::clone(&self.held_bytes) }
    }
}

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        // Relaxed here and below: a bound on memory, which orders nothing.
        self.held_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl<T: RowType> Digesting<T> {
    /// Begins with what there is: the batches of earlier runs, and input rows whose failure was recorded. Under
    /// `is_one_to_one` each input row gives one output row, and no further failures are recorded.
    pub(crate) fn new(
        frames: &[Frame],
        failed: &RowRanges,
        is_one_to_one: bool,
        batch_bytes_max: u64,
    ) -> Self {
        let held_bytes_max = batch_bytes_max.saturating_mul(HELD_BATCHES_MAX);
        let were_one_to_one =
            failed.is_empty() && frames.iter().all(|frame| frame.rows() == frame.range().len());
        let numbering = if is_one_to_one && were_one_to_one {
            Numbering::OfInput
        } else {
            Numbering::Counted { batches: InOrder::new(), rows: 0 }
        };
        let state = State { numbering, open: BTreeMap::new(), digests: Vec::new() };
        let digesting = Self { state: Mutex::new(state), held_bytes: Arc::default(), held_bytes_max };
        frames.iter().for_each(|frame| digesting.add_unknown(frame.range(), frame.rows()));
        failed.iter().for_each(|range| digesting.add_unknown(range, 0));
        digesting
    }

    /// Takes what input rows gave, about so many bytes in memory, and hashes the chunks that are whole then. Answers those
    /// that lie in these rows, if the rows have their numbers already.
    pub(crate) fn add(&self, range: RowRange, rows: Vec<T>, bytes: u64) -> BatchDigests {
        let count = rows.len() as u64;
        let held_before = self.held_bytes.fetch_add(bytes, Ordering::Relaxed);
        let held = Held { rows, bytes, held_bytes: Arc::clone(&self.held_bytes) };
        let at_hand = (held_before + bytes <= self.held_bytes_max).then_some(held);
        self.take(Batch { range, rows: count, at_hand })
    }

    /// Takes note of input rows that gave so many rows, which are not at hand; none if they failed.
    pub(crate) fn add_unknown(&self, range: RowRange, rows: u64) {
        self.take(Batch { range, rows, at_hand: None });
    }

    fn take(&self, batch: Batch<T>) -> BatchDigests {
        let (own, mut told) = (batch.range, BatchDigests::default());
        let numbered = self.lock().number(batch);
        for (first, Batch { range, rows, at_hand }) in numbered {
            match at_hand {
                Some(held) if range == own => told = self.hash(first, held),
                Some(held) => drop(self.hash(first, held)),
                None => self.lock().pass(first, rows),
            }
        }
        told
    }

    /// Hashes the chunks that numbered rows hold whole or complete; answers the former.
    fn hash(&self, first: u64, mut held: Held<T>) -> BatchDigests {
        let end = first + held.rows.len() as u64;
        let (whole_first, whole_end) = (first.next_multiple_of(CHUNK).min(end), end - end % CHUNK);
        let mut whole = held.split_off((whole_first - first) as usize);
        let tail = whole.split_off((whole_end.max(whole_first) - whole_first) as usize);
        let digests = whole.rows.chunks_exact(CHUNK_ROWS).map(ChunkDigest::of);
        let digests: Vec<_> = digests.collect();
        let told = digests.iter().map(|digest| digest.as_ref().ok().copied()).collect::<Option<_>>();
        // The first of them go on in an allocation for all; they are few, and may have to wait.
        held.rows.shrink_to_fit();
        let completed = {
            let mut state = self.lock();
            (whole_first / CHUNK..).zip(digests).for_each(|(chunk, digest)| state.set(chunk, digest));
            [state.complete(first, held), state.complete(whole_end.max(whole_first), tail)]
        };
        for (chunk, parts) in completed.into_iter().flatten() {
            let digest = ChunkDigest::of(parts.values().flat_map(|part| &part.rows));
            self.lock().set(chunk, digest);
        }
        let rows_before = u16::try_from(whole_first - first).expect("a chunk has fewer");
        BatchDigests { inputs: None, rows_before, chunks: told.unwrap_or_default() }
    }

    pub(crate) fn finish(self) -> Digests {
        Digests::new(self.state.into_inner().unwrap_or_else(PoisonError::into_inner).digests)
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Every change of it is whole: nothing in between panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    /// Answers the batches that have their numbers now, each with that of its first row.
    fn number(&mut self, batch: Batch<T>) -> Vec<(u64, Batch<T>)> {
        match &mut self.numbering {
            Numbering::OfInput => {
                assert_eq!(batch.rows, batch.range.len(), "each input row gives one output row");
                vec![(batch.range.start(), batch)]
            }
            Numbering::Counted { batches, rows } => {
                batches.push(batch.range, batch);
                let number = |batch: Batch<T>| {
                    let first = *rows;
                    *rows += batch.rows;
                    (first, batch)
                };
                std::iter::from_fn(|| batches.pop()).map(number).collect()
            }
        }
    }

    /// A row that cannot be hashed is met again, and told, when the chunk is read back.
    fn set(&mut self, chunk: u64, digest: Result<ChunkDigest, rowmark_hashing::Error>) {
        let chunk = chunk as usize;
        if chunk >= self.digests.len() {
            self.digests.resize(chunk + 1, None);
        }
        self.digests[chunk] = digest.ok();
    }

    /// Takes rows of one chunk, the first of which has this number; answers the chunk if they complete it.
    fn complete(&mut self, first: u64, part: Held<T>) -> Option<(u64, BTreeMap<u64, Held<T>>)> {
        let rows = part.rows.len() as u64;
        self.add_to_chunk(first, rows, Some(part))
    }

    /// Takes note of rows that are not at hand, the first of which has this number.
    fn pass(&mut self, first: u64, rows: u64) {
        let end = first + rows;
        let head = first.next_multiple_of(CHUNK).min(end) - first;
        self.add_to_chunk(first, head, None);
        let tail = (end % CHUNK).min(rows - head);
        self.add_to_chunk(end - tail, tail, None);
    }

    fn add_to_chunk(
        &mut self,
        first: u64,
        rows: u64,
        part: Option<Held<T>>,
    ) -> Option<(u64, BTreeMap<u64, Held<T>>)> {
        if rows == 0 {
            return None;
        }
        let chunk = first / CHUNK;
        let open = self.open.entry(chunk);
        let open = open.or_insert_with(|| OpenChunk { rows: 0, at_hand: Some(BTreeMap::new()) });
        open.rows += rows;
        match (&mut open.at_hand, part) {
            (Some(at_hand), Some(part)) => drop(at_hand.insert(first, part)),
            _ => open.at_hand = None,
        }
        if open.rows < CHUNK {
            return None;
        }
        Some((chunk, self.open.remove(&chunk)?.at_hand?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use rowmark_hashing::{ContentHash, ContentHasher, hash_rows};
    use rowmark_warehouse::CodeId;

    use super::*;
    use crate::digests::Part;

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
            is_one_to_one in any::<bool>(),
            batch_bytes_max in prop_oneof![Just(1 << 20), 0..5_000_u64],
        ) {
            let code = CodeId::new(ContentHash::from_bytes([7; 32]));
            let (mut all, mut frames, mut failed, mut to_come) = (Vec::new(), Vec::new(), RowRanges::new(), Vec::new());
            let mut start = 0;
            for (covered, count, known, order) in batches {
                let covered = if is_one_to_one { 10 * covered } else { covered };
                let range = RowRange::new(start, start + covered);
                start = range.end();
                let known = if is_one_to_one && matches!(known, Known::Failed) { Known::Before } else { known };
                let count = match known {
                    Known::Failed => 0,
                    _ if is_one_to_one => covered as usize,
                    _ => count,
                };
                let rows: Vec<u64> = (all.len()..all.len() + count).map(|row| row as u64).collect();
                all.extend_from_slice(&rows);
                match known {
                    Known::Before => frames.push(Frame::new(range, count as u64, code)),
                    Known::Failed if order % 2 == 0 => failed.insert(range),
                    _ => to_come.push((order, range, known, rows)),
                }
            }
            to_come.sort_by_key(|(order, ..)| *order);
            let digesting = Digesting::new(&frames, &failed, is_one_to_one, batch_bytes_max);
            for (_, range, known, rows) in to_come {
                if !matches!(known, Known::Computed) {
                    digesting.add_unknown(range, rows.len() as u64);
                    continue;
                }
                let told = digesting.add(range, rows.clone(), 8 * rows.len() as u64);
                let chunks = rows[rows.len().min(told.rows_before.into())..].chunks_exact(CHUNK_ROWS);
                for (chunk, digest) in chunks.zip(&told.chunks) {
                    prop_assert_eq!(*digest, ChunkDigest::of(chunk)?);
                    prop_assert!(chunk[0].is_multiple_of(CHUNK));
                }
            }
            prop_assert!(digesting.held_bytes.load(Ordering::Relaxed) <= batch_bytes_max * HELD_BATCHES_MAX);
            prop_assert_eq!(hash(&all, &digesting.finish()), hash_rows(&all)?);
        }
    }

    #[test]
    fn every_chunk_has_its_digest_when_all_rows_are_at_hand() {
        let digesting = Digesting::new(&[], &RowRanges::new(), false, 1 << 20);
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
    fn rows_that_have_their_inputs_numbers_wait_for_none_before_them() {
        let digesting = Digesting::new(&[], &RowRanges::new(), true, 1 << 20);
        digesting.add(RowRange::new(1000, 3500), (1000..3500_u64).collect(), 2500);
        assert_eq!(digesting.held_bytes.load(Ordering::Relaxed), 24 + 428);
        digesting.add(RowRange::new(0, 1000), (0..1000).collect(), 1000);
        assert_eq!(digesting.held_bytes.load(Ordering::Relaxed), 428);
        let digests = digesting.finish();
        let rows: Vec<u64> = (0..3500).collect();
        assert_eq!(digests.parts(3500).last(), Some(Part::Rows(RowRange::new(3072, 3500))));
        assert_eq!(hash(&rows, &digests), hash_rows(&rows).unwrap());
    }

    #[test]
    fn a_row_that_never_comes_leaves_what_follows_to_be_read() {
        let digesting = Digesting::new(&[], &RowRanges::new(), false, 1 << 20);
        digesting.add(RowRange::new(1, 2), (0..2000).collect(), 1);
        assert_eq!(digesting.held_bytes.load(Ordering::Relaxed), 1);
        assert_eq!(digesting.finish().parts(2000).collect::<Vec<_>>(), [Part::Rows(RowRange::new(0, 2000))]);
    }
}
