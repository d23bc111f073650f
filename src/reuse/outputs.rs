//! The stored outputs of rows that were found, brought into the order of the new input, for the workers that come to
//! those rows.
//!
//! They stay in Arrow batches: an input row is one entry, with its hash and the list of the rows that it gave. They are
//! decoded by the worker that uses them.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::UInt64Type;
use arrow_array::{ArrayRef, ListArray, RecordBatch, StructArray, UInt32Array, UInt64Array};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field, FieldRef, Schema};
use arrow_select::take::take;
use rowmark_hashing::{RowHash, hash_rows};
use rowmark_rows::{RowRange, RowRanges, RowSchema, RowType};
use rowmark_warehouse::{Seal, Table};

use super::{OldBatch, Search};
use crate::error::{CommitError, RowError};
use crate::sort::{Chunk, Scratch, Sorter};
use crate::store;

/// Entries that are decoded together.
const DECODED_ENTRIES_MAX: usize = 1024;

/// A row of a batch, by its position, and the new row that it stands for.
#[derive(Clone, Copy)]
pub(super) struct Taken {
    pub(super) index: usize,
    pub(super) row: u64,
}

/// The columns of an entry: the row, its hash in three numbers, and what it gave. Arrow is to move them, so they have
/// their relaxed form.
fn entry_schema(outputs: &RowSchema) -> RowSchema {
    let names = ["row", "hash 1", "hash 2", "hash 3"];
    let fields = names.map(|name| Arc::new(Field::new(name, DataType::UInt64, false)));
    let fields: Vec<FieldRef> = fields.into_iter().chain(outputs.arrow().fields().iter().cloned()).collect();
    RowSchema::from_arrow(Arc::new(Schema::new(fields))).relaxed()
}

/// One column: the lists of rows of this schema.
fn lists_schema(rows: &RowSchema) -> RowSchema {
    let row = DataType::Struct(rows.arrow().fields().clone());
    let outputs = Field::new_list("outputs", Field::new("output", row, false), false);
    RowSchema::from_arrow(Arc::new(Schema::new(vec![outputs])))
}

/// Takes the outputs of rows that were found, in any order.
pub(super) struct Outputs<'a> {
    search: &'a Search<'a>,
    rows: RowSchema,
    lists: RowSchema,
    entries: RowSchema,
    sorter: Sorter<u64>,
    /// Rows by donor.
    taken: Vec<u64>,
}

impl<'a> Outputs<'a> {
    /// Begins to take outputs of a schema.
    pub(super) fn new(search: &'a Search<'a>, rows: &RowSchema) -> Result<Self, CommitError> {
        let lists = lists_schema(rows);
        let entries = entry_schema(&lists);
        let sorter = search.sorter(&entries, "outputs")?;
        Ok(Self { search, rows: rows.clone(), lists, entries, sorter, taken: vec![0; search.donors.len()] })
    }

    /// Takes what rows of a batch gave. If the batch cannot be read, its rows are computed again.
    pub(super) fn add(
        &mut self,
        position: usize,
        batch: &OldBatch,
        taken: &[Taken],
    ) -> Result<(), CommitError> {
        if taken.is_empty() {
            return Ok(());
        }
        let donor = &self.search.donors[position];
        let entries = match donor.table.read(&batch.frame) {
            Ok(outputs) => self.entries(batch, outputs, taken),
            Err(error) if store::is_lost(&error) => {
                self.search.pass_over(donor, &error);
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let Some(entries) = entries else { return Ok(()) };
        self.taken[position] += taken.len() as u64;
        self.sorter.add(entries, taken.iter().map(|taken| (taken.row, taken.row)).collect())
    }

    /// The entries of rows, unless what is stored of them is not what it says.
    fn entries(&self, batch: &OldBatch, outputs: RecordBatch, taken: &[Taken]) -> Option<RecordBatch> {
        let lengths = || batch.rows.iter().map(|row| row.outputs as usize);
        let fits =
            lengths().sum::<usize>() == outputs.num_rows() && i32::try_from(outputs.num_rows()).is_ok();
        let outputs = RecordBatch::try_new(Arc::clone(self.rows.arrow()), outputs.columns().to_vec());
        let outputs = outputs.ok().filter(|_| fits)?;
        let DataType::List(output) = self.lists.arrow().field(0).data_type() else { return None };
        let lists = ListArray::try_new(
            Arc::clone(output),
            OffsetBuffer::from_lengths(lengths()),
            Arc::new(StructArray::from(outputs)),
            None,
        );
        let lists = RecordBatch::try_new(Arc::clone(self.lists.arrow()), vec![Arc::new(lists.ok()?)]);
        let lists = self.lists.relaxed().restore(lists.ok()?).ok()?;
        let indices = UInt32Array::from_iter_values(taken.iter().map(|taken| taken.index as u32));
        let lists = take(lists.column(0), &indices, None).ok()?;
        let hashes: Vec<RowHash> =
            taken.iter().map(|taken| batch.rows[taken.index].hash).collect::<Option<_>>()?;
        let word = |word: usize| -> ArrayRef {
            let of = |hash: &RowHash| u64::from_be_bytes(hash.as_bytes().as_chunks::<8>().0[word]);
            Arc::new(UInt64Array::from_iter_values(hashes.iter().map(of)))
        };
        let rows = Arc::new(UInt64Array::from_iter_values(taken.iter().map(|taken| taken.row)));
        let columns: Vec<ArrayRef> = vec![rows, word(0), word(1), word(2), lists];
        RecordBatch::try_new(Arc::clone(self.entries.arrow()), columns).ok()
    }

    /// Stores what was taken, by row; also answers how many rows each donor gave.
    pub(super) fn finish(self) -> Result<(Option<Found>, Vec<u64>), CommitError> {
        let taken = self.taken.clone();
        let found = if taken.iter().all(|rows| *rows == 0) { None } else { Some(self.store()?) };
        Ok((found, taken))
    }

    fn store(self) -> Result<Found, CommitError> {
        let Search { workers, code, hash, .. } = *self.search;
        let mut scratch = self.search.scratch("found")?;
        let mut writer = workers.session.warehouse().create(&scratch.next_table()?, &self.entries, b"")?;
        let mut sorted = self.sorter.finish()?;
        let mut end = 0;
        while let Some(Chunk { keys, rows }) = sorted.next_chunk()? {
            // A batch is known by the rows that it is about, and those between them.
            let (last, _) = *keys.last().expect("a chunk is not empty");
            writer.append(RowRange::new(end, last + 1), code, &rows)?;
            end = last + 1;
        }
        let seal = Seal { rows_in: end, failed: RowRanges::new(), content_hash: hash, record: Vec::new() };
        Ok(Found { table: writer.seal(seal)?, rows: self.rows, _scratch: scratch })
    }
}

/// What was found for single rows.
pub(crate) struct Found {
    table: Table,
    /// What outputs look like.
    rows: RowSchema,
    /// Removes the table.
    _scratch: Scratch,
}

impl Found {
    pub(crate) fn reader<Out: RowType>(&self) -> FoundRows<'_, Out> {
        let entries = Vec::new().into_iter().peekable();
        FoundRows { found: self, entries, batch: None, position: 0, index: 0, range: RowRange::new(0, 0) }
    }
}

/// Reads what was found, on one thread, for ranges of rows.
pub(crate) struct FoundRows<'a, Out> {
    found: &'a Found,
    /// Those that are decoded.
    entries: std::iter::Peekable<std::vec::IntoIter<Entry<Out>>>,
    /// The batch that was read last, with its position.
    batch: Option<(usize, RecordBatch)>,
    /// Where the next entry is.
    position: usize,
    index: usize,
    range: RowRange,
}

struct Entry<Out> {
    row: u64,
    hash: RowHash,
    outputs: Vec<Out>,
}

impl<Out: RowType> FoundRows<'_, Out> {
    /// Begins with a range.
    pub(crate) fn begin(&mut self, range: RowRange) {
        let frames = self.found.table.frames();
        self.position = frames.partition_point(|frame| frame.range().end() <= range.start());
        (self.index, self.range) = (0, range);
        self.entries = Vec::new().into_iter().peekable();
    }

    /// What a row of this hash gave, if that is what was found for this row. Rows are asked for in their order.
    pub(crate) fn get(&mut self, row: u64, hash: RowHash) -> Result<Option<Vec<Out>>, RowError> {
        loop {
            while self.entries.next_if(|entry| entry.row < row).is_some() {}
            if let Some(entry) = self.entries.peek() {
                let is_it = entry.row == row && entry.hash == hash;
                let entry = self.entries.next_if(|_| is_it);
                return Ok(entry.map(|entry| entry.outputs));
            }
            if !self.decode_more()? {
                return Ok(None);
            }
        }
    }

    /// Decodes the next entries of the range; answers whether there may be any.
    fn decode_more(&mut self) -> Result<bool, RowError> {
        let Found { table, .. } = self.found;
        let Some(frame) =
            table.frames().get(self.position).filter(|frame| frame.range().start() < self.range.end())
        else {
            return Ok(false);
        };
        let batch = match self.batch.take() {
            Some((position, batch)) if position == self.position => batch,
            _ => table.read(frame)?,
        };
        let rows = batch.column(0).as_primitive::<UInt64Type>().values();
        let start = self.index.max(rows.partition_point(|row| *row < self.range.start()));
        let end = rows.partition_point(|row| *row < self.range.end()).min(start + DECODED_ENTRIES_MAX);
        let position = self.position;
        if start < end {
            // What cannot be decoded is computed again.
            let entries = self.decode(&batch.slice(start, end - start)).unwrap_or_default();
            self.entries = entries.into_iter().peekable();
            self.index = end;
        } else {
            (self.position, self.index) = (position + 1, 0);
        }
        self.batch = Some((position, batch));
        Ok(true)
    }

    fn decode(&self, entries: &RecordBatch) -> Option<Vec<Entry<Out>>> {
        let column = |index: usize| entries.column(index).as_primitive::<UInt64Type>().values();
        let lists = entries.column(4).as_list::<i32>();
        let (first, last) = (lists.offsets().first() as usize, lists.offsets().last() as usize);
        let outputs = RecordBatch::from(lists.values().as_struct().slice(first, last - first));
        let outputs = self.found.rows.restore(outputs).ok()?;
        let decoded = self.found.rows.decode::<Out>(&outputs).ok()?;
        if !self.is_written_alike(&decoded, &outputs) {
            return None;
        }
        let mut outputs = decoded.into_iter();
        let entry = |index: usize| {
            let mut hash = [0; RowHash::BYTES];
            for (word, bytes) in (1..).zip(hash.as_chunks_mut::<8>().0) {
                *bytes = column(word)[index].to_be_bytes();
            }
            let rows = lists.value_length(index) as usize;
            Entry {
                row: column(0)[index],
                hash: RowHash::from_bytes(hash),
                outputs: outputs.by_ref().take(rows).collect(),
            }
        };
        Some((0..entries.num_rows()).map(entry).collect())
    }

    /// Whether rows that are written once more are what they were: a type may read others than it wrote.
    fn is_written_alike(&self, rows: &[Out], stored: &RecordBatch) -> bool {
        let schema = &self.found.rows;
        let Ok(written) = schema.encode(rows) else { return false };
        let is_read_alike = || {
            let read: Vec<Out> = schema.decode(&written).ok()?;
            Some(hash_rows(&read).ok()? == hash_rows(rows).ok()?)
        };
        // The entries of a map may be written in another order.
        written.columns() == stored.columns() || is_read_alike() == Some(true)
    }
}
