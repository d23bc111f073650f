//! The rows of a CSV file from one position on.

use std::fmt;
use std::io::{self, BufReader, Read as _};
use std::sync::Arc;

use csv::ByteRecord;

use super::parse::{Misfit, Parse};
use super::{CsvOptions, PARSER_START, Text, csv_error, line_at, parser};
use crate::Error;
use crate::error::Place;
use crate::file_source::Cursor;
use crate::files::{DataFile, Metered};
use crate::text::Start;

/// Reads the records of a CSV file.
pub struct CsvCursor<T> {
    file: DataFile,
    parser: csv::Reader<Metered<Text>>,
    parse: Arc<dyn Parse<T>>,
    /// Where `parser` began.
    start: Start,
    record: ByteRecord,
}

impl<T> CsvCursor<T> {
    pub(super) fn open(
        file: &DataFile,
        options: &CsvOptions,
        parse: Arc<dyn Parse<T>>,
        start: Start,
    ) -> Result<Self, Error> {
        let parser = parser(file.text(start.byte)?, options);
        Ok(Self { file: file.clone(), parser, parse, start, record: ByteRecord::new() })
    }

    /// Reads the next record; false at the end of the file.
    fn advance(&mut self) -> Result<bool, Error> {
        self.parser.get_mut().refill();
        let line = self.line(self.parser.position());
        self.parser
            .read_byte_record(&mut self.record)
            .map_err(|error| csv_error(&self.file, error).at(Place::Line(line)))
    }

    fn line(&self, position: &csv::Position) -> u64 {
        self.start.lines_before + line_at(position)
    }

    fn error(&self, misfit: Misfit) -> Error {
        // The parser passes over empty lines, but takes a record to begin before them.
        let line = self.record.position().map_or(1, |position| {
            let byte = self.start.byte + position.byte().max(PARSER_START.byte) - PARSER_START.byte;
            let empty_lines = self.count_empty_lines(byte).unwrap_or(0);
            self.line(position) + empty_lines
        });
        let Misfit { cell, reason, source } = misfit;
        Error::Row { path: self.file.path().to_owned(), place: Place::Line(line), cell, reason, source }
    }

    /// The number of empty lines at a place in the file.
    fn count_empty_lines(&self, byte: u64) -> io::Result<u64> {
        let text = self.file.text(byte).map_err(io::Error::other)?;
        let mut lines = 0;
        for byte in BufReader::new(text).bytes() {
            match byte? {
                b'\n' => lines += 1,
                b'\r' => {}
                _ => break,
            }
        }
        Ok(lines)
    }
}

impl<T> fmt::Debug for CsvCursor<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CsvCursor").field("file", &self.file).finish_non_exhaustive()
    }
}

impl<T: 'static> Cursor for CsvCursor<T> {
    type Row = T;

    fn pass_over(&mut self) -> Result<(), Error> {
        self.advance().map(drop)
    }

    fn next(&mut self) -> Option<Result<T, Error>> {
        match self.advance() {
            Ok(true) => Some(self.parse.row(&self.record).map_err(|misfit| self.error(misfit))),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    }
}
