//! A table as it was when it was opened: its batches by input rows and by output rows.
//!
//! A [`Table`] is a snapshot, whichever store it comes from: it can be read on while the table is written, renamed
//! or dropped. Any number of threads may read one at once.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use arrow_array::RecordBatch;
use rowmark_hashing::ContentHash;
use rowmark_rows::{RowRange, RowRanges, RowSchema};

use crate::scan::Scan;
use crate::{BatchDigests, CodeId, DroppedTail, Error, InputRow, TableName};

/// A table, to be read; cheap to clone.
#[derive(Debug, Clone)]
pub struct Table {
    index: Arc<Index>,
}

/// What a store knows of a table when it opens it.
#[derive(Debug)]
pub struct Contents {
    /// The name that the table was opened by.
    pub name: TableName,
    /// What its rows look like.
    pub schema: RowSchema,
    /// What the caller stored with the table: at the seal, or else with its newest segment.
    pub record: Vec<u8>,
    /// What is known once all of its input is settled.
    pub seal: Option<Seal>,
    /// The batches in any order; no two of them of the same input row.
    pub frames: Vec<Frame>,
    /// The unfinished end that was left out.
    pub dropped_tail: Option<DroppedTail>,
    /// Where the rows are.
    pub batches: Box<dyn Batches>,
}

/// Where the batches of an open table are read from.
pub trait Batches: Any + Debug + Send + Sync {
    /// Reads one of the batches that the table was opened with.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] when the bytes are not those that were written; [`Error::Io`].
    fn read(&self, frame: &Frame) -> Result<RecordBatch, Error>;

    /// Reads what was stored with a batch of its input rows, if that was.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    fn inputs(&self, frame: &Frame) -> Result<Option<Vec<InputRow>>, Error>;

    /// Reads the digests that were stored with a batch, if they were.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    fn digests(&self, frame: &Frame) -> Result<Option<BatchDigests>, Error>;
}

#[derive(Debug)]
struct Index {
    /// With its frames in the order of their input rows.
    contents: Contents,
    /// The first output row of each frame, and at the end the number of all.
    first_rows: Vec<u64>,
    processed: RowRanges,
    codes: BTreeMap<CodeId, u64>,
}

/// What is known of a table once all of its input is settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// How many input rows there were, numbered from 0.
    pub rows_in: u64,
    /// The input rows that failed and have no output; the table has processed all others.
    pub failed: RowRanges,
    /// The hash of the table's rows.
    pub content_hash: ContentHash,
    /// What the caller wants to find again with the table.
    pub record: Vec<u8>,
}

/// One committed batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    pub(crate) range: RowRange,
    pub(crate) rows: u64,
    pub(crate) code: CodeId,
    pub(crate) place: Place,
}

/// Where in a table's files a batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Place {
    /// The position of the segment among those of the table.
    pub(crate) segment: u32,
    pub(crate) offset: u64,
    pub(crate) payload_bytes: u64,
}

impl Frame {
    /// Describes the batch of `rows` rows that `code` made of the input rows `range`.
    #[must_use]
    pub fn new(range: RowRange, rows: u64, code: CodeId) -> Self {
        Self { range, rows, code, place: Place::default() }
    }

    /// The input rows that the batch was made from.
    #[must_use]
    pub fn range(&self) -> RowRange {
        self.range
    }

    /// How many rows the batch holds.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The code that made the batch.
    #[must_use]
    pub fn code(&self) -> CodeId {
        self.code
    }
}

/// Rows by code: for people, and for the choice of what to compute again.
pub(crate) fn rows_by_code(frames: &[Frame]) -> BTreeMap<CodeId, u64> {
    let mut codes = BTreeMap::new();
    for frame in frames {
        let rows: &mut u64 = codes.entry(frame.code()).or_default();
        *rows = rows.saturating_add(frame.rows());
    }
    codes
}

impl Table {
    /// Makes a table that can be read, of what a store has found out about it.
    ///
    /// # Panics
    ///
    /// When two frames hold the same input row: a store finds that out before.
    #[must_use]
    pub fn new(mut contents: Contents) -> Self {
        let frames = &mut contents.frames;
        frames.sort_unstable_by_key(Frame::range);
        let is_disjoint = frames.windows(2).all(|pair| pair[0].range.end() <= pair[1].range.start());
        assert!(is_disjoint, "an input row of table {} is in two batches", contents.name);
        let mut first_rows = vec![0_u64];
        first_rows.extend(frames.iter().scan(0_u64, |rows_out, frame| {
            *rows_out = rows_out.saturating_add(frame.rows);
            Some(*rows_out)
        }));
        let processed = frames.iter().map(Frame::range).collect();
        let codes = rows_by_code(frames);
        Self { index: Arc::new(Index { contents, first_rows, processed, codes }) }
    }

    /// The name that the table was opened by.
    #[must_use]
    pub fn name(&self) -> &TableName {
        &self.index.contents.name
    }

    /// What its rows look like.
    #[must_use]
    pub fn schema(&self) -> &RowSchema {
        &self.index.contents.schema
    }

    /// The input rows that have been processed, also those that yielded nothing.
    #[must_use]
    pub fn processed(&self) -> &RowRanges {
        &self.index.processed
    }

    /// What is known since all input is settled, or `None` when the table is not sealed.
    #[must_use]
    pub fn seal(&self) -> Option<&Seal> {
        self.index.contents.seal.as_ref()
    }

    /// How many rows the table holds.
    #[must_use]
    pub fn rows_out(&self) -> u64 {
        self.first_rows().last().copied().unwrap_or(0)
    }

    /// How many of its rows each code made.
    #[must_use]
    pub fn codes(&self) -> &BTreeMap<CodeId, u64> {
        &self.index.codes
    }

    /// What the caller stored with the table: at the seal, or else with its newest segment.
    #[must_use]
    pub fn record(&self) -> &[u8] {
        &self.index.contents.record
    }

    /// The unfinished end of the newest segment, which a crash left and which is not used.
    #[must_use]
    pub fn dropped_tail(&self) -> Option<&DroppedTail> {
        self.index.contents.dropped_tail.as_ref()
    }

    /// The batches, in the order of their input rows.
    #[must_use]
    pub fn frames(&self) -> &[Frame] {
        &self.index.contents.frames
    }

    /// The first output row of each frame, and at the end the number of all.
    pub(crate) fn first_rows(&self) -> &[u64] {
        &self.index.first_rows
    }

    /// Reads one batch.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] when the bytes are not those that were written; [`Error::Io`].
    ///
    /// # Panics
    ///
    /// When the frame is one of another table.
    pub fn read(&self, frame: &Frame) -> Result<RecordBatch, Error> {
        self.assert_ours(frame);
        if frame.rows == 0 {
            return Ok(RecordBatch::new_empty(self.schema().arrow().clone()));
        }
        self.index.contents.batches.read(frame)
    }

    /// Reads what was stored with a batch of its input rows, one for each row of its range; `None` where the batch was
    /// [appended](crate::TableWriter::append_with_inputs) without. The batch itself is not read.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    ///
    /// # Panics
    ///
    /// When the frame is one of another table.
    pub fn inputs(&self, frame: &Frame) -> Result<Option<Vec<InputRow>>, Error> {
        self.assert_ours(frame);
        self.index.contents.batches.inputs(frame)
    }

    /// Reads the digests that were stored with a batch; `None` where the batch was
    /// [appended](crate::TableWriter::append_with_inputs) without. Neither the batch nor its input rows are read.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    ///
    /// # Panics
    ///
    /// When the frame is one of another table.
    pub fn digests(&self, frame: &Frame) -> Result<Option<BatchDigests>, Error> {
        self.assert_ours(frame);
        self.index.contents.batches.digests(frame)
    }

    /// Where the rows are, for the store that they are in.
    pub(crate) fn batches(&self) -> &dyn Any {
        &*self.index.contents.batches
    }

    fn assert_ours(&self, frame: &Frame) {
        let frames = self.frames();
        let is_ours = frames
            .binary_search_by_key(&frame.range, Frame::range)
            .is_ok_and(|index| frames[index] == *frame);
        assert!(is_ours, "a frame is read from the table that it belongs to");
    }

    /// Reads all batches, one after the other, in the order of their input rows.
    ///
    /// Batches without rows are left out. Memory holds one batch at a time.
    #[must_use]
    pub fn scan(&self) -> Scan {
        self.scan_rows(RowRange::new(0, self.rows_out()))
    }

    /// Reads the output rows whose numbers, counted from 0 in that order, are in `rows`.
    ///
    /// Numbers beyond the end of the table are left out.
    #[must_use]
    pub fn scan_rows(&self, rows: RowRange) -> Scan {
        Scan::new(self.clone(), rows)
    }
}
