//! Tables of the same step over another input, whose rows may be used again.

use rowmark_hashing::{Component, Fingerprint};
use rowmark_metastore::{Checkpoint, CheckpointKind};
use rowmark_warehouse::{CodeId, Table};

use super::StepRun;
use crate::reuse::Donor;
use crate::{Result, store};

/// The most tables that are looked at.
const DONORS_MAX: usize = 4;

/// How many jobs are looked at for more, once there is one.
const JOBS_PASSED_MAX: usize = 64;

/// Before a component of the input's identity in that of a step.
pub(super) const INPUT: &str = "input";

/// Whether two steps are the same but for their inputs.
fn differ_in_input_alone(one: &Fingerprint, other: &Fingerprint) -> bool {
    fn others(fingerprint: &Fingerprint) -> impl Iterator<Item = &Component> {
        let is_of_input = |label: &str| label.strip_prefix(INPUT).is_some_and(|label| label.starts_with(' '));
        fingerprint.components().iter().filter(move |component| !is_of_input(&component.label))
    }
    let same = |(one, other): (&Component, &Component)| one.label == other.label && one.hash == other.hash;
    one.domain() == other.domain()
        && others(one).count() == others(other).count()
        && others(one).zip(others(other)).all(same)
}

impl StepRun<'_> {
    /// The tables of this step over other inputs, in this job and those that it is a rerun of, nearest first: finished
    /// ones, and what is there of others. Also tells of tables that are gone or damaged.
    pub(super) fn donors(&self) -> Result<(Vec<Donor>, Vec<String>)> {
        let settings = self.session.settings();
        let (mut donors, mut lost) = (Vec::new(), Vec::new());
        if !self.step.work.is_keyed() || !settings.row_reuse || settings.ignore_checkpoints {
            return Ok((donors, lost));
        }
        let mut jobs_passed = 0;
        for &job in &self.lineage {
            let records = self.session.metastore().list_checkpoints(job)?;
            for record in records.into_iter().rev().filter(|record| self.may_donate(record)) {
                match self.open_table(&record)? {
                    Ok(table) if self.tells_of_rows(&table)? => donors.push(Donor { job, table }),
                    Ok(_) => {}
                    Err(told) => lost.push(format!("{told}; its rows are not reused")),
                }
                if donors.len() == DONORS_MAX {
                    return Ok((donors, lost));
                }
            }
            jobs_passed += usize::from(!donors.is_empty());
            if jobs_passed > JOBS_PASSED_MAX {
                break;
            }
        }
        Ok((donors, lost))
    }

    fn may_donate(&self, record: &Checkpoint) -> bool {
        let mine = match record.kind {
            CheckpointKind::Final => &self.output,
            CheckpointKind::Partial if self.session.settings().reset => return false,
            CheckpointKind::Partial => &self.partial,
        };
        record.is_active()
            && record.step == self.step.name
            && record.hash_partial != self.hash_partial
            && differ_in_input_alone(mine, &record.fingerprint)
    }

    /// Whether anything is told of the input rows that this code did.
    fn tells_of_rows(&self, table: &Table) -> Result<bool> {
        for frame in table.frames().iter().filter(|frame| frame.code() == CodeId::new(self.code)) {
            match table.digests(frame) {
                Ok(None) => {}
                Ok(Some(_)) => return Ok(true),
                // It is told when the rows are looked at.
                Err(error) if store::is_lost(&error) => return Ok(true),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(false)
    }

    /// The input rows of a table that this code did.
    pub(super) fn own_rows(&self, table: &Table) -> u64 {
        let own = table.frames().iter().filter(|frame| frame.code() == CodeId::new(self.code));
        own.map(|frame| frame.range().len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_input_may_differ() {
        let step = |input: &str, code: u64, parameter: Option<u64>| {
            let step =
                Fingerprint::new("step").with("input content", input).unwrap().with("name", "x").unwrap();
            let step = match parameter {
                Some(value) => step.with("udf captured", &value).unwrap(),
                None => step,
            };
            step.with("udf body", &code).unwrap()
        };
        let mine = step("a", 1, Some(1));
        assert!(differ_in_input_alone(&mine, &step("b", 1, Some(1))));
        let longer = Fingerprint::new("step").with("input limit", &3).unwrap();
        let longer = mine.components().iter().fold(longer, |longer, component| {
            longer.with_hash(&component.label, component.hash, &component.shown)
        });
        assert!(differ_in_input_alone(&mine, &longer));
        for other in [step("a", 2, Some(1)), step("a", 1, Some(2)), step("a", 1, None)] {
            assert!(!differ_in_input_alone(&mine, &other));
        }
        let mut other = Fingerprint::new("other");
        for component in mine.components() {
            other = other.with_hash(&component.label, component.hash, &component.shown);
        }
        assert!(!differ_in_input_alone(&mine, &other));
        let inputs = Fingerprint::new("step").with("inputs", &1).unwrap();
        assert!(!differ_in_input_alone(&inputs, &Fingerprint::new("step")));
    }
}
