//! Rows to Arrow batches and back.
//!
//! The work is `serde_arrow`'s; what is added here is the form of rows that are not structs, the
//! schema check, and errors that say what was being done. Floats keep their bits, also those of a
//! NaN.

use std::sync::Arc;

use arrow_array::{ArrayRef, NullArray, RecordBatch, RecordBatchOptions};
use serde::de::value::MapDeserializer;
use serde::de::{DeserializeOwned, Deserializer, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize, forward_to_deserialize_any};

use crate::error::{CodecError, Error};
use crate::shape::Shape;
use crate::{Columns, Row, RowSchema, SchemaDifference, VALUE_COLUMN};

impl RowSchema {
    /// Writes rows into one Arrow batch.
    ///
    /// The schema is meant to be the one of `T`. One of another type works as far as the values
    /// can be written in its columns, and fields without a column are left out.
    ///
    /// # Errors
    ///
    /// When a row does not fit the schema.
    pub fn encode<T: Serialize>(&self, rows: &[T]) -> Result<RecordBatch, Error> {
        let Some(first) = rows.first() else {
            return Ok(RecordBatch::new_empty(self.arrow().clone()));
        };
        let columns: Result<Vec<ArrayRef>, serde_arrow::Error> = match Form::of_value(first) {
            Form::Struct if self.is_dataless() => Ok(vec![Arc::new(NullArray::new(rows.len()))]),
            Form::Struct => serde_arrow::to_arrow(self.fields(), rows),
            Form::Empty | Form::Value => serde_arrow::to_arrow(self.fields(), ValueRows(rows)),
        };
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        columns
            .map_err(CodecError::from)
            .and_then(|columns| {
                RecordBatch::try_new_with_options(self.arrow().clone(), columns, &options)
                    .map_err(CodecError::from)
            })
            .map_err(|source| Error::Encode {
                type_name: std::any::type_name::<T>(),
                rows: rows.len(),
                schema: self.to_string(),
                source,
            })
    }

    /// Reads the rows of a batch.
    ///
    /// `T` may leave columns out; its fields are found by name, and an `Option` without a column is
    /// `None`. Whoever wants all of the schema compares it with [`RowSchema::of`] first.
    ///
    /// # Errors
    ///
    /// [`Error::SchemaMismatch`] when the batch does not have this schema, and [`Error::Decode`]
    /// when its rows cannot be read as `T`; for [`Row`] it is
    /// [`Error::NotDynamic`].
    pub fn decode<T: DeserializeOwned + 'static>(&self, batch: &RecordBatch) -> Result<Vec<T>, Error> {
        let found = RowSchema::from_arrow(batch.schema());
        if let Some(difference) = self.first_difference(&found) {
            return Err(Error::SchemaMismatch { difference });
        }
        if Row::is::<T>() {
            return Ok(Columns::of(self)?.rows(batch).into_iter().filter_map(Row::cast).collect());
        }
        let form = Form::of_type::<T>();
        if form != Form::Struct && batch.column_by_name(VALUE_COLUMN).is_none() {
            let (field, expected) = (VALUE_COLUMN.to_owned(), std::any::type_name::<T>().to_owned());
            return Err(Error::SchemaMismatch { difference: SchemaDifference::Missing { field, expected } });
        }
        decode_columns(form, batch).map_err(|source| Error::Decode {
            type_name: std::any::type_name::<T>(),
            rows: batch.num_rows(),
            schema: self.to_string(),
            source: source.into(),
        })
    }
}

fn decode_columns<T: DeserializeOwned>(
    form: Form,
    batch: &RecordBatch,
) -> Result<Vec<T>, serde_arrow::Error> {
    let mut rows = Vec::with_capacity(batch.num_rows());
    if form == Form::Empty {
        for _ in 0..batch.num_rows() {
            let no_fields = MapDeserializer::<_, serde_arrow::Error>::new(std::iter::empty::<(&str, ())>());
            rows.push(T::deserialize(no_fields)?);
        }
        return Ok(rows);
    }
    let items = serde_arrow::Deserializer::from_record_batch(batch)?;
    for item in &items {
        rows.push(match form {
            Form::Value => ValueRow::deserialize(item)?.value,
            Form::Struct | Form::Empty => T::deserialize(item)?,
        });
    }
    Ok(rows)
}

/// How a type is laid out in columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A struct: a column for each field.
    Struct,
    /// A struct without fields: one column of nulls.
    Empty,
    /// Anything else: one column.
    Value,
}

impl Form {
    /// How a value writes itself; that it is a struct without fields cannot be told here.
    fn of_value<T: Serialize>(value: &T) -> Self {
        let mut shape = Shape::default();
        // A value that cannot be looked at cannot be written either, and says so then.
        let _ = shape.observe(value);
        if shape.is_struct() { Self::Struct } else { Self::Value }
    }

    /// How a type reads itself.
    fn of_type<T: DeserializeOwned>() -> Self {
        match T::deserialize(FormProbe) {
            Err(FormFound(form)) => form,
            Ok(_) => Self::Value,
        }
    }
}

/// Asks a type what it reads itself from, and ends there.
struct FormProbe;

#[derive(Debug, thiserror::Error)]
#[error("the form was found")]
struct FormFound(Form);

impl serde::de::Error for FormFound {
    fn custom<T: std::fmt::Display>(_message: T) -> Self {
        Self(Form::Value)
    }
}

impl<'de> Deserializer<'de> for FormProbe {
    type Error = FormFound;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, FormFound> {
        Err(FormFound(Form::Value))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, FormFound> {
        Err(FormFound(if fields.is_empty() { Form::Empty } else { Form::Struct }))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, FormFound> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// A row that is not a struct, as a struct with one field.
#[derive(Serialize, Deserialize)]
struct ValueRow<T> {
    value: T,
}

/// Rows that are not structs, each as a struct with one field.
struct ValueRows<'a, T>(&'a [T]);

impl<T: Serialize> Serialize for ValueRows<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        debug_assert_eq!(VALUE_COLUMN, "value", "the field of `ValueRow` has this name");
        serializer.collect_seq(self.0.iter().map(|value| ValueRow { value }))
    }
}
