//! The file `acknowledged`: how far the store has told its callers that their changes are durable.
//!
//! Sled, opened on a file whose end was lost, may answer with the state of an earlier moment and say nothing. Every
//! change therefore has a number, which is kept in two places: inside sled, changed in the same batch as the
//! records, and here, written after sled's file was synced. A sled that comes back with a lower number than stands
//! here has lost acknowledged changes.
//!
//! ```text
//! slot 0, slot 1:  | "RMAK" | number: 8 bytes, big-endian | CRC-32C of both: 4 bytes, big-endian |
//! ```
//!
//! Numbers go to the two slots in turn, so that a torn write spoils one of them at most. The file is not synced:
//! when its last write is lost with the machine, an older number stands here, which is never too high.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

const MAGIC: [u8; 4] = *b"RMAK";
const SLOT_BYTES: usize = 16;
const SLOTS: usize = 2;

pub(super) struct Acknowledged {
    file: File,
}

/// What the file said when it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// The highest number in a slot that is whole.
    pub(super) number: u64,
    /// Whether a slot was written and is not whole.
    pub(super) spoilt: bool,
}

impl Acknowledged {
    pub(super) fn open(path: &Path) -> io::Result<(Self, Reading)> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut bytes = Vec::with_capacity(SLOTS * SLOT_BYTES);
        (&file).take((SLOTS * SLOT_BYTES) as u64).read_to_end(&mut bytes)?;
        Ok((Self { file }, read_slots(&bytes)))
    }

    pub(super) fn write(&mut self, number: u64) -> io::Result<()> {
        let slot = number % SLOTS as u64;
        self.file.seek(SeekFrom::Start(slot * SLOT_BYTES as u64))?;
        self.file.write_all(&slot_bytes(number))
    }
}

fn read_slots(bytes: &[u8]) -> Reading {
    let mut reading = Reading { number: 0, spoilt: false };
    for slot in bytes.chunks(SLOT_BYTES) {
        match slot_number(slot) {
            Some(number) => reading.number = reading.number.max(number),
            None => reading.spoilt |= slot.iter().any(|&byte| byte != 0),
        }
    }
    reading
}

fn slot_number(slot: &[u8]) -> Option<u64> {
    let (checked, crc) = slot.split_last_chunk()?;
    let number = checked.strip_prefix(&MAGIC)?;
    let number = u64::from_be_bytes(number.try_into().ok()?);
    (crc32c::crc32c(checked) == u32::from_be_bytes(*crc)).then_some(number)
}

fn slot_bytes(number: u64) -> [u8; SLOT_BYTES] {
    let mut slot = [0; SLOT_BYTES];
    slot[..4].copy_from_slice(&MAGIC);
    slot[4..12].copy_from_slice(&number.to_be_bytes());
    let crc = crc32c::crc32c(&slot[..12]);
    slot[12..].copy_from_slice(&crc.to_be_bytes());
    slot
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_number_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("acknowledged");
        for number in 0..10 {
            let (mut file, _) = Acknowledged::open(&path).unwrap();
            file.write(number).unwrap();
            let (_, reading) = Acknowledged::open(&path).unwrap();
            assert_eq!(reading, Reading { number, spoilt: false });
        }
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 32);
    }

    #[test]
    fn any_flip_or_cut_falls_back_to_the_other_slot_and_is_told() {
        let whole = [slot_bytes(8), slot_bytes(9)].concat();
        for index in 0..whole.len() {
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[index] ^= 1 << bit;
                let number = if index < SLOT_BYTES { 9 } else { 8 };
                assert_eq!(read_slots(&bytes), Reading { number, spoilt: true });
            }
        }
        for length in 0..whole.len() {
            let number = if length < SLOT_BYTES { 0 } else { 8 };
            assert_eq!(read_slots(&whole[..length]).number, number);
        }
    }

    #[test]
    fn an_empty_file_acknowledges_nothing() {
        assert_eq!(read_slots(&[]), Reading { number: 0, spoilt: false });
        assert_eq!(read_slots(&[0; 32]), Reading { number: 0, spoilt: false });
    }
}
