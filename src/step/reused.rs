//! Takes over the rows of a changed input that were done before it changed.

use std::sync::Arc;

use rowmark_executor::Progress;
use rowmark_metastore::JobId;
use rowmark_rows::{RowRange, RowRanges};
use rowmark_warehouse::Error::BeingWritten;
use rowmark_warehouse::{BatchDigests, CodeId, Frame, Table, TableWriter};

use super::work::Workers;
use super::{Begun, StepRun};
use crate::poison::Notes;
use crate::report::Decision;
use crate::reuse::{Donor, Found, Matches, Search};
use crate::{Result, store};

impl StepRun<'_> {
    /// Finds what was done of the missing rows over another input. Batches that can stay as they are are in the table
    /// when this answers; what was found for other rows is the answer.
    pub(super) fn reuse_rows(
        &self,
        begun: Begun,
        missing: &RowRanges,
        notes: Option<&Notes>,
    ) -> Result<(Begun, Option<Found>)> {
        if missing.is_empty() {
            return Ok((begun, None));
        }
        let (donors, lost) = self.donors()?;
        for told in lost {
            self.session.warn(self.step.name, told)?;
        }
        if donors.is_empty() {
            return Ok((begun, None));
        }
        let is_new = begun.writer.processed().is_empty();
        let own = if is_new { None } else { self.session.warehouse().open_table(&self.partial_table())? };
        let own = own.map(|table| Donor { job: self.job.id, table });
        let Matches { kept, found, most_of } = self.search(&donors, own.as_ref(), missing, notes)?;
        let Some(most_of) = most_of else { return Ok((begun, None)) };
        let Begun { writer, mut decision, reason, mut from, mut other_build } = begun;
        let nearest = &donors[0].table;
        let is_whole = is_new && kept.len() == nearest.frames().len();
        let writer = if is_whole { self.link(writer, nearest)? } else { writer };
        let writer = self.keep(writer, nearest, &kept)?;
        let job = donors[most_of].job;
        let reason = self.why_reused(job, &reason);
        let of_other = (job != self.job.id).then_some(job);
        other_build |= self.tell_of_another_build(of_other)?;
        if decision == Decision::Run {
            (decision, from) = (Decision::ReusedRows, of_other);
        }
        Ok((Begun { writer, decision, reason, from, other_build }, found))
    }

    fn search(
        &self,
        donors: &[Donor],
        own: Option<&Donor>,
        missing: &RowRanges,
        notes: Option<&Notes>,
    ) -> Result<Matches> {
        let progress = Arc::new(Progress::new(missing.rows(), 0));
        let name = format!("{}: rows done before", self.step.name);
        let display = self.session.settings().display.begin(&name, &progress);
        let matches = self.step.work.find(&Search {
            workers: Workers { session: self.session, step: self.step.name, progress: &progress },
            job: *self.job.id.as_uuid(),
            hash: self.hash_output,
            code: CodeId::new(self.code),
            donors,
            own,
            rows_in: self.step.work.rows_in()?,
            missing,
            notes,
        });
        drop(display);
        matches
    }

    /// Puts the whole of another table in the place of the new one.
    fn link(&self, writer: Box<dyn TableWriter>, nearest: &Table) -> Result<Box<dyn TableWriter>> {
        let (warehouse, mine) = (self.session.warehouse(), self.partial_table());
        let record = |codes| self.provenance(self.partial_checkpoint(codes));
        drop(writer);
        warehouse.drop(&mine)?;
        match warehouse.resume_copy(nearest, &mine, &record(store::codes(nearest))?) {
            Err(error) if store::is_lost(&error) || matches!(error, BeingWritten { .. }) => {
                self.session.warn(self.step.name, format!("rows are not taken over as a whole: {error}"))?;
                self.create(&record(Vec::new())?)
            }
            linked => Ok(linked?),
        }
    }

    /// Appends batches of another table that are not there, until the run is cancelled. One that is damaged is left out.
    fn keep(
        &self,
        mut writer: Box<dyn TableWriter>,
        nearest: &Table,
        kept: &[Frame],
    ) -> Result<Box<dyn TableWriter>> {
        let is_there =
            |writer: &dyn TableWriter, range: RowRange| writer.processed().overlap(range).is_some();
        let cancel = &self.session.settings().options.cancel;
        for frame in kept.iter().take_while(|_| !cancel.is_cancelled()) {
            if is_there(&*writer, frame.range()) {
                continue;
            }
            let read = nearest
                .read(frame)
                .and_then(|rows| Ok((rows, nearest.inputs(frame)?.zip(nearest.digests(frame)?))));
            match read {
                Ok((rows, Some((inputs, digests)))) => {
                    let digests = BatchDigests { inputs: self.step.work.digest(frame.range()), ..digests };
                    writer.append_with_inputs(frame.range(), frame.code(), &rows, &inputs, &digests)?;
                }
                Ok((_, None)) => {}
                Err(error) if store::is_lost(&error) => {
                    self.session.warn(self.step.name, format!("rows are computed again: {error}"))?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        writer.commit()?;
        Ok(writer)
    }

    /// Whose rows are used, in words, and why that does not go without looking at them.
    pub(super) fn why_reused(&self, job: JobId, reason: &str) -> String {
        if job == self.job.id {
            return format!("rows of this job; {reason}");
        }
        format!("rows of job {job}; {reason}")
    }
}
