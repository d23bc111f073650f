//! Limits that keep a hostile file from filling memory or time.

use std::io::{self, Read};

use super::Stamp;

/// How many bytes may be unpacked from each byte of a compressed file.
const EXPANSION_MAX: u64 = 500;

/// So much may be unpacked from any file, however small it is.
const EXPANSION_FREE_BYTES: u64 = 64 * 1024 * 1024;

/// A limit of what a file may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Limit {
    /// A record, such as a line, is too long.
    #[error(
        "a record is longer than {bytes_max} bytes; if that is right, allow it with `record_bytes_max`, and if not, look for a quote that is not closed"
    )]
    Record {
        /// The most bytes that a record may have.
        bytes_max: u64,
    },
    /// A compressed file unpacks to far more than any real data does.
    #[error(
        "it unpacks to more than {expansion_max} times its size, as files made to fill a disk do; if it is what it should be, unpack it first"
    )]
    Expansion {
        /// How many bytes may be unpacked from each byte.
        expansion_max: u64,
    },
}

impl From<Limit> for io::Error {
    fn from(limit: Limit) -> Self {
        Self::other(limit)
    }
}

/// What is unpacked from a file, up to the limit of expansion.
pub(super) struct Unpacked<R> {
    reader: R,
    bytes_left: u64,
}

impl<R> Unpacked<R> {
    pub(super) fn new(reader: R, packed: &Stamp) -> Self {
        let bytes_left = packed.bytes.saturating_mul(EXPANSION_MAX).max(EXPANSION_FREE_BYTES);
        Self { reader, bytes_left }
    }
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.reader.read(buffer)?;
        self.bytes_left = self
            .bytes_left
            .checked_sub(len as u64)
            .ok_or(Limit::Expansion { expansion_max: EXPANSION_MAX })?;
        Ok(len)
    }
}

/// A reader from which only so much can be read before it is allowed more: a parser in front of it is allowed one
/// record after the other.
pub(crate) struct Metered<R> {
    reader: R,
    bytes_left: u64,
    bytes_max: u64,
    /// Bytes that the parser reads ahead.
    bytes_ahead: u64,
}

impl<R: Read> Metered<R> {
    pub(crate) fn new(reader: R, bytes_max: u64, bytes_ahead: u64) -> Self {
        let mut metered = Self { reader, bytes_left: 0, bytes_max, bytes_ahead };
        metered.refill();
        metered
    }

    /// Allows one more record.
    pub(crate) fn refill(&mut self) {
        self.bytes_left = self.bytes_max.saturating_add(self.bytes_ahead);
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.bytes_left == 0 {
            return Err(Limit::Record { bytes_max: self.bytes_max }.into());
        }
        let len = buffer.len().min(usize::try_from(self.bytes_left).unwrap_or(usize::MAX));
        let len = self.reader.read(&mut buffer[..len])?;
        self.bytes_left -= len as u64;
        Ok(len)
    }
}
