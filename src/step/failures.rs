//! Failed rows that are recorded instead of ending the run: a table beside the step's.
//!
//! A row is in one of the two. The table of failures is named by the job and the identity without the code, stays
//! when the step is finished, and is only added to: of several records of a row the last counts, and none does once
//! the row has been done.

use std::collections::BTreeMap;

use rowmark_hashing::ContentHash;
use rowmark_metastore::{Checkpoint, JobId};
use rowmark_rows::{RowRange, RowRanges, RowSchema};
use rowmark_warehouse::{CodeId, Table, TableName, TableWriter, UdfTable, Warehouse};
use serde::{Deserialize, Serialize};

use crate::error::{CommitError, RowError};
use crate::input::StoredRows;
use crate::session::Session;
use crate::{Error, Result, store};

/// A row that failed and was recorded, as [`Session::failures`] answers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FailedRow {
    /// The number of the input row.
    pub row: u64,
    /// The input row as JSON, cut after 64 KiB, as it was before filters and projections on the way; none when it
    /// could not be read or shown.
    pub input: Option<String>,
    /// What went wrong, with all causes.
    pub error: String,
    /// How often it was tried.
    pub attempts: u32,
    /// The hash of the code that failed, in hexadecimal digits.
    pub code: String,
}

/// Text of an input that a record keeps, in bytes.
const INPUT_BYTES_MAX: usize = 64 << 10;

/// Text of an error that a record keeps, in bytes.
const ERROR_BYTES_MAX: usize = 16 << 10;

impl FailedRow {
    /// The record of a failure; long texts are cut.
    pub(crate) fn new(row: u64, input: Option<String>, error: String, attempts: u32, code: CodeId) -> Self {
        Self {
            row,
            input: input.map(|text| cut(text, INPUT_BYTES_MAX)),
            error: cut(error, ERROR_BYTES_MAX),
            attempts,
            code: code.hash().to_string(),
        }
    }
}

/// The beginning of a text.
fn cut(mut text: String, bytes_max: usize) -> String {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

/// The recorded failures of a step in a job.
pub(crate) struct Failures {
    session: Session,
    table: TableName,
    code: CodeId,
    /// The rows that were recorded before this run, and are not to be tried again by it.
    recorded: RowRanges,
    /// Failures since the last commit.
    waiting: Vec<FailedRow>,
    writer: Option<Box<dyn TableWriter>>,
}

/// The name of the table of a step's failures.
pub(crate) fn table_name(job: JobId, hash_partial: ContentHash) -> TableName {
    TableName::udf(*job.as_uuid(), hash_partial, UdfTable::Failures)
}

impl Failures {
    /// The failures of a step; `recorded` are those that count.
    pub(crate) fn new(session: &Session, table: TableName, code: CodeId, recorded: RowRanges) -> Self {
        Self { session: session.clone(), table, code, recorded, waiting: Vec::new(), writer: None }
    }

    /// The rows that have no outcome because they failed.
    pub(crate) fn rows(&self) -> &RowRanges {
        &self.recorded
    }

    pub(crate) fn add(&mut self, failed: FailedRow) {
        self.recorded.insert(RowRange::new(failed.row, failed.row + 1));
        self.waiting.push(failed);
    }

    /// Makes durable what was added.
    pub(crate) fn commit(&mut self) -> Result<(), CommitError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let schema = RowSchema::of::<FailedRow>()?;
        let warehouse = self.session.warehouse();
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none if warehouse.open_table(&self.table)?.is_some() => {
                none.insert(warehouse.resume(&self.table)?)
            }
            none => none.insert(warehouse.create(&self.table, &schema, b"")?),
        };
        let first = writer.processed().span().map_or(0, RowRange::end);
        let range = RowRange::new(first, first + self.waiting.len() as u64);
        writer.append(range, self.code, &schema.encode(&self.waiting)?)?;
        writer.commit()?;
        self.waiting.clear();
        Ok(())
    }
}

/// The failures that a table records, but for rows that were done since; by row.
pub(crate) fn read(warehouse: &dyn Warehouse, table: &TableName, done: &RowRanges) -> Result<Vec<FailedRow>> {
    let Some(table) = warehouse.open_table(table)? else { return Ok(Vec::new()) };
    let mut failures = BTreeMap::new();
    let all = RowRange::new(0, table.rows_out());
    for failed in StoredRows::new(&table, &RowSchema::of::<FailedRow>()?).iter::<FailedRow>(all) {
        let failed = failed.map_err(|source| Error::Failures { source: Box::new(source) })?;
        if !done.contains(failed.row) {
            failures.insert(failed.row, failed);
        }
    }
    Ok(failures.into_values().collect())
}

/// Whether the record of failures is damaged.
pub(crate) fn is_lost(error: &Error) -> bool {
    match error {
        Error::Warehouse(error) => store::is_lost(error),
        Error::Failures { source } => matches!(&**source, RowError::Table(error) if store::is_lost(error)),
        _ => false,
    }
}

/// The rows of recorded failures.
pub(crate) fn rows_of(failures: &[FailedRow]) -> RowRanges {
    failures.iter().map(|failed| RowRange::new(failed.row, failed.row + 1)).collect()
}

impl Session {
    /// The rows of a step that failed and were recorded, in the last run of a step of this name: of this job, or of
    /// those that it is a rerun of.
    ///
    /// Rows that were done since are not among them. Rows are recorded when the session is
    /// [built](crate::SessionBuilder::on_error) with [`OnError::Record`](crate::OnError::Record).
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// use rowmark::prelude::*;
    ///
    /// let session = Session::builder()
    ///     .state_folder(folder.path().join("state"))
    ///     .on_error(OnError::Record { failures_max: 10 })
    ///     .open()?;
    /// let numbers = session.read_values(&["1", "two", "3"].map(String::from));
    /// let parsed = numbers.map(udf!("parse", |text: &String| text.parse::<u64>())).collect()?;
    /// assert_eq!(parsed, [1, 3]);
    ///
    /// let failures = session.failures("parse")?;
    /// assert_eq!((failures[0].row, failures[0].input.as_deref()), (1, Some("\"two\"")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The records or the table cannot be read.
    pub fn failures(&self, step: &str) -> Result<Vec<FailedRow>> {
        let Some(checkpoint) = self.last_checkpoint_of(step)? else { return Ok(Vec::new()) };
        let Checkpoint { job, hash_partial, table, .. } = checkpoint;
        let done = self.warehouse().open_table(&table.parse()?)?;
        let done = done.as_ref().map_or(RowRanges::new(), |table: &Table| table.processed().clone());
        read(self.warehouse(), &table_name(job, hash_partial), &done)
    }

    /// The newest checkpoint of a step of this name, in the nearest job that has one.
    fn last_checkpoint_of(&self, step: &str) -> Result<Option<Checkpoint>> {
        for job in self.lineage()? {
            let records = self.metastore().list_checkpoints(job)?;
            let of_step = records.into_iter().filter(|record| record.step == step && record.is_active());
            if let Some(newest) = of_step.max_by_key(|record| record.created_at) {
                return Ok(Some(newest));
            }
        }
        Ok(None)
    }
}
