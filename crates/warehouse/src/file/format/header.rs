//! The header of a segment: what its rows look like, and which segment it follows.
//!
//! A header is durable before its file has a segment's name. A broken one is therefore always
//! damage and never a torn write.

use crate::error::Damage;
use crate::file::format::cursor::Cursor;
use crate::file::format::needs::Needs;
use crate::file::format::{FORMAT_VERSION_MAX, RECORD_BYTES_MAX, SCHEMA_BYTES_MAX};

/// As PNG's: finds text-mode transfers and files of other kinds.
pub(crate) const SEGMENT_MAGIC: [u8; 8] = *b"\x89RMSEG\r\n";
/// The part before schema and record.
pub(crate) const HEADER_FIXED_BYTES: u64 = 64;
/// Frames begin at a multiple of this.
const HEADER_ALIGNMENT: usize = 64;
const CHECKSUM_AT: usize = 12;
const BYTES_MAX: u64 = HEADER_FIXED_BYTES + SCHEMA_BYTES_MAX + RECORD_BYTES_MAX + HEADER_ALIGNMENT as u64;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) number: u32,
    /// Tells the frames of this segment from any other bytes that look like frames.
    pub(crate) identity: u64,
    pub(crate) predecessor: Option<Predecessor>,
    pub(crate) schema_ipc: Vec<u8>,
    pub(crate) record: Vec<u8>,
    /// How the batches are compressed.
    pub(crate) needs: Needs,
}

/// The segment before: how much of it holds frames that were whole and durable by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Predecessor {
    pub(crate) identity: u64,
    pub(crate) bytes: u64,
}

impl Header {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let predecessor = self.predecessor.unwrap_or(Predecessor { identity: 0, bytes: 0 });
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("schema and record are bounded");
        let unpadded = HEADER_FIXED_BYTES as usize + self.schema_ipc.len() + self.record.len();
        let bytes = unpadded.next_multiple_of(HEADER_ALIGNMENT);

        let mut header = Vec::with_capacity(bytes);
        header.extend_from_slice(&SEGMENT_MAGIC);
        header.extend_from_slice(&self.needs.encode());
        header.extend_from_slice(&0_u32.to_le_bytes());
        header.extend_from_slice(&(bytes as u32).to_le_bytes());
        header.extend_from_slice(&self.number.to_le_bytes());
        header.extend_from_slice(&self.identity.to_le_bytes());
        header.extend_from_slice(&u64::from(self.predecessor.is_some()).to_le_bytes());
        header.extend_from_slice(&predecessor.bytes.to_le_bytes());
        header.extend_from_slice(&predecessor.identity.to_le_bytes());
        header.extend_from_slice(&length(&self.schema_ipc).to_le_bytes());
        header.extend_from_slice(&length(&self.record).to_le_bytes());
        debug_assert_eq!(header.len() as u64, HEADER_FIXED_BYTES);
        header.extend_from_slice(&self.schema_ipc);
        header.extend_from_slice(&self.record);
        header.resize(bytes, 0);

        let checksum = checksum(&header);
        header[CHECKSUM_AT..CHECKSUM_AT + 4].copy_from_slice(&checksum.to_le_bytes());
        header
    }

    /// Reads a whole header; `Err` within holds a newer version. Where the checksum is and what it is made of is the
    /// same in every version, so that a damaged version is not taken for a newer one.
    pub(crate) fn decode(header: &[u8]) -> Result<Result<Self, u16>, Damage> {
        let mut cursor = Cursor::new(header);
        cursor.bytes(SEGMENT_MAGIC.len());
        let (version, flags) = (cursor.u16().unwrap_or(0), cursor.u16().unwrap_or(0));
        if cursor.u32() != Some(checksum(header)) {
            return Err(Damage::Checksum { part: "header" });
        }
        if version > FORMAT_VERSION_MAX {
            return Ok(Err(version));
        }
        let mut fields = || -> Option<Self> {
            let needs = Needs::decode(version, flags)?;
            cursor.u32()?;
            let number = cursor.u32()?;
            let identity = cursor.u64()?;
            let has_predecessor = cursor.u64()? != 0;
            let (bytes, predecessor) = (cursor.u64()?, cursor.u64()?);
            let predecessor = has_predecessor.then_some(Predecessor { identity: predecessor, bytes });
            let (schema_bytes, record_bytes) = (cursor.u32()?, cursor.u32()?);
            let schema_ipc = cursor.bytes(schema_bytes as usize)?.to_vec();
            let record = cursor.bytes(record_bytes as usize)?.to_vec();
            Some(Self { number, identity, predecessor, schema_ipc, record, needs })
        };
        fields().map(Ok).ok_or(Damage::Contradiction { part: "header" })
    }
}

/// How long the header is, from its first [`HEADER_FIXED_BYTES`].
pub(crate) fn header_bytes(fixed: &[u8], file_bytes: u64) -> Result<u64, Damage> {
    let mut cursor = Cursor::new(fixed);
    if cursor.array() != Some(SEGMENT_MAGIC) {
        return Err(Damage::ForeignFile { expected: "segment" });
    }
    cursor.bytes(CHECKSUM_AT + 4 - SEGMENT_MAGIC.len());
    let bytes = u64::from(cursor.u32().unwrap_or(0));
    if !(HEADER_FIXED_BYTES..=BYTES_MAX).contains(&bytes) {
        return Err(Damage::Checksum { part: "header" });
    }
    if bytes > file_bytes {
        return Err(Damage::Truncated { expected: bytes, found: file_bytes });
    }
    Ok(bytes)
}

fn checksum(header: &[u8]) -> u32 {
    let before = crc32c::crc32c(&header[..CHECKSUM_AT]);
    crc32c::crc32c_append(before, &header[CHECKSUM_AT + 4..])
}
