//! External merge sort (Knuth, TAOCP volume 3, 5.4): rows in the order of a key and, among equals, of their
//! numbers, in bounded memory.
//!
//! Rows stay in Arrow batches as the workers made them; what is sorted is keys, and rows are gathered once, in
//! their order. When what is held grows beyond the bound it is written as a sorted run, and the runs are merged.
//! Runs are scratch: nothing is continued from them, a crash leaves them to be removed at the next open.

use std::sync::Arc;

use arrow_array::{Array as _, ArrayRef, RecordBatch};
use arrow_schema::ArrowError;
use arrow_select::interleave::interleave_record_batch;
use rayon::slice::ParallelSliceMut as _;
use rowmark_rows::{RowSchema, RowType, row_bytes};

use crate::error::CommitError;

mod merge;
mod run;

use merge::Merge;
pub(crate) use run::Scratch;
use run::{Run, RunFormat};

/// How many runs are merged at a time: each has one batch in memory.
const MERGED_RUNS_MAX: usize = 64;

/// The most rows, and about the most bytes, of a batch that comes out.
const CHUNK_ROWS_MAX: usize = 8192;
const CHUNK_BYTES_MAX: usize = 4 << 20;

/// The bytes below which the batches of a run are not cut, however little memory there is.
const CHUNK_BYTES_MIN: usize = 128 << 10;

/// What rows can be sorted and grouped by: a value of any type that can be stored and has an order.
///
/// It is implemented for every such type. Floating-point numbers have no total order: use their bits, a rounded
/// integer, or a wrapper that orders them.
#[diagnostic::on_unimplemented(
    message = "rows cannot be sorted or grouped by `{Self}`",
    label = "it has no total order, or cannot be stored",
    note = "a key implements `Ord`, `serde::Serialize` and `serde::Deserialize`; a float has no order, so round it to an integer"
)]
pub trait SortKey: RowType + Ord {}

#[diagnostic::do_not_recommend]
impl<K: RowType + Ord> SortKey for K {}

/// Rows in their new order, with the key and the old number of each.
pub(crate) struct Chunk<K> {
    pub(crate) keys: Vec<(K, u64)>,
    pub(crate) rows: RecordBatch,
}

/// Takes rows in any order and gives them back in that of their keys.
pub(crate) struct Sorter<K> {
    format: Arc<RunFormat<K>>,
    scratch: Scratch,
    bytes_max: u64,
    held: Held<K>,
    runs: Vec<Run<K>>,
}

/// Rows in memory.
struct Held<K> {
    batches: Vec<RecordBatch>,
    entries: Vec<Entry<K>>,
    bytes: u64,
}

struct Entry<K> {
    key: K,
    row: u64,
    batch: u32,
    index: u32,
}

impl<K: SortKey> Sorter<K> {
    /// Sorts rows of a schema, with about so much memory.
    pub(crate) fn new(schema: &RowSchema, scratch: Scratch, bytes_max: u64) -> Result<Self, CommitError> {
        let format = Arc::new(RunFormat::new(schema)?);
        Ok(Self { format, scratch, bytes_max, held: Held::new(), runs: Vec::new() })
    }

    /// Takes rows, with the key and the number of each.
    pub(crate) fn add(&mut self, rows: RecordBatch, keys: Vec<(K, u64)>) -> Result<(), CommitError> {
        debug_assert_eq!(rows.num_rows(), keys.len());
        self.held.add(rows, keys);
        if self.held.bytes >= self.bytes_max {
            self.spill()?;
        }
        Ok(())
    }

    /// Gives the rows back, in their order.
    pub(crate) fn finish(mut self) -> Result<Sorted<K>, CommitError> {
        if self.runs.is_empty() {
            return Ok(Sorted::Held(self.held.sorted(CHUNK_BYTES_MAX)));
        }
        self.spill()?;
        let chunk_bytes = self.run_chunk_bytes();
        while self.runs.len() > MERGED_RUNS_MAX {
            let mut merge = Merge::new(self.runs.drain(..MERGED_RUNS_MAX), chunk_bytes)?;
            let longer = Run::write(&self.format, &mut self.scratch, || merge.next_chunk())?;
            self.runs.push(longer);
        }
        Ok(Sorted::Merged { merge: Merge::new(self.runs, CHUNK_BYTES_MAX)?, _scratch: self.scratch })
    }

    /// The bytes of a batch in a run: when runs are merged, one of each is in memory.
    fn run_chunk_bytes(&self) -> usize {
        (self.bytes_max as usize / MERGED_RUNS_MAX).clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX)
    }

    fn spill(&mut self) -> Result<(), CommitError> {
        let chunk_bytes = self.run_chunk_bytes();
        let held = std::mem::replace(&mut self.held, Held::new());
        if !held.entries.is_empty() {
            let mut sorted = held.sorted(chunk_bytes);
            let run = Run::write(&self.format, &mut self.scratch, || sorted.next_chunk())?;
            self.runs.push(run);
        }
        Ok(())
    }
}

/// Rows in their order, a chunk at a time.
pub(crate) enum Sorted<K> {
    Held(SortedHeld<K>),
    Merged {
        merge: Merge<K>,
        /// Removes the runs when all is read.
        _scratch: Scratch,
    },
}

impl<K: SortKey> Sorted<K> {
    pub(crate) fn next_chunk(&mut self) -> Result<Option<Chunk<K>>, CommitError> {
        match self {
            Self::Held(held) => held.next_chunk(),
            Self::Merged { merge, .. } => merge.next_chunk(),
        }
    }
}

impl<K: SortKey> Held<K> {
    fn new() -> Self {
        Self { batches: Vec::new(), entries: Vec::new(), bytes: 0 }
    }

    fn add(&mut self, rows: RecordBatch, keys: Vec<(K, u64)>) {
        self.bytes += batch_bytes(&rows) as u64;
        let batch = u32::try_from(self.batches.len()).expect("what is held is bounded");
        self.entries.reserve(keys.len());
        for (index, (key, row)) in (0..).zip(keys) {
            self.bytes += size_of::<Entry<K>>() as u64 + row_bytes(&key);
            self.entries.push(Entry { key, row, batch, index });
        }
        self.batches.push(rows);
    }

    fn sorted(mut self, chunk_bytes: usize) -> SortedHeld<K> {
        self.entries.par_sort_unstable_by(|one, other| (&one.key, one.row).cmp(&(&other.key, other.row)));
        // About the size of a row: the whole is bounded, so chunks of any part of it are near enough.
        let row_bytes = self.bytes as usize / self.entries.len().max(1);
        let chunk_rows = (chunk_bytes / row_bytes.max(1)).clamp(1, CHUNK_ROWS_MAX);
        SortedHeld { batches: self.batches, entries: self.entries.into_iter(), chunk_rows }
    }
}

/// Rows in memory, sorted.
pub(crate) struct SortedHeld<K> {
    batches: Vec<RecordBatch>,
    entries: std::vec::IntoIter<Entry<K>>,
    chunk_rows: usize,
}

impl<K> SortedHeld<K> {
    fn next_chunk(&mut self) -> Result<Option<Chunk<K>>, CommitError> {
        let mut places = Vec::new();
        let mut keys = Vec::new();
        for Entry { key, row, batch, index } in self.entries.by_ref().take(self.chunk_rows) {
            places.push((batch as usize, index as usize));
            keys.push((key, row));
        }
        if keys.is_empty() {
            return Ok(None);
        }
        Ok(Some(Chunk { keys, rows: gather(&self.batches, &places)? }))
    }
}

/// The rows at these places: the position of a batch, and of a row in it.
fn gather(batches: &[RecordBatch], places: &[(usize, usize)]) -> Result<RecordBatch, ArrowError> {
    let schema = RowSchema::from_arrow(batches.first().expect("there is a row").schema());
    let relaxed = schema.relaxed();
    let batches: Vec<RecordBatch> =
        batches.iter().map(|batch| relaxed.restore(batch.clone())).collect::<Result<_, _>>()?;
    let batches: Vec<&RecordBatch> = batches.iter().collect();
    schema.restore(interleave_record_batch(&batches, places)?)
}

/// The memory of a batch's rows; of the allocation that it may share with others only its part.
fn batch_bytes(batch: &RecordBatch) -> usize {
    let bytes = |column: &ArrayRef| column.to_data().get_slice_memory_size().unwrap_or(0);
    batch.columns().iter().map(bytes).sum()
}
