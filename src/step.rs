//! Runs one step: looks for what is done, computes what is missing, stores it in the agreed order.
//!
//! The order of writes: partial record, partial table, batches as they come, seal, rename, promote.
//! A crash after any of them is continued from (see [`crate::reconcile`]); rows are always durable
//! before a record says that they are there.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use rowmark_executor::Progress;
use rowmark_hashing::{ContentHash, ContentHasher, Fingerprint};
use rowmark_metastore::{
    Checkpoint, CheckpointKind, CheckpointStatus, CodeRows, EventKind, Job, JobId, RowCounts,
};
use rowmark_rows::{RowRange, RowRanges, RowSchema, RowType};
use rowmark_warehouse::Error::TableMissing;
use rowmark_warehouse::{CodeId, Seal, Table, TableName, TableWriter, UdfTable};

use crate::error::RowError;
use crate::input::{Input, extend, table_rows};
use crate::provenance::Provenance;
use crate::report::{Decision, StepReport};
use crate::resume::{Choice, Lookup, SameName, choices};
use crate::session::{Session, now};
use crate::task::{RowTask, TableSink};
use crate::{Error, Result, store};

/// A function over the rows of an input, with its identity.
pub(crate) struct Step<'a, In, Out> {
    pub(crate) name: &'a str,
    /// The kind of step: it is part of the identity.
    pub(crate) kind: &'static str,
    pub(crate) input: &'a dyn Input<In>,
    pub(crate) parameters: &'a Fingerprint,
    pub(crate) code: &'a Fingerprint,
    pub(crate) schema: &'a RowSchema,
    pub(crate) function: &'a (dyn Fn(In) -> Result<Out, RowError> + Sync),
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
}

/// One step in one job.
struct StepRun<'a, In, Out> {
    session: &'a Session,
    step: &'a Step<'a, In, Out>,
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

impl<In, Out: RowType> Step<'_, In, Out> {
    /// Finds the step's result or makes it.
    pub(crate) fn run(&self, session: &Session) -> Result<Stored> {
        let partial = Fingerprint::new("rowmark.step");
        let partial = extend(partial, "input", self.input.fingerprint())
            .with("step", self.kind)?
            .with("name", self.name)?
            .with_hash("output schema", self.schema.content_hash(), self.schema);
        let partial = extend(partial, "udf", self.parameters);
        let output = extend(partial.clone(), "udf", self.code);
        let (hash_partial, hash_output) = (partial.hash(), output.hash());
        let _guard = session.enter_step(hash_partial);
        let job = session.begin_job()?;
        let mut lineage = vec![job.id];
        lineage.extend(session.metastore().get_ancestor_job_ids(job.id)?);
        let run = StepRun {
            session,
            step: self,
            job,
            lineage,
            partial,
            hash_partial,
            output,
            hash_output,
            code: self.code.hash(),
            started: Instant::now(),
        };
        run.decide()
    }
}

impl<In, Out: RowType> StepRun<'_, In, Out> {
    fn decide(&self) -> Result<Stored> {
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
        };
        let choices = choices(lookup, &records)
            .map_err(|SameName| Error::SameName { step: self.step.name.to_owned() })?;
        let mut lost = None;
        for choice in choices {
            let (Choice::Skip(checkpoint) | Choice::Continue(checkpoint)) = &choice;
            match (self.open_table(checkpoint)?, choice) {
                (Ok(table), Choice::Skip(checkpoint)) => return self.skip(checkpoint, table),
                (Ok(table), Choice::Continue(checkpoint)) => {
                    return self.compute(self.continue_from(&checkpoint, &table)?);
                }
                (Err(told), _) => {
                    self.session.warn(self.step.name, told.clone())?;
                    lost = Some(told);
                }
            }
        }
        let reason = lost.map_or_else(|| self.why_not_reused(), Ok)?;
        let writer = self.start()?;
        self.compute(Begun { writer, decision: Decision::Run, reason, from: None })
    }

    fn skip(&self, checkpoint: Checkpoint, table: Table) -> Result<Stored> {
        // This leaves no record in this job: progress of another code must not look like the newest of this UDF.
        self.remove_superseded()?;
        let from = (checkpoint.job != self.job.id).then_some(checkpoint.job);
        let report = self.session.told(
            EventKind::Skip,
            StepReport {
                step: self.step.name.to_owned(),
                decision: Decision::Skipped,
                reason: match from {
                    None => "done before in this job".to_owned(),
                    Some(job) => format!("done by job {job}"),
                },
                reused_from: from,
                rows_in: checkpoint.counts.rows_in,
                rows_reused: checkpoint.counts.rows_in,
                rows_computed: 0,
                rows_failed: 0,
                rows_out: table.rows_out(),
                codes: checkpoint.codes.clone(),
                elapsed: self.started.elapsed(),
            },
        )?;
        Ok(Stored { table, checkpoint, report })
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

    /// A writer that goes on where a partial checkpoint ended. Progress of an ancestor is linked into a table
    /// of this job first.
    fn continue_from(&self, checkpoint: &Checkpoint, table: &Table) -> Result<Begun> {
        let (metastore, warehouse) = (self.session.metastore(), self.session.warehouse());
        let (from, mine) = (table.name(), self.partial_table());
        if let Some(dropped) = table.dropped_tail() {
            self.session.warn(self.step.name, format!("of the table {from} {dropped}"))?;
        }
        let is_linked = *from != mine;
        if is_linked {
            warehouse.drop(&mine)?;
            metastore.get_or_create_checkpoint(self.partial_checkpoint(store::codes(table)))?;
            warehouse.copy(from, &mine)?;
            self.remove_superseded()?;
        }
        let mut writer = warehouse.resume(&mine)?;
        writer.set_record(&self.provenance(self.partial_checkpoint(store::codes(table)))?)?;
        let is_pure = table.frames().iter().all(|frame| frame.code().hash() == self.code);
        Ok(Begun {
            writer,
            decision: Decision::Continued,
            reason: match (is_linked, is_pure) {
                (true, true) => format!("progress of job {}", checkpoint.job),
                (true, false) => format!("progress of job {}, by other code", checkpoint.job),
                (false, _) => "progress of this job".to_owned(),
            },
            from: is_linked.then_some(checkpoint.job),
        })
    }

    /// Removes the progress of ancestors, whose rows this job has linked or made anew. A table goes before its
    /// record.
    fn remove_superseded(&self) -> Result<()> {
        let metastore = self.session.metastore();
        for record in metastore.find_by_partial(self.hash_partial)? {
            let is_older = record.job != self.job.id && self.lineage.contains(&record.job);
            if record.kind == CheckpointKind::Partial && is_older {
                self.session.warehouse().drop(&record.table.parse()?)?;
                metastore.remove_checkpoint(record.job, record.hash, record.kind)?;
            }
        }
        Ok(())
    }

    /// A writer of a new table.
    fn start(&self) -> Result<Box<dyn TableWriter>> {
        let (metastore, warehouse) = (self.session.metastore(), self.session.warehouse());
        let table = self.partial_table();
        // An attempt of this job that is not to be continued; a table goes before its record.
        warehouse.drop(&table)?;
        metastore.remove_checkpoint(self.job.id, self.hash_partial, CheckpointKind::Partial)?;
        let checkpoint = metastore.get_or_create_checkpoint(self.partial_checkpoint(Vec::new()))?;
        Ok(warehouse.create(&table, self.step.schema, &self.provenance(checkpoint)?)?)
    }

    /// Computes the rows that the writer does not have, and finishes the step.
    fn compute(&self, begun: Begun) -> Result<Stored> {
        let Begun { mut writer, decision, reason, from } = begun;
        let Step { name, input, schema, function, .. } = *self.step;
        let rows_in = input.rows()?;
        let missing = writer.processed().missing_in(RowRange::new(0, rows_in));
        let rows_reused = rows_in - missing.rows();
        let progress = Arc::new(Progress::new(rows_in, rows_reused));
        let settings = self.session.settings();
        let display = settings.display.begin(name, &progress);
        let task = RowTask { input, function, schema };
        let mut sink = TableSink { writer: &mut *writer, input, code: CodeId::new(self.code) };
        let ranges: Vec<Range<u64>> = missing.iter().map(Range::from).collect();
        let outcome = self.session.executor().run(ranges, &task, &mut sink, &progress, &settings.options);
        drop(display);

        let counts = progress.snapshot();
        let mut report = StepReport {
            step: name.to_owned(),
            decision,
            reason,
            reused_from: from,
            rows_in,
            rows_reused,
            rows_computed: counts.rows_done,
            rows_failed: counts.rows_failed,
            rows_out: writer.rows_out(),
            codes: Vec::new(),
            elapsed: self.started.elapsed(),
        };
        let kind = match decision {
            Decision::Continued => EventKind::Continue,
            _ => EventKind::Run,
        };
        let finished = outcome
            .map_err(|source| Error::Step { step: name.to_owned(), source: Box::new(source) })
            .and_then(|()| self.finish(writer, rows_in));
        match finished {
            Ok((table, checkpoint)) => {
                report.codes.clone_from(&checkpoint.codes);
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

    /// Seals the table, renames it, promotes the checkpoint.
    fn finish(&self, writer: Box<dyn TableWriter>, rows_in: u64) -> Result<(Table, Checkpoint)> {
        let (metastore, warehouse) = (self.session.metastore(), self.session.warehouse());
        let partial = self.partial_table();
        let written =
            warehouse.open_table(&partial)?.ok_or_else(|| TableMissing { table: partial.clone() })?;
        let content_hash = self.hash_rows(&written)?;
        let progress = self.partial_checkpoint(store::codes(&written));
        let is_pure = progress.codes.iter().all(|made| made.code == self.code);
        let identity = if is_pure {
            self.hash_output
        } else {
            // Rows of an earlier code are among them: what builds on this table builds on its content.
            Fingerprint::new("rowmark.mixed codes")
                .with_hash("step", self.hash_output, self.step.name)
                .with_hash("content", content_hash, content_hash.short())
                .hash()
        };
        let table_name = TableName::udf(*self.job.id.as_uuid(), self.hash_output, UdfTable::Output);
        let checkpoint = Checkpoint {
            hash: self.hash_output,
            kind: CheckpointKind::Final,
            fingerprint: self.output.clone(),
            table: table_name.to_string(),
            counts: RowCounts { rows_in, rows_out: written.rows_out() },
            content_hash: Some(content_hash),
            identity,
            ..progress
        };
        let record = self.provenance(checkpoint.clone())?;
        // There is an earlier result only where checkpoints are ignored, or where it was damaged.
        warehouse.drop(&table_name)?;
        metastore.remove_checkpoint(self.job.id, self.hash_output, CheckpointKind::Final)?;
        writer.seal(Seal { rows_in, failed: RowRanges::new(), content_hash, record })?;
        let checkpoint = store::promote(&partial, &checkpoint, metastore, warehouse)?;
        self.remove_superseded()?;
        let table = warehouse.open_table(&table_name)?.ok_or(TableMissing { table: table_name })?;
        Ok((table, checkpoint))
    }

    /// The content hash of the output rows, in their order.
    fn hash_rows(&self, table: &Table) -> Result<ContentHash> {
        let mut hasher = ContentHasher::new();
        let all = RowRange::new(0, table.rows_out());
        for row in table_rows::<Out>(table, self.step.schema, all) {
            let row = row.map_err(|source| Error::ReadBack {
                step: self.step.name.to_owned(),
                source: Box::new(source),
            })?;
            hasher.update(&row)?;
        }
        Ok(hasher.finish())
    }

    /// The first thing that differs from the last run of a step of this name, for a step that is run from
    /// its start.
    fn why_not_reused(&self) -> Result<String> {
        let settings = self.session.settings();
        if settings.ignore_checkpoints {
            return Ok("checkpoints are ignored".to_owned());
        }
        for &job in &self.lineage {
            let records = self.session.metastore().list_checkpoints(job)?;
            let last = records
                .iter()
                .filter(|record| record.step == self.step.name)
                .max_by_key(|record| record.created_at);
            if let Some(last) = last {
                let now = if last.kind == CheckpointKind::Final { &self.output } else { &self.partial };
                return Ok(match now.first_difference(&last.fingerprint) {
                    Some(difference) => format!("changed: {difference}"),
                    None if settings.reset => "progress is ignored".to_owned(),
                    None => "what the last run stored is no longer used".to_owned(),
                });
            }
        }
        Ok("first run".to_owned())
    }

    fn partial_table(&self) -> TableName {
        TableName::udf(*self.job.id.as_uuid(), self.hash_partial, UdfTable::OutputPartial)
    }

    /// The record of this step's progress, over rows that these codes and this one make.
    fn partial_checkpoint(&self, mut codes: Vec<CodeRows>) -> Checkpoint {
        if codes.iter().all(|made| made.code != self.code) {
            codes.push(CodeRows { code: self.code, rows: 0 });
        }
        Checkpoint {
            job: self.job.id,
            hash: self.hash_partial,
            kind: CheckpointKind::Partial,
            status: CheckpointStatus::Active,
            created_at: now(),
            step: self.step.name.to_owned(),
            hash_partial: self.hash_partial,
            fingerprint: self.partial.clone(),
            table: self.partial_table().to_string(),
            counts: RowCounts::default(),
            content_hash: None,
            codes,
            identity: self.hash_output,
            rows_failed: 0,
        }
    }

    fn provenance(&self, checkpoint: Checkpoint) -> Result<Vec<u8>> {
        Ok(Provenance { job: self.job.clone(), checkpoint }.to_bytes()?)
    }
}
