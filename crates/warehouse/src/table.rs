//! A table as it was when it was opened: its batches by input rows and by output rows.
//!
//! A [`Table`] is a snapshot. It keeps its files open, so that it can be read on while the table is
//! written, renamed or dropped. Any number of threads may read one at once; none of them moves a
//! cursor. Every batch that is read is checked against its checksum first.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::{Buffer, MutableBuffer};
use rowmark_hashing::ContentHash;
use rowmark_rows::{RowRange, RowRanges, RowSchema};

use crate::disk::ReadFile;
use crate::error::Damage;
use crate::format::batch::decode_batch;
use crate::format::footer::rows_by_code;
use crate::format::frame::{CHECKED_FROM, FRAME_HEAD_BYTES, FrameHead};
use crate::scan::Scan;
use crate::{CodeId, DroppedTail, Error, TableName};

/// A table, to be read; cheap to clone.
#[derive(Debug, Clone)]
pub struct Table {
    contents: Arc<Contents>,
}

/// What is known of a table without a look at its rows.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) name: TableName,
    pub(crate) schema: RowSchema,
    pub(crate) record: Vec<u8>,
    pub(crate) seal: Option<Seal>,
    pub(crate) segments: Vec<Segment>,
    /// In the order of their input rows.
    pub(crate) frames: Vec<Frame>,
    /// The first output row of each frame, and at the end the number of all.
    pub(crate) first_rows: Vec<u64>,
    pub(crate) processed: RowRanges,
    pub(crate) codes: BTreeMap<CodeId, u64>,
    pub(crate) dropped: Option<DroppedTail>,
}

#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) file: ReadFile,
    pub(crate) number: u32,
    pub(crate) identity: u64,
    /// How much of the file holds frames.
    pub(crate) bytes: u64,
}

/// What is known of a table once all of its rows are in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// How many input rows there were; the table has processed exactly `0..rows_in`.
    pub rows_in: u64,
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
    /// The position of the segment among those of the table.
    pub(crate) segment: u32,
    pub(crate) offset: u64,
    pub(crate) payload_bytes: u64,
}

impl Frame {
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

    pub(crate) fn new(head: &FrameHead, segment: u32) -> Self {
        Self {
            range: head.range,
            rows: head.rows,
            code: head.code,
            segment,
            offset: head.offset,
            payload_bytes: head.payload_bytes,
        }
    }
}

impl Contents {
    /// Orders the frames and counts their rows.
    pub(crate) fn new(
        name: TableName,
        schema: RowSchema,
        segments: Vec<Segment>,
        mut frames: Vec<Frame>,
    ) -> Result<Self, Error> {
        frames.sort_unstable_by_key(|frame| frame.range);
        if let Some(pair) = frames.windows(2).find(|pair| pair[0].range.end() > pair[1].range.start()) {
            let later = pair.iter().max_by_key(|frame| (frame.segment, frame.offset)).unwrap_or(&pair[1]);
            let range = pair[0].range.intersect(pair[1].range).unwrap_or(pair[1].range);
            return Err(Error::Damaged {
                path: segments[later.segment as usize].file.path().to_owned(),
                offset: later.offset,
                damage: Damage::Overlap { range },
            });
        }
        let mut first_rows = Vec::with_capacity(frames.len() + 1);
        first_rows.push(0_u64);
        let mut rows_out = 0_u64;
        for frame in &frames {
            rows_out = rows_out.saturating_add(frame.rows);
            first_rows.push(rows_out);
        }
        let processed = frames.iter().map(Frame::range).collect();
        let codes = rows_by_code(&frames);
        let (record, seal, dropped) = (Vec::new(), None, None);
        Ok(Self { name, schema, record, seal, segments, frames, first_rows, processed, codes, dropped })
    }
}

impl Table {
    pub(crate) fn new(contents: Contents) -> Self {
        Self { contents: Arc::new(contents) }
    }

    pub(crate) fn contents(&self) -> &Contents {
        &self.contents
    }

    /// The name that the table was opened by.
    #[must_use]
    pub fn name(&self) -> &TableName {
        &self.contents.name
    }

    /// What its rows look like.
    #[must_use]
    pub fn schema(&self) -> &RowSchema {
        &self.contents.schema
    }

    /// The input rows that have been processed, also those that yielded nothing.
    #[must_use]
    pub fn processed(&self) -> &RowRanges {
        &self.contents.processed
    }

    /// What is known since all rows are in, or `None` when the table is not sealed.
    #[must_use]
    pub fn seal(&self) -> Option<&Seal> {
        self.contents.seal.as_ref()
    }

    /// How many rows the table holds.
    #[must_use]
    pub fn rows_out(&self) -> u64 {
        self.contents.first_rows.last().copied().unwrap_or(0)
    }

    /// How many of its rows each code made.
    #[must_use]
    pub fn codes(&self) -> &BTreeMap<CodeId, u64> {
        &self.contents.codes
    }

    /// What the caller stored with the table: at the seal, or else with its newest segment.
    #[must_use]
    pub fn record(&self) -> &[u8] {
        &self.contents.record
    }

    /// The unfinished end of the newest segment, which a crash left and which is not used.
    #[must_use]
    pub fn dropped_tail(&self) -> Option<&DroppedTail> {
        self.contents.dropped.as_ref()
    }

    /// The batches, in the order of their input rows.
    #[must_use]
    pub fn frames(&self) -> &[Frame] {
        &self.contents.frames
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
        let Contents { schema, segments, frames, .. } = self.contents();
        let is_ours = frames
            .binary_search_by_key(&frame.range, Frame::range)
            .is_ok_and(|index| frames[index] == *frame);
        assert!(is_ours, "a frame is read from the table that it belongs to");
        let segment = &segments[frame.segment as usize];
        let damaged =
            |damage| Error::Damaged { path: segment.file.path().to_owned(), offset: frame.offset, damage };
        if frame.rows == 0 {
            return Ok(RecordBatch::new_empty(schema.arrow().clone()));
        }
        let payload = read_payload(segment, frame)?.map_err(damaged)?;
        let batch = decode_batch(&payload, schema.arrow().clone())
            .map_err(|source| damaged(Damage::Arrow { part: "batch", source }))?;
        if batch.num_rows() as u64 != frame.rows {
            return Err(damaged(Damage::Contradiction { part: "number of rows" }));
        }
        Ok(batch)
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

/// Reads a frame and checks it against the index and its checksum; answers its payload.
fn read_payload(segment: &Segment, frame: &Frame) -> Result<Result<Buffer, Damage>, Error> {
    let end = frame.offset + FRAME_HEAD_BYTES + frame.payload_bytes;
    if end > segment.file.bytes() {
        return Ok(Err(Damage::Truncated { expected: end, found: segment.file.bytes() }));
    }
    let mut bytes = MutableBuffer::from_len_zeroed((end - frame.offset) as usize);
    segment.file.read_at(&mut bytes, frame.offset)?;
    let head = &bytes[..FRAME_HEAD_BYTES as usize];
    let head = FrameHead::read(head, frame.offset, segment.identity, segment.bytes)
        .filter(|head| head.checksum == crc32c::crc32c(&bytes[CHECKED_FROM..]));
    Ok(match head {
        None => Err(Damage::Checksum { part: "frame" }),
        Some(head) if Frame::new(&head, frame.segment) != *frame => {
            Err(Damage::Contradiction { part: "frame" })
        }
        Some(_) => Ok(Buffer::from(bytes).slice(FRAME_HEAD_BYTES as usize)),
    })
}
