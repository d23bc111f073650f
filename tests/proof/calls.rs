//! Counts the calls of UDFs: in memory, or for a child process that dies in a file that outlives it.
//!
//! A log is a number, which a UDF captures: so the counts of two tests do not mix, and a test's UDFs have the same
//! identity in all its runs and all its children.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

/// A call: the step, and the row that it was for.
pub(crate) type Call = (String, u64);

/// How often each row of each step was computed.
pub(crate) type Calls = BTreeMap<Call, u64>;

static IN_MEMORY: Mutex<BTreeMap<u64, Calls>> = Mutex::new(BTreeMap::new());
static FAILING: Mutex<BTreeMap<u64, Vec<Call>>> = Mutex::new(BTreeMap::new());
static IN_FILE: OnceLock<File> = OnceLock::new();

/// A log of a test's own.
pub(crate) fn new_log() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::SeqCst) + 1
}

/// Writes calls into a file from now on, each when it ends.
pub(crate) fn write_to(path: &Path) {
    let file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    IN_FILE.set(file).unwrap();
}

/// Lets the calls of a log for these rows of a step fail, and no others.
pub(crate) fn fail_at(log: u64, step: &str, rows: &[u64]) {
    let calls = rows.iter().map(|row| (step.to_owned(), *row)).collect();
    FAILING.lock().unwrap().insert(log, calls);
}

/// Takes note of a call, unless it is to fail.
pub(crate) fn count(log: u64, step: &str, row: u64) -> Result<(), String> {
    let call = (step.to_owned(), row);
    if FAILING.lock().unwrap().get(&log).is_some_and(|failing| failing.contains(&call)) {
        return Err(format!("row {row} of {step} is to fail"));
    }
    match IN_FILE.get() {
        // One write, so that a line is there whole or not at all.
        Some(mut file) => file.write_all(format!("{step} {row}\n").as_bytes()).unwrap(),
        None => *IN_MEMORY.lock().unwrap().entry(log).or_default().entry(call).or_default() += 1,
    }
    Ok(())
}

/// The calls since the last look.
pub(crate) fn take(log: u64) -> Calls {
    IN_MEMORY.lock().unwrap().remove(&log).unwrap_or_default()
}

/// The calls that a file tells of since the last look.
pub(crate) fn take_from(path: &Path) -> Calls {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let _ = std::fs::remove_file(path);
    let mut calls = Calls::new();
    for line in text.lines() {
        let (step, row) = line.split_once(' ').unwrap_or_else(|| panic!("{line:?}"));
        *calls.entry((step.to_owned(), row.parse().unwrap())).or_default() += 1;
    }
    calls
}
