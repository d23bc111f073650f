//! What a run does: the numbered behaviours, each a test with its number in its name, through the public
//! API, on the real stores. Edits of a UDF are two functions of one name in two modules.

#![expect(clippy::unwrap_used, reason = "a test")]

mod aggregate;
mod builds;
mod content;
#[cfg(feature = "database")]
mod database_sources;
mod deadly_rows;
mod death;
mod edits;
mod ends;
mod enums;
mod explain;
mod exports;
mod failures;
mod folds;
mod folds_and_memory;
mod housekeeping;
mod identity;
mod job;
mod kill;
mod kinds;
mod panics_on_the_way;
mod progress;
mod promotion;
mod recorded_inputs;
mod resume;
mod retries;
mod reuse;
mod row_reuse;
#[cfg(feature = "storage")]
#[path = "../../crates/readers/tests/server/mod.rs"]
mod server;
mod slow;
mod sources;
#[cfg(feature = "hf")]
mod sources_hub;
mod sources_storage;
mod support;
mod views;
