#![doc = include_str!("../README.md")]

mod code_id;
mod disk;
mod error;
mod format;
mod name;
mod open;
mod scan;
mod segment;
mod table;
mod warehouse;
mod writer;

pub use code_id::CodeId;
pub use error::{Damage, Error};
pub use format::{BATCH_BYTES_MAX, RECORD_BYTES_MAX};
pub use name::{DATASET_NAME_BYTES_MAX, DatasetName, TableFilter, TableName, UdfTable};
pub use scan::Scan;
pub use segment::DroppedTail;
pub use table::{Frame, Seal, Table};
pub use warehouse::Warehouse;
pub use writer::TableWriter;
