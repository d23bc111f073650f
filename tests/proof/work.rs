//! What every proof runs, and what must be true of it: one row for each, none or many for each, one for each group,
//! and a fold, all of it saved.

use std::collections::BTreeMap;
use std::sync::Arc;

use rowmark::hashing::ContentHash;
use rowmark::metastore::{CheckpointKind, JobStatus, Metastore};
use rowmark::prelude::*;
use rowmark::rows::{RowRanges, RowSchema, RowType};
use rowmark::warehouse::{TableFilter, TableName, Warehouse};
use rowmark::{Result, SessionBuilder};

use crate::calls::{self, Calls};
use crate::promises::Promises;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Square {
    n: u64,
    square: u64,
    text: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Part {
    /// Its number among all parts.
    number: u64,
    n: u64,
    weight: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Total {
    group: u64,
    parts: u64,
    weight: f64,
}

/// The groups that parts fall into.
const GROUPS: u64 = 4;

/// What a whole run gives: the content hashes that the saved versions carry, and the bytes of the rows as they are
/// read back.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outcome {
    totals: ContentHash,
    sum: ContentHash,
    rows: String,
}

/// A job that sees to it that there are many small batches and, in a sort, several runs.
pub(crate) fn builder() -> SessionBuilder {
    Session::builder()
        .job_name("proof")
        .threads(1)
        .progress(ProgressDisplay::Off)
        .durability(Durability::EveryRow)
        .batch_rows_max(3)
        .sort_bytes_max(200)
}

/// Runs the chains over the numbers from 0; the calls are counted in a log.
pub(crate) fn run(session: &Session, rows: u64, log: u64) -> Result<Outcome> {
    run_over(session, (0..rows).collect(), log)
}

/// Runs the chains over any numbers.
pub(crate) fn run_over(session: &Session, rows: Vec<u64>, log: u64) -> Result<Outcome> {
    let parts = session
        .read_records(rows)
        .map(udf!("square", captures(log), |n: &u64| {
            calls::count(log, "square", *n)?;
            Ok::<_, String>(Square { n: *n, square: n * n, text: format!("the square of {n}") })
        }))
        .flat_map(udf!("parts", captures(log), |square: &Square| {
            let n = square.n;
            let first = 3 * (n / 3) + u64::from(n % 3 == 2);
            calls::count(log, "parts", n)?;
            let parts = (0..n % 3).map(|part| Part { number: first + part, n, weight: n as f64 / 4.0 });
            Ok::<_, String>(parts.collect::<Vec<_>>())
        }));
    let sum = parts.fold(
        0,
        udf!("sum", captures(log), |sum: &mut u64, part: &Part| {
            calls::count(log, "sum", part.number)?;
            *sum += part.number * part.n;
            Ok::<_, String>(())
        }),
    );
    let totals = parts.agg(
        udf!("group", |part: &Part| part.n % GROUPS),
        udf!("totals", captures(log), |parts: &Group<u64, Part>| {
            calls::count(log, "totals", *parts.key())?;
            let weight = parts.rows().map(|part| part.weight).sum();
            Ok::<_, String>(Total { group: *parts.key(), parts: parts.len(), weight })
        }),
    );
    let (saved_sum, saved_totals) = (sum.save("sum")?, totals.save("totals")?);
    let totals = session.read_dataset::<Total>("totals", None)?.collect()?;
    let sum = session.read_dataset::<u64>("sum", None)?.collect()?;
    Ok(Outcome {
        totals: saved_totals.content_hash(),
        sum: saved_sum.content_hash(),
        rows: format!("{} {}", bytes(&totals), bytes(&sum)),
    })
}

fn bytes<T: RowType>(rows: &[T]) -> String {
    format!("{:?}", RowSchema::of::<T>().unwrap().encode(rows).unwrap())
}

/// The UDFs whose calls are counted, and whose committed rows may never be lost.
const UDFS: [&str; 4] = ["square", "parts", "totals", "sum"];

/// The rows of each step that a store holds.
pub(crate) type Done = BTreeMap<String, RowRanges>;

/// How often each row of each step is computed in an unbroken run.
pub(crate) fn all_calls(rows: u64) -> Calls {
    let steps = UDFS.iter().zip([rows, rows, GROUPS, 3 * (rows / 3)]);
    steps.flat_map(|(step, rows)| (0..rows).map(move |row| (((*step).to_owned(), row), 1))).collect()
}

/// What an unbroken run leaves.
#[derive(Debug)]
pub(crate) struct Unbroken {
    outcome: Outcome,
    pub(crate) rows: u64,
    tables: Vec<String>,
    records: Vec<String>,
    /// The steps by the hashes that their tables are named by.
    steps: BTreeMap<ContentHash, String>,
}

impl Unbroken {
    /// Looks at stores on which one run of so many rows was made, and nothing else.
    pub(crate) fn new(
        outcome: Outcome,
        rows: u64,
        metastore: &dyn Metastore,
        warehouse: &dyn Warehouse,
    ) -> Self {
        assert!(rows.is_multiple_of(3), "so that the parts can be counted");
        let mut steps = BTreeMap::new();
        for job in metastore.list_jobs().unwrap() {
            for record in metastore.list_checkpoints(job.id).unwrap() {
                steps.insert(record.hash, record.step.clone());
                steps.insert(record.hash_partial, record.step);
            }
        }
        let (tables, records) = (tables(warehouse), records(metastore));
        Self { outcome, rows, tables, records, steps }
    }

    /// The rows of each step that a store holds, whatever of it is finished.
    pub(crate) fn done(&self, warehouse: &dyn Warehouse) -> Done {
        let mut done = Done::new();
        for name in warehouse.list(&TableFilter::All).unwrap() {
            if let TableName::Udf { hash, .. } = &name
                && let Some(step) = self.steps.get(hash)
                && let Some(table) = warehouse.open_table(&name).unwrap()
            {
                done.entry(step.clone()).or_default().extend(table.processed());
            }
        }
        done
    }

    /// Checks that the rows of the UDFs that were committed are there.
    #[track_caller]
    pub(crate) fn check_promises(&self, promises: &Promises, done: &Done, what: &str) {
        for (hash, promised) in &*promises.lock().unwrap() {
            // Others (sorted rows, say) are made anew as a whole when they were not finished.
            let Some(step) = self.steps.get(hash).filter(|step| UDFS.contains(&step.as_str())) else {
                continue;
            };
            let kept = done.get(step).cloned().unwrap_or_default();
            let lost = promised.iter().find(|range| !kept.missing_in(*range).is_empty());
            assert_eq!(lost, None, "{what}: rows of {step} were committed and are lost");
        }
    }

    /// Checks the result of a run.
    #[track_caller]
    pub(crate) fn check_outcome(&self, outcome: &Outcome, what: &str) {
        assert_eq!(*outcome, self.outcome, "{what}: the result is another");
    }

    /// Checks that a run that came after one that had done some rows computed what was missing, once, and nothing
    /// else.
    #[track_caller]
    pub(crate) fn check_calls(&self, calls: &Calls, done: &Done, what: &str) {
        let is_done = |step: &str, row| done.get(step).is_some_and(|rows| rows.contains(row));
        let mut missing = all_calls(self.rows);
        missing.retain(|(step, row), _| !is_done(step, *row));
        assert_eq!(
            *calls, missing,
            "{what}: other rows were computed than were missing; done before: {done:?}"
        );
    }

    /// Checks that a run that may have been broken computed rows that were missing, none of them twice.
    #[track_caller]
    pub(crate) fn check_broken_calls(&self, calls: &Calls, done: &Done, what: &str) {
        for ((step, row), times) in calls {
            let is_done = done.get(step).is_some_and(|rows| rows.contains(*row));
            assert!(
                *times == 1 && !is_done,
                "{what}: row {row} of {step} was computed {times} times; {done:?}"
            );
        }
    }

    /// Checks that stores hold what an unbroken run leaves, whichever jobs made it, and nothing else.
    #[track_caller]
    pub(crate) fn check_stores(&self, metastore: &dyn Metastore, warehouse: &dyn Warehouse, what: &str) {
        assert_eq!(tables(warehouse), self.tables, "{what}: tables");
        assert_eq!(records(metastore), self.records, "{what}: records");
        let there: Vec<String> =
            warehouse.list(&TableFilter::All).unwrap().iter().map(ToString::to_string).collect();
        for job in metastore.list_jobs().unwrap() {
            assert_ne!(job.status, JobStatus::Running, "{what}: nobody runs it");
            for record in metastore.list_checkpoints(job.id).unwrap() {
                assert!(there.contains(&record.table), "{what}: the table of {record:?} is not there");
            }
        }
    }
}

/// The tables of a store, without the jobs that made them.
fn tables(warehouse: &dyn Warehouse) -> Vec<String> {
    let mut tables: Vec<String> = warehouse
        .list(&TableFilter::All)
        .unwrap()
        .iter()
        .map(|name| match name {
            TableName::Udf { hash, kind, .. } => format!("{hash} {kind:?}"),
            TableName::Dataset { .. } => name.to_string(),
        })
        .collect();
    tables.sort();
    tables
}

/// The checkpoints and datasets of a store, without the jobs that made them.
fn records(metastore: &dyn Metastore) -> Vec<String> {
    let mut records = Vec::new();
    for job in metastore.list_jobs().unwrap() {
        for record in metastore.list_checkpoints(job.id).unwrap() {
            assert_eq!(record.kind, CheckpointKind::Final, "{record:?}");
            records.push(format!("{} {} {:?}", record.step, record.hash, record.content_hash));
        }
    }
    for dataset in metastore.list_datasets().unwrap() {
        records.push(format!("{} {} {}", dataset.name, dataset.version, dataset.content_hash));
    }
    records.sort();
    records
}

/// A session on stores that are open.
pub(crate) fn session_on(metastore: Box<dyn Metastore>, warehouse: Arc<dyn Warehouse>) -> Result<Session> {
    builder().stores(metastore, warehouse).open()
}

/// An error with all its causes.
pub(crate) fn text_of(error: &dyn std::error::Error) -> String {
    let causes = error.source().map(|cause| format!(": {}", text_of(cause)));
    format!("{error}{}", causes.unwrap_or_default())
}
