//! Reading the batches of an open table: none is answered before its checksum was found right.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::{Buffer, MutableBuffer};
use rowmark_rows::RowSchema;

use super::format::batch::decode_batch;
use super::format::frame::{CHECKED_FROM, FRAME_HEAD_BYTES, FrameHead};
use super::format::inputs::{self, INPUTS_HEAD_BYTES};
use super::segment::Segment;
use crate::error::Damage;
use crate::table::{Frame, Place};
use crate::{Batches, Error, InputRow};

/// Where in a frame the inputs begin, behind what tells their length.
const INPUTS_END: usize = (FRAME_HEAD_BYTES + INPUTS_HEAD_BYTES) as usize;

/// Reads batches from segments, each checked against its checksum.
#[derive(Debug)]
pub(super) struct SegmentBatches {
    pub(super) segments: Arc<[Segment]>,
    pub(super) schema: RowSchema,
}

impl Batches for SegmentBatches {
    fn read(&self, frame: &Frame) -> Result<RecordBatch, Error> {
        let segment = &self.segments[frame.place.segment as usize];
        let damaged = |damage| damaged(segment, frame, damage);
        let payload = read_payload(segment, frame)?.map_err(damaged)?;
        let batch = decode_batch(&payload, self.schema.arrow().clone())
            .map_err(|source| damaged(Damage::Arrow { part: "batch", source }))?;
        if batch.num_rows() as u64 != frame.rows {
            return Err(damaged(Damage::Contradiction { part: "number of rows" }));
        }
        Ok(batch)
    }

    fn inputs(&self, frame: &Frame) -> Result<Option<Vec<InputRow>>, Error> {
        let segment = &self.segments[frame.place.segment as usize];
        let damaged = |damage| damaged(segment, frame, damage);
        let Place { segment: position, offset, payload_bytes } = frame.place;
        let end = offset + FRAME_HEAD_BYTES + payload_bytes;
        if end > segment.file.bytes() {
            return Err(damaged(Damage::Truncated { expected: end, found: segment.file.bytes() }));
        }
        let mut head = [0; INPUTS_END];
        let (head, _) = head.split_at_mut(INPUTS_END.min((end - offset) as usize));
        segment.file.read_at(head, offset)?;
        let (head, inputs_head) = head.split_at(FRAME_HEAD_BYTES as usize);
        // The checksum of the frame is over its batch as well, which is not read. What the head says is compared with
        // the index, and the inputs have a checksum of their own.
        let read = FrameHead::read(head, offset, segment.identity, segment.bytes);
        let read = read.filter(|head| head.indexed(position) == *frame);
        let head = read.ok_or_else(|| damaged(Damage::Contradiction { part: "frame" }))?;
        if !head.has_inputs {
            return Ok(None);
        }
        let bytes = inputs::bytes_of(inputs_head, frame.range.len(), payload_bytes);
        let bytes =
            bytes.ok_or_else(|| damaged(Damage::Contradiction { part: "length of the input rows" }))?;
        let mut section = vec![0; bytes as usize];
        segment.file.read_at(&mut section, offset + FRAME_HEAD_BYTES)?;
        inputs::decode(&section, frame.range.len(), frame.rows).map(Some).map_err(damaged)
    }
}

fn damaged(segment: &Segment, frame: &Frame, damage: Damage) -> Error {
    Error::Damaged { path: segment.file.path().to_owned(), offset: frame.place.offset, damage }
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
        Some(head) => {
            let payload = Buffer::from(bytes).slice(FRAME_HEAD_BYTES as usize);
            if !head.has_inputs {
                return Ok(Ok(payload));
            }
            match inputs::bytes_of(&payload, frame.range.len(), payload_bytes) {
                Some(bytes) => Ok(payload.slice(bytes as usize)),
                None => Err(Damage::Contradiction { part: "length of the input rows" }),
            }
        }
    })
}
