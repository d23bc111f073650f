//! [`SchemaGuess`]: the schema that values seem to have.
//!
//! The rules are few, since another guess makes another schema: a whole number among other numbers is a floating-point
//! number; objects have every key that one of them has; anything may be missing; what only ever is missing is a text.

use std::sync::Arc;

use arrow_schema::{DataType, Fields, Schema};

use super::Value;
use super::columns::{misfit, nullable};
use crate::{Error, RowSchema};

/// Columns that an object may have, and fields each object in it.
const COLUMNS_MAX: usize = 10_000;

/// The schema that values seem to have, found out by looking at some of them.
///
/// ```
/// use rowmark_rows::{SchemaGuess, Value};
///
/// let mut guess = SchemaGuess::new();
/// for line in [r#"{"id": 1, "score": 2}"#, r#"{"id": 2, "score": 2.5, "tags": ["new"]}"#] {
///     guess.observe(&serde_json::from_str(line)?)?;
/// }
/// assert_eq!(guess.schema().to_string(), "id: i64?, score: f64?, tags: [string?]?");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct SchemaGuess {
    fields: Vec<(String, Guess)>,
}

#[derive(Clone, Debug, Default)]
enum Guess {
    /// Only missing values so far.
    #[default]
    Unknown,
    Bool,
    I64,
    U64,
    F64,
    Text,
    Bytes,
    List(Box<Guess>),
    Struct(SchemaGuess),
}

impl SchemaGuess {
    /// Begins without a value.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks at the next row.
    ///
    /// # Errors
    ///
    /// [`Error::Cell`] when it is no object, or a value is of another type than those before it.
    pub fn observe(&mut self, row: &Value) -> Result<(), Error> {
        self.observe_below("", row)
    }

    fn observe_below(&mut self, path: &str, row: &Value) -> Result<(), Error> {
        let Value::Map(entries) = row else { return Err(misfit(path, "an object", row)) };
        for (key, value) in entries {
            let name = key.as_str().unwrap_or_default();
            let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            let index = self.fields.iter().position(|(field, _)| field == name).unwrap_or_else(|| {
                self.fields.push((name.to_owned(), Guess::Unknown));
                self.fields.len() - 1
            });
            if index == COLUMNS_MAX {
                return Err(misfit(&path, "one of at most 10000 columns", value));
            }
            self.fields[index].1.observe(&path, value)?;
        }
        Ok(())
    }

    /// The schema so far. Every column may be missing.
    #[must_use]
    pub fn schema(&self) -> RowSchema {
        RowSchema::from_arrow(Arc::new(Schema::new(self.arrow())))
    }

    /// Whether a column had a value that was not missing.
    #[must_use]
    pub fn knows(&self, column: &str) -> bool {
        self.fields.iter().any(|(name, guess)| name == column && !matches!(guess, Guess::Unknown))
    }

    fn arrow(&self) -> Fields {
        self.fields.iter().map(|(name, guess)| nullable(name, guess.data_type())).collect()
    }
}

impl Guess {
    fn observe(&mut self, path: &str, value: &Value) -> Result<(), Error> {
        match (&mut *self, value) {
            (_, Value::Null) => {}
            (Self::List(item), Value::List(values)) => {
                values.iter().try_for_each(|value| item.observe(path, value))?;
            }
            (Self::Struct(fields), value @ Value::Map(_)) => fields.observe_below(path, value)?,
            (Self::Unknown, Value::List(_)) => {
                *self = Self::List(Box::default());
                self.observe(path, value)?;
            }
            (Self::Unknown, Value::Map(_)) => {
                *self = Self::Struct(SchemaGuess::new());
                self.observe(path, value)?;
            }
            (known, value) => {
                *self = known.widened(value).ok_or_else(|| misfit(path, known.word(), value))?;
            }
        }
        Ok(())
    }

    /// The guess that takes in one more plain value, if there is one.
    fn widened(&self, value: &Value) -> Option<Self> {
        Some(match (self, value) {
            (Self::Unknown | Self::Bool, Value::Bool(_)) => Self::Bool,
            (Self::Unknown | Self::I64, Value::I64(_)) => Self::I64,
            (Self::U64, Value::I64(0..) | Value::U64(_)) | (Self::Unknown, Value::U64(_)) => Self::U64,
            (
                Self::Unknown | Self::I64 | Self::U64 | Self::F64,
                Value::I64(_) | Value::U64(_) | Value::F64(_),
            ) => Self::F64,
            (Self::Unknown | Self::Text, Value::Text(_)) => Self::Text,
            (Self::Unknown | Self::Bytes, Value::Bytes(_)) => Self::Bytes,
            _ => return None,
        })
    }

    fn data_type(&self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::I64 => DataType::Int64,
            Self::U64 => DataType::UInt64,
            Self::F64 => DataType::Float64,
            Self::Unknown | Self::Text => DataType::LargeUtf8,
            Self::Bytes => DataType::LargeBinary,
            Self::List(item) => DataType::LargeList(nullable("item", item.data_type())),
            Self::Struct(fields) => DataType::Struct(fields.arrow()),
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Unknown => "null",
            Self::Bool => "bool",
            Self::I64 | Self::U64 | Self::F64 => "a number",
            Self::Text => "string",
            Self::Bytes => "bytes",
            Self::List(_) => "a list",
            Self::Struct(_) => "an object",
        }
    }
}
