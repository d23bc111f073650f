//! Brings arrays to the types of rows, once it is known that they can be.

use std::sync::Arc;

use arrow_array::builder::BooleanBufferBuilder;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{
    Array as _, ArrayRef, FixedSizeListArray, LargeListArray, MapArray, StructArray, UInt8Array,
    new_null_array,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_cast::{CastOptions, cast, cast_with_options};
use arrow_schema::{ArrowError, DataType, Field, TimeUnit};

use super::cell;
use super::types::is_bytes;
use crate::error::Cell;

/// Why a row of a batch cannot be read.
#[derive(Debug)]
pub(crate) struct Misfit {
    pub(crate) cell: Option<Box<Cell>>,
    pub(crate) reason: String,
    pub(crate) source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Misfit {
    pub(crate) fn plain(reason: impl Into<String>) -> Self {
        Self { cell: None, reason: reason.into(), source: None }
    }

    fn arrow(error: ArrowError) -> Self {
        Self { cell: None, reason: error.to_string(), source: Some(Box::new(error)) }
    }
}

/// Converts a column. Where it fails, it names a cell that is at fault.
pub(super) fn convert(path: &str, array: &ArrayRef, expected: &Field) -> Result<ArrayRef, Misfit> {
    convert_below(path, array, expected, None)
}

/// Converts an array whose elements count where the one around it is not null.
fn convert_below(
    path: &str,
    array: &ArrayRef,
    expected: &Field,
    around: Option<&NullBuffer>,
) -> Result<ArrayRef, Misfit> {
    let converted = match (array.data_type(), expected.data_type()) {
        (DataType::Null, expected) => new_null_array(expected, array.len()),
        (found, expected) if found == expected => Arc::clone(array),
        (DataType::Dictionary(_, values), _) => {
            let plain = cast(array, values).map_err(Misfit::arrow)?;
            return convert_below(path, &plain, expected, around);
        }
        (_, DataType::LargeList(item)) => list(path, array, item)?,
        (_, DataType::FixedSizeList(item, len)) => fixed_list(path, array, item, *len)?,
        (_, DataType::Struct(_)) => structure(path, array, expected)?,
        (_, DataType::Map(..)) => map(path, array, expected)?,
        (DataType::Timestamp(unit, Some(_)), DataType::LargeUtf8) => {
            cast(&in_utc(array, *unit), &DataType::LargeUtf8).map_err(Misfit::arrow)?
        }
        (_, expected) => leaf(path, array, expected)?,
    };
    if !expected.is_nullable() && converted.null_count() > 0 {
        let is_missing =
            |row: &usize| converted.is_null(*row) && around.is_none_or(|around| around.is_valid(*row));
        if let Some(row) = (0..converted.len()).find(is_missing) {
            let reason = "a value is missing, and the field is not an `Option`".to_owned();
            return Err(Misfit { cell: cell(path, array, row), reason, source: None });
        }
    }
    Ok(converted)
}

fn leaf(path: &str, array: &ArrayRef, expected: &DataType) -> Result<ArrayRef, Misfit> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(array, expected, &options).map_err(|error| {
        let is_at_fault = |row: &usize| cast_with_options(&array.slice(*row, 1), expected, &options).is_err();
        let cell = (0..array.len()).find(is_at_fault).and_then(|row| cell(path, array, row));
        Misfit { cell, ..Misfit::arrow(error) }
    })
}

/// Instants with UTC as their zone: they count from one epoch in every zone, and so need no calendar of zones.
fn in_utc(array: &ArrayRef, unit: TimeUnit) -> ArrayRef {
    const UTC: &str = "+00:00";
    match unit {
        TimeUnit::Second => Arc::new(array.as_primitive::<TimestampSecondType>().clone().with_timezone(UTC)),
        TimeUnit::Millisecond => {
            Arc::new(array.as_primitive::<TimestampMillisecondType>().clone().with_timezone(UTC))
        }
        TimeUnit::Microsecond => {
            Arc::new(array.as_primitive::<TimestampMicrosecondType>().clone().with_timezone(UTC))
        }
        TimeUnit::Nanosecond => {
            Arc::new(array.as_primitive::<TimestampNanosecondType>().clone().with_timezone(UTC))
        }
    }
}

/// The array as a list with 64-bit offsets, its items as they are.
fn as_large_list(array: &ArrayRef) -> Result<LargeListArray, Misfit> {
    let item = match array.data_type() {
        bytes if is_bytes(bytes) => {
            let bytes = cast(array, &DataType::LargeBinary).map_err(Misfit::arrow)?;
            let (offsets, values, nulls) = bytes.as_binary::<i64>().clone().into_parts();
            let (item, values) =
                (Field::new("item", DataType::UInt8, false), UInt8Array::new(values.into(), None));
            return LargeListArray::try_new(Arc::new(item), offsets, Arc::new(values), nulls)
                .map_err(Misfit::arrow);
        }
        DataType::LargeList(_) => return Ok(array.as_list::<i64>().clone()),
        DataType::List(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => item,
        other => return Err(Misfit::plain(format!("{other} is no list"))),
    };
    let list = cast(array, &DataType::LargeList(Arc::clone(item))).map_err(Misfit::arrow)?;
    Ok(list.as_list::<i64>().clone())
}

fn list(path: &str, array: &ArrayRef, item: &Arc<Field>) -> Result<ArrayRef, Misfit> {
    let (_, offsets, values, nulls) = as_large_list(array)?.into_parts();
    // Only the items that are in a list: others may be anything.
    let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
    let values = values.slice(first as usize, (last - first) as usize);
    let offsets = OffsetBuffer::new(offsets.iter().map(|offset| offset - first).collect());
    let values = convert_below(&format!("{path}[]"), &values, item, None)?;
    Ok(Arc::new(LargeListArray::try_new(Arc::clone(item), offsets, values, nulls).map_err(Misfit::arrow)?))
}

fn fixed_list(path: &str, array: &ArrayRef, item: &Arc<Field>, len: i32) -> Result<ArrayRef, Misfit> {
    let list = as_large_list(array)?;
    let is_other = |row: &usize| list.is_valid(*row) && list.value_length(*row) != i64::from(len);
    if let Some(row) = (0..list.len()).find(is_other) {
        let reason = format!("the list has {} items where {len} are expected", list.value_length(row));
        return Err(Misfit { cell: cell(path, array, row), reason, source: None });
    }
    let type_of_items = list.values().data_type().clone();
    let same = Field::new("item", type_of_items, true);
    let fixed = cast(&(Arc::new(list) as ArrayRef), &DataType::FixedSizeList(Arc::new(same), len))
        .map_err(Misfit::arrow)?;
    let (_, _, values, nulls) = fixed.as_fixed_size_list().clone().into_parts();
    let around = nulls.as_ref().map(|nulls| repeated(nulls, len as usize));
    let values = convert_below(&format!("{path}[]"), &values, item, around.as_ref())?;
    Ok(Arc::new(FixedSizeListArray::try_new(Arc::clone(item), len, values, nulls).map_err(Misfit::arrow)?))
}

fn repeated(nulls: &NullBuffer, times: usize) -> NullBuffer {
    let mut all = BooleanBufferBuilder::new(nulls.len() * times);
    nulls.iter().for_each(|is_valid| all.append_n(times, is_valid));
    NullBuffer::new(all.finish())
}

fn structure(path: &str, array: &ArrayRef, expected: &Field) -> Result<ArrayRef, Misfit> {
    let DataType::Struct(fields) = expected.data_type() else { return Err(Misfit::plain("it is no struct")) };
    let found = array.as_struct();
    let mut columns = Vec::with_capacity(fields.len());
    for field in fields {
        let name = field.name();
        let column =
            found.column_by_name(name).ok_or_else(|| Misfit::plain(format!("{path} has no {name}")))?;
        columns.push(convert_below(&format!("{path}.{name}"), column, field, found.nulls())?);
    }
    let nulls = found.nulls().cloned();
    let structs = StructArray::try_new_with_length(fields.clone(), columns, nulls, found.len());
    Ok(Arc::new(structs.map_err(Misfit::arrow)?))
}

fn map(path: &str, array: &ArrayRef, expected: &Field) -> Result<ArrayRef, Misfit> {
    let DataType::Map(entries, is_sorted) = expected.data_type() else {
        return Err(Misfit::plain("it is no map"));
    };
    let DataType::Struct(fields) = entries.data_type() else { return Err(Misfit::plain("it is no map")) };
    let found = array.as_map();
    let keys = convert_below(&format!("{path}.key"), found.keys(), &fields[0], None)?;
    let values = convert_below(&format!("{path}.value"), found.values(), &fields[1], None)?;
    let pairs = StructArray::try_new(fields.clone(), vec![keys, values], None).map_err(Misfit::arrow)?;
    let (offsets, nulls) = (found.offsets().clone(), found.nulls().cloned());
    let map = MapArray::try_new(Arc::clone(entries), offsets, pairs, nulls, *is_sorted);
    Ok(Arc::new(map.map_err(Misfit::arrow)?))
}
