//! Of what type a value is, as far as it can be told by the value and by the compiler.
//!
//! Values of different types can have one content hash: an integer counts by its value and not by its width, and the
//! names of structs, of enums and of newtypes do not count. Code does different things with them, so the type of a
//! value that belongs to a UDF's identity counts beside it.

use std::any::type_name;
use std::collections::BTreeSet;
use std::fmt::Error;

use serde::Serialize;
use serde::ser::{self, Serializer};

/// The name that a marked function serialises under. The code of one counts, not its type, which is where it stands.
pub(crate) const MARKED: &str = "rowmark::udf::Code";

/// The type that a value shows when it is serialised: the names of structs, enums and newtypes without their
/// modules, and the widths of numbers. `None` for a marked function, and for what cannot be serialised.
pub(crate) fn shown_type<T: Serialize + ?Sized>(value: &T) -> Option<String> {
    let shown = value.serialize(Types).ok()?;
    (!shown.starts_with(MARKED)).then_some(shown)
}

/// As [`shown_type`], and the type's path, which tells apart what shows alike.
pub(crate) fn full_type<T: Serialize + ?Sized>(value: &T) -> Option<String> {
    let (path, shown) = (type_name::<T>(), shown_type(value)?);
    Some(if path == shown { shown } else { format!("{path}: {shown}") })
}

/// The path of a closure's type, if its code can use what it does not name: the type arguments of the generic function
/// or `impl` block that it stands in, which are in the path, or `Self`.
pub(crate) fn path_around<F>(names_self: bool) -> Option<&'static str> {
    Some(type_name::<F>()).filter(|path| names_self || path.contains('<'))
}

struct Types;

macro_rules! named {
    ($($method:ident($($value:ty),*) = $name:expr;)*) => {
        $(fn $method(self, $(_: $value),*) -> Result<String, Error> {
            Ok(String::from($name))
        })*
    };
}

impl Serializer for Types {
    type Ok = String;
    type Error = Error;
    type SerializeSeq = Parts;
    type SerializeTuple = Parts;
    type SerializeTupleStruct = Parts;
    type SerializeTupleVariant = Parts;
    type SerializeMap = Parts;
    type SerializeStruct = Parts;
    type SerializeStructVariant = Parts;

    named! {
        serialize_bool(bool) = "bool";
        serialize_i8(i8) = "i8";
        serialize_i16(i16) = "i16";
        serialize_i32(i32) = "i32";
        serialize_i64(i64) = "i64";
        serialize_i128(i128) = "i128";
        serialize_u8(u8) = "u8";
        serialize_u16(u16) = "u16";
        serialize_u32(u32) = "u32";
        serialize_u64(u64) = "u64";
        serialize_u128(u128) = "u128";
        serialize_f32(f32) = "f32";
        serialize_f64(f64) = "f64";
        serialize_char(char) = "char";
        serialize_str(&str) = "str";
        serialize_bytes(&[u8]) = "bytes";
        serialize_none() = "none";
        serialize_unit() = "()";
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<String, Error> {
        Ok(format!("some {}", value.serialize(Self)?))
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<String, Error> {
        Ok(name.to_owned())
    }

    fn serialize_unit_variant(self, name: &'static str, _: u32, _: &'static str) -> Result<String, Error> {
        Ok(name.to_owned())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<String, Error> {
        Ok(format!("{name}({})", value.serialize(Self)?))
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<String, Error> {
        self.serialize_newtype_struct(name, value)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Parts, Error> {
        Ok(Parts::of_many('[', ']'))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Parts, Error> {
        Ok(Parts::of_many('{', '}'))
    }

    fn serialize_tuple(self, _: usize) -> Result<Parts, Error> {
        Ok(Parts::of_each("", '(', ')'))
    }

    fn serialize_tuple_struct(self, name: &'static str, _: usize) -> Result<Parts, Error> {
        Ok(Parts::of_each(name, '(', ')'))
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Parts, Error> {
        Ok(Parts::of_each(name, '(', ')'))
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Parts, Error> {
        Ok(Parts::of_each(name, '{', '}'))
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Parts, Error> {
        Ok(Parts::of_each(name, '{', '}'))
    }
}

/// The types of what stands between brackets: of each in its place or, where any number of them has a few types, each
/// type once.
struct Parts {
    text: String,
    of_many: Option<BTreeSet<String>>,
    close: char,
}

impl Parts {
    fn of_many(open: char, close: char) -> Self {
        Self { text: open.to_string(), of_many: Some(BTreeSet::new()), close }
    }

    fn of_each(name: &str, open: char, close: char) -> Self {
        Self { text: format!("{name}{open}"), of_many: None, close }
    }

    fn part<T: Serialize + ?Sized>(&mut self, label: &str, value: &T) -> Result<(), Error> {
        let part = format!("{label}{}, ", value.serialize(Types)?);
        match &mut self.of_many {
            Some(parts) => drop(parts.insert(part)),
            None => self.text.push_str(&part),
        }
        Ok(())
    }

    fn close(self) -> Result<String, Error> {
        let text = self.of_many.into_iter().flatten().fold(self.text, |text, part| text + &part);
        Ok(format!("{}{}", text.trim_end_matches(", "), self.close))
    }
}

macro_rules! parts {
    ($($trait:ident: $method:ident;)*) => {
        $(impl ser::$trait for Parts {
            type Ok = String;
            type Error = Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
                self.part("", value)
            }

            fn end(self) -> Result<String, Error> {
                self.close()
            }
        })*
    };
}

parts! {
    SerializeSeq: serialize_element;
    SerializeTuple: serialize_element;
    SerializeTupleStruct: serialize_field;
    SerializeTupleVariant: serialize_field;
}

impl ser::SerializeMap for Parts {
    type Ok = String;
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.part("key ", key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.part("", value)
    }

    fn end(self) -> Result<String, Error> {
        self.close()
    }
}

macro_rules! fields {
    ($($trait:ident)*) => {
        $(impl ser::$trait for Parts {
            type Ok = String;
            type Error = Error;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
                self.part(&format!("{name}: "), value)
            }

            fn end(self) -> Result<String, Error> {
                self.close()
            }
        })*
    };
}

fields!(SerializeStruct SerializeStructVariant);

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_value_shows_its_type() {
        #[derive(Serialize)]
        struct Celsius(f32);
        #[derive(Serialize)]
        enum Mode {
            Fast,
            Limited { rows: u16 },
        }
        #[derive(Serialize)]
        struct Model {
            at: Celsius,
            modes: Vec<Mode>,
            names: BTreeMap<String, Option<(u8, i64)>>,
        }
        let model = Model {
            at: Celsius(1.0),
            modes: vec![Mode::Limited { rows: 1 }, Mode::Fast, Mode::Limited { rows: 2 }],
            names: BTreeMap::from([("a".to_owned(), Some((1, 2))), ("b".to_owned(), None)]),
        };
        assert_eq!(
            shown_type(&model).unwrap(),
            "Model{at: Celsius(f32), modes: [Mode, Mode{rows: u16}], names: {key str, none, some (u8, i64)}}"
        );
        assert_eq!(full_type(&7u8).unwrap(), "u8");
        assert_eq!(full_type(&Celsius(1.0)).unwrap(), format!("{}: Celsius(f32)", type_name::<Celsius>()));
    }

    #[test]
    fn only_closures_in_generic_code_have_a_path() {
        fn of<F>(_: F) -> Option<&'static str> {
            path_around::<F>(false)
        }
        fn generic<T: Default>() -> Option<&'static str> {
            of(|| T::default())
        }
        assert_eq!(of(|| ()), None);
        assert_ne!(generic::<u8>(), generic::<u16>());
    }
}
