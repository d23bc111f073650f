//! The beginning of a step: a table of its own, new or linked from what is there.

use rowmark_metastore::{Checkpoint, CheckpointKind};
use rowmark_warehouse::{Table, TableName, TableWriter};

use super::{Begun, StepRun, failures};
use crate::report::Decision;
use crate::resume::MixedCode;
use crate::{Error, Result, store};

impl StepRun<'_> {
    /// A writer that goes on where a checkpoint ended. Progress of an ancestor, and a result without the rows
    /// that failed, are linked into a table of this job first.
    pub(super) fn continue_from(&self, checkpoint: &Checkpoint, table: &Table) -> Result<Begun> {
        let (metastore, warehouse) = (self.session.metastore(), self.session.warehouse());
        let (from, mine) = (table.name(), self.partial_table());
        if let Some(dropped) = table.dropped_tail() {
            self.session.warn(self.step.name, format!("of the table {from} {dropped}"))?;
        }
        let is_other_job = checkpoint.job != self.job.id;
        let reason = self.why_continued(checkpoint, table);
        let is_pure = self.is_pure(table);
        if self.session.settings().mixed_code == MixedCode::Fail && !is_pure {
            return Err(Error::MixedCode { step: self.step.name.to_owned() });
        }
        let record = self.provenance(self.partial_checkpoint(store::codes(table)))?;
        let writer = if *from == mine {
            let mut writer = warehouse.resume(&mine)?;
            writer.set_record(&record)?;
            writer
        } else {
            warehouse.drop(&mine)?;
            metastore.get_or_create_checkpoint(self.partial_checkpoint(store::codes(table)))?;
            if is_other_job {
                self.take_over_failures(&failures::table_name(checkpoint.job, self.hash_partial))?;
            }
            let writer = if self.leaves_out_rows(table) {
                self.copy_own_rows(table, &record)?
            } else {
                warehouse.resume_copy(table, &mine, &record)?
            };
            self.remove_superseded()?;
            writer
        };
        let from = is_other_job.then_some(checkpoint.job);
        // Rows of other code are told as such.
        let other_build = is_pure && self.tell_of_another_build(from)?;
        Ok(Begun { writer, decision: Decision::Continued, reason, from, other_build })
    }

    /// Whose rows a step continues from, in words.
    pub(super) fn why_continued(&self, checkpoint: &Checkpoint, table: &Table) -> String {
        let what = if checkpoint.kind == CheckpointKind::Partial { "progress" } else { "finished rows" };
        match (checkpoint.job != self.job.id, self.is_pure(table)) {
            (true, true) => format!("{what} of job {}", checkpoint.job),
            (true, false) => format!("{what} of job {}, by other code", checkpoint.job),
            (false, _) => format!("{what} of this job"),
        }
    }

    /// Whether this code made all the rows of a table.
    pub(super) fn is_pure(&self, table: &Table) -> bool {
        table.frames().iter().all(|frame| frame.code().hash() == self.code)
    }

    /// Whether the rows of other code are to be computed again, and there are some.
    pub(super) fn leaves_out_rows(&self, table: &Table) -> bool {
        self.session.settings().mixed_code == MixedCode::RecomputeStale && !self.is_pure(table)
    }

    /// Makes the table of this job's progress from the batches of another that this code made.
    fn copy_own_rows(&self, table: &Table, record: &[u8]) -> Result<Box<dyn TableWriter>> {
        let mut writer = self.create(record)?;
        for frame in table.frames().iter().filter(|frame| frame.code().hash() == self.code) {
            writer.append(frame.range(), frame.code(), &table.read(frame)?)?;
        }
        writer.commit()?;
        Ok(writer)
    }

    /// Links what an ancestor recorded of failed rows. If that is damaged, the rows are tried again.
    fn take_over_failures(&self, from: &TableName) -> Result<()> {
        let (warehouse, mine) = (self.session.warehouse(), self.failures_table());
        warehouse.drop(&mine)?;
        match warehouse.open_table(from) {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Ok(warehouse.copy(from, &mine)?),
            Err(error) if store::is_lost(&error) => {
                self.session.warn(self.step.name, format!("the failed rows are tried again: {error}"))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Removes the progress of ancestors, whose rows this job has linked or made anew. A table goes before its
    /// record.
    pub(super) fn remove_superseded(&self) -> Result<()> {
        for record in self.session.metastore().find_by_partial(self.hash_partial)? {
            let is_older = record.job != self.job.id && self.lineage.contains(&record.job);
            if record.kind == CheckpointKind::Partial && is_older {
                self.session.remove_checkpoint_and_tables(&record)?;
            }
        }
        Ok(())
    }

    /// A writer of a new table.
    pub(super) fn start(&self) -> Result<Box<dyn TableWriter>> {
        let (metastore, warehouse) = (self.session.metastore(), self.session.warehouse());
        let table = self.partial_table();
        // An attempt of this job that is not to be continued; a table goes before its record.
        warehouse.drop(&table)?;
        warehouse.drop(&self.failures_table())?;
        metastore.remove_checkpoint(self.job.id, self.hash_partial, CheckpointKind::Partial)?;
        let checkpoint = metastore.get_or_create_checkpoint(self.partial_checkpoint(Vec::new()))?;
        self.create(&self.provenance(checkpoint)?)
    }

    /// An empty table of this job's progress.
    pub(super) fn create(&self, record: &[u8]) -> Result<Box<dyn TableWriter>> {
        let (warehouse, table) = (self.session.warehouse(), self.partial_table());
        Ok(if self.step.work.is_keyed() && self.session.settings().row_reuse {
            warehouse.create_with_inputs(&table, self.step.schema, record)?
        } else {
            warehouse.create(&table, self.step.schema, record)?
        })
    }
}
