//! Makes records and tables agree when a store is opened.
//!
//! [`repairs`] is a pure function from what both stores hold to a list of repairs; each repair is
//! harmless to repeat, so a crash among them is repaired by the next open.
//!
//! It rests on two orders that all other code keeps: a table is made *after* the record that names
//! it, and is removed *before* it. So a record without its table is an unfinished beginning or end
//! and is rolled back, and a table without its record can only mean that records were lost: the
//! table says what it is, and the record is made again. No finished row is ever dropped here; what is
//! dropped are scratch tables, and recorded failures of a step of which nothing else is left.

use std::collections::BTreeSet;

use rowmark_hashing::ContentHash;
use rowmark_metastore::{Checkpoint, DatasetVersion};
use rowmark_warehouse::{TableName, UdfTable};
use uuid::Uuid;

/// A table, as far as a decision needs it.
#[derive(Clone, Debug)]
pub(crate) struct TableFact {
    pub(crate) name: TableName,
    /// It has its footer: all its rows are there.
    pub(crate) is_sealed: bool,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Repair {
    /// A step was finished but not promoted: rename its table if need be and write the final record.
    Promote(TableName),
    /// Progress whose record was lost: write it again.
    RestorePartial(TableName),
    /// A dataset whose record was lost: write it again.
    RestoreDataset(TableName),
    /// Scratch that a crash left, or failures of a step that is gone.
    DropTable(TableName),
    /// The record names a table that is not there.
    RemoveCheckpoint(Box<Checkpoint>),
    /// The record names a table that is not there.
    RemoveDataset(Box<DatasetVersion>),
}

/// What must be done so that records and tables agree.
pub(crate) fn repairs(
    checkpoints: &[Checkpoint],
    datasets: &[DatasetVersion],
    tables: &[TableFact],
) -> Vec<Repair> {
    let checkpoint_tables = checkpoints.iter().map(|record| record.table.as_str());
    let dataset_tables = datasets.iter().map(|record| record.table.as_str());
    let named: BTreeSet<&str> = checkpoint_tables.chain(dataset_tables).collect();
    let there: BTreeSet<String> = tables.iter().map(|table| table.name.to_string()).collect();

    // A result whose record was lost does not tell by its name whose failures it has: while there is one, all of
    // its job's are kept.
    let has_owner = |job: &Uuid, hash_partial: &ContentHash| {
        let of_record = checkpoints.iter().any(|record| {
            record.job.as_uuid() == job
                && record.hash_partial == *hash_partial
                && there.contains(&record.table)
        });
        of_record
            || tables.iter().any(|TableFact { name, .. }| match name {
                TableName::Udf { job: of, hash, kind: UdfTable::OutputPartial } => {
                    of == job && hash == hash_partial
                }
                TableName::Udf { job: of, kind: UdfTable::Output, .. } => {
                    of == job && !named.contains(name.to_string().as_str())
                }
                _ => false,
            })
    };
    let of_tables = tables.iter().filter_map(|TableFact { name, is_sealed }| {
        if let TableName::Udf { job, hash, kind: UdfTable::Failures } = name {
            return (!has_owner(job, hash)).then(|| Repair::DropTable(name.clone()));
        }
        let is_named = named.contains(name.to_string().as_str());
        let repair: fn(TableName) -> Repair = match (name, *is_sealed, is_named) {
            (TableName::Udf { kind: UdfTable::OutputPartial, .. }, true, _) => Repair::Promote,
            (TableName::Udf { kind: UdfTable::OutputPartial, .. }, false, false) => Repair::RestorePartial,
            (TableName::Udf { kind: UdfTable::Output, .. }, true, false) => Repair::Promote,
            (TableName::Udf { kind: UdfTable::Partition, .. }, ..) => Repair::DropTable,
            (TableName::Dataset { .. }, true, false) => Repair::RestoreDataset,
            _ => return None,
        };
        Some(repair(name.clone()))
    });
    let of_checkpoints = checkpoints
        .iter()
        .filter(|record| !there.contains(&record.table))
        .map(|record| Repair::RemoveCheckpoint(Box::new(record.clone())));
    let of_datasets = datasets
        .iter()
        .filter(|record| !there.contains(&record.table))
        .map(|record| Repair::RemoveDataset(Box::new(record.clone())));
    // A promotion may write a record again that is removed here, for a table that was made anew.
    of_checkpoints.chain(of_datasets).chain(of_tables).collect()
}

#[cfg(test)]
mod tests {
    use rowmark_hashing::{ContentHash, Fingerprint};
    use rowmark_metastore::{CheckpointKind, CheckpointStatus, JobId, RowCounts, Timestamp};

    use super::*;

    const HASH: ContentHash = ContentHash::from_bytes([7; 32]);

    fn record(table: &TableName) -> Checkpoint {
        Checkpoint {
            job: JobId::new(),
            hash: HASH,
            kind: CheckpointKind::Partial,
            status: CheckpointStatus::Active,
            created_at: Timestamp::from_millis(0),
            step: "classify".into(),
            hash_partial: HASH,
            fingerprint: Fingerprint::new("test"),
            table: table.to_string(),
            counts: RowCounts::default(),
            content_hash: None,
            codes: Vec::new(),
            identity: HASH,
            rows_failed: 0,
        }
    }

    /// Checks the repairs of one table: is it sealed, is it named by a record?
    #[track_caller]
    fn check(kind: UdfTable, is_sealed: bool, is_named: bool, expected: &[fn(TableName) -> Repair]) {
        let name = TableName::udf(*JobId::new().as_uuid(), HASH, kind);
        let records = if is_named { vec![record(&name)] } else { Vec::new() };
        let told = repairs(&records, &[], &[TableFact { name: name.clone(), is_sealed }]);
        assert_eq!(told, expected.iter().map(|repair| repair(name.clone())).collect::<Vec<_>>());
    }

    #[test]
    fn a_finished_step_is_rolled_forward_from_every_point() {
        check(UdfTable::OutputPartial, true, true, &[Repair::Promote]);
        check(UdfTable::OutputPartial, true, false, &[Repair::Promote]);
        check(UdfTable::Output, true, false, &[Repair::Promote]);
        check(UdfTable::Output, true, true, &[]);
    }

    #[test]
    fn progress_whose_record_was_lost_is_restored() {
        check(UdfTable::OutputPartial, false, false, &[Repair::RestorePartial]);
        check(UdfTable::OutputPartial, false, true, &[]);
    }

    #[test]
    fn scratch_is_dropped_and_failures_stay_with_their_step() {
        check(UdfTable::Partition, true, false, &[Repair::DropTable]);
        check(UdfTable::Failures, false, false, &[Repair::DropTable]);
        let job = *JobId::new().as_uuid();
        let table =
            |kind| TableFact { name: TableName::udf(job, HASH, kind), is_sealed: kind == UdfTable::Output };
        for owner in [UdfTable::OutputPartial, UdfTable::Output] {
            let told = repairs(&[], &[], &[table(owner), table(UdfTable::Failures)]);
            assert!(!told.iter().any(|repair| matches!(repair, Repair::DropTable(_))), "{told:?}");
        }
        let finished = Checkpoint { job: JobId::from(job), ..record(&table(UdfTable::Output).name) };
        let told = repairs(&[finished], &[], &[table(UdfTable::Output), table(UdfTable::Failures)]);
        assert_eq!(told, []);
    }

    #[test]
    fn a_stale_record_is_removed_before_its_step_is_promoted_again() {
        let name = |kind| TableName::udf(*JobId::new().as_uuid(), HASH, kind);
        let (gone, sealed) = (record(&name(UdfTable::Output)), name(UdfTable::OutputPartial));
        let told =
            repairs(std::slice::from_ref(&gone), &[], &[TableFact { name: sealed.clone(), is_sealed: true }]);
        assert_eq!(told, [Repair::RemoveCheckpoint(Box::new(gone)), Repair::Promote(sealed)]);
    }

    #[test]
    fn a_record_without_its_table_is_rolled_back() {
        let record = record(&TableName::udf(*JobId::new().as_uuid(), HASH, UdfTable::Output));
        let told = repairs(std::slice::from_ref(&record), &[], &[]);
        assert_eq!(told, [Repair::RemoveCheckpoint(Box::new(record))]);
    }
}
