//! Where the rows of a CSV file begin.

use std::io::{self, Read};

use csv::ByteRecord;

use super::{CsvOptions, PARSER_START, csv_error, line_at, parser};
use crate::Error;
use crate::error::Place;
use crate::files::{DataFile, Limit};
use crate::text::{BLOCK_BYTES, Start, TextIndex};

/// Reads a file to its end. Without quotes and carriage returns a row is a line that is not empty, which
/// is found many times faster than by parsing.
pub(super) fn read(file: &DataFile, options: &CsvOptions) -> Result<TextIndex, Error> {
    let lines = of_lines(file.text(0)?, options.has_headers, options.record_bytes_max)
        .map_err(|(lines, error)| Error::read(file.path(), error).at(Place::Line(lines + 1)))?;
    lines.map_or_else(|| parsed(file, options), Ok)
}

fn parsed(file: &DataFile, options: &CsvOptions) -> Result<TextIndex, Error> {
    let mut parser = parser(file.text(0)?, options);
    let mut index = TextIndex::default();
    let mut record = ByteRecord::new();
    let mut header_expected = options.has_headers;
    loop {
        parser.get_mut().refill();
        let line = line_at(parser.position());
        if !parser
            .read_byte_record(&mut record)
            .map_err(|error| csv_error(file, error).at(Place::Line(line)))?
        {
            return Ok(index);
        }
        if !std::mem::take(&mut header_expected) {
            let start = record.position().map_or((0, 0), |start| (start.byte(), start.line() - 1));
            index.push(Start {
                byte: start.0.saturating_sub(PARSER_START.byte),
                lines_before: start.1.saturating_sub(PARSER_START.lines_before),
            });
        }
    }
}

/// The index of a file whose rows are its lines; `None` when it must be parsed to be sure. An error comes with the number
/// of lines before it.
fn of_lines(
    mut text: impl Read,
    has_headers: bool,
    record_bytes_max: u64,
) -> Result<Option<TextIndex>, (u64, io::Error)> {
    let mut index = TextIndex::default();
    let mut header_expected = has_headers;
    let mut line = Start::default();
    let mut row = |start: Start, end: u64| {
        let is_empty = start.byte == end;
        if !is_empty && !std::mem::take(&mut header_expected) {
            index.push(start);
        }
    };
    let mut block = vec![0; BLOCK_BYTES];
    let mut block_start = 0;
    loop {
        let len = match text.read(&mut block) {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err((line.lines_before, error)),
        };
        let bytes = &block[..len];
        if memchr::memchr2(b'"', b'\r', bytes).is_some() {
            return Ok(None);
        }
        for newline in memchr::memchr_iter(b'\n', bytes) {
            let end = block_start + newline as u64;
            row(line, end);
            line = Start { byte: end + 1, lines_before: line.lines_before + 1 };
        }
        block_start += len as u64;
        if block_start - line.byte > record_bytes_max {
            return Err((line.lines_before, Limit::Record { bytes_max: record_bytes_max }.into()));
        }
        if len == 0 {
            row(line, block_start);
            return Ok(Some(index));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lines_and_parsed_records_begin_at_the_same_places(
            text in "[ab,\n]{0,2000}",
            has_headers in any::<bool>(),
        ) {
            let lines = of_lines(text.as_bytes(), has_headers, 10_000).unwrap().unwrap();
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), &text).unwrap();
            let file = DataFile::open(file.path()).unwrap();
            let parsed = parsed(&file, &CsvOptions::new().has_headers(has_headers)).unwrap();
            prop_assert_eq!(parsed.rows, lines.rows);
            // The parser takes a record to begin before the empty lines that it passes over.
            let first_byte = |start: &Start| {
                let line = &text.as_bytes()[start.byte as usize..];
                start.byte + line.iter().take_while(|byte| **byte == b'\n').count() as u64
            };
            let parsed: Vec<u64> = parsed.starts.iter().map(first_byte).collect();
            prop_assert_eq!(parsed, lines.starts.iter().map(|start| start.byte).collect::<Vec<_>>());
            let quoted = of_lines(&[text.as_bytes(), b"\""].concat()[..], has_headers, 10_000).unwrap();
            prop_assert!(quoted.is_none());
        }
    }
}
