//! Where two schemas differ first, in words.
//!
//! What counts is what a reader sees: names, types, nullability and the order of columns. Arrow's
//! field metadata does not count.

use std::fmt;

use arrow_schema::{DataType, Field, FieldRef};

use crate::type_text::{TypeText, children, head};

/// The first difference between an expected schema and another one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SchemaDifference {
    /// The other schema lacks a field.
    Missing {
        /// The path of the field.
        field: String,
        /// The type that was expected.
        expected: String,
    },
    /// The other schema has a field that was not expected.
    Unexpected {
        /// The path of the field.
        field: String,
        /// The type that it has.
        found: String,
    },
    /// Both schemas have the field, in another place.
    Moved {
        /// The path of the field.
        field: String,
        /// Its expected position, from 0.
        expected: usize,
        /// Its position in the other schema.
        found: usize,
    },
    /// The field has another type.
    Type {
        /// The path of the field.
        field: String,
        /// The type that was expected; `?` marks a type that may be null.
        expected: String,
        /// The type that it has.
        found: String,
    },
}

impl fmt::Display for SchemaDifference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { field, expected } => write!(formatter, "field {field} ({expected}) is missing"),
            Self::Unexpected { field, found } => write!(formatter, "field {field} ({found}) is not expected"),
            Self::Moved { field, expected, found } => {
                write!(formatter, "field {field} is expected at position {expected} and found at {found}")
            }
            Self::Type { field, expected, found } => {
                write!(formatter, "field {field} is expected to be {expected} and found to be {found}")
            }
        }
    }
}

/// Compares two lists of fields below `path`.
pub(crate) fn first_difference(
    path: &str,
    expected: &[FieldRef],
    found: &[FieldRef],
) -> Option<SchemaDifference> {
    let at = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    let position = |fields: &[FieldRef], name: &str| fields.iter().position(|field| field.name() == name);
    for index in 0..expected.len().max(found.len()) {
        let difference = match (expected.get(index), found.get(index)) {
            (Some(ours), Some(theirs)) if ours.name() == theirs.name() => {
                field_difference(at(ours.name()), ours, theirs)
            }
            (Some(ours), theirs) => Some(match (position(found, ours.name()), theirs) {
                (None, _) => {
                    SchemaDifference::Missing { field: at(ours.name()), expected: TypeText(ours).to_string() }
                }
                (Some(_), Some(theirs)) if position(expected, theirs.name()).is_none() => {
                    SchemaDifference::Unexpected {
                        field: at(theirs.name()),
                        found: TypeText(theirs).to_string(),
                    }
                }
                (Some(other), _) => {
                    SchemaDifference::Moved { field: at(ours.name()), expected: index, found: other }
                }
            }),
            (None, Some(theirs)) => Some(SchemaDifference::Unexpected {
                field: at(theirs.name()),
                found: TypeText(theirs).to_string(),
            }),
            (None, None) => None,
        };
        if difference.is_some() {
            return difference;
        }
    }
    None
}

fn field_difference(path: String, expected: &Field, found: &Field) -> Option<SchemaDifference> {
    let is_same_kind = head(expected.data_type()) == head(found.data_type());
    if !is_same_kind || expected.is_nullable() != found.is_nullable() {
        let (expected, found) = (TypeText(expected).to_string(), TypeText(found).to_string());
        return Some(SchemaDifference::Type { field: path, expected, found });
    }
    // The names of a list's item and of a map's entries are a matter of the writer's taste.
    match (expected.data_type(), found.data_type()) {
        (DataType::Struct(ours), DataType::Struct(theirs)) => first_difference(&path, ours, theirs),
        (ours, theirs) => first_difference(&path, &children(ours), &children(theirs)),
    }
}
