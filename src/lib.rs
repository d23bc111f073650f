#![doc = include_str!("../README.md")]

mod builder;
mod chain;
mod dataset;
mod digests;
mod display;
mod ends;
mod error;
mod executable;
mod explain;
mod function;
mod group;
mod housekeeping;
mod in_flight;
mod input;
mod poison;
mod provenance;
mod read;
mod reconcile;
mod report;
mod resume;
mod reuse;
mod session;
mod settings;
#[cfg(feature = "ctrlc")]
mod signals;
mod sort;
mod stage;
mod state;
mod step;
mod store;
mod typed;
pub mod udf;

pub use builder::SessionBuilder;
pub use chain::Chain;
pub use dataset::Saved;
pub use display::ProgressDisplay;
pub use ends::ChainRows;
pub use error::{BoxError, CommitError, Error, Result, RowError};
pub use explain::{Explanation, Place};
pub use function::WithInput;
pub use group::{Group, GroupRows};
pub use housekeeping::{Cleanup, Reason, Removed, Usage};
pub use report::{Decision, Report, StepReport};
pub use resume::{MixedCode, Reuse};
pub use rowmark_executor::{CancelToken, Durability, Failure, OnError, Retry, Snapshot};
pub use rowmark_macros::udf;
pub use session::Session;
pub use sort::SortKey;
pub use state::StateError;
pub use step::StepPlan;
pub use step::failures::FailedRow;
#[doc(hidden)]
pub use udf::private as __private;

/// Running functions over row ranges.
pub use rowmark_executor as executor;
/// Content hashes and fingerprints.
pub use rowmark_hashing as hashing;
/// Jobs, checkpoints, dataset versions and events.
pub use rowmark_metastore as metastore;
/// Sources of rows.
pub use rowmark_readers as readers;
/// Row types, schemas and ranges.
pub use rowmark_rows as rows;
/// Tables.
pub use rowmark_warehouse as warehouse;

/// What a program that runs chains needs: `use rowmark::prelude::*`.
///
/// The attribute is written [`#[rowmark::udf]`](macro@crate::udf): a module can hold one macro of a name, and
/// here it is the closure's.
pub mod prelude {
    pub use crate::readers::{CsvOptions, JsonOptions, StorageOptions};
    pub use crate::rows::Row;
    pub use crate::udf::Udf;
    pub use crate::{
        CancelToken, Chain, Durability, Group, MixedCode, OnError, ProgressDisplay, Report, Retry, Reuse,
        Saved, Session,
    };
    pub use rowmark_macros::udf_closure as udf;
    pub use serde::{Deserialize, Serialize};
}
