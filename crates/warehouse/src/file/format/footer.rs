//! The footer of a sealed table: its totals, and where each batch is.
//!
//! With it a table opens without a look at its data. It is written under another name, synced and
//! renamed, so that it is there whole or not at all; a broken footer is damage.

use std::collections::HashMap;

use rowmark_hashing::ContentHash;
use rowmark_rows::{RowRange, RowRanges};

use crate::error::Damage;
use crate::file::format::cursor::{Cursor, put_counted};
use crate::file::format::frame::FRAME_HEAD_BYTES;
use crate::file::format::needs::Needs;
use crate::file::format::{FORMAT_VERSION_MAX, RECORD_BYTES_MAX, SCHEMA_BYTES_MAX};
use crate::table::{Frame, Place, Seal, rows_by_code};
use crate::{CodeId, Error};

pub(crate) const FOOTER_MAGIC: [u8; 8] = *b"\x89RMEND\r\n";
const FIXED_BYTES: usize = 24;
const SEGMENT_BYTES: usize = 20;
const CODE_BYTES: usize = 40;
const FRAME_BYTES: usize = 48;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Footer {
    /// How its batches are compressed.
    pub(crate) needs: Needs,
    pub(crate) schema_ipc: Vec<u8>,
    pub(crate) seal: Seal,
    pub(crate) segments: Vec<FooterSegment>,
    /// In the order of their input rows.
    pub(crate) frames: Vec<Frame>,
}

/// A segment of a sealed table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FooterSegment {
    pub(crate) number: u32,
    pub(crate) identity: u64,
    /// How much of the file holds frames.
    pub(crate) bytes: u64,
}

/// What a footer that is read can be, other than readable.
pub(crate) enum FooterError {
    Newer(u16),
    Damage(Damage),
}

impl From<Damage> for FooterError {
    fn from(damage: Damage) -> Self {
        Self::Damage(damage)
    }
}

impl Footer {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let count = |items: usize| u32::try_from(items).expect("frames are counted in 32 bits").to_le_bytes();
        let codes = rows_by_code(&self.frames);
        let index: HashMap<CodeId, u32> = codes.keys().copied().zip(0..).collect();
        let rows_out: u64 = codes.values().sum();

        let mut footer = Vec::new();
        footer.extend_from_slice(&FOOTER_MAGIC);
        let needs = if self.seal.failed.is_empty() { self.needs } else { self.needs.and(Needs::HOLES) };
        footer.extend_from_slice(&needs.encode());
        footer.extend_from_slice(&[0; FIXED_BYTES - 12]);
        put_counted(&mut footer, &self.schema_ipc);
        put_counted(&mut footer, &self.seal.record);
        footer.extend_from_slice(&self.seal.rows_in.to_le_bytes());
        footer.extend_from_slice(&rows_out.to_le_bytes());
        footer.extend_from_slice(self.seal.content_hash.as_bytes());
        footer.extend_from_slice(&count(self.segments.len()));
        for segment in &self.segments {
            footer.extend_from_slice(&segment.number.to_le_bytes());
            footer.extend_from_slice(&segment.identity.to_le_bytes());
            footer.extend_from_slice(&segment.bytes.to_le_bytes());
        }
        footer.extend_from_slice(&count(codes.len()));
        for (code, rows) in &codes {
            footer.extend_from_slice(code.hash().as_bytes());
            footer.extend_from_slice(&rows.to_le_bytes());
        }
        footer.extend_from_slice(&count(self.frames.len()));
        for frame in &self.frames {
            let Frame { range, rows, code, place } = frame;
            for number in [place.offset, place.payload_bytes, range.start(), range.end(), *rows] {
                footer.extend_from_slice(&number.to_le_bytes());
            }
            footer.extend_from_slice(&place.segment.to_le_bytes());
            footer.extend_from_slice(&index[code].to_le_bytes());
        }
        let bytes = footer.len() as u64;
        footer[16..24].copy_from_slice(&bytes.to_le_bytes());
        let checksum = checksum(&footer);
        footer[12..16].copy_from_slice(&checksum.to_le_bytes());
        footer
    }

    pub(crate) fn decode(footer: &[u8]) -> Result<Self, FooterError> {
        let mut cursor = Cursor::new(footer);
        if cursor.array() != Some(FOOTER_MAGIC) {
            return Err(Damage::ForeignFile { expected: "footer" }.into());
        }
        let (version, flags) = (cursor.u16().unwrap_or(0), cursor.u16().unwrap_or(0));
        let (Some(stored), Some(bytes)) = (cursor.u32(), cursor.u64()) else {
            return Err(Damage::Truncated { expected: FIXED_BYTES as u64, found: footer.len() as u64 }.into());
        };
        // Where the checksum and the length are is the same in every version, so that a damaged version is not taken
        // for a newer one.
        if stored != checksum(footer) || bytes != footer.len() as u64 {
            return Err(Damage::Checksum { part: "footer" }.into());
        }
        if version > FORMAT_VERSION_MAX {
            return Err(FooterError::Newer(version));
        }
        let footer = Needs::decode(version, flags)
            .and_then(|needs| Self::decode_body(&mut cursor, needs))
            .filter(|_| cursor.is_empty());
        Ok(footer.ok_or(Damage::Contradiction { part: "footer" })?)
    }

    /// What follows the checksum; `None` when the numbers contradict each other.
    fn decode_body(cursor: &mut Cursor<'_>, needs: Needs) -> Option<Self> {
        let schema_ipc = cursor.counted()?.to_vec();
        let record = cursor.counted()?.to_vec();
        let (rows_in, rows_out) = (cursor.u64()?, cursor.u64()?);
        let content_hash = ContentHash::from_bytes(cursor.array()?);
        let segments: Vec<FooterSegment> = (0..cursor.count(SEGMENT_BYTES)?)
            .map(|_| {
                Some(FooterSegment { number: cursor.u32()?, identity: cursor.u64()?, bytes: cursor.u64()? })
            })
            .collect::<Option<_>>()?;
        let codes: Vec<(CodeId, u64)> = (0..cursor.count(CODE_BYTES)?)
            .map(|_| Some((CodeId::new(ContentHash::from_bytes(cursor.array()?)), cursor.u64()?)))
            .collect::<Option<_>>()?;
        let frames: Vec<Frame> = (0..cursor.count(FRAME_BYTES)?)
            .map(|_| decode_frame(cursor, &segments, &codes))
            .collect::<Option<_>>()?;

        let processed: RowRanges = frames.iter().map(Frame::range).collect();
        let failed = processed.missing_in(RowRange::new(0, rows_in));
        let is_told = failed.is_empty() != needs.contains(Needs::HOLES);
        let is_within = is_told && processed.span().is_none_or(|span| span.end() <= rows_in);
        let is_ordered = frames.windows(2).all(|pair| pair[0].range.end() <= pair[1].range.start());
        let is_counted = rows_by_code(&frames).into_iter().eq(codes)
            && frames.iter().try_fold(0_u64, |sum, frame| sum.checked_add(frame.rows)) == Some(rows_out);
        let is_bounded =
            schema_ipc.len() as u64 <= SCHEMA_BYTES_MAX && record.len() as u64 <= RECORD_BYTES_MAX;
        let needs = needs.without_holes();
        let seal = Seal { rows_in, failed, content_hash, record };
        (is_within && is_ordered && is_counted && is_bounded).then_some(Self {
            needs,
            schema_ipc,
            seal,
            segments,
            frames,
        })
    }
}

fn decode_frame(
    cursor: &mut Cursor<'_>,
    segments: &[FooterSegment],
    codes: &[(CodeId, u64)],
) -> Option<Frame> {
    let (offset, payload_bytes) = (cursor.u64()?, cursor.u64()?);
    let (start, end, rows) = (cursor.u64()?, cursor.u64()?, cursor.u64()?);
    let segment = cursor.u32()?;
    let code = codes.get(cursor.u32()? as usize)?.0;
    let frame_end = offset.checked_add(FRAME_HEAD_BYTES)?.checked_add(payload_bytes)?;
    let is_within = frame_end <= segments.get(segment as usize)?.bytes;
    let range = (is_within && start < end).then(|| RowRange::new(start, end))?;
    Some(Frame { range, rows, code, place: Place { segment, offset, payload_bytes } })
}

impl FooterError {
    pub(crate) fn into_error(self, path: &std::path::Path) -> Error {
        let path = path.to_owned();
        match self {
            Self::Newer(found) => Error::NewerFormat { path, found, supported: FORMAT_VERSION_MAX },
            Self::Damage(damage) => Error::Damaged { path, offset: 0, damage },
        }
    }
}

fn checksum(footer: &[u8]) -> u32 {
    let before = crc32c::crc32c(&footer[..12]);
    crc32c::crc32c_append(before, &footer[16..])
}
