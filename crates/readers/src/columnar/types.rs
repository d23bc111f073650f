//! Which types of Arrow columns can be which types of rows.

use std::sync::Arc;

use arrow_schema::{DataType, Field, FieldRef};

use super::text_of;

/// The field as rows without a type have it; nothing for types that they cannot have.
pub(super) fn plain(field: &Field) -> Option<Field> {
    let (data_type, nullable) = match field.data_type() {
        DataType::Null => (DataType::LargeUtf8, true),
        data_type => (plain_type(data_type)?, field.is_nullable()),
    };
    Some(Field::new(field.name(), data_type, nullable))
}

fn plain_type(data_type: &DataType) -> Option<DataType> {
    let item = |item: &FieldRef| Some(DataType::LargeList(Arc::new(plain(item)?.with_name("item"))));
    Some(match data_type {
        DataType::Float16 => DataType::Float32,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            DataType::LargeBinary
        }
        DataType::Dictionary(_, values) => plain_type(values)?,
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _) => item(field)?,
        DataType::Struct(fields) => {
            DataType::Struct(fields.iter().map(|field| plain(field)).collect::<Option<Vec<_>>>()?.into())
        }
        DataType::Map(entries, _) => {
            let DataType::Struct(fields) = entries.data_type() else { return None };
            let [key, value] = &fields[..] else { return None };
            let fields = vec![plain(key)?.with_name("key"), plain(value)?.with_name("value")];
            DataType::Map(Arc::new(Field::new("entries", DataType::Struct(fields.into()), false)), false)
        }
        other if is_text(other) => DataType::LargeUtf8,
        DataType::Boolean | DataType::Float32 | DataType::Float64 => data_type.clone(),
        other if other.is_integer() => other.clone(),
        _ => return None,
    })
}

/// Whether values are texts, or are read as such.
pub(super) fn is_text(data_type: &DataType) -> bool {
    data_type.is_string() || data_type.is_decimal() || is_time(data_type)
}

/// Whether values are bytes, which serde has as a list of numbers too.
pub(super) fn is_bytes(data_type: &DataType) -> bool {
    data_type.is_binary() || matches!(data_type, DataType::FixedSizeBinary(_))
}

fn is_time(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Date32
            | DataType::Date64
            | DataType::Time32(_)
            | DataType::Time64(_)
            | DataType::Timestamp(..)
    )
}

/// Why a field of a source cannot be read as one of a type, in words.
pub(super) fn misfit(found: &Field, expected: &Field) -> Option<String> {
    if is_fit(found.data_type(), expected.data_type()) {
        return None;
    }
    let (found_text, expected) = (text_of(found), text_of(expected));
    let advice = match found.data_type() {
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => {
            "; read it as a `String`, which has it in ISO 8601"
        }
        data_type if data_type.is_decimal() => "; read it as a `String`, which has all of its digits",
        _ => "",
    };
    Some(format!("is {found_text} and cannot be read as {expected} without loss{advice}"))
}

fn is_fit(found: &DataType, expected: &DataType) -> bool {
    let item = |data_type: &DataType| match data_type {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => Some(Arc::clone(item)),
        _ => None,
    };
    match (found, expected) {
        (found, expected) if found == expected => true,
        (DataType::Null, expected) => !matches!(expected, DataType::Union(..)),
        (DataType::Dictionary(_, values), expected) => is_fit(values, expected),
        (found, expected) if expected.is_integer() => found.is_integer(),
        (found, DataType::Float64) => {
            matches!(found, DataType::Float16 | DataType::Float32)
                || (found.is_integer() && found.primitive_width() < Some(8))
        }
        (found, DataType::Float32) => {
            matches!(found, DataType::Float16) || (found.is_integer() && found.primitive_width() < Some(4))
        }
        (found, DataType::LargeUtf8) => is_text(found),
        (found, DataType::LargeBinary) => is_bytes(found),
        (found, DataType::LargeList(expected) | DataType::FixedSizeList(expected, _)) if is_bytes(found) => {
            *expected.data_type() == DataType::UInt8
        }
        (found, DataType::LargeList(expected) | DataType::FixedSizeList(expected, _)) => {
            item(found).is_some_and(|found| is_fit(found.data_type(), expected.data_type()))
        }
        (DataType::Struct(found), DataType::Struct(expected)) => {
            // Every field on either side has one on the other.
            found.len() == expected.len()
                && expected.iter().all(|expected| {
                    let found = found.iter().find(|field| field.name() == expected.name());
                    found.is_some_and(|found| is_fit(found.data_type(), expected.data_type()))
                })
        }
        (DataType::Map(found, _), DataType::Map(expected, _)) => {
            match (found.data_type(), expected.data_type()) {
                (DataType::Struct(found), DataType::Struct(expected)) => {
                    found.len() == expected.len()
                        && found
                            .iter()
                            .zip(expected)
                            .all(|(found, expected)| is_fit(found.data_type(), expected.data_type()))
                }
                _ => false,
            }
        }
        _ => false,
    }
}
