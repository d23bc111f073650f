//! Reading the batches of an open table: none is answered before its checksum was found right.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::{Buffer, MutableBuffer};
use rowmark_rows::RowSchema;

use super::format::batch::decode_batch;
use super::format::digests::{self, DIGESTS_HEAD_BYTES};
use super::format::frame::{CHECKED_FROM, FRAME_HEAD_BYTES, FrameHead};
use super::format::inputs;
use super::format::needs::Needs;
use super::segment::Segment;
use crate::error::Damage;
use crate::table::{Frame, Place};
use crate::{BatchDigests, Batches, Error, InputRow};

/// Where in a frame the digests begin, behind what tells their length.
const TOLD_FROM: usize = (FRAME_HEAD_BYTES + DIGESTS_HEAD_BYTES) as usize;

/// Reads batches from segments, each checked against its checksum.
#[derive(Debug)]
pub(super) struct SegmentBatches {
    pub(super) segments: Arc<[Segment]>,
    pub(super) schema: RowSchema,
    /// How the batches are compressed, and what else there is to be known of.
    pub(super) needs: Needs,
}

impl Batches for SegmentBatches {
    fn read(&self, frame: &Frame) -> Result<RecordBatch, Error> {
        let segment = &self.segments[frame.place.segment as usize];
        let damaged = |damage| damaged(segment, frame, damage);
        let payload = read_payload(segment, frame)?.map_err(damaged)?;
        let batch = decode_batch(&payload, &self.schema)
            .map_err(|source| damaged(Damage::Arrow { part: "batch", source }))?;
        if batch.num_rows() as u64 != frame.rows {
            return Err(damaged(Damage::Contradiction { part: "number of rows" }));
        }
        Ok(batch)
    }

    fn inputs(&self, frame: &Frame) -> Result<Option<Vec<InputRow>>, Error> {
        let Some(head) = self.read_head(frame)? else { return Ok(None) };
        let Place { segment: position, offset, payload_bytes } = frame.place;
        let segment = &self.segments[position as usize];
        let unlikely = |part| damaged(segment, frame, Damage::Contradiction { part });
        let digests_bytes = digests::bytes_of(&head, payload_bytes);
        let digests_bytes = digests_bytes.ok_or_else(|| unlikely("length of the digests"))?;
        let rest_bytes = payload_bytes - digests_bytes;
        let mut section = vec![0; inputs::bytes_max(frame.range.len()).min(rest_bytes) as usize];
        segment.file.read_at(&mut section, offset + FRAME_HEAD_BYTES + digests_bytes)?;
        let bytes = inputs::bytes_of(&section, frame.range.len(), rest_bytes);
        let bytes = bytes.ok_or_else(|| unlikely("length of the input rows"))?;
        let inputs = inputs::decode(&section[..bytes as usize], frame.range.len(), frame.rows);
        inputs.map(Some).map_err(|damage| damaged(segment, frame, damage))
    }

    fn digests(&self, frame: &Frame) -> Result<Option<BatchDigests>, Error> {
        let Some(head) = self.read_head(frame)? else { return Ok(None) };
        let Place { segment: position, offset, payload_bytes } = frame.place;
        let segment = &self.segments[position as usize];
        let bytes = digests::bytes_of(&head, payload_bytes);
        let part = "length of the digests";
        let bytes = bytes.ok_or_else(|| damaged(segment, frame, Damage::Contradiction { part }))?;
        let mut section = vec![0; bytes as usize];
        segment.file.read_at(&mut section, offset + FRAME_HEAD_BYTES)?;
        digests::decode(&section, frame.rows).map(Some).map_err(|damage| damaged(segment, frame, damage))
    }
}

impl SegmentBatches {
    /// Reads how the digests of a frame begin, if it has some. The checksum of the frame is over its batch as well, which
    /// is not read: what the head says is compared with the index, and what follows has checksums of its own.
    fn read_head(&self, frame: &Frame) -> Result<Option<[u8; DIGESTS_HEAD_BYTES as usize]>, Error> {
        let Place { segment: position, offset, payload_bytes } = frame.place;
        let segment = &self.segments[position as usize];
        let end = offset + FRAME_HEAD_BYTES + payload_bytes;
        if end > segment.file.bytes() {
            return Err(damaged(
                segment,
                frame,
                Damage::Truncated { expected: end, found: segment.file.bytes() },
            ));
        }
        let mut read = [0; TOLD_FROM];
        let (read_bytes, _) = read.split_at_mut(TOLD_FROM.min((end - offset) as usize));
        segment.file.read_at(read_bytes, offset)?;
        let (head, told) = read.split_at(FRAME_HEAD_BYTES as usize);
        let head = FrameHead::read(head, offset, segment.identity, segment.bytes);
        let head = head.filter(|head| head.indexed(position) == *frame);
        let head = head.ok_or_else(|| damaged(segment, frame, Damage::Contradiction { part: "frame" }))?;
        Ok(told.first_chunk().copied().filter(|_| head.has_inputs))
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
            match told_bytes(&payload, frame.range.len()) {
                Some(bytes) => Ok(payload.slice(bytes)),
                None => Err(Damage::Contradiction { part: "length of the input rows" }),
            }
        }
    })
}

/// How much of a payload stands before its batch.
fn told_bytes(payload: &[u8], rows_in: u64) -> Option<usize> {
    let digests = digests::bytes_of(payload, payload.len() as u64)? as usize;
    let rest = &payload[digests..];
    Some(digests + inputs::bytes_of(rest, rows_in, rest.len() as u64)? as usize)
}
