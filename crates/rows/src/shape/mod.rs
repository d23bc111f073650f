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

mod observer;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, UnionFields, UnionMode};
use serde::ser::{self, Serialize};

use crate::error::Unstorable;
use crate::relaxed::has_nulls;

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
                if has_nulls(&key.data_type()?) {
                    return Err((key.path.clone(), Unstorable::EnumKey));
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
}

fn struct_fields(fields: &[(&'static str, Shape)]) -> Result<Fields, Problem> {
    fields.iter().map(|(name, shape)| shape.field(name)).collect()
}

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
