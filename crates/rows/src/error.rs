//! What can go wrong between Rust values and Arrow batches.
//!
//! A type that cannot be stored is found when its schema is made, before there is a row; that is
//! [`Error::Unstorable`], and it names the field. The other variants are about batches.

use std::fmt;

use crate::SchemaDifference;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Values of the type cannot be stored as rows.
    #[error("{type_name} cannot be stored as rows: {} {reason}; {}", FieldName(field), reason.advice())]
    Unstorable {
        /// The Rust type, as the compiler spells it.
        type_name: &'static str,
        /// The path of the field that stands in the way, empty for the row itself.
        field: String,
        /// Why it stands in the way.
        #[source]
        reason: Unstorable,
    },
    /// Rows do not fit the schema that they were to be encoded with.
    #[error("{rows} rows of {type_name} cannot be encoded with the schema {{{schema}}}")]
    Encode {
        /// The Rust type of the rows.
        type_name: &'static str,
        /// How many rows were to be encoded.
        rows: usize,
        /// The schema, readable.
        schema: String,
        /// What the encoder said; it names the field.
        #[source]
        source: CodecError,
    },
    /// A batch cannot be read as the wanted type.
    #[error("a batch of {rows} rows with the schema {{{schema}}} cannot be read as {type_name}")]
    Decode {
        /// The Rust type that was wanted.
        type_name: &'static str,
        /// How many rows the batch holds.
        rows: usize,
        /// The schema, readable.
        schema: String,
        /// What the decoder said; it names the field.
        #[source]
        source: CodecError,
    },
    /// A batch has another schema than the one it is read with.
    #[error("the batch has another schema: {difference}")]
    SchemaMismatch {
        /// The first difference, seen from the schema that was expected.
        difference: SchemaDifference,
    },
    /// A column holds what no dynamic value can.
    #[error("field {field} ({data_type}) cannot be read without a type; read the rows as a struct")]
    NotDynamic {
        /// The path of the field.
        field: String,
        /// Its type.
        data_type: String,
    },
    /// A value is not of its column's type.
    #[error("{} is {kind} {text}, where {expected} is expected", FieldName(field))]
    Cell {
        /// The path of the field, empty for the row itself.
        field: String,
        /// What was expected.
        expected: String,
        /// What was found, in a word.
        kind: &'static str,
        /// The value that was found, shortened.
        text: String,
    },
}

/// Why a type cannot be stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unstorable {
    /// A 128-bit integer: Arrow has none.
    #[error("is a 128-bit integer")]
    Integer128,
    /// The type reads itself from formats that describe themselves, as JSON does.
    #[error("takes whatever type the data has (as JSON values, untagged, tagged and flattened types do)")]
    SelfDescribing,
    /// `Option<Option<T>>`: `Some(None)` and `None` would be stored alike.
    #[error("is an option of an option, and `Some(None)` would be read back as `None`")]
    NestedOption,
    /// `Option<()>`: `Some(())` and `None` would be stored alike.
    #[error("is an option of a type without data, and `Some` would be read back as `None`")]
    OptionalUnit,
    /// An option of an enum that carries data: an Arrow union has no nulls.
    #[error("is an option of an enum that carries data")]
    OptionalEnum,
    /// A map key that can be `None`.
    #[error("is a map key that can be `None`")]
    NullableKey,
    /// A map key that is an enum with data, of which a variant has none or holds an `Option`: such a value is null to
    /// Arrow, and a map's key may not be.
    #[error("is a map key that is an enum with data, in which a variant has no data or holds an `Option`")]
    EnumKey,
    /// The type contains itself, or is nested too deeply.
    #[error("is nested more than {depth_max} levels deep, or contains itself")]
    TooDeep {
        /// The deepest nesting that can be stored.
        depth_max: usize,
    },
    /// An enum with more variants than an Arrow union can hold.
    #[error("is an enum that carries data and has more than {variants_max} variants")]
    TooManyVariants {
        /// The largest number of variants that can be stored.
        variants_max: usize,
    },
    /// An enum without variants has no values.
    #[error("is an enum without variants")]
    NoVariants,
    /// The type's own checks refused every sample value.
    #[error(
        "accepts none of the sample values that its type is found out with (the last was refused with: {message})"
    )]
    Rejected {
        /// What the type said about the last sample.
        message: String,
    },
    /// Values of the type are written as different types.
    #[error("is sometimes {first} and sometimes {second}")]
    Inconsistent {
        /// One type that it was written as.
        first: String,
        /// Another.
        second: String,
    },
    /// The field is left out of some rows, and cannot be null.
    #[error("is left out of some rows (`skip_serializing_if`), but is not an `Option`")]
    LeftOut,
    /// Two fields have one name.
    #[error("appears twice")]
    Duplicate,
    /// The type's own `Serialize` failed on a sample value.
    #[error("failed to serialize: {message}")]
    SerializeFailed {
        /// What it said.
        message: String,
    },
    /// A sample that was written could not be read again.
    #[error("is written in one way and read in another")]
    NotReadable {
        /// What the reader said; it names the field.
        #[source]
        source: Box<Error>,
    },
    /// A sample that was written came back as something else.
    #[error("comes back as another value than the one that was written")]
    Altered,
}

impl Unstorable {
    /// What the user can do about it.
    fn advice(&self) -> &'static str {
        match self {
            Self::Integer128 => "use 64 bits, or store it as text with `#[serde(with = \"…\")]`",
            Self::SelfDescribing => {
                "use a type with fixed fields, or store it as JSON text with `#[serde(with = \"…\")]`"
            }
            Self::NestedOption => "use one `Option`, or an enum with three variants",
            Self::OptionalUnit => "use a `bool`",
            Self::OptionalEnum => "add a variant for the missing case, or put the enum in a struct",
            Self::NullableKey => "use a key that is not an `Option`",
            Self::EnumKey => "put the enum in a struct, or use a list of pairs",
            Self::TooDeep { .. } => "store the nested part as text with `#[serde(with = \"…\")]`",
            Self::TooManyVariants { .. } => {
                "split the enum, or store it as text with `#[serde(with = \"…\")]`"
            }
            Self::NoVariants => "give it a variant, or leave the field out with `#[serde(skip)]`",
            Self::Rejected { .. } => {
                "store its plain form with `#[serde(with = \"…\")]` or `#[serde(from = \"…\", into = \"…\")]` and check it in the code"
            }
            Self::Inconsistent { .. } => "use one type, or an enum with derived serde traits",
            Self::LeftOut => "make it an `Option`, or remove `skip_serializing_if`",
            Self::Duplicate => "rename one of the two with `#[serde(rename = \"…\")]`",
            Self::SerializeFailed { .. } => "check its `Serialize` implementation",
            Self::NotReadable { .. } | Self::Altered => {
                "make its `Serialize` and `Deserialize` agree (check `rename`, `with`, `skip` and hand-written implementations)"
            }
        }
    }
}

/// What the Arrow encoder or decoder said, with the path of the field.
pub struct CodecError(Cause);

enum Cause {
    Serde(serde_arrow::Error),
    Arrow(arrow_schema::ArrowError),
}

impl fmt::Display for CodecError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Cause::Serde(error) => {
                let text = error.to_string();
                formatter.write_str(text.strip_prefix("Error: ").unwrap_or(&text))
            }
            Cause::Arrow(error) => fmt::Display::fmt(error, formatter),
        }
    }
}

impl fmt::Debug for CodecError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("CodecError").field(&self.to_string()).finish()
    }
}

impl std::error::Error for CodecError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0 {
            Cause::Serde(error) => error.source(),
            Cause::Arrow(error) => error.source(),
        }
    }
}

impl From<serde_arrow::Error> for CodecError {
    fn from(error: serde_arrow::Error) -> Self {
        Self(Cause::Serde(error))
    }
}

impl From<arrow_schema::ArrowError> for CodecError {
    fn from(error: arrow_schema::ArrowError) -> Self {
        Self(Cause::Arrow(error))
    }
}

/// A field path in an error's text.
struct FieldName<'a>(&'a str);

impl fmt::Display for FieldName<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { formatter.write_str("the row") } else { write!(formatter, "field {}", self.0) }
    }
}
