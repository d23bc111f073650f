//! What the tests share: sessions in a temporary folder, and counted calls.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rowmark::prelude::*;
use rowmark::rows::{RowSchema, RowType};
use rowmark::{Error, Failure};

/// A state folder that is removed at the end of a test.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.0.path().join("state")
    }

    /// A new job on the same state.
    pub(crate) fn session(&self) -> Session {
        builder(&self.path()).open().unwrap()
    }

    /// A new job with one worker: rows are computed strictly in their order.
    pub(crate) fn session_in_order(&self) -> Session {
        builder(&self.path()).threads(1).open().unwrap()
    }
}

pub(crate) fn builder(state: &Path) -> rowmark::SessionBuilder {
    Session::builder().state_folder(state).job_name("test").threads(2).progress(ProgressDisplay::Off)
}

/// Counts the calls of a UDF, by row. A static of this type is no part of a UDF's identity.
pub(crate) struct Calls(Mutex<BTreeMap<u64, u64>>);

impl Calls {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    pub(crate) fn count(&self, row: u64) {
        *self.0.lock().unwrap().entry(row).or_default() += 1;
    }

    /// How often a row was called since the last look.
    pub(crate) fn so_far(&self, row: u64) -> u64 {
        self.0.lock().unwrap().get(&row).copied().unwrap_or(0)
    }

    /// The calls since the last look: row and number of calls.
    pub(crate) fn take(&self) -> BTreeMap<u64, u64> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// The number of calls since the last look.
    pub(crate) fn take_total(&self) -> u64 {
        self.take().values().sum()
    }
}

/// A row at which a UDF fails, or none. A static, so no part of the identity.
pub(crate) struct FailAt(AtomicU64);

impl FailAt {
    pub(crate) const fn never() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }

    pub(crate) fn set(&self, row: impl Into<Option<u64>>) {
        self.0.store(row.into().unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    pub(crate) fn check(&self, row: u64) -> Result<(), String> {
        if self.0.load(Ordering::SeqCst) == row { Err(format!("row {row} is bad")) } else { Ok(()) }
    }
}

/// The number and the cause of the row that failed.
#[track_caller]
pub(crate) fn failed_row<T: std::fmt::Debug>(result: rowmark::Result<T>) -> (u64, String) {
    match result.unwrap_err() {
        Error::Step { source, .. } => match *source {
            rowmark::executor::Error::Row {
                row,
                source: Failure::Error(rowmark::RowError::Udf { source, .. }),
                ..
            } => (row, source.to_string()),
            rowmark::executor::Error::Row { row, source, .. } => (row, source.to_string()),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// The bytes of rows: two runs are the same when these are.
pub(crate) fn bytes<T: RowType>(rows: &[T]) -> String {
    format!("{:?}", RowSchema::of::<T>().unwrap().encode(rows).unwrap())
}

/// What was done with a step: `run 10 = 0 + 10` is ten rows in, none reused, ten computed.
#[track_caller]
pub(crate) fn told(report: &Report, step: &str) -> String {
    let step = report.step(step).unwrap_or_else(|| panic!("no step {step} in\n{report}"));
    assert_eq!(step.rows_in, step.rows_reused + step.rows_computed, "{step:?}");
    format!("{} {} = {} + {}", step.decision, step.rows_in, step.rows_reused, step.rows_computed)
}
