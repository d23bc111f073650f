//! The schema of rows: what columns a type is stored in, known before there is a row.
//!
//! A schema is made from a type by [`RowSchema::of`], which proves it on sample values: they are
//! written, read and written again before the schema is handed out, so that a type that cannot be
//! stored is an error then and never later. Equality is about what a reader sees (names, types,
//! nullability, order), and so is the hash; Arrow's metadata does not count.
//!
//! Rows that are structs have one column for each field. Rows of any other kind (`f64`, `String`,
//! `Option<T>`, tuples, lists, enums) have one column named `value`.

use std::fmt;
use std::sync::Arc;

use arrow_schema::{DataType, FieldRef, Fields, Schema, SchemaRef};
use rowmark_hashing::ContentHash;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::difference::{self, SchemaDifference};
use crate::error::{Error, Unstorable};
use crate::sample;
use crate::shape::Shape;
use crate::type_text::{FieldsText, children, head};

/// The column of rows that are not structs.
pub const VALUE_COLUMN: &str = "value";

/// A type whose values can be rows.
///
/// It is implemented for every type that serde can write and read and that threads can share;
/// whether the type can be stored is for [`RowSchema::of`] to say.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a row",
    label = "rows are stored, and are read again by several threads",
    note = "derive `serde::Serialize` and `serde::Deserialize` for it; it owns what it holds, and is `Send` and `Sync`"
)]
pub trait RowType: Serialize + DeserializeOwned + Send + Sync + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> RowType for T {}

/// The columns that rows are stored in.
///
/// ```
/// use rowmark_rows::RowSchema;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize, PartialEq, Debug)]
/// struct Review { id: u64, text: String, stars: Option<f32>, tags: Vec<String> }
///
/// let schema = RowSchema::of::<Review>()?;
/// assert_eq!(schema.to_string(), "id: u64, text: string, stars: f32?, tags: [string]");
///
/// let rows = vec![Review { id: 7, text: "fine".into(), stars: None, tags: vec!["new".into()] }];
/// let batch = schema.encode(&rows)?;
/// assert_eq!(batch.num_columns(), 4);
/// assert_eq!(schema.decode::<Review>(&batch)?, rows);
/// # Ok::<(), rowmark_rows::Error>(())
/// ```
#[derive(Clone)]
pub struct RowSchema {
    arrow: SchemaRef,
}

impl RowSchema {
    /// Finds out the schema of `T`.
    ///
    /// # Errors
    ///
    /// [`Error::Unstorable`] when values of `T` cannot be stored or would not come back as they
    /// were; it names the field and says what to do.
    ///
    /// ```
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct Account { id: u64, balance: i128 }
    ///
    /// let error = rowmark_rows::RowSchema::of::<Account>().unwrap_err();
    /// assert!(error.to_string().contains("field balance is a 128-bit integer"), "{error}");
    /// ```
    pub fn of<T: RowType>() -> Result<Self, Error> {
        let type_name = std::any::type_name::<T>();
        let unstorable = |(field, reason)| Error::Unstorable { type_name, field, reason };
        let samples = sample::samples::<T>().map_err(unstorable)?;
        let mut shape = Shape::default();
        for sample in &samples {
            shape.observe(sample).map_err(unstorable)?;
        }
        let columns = shape.columns(VALUE_COLUMN).map_err(unstorable)?;
        let schema = Self::from_arrow(Arc::new(Schema::new(columns)));
        schema.prove(&samples).map_err(unstorable)?;
        Ok(schema)
    }

    /// Takes over an Arrow schema, of batches that come from elsewhere.
    #[must_use]
    pub fn from_arrow(schema: SchemaRef) -> Self {
        Self { arrow: schema }
    }

    /// The schema as Arrow knows it.
    #[must_use]
    pub fn arrow(&self) -> &SchemaRef {
        &self.arrow
    }

    /// Where `other` differs first from this schema, or `None` when they are equal.
    ///
    /// ```
    /// use rowmark_rows::RowSchema;
    ///
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct Old { id: u64, score: f32 }
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct New { id: u64, score: f64 }
    ///
    /// let (old, new) = (RowSchema::of::<Old>()?, RowSchema::of::<New>()?);
    /// let difference = new.first_difference(&old).unwrap();
    /// assert_eq!(difference.to_string(), "field score is expected to be f64 and found to be f32");
    /// # Ok::<(), rowmark_rows::Error>(())
    /// ```
    #[must_use]
    pub fn first_difference(&self, other: &Self) -> Option<SchemaDifference> {
        if Arc::ptr_eq(&self.arrow, &other.arrow) {
            return None;
        }
        difference::first_difference("", self.fields(), other.fields())
    }

    /// A hash of names, types, nullability and order, the same on every machine and in every version.
    #[must_use]
    pub fn content_hash(&self) -> ContentHash {
        /// Depth, name, type and nullability of each field, parents first.
        fn describe(fields: &[FieldRef], depth: u32, description: &mut Vec<(u32, String, String, bool)>) {
            for field in fields {
                let head = head(field.data_type());
                description.push((depth, field.name().clone(), head, field.is_nullable()));
                describe(&children(field.data_type()), depth + 1, description);
            }
        }
        let mut description = Vec::new();
        describe(self.fields(), 0, &mut description);
        ContentHash::of(&("rowmark schema", description)).expect("a list of plain tuples always has a hash")
    }

    /// Whether the rows are values without data, of which only the number is stored.
    pub(crate) fn is_dataless(&self) -> bool {
        matches!(&self.fields()[..], [column] if column.name() == VALUE_COLUMN && *column.data_type() == DataType::Null)
    }

    pub(crate) fn fields(&self) -> &Fields {
        self.arrow.fields()
    }

    /// Writes samples, reads them and writes them again: the bytes must not change.
    fn prove<T: RowType>(&self, samples: &[T]) -> Result<(), (String, Unstorable)> {
        let not_readable = |error| (String::new(), Unstorable::NotReadable { source: Box::new(error) });
        let written = self.encode(samples).map_err(not_readable)?;
        let read: Vec<T> = self.decode(&written).map_err(not_readable)?;
        let again = self.encode(&read).map_err(not_readable)?;
        let columns = written.columns().iter().zip(again.columns()).zip(self.fields());
        for ((before, after), field) in columns {
            if before != after {
                return Err((field.name().clone(), Unstorable::Altered));
            }
        }
        Ok(())
    }
}

impl PartialEq for RowSchema {
    fn eq(&self, other: &Self) -> bool {
        self.first_difference(other).is_none()
    }
}

impl Eq for RowSchema {}

impl fmt::Display for RowSchema {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&FieldsText(self.fields()), formatter)
    }
}

impl fmt::Debug for RowSchema {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RowSchema {{{self}}}")
    }
}
