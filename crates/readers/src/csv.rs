//! Rows of a CSV file (RFC 4180, as the `csv` crate reads it), identified by the file's content.
//!
//! The file is read where it lies and never copied. Its rows are found again by a sparse index of
//! byte positions, one for every [`INDEX_STRIDE`] rows, made in one pass when rows are first
//! needed; a chain that has nothing left to do never makes it.

use std::fmt;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use csv::{ByteRecord, ErrorKind, Position, ReaderBuilder};
use rowmark_hashing::{ContentHash, Fingerprint, hash_reader};
use rowmark_rows::RowRange;
use serde::de::DeserializeOwned;

use crate::stamp::Stamp;
use crate::{Cell, Error, RowIter, Source};

/// Rows from one entry of the index to the next: what a read may parse in vain to find its first.
const INDEX_STRIDE: u64 = 256;

/// Bytes of a cell that an error shows.
const CELL_BYTES_SHOWN_MAX: usize = 80;

/// How a CSV file is written.
///
/// Every option is part of the identity of the rows.
///
/// ```
/// use rowmark_readers::CsvOptions;
///
/// let semicolons = CsvOptions::new().delimiter(b';').null("NA");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvOptions {
    delimiter: u8,
    has_headers: bool,
    null: Option<String>,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self { delimiter: b',', has_headers: true, null: None }
    }
}

impl CsvOptions {
    /// Commas, a header line, and only an empty cell is a missing value.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the byte between cells.
    #[must_use]
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.delimiter = delimiter;
        self
    }

    /// Tells whether the first record names the columns. Without one, rows are tuples, or structs
    /// whose fields stand in the order of the columns.
    #[must_use]
    pub fn has_headers(mut self, has_headers: bool) -> Self {
        self.has_headers = has_headers;
        self
    }

    /// Sets a text that stands for a missing value, as an empty cell does.
    #[must_use]
    pub fn null(mut self, text: impl Into<String>) -> Self {
        self.null = Some(text.into());
        self
    }

    fn reader(&self, file: File) -> csv::Reader<File> {
        ReaderBuilder::new().delimiter(self.delimiter).has_headers(self.has_headers).from_reader(file)
    }
}

/// A CSV file as a source of rows of type `T`, matched to its columns by name.
///
/// Columns that `T` has no field for are passed over.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("towns.csv");
/// use rowmark_readers::{CsvOptions, CsvSource, Source};
/// use rowmark_rows::RowRange;
///
/// #[derive(serde::Deserialize, Debug, PartialEq)]
/// struct Town { name: String, metres: Option<f64> }
///
/// std::fs::write(&path, "name,metres\nBern,540\nOz,\n")?;
/// let towns = CsvSource::<Town>::open(&path, CsvOptions::new())?;
/// assert_eq!(towns.rows()?, 2);
/// let second: Vec<Town> = towns.read(RowRange::new(1, 2))?.collect::<Result<_, _>>()?;
/// assert_eq!(second, [Town { name: "Oz".into(), metres: None }]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct CsvSource<T> {
    path: PathBuf,
    options: CsvOptions,
    headers: Option<ByteRecord>,
    /// The state of the file when it was opened; in any other it is refused.
    stamp: Stamp,
    content: Mutex<Option<ContentHash>>,
    index: Mutex<Option<Arc<Index>>>,
    row: PhantomData<fn() -> T>,
}

/// Where rows begin.
#[derive(Debug, Default)]
struct Index {
    rows: u64,
    /// The position of every row whose number is a multiple of [`INDEX_STRIDE`].
    positions: Vec<Position>,
}

impl<T> CsvSource<T> {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// The file cannot be opened, or has no header although the options say that it has one.
    pub fn open(path: impl AsRef<Path>, options: CsvOptions) -> Result<Self, Error> {
        let path = path.as_ref().to_owned();
        let (file, stamp) = Stamp::open(&path)?;
        let headers = if options.has_headers {
            let mut reader = options.reader(file);
            let headers = reader
                .byte_headers()
                .map_err(|error| Error::Read { path: path.clone(), source: error.into() })?
                .clone();
            if headers.is_empty() {
                return Err(Error::NoHeader { path });
            }
            Some(headers)
        } else {
            None
        };
        Ok(Self {
            path,
            options,
            headers,
            stamp,
            content: Mutex::default(),
            index: Mutex::default(),
            row: PhantomData,
        })
    }

    fn content(&self) -> Result<ContentHash, Error> {
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(content) = *content {
            return Ok(content);
        }
        let file = self.stamp.reopen(&self.path)?;
        let hash = hash_reader(file).map_err(|source| Error::Read { path: self.path.clone(), source })?;
        self.verify_stamp()?;
        Ok(*content.insert(hash))
    }

    fn index(&self) -> Result<Arc<Index>, Error> {
        let mut known = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = &*known {
            return Ok(Arc::clone(index));
        }
        let mut reader = self.options.reader(self.stamp.reopen(&self.path)?);
        let mut index = Index::default();
        let mut record = ByteRecord::new();
        while reader.read_byte_record(&mut record).map_err(|error| self.line_error(error, 0, None))? {
            if index.rows.is_multiple_of(INDEX_STRIDE) {
                index.positions.extend(record.position().cloned());
            }
            index.rows += 1;
        }
        self.verify_stamp()?;
        Ok(Arc::clone(known.insert(Arc::new(index))))
    }

    fn verify_stamp(&self) -> Result<(), Error> {
        self.stamp.reopen(&self.path).map(drop)
    }

    /// Puts file, line, column and text to an error of the parser, whose own line numbers begin
    /// `lines_before` into the file.
    fn line_error(&self, error: csv::Error, lines_before: u64, record: Option<&ByteRecord>) -> Error {
        let path = self.path.clone();
        let line = |position: Option<&Position>| position.map_or(1, Position::line) + lines_before;
        match error.kind() {
            ErrorKind::Deserialize { err, .. } => Error::Line {
                path,
                line: line(record.and_then(ByteRecord::position)),
                cell: err.field().zip(record).and_then(|(field, record)| self.cell(field as usize, record)),
                reason: err.kind().to_string(),
                source: Some(Box::new(err.clone())),
            },
            ErrorKind::UnequalLengths { pos, expected_len, len } => Error::Line {
                path,
                line: line(pos.as_ref()),
                cell: None,
                reason: format!("expected {expected_len} columns as in the first line, found {len}"),
                source: None,
            },
            _ => Error::Read { path, source: error.into() },
        }
    }

    fn cell(&self, field: usize, record: &ByteRecord) -> Option<Cell> {
        let name = self.headers.as_ref().and_then(|headers| headers.get(field));
        let column = match name {
            Some(name) => String::from_utf8_lossy(name).into_owned(),
            None => (field + 1).to_string(),
        };
        let text = record.get(field)?;
        let text = String::from_utf8_lossy(&text[..text.len().min(CELL_BYTES_SHOWN_MAX)]).into_owned();
        Some(Cell { column, text })
    }
}

impl<T> fmt::Debug for CsvSource<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CsvSource").field("path", &self.path).field("options", &self.options).finish()
    }
}

impl<T: DeserializeOwned> Source for CsvSource<T> {
    type Row = T;

    fn name(&self) -> String {
        self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned()
    }

    fn fingerprint(&self) -> Result<Fingerprint, Error> {
        let (content, bytes) = (self.content()?, self.stamp.bytes);
        let options = &self.options;
        Ok(Fingerprint::new("rowmark.source.csv")
            .with_hash(
                "content",
                content,
                format_args!("{} {} ({bytes} bytes)", self.name(), content.short()),
            )
            .with("delimiter", &(options.delimiter as char))?
            .with("has_headers", &options.has_headers)?
            .with("null", &options.null)?)
    }

    fn rows(&self) -> Result<u64, Error> {
        Ok(self.index()?.rows)
    }

    fn read(&self, range: RowRange) -> Result<RowIter<'_, T>, Error> {
        let index = self.index()?;
        let Some(position) = index.positions.get((range.start() / INDEX_STRIDE) as usize) else {
            return Ok(Box::new(std::iter::empty()));
        };
        let mut file = self.stamp.reopen(&self.path)?;
        file.seek(SeekFrom::Start(position.byte()))
            .map_err(|source| Error::Read { path: self.path.clone(), source })?;
        let mut rows = Rows {
            source: self,
            reader: ReaderBuilder::new()
                .delimiter(self.options.delimiter)
                .has_headers(false)
                .from_reader(file),
            lines_before: position.line() - 1,
            record: ByteRecord::new(),
            without_nulls: ByteRecord::new(),
        };
        for _ in 0..range.start() % INDEX_STRIDE {
            rows.advance()?;
        }
        Ok(Box::new(rows.take(usize::try_from(range.len()).unwrap_or(usize::MAX))))
    }

    fn verify(&self) -> Result<(), Error> {
        self.verify_stamp()
    }
}

/// Rows from one position on.
struct Rows<'a, T> {
    source: &'a CsvSource<T>,
    reader: csv::Reader<File>,
    lines_before: u64,
    record: ByteRecord,
    without_nulls: ByteRecord,
}

impl<T> Rows<'_, T> {
    /// Reads the next record; false at the end of the file.
    fn advance(&mut self) -> Result<bool, Error> {
        self.reader
            .read_byte_record(&mut self.record)
            .map_err(|error| self.source.line_error(error, self.lines_before, None))
    }
}

impl<T: DeserializeOwned> Iterator for Rows<'_, T> {
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Result<T, Error>> {
        match self.advance() {
            Ok(true) => {}
            Ok(false) => return None,
            Err(error) => return Some(Err(error)),
        }
        let mut record = &self.record;
        if let Some(null) = &self.source.options.null {
            self.without_nulls.clear();
            for cell in record {
                self.without_nulls.push_field(if cell == null.as_bytes() { b"" } else { cell });
            }
            record = &self.without_nulls;
        }
        let row = record.deserialize(self.source.headers.as_ref());
        Some(row.map_err(|error| self.source.line_error(error, self.lines_before, Some(&self.record))))
    }
}
