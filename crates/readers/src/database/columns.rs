//! The columns of a query, as far as a database tells of them.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};
use rowmark_rows::{RowSchema, SchemaGuess, Value};

use super::{Query, Snapshot};
use crate::Error;
use crate::selection::{FoundColumn, Selection};

/// Rows from which types are guessed where none are told.
const GUESS_ROWS: u64 = 1000;

/// A column of a query.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Column {
    pub(super) name: String,
    /// The database's own word for its type, if it has one.
    pub(super) type_name: Option<String>,
    pub(super) shape: Shape,
}

/// What values of a column are.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "SQLite has no types of columns"))]
pub(super) enum Shape {
    /// Anything: it is not told.
    Any,
    /// A type of rows.
    Plain(DataType),
    /// A list of these, or of lists of these: it is not told how deep.
    List(Box<Shape>),
}

impl Column {
    fn shown(&self) -> String {
        match &self.type_name {
            Some(type_name) => format!("{}: {type_name}", self.name),
            None => self.name.clone(),
        }
    }

    /// Why it cannot be read as a field, in words.
    fn misfit(&self, field: &Field) -> Option<String> {
        if self.shape.fits(field.data_type()) {
            return None;
        }
        let schema = RowSchema::from_arrow(Arc::new(Schema::new(vec![field.clone()]))).to_string();
        let expected = schema.strip_prefix(&format!("{}: ", field.name())).unwrap_or(&schema);
        let found = self.type_name.as_deref().unwrap_or("of another type");
        Some(format!(
            "is {found} and cannot be read as {expected} without loss; cast it in the query, or change the field"
        ))
    }
}

impl Shape {
    fn fits(&self, expected: &DataType) -> bool {
        match (self, expected) {
            (Self::Any, _) => true,
            (Self::Plain(found), expected) if found == expected => true,
            // A text can name the variant of an enum.
            (Self::Plain(found), DataType::Union(..)) => *found == DataType::LargeUtf8,
            // Each number is looked at.
            (Self::Plain(found), expected) if expected.is_integer() => found.is_integer(),
            (Self::Plain(found), DataType::Float64) => {
                matches!(found, DataType::Int16 | DataType::Int32 | DataType::Float32)
            }
            (Self::Plain(found), DataType::Float32) => *found == DataType::Int16,
            (Self::List(item), DataType::LargeList(expected) | DataType::FixedSizeList(expected, _)) => {
                item.fits(expected.data_type()) || self.fits(expected.data_type())
            }
            _ => false,
        }
    }

    fn is_plain(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    /// The type of a column of this shape whose first values seem to have the guessed one.
    fn settle(&self, guessed: &DataType) -> DataType {
        match (self, guessed) {
            (Self::Any, guessed) => guessed.clone(),
            (Self::Plain(told), _) => told.clone(),
            (Self::List(item), DataType::LargeList(guessed)) => {
                // A list in a list of what is told to be no list is one more of the same.
                let inner = match guessed.data_type() {
                    inner @ DataType::LargeList(_) if **item != Self::Any => self.settle(inner),
                    inner => item.settle(inner),
                };
                DataType::LargeList(Arc::new(Field::new("item", inner, true)))
            }
            // No list was seen.
            (Self::List(item), guessed) => {
                DataType::LargeList(Arc::new(Field::new("item", item.settle(guessed), true)))
            }
        }
    }
}

/// The columns as an error shows them.
pub(super) fn shown(columns: &[Column]) -> String {
    columns.iter().map(Column::shown).collect::<Vec<_>>().join(", ")
}

/// Makes sure that columns are the fields of a schema.
pub(super) fn check(place: &str, columns: &[Column], schema: &RowSchema) -> Result<(), Error> {
    let fields = schema.arrow().fields();
    let found = |column: &Column| FoundColumn {
        name: column.name.clone(),
        misfit: fields
            .iter()
            .find(|field| *field.name() == column.name)
            .and_then(|field| column.misfit(field)),
    };
    let found: Vec<FoundColumn> = columns.iter().map(found).collect();
    let passing_over = Selection { skip_extra: true, ..Selection::default() };
    passing_over.check(place, schema, &found, &shown(columns))?;
    match columns.iter().find(|column| fields.iter().all(|field| *field.name() != column.name)) {
        None => Ok(()),
        Some(Column { name, .. }) => Err(Error::Columns {
            what: place.to_owned(),
            difference: format!(
                "column `{name}` is in no field; add one, or leave the column out of the query"
            ),
            expected: schema.to_string(),
            found: shown(columns),
        }),
    }
}

/// Makes sure that there are columns, and that each has a name of its own.
pub(super) fn check_names(place: &str, columns: &[Column]) -> Result<(), Error> {
    let twice = columns
        .iter()
        .enumerate()
        .find(|(index, column)| columns[..*index].iter().any(|before| before.name == column.name));
    let told = match twice {
        _ if columns.is_empty() => "the query gives no rows; it is to be a `select`".to_owned(),
        Some((_, column)) => {
            format!("two columns are named `{}`; give them names of their own with `as`", column.name)
        }
        None => return Ok(()),
    };
    let (place, doing) = (place.to_owned(), "use the columns of the query".to_owned());
    Err(Error::Database { place, doing, source: Some(told.into()) })
}

/// The schema of rows without a type: what is told, and for what is not, what the first rows seem to have.
pub(super) fn schema(
    snapshot: &mut dyn Snapshot,
    query: &Query,
    columns: &[Column],
) -> Result<RowSchema, Error> {
    let object = |values: Vec<Value>| {
        let cells = columns.iter().zip(values).filter(|(column, _)| !column.shape.is_plain());
        Value::Map(cells.map(|(column, value)| (Value::Text(column.name.clone()), value)).collect())
    };
    let mut guess = SchemaGuess::new();
    // A column without a row is a column.
    guess.observe(&object(vec![Value::Null; columns.len()]))?;
    if !columns.iter().all(|column| column.shape.is_plain()) {
        let mut rows = 0;
        snapshot.each_row(&query.sql, &query.params, &mut |row| {
            guess.observe(&object(row)).map_err(|error| misfit(&query.place(), rows, error))?;
            rows += 1;
            Ok(rows < GUESS_ROWS)
        })?;
    }
    let guessed = guess.schema();
    let guessed = guessed.arrow();
    let field = |column: &Column| {
        let found = guessed.field_with_name(&column.name).map_or(&DataType::Null, Field::data_type);
        Field::new(&column.name, column.shape.settle(found), true)
    };
    Ok(RowSchema::from_arrow(Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))))
}

/// The error of a row with a value that is of another type than those in the same column of others.
pub(super) fn misfit(place: &str, row: u64, error: rowmark_rows::Error) -> Error {
    let column = match &error {
        rowmark_rows::Error::Cell { field, .. } => field.split('.').next().unwrap_or_default().to_owned(),
        _ => "…".to_owned(),
    };
    let reason = format!("{error}; cast it in the query, as in `cast({column} as text)`");
    Error::QueryRow { place: place.to_owned(), row, reason, source: Some(Box::new(error)) }
}
