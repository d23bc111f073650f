//! What rows look like when they are written: the Arrow type of each place, from sample values.
//!
//! A [`Shape`] is a serde serializer that takes notes and keeps no data. Shown several samples, it
//! merges what it sees: an enum gains variants, an option is nullable. From it come the Arrow
//! fields, with these choices:
//!
//! - strings, bytes and lists have 64-bit offsets, so that no batch can overflow them: a batch of
//!   images that passes 2 GiB would otherwise be an error on some later day;
//! - an enum without data is a string (not a dictionary: batches are read one by one); an enum
//!   with data is a dense union;
//! - an array, or a tuple whose elements are all alike, is a fixed-size list; another tuple is a
//!   struct with the fields `0`, `1`, …; a map is a map; a `char` is its code point.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, UnionFields, UnionMode};
use serde::ser::{self, Serialize, Serializer};

use crate::error::Unstorable;
use crate::sample::DEPTH_MAX;

/// Arrow's type ids of a union are signed bytes.
const UNION_VARIANTS_MAX: usize = 128;
/// How `serde_arrow` is told that a union's variant is never used.
const UNUSED_VARIANT: [&str; 2] = ["SERDE_ARROW:strategy", "UnknownVariant"];

/// What has been seen at one place of the rows.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    path: String,
    kind: Kind,
    is_option: bool,
    /// Set while the value inside a `Some` is looked at.
    is_in_some: bool,
    is_left_out: bool,
    depth: usize,
}

#[derive(Debug, Default, PartialEq)]
enum Kind {
    #[default]
    Unknown,
    Unit,
    Leaf(DataType),
    List(Box<Shape>),
    Tuple(Vec<Shape>),
    Map(Box<[Shape; 2]>),
    Struct(Vec<(&'static str, Shape)>),
    Enum(BTreeMap<u32, (&'static str, Shape)>),
}

/// Two places are alike when the same Arrow type serves both; where they are does not count.
impl PartialEq for Shape {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.is_option == other.is_option
    }
}

pub(crate) type Problem = (String, Unstorable);

impl Shape {
    /// Looks at one more value.
    pub(crate) fn observe<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Problem> {
        value.serialize(self).map_err(|error| match error {
            ShapeError::Problem(problem) => *problem,
            ShapeError::Message(message) => (String::new(), Unstorable::SerializeFailed { message }),
        })
    }

    /// Whether the rows are structs, each field of which is a column.
    pub(crate) fn is_struct(&self) -> bool {
        matches!(self.kind, Kind::Struct(_)) && !self.is_option
    }

    /// The columns of the rows: a struct's fields, or one column `value` for anything else.
    pub(crate) fn columns(&self, value_column: &str) -> Result<Fields, Problem> {
        match &self.kind {
            Kind::Struct(fields) if self.is_struct() && fields.is_empty() => {
                Ok(Fields::from(vec![Field::new(value_column, DataType::Null, true)]))
            }
            Kind::Struct(fields) if self.is_struct() => struct_fields(fields),
            _ => Ok(Fields::from(vec![self.field(value_column)?])),
        }
    }

    fn field(&self, name: &str) -> Result<Field, Problem> {
        let data_type = self.data_type()?;
        if self.is_option && matches!(data_type, DataType::Union(..)) {
            return Err((self.path.clone(), Unstorable::OptionalEnum));
        }
        if self.is_left_out && !self.is_option {
            return Err((self.path.clone(), Unstorable::LeftOut));
        }
        let is_nullable = self.is_option || data_type == DataType::Null;
        Ok(Field::new(name, data_type, is_nullable))
    }

    fn data_type(&self) -> Result<DataType, Problem> {
        Ok(match &self.kind {
            // Nothing is ever written here: an empty array's element, say.
            Kind::Unknown | Kind::Unit => DataType::Null,
            Kind::Leaf(data_type) => data_type.clone(),
            Kind::List(item) => DataType::LargeList(Arc::new(item.field("item")?)),
            Kind::Tuple(items) => match items.split_first() {
                Some((first, rest)) if rest.iter().all(|item| item == first) => {
                    let len = i32::try_from(items.len()).map_err(|_| self.too_long())?;
                    DataType::FixedSizeList(Arc::new(first.field("item")?), len)
                }
                _ => {
                    let fields = items.iter().enumerate().map(|(index, item)| item.field(&index.to_string()));
                    DataType::Struct(fields.collect::<Result<_, _>>()?)
                }
            },
            Kind::Map(entry) => {
                let [key, value] = &**entry;
                if key.is_option || key.data_type()? == DataType::Null {
                    return Err((key.path.clone(), Unstorable::NullableKey));
                }
                let entries = Fields::from(vec![key.field("key")?, value.field("value")?]);
                DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entries), false)), false)
            }
            Kind::Struct(fields) => DataType::Struct(struct_fields(fields)?),
            Kind::Enum(variants) => return self.enum_type(variants),
        })
    }

    fn enum_type(&self, variants: &BTreeMap<u32, (&'static str, Shape)>) -> Result<DataType, Problem> {
        if variants.values().all(|(_, content)| content.kind == Kind::Unit) {
            return Ok(DataType::LargeUtf8);
        }
        let last = variants.keys().last().map_or(0, |last| *last as usize);
        if last >= UNION_VARIANTS_MAX {
            return Err((
                self.path.clone(),
                Unstorable::TooManyVariants { variants_max: UNION_VARIANTS_MAX },
            ));
        }
        let mut fields = Vec::new();
        for (type_id, index) in (0..=i8::MAX).zip(0..=last) {
            // A variant that serde skips leaves a gap in the numbering.
            let field = match variants.get(&(index as u32)) {
                Some((name, content)) => content.field(name)?,
                None => Field::new(format!("unused_{index}"), DataType::Null, true)
                    .with_metadata(HashMap::from([UNUSED_VARIANT.map(str::to_owned).into()])),
            };
            fields.push((type_id, Arc::new(field)));
        }
        Ok(DataType::Union(fields.into_iter().collect::<UnionFields>(), UnionMode::Dense))
    }

    fn too_long(&self) -> Problem {
        let message = format!("an array has more than {} elements", i32::MAX);
        (self.path.clone(), Unstorable::SerializeFailed { message })
    }

    fn child(&self, name: &str) -> Self {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        Self { path, depth: self.depth + 1, ..Self::default() }
    }

    /// What is here, in a word, for an error's text.
    fn describe(&self) -> String {
        match &self.kind {
            Kind::Unknown => "nothing".to_owned(),
            Kind::Unit => "a unit".to_owned(),
            Kind::Leaf(data_type) => format!("{data_type}"),
            Kind::List(_) => "a list".to_owned(),
            Kind::Tuple(items) => format!("a tuple of {}", items.len()),
            Kind::Map(_) => "a map".to_owned(),
            Kind::Struct(_) => "a struct".to_owned(),
            Kind::Enum(_) => "an enum".to_owned(),
        }
    }

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

fn struct_fields(fields: &[(&'static str, Shape)]) -> Result<Fields, Problem> {
    fields.iter().map(|(name, shape)| shape.field(name)).collect()
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

/// Why a sample could not be looked at.
#[derive(Debug)]
pub(crate) enum ShapeError {
    Problem(Box<Problem>),
    Message(String),
}

impl fmt::Display for ShapeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Problem(problem) => fmt::Display::fmt(&problem.1, formatter),
            Self::Message(message) => formatter.write_str(message),
        }
    }
}

impl std::error::Error for ShapeError {}

impl ser::Error for ShapeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Message(message.to_string())
    }
}
