//! From the text of one value to a row, with and without a type.

use std::sync::Arc;

use arrow_schema::{DataType, Field};
use rowmark_rows::{Columns, Row, RowSchema, SchemaGuess, VALUE_COLUMN, Value};
use serde::de::DeserializeOwned;

use super::splitter::Splitter;
use super::{JsonLayout, JsonOptions, Place};
use crate::Error;
use crate::error::Cell;
use crate::files::DataFile;
use crate::selection::{FoundColumn, Selection};
use crate::text::Start;

/// Rows from which a schema is guessed.
const SAMPLE_ROWS: u64 = 1000;

/// Why a text is no row.
pub(super) struct Misfit {
    /// The line in the text, from 1.
    line: u64,
    cell: Option<Box<Cell>>,
    reason: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Misfit {
    /// The error of the row that begins here.
    pub(super) fn at(self, file: &DataFile, start: Start) -> Error {
        let Self { line, cell, reason, source } = self;
        let place = Place::Line(start.lines_before + line.max(1));
        Error::Row { path: file.path().to_owned(), place, cell, reason, source }
    }

    fn syntax(text: &[u8], error: serde_json::Error) -> Self {
        Self {
            line: error.line() as u64,
            cell: bad_text(text).map(|(path, found)| Cell::new(path, found.as_bytes())),
            reason: without_position(&error),
            source: Some(Box::new(error)),
        }
    }
}

/// The path of the first value that is no UTF-8, and that value with a mark where it is not.
fn bad_text(text: &[u8]) -> Option<(String, String)> {
    fn find(path: &str, value: &serde_json::Value) -> Option<(String, String)> {
        match value {
            serde_json::Value::String(text) => {
                text.contains('\u{fffd}').then(|| (path.to_owned(), value.to_string()))
            }
            serde_json::Value::Array(items) => {
                items.iter().enumerate().find_map(|(index, item)| find(&format!("{path}[{index}]"), item))
            }
            serde_json::Value::Object(entries) => entries.iter().find_map(|(key, value)| {
                let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                if key.contains('\u{fffd}') { Some((below, value.to_string())) } else { find(&below, value) }
            }),
            _ => None,
        }
    }
    if std::str::from_utf8(text).is_ok() {
        return None;
    }
    find("", &serde_json::from_str(&String::from_utf8_lossy(text)).ok()?)
}

/// What serde_json says, but for the place, which counts from the row's beginning.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(reason, _)| reason.to_owned())
}

/// How a text becomes a row.
pub(super) trait Parse<T>: Send + Sync {
    fn row(&self, text: &[u8]) -> Result<T, Misfit>;
}

/// Rows that serde makes.
pub(super) struct TypedParse;

impl<T: DeserializeOwned> Parse<T> for TypedParse {
    fn row(&self, text: &[u8]) -> Result<T, Misfit> {
        serde_json::from_slice(text).map_err(|error| match path_of_error::<T>(text) {
            Some((path, found)) => {
                Misfit { cell: Some(Cell::new(path, found.as_bytes())), ..Misfit::syntax(text, error) }
            }
            None => Misfit::syntax(text, error),
        })
    }
}

/// The path of the value that is not what the type expects, and that value; nothing where the text is no JSON, or the row
/// itself is not what is expected.
fn path_of_error<T: DeserializeOwned>(text: &[u8]) -> Option<(String, String)> {
    let whole: serde_json::Value = serde_json::from_slice(text).ok()?;
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let error = serde_path_to_error::deserialize::<_, T>(&mut deserializer).err()?;
    let path = error.path().clone();
    let mut found = &whole;
    for segment in &path {
        found = match segment {
            serde_path_to_error::Segment::Seq { index } => found.get(index)?,
            serde_path_to_error::Segment::Map { key } => found.get(key)?,
            _ => return None,
        };
    }
    path.iter().next()?;
    Some((path.to_string(), found.to_string()))
}

/// Rows without a type.
pub(super) struct UntypedParse {
    columns: Arc<Columns>,
    selection: Selection,
}

impl UntypedParse {
    pub(super) fn new(schema: &RowSchema, options: &JsonOptions) -> Result<Self, Error> {
        Ok(Self { columns: Columns::of(schema)?, selection: options.selection.clone() })
    }
}

impl<T: 'static> Parse<T> for UntypedParse {
    fn row(&self, text: &[u8]) -> Result<T, Misfit> {
        let value = object(text)?;
        let row: Row = self.columns.row(chosen(value, &self.selection)).map_err(|error| Misfit {
            line: 1,
            cell: None,
            reason: format!(
                "{error}, as in the first {SAMPLE_ROWS} rows; read the file as a struct to say what it is"
            ),
            source: Some(Box::new(error)),
        })?;
        Ok(row.cast().expect("rows without a type are read as such"))
    }
}

/// The value that a text is; an object that has two values for a key is none.
fn object(text: &[u8]) -> Result<Value, Misfit> {
    let value = serde_json::from_slice(text).map_err(|error| Misfit::syntax(text, error))?;
    let Value::Map(entries) = &value else { return Ok(value) };
    let mut keys: Vec<&str> = entries.iter().filter_map(|(key, _)| key.as_str()).collect();
    keys.sort_unstable();
    match keys.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => {
            let reason = format!("the key `{}` is there twice, and it is not said which is meant", pair[0]);
            Err(Misfit { line: 1, cell: None, reason, source: None })
        }
        None => Ok(value),
    }
}

/// The columns of an object that are asked for.
fn chosen(value: Value, selection: &Selection) -> Value {
    match value {
        Value::Map(mut entries) if selection.columns.is_some() => {
            entries.retain(|(key, _)| key.as_str().is_some_and(|key| selection.has(key)));
            Value::Map(entries)
        }
        value => value,
    }
}

/// The first rows of a file, and what they seem to be.
pub(super) struct Sample<'a> {
    file: &'a DataFile,
    selection: &'a Selection,
    guess: SchemaGuess,
    rows: u64,
    /// Why they are not objects of one schema.
    misfit: Option<Error>,
}

impl<'a> Sample<'a> {
    pub(super) fn read(
        file: &'a DataFile,
        layout: JsonLayout,
        options: &'a JsonOptions,
    ) -> Result<Self, Error> {
        let selection = &options.selection;
        let mut sample = Self { file, selection, guess: SchemaGuess::new(), rows: 0, misfit: None };
        let mut splitter = Splitter::open(file, layout, options.record_bytes_max, None)?;
        while sample.rows < SAMPLE_ROWS && sample.misfit.is_none() {
            let Some((start, text)) = splitter.next()? else { break };
            sample.rows += 1;
            let observed = object(text).and_then(|value| {
                sample.guess.observe(&chosen(value, selection)).map_err(|error| Misfit {
                    line: 1,
                    cell: None,
                    reason: format!("{error}; read the file as a struct to say what it is"),
                    source: Some(Box::new(error)),
                })
            });
            sample.misfit = observed.err().map(|misfit| misfit.at(file, start));
        }
        Ok(sample)
    }

    /// The schema of rows without a type: the chosen columns in the order in which they were asked for.
    pub(super) fn schema(&mut self) -> Result<RowSchema, Error> {
        if let Some(misfit) = self.misfit.take() {
            return Err(misfit);
        }
        let schema = self.guess.schema();
        let fields = schema.arrow().fields();
        let names: Vec<String> = fields.iter().map(|field| field.name().clone()).collect();
        let chosen = self.selection.choose(&self.file.path().display().to_string(), &names)?;
        let fields: Vec<Field> = chosen.iter().map(|(_, index)| (*fields[*index]).clone()).collect();
        Ok(RowSchema::from_arrow(Arc::new(arrow_schema::Schema::new(fields))))
    }

    /// Makes sure that the rows can be of a type. Where they are not of one kind, that is for serde to say of each.
    pub(super) fn check(&self, schema: &RowSchema) -> Result<(), Error> {
        let found = self.guess.schema();
        let is_value = matches!(&schema.arrow().fields()[..], [only] if only.name() == VALUE_COLUMN);
        if self.rows == 0 || self.misfit.is_some() || (is_value && !self.guess.knows(VALUE_COLUMN)) {
            return Ok(());
        }
        let shown = found.to_string();
        let mut columns: Vec<FoundColumn> = Vec::new();
        for field in found.arrow().fields() {
            let expected = schema.arrow().fields().iter().find(|expected| expected.name() == field.name());
            let is_misfit = |expected: &&Arc<Field>| {
                self.guess.knows(field.name()) && !is_fit(expected.data_type(), field.data_type())
            };
            let misfit = expected.filter(is_misfit).map(|_| "is of another type".to_owned());
            columns.push(FoundColumn { name: field.name().clone(), misfit });
        }
        // A key that may be missing may be missing in all of these rows.
        for field in schema.arrow().fields().iter().filter(|field| field.is_nullable()) {
            if columns.iter().all(|column| column.name != *field.name()) {
                columns.push(FoundColumn { name: field.name().clone(), misfit: None });
            }
        }
        self.selection.check(&self.file.path().display().to_string(), schema, &columns, &shown)
    }
}

/// Whether values that seem to be of one type may be read as another.
fn is_fit(expected: &DataType, found: &DataType) -> bool {
    match (expected, found) {
        (DataType::Boolean, found) => *found == DataType::Boolean,
        (expected, found) if expected.is_integer() => {
            found.is_integer() || (*expected == DataType::UInt32 && *found == DataType::LargeUtf8)
        }
        (expected, found) if expected.is_floating() => found.is_numeric(),
        (DataType::LargeUtf8, found) => *found == DataType::LargeUtf8,
        (DataType::LargeList(item), DataType::LargeList(found)) => {
            // An empty list has items of any type, which are guessed to be texts.
            *found.data_type() == DataType::LargeUtf8 || is_fit(item.data_type(), found.data_type())
        }
        (DataType::LargeList(_), _) => false,
        (DataType::FixedSizeList(..), found) => matches!(found, DataType::LargeList(_)),
        (DataType::Struct(_), found) => matches!(found, DataType::Struct(_) | DataType::LargeList(_)),
        (DataType::Map(..), found) => matches!(found, DataType::Struct(_)),
        // Enums and bytes are written in several ways.
        _ => true,
    }
}
