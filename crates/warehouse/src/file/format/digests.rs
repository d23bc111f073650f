//! The digests of a frame: of its rows in chunks, and of all the rows that they were made from.
//!
//! They stand between the head and the input rows, and have a checksum of their own, so that they can be read without
//! anything else of the frame.

use rowmark_hashing::{ChunkDigest, ContentHash};

use crate::BatchDigests;
use crate::error::Damage;
use crate::file::format::cursor::Cursor;

/// The checksum, the rows before the first chunk, the flags, and the number of chunks.
pub(crate) const DIGESTS_HEAD_BYTES: u64 = 16;
/// There is a digest of the input rows.
const FLAG_INPUTS: u16 = 1;
const DIGEST_BYTES: u64 = 32;

pub(crate) fn encode(digests: &BatchDigests, buffer: &mut Vec<u8>) {
    let start = buffer.len();
    let flags = if digests.inputs.is_some() { FLAG_INPUTS } else { 0 };
    buffer.extend_from_slice(&[0; 4]);
    buffer.extend_from_slice(&digests.rows_before.to_le_bytes());
    buffer.extend_from_slice(&flags.to_le_bytes());
    buffer.extend_from_slice(&(digests.chunks.len() as u64).to_le_bytes());
    digests.inputs.iter().for_each(|inputs| buffer.extend_from_slice(inputs.as_bytes()));
    digests.chunks.iter().for_each(|chunk| buffer.extend_from_slice(chunk.as_bytes()));
    let checksum = crc32c::crc32c(&buffer[start + 4..]);
    buffer[start..start + 4].copy_from_slice(&checksum.to_le_bytes());
}

/// How long the section that begins so is; `None` where that cannot be.
pub(crate) fn bytes_of(head: &[u8], payload_bytes: u64) -> Option<u64> {
    let mut cursor = Cursor::new(head.get(6..)?);
    let (flags, chunks) = (cursor.u16()?, cursor.u64()?);
    let digests = chunks.checked_add(u64::from(flags & FLAG_INPUTS))?;
    let bytes = digests.checked_mul(DIGEST_BYTES)?.checked_add(DIGESTS_HEAD_BYTES)?;
    (flags & !FLAG_INPUTS == 0 && bytes <= payload_bytes).then_some(bytes)
}

/// Reads a section of the length that [`bytes_of`] answered for it.
pub(crate) fn decode(section: &[u8], rows: u64) -> Result<BatchDigests, Damage> {
    let mut cursor = Cursor::new(section);
    if cursor.u32() != Some(crc32c::crc32c(&section[4..])) {
        return Err(Damage::Checksum { part: "digests" });
    }
    let read = |mut cursor: Cursor<'_>| {
        let (rows_before, flags, chunks) = (cursor.u16()?, cursor.u16()?, cursor.u64()?);
        let inputs = if flags & FLAG_INPUTS == 0 { None } else { Some(cursor.array()?) };
        let chunks = (0..chunks).map(|_| cursor.array().map(ChunkDigest::from_bytes));
        let chunks = chunks.collect::<Option<_>>()?;
        let digests = BatchDigests { inputs: inputs.map(ContentHash::from_bytes), rows_before, chunks };
        (cursor.is_empty() && digests.fit(rows)).then_some(digests)
    };
    read(cursor).ok_or(Damage::Contradiction { part: "digests" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(digests: &BatchDigests) -> Vec<u8> {
        let mut buffer = b"before".to_vec();
        encode(digests, &mut buffer);
        buffer.split_off(6)
    }

    #[test]
    fn reads_what_was_written() {
        let chunk = |byte| ChunkDigest::from_bytes([byte; 32]);
        let inputs = Some(ContentHash::from_bytes([9; 32]));
        for (digests, rows, bytes) in [
            (BatchDigests::default(), 0, 16),
            (BatchDigests { inputs, ..BatchDigests::default() }, 7, 16 + 32),
            (BatchDigests { inputs: None, rows_before: 5, chunks: vec![chunk(1)] }, 1029, 16 + 32),
            (BatchDigests { inputs, rows_before: 1023, chunks: vec![chunk(1), chunk(2)] }, 4000, 16 + 3 * 32),
        ] {
            let section = section(&digests);
            assert_eq!(section.len(), bytes);
            assert_eq!(bytes_of(&section, bytes as u64), Some(bytes as u64));
            assert_eq!(bytes_of(&section, bytes as u64 - 1), None);
            assert_eq!(decode(&section, rows).unwrap(), digests);
            for place in 0..section.len() {
                let mut flipped = section.clone();
                flipped[place] ^= 0x10;
                assert!(matches!(decode(&flipped, rows), Err(Damage::Checksum { .. })));
            }
        }
    }

    #[test]
    fn is_these_bytes() {
        let digests = BatchDigests {
            inputs: Some(ContentHash::from_bytes([0xab; 32])),
            rows_before: 0x102,
            chunks: vec![ChunkDigest::from_bytes([0xcd; 32])],
        };
        let hex: String = section(&digests).iter().map(|byte| format!("{byte:02x}")).collect();
        let head = "67aebfd6020101000100000000000000".to_owned();
        assert_eq!(hex, head + &"ab".repeat(32) + &"cd".repeat(32));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let chunks = vec![ChunkDigest::from_bytes([1; 32])];
        let digests = BatchDigests { inputs: None, rows_before: 5, chunks };
        assert!(matches!(decode(&section(&digests), 1028), Err(Damage::Contradiction { .. })));
        let digests = BatchDigests { rows_before: 1024, ..BatchDigests::default() };
        assert!(matches!(decode(&section(&digests), 5000), Err(Damage::Contradiction { .. })));
        let head =
            |flags: u8, chunks: u64| [&[0, 0, 0, 0, 0, 0, flags, 0], &chunks.to_le_bytes()[..]].concat();
        assert_eq!(bytes_of(&head(2, 0), u64::MAX), None);
        assert_eq!(bytes_of(&head(0, u64::MAX / 32 + 1), u64::MAX), None);
        assert_eq!(bytes_of(&head(1, u64::MAX), u64::MAX), None);
        assert_eq!(bytes_of(&head(1, 0)[..15], u64::MAX), None);
    }
}
