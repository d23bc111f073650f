//! [`Value`]: the format's model as a type, whose equality is the page's and owes nothing to the encoding.

use serde::ser::{
    Serialize, SerializeStruct as _, SerializeStructVariant as _, SerializeTuple as _,
    SerializeTupleVariant as _, Serializer,
};

/// Any value that has a hash.
///
/// Two are equal if the format says that they are one value: integers of different signedness with one number, all NaNs of
/// a width, maps in any order, and a variant without data and one of unit.
///
/// ```
/// use rowmark_hashing::strategies::Value;
///
/// assert_eq!(Value::Signed(5), Value::Unsigned(5));
/// assert_ne!(Value::F64(0.0), Value::F64(-0.0));
/// assert_eq!(Value::F64(f64::NAN), Value::F64(-f64::NAN));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Value {
    /// The unit value.
    Unit,
    /// True or false.
    Bool(bool),
    /// An integer; it serialises as `u64` if it fits.
    Unsigned(u128),
    /// An integer; it serialises as `i64` if it fits.
    Signed(i128),
    /// A float of 32 bits.
    F32(f32),
    /// A float of 64 bits.
    F64(f64),
    /// A character.
    Char(char),
    /// A string.
    String(String),
    /// Bytes, which are not a sequence.
    Bytes(Vec<u8>),
    /// `None`.
    None,
    /// `Some`.
    Some(Box<Value>),
    /// A sequence.
    Sequence(Vec<Value>),
    /// A tuple.
    Tuple(Vec<Value>),
    /// A map, in the order in which it serialises.
    Map(Vec<(Value, Value)>),
    /// A struct's fields.
    Struct(Vec<(&'static str, Value)>),
    /// A variant of an enum, and its data: a tuple, a struct, or anything else as the content of a variant of one.
    Variant(&'static str, Option<Box<Value>>),
}

impl Value {
    /// A map of the first entry with each key.
    ///
    /// ```
    /// use rowmark_hashing::strategies::Value;
    ///
    /// let map = Value::map(vec![(Value::Unit, Value::Bool(true)), (Value::Unit, Value::Bool(false))]);
    /// assert_eq!(map, Value::Map(vec![(Value::Unit, Value::Bool(true))]));
    /// ```
    #[must_use]
    pub fn map(entries: Vec<(Self, Self)>) -> Self {
        let mut kept: Vec<(Self, Self)> = Vec::new();
        for entry in entries {
            if kept.iter().all(|(key, _)| *key != entry.0) {
                kept.push(entry);
            }
        }
        Self::Map(kept)
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unit, Self::Unit) | (Self::None, Self::None) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Unsigned(a), Self::Unsigned(b)) => a == b,
            (Self::Signed(a), Self::Signed(b)) => a == b,
            (Self::Unsigned(a), Self::Signed(b)) | (Self::Signed(b), Self::Unsigned(a)) => {
                u128::try_from(*b) == Ok(*a)
            }
            (Self::F32(a), Self::F32(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
            (Self::F64(a), Self::F64(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
            (Self::Char(a), Self::Char(b)) => a == b,
            (Self::String(a), Self::String(b)) => a == b,
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::Some(a), Self::Some(b)) => a == b,
            (Self::Sequence(a), Self::Sequence(b)) | (Self::Tuple(a), Self::Tuple(b)) => a == b,
            (Self::Map(a), Self::Map(b)) => a.len() == b.len() && a.iter().all(|entry| b.contains(entry)),
            (Self::Struct(a), Self::Struct(b)) => a == b,
            (Self::Variant(a, a_data), Self::Variant(b, b_data)) => {
                let data = |data: &Option<Box<Self>>| data.as_deref().cloned().unwrap_or(Self::Unit);
                a == b && data(a_data) == data(b_data)
            }
            _ => false,
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unit => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Unsigned(value) => match u64::try_from(*value) {
                Ok(value) => serializer.serialize_u64(value),
                Err(_) => serializer.serialize_u128(*value),
            },
            Self::Signed(value) => match i64::try_from(*value) {
                Ok(value) => serializer.serialize_i64(value),
                Err(_) => serializer.serialize_i128(*value),
            },
            Self::F32(value) => serializer.serialize_f32(*value),
            Self::F64(value) => serializer.serialize_f64(*value),
            Self::Char(value) => serializer.serialize_char(*value),
            Self::String(value) => serializer.serialize_str(value),
            Self::Bytes(value) => serializer.serialize_bytes(value),
            Self::None => serializer.serialize_none(),
            Self::Some(value) => serializer.serialize_some(&**value),
            Self::Sequence(values) => serializer.collect_seq(values),
            Self::Tuple(values) => {
                let mut tuple = serializer.serialize_tuple(values.len())?;
                values.iter().try_for_each(|value| tuple.serialize_element(value))?;
                tuple.end()
            }
            Self::Map(entries) => serializer.collect_map(entries.iter().map(|(key, value)| (key, value))),
            Self::Struct(fields) => {
                let mut structure = serializer.serialize_struct("Struct", fields.len())?;
                fields.iter().try_for_each(|(name, value)| structure.serialize_field(name, value))?;
                structure.end()
            }
            Self::Variant(name, data) => serialize_variant(name, data.as_deref(), serializer),
        }
    }
}

fn serialize_variant<S: Serializer>(
    name: &'static str,
    data: Option<&Value>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match data {
        None => serializer.serialize_unit_variant("Enum", 0, name),
        Some(Value::Tuple(values)) => {
            let mut tuple = serializer.serialize_tuple_variant("Enum", 1, name, values.len())?;
            values.iter().try_for_each(|value| tuple.serialize_field(value))?;
            tuple.end()
        }
        Some(Value::Struct(fields)) => {
            let mut structure = serializer.serialize_struct_variant("Enum", 2, name, fields.len())?;
            fields.iter().try_for_each(|(name, value)| structure.serialize_field(name, value))?;
            structure.end()
        }
        Some(value) => serializer.serialize_newtype_variant("Enum", 3, name, value),
    }
}
