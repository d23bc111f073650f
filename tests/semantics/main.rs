//! What a run does: the numbered behaviours, each a test with its number in its name, through the public
//! API, on the real stores. Edits of a UDF are two functions of one name in two modules.

#![expect(clippy::unwrap_used, reason = "a test")]

mod aggregate;
mod death;
mod ends;
mod explain;
mod failures;
mod housekeeping;
mod identity;
mod job;
mod kill;
mod kinds;
mod progress;
mod resume;
mod reuse;
mod slow;
mod sources;
mod support;
mod views;
