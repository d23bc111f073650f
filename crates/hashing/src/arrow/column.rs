//! From an Arrow array and its field to a [`Column`]: what each of its values is in the format's model.
//!
//! Everything that can be refused is refused here, once a batch and before any row.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, DurationMicrosecondType,
    DurationMillisecondType, DurationNanosecondType, DurationSecondType, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType,
    Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BinaryViewArray, BooleanArray, FixedSizeBinaryArray,
    GenericBinaryArray, GenericStringArray, PrimitiveArray, RecordBatch, StringViewArray, UnionArray,
};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field, FieldRef, Fields, TimeUnit};

use super::{ROWS_KEY, VALUE_KEY};
use crate::Error;
use crate::shape::KnownShape;

/// Where `serde_arrow` notes how it made a type of serde's into one of Arrow's.
const STRATEGY_KEY: &str = "SERDE_ARROW:strategy";

/// An array whose values are known.
pub(super) struct Column<'a> {
    /// Whether every value is an option.
    pub(super) nullable: bool,
    pub(super) nulls: Option<NullBuffer>,
    pub(super) values: Values<'a>,
}

pub(super) enum Values<'a> {
    Unit,
    None,
    Boolean(&'a BooleanArray),
    Int8(&'a PrimitiveArray<Int8Type>),
    Int16(&'a PrimitiveArray<Int16Type>),
    Int32(&'a PrimitiveArray<Int32Type>),
    Int64(&'a PrimitiveArray<Int64Type>),
    UInt8(&'a PrimitiveArray<UInt8Type>),
    UInt16(&'a PrimitiveArray<UInt16Type>),
    UInt32(&'a PrimitiveArray<UInt32Type>),
    UInt64(&'a PrimitiveArray<UInt64Type>),
    Float32(&'a PrimitiveArray<Float32Type>),
    Float64(&'a PrimitiveArray<Float64Type>),
    Char(&'a PrimitiveArray<UInt32Type>),
    /// A stored integer, for the rarer types.
    Integer(Box<dyn Fn(usize) -> i128 + 'a>),
    Text(Texts<'a>),
    Variant(Texts<'a>),
    Bytes(Blobs<'a>),
    Sequence(Box<List<'a>>),
    Tuple(Vec<Column<'a>>),
    FixedTuple(Box<List<'a>>),
    Struct(Vec<(&'a str, Column<'a>)>, KnownShape),
    Map(Box<Map<'a>>),
    Union(&'a UnionArray, Vec<Option<(&'a str, Column<'a>)>>),
    Dictionary(Vec<usize>, Box<Values<'a>>),
}

pub(super) enum Texts<'a> {
    Small(&'a GenericStringArray<i32>),
    Large(&'a GenericStringArray<i64>),
    View(&'a StringViewArray),
}

pub(super) enum Blobs<'a> {
    Small(&'a GenericBinaryArray<i32>),
    Large(&'a GenericBinaryArray<i64>),
    View(&'a BinaryViewArray),
    Fixed(&'a FixedSizeBinaryArray),
}

/// Where the elements of each list lie among all elements.
pub(super) enum Ranges<'a> {
    Small(&'a [i32]),
    Large(&'a [i64]),
    SmallView(&'a [i32], &'a [i32]),
    LargeView(&'a [i64], &'a [i64]),
    /// Of this length each.
    Fixed(usize),
}

pub(super) struct List<'a> {
    pub(super) ranges: Ranges<'a>,
    pub(super) elements: Column<'a>,
}

pub(super) struct Map<'a> {
    pub(super) offsets: &'a [i32],
    pub(super) keys: Column<'a>,
    pub(super) values: Column<'a>,
}

impl<'a> Column<'a> {
    /// The rows of a batch as one column of structs, tuples or items.
    pub(super) fn of_batch(batch: &'a RecordBatch) -> Result<Self, Error> {
        let schema = batch.schema_ref();
        let fields = schema.fields();
        let refuse = |reason| {
            let data_type = DataType::Struct(fields.clone()).to_string();
            Err(Error::Column { column: "(all columns)".to_owned(), data_type, reason })
        };
        let values = match (schema.metadata().get(ROWS_KEY).map(String::as_str), batch.columns()) {
            (Some("item"), [only]) => return Self::of_field(&fields[0], only, ""),
            (Some("item"), _) => return refuse("rows that are items come in batches of one column"),
            (Some("tuple"), columns) => Values::Tuple(columns_of(fields, columns, "")?),
            (None, _) if is_positional(fields) => {
                return refuse(
                    "its rows are structs or tuples; say which under `rowmark:rows` in the schema's metadata",
                );
            }
            (None | Some("struct"), columns) => structure(fields, columns, "")?,
            (Some(_), _) => {
                return refuse("`rowmark:rows` in the schema's metadata is not `struct`, `tuple` or `item`");
            }
        };
        Ok(Self { nullable: false, nulls: None, values })
    }

    fn of_field(field: &'a Field, array: &'a ArrayRef, parent: &str) -> Result<Self, Error> {
        let path = match parent {
            "" => field.name().clone(),
            parent => format!("{parent}.{}", field.name()),
        };
        let values = Values::new(field, array, &path)?;
        let (nullable, nulls) = match array.data_type() {
            // It has no other values than null, and the metadata says what they are.
            DataType::Null => (false, None),
            // Its children say whether they are null.
            DataType::Union(..) => (field.is_nullable(), None),
            _ => (field.is_nullable(), array.logical_nulls()),
        };
        Ok(Self { nullable, nulls, values })
    }
}

fn columns_of<'a>(
    fields: &'a Fields,
    arrays: &'a [ArrayRef],
    parent: &str,
) -> Result<Vec<Column<'a>>, Error> {
    fields.iter().zip(arrays).map(|(field, array)| Column::of_field(field, array, parent)).collect()
}

fn structure<'a>(fields: &'a Fields, arrays: &'a [ArrayRef], parent: &str) -> Result<Values<'a>, Error> {
    let columns = columns_of(fields, arrays, parent)?;
    let names = fields.iter().map(|field| field.name().as_str());
    Ok(Values::Struct(names.zip(columns).collect(), KnownShape::default()))
}

/// Says whether these may as well be the fields of a tuple.
fn is_positional(fields: &Fields) -> bool {
    let is_at = |(index, field): (usize, &FieldRef)| field.name().parse() == Ok(index);
    !fields.is_empty() && fields.iter().enumerate().all(is_at)
}

impl<'a> Values<'a> {
    fn new(field: &'a Field, array: &'a ArrayRef, path: &str) -> Result<Self, Error> {
        let told = field.metadata().get(VALUE_KEY).map(String::as_str);
        let data_type = array.data_type();
        let refuse =
            |reason| Error::Column { column: path.to_owned(), data_type: data_type.to_string(), reason };
        let values = match (data_type, told) {
            (DataType::Boolean, None) => Self::Boolean(array.as_boolean()),
            (DataType::Int8, None) => Self::Int8(array.as_primitive()),
            (DataType::Int16, None) => Self::Int16(array.as_primitive()),
            (DataType::Int32, None) => Self::Int32(array.as_primitive()),
            (DataType::Int64, None) => Self::Int64(array.as_primitive()),
            (DataType::UInt8, None) => Self::UInt8(array.as_primitive()),
            (DataType::UInt16, None) => Self::UInt16(array.as_primitive()),
            (DataType::UInt32, None) => Self::UInt32(array.as_primitive()),
            (DataType::UInt32, Some("char")) => Self::Char(array.as_primitive()),
            (DataType::UInt64, None) => Self::UInt64(array.as_primitive()),
            (DataType::Float32, None) => Self::Float32(array.as_primitive()),
            (DataType::Float64, None) => Self::Float64(array.as_primitive()),
            (DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View, None | Some("string")) => {
                Self::Text(Texts::new(array).ok_or_else(|| refuse(NO_TEXT))?)
            }
            (DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View, Some("variant")) => {
                Self::Variant(Texts::new(array).ok_or_else(|| refuse(NO_TEXT))?)
            }
            (DataType::Binary, None) => Self::Bytes(Blobs::Small(array.as_binary())),
            (DataType::LargeBinary, None) => Self::Bytes(Blobs::Large(array.as_binary())),
            (DataType::BinaryView, None) => Self::Bytes(Blobs::View(array.as_binary_view())),
            (DataType::FixedSizeBinary(_), Some("bytes")) => {
                Self::Bytes(Blobs::Fixed(array.as_fixed_size_binary()))
            }
            (DataType::FixedSizeBinary(_), None) => {
                return Err(refuse(
                    "say that it holds `bytes` under `rowmark:value` in the field's metadata",
                ));
            }
            (DataType::Null, Some("unit")) => Self::Unit,
            (DataType::Null, Some("none")) => Self::None,
            (DataType::Null, None) => {
                return Err(refuse(
                    "null is a `unit` or a `none`; say which under `rowmark:value` in the field's metadata",
                ));
            }
            (DataType::List(item), None) => {
                let list = array.as_list::<i32>();
                Self::sequence(Ranges::Small(list.value_offsets()), item, list.values(), path)?
            }
            (DataType::LargeList(item), None) => {
                let list = array.as_list::<i64>();
                Self::sequence(Ranges::Large(list.value_offsets()), item, list.values(), path)?
            }
            (DataType::ListView(item), None) => {
                let list = array.as_list_view::<i32>();
                let ranges = Ranges::SmallView(list.value_offsets(), list.value_sizes());
                Self::sequence(ranges, item, list.values(), path)?
            }
            (DataType::LargeListView(item), None) => {
                let list = array.as_list_view::<i64>();
                let ranges = Ranges::LargeView(list.value_offsets(), list.value_sizes());
                Self::sequence(ranges, item, list.values(), path)?
            }
            (DataType::FixedSizeList(item, _), Some(told @ ("sequence" | "tuple"))) => {
                let list = array.as_fixed_size_list();
                let ranges = Ranges::Fixed(index(list.value_length()));
                let elements = Column::of_field(item, list.values(), path)?;
                let list = Box::new(List { ranges, elements });
                if told == "tuple" { Self::FixedTuple(list) } else { Self::Sequence(list) }
            }
            (DataType::FixedSizeList(..), None) => {
                return Err(refuse(
                    "it holds `sequence`s or `tuple`s; say which under `rowmark:value` in the field's metadata",
                ));
            }
            (DataType::Struct(fields), told) => {
                let arrays = array.as_struct().columns();
                match (told, field.metadata().get(STRATEGY_KEY).map(String::as_str)) {
                    (Some("tuple"), _) | (None, Some("TupleAsStruct")) => {
                        Self::Tuple(columns_of(fields, arrays, path)?)
                    }
                    (Some("struct"), _) => structure(fields, arrays, path)?,
                    (None, Some("MapAsStruct")) => {
                        return Err(refuse(
                            "it was a map, and which keys it had is lost; build it as a `Map`",
                        ));
                    }
                    (None, _) if is_positional(fields) => {
                        return Err(refuse(
                            "it holds `struct`s or `tuple`s; say which under `rowmark:value` in the field's metadata",
                        ));
                    }
                    (None, _) => structure(fields, arrays, path)?,
                    (Some(_), _) => return Err(refuse(UNKNOWN)),
                }
            }
            (DataType::Map(entries, _), None) => {
                let map = array.as_map();
                let DataType::Struct(fields) = entries.data_type() else { return Err(refuse(NO_ENTRIES)) };
                let [key, value] = &**fields else { return Err(refuse(NO_ENTRIES)) };
                Self::Map(Box::new(Map {
                    offsets: map.value_offsets(),
                    keys: Column::of_field(key, map.keys(), path)?,
                    values: Column::of_field(value, map.values(), path)?,
                }))
            }
            (DataType::Union(fields, _), None) => {
                let union = array.as_union();
                let mut variants: Vec<Option<(&str, Column<'_>)>> = Vec::new();
                for (id, field) in fields.iter() {
                    let id_index = usize::from(id.unsigned_abs());
                    variants.resize_with(variants.len().max(id_index + 1), || None);
                    let child = union.child(id);
                    let column = match child.data_type() {
                        DataType::Null => Column { nullable: false, nulls: None, values: Self::Unit },
                        _ => Column::of_field(field, child, path)?,
                    };
                    variants[id_index] = Some((field.name().as_str(), column));
                }
                Self::Union(union, variants)
            }
            (DataType::Dictionary(..), told) => {
                let dictionary = array.as_any_dictionary();
                let keys = match dictionary.values().len() {
                    0 => vec![0; dictionary.len()],
                    _ => dictionary.normalized_keys(),
                };
                let texts = Texts::new(dictionary.values());
                let values = match (texts, told) {
                    (Some(texts), None | Some("variant")) => Self::Variant(texts),
                    (Some(texts), Some("string")) => Self::Text(texts),
                    _ => return Err(refuse("only dictionaries of texts are known")),
                };
                Self::Dictionary(keys, Box::new(values))
            }
            (other, Some("integer")) => Self::Integer(
                stored_integer(other, array).ok_or_else(|| refuse("it does not hold an integer"))?,
            ),
            (_, Some(_)) => return Err(refuse(UNKNOWN)),
            (other, None) if stored_integer(other, array).is_some() => {
                return Err(refuse(
                    "serde has no such type; to hash the stored number say `integer` under `rowmark:value` in the \
                     field's metadata",
                ));
            }
            (_, None) => return Err(refuse("serde has no such type; cast the column to one that it has")),
        };
        Ok(values)
    }

    fn sequence(
        ranges: Ranges<'a>,
        item: &'a Field,
        values: &'a ArrayRef,
        path: &str,
    ) -> Result<Self, Error> {
        let elements = Column::of_field(item, values, path)?;
        Ok(Self::Sequence(Box::new(List { ranges, elements })))
    }
}

const NO_TEXT: &str = "its values are not texts";
const NO_ENTRIES: &str = "its entries are not pairs";
const UNKNOWN: &str = "`rowmark:value` in the field's metadata does not fit the column's type";

impl<'a> Texts<'a> {
    fn new(array: &'a ArrayRef) -> Option<Self> {
        match array.data_type() {
            DataType::Utf8 => Some(Self::Small(array.as_string())),
            DataType::LargeUtf8 => Some(Self::Large(array.as_string())),
            DataType::Utf8View => Some(Self::View(array.as_string_view())),
            _ => None,
        }
    }
}

/// An offset or a length, which Arrow keeps signed and checks to be none below zero.
pub(super) fn index(offset: impl TryInto<usize>) -> usize {
    offset.try_into().ok().expect("arrow's offsets are not negative")
}

type StoredInteger<'a> = Box<dyn Fn(usize) -> i128 + 'a>;

fn stored_integer<'a>(data_type: &DataType, array: &'a ArrayRef) -> Option<StoredInteger<'a>> {
    fn of<'a, T: ArrowPrimitiveType>(array: &'a ArrayRef) -> Option<StoredInteger<'a>>
    where
        T::Native: Into<i128>,
    {
        let array = array.as_primitive::<T>();
        Some(Box::new(|row| array.value(row).into()))
    }
    match data_type {
        DataType::Date32 => of::<Date32Type>(array),
        DataType::Date64 => of::<Date64Type>(array),
        DataType::Time32(TimeUnit::Second) => of::<Time32SecondType>(array),
        DataType::Time32(TimeUnit::Millisecond) => of::<Time32MillisecondType>(array),
        DataType::Time64(TimeUnit::Microsecond) => of::<Time64MicrosecondType>(array),
        DataType::Time64(TimeUnit::Nanosecond) => of::<Time64NanosecondType>(array),
        DataType::Timestamp(TimeUnit::Second, _) => of::<TimestampSecondType>(array),
        DataType::Timestamp(TimeUnit::Millisecond, _) => of::<TimestampMillisecondType>(array),
        DataType::Timestamp(TimeUnit::Microsecond, _) => of::<TimestampMicrosecondType>(array),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => of::<TimestampNanosecondType>(array),
        DataType::Duration(TimeUnit::Second) => of::<DurationSecondType>(array),
        DataType::Duration(TimeUnit::Millisecond) => of::<DurationMillisecondType>(array),
        DataType::Duration(TimeUnit::Microsecond) => of::<DurationMicrosecondType>(array),
        DataType::Duration(TimeUnit::Nanosecond) => of::<DurationNanosecondType>(array),
        DataType::Decimal32(..) => of::<Decimal32Type>(array),
        DataType::Decimal64(..) => of::<Decimal64Type>(array),
        DataType::Decimal128(..) => of::<Decimal128Type>(array),
        _ => None,
    }
}
