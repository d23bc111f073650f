//! The serializer that takes notes of what is written, one place of the rows at a time.

use std::collections::{BTreeMap, BTreeSet};

use arrow_schema::DataType;
use serde::ser::{self, Serialize, Serializer};

use super::{Kind, Shape, ShapeError};
use crate::error::Unstorable;
use crate::sample::DEPTH_MAX;

impl Shape {
    fn fail<T>(&self, reason: Unstorable) -> Result<T, ShapeError> {
        Err(ShapeError::Problem(Box::new((self.path.clone(), reason))))
    }

    /// Notes that a value of `kind` was written here.
    fn note(&mut self, kind: Kind) -> Result<(), ShapeError> {
        if self.depth > DEPTH_MAX {
            return self.fail(Unstorable::TooDeep { depth_max: DEPTH_MAX });
        }
        if self.is_in_some && kind == Kind::Unit {
            return self.fail(Unstorable::OptionalUnit);
        }
        self.is_in_some = false;
        let is_alike = match (&self.kind, &kind) {
            (Kind::Unknown, _) => {
                self.kind = kind;
                return Ok(());
            }
            (Kind::Leaf(old), Kind::Leaf(new)) => old == new,
            (Kind::Tuple(old), Kind::Tuple(new)) => old.len() == new.len(),
            (old, new) => std::mem::discriminant(old) == std::mem::discriminant(new),
        };
        if is_alike {
            return Ok(());
        }
        let first = self.describe();
        let second = Self { kind, ..Self::default() }.describe();
        self.fail(Unstorable::Inconsistent { first, second })
    }

    fn leaf(&mut self, data_type: DataType) -> Result<(), ShapeError> {
        self.note(Kind::Leaf(data_type))
    }

    fn tuple(&mut self, len: usize) -> Result<Elements<'_>, ShapeError> {
        let items = (0..len).map(|index| self.child(&index.to_string())).collect();
        self.note(Kind::Tuple(items))?;
        Ok(Elements { shape: self, next: 0 })
    }

    fn structure(&mut self) -> Result<Members<'_>, ShapeError> {
        self.note(Kind::Struct(Vec::new()))?;
        Ok(Members { shape: self, seen: BTreeSet::new() })
    }

    fn variant(&mut self, index: u32, name: &'static str) -> Result<&mut Self, ShapeError> {
        let content = self.child(name);
        self.note(Kind::Enum(BTreeMap::new()))?;
        let Kind::Enum(variants) = &mut self.kind else { unreachable!("an enum was noted") };
        Ok(&mut variants.entry(index).or_insert((name, content)).1)
    }
}

macro_rules! note_leaf {
    ($($method:ident $value:ty => $data_type:ident;)*) => {
        $(fn $method(self, _value: $value) -> Result<(), ShapeError> {
            self.leaf(DataType::$data_type)
        })*
    };
}

impl<'a> Serializer for &'a mut Shape {
    type Ok = ();
    type Error = ShapeError;
    type SerializeSeq = Elements<'a>;
    type SerializeTuple = Elements<'a>;
    type SerializeTupleStruct = Elements<'a>;
    type SerializeTupleVariant = Elements<'a>;
    type SerializeMap = Entries<'a>;
    type SerializeStruct = Members<'a>;
    type SerializeStructVariant = Members<'a>;

    note_leaf! {
        serialize_bool bool => Boolean;
        serialize_i8 i8 => Int8;
        serialize_i16 i16 => Int16;
        serialize_i32 i32 => Int32;
        serialize_i64 i64 => Int64;
        serialize_u8 u8 => UInt8;
        serialize_u16 u16 => UInt16;
        serialize_u32 u32 => UInt32;
        serialize_u64 u64 => UInt64;
        serialize_f32 f32 => Float32;
        serialize_f64 f64 => Float64;
        serialize_char char => UInt32;
        serialize_str &str => LargeUtf8;
        serialize_bytes &[u8] => LargeBinary;
    }

    fn serialize_i128(self, _value: i128) -> Result<(), ShapeError> {
        self.fail(Unstorable::Integer128)
    }

    fn serialize_u128(self, _value: u128) -> Result<(), ShapeError> {
        self.fail(Unstorable::Integer128)
    }

    fn serialize_none(self) -> Result<(), ShapeError> {
        if self.is_in_some {
            return self.fail(Unstorable::NestedOption);
        }
        self.is_option = true;
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), ShapeError> {
        if self.is_in_some {
            return self.fail(Unstorable::NestedOption);
        }
        self.is_option = true;
        self.is_in_some = true;
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), ShapeError> {
        self.note(Kind::Unit)
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), ShapeError> {
        self.note(Kind::Unit)
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<(), ShapeError> {
        self.variant(index, variant)?.note(Kind::Unit)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<(), ShapeError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), ShapeError> {
        value.serialize(self.variant(index, variant)?)
    }

    fn serialize_seq(self, _len: Option<usize>) -> Result<Elements<'a>, ShapeError> {
        let item = self.child("item");
        self.note(Kind::List(Box::new(item)))?;
        Ok(Elements { shape: self, next: 0 })
    }

    fn serialize_tuple(self, len: usize) -> Result<Elements<'a>, ShapeError> {
        self.tuple(len)
    }

    fn serialize_tuple_struct(self, _name: &'static str, len: usize) -> Result<Elements<'a>, ShapeError> {
        self.tuple(len)
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Elements<'a>, ShapeError> {
        self.variant(index, variant)?.tuple(len)
    }

    fn serialize_map(self, _len: Option<usize>) -> Result<Entries<'a>, ShapeError> {
        let entry = [self.child("key"), self.child("value")];
        self.note(Kind::Map(Box::new(entry)))?;
        Ok(Entries { shape: self })
    }

    fn serialize_struct(self, _name: &'static str, _len: usize) -> Result<Members<'a>, ShapeError> {
        self.structure()
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Members<'a>, ShapeError> {
        self.variant(index, variant)?.structure()
    }
}

/// The elements of a list or a tuple.
pub(crate) struct Elements<'a> {
    shape: &'a mut Shape,
    next: usize,
}

impl Elements<'_> {
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ShapeError> {
        let index = self.next;
        self.next += 1;
        match &mut self.shape.kind {
            Kind::List(item) => value.serialize(&mut **item),
            Kind::Tuple(items) if index < items.len() => value.serialize(&mut items[index]),
            _ => {
                let message = "a tuple has more elements than it announced".to_owned();
                self.shape.fail(Unstorable::SerializeFailed { message })
            }
        }
    }
}

/// The one key and the one value of a map.
pub(crate) struct Entries<'a> {
    shape: &'a mut Shape,
}

impl Entries<'_> {
    fn entry(&mut self) -> &mut [Shape; 2] {
        let Kind::Map(entry) = &mut self.shape.kind else { unreachable!("a map was noted") };
        entry
    }
}

/// The fields of a struct.
pub(crate) struct Members<'a> {
    shape: &'a mut Shape,
    seen: BTreeSet<&'static str>,
}

impl Members<'_> {
    fn member(&mut self, name: &'static str) -> Result<&mut Shape, ShapeError> {
        let child = self.shape.child(name);
        if !self.seen.insert(name) {
            return child.fail(Unstorable::Duplicate);
        }
        let Kind::Struct(fields) = &mut self.shape.kind else { unreachable!("a struct was noted") };
        let index = fields.iter().position(|(other, _)| *other == name).unwrap_or(fields.len());
        if index == fields.len() {
            fields.push((name, child));
        }
        Ok(&mut fields[index].1)
    }
}

macro_rules! delegate_elements {
    ($($trait:ident $method:ident;)*) => {
        $(impl ser::$trait for Elements<'_> {
            type Ok = ();
            type Error = ShapeError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ShapeError> {
                self.element(value)
            }

            fn end(self) -> Result<(), ShapeError> {
                Ok(())
            }
        })*
    };
}

delegate_elements! {
    SerializeSeq serialize_element;
    SerializeTuple serialize_element;
    SerializeTupleStruct serialize_field;
    SerializeTupleVariant serialize_field;
}

impl ser::SerializeMap for Entries<'_> {
    type Ok = ();
    type Error = ShapeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), ShapeError> {
        key.serialize(&mut self.entry()[0])
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ShapeError> {
        value.serialize(&mut self.entry()[1])
    }

    fn end(self) -> Result<(), ShapeError> {
        Ok(())
    }
}

macro_rules! delegate_members {
    ($($trait:ident)*) => {
        $(impl ser::$trait for Members<'_> {
            type Ok = ();
            type Error = ShapeError;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), ShapeError> {
                value.serialize(self.member(name)?)
            }

            fn skip_field(&mut self, name: &'static str) -> Result<(), ShapeError> {
                self.member(name)?.is_left_out = true;
                Ok(())
            }

            fn end(self) -> Result<(), ShapeError> {
                Ok(())
            }
        })*
    };
}

delegate_members! { SerializeStruct SerializeStructVariant }
