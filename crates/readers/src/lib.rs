#![doc = include_str!("../README.md")]

mod csv;
mod error;
mod memory;
mod source;
mod stamp;

pub use crate::csv::{CsvOptions, CsvSource};
pub use error::{Cell, Error};
pub use memory::MemorySource;
pub use source::{RowIter, Source};
