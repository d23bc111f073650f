//! What a run does: the numbered behaviours, each a test with its number in its name, through the public
//! API, on the real stores. Edits of a UDF are two functions of one name in two modules.

#![expect(clippy::unwrap_used, reason = "a test")]

mod aggregate;
mod death;
mod ends;
mod explain;
mod failures;
mod folds_and_memory;
mod housekeeping;
mod identity;
mod job;
mod kill;
mod kinds;
mod progress;
mod resume;
mod reuse;
mod review_bulk;
mod review_deadly_rows;
mod review_exports;
mod review_folds;
mod review_iterators;
mod review_long_batches;
mod review_panics_on_the_way;
mod review_promotion;
mod review_recorded_inputs;
mod review_retries;
mod slow;
mod sources;
mod support;
mod views;
