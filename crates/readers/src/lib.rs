#![doc = include_str!("../README.md")]

mod csv;
mod error;
mod file_source;
mod files;
mod json;
mod memory;
mod selection;
mod source;
mod text;

pub use crate::csv::{Csv, CsvOptions, CsvSource};
pub use error::{Cell, Error, Place};
pub use file_source::{Cursor, FileSource, Format};
pub use files::{DataFile, FileHashes, Files, Limit};
pub use json::{Json, JsonLayout, JsonOptions, JsonSource};
pub use memory::MemorySource;
pub use source::{RowIter, Source};
