//! Where the rows of a CSV file begin.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use csv::ByteRecord;

use super::CsvOptions;

/// Rows from one entry of an index to the next: what a read may parse in vain to find its first.
pub(super) const STRIDE: u64 = 256;

/// Bytes that are looked through at a time.
const BLOCK_BYTES: usize = 256 * 1024;

/// A sparse index of a file's rows.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Index {
    pub(super) rows: u64,
    /// The start of every row whose number is a multiple of [`STRIDE`].
    starts: Vec<Start>,
}

/// The start of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Start {
    pub(super) byte: u64,
    /// Lines before it in the file.
    pub(super) lines_before: u64,
}

impl Index {
    /// Reads a file to its end. Without quotes and carriage returns a row is a line that is not empty, which
    /// is found many times faster than by parsing.
    pub(super) fn read(mut file: File, options: &CsvOptions) -> Result<Self, csv::Error> {
        if let Some(index) = Self::of_lines(&mut file, options.has_headers)? {
            return Ok(index);
        }
        file.rewind()?;
        let mut reader = options.reader(file, options.has_headers);
        let mut index = Self::default();
        let mut record = ByteRecord::new();
        while reader.read_byte_record(&mut record)? {
            let start = record.position().map_or((0, 0), |start| (start.byte(), start.line() - 1));
            index.push(Start { byte: start.0, lines_before: start.1 });
        }
        Ok(index)
    }

    /// Where the row begins from which `row` is reached by parsing the fewest rows.
    pub(super) fn start_before(&self, row: u64) -> Option<Start> {
        self.starts.get(usize::try_from(row / STRIDE).ok()?).copied()
    }

    fn push(&mut self, start: Start) {
        if self.rows.is_multiple_of(STRIDE) {
            self.starts.push(start);
        }
        self.rows += 1;
    }

    /// The index of a file whose rows are its lines; `None` when it must be parsed to be sure.
    fn of_lines(file: &mut impl Read, has_headers: bool) -> io::Result<Option<Self>> {
        let mut index = Self::default();
        let mut header_expected = has_headers;
        let mut line = Start { byte: 0, lines_before: 0 };
        let mut row = |start: Start, end: u64| {
            let is_empty = start.byte == end;
            if !is_empty && !std::mem::take(&mut header_expected) {
                index.push(start);
            }
        };
        let mut block = vec![0; BLOCK_BYTES];
        let mut block_start = 0;
        loop {
            let len = match file.read(&mut block) {
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let bytes = &block[..len];
            let has_mark = block_start == 0 && bytes.first() == Some(&0xef); // perhaps a byte order mark
            if has_mark || memchr::memchr2(b'"', b'\r', bytes).is_some() {
                return Ok(None);
            }
            for newline in memchr::memchr_iter(b'\n', bytes) {
                let end = block_start + newline as u64;
                row(line, end);
                line = Start { byte: end + 1, lines_before: line.lines_before + 1 };
            }
            block_start += len as u64;
            if len == 0 {
                row(line, block_start);
                return Ok(Some(index));
            }
        }
    }
}

impl Start {
    /// Puts a file to where a parser can begin, and answers where that is: at the line break before the row if
    /// there is one, since a parser drops a byte order mark at its very beginning, where it may be data.
    pub(super) fn seek(self, file: &mut File) -> io::Result<Self> {
        if let Some(before) = self.byte.checked_sub(1) {
            let mut byte = [0];
            file.seek(SeekFrom::Start(before))?;
            file.read_exact(&mut byte)?;
            if byte == *b"\n" {
                file.seek(SeekFrom::Start(before))?;
                return Ok(Self { byte: before, lines_before: self.lines_before - 1 });
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lines_and_parsed_records_begin_at_the_same_places(
            text in "[ab,\n]{0,2000}",
            has_headers in any::<bool>(),
        ) {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            file.rewind().unwrap();
            let lines = Index::of_lines(&mut file, has_headers).unwrap().unwrap();
            // With a quote in a line of its own at the end, which is one more row, the file is parsed.
            file.write_all(b"\n\"q\"").unwrap();
            file.rewind().unwrap();
            prop_assert_eq!(Index::of_lines(&mut file, has_headers).unwrap(), None);
            file.rewind().unwrap();
            let parsed = Index::read(file, &CsvOptions::new().has_headers(has_headers)).unwrap();
            let header_was_last = has_headers && text.bytes().all(|byte| byte == b'\n');
            prop_assert_eq!(parsed.rows, lines.rows + u64::from(!header_was_last));
            // The parser takes a record to begin before the empty lines that it passes over.
            let first_byte = |start: &Start| {
                let line = &text.as_bytes()[start.byte as usize..];
                start.byte + line.iter().take_while(|byte| **byte == b'\n').count() as u64
            };
            let parsed: Vec<u64> = parsed.starts.iter().take(lines.starts.len()).map(first_byte).collect();
            prop_assert_eq!(parsed, lines.starts.iter().map(|start| start.byte).collect::<Vec<_>>());
        }
    }
}
