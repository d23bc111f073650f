//! [`Value`]: one cell of a [`Row`], and how it is read from data that describe themselves.

use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::Row;

/// A value in a column of a [`Row`].
///
/// Of a row the variant is the column's: whole numbers of signed columns are `I64` and of unsigned ones `U64`, and
/// the accessors do not ask which.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// A missing value.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number of a signed column.
    I64(i64),
    /// A whole number of an unsigned column.
    U64(u64),
    /// A floating-point number.
    F64(f64),
    /// A text. Times, dates and decimals are texts too: no plain type of Rust holds them.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<Value>),
    /// A map; also an object that has not got its columns yet.
    Map(Vec<(Value, Value)>),
    /// A struct.
    Struct(Row),
}

impl Value {
    /// Whether the value is missing.
    #[must_use]
    pub fn is_null(&self) -> bool {
        *self == Self::Null
    }

    /// The truth value, if it is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(bool) = self { Some(*bool) } else { None }
    }

    /// The whole number, if it is one that fits.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::I64(number) => Some(*number),
            Self::U64(number) => i64::try_from(*number).ok(),
            _ => None,
        }
    }

    /// The whole number, if it is one that fits.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::I64(number) => u64::try_from(*number).ok(),
            Self::U64(number) => Some(*number),
            _ => None,
        }
    }

    /// The number, whole or not; whole ones beyond 2⁵³ are rounded.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::I64(number) => Some(*number as f64),
            Self::U64(number) => Some(*number as f64),
            Self::F64(number) => Some(*number),
            _ => None,
        }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The bytes, if it holds bytes.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }

    /// The elements, if it is a list.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Value]> {
        if let Self::List(items) = self { Some(items) } else { None }
    }

    /// The struct, if it is one.
    #[must_use]
    pub fn as_row(&self) -> Option<&Row> {
        if let Self::Struct(row) = self { Some(row) } else { None }
    }

    /// What it is, in a word.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::I64(_) => "i64",
            Self::U64(_) => "u64",
            Self::F64(_) => "f64",
            Self::Text(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Struct(_) => "struct",
        }
    }
}

macro_rules! value_from {
    ($($from:ty => $variant:ident;)*) => {
        $(impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        })*
    };
}

value_from! {
    bool => Bool;
    i32 => I64;
    i64 => I64;
    u32 => U64;
    u64 => U64;
    f64 => F64;
    &str => Text;
    String => Text;
    Vec<u8> => Bytes;
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => formatter.write_str("null"),
            Self::Bool(bool) => write!(formatter, "{bool}"),
            Self::I64(number) => write!(formatter, "{number}"),
            Self::U64(number) => write!(formatter, "{number}"),
            Self::F64(number) => write!(formatter, "{number}"),
            Self::Text(text) => write!(formatter, "{text:?}"),
            Self::Bytes(bytes) => write!(formatter, "{} bytes", bytes.len()),
            Self::List(items) => write_all(formatter, '[', items, ']', Value::to_string),
            Self::Map(entries) => {
                write_all(formatter, '{', entries, '}', |(key, value)| format!("{key}: {value}"))
            }
            Self::Struct(row) => write!(formatter, "{row}"),
        }
    }
}

fn write_all<T>(
    formatter: &mut fmt::Formatter<'_>,
    open: char,
    items: &[T],
    close: char,
    text: impl Fn(&T) -> String,
) -> fmt::Result {
    let texts: Vec<String> = items.iter().map(text).collect();
    write!(formatter, "{open}{}{close}", texts.join(", "))
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyVisitor)
    }
}

struct AnyVisitor;

impl<'de> Visitor<'de> for AnyVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_bool<E>(self, bool: bool) -> Result<Value, E> {
        Ok(Value::Bool(bool))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::I64(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(i64::try_from(number).map_or(Value::U64(number), Value::I64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::F64(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Value, E> {
        Ok(Value::Bytes(bytes.to_owned()))
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = elements.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Map(entries))
    }
}
