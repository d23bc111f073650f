#![doc = include_str!("../README.md")]

mod code_id;
mod compression;
#[cfg(feature = "contract-tests")]
pub mod contract;
mod error;
mod file;
mod inputs;
mod memory;
mod name;
mod rows;
mod scan;
mod table;
mod warehouse;
mod writer;

pub use code_id::CodeId;
pub use compression::Compression;
pub use error::{Damage, Error};
pub use file::{BATCH_BYTES_MAX, DroppedTail, FileWarehouse, RECORD_BYTES_MAX};
pub use inputs::{BatchDigests, InputRow};
pub use memory::MemoryWarehouse;
pub use name::{DATASET_NAME_BYTES_MAX, DatasetName, TableFilter, TableName, UdfTable};
pub use rows::{Rows, insert_rows};
pub use scan::Scan;
pub use table::{Batches, Contents, Frame, Seal, Table};
pub use warehouse::Warehouse;
pub use writer::TableWriter;
