//! The end of a step: seal, rename, promote; and what its records say.

use rowmark_hashing::Fingerprint;
use rowmark_metastore::{Checkpoint, CheckpointKind, CheckpointStatus, CodeRows, RowCounts};
use rowmark_rows::RowRange;
use rowmark_warehouse::Error::TableMissing;
use rowmark_warehouse::{CodeId, Seal, Table, TableName, TableWriter, UdfTable};

use super::StepRun;
use super::failures::Failures;
use crate::digests::Digests;
use crate::explain::change;
use crate::provenance::Provenance;
use crate::session::now;
use crate::{Result, store};

impl StepRun<'_> {
    /// Seals the table, renames it, promotes the checkpoint. The table numbers `rows_numbered` rows: those that go
    /// in or, for a step that has them all in view, those that come out.
    pub(super) fn finish(
        &self,
        mut writer: Box<dyn TableWriter>,
        failures: Failures,
        rows_in: u64,
        rows_numbered: u64,
        digests: Digests,
    ) -> Result<(Table, Checkpoint)> {
        let (metastore, warehouse) = (self.session.metastore(), self.session.warehouse());
        let partial = self.partial_table();
        let written = writer.written()?;
        let content_hash = self.step.work.hash_rows(&written, self.step.name, digests)?;
        let remains = self.step.work.remains(&written)?;
        let rows_out = remains.as_ref().map_or(written.rows_out(), |rows| rows.num_rows() as u64);
        let failed = failures.rows().clone();
        let progress = self.partial_checkpoint(store::codes(&written));
        let is_pure = progress.codes.iter().all(|made| made.code == self.code);
        // Where rows of an earlier code are among them, or some are missing, what builds on this table builds on its
        // content.
        let of_content = |why| {
            Fingerprint::new(why)
                .with_hash("step", self.hash_output, self.step.name)
                .with_hash("content", content_hash, content_hash.short())
                .hash()
        };
        let identity = match (is_pure, failed.is_empty()) {
            (true, true) => self.hash_output,
            (_, false) => of_content("rowmark.failed rows"),
            (false, true) => of_content("rowmark.mixed codes"),
        };
        let table_name = self.output_table();
        let checkpoint = Checkpoint {
            hash: self.hash_output,
            kind: CheckpointKind::Final,
            fingerprint: self.output.clone(),
            table: table_name.to_string(),
            counts: RowCounts { rows_in, rows_out },
            content_hash: Some(content_hash),
            identity,
            rows_failed: failed.rows(),
            ..progress
        };
        let record = self.provenance(checkpoint.clone())?;
        // There is an earlier result only where checkpoints are ignored, where it was damaged, or where rows of it
        // had failed.
        warehouse.drop(&table_name)?;
        metastore.remove_checkpoint(self.job.id, self.hash_output, CheckpointKind::Final)?;
        let mut finished = partial;
        if let Some(rows) = remains {
            writer = self.start_anew(&record)?;
            finished = writer.name().clone();
            writer.append(RowRange::new(0, rows_numbered), CodeId::new(self.code), &rows)?;
        }
        writer.seal(Seal { rows_in: rows_numbered, failed, content_hash, record })?;
        let checkpoint = store::promote(&finished, &checkpoint, metastore, warehouse)?;
        self.remove_superseded()?;
        if failures.rows().is_empty() {
            drop(failures);
            warehouse.drop(&self.failures_table())?;
        }
        let table = warehouse.open_table(&table_name)?.ok_or(TableMissing { table: table_name })?;
        Ok((table, checkpoint))
    }

    /// A scratch table for what remains of a finished step. The step's progress stays until that has its place.
    fn start_anew(&self, record: &[u8]) -> Result<Box<dyn TableWriter>> {
        let warehouse = self.session.warehouse();
        let name = TableName::udf(*self.job.id.as_uuid(), self.hash_output, UdfTable::Partition);
        warehouse.drop(&name)?;
        Ok(warehouse.create(&name, self.step.schema, record)?)
    }

    /// The first thing that differs from the last run of a step of this name, for a step that is run from
    /// its start.
    pub(super) fn why_not_reused(&self) -> Result<String> {
        let settings = self.session.settings();
        if settings.ignore_checkpoints {
            return Ok("checkpoints are ignored".to_owned());
        }
        for &job in &self.lineage {
            let records = self.session.metastore().list_checkpoints(job)?;
            let last = records.iter().filter(|record| record.step == self.step.name).max_by_key(|record| {
                (alike(self.now_of(record.kind), &record.fingerprint), record.created_at)
            });
            if let Some(last) = last {
                let now = self.now_of(last.kind);
                return Ok(match now.first_difference(&last.fingerprint) {
                    Some(difference) => change::told(self.step.name, &difference),
                    None if settings.reset => "progress is ignored".to_owned(),
                    None => "what the last run stored is no longer used".to_owned(),
                });
            }
        }
        Ok("first run".to_owned())
    }

    /// What this step is, where one of this kind is looked for.
    fn now_of(&self, kind: CheckpointKind) -> &Fingerprint {
        if kind == CheckpointKind::Final { &self.output } else { &self.partial }
    }

    /// The record of this step's progress, over rows that these codes and this one make.
    pub(super) fn partial_checkpoint(&self, mut codes: Vec<CodeRows>) -> Checkpoint {
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

    pub(super) fn provenance(&self, checkpoint: Checkpoint) -> Result<Vec<u8>> {
        Ok(Provenance { job: self.job.clone(), checkpoint }.to_bytes()?)
    }
}

/// How many components are the same before the first that is not: several steps of a job may have one name.
fn alike(now: &Fingerprint, then: &Fingerprint) -> usize {
    let pairs = now.components().iter().zip(then.components());
    pairs.take_while(|(now, then)| now.label == then.label && now.hash == then.hash).count()
}
