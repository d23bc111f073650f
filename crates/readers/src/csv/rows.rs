//! The rows of a CSV file from one position on.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use csv::{ByteRecord, ErrorKind};
use serde::de::DeserializeOwned;

use super::CsvSource;
use super::index::Start;
use crate::{Cell, Error};

/// Bytes of a cell that an error shows.
const CELL_BYTES_SHOWN_MAX: usize = 80;

pub(super) struct Rows<'a, T> {
    source: &'a CsvSource<T>,
    reader: csv::Reader<File>,
    /// Where `reader` began.
    start: Start,
    record: ByteRecord,
    without_nulls: ByteRecord,
}

impl<'a, T> Rows<'a, T> {
    /// Begins at `start`, where the file stands.
    pub(super) fn new(source: &'a CsvSource<T>, file: File, start: Start) -> Self {
        let reader = source.options.reader(file, false);
        Self { source, reader, start, record: ByteRecord::new(), without_nulls: ByteRecord::new() }
    }

    /// Passes over rows.
    pub(super) fn pass_over(&mut self, rows: u64) -> Result<(), Error> {
        for _ in 0..rows {
            self.advance()?;
        }
        Ok(())
    }

    /// Reads the next record; false at the end of the file.
    fn advance(&mut self) -> Result<bool, Error> {
        self.reader
            .read_byte_record(&mut self.record)
            .map_err(|error| Error::Read { path: self.source.path.clone(), source: error.into() })
    }

    fn row(&mut self) -> Result<T, Error>
    where
        T: DeserializeOwned,
    {
        let expected = self.source.first.len();
        if self.record.len() != expected {
            let reason =
                format!("expected {expected} columns as in the first line, found {}", self.record.len());
            return Err(self.error(None, reason, None));
        }
        let mut record = &self.record;
        if let Some(null) = &self.source.options.null {
            self.without_nulls.clear();
            for cell in record {
                self.without_nulls.push_field(if cell == null.as_bytes() { b"" } else { cell });
            }
            record = &self.without_nulls;
        }
        record.deserialize(self.source.headers()).map_err(|error| match error.into_kind() {
            ErrorKind::Deserialize { err, .. } => {
                let cell = err.field().and_then(|field| self.cell(field as usize));
                self.error(cell, err.kind().to_string(), Some(Box::new(err)))
            }
            other => self.error(None, format!("{other:?}"), None),
        })
    }

    fn error(&self, cell: Option<Cell>, reason: String, source: Option<Box<csv::DeserializeError>>) -> Error {
        let (byte, line) = self.record.position().map_or((0, 1), |start| (start.byte(), start.line()));
        // The parser passes over empty lines, but takes a record to begin before them.
        let empty_lines = count_empty_lines(&self.source.path, self.start.byte + byte).unwrap_or(0);
        let line = self.start.lines_before + line + empty_lines;
        Error::Line { path: self.source.path.clone(), line, cell, reason, source }
    }

    fn cell(&self, field: usize) -> Option<Cell> {
        let name = self.source.headers().and_then(|headers| headers.get(field));
        let column = match name {
            Some(name) => String::from_utf8_lossy(name).into_owned(),
            None => (field + 1).to_string(),
        };
        let text = self.record.get(field)?;
        let text = String::from_utf8_lossy(&text[..text.len().min(CELL_BYTES_SHOWN_MAX)]).into_owned();
        Some(Cell { column, text })
    }
}

/// The number of empty lines at a place in a file.
fn count_empty_lines(path: &Path, byte: u64) -> io::Result<u64> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(byte))?;
    let mut lines = 0;
    for byte in BufReader::new(file).bytes() {
        match byte? {
            b'\n' => lines += 1,
            b'\r' => {}
            _ => break,
        }
    }
    Ok(lines)
}

impl<T: DeserializeOwned> Iterator for Rows<'_, T> {
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Result<T, Error>> {
        match self.advance() {
            Ok(true) => Some(self.row()),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    }
}
