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

use super::appender::{Appender, PIECE_BYTES};
use super::batches::SegmentBatches;
use super::disk::Disk;
use super::format::BATCH_BYTES_MAX;
use super::format::batch::BatchEncoder;
use super::format::footer::{Footer, FooterSegment};
use super::format::frame::{FRAME_HEAD_BYTES, FrameHead};
use super::format::header::{Header, Predecessor};
use super::format::needs::Needs;
use super::format::{digests, inputs};
use super::open::{FOOTER_FILE, Opened, open_listed, segment_file};
use super::segment::Segment;
use super::{Busy, FileWarehouse};
use crate::inputs::assert_told;
use crate::table::{Contents, Frame, Seal, Table};
use crate::writer::{check_batch, check_complete, check_record, check_size};
use crate::{BatchDigests, CodeId, Compression, Error, InputRow, TableName, TableWriter, Warehouse};

/// What was written is made durable in the background once it reaches this size: so a commit has little to wait for.
const UNSYNCED_BYTES_MAX: u64 = 8 << 20;

/// The one writer of a table.
#[derive(Debug)]
pub(super) struct FileWriter {
    warehouse: FileWarehouse,
    busy: Busy,
    folder: PathBuf,
    schema: RowSchema,
    record: Vec<u8>,
    encoder: BatchEncoder,
    /// How the batches of the new segments, and of those before them, are compressed.
    compression: Compression,
    needs: Needs,
    /// Whether the segment that is being written, or the next one, may hold inputs.
    keeps_inputs: bool,
    /// The segments up to the one that is being written, each as far as it is durable.
    segments: Vec<FooterSegment>,
    /// The last of the segments, if it is this writer's own.
    current: Option<Appender>,
    /// Up to where it has been asked to become durable.
    asked_bytes: u64,
    frames: Vec<Frame>,
    processed: RowRanges,
    rows_out: u64,
    has_failed: bool,
}

impl FileWriter {
    pub(super) fn create(
        warehouse: FileWarehouse,
        busy: Busy,
        folder: PathBuf,
        schema: &RowSchema,
        record: &[u8],
        keeps_inputs: bool,
    ) -> Result<Self, Error> {
        let mut writer = Self { keeps_inputs, ..Self::new(warehouse, busy, folder, schema, record)? };
        writer.begin_segment()?;
        Ok(writer)
    }

    pub(super) fn resume(
        warehouse: FileWarehouse,
        busy: Busy,
        folder: PathBuf,
        opened: &Opened,
    ) -> Result<Self, Error> {
        let Opened { table, needs, segments } = opened;
        let mut writer = Self::new(warehouse, busy, folder, table.schema(), table.record())?;
        writer.take_over(table, *needs, segments);
        Ok(writer)
    }

    /// Goes on with segments that are linked into a folder of their own, with one that is there before the table is.
    pub(super) fn resume_copy(
        warehouse: FileWarehouse,
        busy: Busy,
        folder: PathBuf,
        table: &Table,
        (segments, needs): (&[Segment], Needs),
        record: &[u8],
    ) -> Result<Self, Error> {
        let mut writer = Self::new(warehouse, busy, folder, table.schema(), record)?;
        writer.take_over(table, needs, segments);
        writer.keeps_inputs = needs.contains(Needs::INPUTS);
        open_listed(writer.warehouse.disk(), &writer.folder, &writer.segments)?;
        writer.begin_segment()?;
        Ok(writer)
    }

    fn take_over(&mut self, table: &Table, needs: Needs, segments: &[Segment]) {
        self.needs = needs;
        self.segments = segments.iter().map(Segment::listed).collect();
        self.frames = table.frames().to_vec();
        self.processed = table.processed().clone();
        self.rows_out = table.rows_out();
    }

    fn new(
        warehouse: FileWarehouse,
        busy: Busy,
        folder: PathBuf,
        schema: &RowSchema,
        record: &[u8],
    ) -> Result<Self, Error> {
        check_record(busy.table(), record)?;
        let compression = warehouse.compression;
        let encoder = BatchEncoder::new(busy.table(), schema, compression)?;
        Ok(Self {
            warehouse,
            busy,
            folder,
            schema: schema.clone(),
            record: record.to_vec(),
            encoder,
            compression,
            needs: Needs::NOTHING,
            keeps_inputs: false,
            segments: Vec::new(),
            current: None,
            asked_bytes: 0,
            frames: Vec::new(),
            processed: RowRanges::new(),
            rows_out: 0,
            has_failed: false,
        })
    }

    /// Takes note that the table's folder has been renamed.
    pub(super) fn set_folder(&mut self, folder: PathBuf) {
        let file = self.current.as_mut().and_then(Appender::file);
        if let (Some(file), Some(segment)) = (file, self.segments.last()) {
            file.set_path(folder.join(segment_file(segment.number)));
        }
        self.folder = folder;
    }

    /// Appends room for a head, what is told beside the batch, and the batch, to the buffer.
    fn encode_frame(&mut self, batch: &RecordBatch, told: Option<Told<'_>>) -> Result<(), Error> {
        let buffer = self.encoder.buffer();
        buffer.resize(buffer.len() + FRAME_HEAD_BYTES as usize, 0);
        if let Some(Told { inputs, digests }) = told {
            digests::encode(digests, buffer);
            inputs::encode(inputs, buffer);
        }
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let table = self.busy.table();
        let encoded = self.encoder.encode(batch);
        encoded.map_err(|source| Error::Encode { table: table.clone(), what: "a batch", source })
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
        let needs = self.compression.needs();
        let needs = if self.keeps_inputs { needs.and(Needs::INPUTS) } else { needs };
        let header =
            Header { needs, number, identity, predecessor, schema_ipc, record: self.record.clone() }.encode();

        let path = self.folder.join(segment_file(number));
        let file = self.warehouse.disk().create_whole(&path, &header)?;
        let file = file.ok_or_else(|| Error::BeingWritten { table: table.clone() })?;
        self.current = Some(Appender::new(table.clone(), file, header.len() as u64));
        self.asked_bytes = header.len() as u64;
        self.needs = self.needs.and(needs);
        self.segments.push(FooterSegment { number, identity, bytes: header.len() as u64 });
        Ok(())
    }

    fn append_frame(
        &mut self,
        range: RowRange,
        code: CodeId,
        batch: &RecordBatch,
        told: Option<Told<'_>>,
    ) -> Result<(), Error> {
        self.refuse_if_failed()?;
        check_batch(self, range, batch)?;
        if self.current.is_none() {
            let begun = self.begin_segment();
            self.has_failed = begun.is_err();
            begun?;
        }
        let start = self.encoder.buffer().len();
        let current = self.current.as_ref().expect("a segment was begun");
        let (offset, durable_bytes) = (current.bytes() + start as u64, current.durable_bytes());
        let identity = self.segments.last().expect("a segment was begun").identity;
        let encoded = self.encode_frame(batch, told);
        let frame = &mut self.encoder.buffer()[start..];
        let payload_bytes = frame.len() as u64 - FRAME_HEAD_BYTES;
        let encoded = encoded
            .and_then(|()| check_size(self.busy.table(), "a batch", payload_bytes as usize, BATCH_BYTES_MAX));
        if encoded.is_err() {
            self.encoder.buffer().truncate(start);
            return encoded;
        }
        let rows = batch.num_rows() as u64;
        let has_inputs = told.is_some();
        let head = FrameHead {
            checksum: 0,
            offset,
            identity,
            payload_bytes,
            durable_bytes,
            range,
            rows,
            code,
            has_inputs,
        };
        head.write(&mut self.encoder.buffer()[start..]);

        let segment = u32::try_from(self.segments.len() - 1).expect("segments are counted in 32 bits");
        self.frames.push(head.indexed(segment));
        self.processed.insert(range);
        self.rows_out += rows;
        if self.encoder.buffer().len() >= PIECE_BYTES {
            self.write()?;
            if self.unasked_bytes() >= UNSYNCED_BYTES_MAX {
                self.begin_commit()?;
            }
        }
        Ok(())
    }

    /// Writes what is in the buffer, or sends it on its way.
    fn write(&mut self) -> Result<(), Error> {
        self.refuse_if_failed()?;
        let Some(file) = &mut self.current else { return Ok(()) };
        let buffer = self.encoder.buffer();
        if buffer.is_empty() {
            return Ok(());
        }
        let written = file.append(buffer);
        self.has_failed = written.is_err();
        written
    }

    /// How much is written that was not asked to become durable.
    fn unasked_bytes(&self) -> u64 {
        self.current.as_ref().map_or(0, |file| file.bytes() - self.asked_bytes)
    }

    /// Writes what is in the buffer, and syncs what no sync has answered for, or was asked to.
    fn make_durable(&mut self, sync: fn(&mut Appender) -> Result<(), Error>) -> Result<(), Error> {
        self.write()?;
        let Some(file) = self.current.as_mut().filter(|file| file.durable_bytes() < file.bytes()) else {
            return Ok(());
        };
        let synced = sync(file);
        self.has_failed = synced.is_err();
        self.asked_bytes = file.bytes();
        synced
    }

    fn refuse_if_failed(&self) -> Result<(), Error> {
        if self.has_failed { Err(Error::WriterFailed { table: self.busy.table().clone() }) } else { Ok(()) }
    }
}

impl TableWriter for FileWriter {
    fn name(&self) -> &TableName {
        self.busy.table()
    }

    fn schema(&self) -> &RowSchema {
        &self.schema
    }

    fn processed(&self) -> &RowRanges {
        &self.processed
    }

    fn rows_out(&self) -> u64 {
        self.rows_out
    }

    fn frames(&self) -> &[Frame] {
        &self.frames
    }

    fn append(&mut self, range: RowRange, code: CodeId, batch: &RecordBatch) -> Result<(), Error> {
        self.append_frame(range, code, batch, None)
    }

    fn append_with_inputs(
        &mut self,
        range: RowRange,
        code: CodeId,
        batch: &RecordBatch,
        inputs: &[InputRow],
        digests: &BatchDigests,
    ) -> Result<(), Error> {
        assert_told(range, batch.num_rows(), inputs, digests);
        if !self.keeps_inputs {
            self.commit()?;
            self.current = None;
            self.keeps_inputs = true;
        }
        self.append_frame(range, code, batch, Some(Told { inputs, digests }))
    }

    fn begin_commit(&mut self) -> Result<(), Error> {
        self.write()?;
        if self.unasked_bytes() == 0 { Ok(()) } else { self.make_durable(Appender::begin_sync) }
    }

    fn commit(&mut self) -> Result<(), Error> {
        self.make_durable(Appender::sync)?;
        if let (Some(file), Some(segment)) = (&self.current, self.segments.last_mut()) {
            segment.bytes = file.bytes();
        }
        Ok(())
    }

    fn written(&mut self) -> Result<Table, Error> {
        self.commit()?;
        let segments = open_listed(self.warehouse.disk(), &self.folder, &self.segments)?.into();
        let (schema, needs) = (self.schema.clone(), self.needs);
        Ok(Table::new(Contents {
            name: self.busy.table().clone(),
            schema: schema.clone(),
            record: self.record.clone(),
            seal: None,
            frames: self.frames.clone(),
            dropped_tail: None,
            batches: Box::new(SegmentBatches { segments, schema, needs }),
        }))
    }

    fn set_record(&mut self, record: &[u8]) -> Result<(), Error> {
        check_record(self.busy.table(), record)?;
        if self.record != record {
            self.commit()?;
            self.current = None;
            self.record = record.to_vec();
        }
        Ok(())
    }

    fn seal(mut self: Box<Self>, seal: Seal) -> Result<Table, Error> {
        check_record(self.busy.table(), &seal.record)?;
        self.commit()?;
        check_complete(&*self, &seal)?;
        self.frames.sort_unstable_by_key(Frame::range);
        let footer = Footer {
            needs: self.needs,
            schema_ipc: self.encoder.schema_ipc().to_vec(),
            seal,
            segments: std::mem::take(&mut self.segments),
            frames: std::mem::take(&mut self.frames),
        };
        write_footer(self.warehouse.disk(), self.busy.table(), &self.folder, &footer)?;
        self.warehouse
            .open_table(self.busy.table())?
            .ok_or_else(|| Error::TableMissing { table: self.busy.table().clone() })
    }
}

/// Seals a table.
pub(super) fn write_footer(
    disk: &Disk,
    table: &TableName,
    folder: &Path,
    footer: &Footer,
) -> Result<(), Error> {
    let file = disk.create_whole(&folder.join(FOOTER_FILE), &footer.encode())?;
    file.map(drop).ok_or_else(|| Error::TableSealed { table: table.clone() })
}

/// What is told beside a batch.
#[derive(Clone, Copy)]
struct Told<'a> {
    inputs: &'a [InputRow],
    digests: &'a BatchDigests,
}

/// Distinguishes segments; it needs to be unlikely to repeat, and nothing more.
fn segment_identity(table: &TableName, number: u32) -> u64 {
    let name = ("rowmark segment", table.to_string(), number);
    let hash = ContentHash::of(&name).expect("strings and numbers always have a hash");
    let [a, b, c, d, e, f, g, h, ..] = *hash.as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}
