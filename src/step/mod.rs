//! Runs one step: looks for what is done, computes what is missing, stores it in the agreed order.
//!
//! The order of writes: partial record, partial table, batches as they come, seal, rename, promote.
//! A crash after any of them is continued from (see [`crate::reconcile`]); rows are always durable
//! before a record says that they are there.

use std::sync::Arc;
use std::time::Instant;

use rowmark_executor::Progress;
use rowmark_hashing::{ContentHash, Fingerprint};
use rowmark_metastore::{Checkpoint, CheckpointKind, EventKind, Job, JobId};
use rowmark_rows::{RowRange, RowRanges, RowSchema};
use rowmark_warehouse::{CodeId, Table, TableName, TableWriter, UdfTable};

use crate::digests::Digests;
use crate::input::extend;
use crate::poison::Notes;
use crate::report::{Decision, StepReport};
use crate::resume::{Choice, Lookup, SameName, choices};
use crate::session::Session;
use crate::{Error, Result, store};

mod begin;
pub(crate) mod cut;
pub(crate) mod digesting;
mod donors;
pub(crate) mod failures;
mod finish;
pub(crate) mod fold;
pub(crate) mod groups;
pub(crate) mod in_order;
mod plan;
mod reused;
pub(crate) mod rows;
pub(crate) mod sorted;
pub(crate) mod work;

use donors::INPUT;
use failures::{FailedRow, Failures};
pub use plan::StepPlan;
use work::{Computation, Work, Workers};

/// Rows to be computed and stored, with the identity of how.
pub(crate) struct Step<'a> {
    pub(crate) name: &'a str,
    /// The kind of step: it is part of the identity.
    pub(crate) kind: &'static str,
    /// The identity of the rows that go in.
    pub(crate) input: &'a Fingerprint,
    pub(crate) parameters: &'a Fingerprint,
    pub(crate) code: &'a Fingerprint,
    /// What the rows that come out look like.
    pub(crate) schema: &'a RowSchema,
    pub(crate) work: &'a dyn Work,
    /// Computes also rows whose failure was recorded.
    pub(crate) retries_failed: bool,
}

/// The stored result of a step.
pub(crate) struct Stored {
    pub(crate) table: Table,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) report: StepReport,
}

/// Where the rows that are there already come from.
struct Begun {
    writer: Box<dyn TableWriter>,
    decision: Decision,
    reason: String,
    /// The job whose progress is continued, if it is another.
    from: Option<JobId>,
    /// Another build of the program computed them, by this code.
    other_build: bool,
}

/// One step in one job.
struct StepRun<'a> {
    session: &'a Session,
    step: &'a Step<'a>,
    job: Job,
    /// This job, then those that it is a rerun of, nearest first.
    lineage: Vec<JobId>,
    /// Identity without the code.
    partial: Fingerprint,
    hash_partial: ContentHash,
    /// Identity with the code.
    output: Fingerprint,
    hash_output: ContentHash,
    /// Identity of the code alone.
    code: ContentHash,
    started: Instant,
}

impl Step<'_> {
    /// Finds the step's result or makes it.
    pub(crate) fn run(&self, session: &Session) -> Result<Stored> {
        let partial = self.partial()?;
        let _guard = session.enter_step(partial.hash());
        self.of_job(session, session.begin_job()?, partial)?.decide()
    }

    /// Says what `run` would do. Nothing is changed.
    pub(crate) fn plan(&self, session: &Session) -> Result<(StepPlan, Stored)> {
        let job = session.job().unwrap_or_else(|| session.next_job(None));
        self.of_job(session, job, self.partial()?)?.plan()
    }

    /// The identity without the code.
    fn partial(&self) -> Result<Fingerprint> {
        let partial = extend(Fingerprint::new("rowmark.step"), INPUT, self.input)
            .with("step", self.kind)?
            .with("name", self.name)?
            .with_hash("output schema", self.schema.content_hash(), self.schema);
        Ok(extend(partial, "udf", self.parameters))
    }

    fn of_job<'a>(&'a self, session: &'a Session, job: Job, partial: Fingerprint) -> Result<StepRun<'a>> {
        let output = extend(partial.clone(), "udf", self.code);
        let mut lineage = session.lineage()?;
        if lineage.first() != Some(&job.id) {
            lineage.insert(0, job.id); // a job that has not begun
        }
        Ok(StepRun {
            session,
            step: self,
            job,
            lineage,
            hash_partial: partial.hash(),
            partial,
            hash_output: output.hash(),
            output,
            code: self.code.hash(),
            started: Instant::now(),
        })
    }
}

/// What is there of a step's rows.
pub(super) enum Found {
    All(Checkpoint, Table),
    Some(Checkpoint, Table),
    /// Nothing that can be used, and why.
    Nothing(String),
}

impl StepRun<'_> {
    fn decide(&self) -> Result<Stored> {
        self.roll_forward()?;
        let (found, lost) = self.look()?;
        for told in lost {
            self.session.warn(self.step.name, told)?;
        }
        if tracing::enabled!(tracing::Level::INFO) {
            tracing::info!("{}", self.plan_of(&found)?);
        }
        match found {
            Found::All(checkpoint, table) => self.skip(checkpoint, table),
            Found::Some(checkpoint, table) => self.compute(self.continue_from(&checkpoint, &table)?),
            Found::Nothing(reason) => {
                let (writer, decision) = (self.start()?, Decision::Run);
                self.compute(Begun { writer, decision, reason, from: None, other_build: false })
            }
        }
    }

    /// Looks for the best of what is there. Also tells of tables that are gone or damaged.
    fn look(&self) -> Result<(Found, Vec<String>)> {
        let metastore = self.session.metastore();
        let records: Vec<Checkpoint> =
            metastore.find_by_partial(self.hash_partial)?.into_iter().filter(Checkpoint::is_active).collect();
        let settings = self.session.settings();
        let lookup = Lookup {
            lineage: &self.lineage,
            hash_output: self.hash_output,
            code: self.code,
            ignore_checkpoints: settings.ignore_checkpoints,
            reset: settings.reset,
            reuse: settings.reuse,
            mixed_code: settings.mixed_code,
            failures_max: settings.failures_max(),
            retries_failed: self.step.retries_failed,
        };
        let choices = choices(lookup, &records)
            .map_err(|SameName| Error::SameName { step: self.step.name.to_owned() })?;
        let mut lost = Vec::new();
        let work = self.step.work;
        for choice in choices {
            if matches!(choice, Choice::Continue(_)) && !work.is_resumable() {
                continue;
            }
            let (Choice::Skip(checkpoint) | Choice::Continue(checkpoint)) = &choice;
            match (self.open_table(checkpoint)?, choice) {
                (Ok(table), Choice::Skip(checkpoint)) => return Ok((Found::All(checkpoint, table), lost)),
                // A running state cannot be rid of the rows that other code took into it.
                (Ok(table), Choice::Continue(_)) if work.is_cumulative() && self.leaves_out_rows(&table) => {}
                (Ok(table), Choice::Continue(checkpoint)) => {
                    return Ok((Found::Some(checkpoint, table), lost));
                }
                (Err(told), _) => lost.push(told),
            }
        }
        let reason = lost.last().cloned().map_or_else(|| self.why_not_reused(), Ok)?;
        Ok((Found::Nothing(reason), lost))
    }

    /// Finishes what an earlier attempt of this job has sealed and, because a write failed, not promoted. What other
    /// jobs left in that state was promoted when the store was opened.
    fn roll_forward(&self) -> Result<()> {
        let (metastore, warehouse) = (self.session.metastore(), self.session.warehouse());
        for table in [self.partial_table(), self.output_table()] {
            if warehouse.is_sealed(&table)? {
                let name = table.to_string();
                let records = metastore.list_checkpoints(self.job.id)?;
                let is_promoted =
                    records.iter().any(|record| record.kind == CheckpointKind::Final && record.table == name);
                if !is_promoted {
                    store::roll_forward(&table, metastore, warehouse)?;
                }
            }
        }
        Ok(())
    }

    fn skip(&self, checkpoint: Checkpoint, table: Table) -> Result<Stored> {
        // This leaves no record in this job: progress of another code must not look like the newest of this UDF.
        self.remove_superseded()?;
        let from = (checkpoint.job != self.job.id).then_some(checkpoint.job);
        let other_build = self.tell_of_another_build(from)?;
        let report = self.session.told(
            EventKind::Skip,
            StepReport {
                step: self.step.name.to_owned(),
                decision: Decision::Skipped,
                reason: done_by(from),
                reused_from: from,
                rows_in: checkpoint.counts.rows_in,
                rows_reused: checkpoint.counts.rows_in - checkpoint.rows_failed,
                rows_computed: 0,
                rows_failed: checkpoint.rows_failed,
                rows_out: checkpoint.counts.rows_out,
                codes: checkpoint.codes.clone(),
                other_build,
                elapsed: self.started.elapsed(),
            },
        )?;
        Ok(Stored { table, checkpoint, report })
    }

    /// Says, once for each build of the program, that rows are used which another build computed. What the code uses and
    /// does not list may have changed since.
    fn tell_of_another_build(&self, from: Option<JobId>) -> Result<bool> {
        let Some(from) = from else { return Ok(false) };
        let is_news = self.session.is_news_of_another_build(self.step.name, from)?;
        if is_news {
            let told = format!("rows of job {from} are used, which another build of the program computed");
            self.session.warn(self.step.name, told)?;
        }
        Ok(is_news)
    }

    /// The table that a checkpoint names, or in words why it cannot be used: it is gone or damaged.
    fn open_table(&self, checkpoint: &Checkpoint) -> Result<Result<Table, String>> {
        let told = match self.session.warehouse().open_table(&checkpoint.table.parse()?) {
            Ok(Some(table)) if checkpoint.kind == CheckpointKind::Partial || table.seal().is_some() => {
                return Ok(Ok(table));
            }
            Ok(Some(_)) => "is not whole".to_owned(),
            Ok(None) => "is gone".to_owned(),
            Err(error) if store::is_lost(&error) => format!("cannot be used: {error}"),
            Err(error) => return Err(error.into()),
        };
        Ok(Err(format!("the table {} {told}", checkpoint.table)))
    }

    /// Computes the rows that the writer does not have, and finishes the step.
    fn compute(&self, begun: Begun) -> Result<Stored> {
        let Step { name, work, .. } = *self.step;
        let rows_in = work.rows_in()?;
        let all = RowRange::new(0, rows_in);
        let mut failures = self.failures(begun.writer.processed())?;
        let missing = unsettled(&*begun.writer, &failures, all);
        let notes = self.notes(&missing, &mut failures)?;
        let missing = unsettled(&*begun.writer, &failures, all);
        let (begun, found) = self.reuse_rows(begun, &missing, notes.as_ref())?;
        let Begun { mut writer, decision, reason, from, other_build } = begun;
        let missing = unsettled(&*writer, &failures, all);
        let (rows_reused, failed_before) = (writer.processed().rows(), failures.rows().rows());
        let progress = Arc::new(Progress::new(rows_in, rows_reused).failed_before(failed_before));
        let settings = self.session.settings();
        let display = settings.display.begin(name, &progress);
        let mut computation = Computation {
            workers: Workers { session: self.session, step: name, progress: &progress },
            job: *self.job.id.as_uuid(),
            hash: self.hash_output,
            code: CodeId::new(self.code),
            writer: &mut *writer,
            failures: &mut failures,
            missing,
            found: found.as_ref(),
            notes: notes.as_ref(),
            digests: Digests::default(),
        };
        let outcome = work.compute(&mut computation);
        let digests = computation.digests;
        drop(display);
        if outcome.is_ok() {
            notes.into_iter().for_each(Notes::remove);
        }

        let counts = progress.snapshot();
        let mut report = StepReport {
            step: name.to_owned(),
            decision,
            reason,
            reused_from: from,
            rows_in,
            rows_reused: counts.rows_reused,
            rows_computed: counts.rows_done,
            rows_failed: failed_before + counts.rows_failed,
            rows_out: writer.rows_out(),
            codes: Vec::new(),
            other_build,
            elapsed: self.started.elapsed(),
        };
        let kind = match decision {
            Decision::Continued => EventKind::Continue,
            _ => EventKind::Run,
        };
        match outcome.and_then(|rows_numbered| self.finish(writer, failures, rows_in, rows_numbered, digests))
        {
            Ok((table, checkpoint)) => {
                report.codes.clone_from(&checkpoint.codes);
                report.rows_out = checkpoint.counts.rows_out;
                // A row that failed beyond what a `limit` asked for is no failure.
                report.rows_failed = checkpoint.rows_failed;
                let report =
                    self.session.told(kind, StepReport { elapsed: self.started.elapsed(), ..report })?;
                Ok(Stored { table, checkpoint, report })
            }
            Err(error) => {
                self.session.told(kind, report)?;
                Err(error)
            }
        }
    }

    /// The recorded failures that this run leaves as they are.
    fn failures(&self, processed: &RowRanges) -> Result<Failures> {
        let table = self.failures_table();
        let failures_max = if self.step.retries_failed { 0 } else { self.session.settings().failures_max() };
        let mut recorded = match failures::read(self.session.warehouse(), &table, processed) {
            Ok(mut recorded) => {
                // Other code may do them.
                recorded.retain(|failed| failed.code == self.code.to_string());
                failures::rows_of(&recorded)
            }
            Err(error) if failures::is_lost(&error) => {
                self.session.warn(self.step.name, format!("the failed rows are tried again: {error}"))?;
                self.session.warehouse().drop(&table)?;
                RowRanges::new()
            }
            Err(error) => return Err(error),
        };
        if recorded.rows() > failures_max {
            recorded = RowRanges::new(); // they are tried again
        }
        Ok(Failures::new(self.session, table, CodeId::new(self.code), recorded))
    }

    /// Opens the notes of rows in work, if there are to be any, and records the rows that were in work at too many
    /// deaths of the process.
    fn notes(&self, missing: &RowRanges, failures: &mut Failures) -> Result<Option<Notes>> {
        let Step { work, retries_failed, .. } = *self.step;
        let folder = self.session.notes_folder(self.hash_partial).filter(|_| work.is_row_by_row());
        let (Some(folder), Some(deaths_max)) = (folder, self.session.settings().deaths_max) else {
            return Ok(None);
        };
        let notes = Notes::open(&folder, missing)?;
        if !retries_failed {
            for (row, deaths) in notes.deadly(deaths_max) {
                let error = format!("the process died {deaths} times in a row while this row was in work");
                failures.add(FailedRow::new(row, work.shown(row), error, deaths, CodeId::new(self.code)));
            }
            failures.commit()?;
        }
        Ok(Some(notes))
    }

    fn partial_table(&self) -> TableName {
        TableName::udf(*self.job.id.as_uuid(), self.hash_partial, UdfTable::OutputPartial)
    }

    fn output_table(&self) -> TableName {
        TableName::udf(*self.job.id.as_uuid(), self.hash_output, UdfTable::Output)
    }

    fn failures_table(&self) -> TableName {
        failures::table_name(self.job.id, self.hash_partial)
    }
}

/// The rows of which it is not known yet what becomes of them.
fn unsettled(writer: &dyn TableWriter, failures: &Failures, all: RowRange) -> RowRanges {
    let mut settled = writer.processed().clone();
    settled.extend(failures.rows());
    settled.missing_in(all)
}

/// Why a step is skipped, in words.
fn done_by(job: Option<JobId>) -> String {
    job.map_or_else(|| "done before in this job".to_owned(), |job| format!("done by job {job}"))
}
