//! Rows of CSV files (RFC 4180, as the `csv` crate reads it).
//!
//! Rows are found again by a sparse index of byte positions, made in one pass when rows are first needed; a chain that
//! has nothing left to do never makes it.

mod cursor;
mod index;
mod options;
mod parse;

use std::fmt;
use std::io::Read;
use std::sync::Arc;

use csv::{ByteRecord, ErrorKind};
use rowmark_hashing::Fingerprint;
use rowmark_rows::{Row, RowSchema, RowType};

use crate::Error;
use crate::error::{Cell, Place};
use crate::file_source::{FileSource, Format};
use crate::files::{DataFile, Files, Metered};
use crate::text::{Start, TextIndex};
use cursor::CsvCursor;
pub use options::CsvOptions;
use parse::{Parse, TypedParse, UntypedParse, check_columns, guess};

/// Columns that a file may have: a hostile line of some megabytes can have millions.
const COLUMNS_MAX: usize = 32_768;

/// Endings of the names of CSV files in a folder.
const EXTENSIONS: [&str; 2] = ["csv", "tsv"];

/// A CSV file, or many, as a source of rows of type `T`, matched to columns by name.
///
/// A type other than [`Row`] is compared with the header when the source is opened. For [`Row`] the columns are those of the
/// first file and their types (truth values, whole and floating-point numbers, texts) are guessed from its first 1,000
/// rows; any may be missing, as an empty cell says.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("towns.csv");
/// use rowmark_readers::{CsvOptions, CsvSource, Source};
/// use rowmark_rows::{Row, RowRange};
///
/// #[derive(serde::Serialize, serde::Deserialize, Debug, PartialEq)]
/// struct Town { name: String, metres: Option<f64> }
///
/// std::fs::write(&path, "name,metres\nBern,540\nOz,\n")?;
/// let towns = CsvSource::<Town>::open(&path, CsvOptions::new())?;
/// assert_eq!(towns.rows()?, 2);
/// let second: Vec<Town> = towns.read(RowRange::new(1, 2))?.collect::<Result<_, _>>()?;
/// assert_eq!(second, [Town { name: "Oz".into(), metres: None }]);
///
/// let rows = CsvSource::<Row>::open(&path, CsvOptions::new())?;
/// assert_eq!(rows.schema()?.to_string(), "name: string?, metres: i64?");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type CsvSource<T> = FileSource<Csv<T>>;

/// CSV as a [`Format`]; see [`CsvSource`].
pub struct Csv<T> {
    options: Arc<CsvOptions>,
    schema: RowSchema,
    /// For each file, how its records become rows.
    parses: Vec<Arc<dyn Parse<T>>>,
}

impl<T: RowType> FileSource<Csv<T>> {
    /// Opens files and reads their first records.
    ///
    /// # Errors
    /// A file cannot be opened, has no header although the options say that it has one, or has other columns than `T` or
    /// than the first file.
    pub fn open(files: impl Into<Files>, options: CsvOptions) -> Result<Self, Error> {
        let paths = files.into().find(&EXTENSIONS)?;
        let files: Vec<DataFile> = paths.iter().map(|path| DataFile::open(path)).collect::<Result<_, _>>()?;
        let options = Arc::new(options);
        let schema = RowSchema::of_or::<T, Error>(|| guess(&files[0], &options))?;
        let mut parses: Vec<Arc<dyn Parse<T>>> = Vec::new();
        for file in &files {
            let first = first_record(file, &options)?;
            parses.push(if Row::is::<T>() {
                Arc::new(UntypedParse::new(file, first, &options, &schema)?)
            } else {
                check_columns(file, &first, &options, &schema)?;
                Arc::new(TypedParse::new(first, &options))
            });
        }
        let rows_max = options.selection.rows_max;
        Ok(Self::new(files, Csv { options, schema, parses }, rows_max))
    }
}

impl<T> fmt::Debug for Csv<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Csv").field("options", &self.options).finish_non_exhaustive()
    }
}

impl<T: RowType> Format for Csv<T> {
    type Row = T;
    type Index = TextIndex;
    type Cursor = CsvCursor<T>;

    const DOMAIN: &'static str = "rowmark.source.csv";

    fn identify(&self, fingerprint: Fingerprint) -> Result<Fingerprint, Error> {
        self.options.identify(fingerprint)
    }

    fn schema(&self) -> Result<RowSchema, Error> {
        Ok(self.schema.clone())
    }

    fn index(&self, _number: usize, file: &DataFile) -> Result<(u64, TextIndex), Error> {
        let index = index::read(file, &self.options)?;
        Ok((index.rows, index))
    }

    fn begins_at(&self, _index: &TextIndex, row: u64) -> u64 {
        TextIndex::begins_at(row)
    }

    fn open(
        &self,
        number: usize,
        file: &DataFile,
        index: &TextIndex,
        row: u64,
    ) -> Result<CsvCursor<T>, Error> {
        CsvCursor::open(file, &self.options, Arc::clone(&self.parses[number]), index.start(row))
    }
}

/// What a parser has read when it begins: a line break before the text. It drops a byte order mark at its very
/// beginning, which there may be data.
const PARSER_START: Start = Start { byte: 1, lines_before: 1 };

/// The line of the text at which a parser is, counted from 1. Before its first record it has not read the line break.
fn line_at(position: &csv::Position) -> u64 {
    (position.line() - PARSER_START.lines_before).max(1)
}

/// Text behind a line break.
type Text = std::io::Chain<&'static [u8], Box<dyn Read + Send>>;

fn parser(text: Box<dyn Read + Send>, options: &CsvOptions) -> csv::Reader<Metered<Text>> {
    options.parser(b"\n".chain(text))
}

/// The first record: the columns' names, or where there are none a row. Every other has as many cells.
fn first_record(file: &DataFile, options: &CsvOptions) -> Result<ByteRecord, Error> {
    let mut first = ByteRecord::new();
    let is_there = parser(file.text(0)?, options)
        .read_byte_record(&mut first)
        .map_err(|error| csv_error(file, error).at(Place::Line(1)))?;
    if options.has_headers && !is_there {
        return Err(Error::NoHeader { path: file.path().to_owned() });
    }
    check_first(file, &first, options)?;
    Ok(first)
}

/// Makes sure that columns have names, and are not too many.
fn check_first(file: &DataFile, first: &ByteRecord, options: &CsvOptions) -> Result<(), Error> {
    let (path, place) = (file.path().to_owned(), Place::Line(1));
    if first.len() > COLUMNS_MAX {
        let reason =
            format!("it has {} columns, where {COLUMNS_MAX} are the most that are read", first.len());
        return Err(Error::Malformed { path, place: Some(place), reason, source: None });
    }
    let bad = first.iter().zip(1..).find_map(|(name, number)| {
        std::str::from_utf8(name).err().map(|source| (Cell::new(format!("{number}"), name), source))
    });
    match bad.filter(|_| options.has_headers) {
        Some((cell, source)) => {
            let (reason, source) = (source.to_string(), Some(Box::new(source) as _));
            Err(Error::Row { path, place, cell: Some(cell), reason, source })
        }
        None => Ok(()),
    }
}

/// The names of the columns, or their numbers from 1.
fn names(first: &ByteRecord, options: &CsvOptions) -> Vec<String> {
    if options.has_headers {
        first.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect()
    } else {
        (1..=first.len()).map(|number| number.to_string()).collect()
    }
}

fn csv_error(file: &DataFile, error: csv::Error) -> Error {
    let source = match error.into_kind() {
        ErrorKind::Io(source) => source,
        other => std::io::Error::other(format!("{other:?}")),
    };
    Error::read(file.path(), source)
}
