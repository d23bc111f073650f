//! What a step would do, said before it does.

use std::fmt;

use rowmark_hashing::ContentHash;
use rowmark_metastore::{Checkpoint, CheckpointKind, JobId, RowCounts};
use rowmark_rows::RowRanges;
use rowmark_warehouse::{MemoryWarehouse, Seal, Table, Warehouse as _};
use serde::Serialize;

use super::{Found, StepRun, Stored, done_by};
use crate::Result;
use crate::report::{Decision, StepReport, grouped};

/// What a run would do with a step, and why: a part of an [`Explanation`](crate::Explanation).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StepPlan {
    /// The step's name.
    pub step: String,
    /// Its kind: `map`, `sort`, ….
    pub kind: &'static str,
    /// Whether it would be skipped, continued or run.
    pub decision: Decision,
    /// Why: whose rows would be used or, for a step that is run, the first part of its identity that differs from the
    /// last run of a step of this name, the old value and the new one.
    pub reason: String,
    /// The job whose checkpoint would be used, if it is another than this one.
    pub reused_from: Option<JobId>,
    /// Rows of the input; unknown behind a step that is not finished.
    pub rows_in: Option<u64>,
    /// Rows of the input that are done.
    pub rows_done: u64,
}

impl fmt::Display for StepPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, kind, decision, reason, rows_in, rows_done, .. } = self;
        write!(f, "{kind} {step}: ")?;
        match (decision, rows_in) {
            (Decision::Skipped, _) => write!(f, "skip")?,
            (Decision::Continued, Some(rows)) => {
                write!(f, "continue, {} of {} rows done", grouped(*rows_done), grouped(*rows))?;
            }
            (Decision::Continued, None) => write!(f, "continue, {} rows done", grouped(*rows_done))?,
            (Decision::ReusedRows, Some(rows)) => {
                write!(f, "reuse by row, about {} of {}", grouped(*rows_done), grouped(*rows))?;
            }
            (Decision::ReusedRows, None) => write!(f, "reuse by row, about {}", grouped(*rows_done))?,
            (Decision::Run, Some(rows)) => write!(f, "run, {} rows", grouped(*rows))?,
            (Decision::Run, None) => write!(f, "run")?,
        }
        write!(f, " ({reason})")
    }
}

impl StepRun<'_> {
    /// The plan, and what the steps behind this one can build theirs on: the table if it is there, or else an empty
    /// one in the place of the one that will be.
    pub(super) fn plan(&self) -> Result<(StepPlan, Stored)> {
        let (found, _) = self.look()?;
        let plan = self.plan_of(&found)?;
        let (checkpoint, table) = match found {
            Found::All(checkpoint, table) => (checkpoint, table),
            _ => (self.expected_checkpoint(), self.empty_table()?),
        };
        let report = StepReport::of_plan(&plan);
        Ok((plan, Stored { table, checkpoint, report }))
    }

    /// What is done with what was found.
    pub(super) fn plan_of(&self, found: &Found) -> Result<StepPlan> {
        let of_other = |job: JobId| (job != self.job.id).then_some(job);
        let (decision, reason, reused_from, rows_done) = match found {
            Found::All(checkpoint, _) => {
                let from = of_other(checkpoint.job);
                let done = checkpoint.counts.rows_in - checkpoint.rows_failed;
                (Decision::Skipped, done_by(from), from, done)
            }
            Found::Some(checkpoint, table) => {
                let done =
                    if self.leaves_out_rows(table) { RowRanges::new() } else { table.processed().clone() };
                let from = of_other(checkpoint.job);
                (Decision::Continued, self.why_continued(checkpoint, table), from, done.rows())
            }
            Found::Nothing(reason) => match self.donors()?.0.first() {
                // How much of it is in the new input is known when that is read.
                Some(donor) => {
                    let done = self.own_rows(&donor.table).min(self.step.work.rows_in()?);
                    let reason = self.why_reused(donor.job, reason);
                    (Decision::ReusedRows, reason, of_other(donor.job), done)
                }
                None => (Decision::Run, reason.clone(), None, 0),
            },
        };
        Ok(StepPlan {
            step: self.step.name.to_owned(),
            kind: self.step.kind,
            decision,
            reason,
            reused_from,
            rows_in: Some(match found {
                Found::All(checkpoint, _) => checkpoint.counts.rows_in, // known without a look at the input
                _ => self.step.work.rows_in()?,
            }),
            rows_done,
        })
    }

    /// The record that the step will have when it is finished, as far as it is known.
    fn expected_checkpoint(&self) -> Checkpoint {
        Checkpoint {
            hash: self.hash_output,
            kind: CheckpointKind::Final,
            fingerprint: self.output.clone(),
            counts: RowCounts::default(),
            ..self.partial_checkpoint(Vec::new())
        }
    }

    fn empty_table(&self) -> Result<Table> {
        let writer = MemoryWarehouse::new().create(&self.partial_table(), self.step.schema, b"")?;
        let content_hash = ContentHash::of(&"rowmark.planned")?;
        Ok(writer.seal(Seal { rows_in: 0, failed: RowRanges::new(), content_hash, record: Vec::new() })?)
    }
}
