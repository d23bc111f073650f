#![doc = include_str!("../README.md")]

mod bounds;
mod checkpoint;
mod codec;
#[cfg(feature = "contract-tests")]
pub mod contract;
mod dataset;
mod error;
mod event;
mod ids;
mod job;
mod memory;
mod metastore;
mod sled_store;
mod timestamp;

pub use bounds::{NAME_BYTES_MAX, TEXT_BYTES_MAX};
pub use checkpoint::{Checkpoint, CheckpointKind, CheckpointStatus, CodeRows, RowCounts};
pub use codec::{RECORD_BYTES_MAX, Record, RecordKind};
pub use dataset::{DatasetRef, DatasetVersion};
pub use error::{DamageSource, Error, Result};
pub use event::{Event, EventKind};
pub use ids::{JobId, RunGroupId};
pub use job::{Build, Job, JobStatus};
pub use memory::MemoryMetastore;
pub use metastore::Metastore;
pub use sled_store::SledMetastore;
pub use timestamp::Timestamp;
