//! What a frame holds of the rows that its batch was made from, between its digests and the batch.
//!
//! It has a checksum of its own, so that it can be read without the batch.

use rowmark_hashing::RowHash;

use crate::InputRow;
use crate::error::Damage;
use crate::file::format::cursor::Cursor;

/// The checksum, and the form.
const INPUTS_HEAD_BYTES: u64 = 8;
/// Each row gave one.
const FORM_ONE: u32 = 1;
/// How many each row gave is told.
const FORM_COUNTED: u32 = 2;
const COUNT_BYTES: u64 = 4;
/// The hash of a row that was left out.
const NO_HASH: [u8; RowHash::BYTES] = [0; RowHash::BYTES];
const ALIGNMENT_BYTES: u64 = 8;

pub(crate) fn encode(inputs: &[InputRow], buffer: &mut Vec<u8>) {
    let form = if inputs.iter().all(|input| input.outputs == 1) { FORM_ONE } else { FORM_COUNTED };
    let start = buffer.len();
    let bytes = section_bytes(form, inputs.len() as u64).expect("inputs that are in memory can be counted");
    buffer.reserve(bytes as usize);
    buffer.extend_from_slice(&[0; 4]);
    buffer.extend_from_slice(&form.to_le_bytes());
    for input in inputs {
        let hash: &[u8; RowHash::BYTES] = input.hash.as_ref().map_or(&NO_HASH, RowHash::as_bytes);
        buffer.extend_from_slice(hash);
    }
    if form == FORM_COUNTED {
        inputs.iter().for_each(|input| buffer.extend_from_slice(&input.outputs.to_le_bytes()));
    }
    buffer.resize(start + bytes as usize, 0);
    let checksum = crc32c::crc32c(&buffer[start + 4..]);
    buffer[start..start + 4].copy_from_slice(&checksum.to_le_bytes());
}

/// How long the section that begins so is, for this many input rows; `None` where that cannot be.
pub(crate) fn bytes_of(head: &[u8], rows_in: u64, payload_bytes: u64) -> Option<u64> {
    let form = u32::from_le_bytes(*head.get(4..8)?.first_chunk()?);
    section_bytes(form, rows_in).filter(|&bytes| bytes <= payload_bytes)
}

/// How long a section for this many input rows may be.
pub(crate) fn bytes_max(rows_in: u64) -> u64 {
    section_bytes(FORM_COUNTED, rows_in).unwrap_or(u64::MAX)
}

fn section_bytes(form: u32, rows_in: u64) -> Option<u64> {
    let row_bytes = match form {
        FORM_ONE => RowHash::BYTES as u64,
        FORM_COUNTED => RowHash::BYTES as u64 + COUNT_BYTES,
        _ => return None,
    };
    let bytes = rows_in.checked_mul(row_bytes)?.checked_add(INPUTS_HEAD_BYTES)?;
    bytes.checked_next_multiple_of(ALIGNMENT_BYTES)
}

/// Reads a section of the length that [`bytes_of`] answered for it.
pub(crate) fn decode(section: &[u8], rows_in: u64, rows_out: u64) -> Result<Vec<InputRow>, Damage> {
    let mut cursor = Cursor::new(section);
    if cursor.u32() != Some(crc32c::crc32c(&section[4..])) {
        return Err(Damage::Checksum { part: "input rows" });
    }
    let read = |mut cursor: Cursor<'_>| {
        let form = cursor.u32()?;
        let mut inputs = Vec::with_capacity(rows_in as usize);
        for _ in 0..rows_in {
            let bytes = cursor.array()?;
            let hash = (bytes != NO_HASH).then(|| RowHash::from_bytes(bytes));
            inputs.push(InputRow { hash, outputs: 1 });
        }
        if form == FORM_COUNTED {
            for input in &mut inputs {
                input.outputs = cursor.u32()?;
            }
        }
        let outputs: u64 = inputs.iter().map(|input| u64::from(input.outputs)).sum();
        (outputs == rows_out).then_some(inputs)
    };
    read(cursor).ok_or(Damage::Contradiction { part: "number of outputs" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(byte: u8, outputs: u32) -> InputRow {
        InputRow { hash: (byte != 0).then(|| RowHash::from_bytes([byte; 24])), outputs }
    }

    fn section(inputs: &[InputRow]) -> Vec<u8> {
        let mut buffer = b"before".to_vec();
        encode(inputs, &mut buffer);
        buffer.split_off(6)
    }

    #[test]
    fn reads_what_was_written() {
        for (inputs, bytes) in [
            (vec![input(7, 1)], 8 + 24),
            (vec![input(7, 1), input(8, 1)], 8 + 2 * 24),
            (vec![input(7, 0)], 8 + 24 + 4 + 4),
            (vec![input(7, 3), input(0, 0), input(9, 1)], 8 + 3 * 24 + 3 * 4 + 4),
        ] {
            let section = section(&inputs);
            let (rows_in, rows_out) =
                (inputs.len() as u64, inputs.iter().map(|input| u64::from(input.outputs)).sum());
            assert_eq!(section.len(), bytes);
            assert_eq!(bytes_of(&section, rows_in, bytes as u64), Some(bytes as u64));
            assert_eq!(bytes_of(&section, rows_in, bytes as u64 - 1), None);
            assert_eq!(decode(&section, rows_in, rows_out).unwrap(), inputs);
            assert!(matches!(decode(&section, rows_in, rows_out + 1), Err(Damage::Contradiction { .. })));
            for place in 0..section.len() {
                let mut flipped = section.clone();
                flipped[place] ^= 0x10;
                assert!(matches!(decode(&flipped, rows_in, rows_out), Err(Damage::Checksum { .. })));
            }
        }
    }

    #[test]
    fn is_these_bytes() {
        let section = section(&[input(0xab, 2)]);
        let hex: String = section.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "1e7a5eb402000000abababababababababababababababababababababababab0200000000000000");
    }

    #[test]
    fn lengths_that_cannot_be_are_refused() {
        let head = |form: u32| [[0; 4], form.to_le_bytes()].concat();
        assert_eq!(bytes_of(&head(3), 1, u64::MAX), None);
        assert_eq!(bytes_of(&head(2), u64::MAX / 8, u64::MAX), None);
        assert_eq!(bytes_of(&head(1)[..7], 1, u64::MAX), None);
    }
}
