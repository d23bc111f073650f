#![doc = include_str!("../README.md")]

mod codec;
mod difference;
mod error;
mod range;
mod ranges;
mod relaxed;
mod row;
mod sample;
mod schema;
mod shape;
mod size;
mod type_text;

pub use difference::SchemaDifference;
pub use error::{CodecError, Error, Unstorable};
pub use range::RowRange;
pub use ranges::RowRanges;
pub use row::{Columns, Row, SchemaGuess, Value, ValueError};
pub use schema::{RowSchema, RowType, VALUE_COLUMN};
pub use size::row_bytes;
