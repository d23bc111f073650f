//! [`Row`]: a row whose columns are known only when the program runs.
//!
//! A row carries its columns, shared with all rows of its source, so that it is written exactly as a struct with
//! these fields would be: the same Arrow columns and the same content hash. Its values are in the order of the
//! columns and of their types; nothing else can make a row.

mod columns;
mod guess;
mod read;
mod value;

use std::any::{Any, TypeId};
use std::fmt;
use std::ops::Index;
use std::sync::Arc;

use serde::de::Error as _;
use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use columns::Columns;
pub use guess::SchemaGuess;
pub use read::ValueError;
pub use value::Value;

use crate::{Error, RowSchema};

/// A row of columns that are known only when the program runs: of a file that is read without a type, say.
///
/// ```
/// use rowmark_rows::{Row, Value};
///
/// let row: Row = serde_json::from_str(r#"{"name": "Bern", "metres": 540, "twins": null}"#)?;
/// assert_eq!(row["name"].as_str(), Some("Bern"));
/// assert_eq!(row["metres"].as_f64(), Some(540.0));
/// assert!(row["twins"].is_null());
/// assert_eq!(row.get("mayor"), None);
/// assert_eq!(row.to_string(), r#"{name: "Bern", metres: 540, twins: null}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// [`RowSchema::of`] refuses it: its columns come from a source, not from the type. So a UDF may take rows and
/// answers structs.
#[derive(Clone)]
pub struct Row {
    columns: Arc<Columns>,
    values: Box<[Value]>,
}

impl Row {
    /// The value in a column, or `None` when there is no column of this name.
    #[must_use]
    pub fn get(&self, column: &str) -> Option<&Value> {
        self.values.get(self.columns.position(column)?)
    }

    /// The values, in the order of the columns.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// The columns, shared with the other rows of the same source.
    #[must_use]
    pub fn columns(&self) -> &Arc<Columns> {
        &self.columns
    }

    /// A value of generic code as a row, if it is one.
    #[must_use]
    pub fn of<T: 'static>(value: &T) -> Option<&Self> {
        (value as &dyn Any).downcast_ref()
    }

    /// Whether `T` is this type: for code that is generic over rows and has to find out their columns.
    #[must_use]
    pub fn is<T: 'static>() -> bool {
        TypeId::of::<T>() == TypeId::of::<Self>()
    }

    /// The row as a `T`, if `T` is this type.
    #[must_use]
    pub fn cast<T: 'static>(self) -> Option<T> {
        let mut row = Some(self);
        (&mut row as &mut dyn Any).downcast_mut::<Option<T>>().and_then(Option::take)
    }
}

/// The value in a column.
///
/// # Panics
///
/// When there is no column of this name; [`Row::get`] answers `None` then.
impl Index<&str> for Row {
    type Output = Value;

    fn index(&self, column: &str) -> &Value {
        self.get(column).unwrap_or_else(|| {
            panic!("there is no column `{column}` among {{{}}}", self.columns.schema());
        })
    }
}

impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        self.columns.names().eq(other.columns.names()) && self.values == other.values
    }
}

impl fmt::Display for Row {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("{")?;
        for (index, (name, value)) in self.columns.names().zip(&self.values).enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(formatter, "{separator}{name}: {value}")?;
        }
        formatter.write_str("}")
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Row {self}")
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Row", self.values.len())?;
        for (column, value) in self.columns.iter().zip(&self.values) {
            fields.serialize_field(column.name, &column.typed(value))?;
        }
        fields.end()
    }
}

/// From a format that describes itself, such as JSON: the columns are guessed from the values.
impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let mut guess = SchemaGuess::new();
        guess.observe(&value).map_err(D::Error::custom)?;
        let columns = Columns::of(&guess.schema()).map_err(D::Error::custom)?;
        columns.row(value).map_err(D::Error::custom)
    }
}

impl RowSchema {
    /// The schema of `T`, or for [`Row`], which has none of its own, the one that `of_source` answers.
    ///
    /// # Errors
    ///
    /// As [`RowSchema::of`], or what `of_source` answers.
    pub fn of_or<T: crate::RowType, E: From<Error>>(
        of_source: impl FnOnce() -> Result<Self, E>,
    ) -> Result<Self, E> {
        if Row::is::<T>() { of_source() } else { Ok(Self::of::<T>()?) }
    }
}
