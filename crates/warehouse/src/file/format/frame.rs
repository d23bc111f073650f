//! A frame: one committed batch, behind a head that says which rows it is and proves itself.
//!
//! The checksum covers all of the frame but itself. The head also holds the frame's own offset and
//! its segment's identity, so that bytes inside of a user's row can never pass for a frame, and
//! `durable_bytes`: how much of the segment had been synced when the frame was written. That is
//! the witness that tells a damaged frame from a torn one (see `docs/format.md`).

use rowmark_hashing::ContentHash;
use rowmark_rows::RowRange;

use crate::CodeId;
use crate::file::format::BATCH_BYTES_MAX;
use crate::file::format::cursor::Cursor;
use crate::table::{Frame, Place};

const FRAME_MARKER: [u8; 4] = *b"RMFR";
/// The marker of a frame with digests and input rows before its batch.
const FRAME_WITH_INPUTS_MARKER: [u8; 4] = *b"RMFI";
/// What both markers begin with.
pub(crate) const FRAME_MARKER_START: [u8; 3] = *b"RMF";
pub(crate) const FRAME_HEAD_BYTES: u64 = 96;
/// The checksum covers what follows it.
pub(crate) const CHECKED_FROM: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHead {
    pub(crate) checksum: u32,
    pub(crate) offset: u64,
    pub(crate) identity: u64,
    pub(crate) payload_bytes: u64,
    pub(crate) durable_bytes: u64,
    pub(crate) range: RowRange,
    pub(crate) rows: u64,
    pub(crate) code: CodeId,
    pub(crate) has_inputs: bool,
}

impl FrameHead {
    /// Where the frame ends.
    pub(crate) fn end(&self) -> u64 {
        self.offset + FRAME_HEAD_BYTES + self.payload_bytes
    }

    /// What a table's index keeps of the frame; `segment` is its segment's position.
    pub(crate) fn indexed(&self, segment: u32) -> Frame {
        let Self { offset, payload_bytes, range, rows, code, .. } = *self;
        Frame { range, rows, code, place: Place { segment, offset, payload_bytes } }
    }

    /// Writes the head over the first bytes of `frame`, with the checksum of all that follows it.
    pub(crate) fn write(&self, frame: &mut [u8]) {
        let mut head = [0; FRAME_HEAD_BYTES as usize];
        let marker = if self.has_inputs { FRAME_WITH_INPUTS_MARKER } else { FRAME_MARKER };
        head[..4].copy_from_slice(&marker);
        let numbers = [
            self.offset,
            self.identity,
            self.payload_bytes,
            self.durable_bytes,
            self.range.start(),
            self.range.end(),
            self.rows,
        ];
        for (place, number) in head[CHECKED_FROM..64].chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        head[64..].copy_from_slice(self.code.hash().as_bytes());
        frame[..head.len()].copy_from_slice(&head);
        let checksum = crc32c::crc32c(&frame[CHECKED_FROM..]);
        frame[4..CHECKED_FROM].copy_from_slice(&checksum.to_le_bytes());
    }

    /// Reads the head of the frame at `offset`, if those bytes can be one that ends within `limit`.
    pub(crate) fn read(head: &[u8], offset: u64, identity: u64, limit: u64) -> Option<Self> {
        let mut cursor = Cursor::new(head);
        let marker: [u8; 4] = cursor.array()?;
        let has_inputs = marker == FRAME_WITH_INPUTS_MARKER;
        let checksum = cursor.u32()?;
        let is_here = cursor.u64()? == offset && cursor.u64()? == identity;
        let (payload_bytes, durable_bytes) = (cursor.u64()?, cursor.u64()?);
        let (start, end, rows) = (cursor.u64()?, cursor.u64()?, cursor.u64()?);
        let code = CodeId::new(ContentHash::from_bytes(cursor.array()?));
        let room = limit.checked_sub(offset)?.checked_sub(FRAME_HEAD_BYTES)?;
        let is_possible = (has_inputs || marker == FRAME_MARKER)
            && is_here
            && payload_bytes <= room.min(BATCH_BYTES_MAX)
            && durable_bytes <= offset
            && start < end
            && (has_inputs || (rows == 0) == (payload_bytes == 0));
        let range = is_possible.then(|| RowRange::new(start, end))?;
        let head =
            Self { checksum, offset, identity, payload_bytes, durable_bytes, range, rows, code, has_inputs };
        Some(head)
    }
}
