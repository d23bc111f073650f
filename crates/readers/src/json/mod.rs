//! Rows of JSON files: a value on each line, or the elements of one array.
//!
//! Rows are cut from the text first and parsed then, so that a row is found again without parsing those before it, by a
//! sparse index of byte positions that is made in one pass when rows are first needed.

mod options;
mod parse;
mod splitter;

use std::fmt;
use std::sync::Arc;

use rowmark_hashing::Fingerprint;
use rowmark_rows::{Row, RowSchema, RowType};

use crate::Error;
use crate::error::Place;
use crate::file_source::{Cursor, FileSource, Format};
use crate::files::{DataFile, Files};
use crate::text::TextIndex;
pub use options::{JsonLayout, JsonOptions};
use parse::{Misfit, Parse, Sample, TypedParse, UntypedParse};
use splitter::Splitter;

/// Endings of the names of JSON files in a folder.
const EXTENSIONS: [&str; 3] = ["json", "jsonl", "ndjson"];

/// A JSON file, or many, as a source of rows of type `T`.
///
/// A type other than [`Row`] is compared with the keys and types of the first 1,000 rows when the source is opened. For
/// [`Row`] the schema is guessed from them: a whole number among other numbers is a floating-point number, and any column
/// may be missing.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("towns.json");
/// use rowmark_readers::{JsonOptions, JsonSource, Source};
/// use rowmark_rows::{Row, RowRange};
///
/// #[derive(serde::Serialize, serde::Deserialize, Debug, PartialEq)]
/// struct Town { name: String, at: Option<(f64, f64)> }
///
/// std::fs::write(&path, r#"[{"name": "Bern", "at": [46.9, 7.4]}, {"name": "Oz"}]"#)?;
/// let towns = JsonSource::<Town>::open(&path, JsonOptions::new())?;
/// assert_eq!(towns.rows()?, 2);
/// let second: Vec<Town> = towns.read(RowRange::new(1, 2))?.collect::<Result<_, _>>()?;
/// assert_eq!(second, [Town { name: "Oz".into(), at: None }]);
///
/// let rows = JsonSource::<Row>::open(&path, JsonOptions::new())?;
/// assert_eq!(rows.schema()?.to_string(), "name: string?, at: [f64?]?");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type JsonSource<T> = FileSource<Json<T>>;

/// JSON as a [`Format`]; see [`JsonSource`].
pub struct Json<T> {
    options: Arc<JsonOptions>,
    schema: RowSchema,
    parse: Arc<dyn Parse<T>>,
    /// For each file, how rows lie in it.
    layouts: Vec<JsonLayout>,
}

impl<T: RowType> FileSource<Json<T>> {
    /// Opens files and reads the first rows of the first.
    ///
    /// # Errors
    /// A file cannot be opened, or the rows are not of type `T`.
    pub fn open(files: impl Into<Files>, options: JsonOptions) -> Result<Self, Error> {
        let paths = files.into().find(&EXTENSIONS)?;
        let files: Vec<DataFile> = paths.iter().map(|path| DataFile::open(path)).collect::<Result<_, _>>()?;
        let options = Arc::new(options);
        let layouts: Vec<JsonLayout> =
            files.iter().map(|file| layout(file, &options)).collect::<Result<_, _>>()?;
        let mut sample = Sample::read(&files[0], layouts[0], &options)?;
        let schema = RowSchema::of_or::<T, Error>(|| sample.schema())?;
        let parse: Arc<dyn Parse<T>> = if Row::is::<T>() {
            Arc::new(UntypedParse::new(&schema, &options)?)
        } else {
            sample.check(&schema)?;
            Arc::new(TypedParse)
        };
        let rows_max = options.selection.rows_max;
        Ok(Self::new(files, Json { options, schema, parse, layouts }, rows_max))
    }
}

/// How rows lie in a file.
fn layout(file: &DataFile, options: &JsonOptions) -> Result<JsonLayout, Error> {
    if options.layout != JsonLayout::Detect {
        return Ok(options.layout);
    }
    let mut lines = Splitter::open(file, JsonLayout::Lines, u64::MAX, None)?;
    Ok(match lines.first_byte()? {
        Some(b'[') => JsonLayout::Array,
        _ => JsonLayout::Lines,
    })
}

impl<T> fmt::Debug for Json<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Json").field("options", &self.options).finish_non_exhaustive()
    }
}

impl<T: RowType> Format for Json<T> {
    type Row = T;
    type Index = TextIndex;
    type Cursor = JsonCursor<T>;

    const DOMAIN: &'static str = "rowmark.source.json";

    fn identify(&self, fingerprint: Fingerprint) -> Result<Fingerprint, Error> {
        self.options.identify(fingerprint)
    }

    fn schema(&self) -> Result<RowSchema, Error> {
        Ok(self.schema.clone())
    }

    fn index(&self, number: usize, file: &DataFile) -> Result<(u64, TextIndex), Error> {
        let mut splitter = Splitter::open(file, self.layouts[number], self.options.record_bytes_max, None)?;
        let mut index = TextIndex::default();
        while let Some((start, _)) = splitter.next()? {
            index.push(start);
        }
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
    ) -> Result<JsonCursor<T>, Error> {
        let (layout, start) = (self.layouts[number], index.start(row));
        let splitter = Splitter::open(file, layout, self.options.record_bytes_max, Some(start))?;
        Ok(JsonCursor { file: file.clone(), splitter, parse: Arc::clone(&self.parse) })
    }
}

/// Reads the rows of a JSON file.
pub struct JsonCursor<T> {
    file: DataFile,
    splitter: Splitter,
    parse: Arc<dyn Parse<T>>,
}

impl<T> fmt::Debug for JsonCursor<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("JsonCursor").field("file", &self.file).finish_non_exhaustive()
    }
}

impl<T: 'static> Cursor for JsonCursor<T> {
    type Row = T;

    fn pass_over(&mut self) -> Result<(), Error> {
        self.splitter.next().map(drop)
    }

    fn next(&mut self) -> Option<Result<T, Error>> {
        let (start, text) = match self.splitter.next() {
            Ok(Some(row)) => row,
            Ok(None) => return None,
            Err(error) => return Some(Err(error)),
        };
        let error = |misfit: Misfit| misfit.at(&self.file, start);
        Some(self.parse.row(text).map_err(error))
    }
}
