//! Reading the batches of an open table: none is answered before its checksum was found right.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::{Buffer, MutableBuffer};
use rowmark_rows::RowSchema;

use super::format::batch::decode_batch;
use super::format::frame::{CHECKED_FROM, FRAME_HEAD_BYTES, FrameHead};
use super::segment::Segment;
use crate::error::Damage;
use crate::table::{Frame, Place};
use crate::{Batches, Error};

/// Reads batches from segments, each checked against its checksum.
#[derive(Debug)]
pub(super) struct SegmentBatches {
    pub(super) segments: Arc<[Segment]>,
    pub(super) schema: RowSchema,
}

impl Batches for SegmentBatches {
    fn read(&self, frame: &Frame) -> Result<RecordBatch, Error> {
        let segment = &self.segments[frame.place.segment as usize];
        let damaged = |damage| Error::Damaged {
            path: segment.file.path().to_owned(),
            offset: frame.place.offset,
            damage,
        };
        let payload = read_payload(segment, frame)?.map_err(damaged)?;
        let batch = decode_batch(&payload, self.schema.arrow().clone())
            .map_err(|source| damaged(Damage::Arrow { part: "batch", source }))?;
        if batch.num_rows() as u64 != frame.rows {
            return Err(damaged(Damage::Contradiction { part: "number of rows" }));
        }
        Ok(batch)
    }
}

/// Reads a frame and checks it against the index and its checksum; answers its payload.
fn read_payload(segment: &Segment, frame: &Frame) -> Result<Result<Buffer, Damage>, Error> {
    let Place { segment: position, offset, payload_bytes } = frame.place;
    let end = offset + FRAME_HEAD_BYTES + payload_bytes;
    if end > segment.file.bytes() {
        return Ok(Err(Damage::Truncated { expected: end, found: segment.file.bytes() }));
    }
    let mut bytes = MutableBuffer::from_len_zeroed((end - offset) as usize);
    segment.file.read_at(&mut bytes, offset)?;
    let head = &bytes[..FRAME_HEAD_BYTES as usize];
    let head = FrameHead::read(head, offset, segment.identity, segment.bytes)
        .filter(|head| head.checksum == crc32c::crc32c(&bytes[CHECKED_FROM..]));
    Ok(match head {
        None => Err(Damage::Checksum { part: "frame" }),
        Some(head) if head.indexed(position) != *frame => Err(Damage::Contradiction { part: "frame" }),
        Some(_) => Ok(Buffer::from(bytes).slice(FRAME_HEAD_BYTES as usize)),
    })
}
