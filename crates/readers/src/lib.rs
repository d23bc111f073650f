#![doc = include_str!("../README.md")]

#[cfg(feature = "arrow")]
mod arrow;
#[cfg(feature = "arrow")]
mod columnar;
mod csv;
#[cfg(feature = "database")]
mod database;
mod error;
mod file_source;
mod files;
#[cfg(feature = "hf")]
mod hub;
#[cfg(feature = "arrow")]
mod ipc;
mod json;
mod memory;
#[cfg(feature = "parquet")]
mod parquet;
mod selection;
mod source;
mod storage;
mod text;

#[cfg(feature = "arrow")]
pub use crate::arrow::ArrowSource;
pub use crate::csv::{Csv, CsvOptions, CsvSource};
#[cfg(feature = "parquet")]
pub use crate::parquet::{Parquet, ParquetSource};
#[cfg(feature = "arrow")]
pub use columnar::ColumnarOptions;
#[cfg(feature = "database")]
pub use database::{Query, QueryRows};
pub use error::{Cell, Error, Place};
pub use file_source::{Cursor, FileSource, Format};
pub use files::{DataFile, FileHashes, Files, Limit};
#[cfg(feature = "hf")]
pub use hub::{HfDataset, HfOptions, HfProblem};
#[cfg(feature = "arrow")]
pub use ipc::{ArrowIpc, ArrowIpcSource};
pub use json::{Json, JsonLayout, JsonOptions, JsonSource};
pub use memory::MemorySource;
pub use source::{RowIter, Source};
pub use storage::{File, FileReader, StorageOptions, StorageSource};
