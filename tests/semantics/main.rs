//! What a run does: the numbered behaviours, each a test with its number in its name, through the public
//! API, on the real stores. Edits of a UDF are two functions of one name in two modules.

#![expect(clippy::unwrap_used, reason = "a test")]

mod death;
mod identity;
mod job;
mod kill;
mod progress;
mod resume;
mod reuse;
mod review_bulk;
mod review_deadly_rows;
mod review_exports;
mod review_folds;
mod review_iterators;
mod review_long_batches;
mod review_not_mended;
mod review_panics_on_the_way;
mod review_promotion;
mod review_recorded_inputs;
mod review_retries;
mod support;
