//! The notation of values in `v1.json`, as a value that serialises.

use serde::ser::{
    Error as _, Serialize, SerializeMap as _, SerializeStruct as _, SerializeStructVariant as _,
    SerializeTuple as _, SerializeTupleVariant as _, Serializer,
};
use serde_json::Value as Json;

#[derive(Clone, Copy)]
pub(crate) struct Notation<'a> {
    pub(crate) value: &'a Json,
    /// What `["index"]` stands for.
    pub(crate) index: u64,
}

pub(crate) fn text(value: &Json) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

pub(crate) fn unhex(digits: &str) -> Vec<u8> {
    let byte = |index: usize| u8::from_str_radix(&digits[index..index + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// Serde wants names that live for ever.
fn name(value: &Json) -> &'static str {
    Box::leak(text(value).to_owned().into_boxed_str())
}

fn items(value: &Json) -> &Vec<Json> {
    value.as_array().unwrap_or_else(|| panic!("{value} is no array"))
}

fn parse<T: std::str::FromStr, E: serde::ser::Error>(value: &Json) -> Result<T, E> {
    text(value).parse().map_err(|_| E::custom(format!("{value} is out of range")))
}

impl<'a> Notation<'a> {
    fn at(self, value: &'a Json) -> Self {
        Self { value, ..self }
    }

    fn all(self, values: &'a Json) -> impl Iterator<Item = Self> {
        items(values).iter().map(move |value| self.at(value))
    }
}

struct Nested<'a> {
    count: u64,
    value: Notation<'a>,
}

impl Serialize for Nested<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.count {
            0 => self.value.serialize(serializer),
            count => serializer.collect_seq([Nested { count: count - 1, value: self.value }]),
        }
    }
}

struct Bytes(Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl Serialize for Notation<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let parts = items(self.value);
        let [kind, rest @ ..] = &parts[..] else { panic!("{}", self.value) };
        match (text(kind), rest) {
            ("index", []) => serializer.serialize_u64(self.index),
            ("unit", []) => serializer.serialize_unit(),
            ("none", []) => serializer.serialize_none(),
            ("bool", [truth]) => serializer.serialize_bool(truth.as_bool().unwrap()),
            ("some", [value]) => serializer.serialize_some(&self.at(value)),
            ("newtype", [value]) => serializer.serialize_newtype_struct("Newtype", &self.at(value)),
            ("nested", [count, value]) => {
                Nested { count: count.as_u64().unwrap(), value: self.at(value) }.serialize(serializer)
            }
            ("u8", [number]) => serializer.serialize_u8(parse(number)?),
            ("u16", [number]) => serializer.serialize_u16(parse(number)?),
            ("u32", [number]) => serializer.serialize_u32(parse(number)?),
            ("u64", [number]) => serializer.serialize_u64(parse(number)?),
            ("u128", [number]) => serializer.serialize_u128(parse(number)?),
            ("i8", [number]) => serializer.serialize_i8(parse(number)?),
            ("i16", [number]) => serializer.serialize_i16(parse(number)?),
            ("i32", [number]) => serializer.serialize_i32(parse(number)?),
            ("i64", [number]) => serializer.serialize_i64(parse(number)?),
            ("i128", [number]) => serializer.serialize_i128(parse(number)?),
            ("f32", [bits]) => {
                serializer.serialize_f32(f32::from_bits(u32::from_str_radix(text(bits), 16).unwrap()))
            }
            ("f64", [bits]) => {
                serializer.serialize_f64(f64::from_bits(u64::from_str_radix(text(bits), 16).unwrap()))
            }
            ("char", [character]) => serializer.serialize_char(text(character).chars().next().unwrap()),
            ("string", [string]) => serializer.serialize_str(text(string)),
            ("bytes", [bytes]) => Bytes(unhex(text(bytes))).serialize(serializer),
            ("sequence", [values]) => serializer.collect_seq(self.all(values)),
            ("tuple", [values]) => {
                let mut tuple = serializer.serialize_tuple(items(values).len())?;
                self.all(values).try_for_each(|value| tuple.serialize_element(&value))?;
                tuple.end()
            }
            ("map", [entries]) => {
                let mut map = serializer.serialize_map(None)?;
                for entry in items(entries) {
                    map.serialize_entry(&self.at(&entry[0]), &self.at(&entry[1]))?;
                }
                map.end()
            }
            ("struct", [fields]) => {
                let mut structure = serializer.serialize_struct("Struct", items(fields).len())?;
                for field in items(fields) {
                    match text(&field[1][0]) {
                        "skipped" => structure.skip_field(name(&field[0]))?,
                        _ => structure.serialize_field(name(&field[0]), &self.at(&field[1]))?,
                    }
                }
                structure.end()
            }
            ("variant", [variant, payload @ ..]) => self.variant(name(variant), payload.first(), serializer),
            _ => Err(S::Error::custom(format!("{} is no value", self.value))),
        }
    }
}

impl Notation<'_> {
    fn variant<S: Serializer>(
        &self,
        variant: &'static str,
        payload: Option<&Json>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let Some(payload) = payload else { return serializer.serialize_unit_variant("Enum", 3, variant) };
        match text(&payload[0]) {
            "tuple" => {
                let values = items(&payload[1]);
                let mut tuple = serializer.serialize_tuple_variant("Enum", 2, variant, values.len())?;
                values.iter().try_for_each(|value| tuple.serialize_field(&self.at(value)))?;
                tuple.end()
            }
            "struct" => {
                let fields = items(&payload[1]);
                let mut structure = serializer.serialize_struct_variant("Enum", 1, variant, fields.len())?;
                for field in fields {
                    match text(&field[1][0]) {
                        "skipped" => structure.skip_field(name(&field[0]))?,
                        _ => structure.serialize_field(name(&field[0]), &self.at(&field[1]))?,
                    }
                }
                structure.end()
            }
            _ => serializer.serialize_newtype_variant("Enum", 0, variant, &self.at(payload)),
        }
    }
}
