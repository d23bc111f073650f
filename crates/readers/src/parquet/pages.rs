//! What the pages of a column are, looked at before they are unpacked.
//!
//! A page is unpacked as a whole, into as much memory as its header says, or, by some codecs, as there is in it. So a file
//! of some kilobytes could ask for gigabytes. Here the headers of all pages of a row group are read (Apache Parquet's
//! `parquet.thrift`, in Thrift's compact protocol), and what they say is held against limits; where the codec does not stop
//! at what the header says, it is also held against what is there.

use std::io::{self, Read};

use parquet::basic::Compression;
use parquet::file::metadata::ColumnChunkMetaData;

use crate::Error;
use crate::columnar::malformed;
use crate::files::DataFile;

/// The largest page, unpacked. Writers make pages of about 1 MiB, or as large as one value.
const PAGE_BYTES_MAX: u64 = 256 << 20;

/// What the pages of a row group that are in memory at a time, a dictionary and a page of each column, may hold together.
const GROUP_BYTES_MAX: u64 = 2 << 30;

/// The most pages of a column in a row group.
const PAGES_MAX: u32 = 1 << 20;

/// The longest header: it may hold two values, the least and the greatest.
const HEADER_BYTES_MAX: usize = 1 << 20;

/// How much of a file is read for a header that may be longer.
const HEADER_BYTES: usize = 512;

/// Structs, lists and maps within one another in a header.
const DEPTH_MAX: u32 = 8;

/// What the headers of the pages of one column in one row group say.
#[derive(Clone, Copy, Debug, Default)]
struct Pages {
    dictionary_bytes: u64,
    /// The largest other page.
    page_bytes: u64,
}

/// Checks the pages of the columns of a row group; answers the size of the largest dictionary.
pub(super) fn check<'a>(
    file: &DataFile,
    group: usize,
    columns: impl Iterator<Item = &'a ColumnChunkMetaData>,
) -> Result<u64, Error> {
    let reader = file.file()?;
    let (mut together, mut dictionary_bytes_max) = (0_u64, 0);
    for column in columns {
        let name = || format!("column `{}` of row group {group}", column.column_path().string());
        let pages = walk(&reader, column)
            .map_err(|source| Error::Read { path: file.path().to_owned(), source })?
            .map_err(|what| malformed(file.path(), format!("{} {what}", name())))?;
        together = together.saturating_add(pages.dictionary_bytes).saturating_add(pages.page_bytes);
        dictionary_bytes_max = dictionary_bytes_max.max(pages.dictionary_bytes);
        if together > GROUP_BYTES_MAX {
            let reason = format!(
                "up to {} the pages of row group {group} unpack to {together} bytes, where at most {GROUP_BYTES_MAX} \
                 are read together; choose fewer columns, or write smaller pages",
                name()
            );
            return Err(malformed(file.path(), reason));
        }
    }
    Ok(dictionary_bytes_max)
}

/// Goes through the pages of a column chunk, which lies within the file.
fn walk(file: &std::fs::File, column: &ColumnChunkMetaData) -> io::Result<Result<Pages, String>> {
    let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset()).unsigned_abs();
    let end = start + column.compressed_size().unsigned_abs();
    let (mut at, mut values_left, mut pages) = (start, column.num_values(), Pages::default());
    let mut count = 0;
    while at < end && values_left > 0 {
        count += 1;
        if count > PAGES_MAX {
            return Ok(Err(format!("has more than {PAGES_MAX} pages")));
        }
        let Some((header, header_bytes)) = read_header(file, at, end)? else {
            return Ok(Err(format!("has no page at byte {at}")));
        };
        let (page_start, packed_bytes) = (at + header_bytes as u64, header.packed_bytes);
        if packed_bytes > end - page_start {
            return Ok(Err(format!("has a page at byte {at} that is longer than the column")));
        }
        if header.bytes > PAGE_BYTES_MAX {
            let bytes = header.bytes;
            return Ok(Err(format!(
                "has a page at byte {at} that unpacks to {bytes} bytes, where at most {PAGE_BYTES_MAX} are read; write \
                 smaller pages"
            )));
        }
        if unpacks_to_more(file, page_start, packed_bytes, header.bytes, column.compression())? {
            return Ok(Err(format!("has a page at byte {at} that unpacks to more than it says")));
        }
        if header.is_dictionary {
            pages.dictionary_bytes = pages.dictionary_bytes.max(header.bytes);
        } else {
            pages.page_bytes = pages.page_bytes.max(header.bytes);
        }
        values_left = values_left.saturating_sub(header.values.into());
        at = page_start + packed_bytes;
    }
    Ok(Ok(pages))
}

/// Whether a page holds more than its header says, where the codec would unpack all of it.
fn unpacks_to_more(
    file: &std::fs::File,
    start: u64,
    packed_bytes: u64,
    bytes: u64,
    compression: Compression,
) -> io::Result<bool> {
    /// The most that deflate and LZ4 make of a byte, and what they begin with.
    const GZIP_EXPANSION_MAX: u64 = 1040;
    const LZ4_EXPANSION_MAX: u64 = 256;
    let expansion_max = match compression {
        Compression::GZIP(_) => GZIP_EXPANSION_MAX,
        Compression::LZ4 => LZ4_EXPANSION_MAX,
        Compression::BROTLI(_) => u64::MAX,
        // These stop at what the header says.
        _ => return Ok(false),
    };
    if packed_bytes.saturating_mul(expansion_max) <= PAGE_BYTES_MAX {
        return Ok(false); // it is found out when it is unpacked, in little memory
    }
    let packed = io::BufReader::new(Part { file, at: start, end: start + packed_bytes });
    let unpacked: Box<dyn Read> = match compression {
        Compression::GZIP(_) => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
        Compression::BROTLI(_) => Box::new(brotli::Decompressor::new(packed, 1 << 16)),
        _ => Box::new(lz4_flex::frame::FrameDecoder::new(packed)),
    };
    // One that cannot be unpacked is an error when it is read; as far as it can be, it counts.
    let mut counted = unpacked.take(bytes + 1);
    let (mut buffer, mut count) = (vec![0; 1 << 16], 0);
    while let Ok(read @ 1..) = counted.read(&mut buffer) {
        count += read as u64;
    }
    Ok(count > bytes)
}

/// A part of a file.
struct Part<'a> {
    file: &'a std::fs::File,
    at: u64,
    end: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = buffer.len().min((self.end - self.at) as usize);
        let read = read_at(self.file, &mut buffer[..bytes], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(unix)]
fn read_at(file: &std::fs::File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_at(file: &std::fs::File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

/// What is to be known of a page before it is read.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct PageHeader {
    is_dictionary: bool,
    bytes: u64,
    packed_bytes: u64,
    values: u32,
}

/// The header at a place, and how long it is; none if there is no header.
fn read_header(file: &std::fs::File, at: u64, end: u64) -> io::Result<Option<(PageHeader, usize)>> {
    for bytes in [HEADER_BYTES, HEADER_BYTES_MAX] {
        let mut part = Part { file, at, end };
        let mut buffer = vec![0; bytes.min((end - at) as usize)];
        part.read_exact(&mut buffer)?;
        let mut compact = Compact(&buffer);
        if let Some(header) = compact.page_header() {
            return Ok(Some((header, buffer.len() - compact.0.len())));
        }
    }
    Ok(None)
}

/// Bytes of Thrift's compact protocol; reading ends with `None` where they are none.
struct Compact<'a>(&'a [u8]);

impl Compact<'_> {
    /// The kinds of values, as they stand before fields and elements.
    const STOP: u8 = 0;
    const I32: u8 = 5;
    const STRUCT: u8 = 12;

    fn page_header(&mut self) -> Option<PageHeader> {
        const DICTIONARY_PAGE: u64 = 2;
        let (mut header, mut required) = (PageHeader::default(), 0);
        self.fields(|compact, field, kind| {
            match (field, kind) {
                (1, Self::I32) => header.is_dictionary = compact.number()? == DICTIONARY_PAGE,
                (2, Self::I32) => header.bytes = compact.number()?,
                (3, Self::I32) => header.packed_bytes = compact.number()?,
                // The headers of a page of data, in both versions, begin with the number of values.
                (5 | 8, Self::STRUCT) => compact.fields(|compact, field, kind| {
                    if (field, kind) == (1, Self::I32) {
                        header.values = u32::try_from(compact.number()?).ok()?;
                        return Some(());
                    }
                    compact.skip(kind, DEPTH_MAX)
                })?,
                _ => compact.skip(kind, DEPTH_MAX)?,
            }
            required += u32::from((1..=3).contains(&field));
            Some(())
        })?;
        (required == 3).then_some(header)
    }

    /// Gives each field of a struct, by its number and kind, to who reads its value.
    fn fields(&mut self, mut read: impl FnMut(&mut Self, i64, u8) -> Option<()>) -> Option<()> {
        let mut field = 0;
        loop {
            let byte = self.byte()?;
            let (delta, kind) = (byte >> 4, byte & 0x0f);
            if kind == Self::STOP {
                return Some(());
            }
            field = if delta == 0 { zigzag(self.varint()?) } else { field + i64::from(delta) };
            read(self, field, kind)?;
        }
    }

    fn skip(&mut self, kind: u8, depth: u32) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        match kind {
            1 | 2 => {} // a boolean, which is its kind
            3 => drop(self.byte()?),
            4..=6 => drop(self.varint()?),
            7 => self.bytes(8)?,
            8 => {
                let bytes = self.varint()?;
                self.bytes(usize::try_from(bytes).ok()?)?;
            }
            9 | 10 => {
                let byte = self.byte()?;
                let (short, kind) = (byte >> 4, byte & 0x0f);
                let items = if short == 15 { self.varint()? } else { short.into() };
                for _ in 0..items {
                    // In a list a boolean is a byte.
                    self.skip(if kind <= 2 { 3 } else { kind }, depth)?;
                }
            }
            Self::STRUCT => self.fields(|compact, _, kind| compact.skip(kind, depth))?,
            _ => return None,
        }
        Some(())
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn bytes(&mut self, count: usize) -> Option<()> {
        self.0 = self.0.get(count..)?;
        Some(())
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// A number that is not negative.
    fn number(&mut self) -> Option<u64> {
        u64::try_from(zigzag(self.varint()?)).ok()
    }
}

fn zigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn headers_are_read() {
        // type 2, 300 bytes unpacked, 20 packed, a CRC, and a dictionary header that is skipped.
        let dictionary = [0x15, 4, 0x15, 0xd8, 4, 0x15, 40, 0x15, 2, 0x3c, 0x15, 10, 0x15, 0, 0, 0];
        let header = PageHeader { is_dictionary: true, bytes: 300, packed_bytes: 20, values: 0 };
        assert_eq!(Compact(&dictionary).page_header(), Some(header));
        // type 0, 8 bytes, 8 packed, and the header of 7 values with statistics of two texts.
        let data = [
            0x15, 0, 0x15, 16, 0x15, 16, 0x2c, 0x15, 14, 0x15, 0, 0x15, 6, 0x15, 6, 0x1c, 0x18, 1, b'a',
            0x18, 1, b'b', 0, 0, 0,
        ];
        let header = PageHeader { is_dictionary: false, bytes: 8, packed_bytes: 8, values: 7 };
        assert_eq!(Compact(&data).page_header(), Some(header));
        for end in 0..data.len() {
            assert_eq!(Compact(&data[..end]).page_header(), None);
        }
        assert_eq!(Compact(&[0; 9]).page_header(), None, "no sizes");
        assert_eq!(Compact(&[0x15, 0, 0x15, 15]).page_header(), None, "less than no bytes");
        assert_eq!(Compact(&[0x1c; 40]).page_header(), None, "structs in structs");
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Compact(&bytes).page_header();
        }
    }
}
