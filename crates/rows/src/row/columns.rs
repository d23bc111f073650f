//! [`Columns`]: what rows of one source have in common; makes rows of values and of Arrow batches.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    ArrowPrimitiveType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, FieldRef};
use serde::ser::{SerializeMap as _, Serializer};
use serde::{Serialize, ser};

use super::{Row, Value};
use crate::type_text::TypeText;
use crate::{Error, RowSchema};

/// The columns of rows that are known only when the program runs.
///
/// ```
/// use rowmark_rows::{Columns, RowSchema, Value};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Town { name: String, metres: Option<f64> }
///
/// let columns = Columns::of(&RowSchema::of::<Town>()?)?;
/// let row = columns.row_of(vec![Value::Text("Bern".into()), Value::I64(540)])?;
/// assert_eq!(row["metres"], Value::F64(540.0));
/// columns.row_of(vec![Value::Null, Value::Null]).unwrap_err(); // `name` may not be missing
/// # Ok::<(), rowmark_rows::Error>(())
/// ```
#[derive(Debug)]
pub struct Columns {
    schema: RowSchema,
    columns: Vec<Column>,
}

/// One column, or what is inside of one.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    field: FieldRef,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Null,
    Bool,
    I64,
    U64,
    F32,
    F64,
    Text,
    Bytes,
    List(Box<Column>),
    Map(Box<[Column; 2]>),
    Struct(Arc<Columns>),
}

impl Columns {
    /// Takes the columns of a schema.
    ///
    /// # Errors
    ///
    /// [`Error::NotDynamic`] when a column holds what a [`Value`] cannot: an enum that carries data, or a type of
    /// Arrow's that is no row type's.
    pub fn of(schema: &RowSchema) -> Result<Arc<Self>, Error> {
        let columns = schema.fields().iter().map(|field| Column::of("", field)).collect::<Result<_, _>>()?;
        Ok(Arc::new(Self { schema: schema.clone(), columns }))
    }

    /// The schema of the columns.
    #[must_use]
    pub fn schema(&self) -> &RowSchema {
        &self.schema
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.columns.iter().map(|column| column.name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter()
    }

    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// Makes a row of an object, as JSON has them. A column that it does not have is missing.
    ///
    /// # Errors
    ///
    /// [`Error::Cell`] when it is no object, has a key that is no column, or a value is not of its column's type.
    pub fn row(self: &Arc<Self>, object: Value) -> Result<Row, Error> {
        self.row_below("", object)
    }

    fn row_below(self: &Arc<Self>, path: &str, object: Value) -> Result<Row, Error> {
        let Value::Map(entries) = object else { return Err(misfit(path, "an object", &object)) };
        let mut values = vec![Value::Null; self.columns.len()];
        for (key, value) in entries {
            let name = key.as_str().unwrap_or_default();
            let Some(index) = self.position(name) else {
                return Err(misfit(&below(path, name), "no column of this name", &value));
            };
            values[index] = value;
        }
        self.fill(path, values)
    }

    /// Makes a row of values in the order of the columns.
    ///
    /// # Errors
    ///
    /// [`Error::Cell`] when a value is not of its column's type.
    ///
    /// # Panics
    ///
    /// When there are not as many values as columns.
    pub fn row_of(self: &Arc<Self>, values: Vec<Value>) -> Result<Row, Error> {
        self.fill("", values)
    }

    fn fill(self: &Arc<Self>, path: &str, mut values: Vec<Value>) -> Result<Row, Error> {
        assert_eq!(values.len(), self.columns.len(), "a row has a value for each column");
        for (column, value) in self.columns.iter().zip(&mut values) {
            if !column.is_plainly(value) {
                *value = column.conform(path, std::mem::replace(value, Value::Null))?;
            }
        }
        Ok(Row { columns: Arc::clone(self), values: values.into() })
    }

    /// Reads the rows of a batch that has this schema.
    pub(crate) fn rows(self: &Arc<Self>, batch: &RecordBatch) -> Vec<Row> {
        self.rows_of(batch.columns(), batch.num_rows())
    }

    fn rows_of(self: &Arc<Self>, arrays: &[ArrayRef], rows: usize) -> Vec<Row> {
        let mut columns: Vec<_> = self
            .columns
            .iter()
            .zip(arrays)
            .map(|(column, array)| column.kind.values(array).into_iter())
            .collect();
        let row = |_| Row {
            columns: Arc::clone(self),
            values: columns.iter_mut().map(|values| values.next().unwrap_or(Value::Null)).collect(),
        };
        (0..rows).map(row).collect()
    }
}

impl Column {
    fn of(path: &str, field: &FieldRef) -> Result<Self, Error> {
        let path = below(path, field.name());
        let inner = |field: &FieldRef| Self::of(&path, field);
        let not_dynamic =
            || Error::NotDynamic { field: path.clone(), data_type: TypeText(field).to_string() };
        let kind = match field.data_type() {
            DataType::Null => Kind::Null,
            DataType::Boolean => Kind::Bool,
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => Kind::I64,
            DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => Kind::U64,
            DataType::Float32 => Kind::F32,
            DataType::Float64 => Kind::F64,
            DataType::LargeUtf8 => Kind::Text,
            DataType::LargeBinary => Kind::Bytes,
            DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                Kind::List(Box::new(inner(item)?))
            }
            DataType::Struct(fields) => {
                let columns = fields.iter().map(inner).collect::<Result<_, _>>()?;
                let schema = RowSchema::from_arrow(Arc::new(arrow_schema::Schema::new(fields.clone())));
                Kind::Struct(Arc::new(Columns { schema, columns }))
            }
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(fields) if fields.len() == 2 => {
                    Kind::Map(Box::new([inner(&fields[0])?, inner(&fields[1])?]))
                }
                _ => return Err(not_dynamic()),
            },
            _ => return Err(not_dynamic()),
        };
        Ok(Self { name: interned(field.name()), field: field.clone(), kind })
    }

    /// Whether a value is already as it would be stored: most are.
    fn is_plainly(&self, value: &Value) -> bool {
        match (&self.kind, value) {
            (_, Value::Null) => self.field.is_nullable(),
            (Kind::I64, Value::I64(_)) => *self.field.data_type() == DataType::Int64,
            (Kind::U64, Value::U64(_)) => *self.field.data_type() == DataType::UInt64,
            (Kind::Bool, Value::Bool(_))
            | (Kind::F64, Value::F64(_))
            | (Kind::Text, Value::Text(_))
            | (Kind::Bytes, Value::Bytes(_)) => true,
            _ => false,
        }
    }

    /// Makes a value one of this column.
    fn conform(&self, path: &str, value: Value) -> Result<Value, Error> {
        let path = below(path, self.field.name());
        Ok(match (&self.kind, value) {
            (_, Value::Null) if self.field.is_nullable() => Value::Null,
            (Kind::Bool, Value::Bool(bool)) => Value::Bool(bool),
            (Kind::I64, value) if value.as_i64().is_some_and(|number| self.has_room(i128::from(number))) => {
                Value::I64(value.as_i64().unwrap_or_default())
            }
            (Kind::U64, value) if value.as_u64().is_some_and(|number| self.has_room(i128::from(number))) => {
                Value::U64(value.as_u64().unwrap_or_default())
            }
            (Kind::F32 | Kind::F64, value) if value.as_f64().is_some() => {
                Value::F64(value.as_f64().unwrap_or_default())
            }
            (Kind::Text, Value::Text(text)) => Value::Text(text),
            (Kind::Bytes, Value::Bytes(bytes)) => Value::Bytes(bytes),
            (Kind::List(item), Value::List(values)) => Value::List(
                values.into_iter().map(|value| item.conform(&path, value)).collect::<Result<_, _>>()?,
            ),
            (Kind::Map(entry), Value::Map(entries)) => {
                let [key, value] = &**entry;
                let conform = |(k, v)| Ok((key.conform(&path, k)?, value.conform(&path, v)?));
                Value::Map(entries.into_iter().map(conform).collect::<Result<_, Error>>()?)
            }
            (Kind::Struct(columns), value @ Value::Map(_)) => Value::Struct(columns.row_below(&path, value)?),
            (Kind::Struct(columns), Value::Struct(row)) if row.columns.schema == columns.schema => {
                Value::Struct(row)
            }
            (_, value) => return Err(misfit(&path, &TypeText(&self.field).to_string(), &value)),
        })
    }

    /// Whether a whole number fits the width of the column.
    fn has_room(&self, number: i128) -> bool {
        let bits = self.field.data_type().primitive_width().unwrap_or(8) * 8;
        match self.kind {
            Kind::I64 => (-(1i128 << (bits - 1))..1 << (bits - 1)).contains(&number),
            _ => (0..1i128 << bits).contains(&number),
        }
    }

    pub(super) fn typed<'a>(&'a self, value: &'a Value) -> Typed<'a> {
        Typed { column: self, value }
    }
}

impl Kind {
    /// The values of a whole array.
    fn values(&self, array: &ArrayRef) -> Vec<Value> {
        fn numbers<T: ArrowPrimitiveType>(
            array: &ArrayRef,
            value: impl Fn(T::Native) -> Value,
        ) -> Vec<Value> {
            array.as_primitive::<T>().iter().map(|number| number.map_or(Value::Null, &value)).collect()
        }
        fn optional<T>(items: impl Iterator<Item = Option<T>>, value: impl Fn(T) -> Value) -> Vec<Value> {
            items.map(|item| item.map_or(Value::Null, &value)).collect()
        }
        let lists = |item: &Self, values: Vec<(usize, usize)>, elements: &ArrayRef| {
            let elements = item.values(elements);
            let list = |(row, (start, end)): (usize, (usize, usize))| {
                if array.is_null(row) { Value::Null } else { Value::List(elements[start..end].to_vec()) }
            };
            values.into_iter().enumerate().map(list).collect()
        };
        match (self, array.data_type()) {
            (Self::Bool, _) => optional(array.as_boolean().iter(), Value::Bool),
            (Self::I64, DataType::Int8) => numbers::<Int8Type>(array, |n| Value::I64(n.into())),
            (Self::I64, DataType::Int16) => numbers::<Int16Type>(array, |n| Value::I64(n.into())),
            (Self::I64, DataType::Int32) => numbers::<Int32Type>(array, |n| Value::I64(n.into())),
            (Self::I64, _) => numbers::<Int64Type>(array, Value::I64),
            (Self::U64, DataType::UInt8) => numbers::<UInt8Type>(array, |n| Value::U64(n.into())),
            (Self::U64, DataType::UInt16) => numbers::<UInt16Type>(array, |n| Value::U64(n.into())),
            (Self::U64, DataType::UInt32) => numbers::<UInt32Type>(array, |n| Value::U64(n.into())),
            (Self::U64, _) => numbers::<UInt64Type>(array, Value::U64),
            (Self::F32, _) => numbers::<Float32Type>(array, |n| Value::F64(n.into())),
            (Self::F64, _) => numbers::<Float64Type>(array, Value::F64),
            (Self::Text, _) => optional(array.as_string::<i64>().iter(), |text| Value::Text(text.to_owned())),
            (Self::Bytes, _) => {
                optional(array.as_binary::<i64>().iter(), |bytes| Value::Bytes(bytes.to_owned()))
            }
            (Self::List(item), DataType::FixedSizeList(..)) => {
                let list = array.as_fixed_size_list();
                let len = list.value_length() as usize;
                let ranges = (0..list.len()).map(|row| (row * len, (row + 1) * len)).collect();
                lists(&item.kind, ranges, list.values())
            }
            (Self::List(item), _) => {
                let list = array.as_list::<i64>();
                let ends = list.value_offsets().windows(2);
                lists(&item.kind, ends.map(|at| (at[0] as usize, at[1] as usize)).collect(), list.values())
            }
            (Self::Map(entry), _) => {
                let map = array.as_map();
                let (keys, values) = (entry[0].kind.values(map.keys()), entry[1].kind.values(map.values()));
                let entries = |(row, at): (usize, &[i32])| {
                    let range = at[0] as usize..at[1] as usize;
                    let pairs = keys[range.clone()].iter().cloned().zip(values[range].iter().cloned());
                    if map.is_null(row) { Value::Null } else { Value::Map(pairs.collect()) }
                };
                map.value_offsets().windows(2).enumerate().map(entries).collect()
            }
            (Self::Struct(columns), _) => {
                let rows = columns.rows_of(array.as_struct().columns(), array.len());
                let value =
                    |(row, value)| if array.is_null(row) { Value::Null } else { Value::Struct(value) };
                rows.into_iter().enumerate().map(value).collect()
            }
            (Self::Null, _) => vec![Value::Null; array.len()],
        }
    }
}

/// A value that is written as its column says: one that may be missing as an option, and so on.
pub(super) struct Typed<'a> {
    column: &'a Column,
    value: &'a Value,
}

impl Serialize for Typed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.value, self.column.field.is_nullable()) {
            (Value::Null, _) => serializer.serialize_none(),
            (_, true) => serializer.serialize_some(&Present(self)),
            (_, false) => Present(self).serialize(serializer),
        }
    }
}

/// A value that is not missing.
struct Present<'a>(&'a Typed<'a>);

impl Serialize for Present<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Typed { column, value } = self.0;
        match (&column.kind, value) {
            (_, Value::Bool(bool)) => serializer.serialize_bool(*bool),
            (_, Value::I64(number)) => serializer.serialize_i64(*number),
            (_, Value::U64(number)) => serializer.serialize_u64(*number),
            (Kind::F32, Value::F64(number)) => serializer.serialize_f32(*number as f32),
            (_, Value::F64(number)) => serializer.serialize_f64(*number),
            (_, Value::Text(text)) => serializer.serialize_str(text),
            (_, Value::Bytes(bytes)) => serializer.serialize_bytes(bytes),
            (Kind::List(item), Value::List(values)) => {
                serializer.collect_seq(values.iter().map(|value| item.typed(value)))
            }
            (Kind::Map(entry), Value::Map(entries)) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(&entry[0].typed(key), &entry[1].typed(value))?;
                }
                map.end()
            }
            (_, Value::Struct(row)) => row.serialize(serializer),
            (_, value) => Err(ser::Error::custom(format_args!("a {} has no column", value.kind()))),
        }
    }
}

/// The one copy of a name that lives as long as the program: serde takes no other names of fields. They are as many
/// as there are names of columns, however many rows and sources have them.
fn interned(name: &str) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(name) = names.get(name) {
        return name;
    }
    let name: &'static str = Box::leak(name.into());
    names.insert(name);
    name
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

pub(super) fn misfit(field: &str, expected: &str, found: &Value) -> Error {
    const SHOWN_CHARS_MAX: usize = 80;
    let text = found.to_string().chars().take(SHOWN_CHARS_MAX).collect();
    Error::Cell { field: field.to_owned(), expected: expected.to_owned(), kind: found.kind(), text }
}

/// A schema's fields as they are in columns of rows without a type: any may be missing.
pub(super) fn nullable(name: &str, data_type: DataType) -> FieldRef {
    Arc::new(Field::new(name, data_type, true))
}
