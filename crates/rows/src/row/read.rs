//! A [`Value`] as something that any type can be read from.

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{self, DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::Value;

/// Why a value cannot be read as a type.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ValueError(String);

impl de::Error for ValueError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

impl Value {
    /// The value as a `T`: an object as a struct, 0 and 1 also as truth values, a whole number also as a
    /// floating-point one.
    ///
    /// ```
    /// use rowmark_rows::Value;
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Town { name: String, open: bool, mayor: Option<String> }
    ///
    /// let cells = [("name", Value::Text("Bern".into())), ("open", Value::I64(1)), ("mayor", Value::Null)];
    /// let town = Value::Map(cells.map(|(name, value)| (Value::Text(name.into()), value)).into());
    /// let town: Town = town.read_as()?;
    /// assert!(town.open && town.mayor.is_none());
    /// # Ok::<(), rowmark_rows::ValueError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// What the type says of a value that it does not take.
    pub fn read_as<T: DeserializeOwned>(self) -> Result<T, ValueError> {
        T::deserialize(self)
    }
}

impl IntoDeserializer<'_, ValueError> for Value {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Value {
    type Error = ValueError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        match self {
            Self::Null => visitor.visit_unit(),
            Self::Bool(bool) => visitor.visit_bool(bool),
            Self::I64(number) => visitor.visit_i64(number),
            Self::U64(number) => visitor.visit_u64(number),
            Self::F64(number) => visitor.visit_f64(number),
            Self::Text(text) => visitor.visit_string(text),
            Self::Bytes(bytes) => visitor.visit_byte_buf(bytes),
            Self::List(items) => visitor.visit_seq(SeqDeserializer::new(items.into_iter())),
            Self::Map(entries) => visitor.visit_map(MapDeserializer::new(entries.into_iter())),
            Self::Struct(row) => {
                let names = row.columns().names().map(|name| Self::Text(name.to_owned()));
                let entries: Vec<(Self, Self)> = names.zip(row.values().iter().cloned()).collect();
                visitor.visit_map(MapDeserializer::new(entries.into_iter()))
            }
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        match self {
            Self::I64(number @ (0 | 1)) => visitor.visit_bool(number == 1),
            other => other.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        match self {
            Self::Null => visitor.visit_none(),
            other => visitor.visit_some(other),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        match self {
            Self::Text(text) => visitor.visit_enum(text.into_deserializer()),
            other => Err(de::Error::custom(format_args!(
                "{} {other}, where a variant's name is expected",
                other.kind()
            ))),
        }
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}
