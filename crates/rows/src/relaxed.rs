//! Rows with enums, in a form that all of Arrow accepts.
//!
//! To Arrow a variant without data is null: a union has no nulls of its own, and counts those of its variants. So where it
//! puts a struct or a list together whose union may not be missing, it refuses what is no error: when it reads IPC, and when
//! it moves rows (`take`, `interleave`). There, batches are given the [relaxed](RowSchema::relaxed) form of their schema,
//! which says of such unions that they may be missing, and [restored](RowSchema::restore) afterwards. Only types change, no
//! values; a schema without such unions is its own relaxed form.

use std::sync::Arc;

use arrow_array::{Array as _, ArrayRef, RecordBatch, RecordBatchOptions, make_array};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Schema, UnionFields};

use crate::RowSchema;

impl RowSchema {
    /// The same columns, where unions within others may be missing.
    ///
    /// ```
    /// use rowmark_rows::RowSchema;
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Serialize, Deserialize)]
    /// enum Verdict { Unknown, Score(f32) }
    ///
    /// let schema = RowSchema::of::<(Verdict, u64)>()?;
    /// let batch = schema.encode(&[(Verdict::Unknown, 1), (Verdict::Score(0.5), 2)])?;
    /// let relaxed = schema.relaxed().restore(batch.clone())?;
    /// assert_ne!(relaxed.schema(), batch.schema());
    /// assert_eq!(schema.restore(relaxed)?, batch);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn relaxed(&self) -> Self {
        let fields: Vec<FieldRef> = self.fields().iter().map(|column| retyped(column, false)).collect();
        if fields.iter().zip(self.fields()).all(|(relaxed, column)| Arc::ptr_eq(relaxed, column)) {
            return self.clone();
        }
        let metadata = self.arrow().metadata().clone();
        Self::from_arrow(Arc::new(Schema::new_with_metadata(fields, metadata)))
    }

    /// Gives a batch of the [relaxed](Self::relaxed) form, or of the schema of which this is the relaxed form, this schema.
    ///
    /// # Errors
    ///
    /// When the batch has other columns.
    pub fn restore(&self, batch: RecordBatch) -> Result<RecordBatch, ArrowError> {
        if Arc::ptr_eq(self.arrow(), batch.schema_ref()) || self.arrow() == batch.schema_ref() {
            return Ok(batch);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let columns = self.fields().iter().zip(batch.columns());
        let columns = columns.map(|(field, column)| retype(column, field.data_type()));
        let columns = columns.collect::<Result<_, _>>()?;
        RecordBatch::try_new_with_options(Arc::clone(self.arrow()), columns, &options)
    }
}

/// A field whose type is relaxed; one within another may be missing if it is a union.
fn retyped(field: &FieldRef, is_within: bool) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Struct(fields) => {
            DataType::Struct(fields.iter().map(|field| retyped(field, true)).collect())
        }
        DataType::List(item) => DataType::List(retyped(item, true)),
        DataType::LargeList(item) => DataType::LargeList(retyped(item, true)),
        DataType::FixedSizeList(item, length) => DataType::FixedSizeList(retyped(item, true), *length),
        DataType::Map(entries, is_sorted) => DataType::Map(retyped_entries(entries), *is_sorted),
        DataType::Union(variants, mode) => {
            let retyped = variants.iter().map(|(id, variant)| (id, retyped(variant, false)));
            DataType::Union(retyped.collect::<UnionFields>(), *mode)
        }
        other => other.clone(),
    };
    let is_nullable = field.is_nullable() || (is_within && matches!(data_type, DataType::Union(..)));
    if is_nullable == field.is_nullable() && data_type == *field.data_type() {
        return Arc::clone(field);
    }
    Arc::new(Field::clone(field).with_data_type(data_type).with_nullable(is_nullable))
}

/// The entries of a map, whose key may not be missing in any form.
fn retyped_entries(entries: &FieldRef) -> FieldRef {
    let DataType::Struct(fields) = entries.data_type() else { return Arc::clone(entries) };
    let data_type =
        DataType::Struct((0..).zip(fields).map(|(index, field)| retyped(field, index > 0)).collect());
    if data_type == *entries.data_type() {
        return Arc::clone(entries);
    }
    Arc::new(Field::clone(entries).with_data_type(data_type))
}

/// Whether these are the values of a union of which some are null to Arrow.
pub(crate) fn has_nulls(data_type: &DataType) -> bool {
    let DataType::Union(variants, _) = data_type else { return false };
    variants.iter().any(|(_, variant)| {
        variant.is_nullable() || *variant.data_type() == DataType::Null || has_nulls(variant.data_type())
    })
}

/// The same values as a type that differs in what may be missing alone. They are validated as what they are made of:
/// Arrow's own constructors are those that refuse them.
fn retype(array: &ArrayRef, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    if array.data_type() == data_type {
        return Ok(Arc::clone(array));
    }
    let data = array.to_data();
    let types: Vec<&DataType> = match data_type {
        DataType::Struct(fields) => fields.iter().map(|field| field.data_type()).collect(),
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => vec![field.data_type()],
        DataType::Union(variants, _) => variants.iter().map(|(_, variant)| variant.data_type()).collect(),
        _ => Vec::new(),
    };
    if types.len() != data.child_data().len() {
        let (found, expected) = (array.data_type(), data_type);
        return Err(ArrowError::SchemaError(format!("{found} cannot be given the form of {expected}")));
    }
    let children = data.child_data().iter().zip(types);
    let children =
        children.map(|(child, data_type)| Ok(retype(&make_array(child.clone()), data_type)?.to_data()));
    let children = children.collect::<Result<_, ArrowError>>()?;
    let retyped = data.into_builder().data_type(data_type.clone()).child_data(children).build()?;
    Ok(make_array(retyped))
}
