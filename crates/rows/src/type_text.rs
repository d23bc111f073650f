//! The readable form of Arrow types, and the stable names that schema hashes are made from.
//!
//! `id: u64, tags: [string]?, at: {lat: f64, lon: f64}, kind: <Car | Bike: {gears: u8}>` is how a
//! schema prints. The words come from here and not from Arrow, whose own change between versions.

use std::fmt;
use std::sync::Arc;

use arrow_schema::{DataType, Field, FieldRef, IntervalUnit, TimeUnit};

/// Prints a field's type, with `?` when it may be null.
pub(crate) struct TypeText<'a>(pub(crate) &'a Field);

impl fmt::Display for TypeText<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_type(formatter, self.0.data_type())?;
        // A field of the null type can be nothing else.
        let is_marked = self.0.is_nullable() && *self.0.data_type() != DataType::Null;
        formatter.write_str(if is_marked { "?" } else { "" })
    }
}

/// Prints fields as `a: u64, b: string?`.
pub(crate) struct FieldsText<'a>(pub(crate) &'a [FieldRef]);

impl fmt::Display for FieldsText<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, field) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(formatter, "{separator}{}: {}", field.name(), TypeText(field))?;
        }
        Ok(())
    }
}

fn write_type(formatter: &mut fmt::Formatter<'_>, data_type: &DataType) -> fmt::Result {
    match data_type {
        DataType::LargeList(item) => write!(formatter, "[{}]", TypeText(item)),
        DataType::FixedSizeList(item, len) => write!(formatter, "[{}; {len}]", TypeText(item)),
        DataType::Struct(fields) => write!(formatter, "{{{}}}", FieldsText(fields)),
        DataType::Map(..) => match &children(data_type)[..] {
            [key, value] => write!(formatter, "map<{}, {}>", TypeText(key), TypeText(value)),
            _ => formatter.write_str("map"),
        },
        DataType::Union(fields, _) => {
            formatter.write_str("<")?;
            for (index, (_, field)) in fields.iter().enumerate() {
                let separator = if index == 0 { "" } else { " | " };
                write!(formatter, "{separator}{}", field.name())?;
                if *field.data_type() != DataType::Null {
                    write!(formatter, ": {}", TypeText(field))?;
                }
            }
            formatter.write_str(">")
        }
        other => {
            formatter.write_str(&head(other))?;
            match &children(other)[..] {
                [] => Ok(()),
                fields => write!(formatter, "<{}>", FieldsText(fields)),
            }
        }
    }
}

/// The fields inside of a type, those of a list named `item` and those of a map `key` and `value`.
pub(crate) fn children(data_type: &DataType) -> Vec<FieldRef> {
    let named = |field: &FieldRef, name: &str| {
        Arc::new(Field::new(name, field.data_type().clone(), field.is_nullable()))
    };
    match data_type {
        DataType::Struct(fields) => fields.iter().cloned().collect(),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => vec![named(item, "item")],
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => {
                fields.iter().zip(["key", "value"]).map(|(field, name)| named(field, name)).collect()
            }
            _ => Vec::new(),
        },
        DataType::Union(fields, _) => fields.iter().map(|(_, field)| field.clone()).collect(),
        DataType::RunEndEncoded(ends, values) => vec![ends.clone(), values.clone()],
        DataType::Dictionary(key, value) => vec![
            Arc::new(Field::new("key", (**key).clone(), false)),
            Arc::new(Field::new("value", (**value).clone(), true)),
        ],
        _ => Vec::new(),
    }
}

/// The name of a type without its children: part of every schema hash, never to be changed.
pub(crate) fn head(data_type: &DataType) -> String {
    let name = match data_type {
        DataType::Null => "null",
        DataType::Boolean => "bool",
        DataType::Int8 => "i8",
        DataType::Int16 => "i16",
        DataType::Int32 => "i32",
        DataType::Int64 => "i64",
        DataType::UInt8 => "u8",
        DataType::UInt16 => "u16",
        DataType::UInt32 => "u32",
        DataType::UInt64 => "u64",
        DataType::Float16 => "f16",
        DataType::Float32 => "f32",
        DataType::Float64 => "f64",
        DataType::LargeUtf8 => "string",
        DataType::Utf8 => "small_string",
        DataType::Utf8View => "string_view",
        DataType::LargeBinary => "bytes",
        DataType::Binary => "small_bytes",
        DataType::BinaryView => "bytes_view",
        DataType::FixedSizeBinary(len) => return format!("bytes[{len}]"),
        DataType::Date32 => "date",
        DataType::Date64 => "date64",
        DataType::Time32(unit) => return format!("time32[{}]", unit_name(*unit)),
        DataType::Time64(unit) => return format!("time64[{}]", unit_name(*unit)),
        DataType::Duration(unit) => return format!("duration[{}]", unit_name(*unit)),
        DataType::Timestamp(unit, None) => return format!("timestamp[{}]", unit_name(*unit)),
        DataType::Timestamp(unit, Some(zone)) => return format!("timestamp[{}, {zone}]", unit_name(*unit)),
        DataType::Interval(IntervalUnit::YearMonth) => "interval[months]",
        DataType::Interval(IntervalUnit::DayTime) => "interval[days]",
        DataType::Interval(IntervalUnit::MonthDayNano) => "interval[ns]",
        DataType::Decimal32(precision, scale) => return format!("decimal32({precision}, {scale})"),
        DataType::Decimal64(precision, scale) => return format!("decimal64({precision}, {scale})"),
        DataType::Decimal128(precision, scale) => return format!("decimal128({precision}, {scale})"),
        DataType::Decimal256(precision, scale) => return format!("decimal256({precision}, {scale})"),
        DataType::LargeList(_) => "list",
        DataType::List(_) => "small_list",
        DataType::ListView(_) => "small_list_view",
        DataType::LargeListView(_) => "list_view",
        DataType::FixedSizeList(_, len) => return format!("list[{len}]"),
        DataType::Struct(_) => "struct",
        DataType::Map(_, false) => "map",
        DataType::Map(_, true) => "sorted_map",
        DataType::Union(fields, mode) => {
            let ids: Vec<String> = fields.iter().map(|(id, _)| id.to_string()).collect();
            return format!("union[{mode:?}, {}]", ids.join(" "));
        }
        DataType::Dictionary(..) => "dictionary",
        DataType::RunEndEncoded(..) => "run_ends",
    };
    name.to_owned()
}

fn unit_name(unit: TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    }
}
