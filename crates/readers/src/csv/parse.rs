//! From a record's cells to a row, with and without a type.

use std::marker::PhantomData;
use std::sync::Arc;

use arrow_schema::DataType;
use csv::{ByteRecord, ErrorKind};
use rowmark_rows::{Columns, Row, RowSchema, SchemaGuess, Value};
use serde::de::DeserializeOwned;

use super::{CsvOptions, csv_error, first_record, line_at, names, parser};
use crate::Error;
use crate::error::{Cell, Place};
use crate::files::DataFile;
use crate::selection::FoundColumn;

/// Rows from which the types of columns are guessed.
const GUESS_ROWS: usize = 1000;

/// Why a record is no row.
pub(super) struct Misfit {
    pub(super) cell: Option<Box<Cell>>,
    pub(super) reason: String,
    pub(super) source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Misfit {
    fn plain(cell: Option<Box<Cell>>, reason: impl Into<String>) -> Self {
        Self { cell, reason: reason.into(), source: None }
    }
}

/// How the records of one file become rows.
pub(super) trait Parse<T>: Send + Sync {
    fn row(&self, record: &ByteRecord) -> Result<T, Misfit>;
}

fn check_len(record: &ByteRecord, expected: usize) -> Result<(), Misfit> {
    let found = record.len();
    if found == expected {
        return Ok(());
    }
    Err(Misfit::plain(None, format!("expected {expected} columns as in the first line, found {found}")))
}

/// Rows that serde makes.
pub(super) struct TypedParse<T> {
    first: ByteRecord,
    has_headers: bool,
    null: Option<Vec<u8>>,
    row: PhantomData<fn() -> T>,
}

impl<T> TypedParse<T> {
    pub(super) fn new(first: ByteRecord, options: &CsvOptions) -> Self {
        let null = options.null.as_ref().map(|null| null.clone().into_bytes());
        Self { first, has_headers: options.has_headers, null, row: PhantomData }
    }

    fn headers(&self) -> Option<&ByteRecord> {
        self.has_headers.then_some(&self.first)
    }

    fn cell(&self, record: &ByteRecord, field: usize) -> Option<Box<Cell>> {
        let name = self.headers().and_then(|headers| headers.get(field));
        let column = match name {
            Some(name) => String::from_utf8_lossy(name).into_owned(),
            None => (field + 1).to_string(),
        };
        Some(Cell::new(column, record.get(field)?))
    }
}

impl<T: DeserializeOwned> Parse<T> for TypedParse<T> {
    fn row(&self, record: &ByteRecord) -> Result<T, Misfit> {
        check_len(record, self.first.len())?;
        let without_nulls: Option<ByteRecord> = self.null.as_ref().and_then(|null| {
            let is_null = |cell: &[u8]| cell == null.as_slice();
            let emptied = |cell| if is_null(cell) { b"" } else { cell };
            record.iter().any(is_null).then(|| record.iter().map(emptied).collect())
        });
        without_nulls.as_ref().unwrap_or(record).deserialize(self.headers()).map_err(|error| {
            match error.into_kind() {
                ErrorKind::Deserialize { err, .. } => Misfit {
                    cell: err.field().and_then(|field| self.cell(record, field as usize)),
                    reason: err.kind().to_string(),
                    source: Some(Box::new(err)),
                },
                other => Misfit::plain(None, format!("{other:?}")),
            }
        })
    }
}

/// Makes sure that the header names the fields of a type, and that cells can hold what they are.
pub(super) fn check_columns(
    file: &DataFile,
    first: &ByteRecord,
    options: &CsvOptions,
    schema: &RowSchema,
) -> Result<(), Error> {
    if !options.has_headers {
        return Ok(());
    }
    let found = names(first, options);
    let column = |name: &String| {
        let field = schema.arrow().fields().iter().find(|field| field.name() == name);
        let misfit = field.filter(|field| field.data_type().is_nested()).map(|_| {
            "is a text, as every cell of a CSV file is, and no list or struct; read it as a `String`"
                .to_owned()
        });
        FoundColumn { name: name.clone(), misfit }
    };
    let columns: Vec<FoundColumn> = found.iter().map(column).collect();
    options.selection.check(&file.path().display().to_string(), schema, &columns, &found.join(", "))
}

/// Rows without a type.
pub(super) struct UntypedParse {
    cells: usize,
    columns: Arc<Columns>,
    /// For each column its type and the cell in which it stands.
    chosen: Vec<(usize, CellType)>,
    null: Option<Vec<u8>>,
}

impl UntypedParse {
    /// How the records of a file become rows of a schema; the file must have all its columns, in any order, and no other.
    pub(super) fn new(
        file: &DataFile,
        first: ByteRecord,
        options: &CsvOptions,
        schema: &RowSchema,
    ) -> Result<Self, Error> {
        let what = file.path().display().to_string();
        let found = names(&first, options);
        let columns = found.iter().map(|name| FoundColumn { name: name.clone(), misfit: None });
        options.selection.check(&what, schema, &columns.collect::<Vec<_>>(), &found.join(", "))?;
        let position = |name: &str| found.iter().position(|column| column == name);
        let chosen = schema
            .arrow()
            .fields()
            .iter()
            .map(|field| Some((position(field.name())?, CellType::of(field.data_type()))));
        let null = options.null.as_ref().map(|null| null.clone().into_bytes());
        let chosen = chosen.flatten().collect();
        Ok(Self { cells: first.len(), columns: Columns::of(schema)?, chosen, null })
    }

    fn value(&self, index: usize, cell: &[u8], kind: CellType) -> Result<Value, Misfit> {
        let found = || Some(Cell::new(self.columns.names().nth(index).unwrap_or_default(), cell));
        if cell.is_empty() || self.null.as_deref() == Some(cell) {
            return Ok(Value::Null);
        }
        let text = std::str::from_utf8(cell).map_err(|error| Misfit {
            cell: found(),
            reason: error.to_string(),
            source: Some(Box::new(error)),
        })?;
        kind.value(text).ok_or_else(|| {
            let reason = format!(
                "expected {} as in the first {GUESS_ROWS} rows; read the file as a struct to say what it is",
                kind.word()
            );
            Misfit::plain(found(), reason)
        })
    }
}

impl<T: 'static> Parse<T> for UntypedParse {
    fn row(&self, record: &ByteRecord) -> Result<T, Misfit> {
        check_len(record, self.cells)?;
        let values = self.chosen.iter().enumerate().map(|(index, (position, kind))| {
            self.value(index, record.get(*position).unwrap_or_default(), *kind)
        });
        let row = self.columns.row_of(values.collect::<Result<_, _>>()?);
        let row: Row = row.map_err(|error| Misfit::plain(None, error.to_string()))?;
        Ok(row.cast().expect("rows without a type are read as such"))
    }
}

/// The types that a cell without a type can have, each narrower than those below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum CellType {
    Bool,
    Integer,
    Number,
    Text,
}

impl CellType {
    fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Boolean => Self::Bool,
            DataType::Int64 => Self::Integer,
            DataType::Float64 => Self::Number,
            _ => Self::Text,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Bool => "`true` or `false`",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::Text => "a text",
        }
    }

    /// The text as a value of this type. A number has no leading zero and no plus sign, which post codes and telephone
    /// numbers have.
    fn value(self, text: &str) -> Option<Value> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let is_plain = match digits.as_bytes() {
            [b'0', b'0'..=b'9', ..] => false,
            [first, ..] => first.is_ascii_digit() || *first == b'.',
            [] => false,
        };
        match self {
            Self::Bool => text.to_ascii_lowercase().parse().ok().map(Value::Bool),
            Self::Integer => text.parse().ok().filter(|_| is_plain).map(Value::I64),
            Self::Number => text.parse().ok().filter(|_| is_plain).map(Value::F64),
            Self::Text => Some(Value::Text(text.to_owned())),
        }
    }

    /// The narrowest type of a text; whole numbers beyond 64 bits would lose digits as floating-point ones.
    fn narrowest(text: &str) -> Self {
        let is_large = text.len() > 15 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        let kinds = [Self::Bool, Self::Integer, Self::Number];
        let kind = kinds.into_iter().find(|kind| kind.value(text).is_some()).unwrap_or(Self::Text);
        if kind == Self::Number && is_large { Self::Text } else { kind }
    }

    /// The narrowest type for what either is a type of.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (one, other) if one == other => one,
            (Self::Bool, _) | (_, Self::Bool) => Self::Text,
            (one, other) => one.max(other),
        }
    }
}

/// The schema that a file seems to have.
pub(super) fn guess(file: &DataFile, options: &CsvOptions) -> Result<RowSchema, Error> {
    let found = names(&first_record(file, options)?, options);
    let mut kinds: Vec<Option<CellType>> = vec![None; found.len()];
    let mut parser = parser(file.text(0)?, options);
    let mut record = ByteRecord::new();
    for number in 0..GUESS_ROWS + usize::from(options.has_headers) {
        parser.get_mut().refill();
        let line = line_at(parser.position());
        let is_there = parser.read_byte_record(&mut record);
        if !is_there.map_err(|error| csv_error(file, error).at(Place::Line(line)))? {
            break;
        }
        if number == 0 && options.has_headers {
            continue;
        }
        for (kind, cell) in kinds.iter_mut().zip(&record) {
            let is_null =
                cell.is_empty() || options.null.as_deref().is_some_and(|null| null.as_bytes() == cell);
            // What is no text is told as the error of its row.
            let text = std::str::from_utf8(cell).unwrap_or_default();
            if !is_null {
                let narrowest = CellType::narrowest(text);
                *kind = Some(kind.map_or(narrowest, |kind| kind.or(narrowest)));
            }
        }
    }
    let mut guess = SchemaGuess::new();
    let chosen = options.selection.choose(&file.path().display().to_string(), &found)?;
    let sample = |(name, index): (String, usize)| {
        let value = match kinds[index] {
            Some(CellType::Bool) => Value::Bool(false),
            Some(CellType::Integer) => Value::I64(0),
            Some(CellType::Number) => Value::F64(0.0),
            Some(CellType::Text) | None => Value::Text(String::new()),
        };
        (Value::Text(name), value)
    };
    guess.observe(&Value::Map(chosen.into_iter().map(sample).collect()))?;
    Ok(guess.schema())
}
