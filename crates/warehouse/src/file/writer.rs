//! Writing a table: batches are appended to one segment, and each commit is one `fdatasync`.
//!
//! Invariants: a segment file is written by one writer and never truncated or opened for writing
//! again, as it may be linked into another table. A writer whose write or sync failed is of no use
//! any more: where its segment ends is unknown. What it committed before is safe, and a new writer
//! continues from there.

use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use rowmark_hashing::ContentHash;
use rowmark_rows::{RowRange, RowRanges, RowSchema};

use crate::disk::{AppendFile, Disk};
use crate::format::batch::BatchEncoder;
use crate::format::footer::{Footer, FooterSegment};
use crate::format::frame::{FRAME_HEAD_BYTES, FrameHead};
use crate::format::header::{Header, Predecessor};
use crate::format::{BATCH_BYTES_MAX, RECORD_BYTES_MAX, SCHEMA_BYTES_MAX};
use crate::open::{FOOTER_FILE, segment_file};
use crate::table::{Frame, Seal, Segment, Table};
use crate::warehouse::Busy;
use crate::{CodeId, Error, TableName, Warehouse};

/// Appended batches are written (not synced) once they reach this size, so that memory is bounded.
const BUFFER_BYTES_MAX: usize = 8 << 20;

/// The one writer of a table; made by [`Warehouse::create`] and [`Warehouse::resume`].
///
/// Batches that were appended and not committed are lost when it is dropped.
#[derive(Debug)]
pub struct TableWriter {
    warehouse: Warehouse,
    busy: Busy,
    folder: PathBuf,
    schema: RowSchema,
    record: Vec<u8>,
    encoder: BatchEncoder,
    /// The segments up to the one that is being written, each as far as it is durable.
    segments: Vec<FooterSegment>,
    current: Option<OpenSegment>,
    frames: Vec<Frame>,
    processed: RowRanges,
    rows_out: u64,
    has_failed: bool,
}

/// The segment that is being written.
#[derive(Debug)]
struct OpenSegment {
    file: AppendFile,
    identity: u64,
    written_bytes: u64,
    durable_bytes: u64,
}

impl TableWriter {
    pub(crate) fn create(
        warehouse: Warehouse,
        busy: Busy,
        folder: PathBuf,
        schema: &RowSchema,
        record: &[u8],
    ) -> Result<Self, Error> {
        let mut writer = Self::new(warehouse, busy, folder, schema, record)?;
        writer.begin_segment()?;
        Ok(writer)
    }

    pub(crate) fn resume(
        warehouse: Warehouse,
        busy: Busy,
        folder: PathBuf,
        table: &Table,
    ) -> Result<Self, Error> {
        let mut writer = Self::new(warehouse, busy, folder, table.schema(), table.record())?;
        let listed = |segment: &Segment| FooterSegment {
            number: segment.number,
            identity: segment.identity,
            bytes: segment.bytes,
        };
        writer.segments = table.contents().segments.iter().map(listed).collect();
        writer.frames = table.frames().to_vec();
        writer.processed = table.processed().clone();
        writer.rows_out = table.rows_out();
        Ok(writer)
    }

    fn new(
        warehouse: Warehouse,
        busy: Busy,
        folder: PathBuf,
        schema: &RowSchema,
        record: &[u8],
    ) -> Result<Self, Error> {
        check_record(busy.table(), record)?;
        let encoder = BatchEncoder::new(schema).map_err(|source| Error::Encode {
            table: busy.table().clone(),
            what: "the schema",
            source,
        })?;
        check_size(busy.table(), "the schema", encoder.schema_ipc().len(), SCHEMA_BYTES_MAX)?;
        Ok(Self {
            warehouse,
            busy,
            folder,
            schema: schema.clone(),
            record: record.to_vec(),
            encoder,
            segments: Vec::new(),
            current: None,
            frames: Vec::new(),
            processed: RowRanges::new(),
            rows_out: 0,
            has_failed: false,
        })
    }

    /// The table's name.
    #[must_use]
    pub fn name(&self) -> &TableName {
        self.busy.table()
    }

    /// What the table's rows look like.
    #[must_use]
    pub fn schema(&self) -> &RowSchema {
        &self.schema
    }

    /// The input rows that are committed or appended.
    #[must_use]
    pub fn processed(&self) -> &RowRanges {
        &self.processed
    }

    /// How many rows are committed or appended.
    #[must_use]
    pub fn rows_out(&self) -> u64 {
        self.rows_out
    }

    /// The batches that are committed or appended: first those that the writer found, in the order of
    /// their input rows, then its own as they came.
    #[must_use]
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// Adds the output of the input rows `range`, made by `code`; a batch without rows is one too.
    ///
    /// The batch is durable after the next [`TableWriter::commit`].
    ///
    /// # Errors
    ///
    /// [`Error::Overlap`], [`Error::EmptyRange`], [`Error::SchemaMismatch`], [`Error::TooLarge`] or
    /// [`Error::Encode`], after which the writer goes on as if nothing had happened;
    /// [`Error::WriterFailed`], or [`Error::Io`].
    pub fn append(&mut self, range: RowRange, code: CodeId, batch: &RecordBatch) -> Result<(), Error> {
        self.check_batch(range, batch)?;
        if self.current.is_none()
            && let Err(error) = self.begin_segment()
        {
            self.has_failed = true;
            return Err(error);
        }
        let start = self.encoder.buffer().len();
        let current = self.current.as_ref().expect("a segment was begun");
        let OpenSegment { identity, written_bytes, durable_bytes, .. } = *current;
        let offset = written_bytes + start as u64;
        let encoded = self.encode_frame(batch);
        let frame = &mut self.encoder.buffer()[start..];
        let payload_bytes = frame.len() as u64 - FRAME_HEAD_BYTES;
        let encoded = encoded
            .and_then(|()| check_size(self.busy.table(), "a batch", payload_bytes as usize, BATCH_BYTES_MAX));
        if encoded.is_err() {
            self.encoder.buffer().truncate(start);
            return encoded;
        }
        let rows = batch.num_rows() as u64;
        let head =
            FrameHead { checksum: 0, offset, identity, payload_bytes, durable_bytes, range, rows, code };
        head.write(&mut self.encoder.buffer()[start..]);

        let segment = u32::try_from(self.segments.len() - 1).expect("segments are counted in 32 bits");
        self.frames.push(Frame::new(&head, segment));
        self.processed.insert(range);
        self.rows_out += rows;
        if self.encoder.buffer().len() >= BUFFER_BYTES_MAX {
            self.write_buffer()?;
        }
        Ok(())
    }

    /// Makes what was appended durable: one write and one `fdatasync`, or nothing if there is nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], after which the writer answers [`Error::WriterFailed`] to everything: what was
    /// appended since the last commit is to be appended again to a resumed writer, as far as that
    /// does not hold it.
    pub fn commit(&mut self) -> Result<(), Error> {
        self.refuse_if_failed()?;
        self.write_buffer()?;
        let Some(current) = &mut self.current else { return Ok(()) };
        if current.written_bytes == current.durable_bytes {
            return Ok(());
        }
        if let Err(error) = current.file.sync() {
            self.has_failed = true;
            return Err(error);
        }
        current.durable_bytes = current.written_bytes;
        if let Some(segment) = self.segments.last_mut() {
            segment.bytes = current.durable_bytes;
        }
        Ok(())
    }

    /// Stores another record with the table, from the next segment on; commits what was appended.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`], and those of [`TableWriter::commit`].
    pub fn set_record(&mut self, record: &[u8]) -> Result<(), Error> {
        check_record(self.busy.table(), record)?;
        if self.record != record {
            self.commit()?;
            self.current = None;
            self.record = record.to_vec();
        }
        Ok(())
    }

    /// Commits, and closes the table for good: it must have processed exactly `0..seal.rows_in`.
    ///
    /// # Errors
    ///
    /// [`Error::Incomplete`], [`Error::TooLarge`], and those of [`TableWriter::commit`]; the table can
    /// be resumed then.
    pub fn seal(mut self, seal: Seal) -> Result<Table, Error> {
        check_record(self.busy.table(), &seal.record)?;
        self.commit()?;
        self.check_complete(seal.rows_in)?;
        self.frames.sort_unstable_by_key(Frame::range);
        let footer = Footer {
            schema_ipc: self.encoder.schema_ipc().to_vec(),
            seal,
            segments: std::mem::take(&mut self.segments),
            frames: std::mem::take(&mut self.frames),
        };
        write_footer(self.warehouse.disk(), &self.folder, &footer)?;
        self.warehouse
            .open_table(self.busy.table())?
            .ok_or_else(|| Error::TableMissing { table: self.busy.table().clone() })
    }

    /// Takes note that the table's folder has been renamed.
    pub(crate) fn set_folder(&mut self, folder: PathBuf) {
        if let (Some(current), Some(segment)) = (&mut self.current, self.segments.last()) {
            current.file.set_path(folder.join(segment_file(segment.number)));
        }
        self.folder = folder;
    }

    fn check_batch(&self, range: RowRange, batch: &RecordBatch) -> Result<(), Error> {
        self.refuse_if_failed()?;
        let table = || self.busy.table().clone();
        if range.is_empty() {
            return Err(Error::EmptyRange { table: table(), range, rows: batch.num_rows() });
        }
        if let Some(other) = self.processed.overlap(range) {
            return Err(Error::Overlap { table: table(), range, other });
        }
        match self.schema.first_difference(&RowSchema::from_arrow(batch.schema())) {
            Some(difference) => {
                Err(Error::SchemaMismatch { table: table(), difference: Box::new(difference) })
            }
            None => Ok(()),
        }
    }

    /// Appends room for a head, and the batch, to the buffer.
    fn encode_frame(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let buffer = self.encoder.buffer();
        buffer.resize(buffer.len() + FRAME_HEAD_BYTES as usize, 0);
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let table = self.busy.table();
        let encoded = self.encoder.encode(batch);
        encoded.map_err(|source| Error::Encode { table: table.clone(), what: "a batch", source })
    }

    /// Writes what is buffered; it is durable after the next sync.
    fn write_buffer(&mut self) -> Result<(), Error> {
        let Some(current) = &mut self.current else { return Ok(()) };
        let buffer = self.encoder.buffer();
        if let Err(error) = current.file.append(buffer) {
            self.has_failed = true;
            return Err(error);
        }
        current.written_bytes += buffer.len() as u64;
        buffer.clear();
        buffer.shrink_to(2 * BUFFER_BYTES_MAX);
        Ok(())
    }

    /// Makes the next segment: its header is durable before the file has a segment's name.
    fn begin_segment(&mut self) -> Result<(), Error> {
        let table = self.busy.table();
        let number = self.segments.last().map_or(0, |segment| segment.number) + 1;
        let identity = segment_identity(table, number);
        let predecessor = self
            .segments
            .last()
            .map(|segment| Predecessor { identity: segment.identity, bytes: segment.bytes });
        let schema_ipc = self.encoder.schema_ipc().to_vec();
        let header =
            Header { number, identity, predecessor, schema_ipc, record: self.record.clone() }.encode();

        let disk = self.warehouse.disk();
        let path = self.folder.join(segment_file(number));
        let unfinished = path.with_extension("new");
        disk.remove_file_if_there(&unfinished)?;
        let mut file = disk.create_file(&unfinished)?;
        file.append(&header)?;
        file.sync()?;
        if disk.exists(&path)? {
            return Err(Error::BeingWritten { table: table.clone() });
        }
        disk.rename(&unfinished, &path)?;
        file.set_path(path);
        disk.sync_folder(&self.folder)?;

        let bytes = header.len() as u64;
        self.segments.push(FooterSegment { number, identity, bytes });
        self.current = Some(OpenSegment { file, identity, written_bytes: bytes, durable_bytes: bytes });
        Ok(())
    }

    fn refuse_if_failed(&self) -> Result<(), Error> {
        if self.has_failed { Err(Error::WriterFailed { table: self.busy.table().clone() }) } else { Ok(()) }
    }

    fn check_complete(&self, rows_in: u64) -> Result<(), Error> {
        let missing = self.processed.missing_in(RowRange::new(0, rows_in));
        let beyond = RowRange::new(rows_in, u64::MAX);
        let surplus: RowRanges = self.processed.iter().filter_map(|range| range.intersect(beyond)).collect();
        if missing.is_empty() && surplus.is_empty() {
            return Ok(());
        }
        Err(Error::Incomplete { table: self.busy.table().clone(), rows_in, missing, surplus })
    }
}

/// Writes a footer so that it is there whole or not at all.
pub(crate) fn write_footer(disk: &Disk, folder: &Path, footer: &Footer) -> Result<(), Error> {
    let path = folder.join(FOOTER_FILE);
    let unfinished = path.with_extension("new");
    disk.remove_file_if_there(&unfinished)?;
    let mut file = disk.create_file(&unfinished)?;
    file.append(&footer.encode())?;
    file.sync()?;
    disk.rename(&unfinished, &path)?;
    disk.sync_folder(folder)
}

pub(crate) fn check_record(table: &TableName, record: &[u8]) -> Result<(), Error> {
    check_size(table, "the record", record.len(), RECORD_BYTES_MAX)
}

fn check_size(table: &TableName, what: &'static str, bytes: usize, bytes_max: u64) -> Result<(), Error> {
    let bytes = bytes as u64;
    if bytes > bytes_max {
        return Err(Error::TooLarge { table: table.clone(), what, bytes, bytes_max });
    }
    Ok(())
}

/// Distinguishes segments; it needs to be unlikely to repeat, and nothing more.
fn segment_identity(table: &TableName, number: u32) -> u64 {
    let name = ("rowmark segment", table.to_string(), number);
    let hash = ContentHash::of(&name).expect("strings and numbers always have a hash");
    let [a, b, c, d, e, f, g, h, ..] = *hash.as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}
