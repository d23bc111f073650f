//! Record batches and schemas as encapsulated Arrow IPC messages.
//!
//! The schema message of a segment followed by the payloads of its frames is an Arrow IPC stream,
//! so any Arrow implementation reads them. Dictionaries are refused: they would tie frames together.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::MetadataVersion;
use arrow_ipc::convert::try_schema_from_ipc_buffer;
use arrow_ipc::reader::read_record_batch;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow_schema::{ArrowError, DataType, FieldRef};
use rowmark_rows::RowSchema;

use super::SCHEMA_BYTES_MAX;
use crate::writer::check_size;
use crate::{Compression, Error, TableName};

/// Buffers are padded to this many bytes: the least that Arrow allows, as many frames are small.
const ALIGNMENT_BYTES: usize = 8;
/// A byte of LZ4 stands for at most this many.
const LZ4_EXPANSION_MAX: i64 = 255;
/// A block of 128 KiB takes at least 4 bytes of Zstandard.
const ZSTD_EXPANSION_MAX: i64 = 1 << 15;
const CONTINUATION: [u8; 4] = [0xff; 4];

/// Encodes batches of one schema behind each other into one buffer, among other bytes.
pub(crate) struct BatchEncoder {
    writer: StreamWriter<Vec<u8>>,
    schema_ipc: Vec<u8>,
}

impl BatchEncoder {
    pub(crate) fn new(
        table: &TableName,
        schema: &RowSchema,
        compression: Compression,
    ) -> Result<Self, Error> {
        let codec = match compression {
            Compression::None => None,
            #[cfg(feature = "lz4")]
            Compression::Lz4 => Some(arrow_ipc::CompressionType::LZ4_FRAME),
            #[cfg(feature = "zstd")]
            Compression::Zstd => Some(arrow_ipc::CompressionType::ZSTD),
        };
        let begin = || {
            let options = IpcWriteOptions::try_new(ALIGNMENT_BYTES, false, MetadataVersion::V5)?;
            let options = options.try_with_compression(codec)?;
            StreamWriter::try_new_with_options(Vec::new(), schema.arrow(), options)
        };
        let what = "the schema";
        let mut writer = begin().map_err(|source| Error::Encode { table: table.clone(), what, source })?;
        let schema_ipc = std::mem::take(writer.get_mut());
        check_size(table, what, schema_ipc.len(), SCHEMA_BYTES_MAX)?;
        Ok(Self { writer, schema_ipc })
    }

    /// The schema, as it was encoded first.
    pub(crate) fn schema_ipc(&self) -> &[u8] {
        &self.schema_ipc
    }

    /// What has been encoded and not been taken yet.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        self.writer.get_mut()
    }

    /// Appends a batch to the buffer.
    pub(crate) fn encode(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        self.writer.write(batch)
    }
}

impl std::fmt::Debug for BatchEncoder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("BatchEncoder").field("buffered", &self.writer.get_ref().len()).finish()
    }
}

pub(crate) fn decode_schema(schema_ipc: &[u8]) -> Result<RowSchema, ArrowError> {
    Ok(RowSchema::from_arrow(Arc::new(try_schema_from_ipc_buffer(schema_ipc)?)))
}

/// Reads a batch; its columns are slices of `payload` wherever they are aligned.
pub(crate) fn decode_batch(payload: &Buffer, schema: &RowSchema) -> Result<RecordBatch, ArrowError> {
    let broken = |what: &str| ArrowError::ParseError(format!("the message {what}"));
    let (prefix, rest) = payload.split_at_checked(8).ok_or_else(|| broken("is too short"))?;
    if prefix[..4] != CONTINUATION {
        return Err(broken("does not begin with a continuation marker"));
    }
    let metadata_bytes = u32::from_le_bytes([prefix[4], prefix[5], prefix[6], prefix[7]]) as usize;
    let metadata = rest.get(..metadata_bytes).ok_or_else(|| broken("is shorter than its metadata"))?;
    let message = arrow_ipc::root_as_message(metadata)
        .map_err(|error| ArrowError::ParseError(format!("the message's metadata is invalid: {error}")))?;
    let batch = message.header_as_record_batch().ok_or_else(|| broken("is not a record batch"))?;
    let body = payload.slice(8 + metadata_bytes);
    check_buffers(batch, &body).ok_or_else(|| broken("has a buffer that cannot be right"))?;
    // A checksum that is right makes other bytes than our own a forgery. Arrow panics at some of them.
    let read = || {
        let relaxed = schema.relaxed().arrow().clone();
        schema.restore(read_record_batch(&body, batch, relaxed, &HashMap::new(), None, &message.version())?)
    };
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(broken("holds what Arrow panics at")))
}

/// Refuses buffers that are not within the body, and those for which Arrow would reserve more memory than they can
/// expand to.
fn check_buffers(batch: arrow_ipc::RecordBatch<'_>, body: &[u8]) -> Option<()> {
    for buffer in batch.buffers().into_iter().flatten() {
        let (start, length) =
            (usize::try_from(buffer.offset()).ok()?, usize::try_from(buffer.length()).ok()?);
        let bytes = body.get(start..start.checked_add(length)?)?;
        if let (Some(compression), Some(expanded)) = (batch.compression(), bytes.first_chunk()) {
            let is_zstd = compression.codec() == arrow_ipc::CompressionType::ZSTD;
            let expansion_max = if is_zstd { ZSTD_EXPANSION_MAX } else { LZ4_EXPANSION_MAX };
            // Instead of a length, -1 says that the buffer is as it is.
            if i64::from_le_bytes(*expanded) > i64::try_from(length).ok()?.saturating_mul(expansion_max) {
                return None;
            }
        }
    }
    Some(())
}

/// Refuses columns that cannot be stored in frames of their own.
pub(crate) fn check_columns(schema: &RowSchema) -> Result<(), Error> {
    match first_unsupported("", schema.arrow().fields()) {
        Some((field, data_type)) => Err(Error::UnsupportedColumn { field, data_type }),
        None => Ok(()),
    }
}

/// The first field that cannot be stored in frames of their own.
fn first_unsupported(path: &str, fields: &[FieldRef]) -> Option<(String, String)> {
    fields.iter().find_map(|field| {
        let path = if path.is_empty() { field.name().clone() } else { format!("{path}.{}", field.name()) };
        match field.data_type() {
            DataType::Dictionary(..) => Some((path, field.data_type().to_string())),
            DataType::Struct(fields) => first_unsupported(&path, fields),
            DataType::List(item)
            | DataType::LargeList(item)
            | DataType::ListView(item)
            | DataType::LargeListView(item)
            | DataType::FixedSizeList(item, _)
            | DataType::Map(item, _) => first_unsupported(&path, std::slice::from_ref(item)),
            DataType::Union(fields, _) => {
                let fields: Vec<FieldRef> = fields.iter().map(|(_, field)| field.clone()).collect();
                first_unsupported(&path, &fields)
            }
            DataType::RunEndEncoded(_, values) => first_unsupported(&path, std::slice::from_ref(values)),
            _ => None,
        }
    })
}
