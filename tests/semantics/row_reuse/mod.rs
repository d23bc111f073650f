//! u08: of a changed input only the new and changed rows are computed.

mod chunks;
mod donors;
mod edits;
mod identity;
mod kinds;
mod outcomes;

use std::collections::BTreeMap;

use rowmark::hashing::ContentHash;
use rowmark::prelude::*;

use crate::support::{Calls, told};

/// What a run gives: the rows, their content hash, the calls by row, and what was told of the step.
#[derive(Debug, PartialEq)]
struct Done<T> {
    rows: Vec<T>,
    content_hash: ContentHash,
    calls: BTreeMap<u64, u64>,
    told: String,
}

/// Runs the chain that a function makes in a session, and counts its calls.
#[track_caller]
fn done<T: rowmark::rows::RowType>(
    session: &Session,
    calls: &Calls,
    step: &str,
    chain: impl Fn(&Session) -> Chain<T>,
) -> Done<T> {
    let saved = chain(session).save("saved").unwrap();
    let calls = calls.take();
    let rows = session.read_dataset("saved", None).unwrap().collect().unwrap();
    Done { rows, content_hash: saved.content_hash(), calls, told: told(&session.report(), step) }
}

/// The numbers that were called, as often as they were.
fn called<T>(done: &Done<T>) -> Vec<u64> {
    done.calls.iter().flat_map(|(row, times)| std::iter::repeat_n(*row, *times as usize)).collect()
}

fn numbers(rows: u64) -> Vec<u64> {
    (0..rows).collect()
}
