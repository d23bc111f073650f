//! Opens the records, makes lost ones again from the tables, and applies repairs.

use std::collections::BTreeMap;
use std::time::Duration;

use rowmark_hashing::ContentHash;
use rowmark_metastore::{
    Checkpoint, CheckpointKind, CheckpointStatus, CodeRows, DatasetVersion, Error, Job, JobId, JobStatus,
    Metastore, SledMetastore, Timestamp,
};
use rowmark_warehouse::{DatasetName, Table, TableFilter, TableName, UdfTable, Warehouse};

use crate::Result;
use crate::provenance::Provenance;
use crate::reconcile::{Repair, TableFact, repairs};
use crate::state::StateFolder;

/// Makes records and tables agree.
pub(crate) fn reconcile(metastore: &dyn Metastore, warehouse: &dyn Warehouse, now: Timestamp) -> Result<()> {
    for job in metastore.list_jobs()?.iter().filter(|job| job.status == JobStatus::Running) {
        // The folder is locked by this process, so the one that ran the job is gone.
        let last_commit = last_commit(job, metastore, warehouse)?.min(now.max(job.started_at));
        metastore.finish_job(job.id, JobStatus::Interrupted, last_commit, None)?;
        tracing::info!(job = %job.id, name = job.name, "job was interrupted after its last commit at {last_commit}");
    }
    let mut tables = Vec::new();
    warehouse.remove_leftovers()?;
    for name in warehouse.list(&TableFilter::All)? {
        let is_sealed = warehouse.is_sealed(&name)?;
        tables.push(TableFact { name, is_sealed });
    }
    restore_jobs(&tables, metastore, warehouse)?;
    let mut checkpoints = Vec::new();
    for job in metastore.list_jobs()? {
        checkpoints.extend(metastore.list_checkpoints(job.id)?);
    }
    for repair in repairs(&checkpoints, &metastore.list_datasets()?, &tables) {
        tracing::warn!(
            ?repair,
            "records and tables disagree, which a crash explains; they are made to agree"
        );
        apply(&repair, metastore, warehouse)?;
    }
    Ok(())
}

/// When a job last committed rows, or finished a step; when it began, if it did neither. Tables tell it even where the
/// machine went down: they were synced.
fn last_commit(job: &Job, metastore: &dyn Metastore, warehouse: &dyn Warehouse) -> Result<Timestamp> {
    let checkpoints = metastore.list_checkpoints(job.id)?;
    let mut last = checkpoints.iter().map(|record| record.created_at).fold(job.started_at, Timestamp::max);
    for table in warehouse.list(&TableFilter::Job(*job.id.as_uuid()))? {
        last = last.max(warehouse.written_at(&table)?.map_or(last, Timestamp::from));
    }
    Ok(last)
}

/// How often, and after what pause, a metastore that is in use is tried again.
const IN_USE_RETRIES: u32 = 100;
const IN_USE_PAUSE: Duration = Duration::from_millis(10);

/// Opens the metastore of a state folder; one that is damaged is set aside.
pub(crate) fn open_metastore(folder: &StateFolder, now: Timestamp) -> Result<SledMetastore> {
    let mut opened = SledMetastore::open(folder.meta());
    // This process has the folder locked, so it can only be a child process that was being spawned when an
    // earlier session closed its files, and that has them open until it runs its own program.
    for _ in 0..IN_USE_RETRIES {
        if !matches!(opened, Err(Error::InUse { .. })) {
            break;
        }
        std::thread::sleep(IN_USE_PAUSE);
        opened = SledMetastore::open(folder.meta());
    }
    match opened {
        Err(error) if error.is_damage() || matches!(error, Error::NotAFolder { .. }) => {
            let aside = folder.set_meta_aside(now)?;
            tracing::warn!(
                "{error}; it was set aside as {} and is made again from the tables",
                aside.display()
            );
            Ok(SledMetastore::open(folder.meta())?)
        }
        opened => Ok(opened?),
    }
}

/// Makes the records of jobs again that tables speak of and the metastore has lost. Jobs of one name
/// are linked in the order in which they began, which is the order of their ids.
fn restore_jobs(tables: &[TableFact], metastore: &dyn Metastore, warehouse: &dyn Warehouse) -> Result<()> {
    let mut lost: BTreeMap<JobId, Job> = BTreeMap::new();
    for TableFact { name, .. } in tables {
        let owner = owner(name);
        if let Some(owner) = owner
            && metastore.get_job(owner)?.is_some()
        {
            continue;
        }
        let Some((_, Provenance { job, .. })) = self_described(name, warehouse)? else { continue };
        if let Some(owner) = owner {
            lost.insert(owner, Job { id: owner, ..job.clone() });
        }
        lost.insert(job.id, job);
    }
    for mut job in lost.into_values() {
        if metastore.get_job(job.id)?.is_none() {
            let earlier = metastore.find_last_job(&job.name)?;
            job.predecessor = earlier.map(|earlier| earlier.id).filter(|&earlier| earlier < job.id);
            job.status = JobStatus::Interrupted;
            job.finished_at = Some(last_commit(&job, metastore, warehouse)?);
            tracing::warn!(job = %job.id, "the record of a job was lost and is made again from its tables");
            metastore.create_job(&job)?;
        }
    }
    Ok(())
}

fn apply(repair: &Repair, metastore: &dyn Metastore, warehouse: &dyn Warehouse) -> Result<()> {
    match repair {
        Repair::Promote(name) => roll_forward(name, metastore, warehouse)?,
        Repair::RestorePartial(name) => {
            let Some((table, Provenance { checkpoint, .. })) = self_described(name, warehouse)? else {
                return Ok(());
            };
            if !matches!(name, TableName::Udf { hash, .. } if *hash == checkpoint.hash_partial) {
                // It was linked to reuse its rows over another input, and nothing was added yet.
                warehouse.drop(name)?;
            } else {
                // The newest segment may be an ancestor's, linked; the table's name says whose it is now.
                metastore.get_or_create_checkpoint(Checkpoint {
                    job: owner(name).unwrap_or(checkpoint.job),
                    hash: checkpoint.hash_partial,
                    kind: CheckpointKind::Partial,
                    status: CheckpointStatus::Active,
                    table: name.to_string(),
                    codes: codes(&table),
                    ..checkpoint
                })?;
            }
        }
        Repair::RestoreDataset(name) => {
            if let TableName::Dataset { name: dataset, version } = name
                && let Some((table, Provenance { checkpoint, .. })) = self_described(name, warehouse)?
            {
                let bytes = warehouse.size_bytes(name)?.unwrap_or(0);
                let record = dataset_version(dataset, *version, &checkpoint, &table, bytes);
                metastore.save_dataset(&record)?;
            }
        }
        Repair::DropTable(name) => {
            warehouse.drop(name)?;
        }
        Repair::RemoveCheckpoint(checkpoint) => {
            metastore.remove_checkpoint(checkpoint.job, checkpoint.hash, checkpoint.kind)?;
        }
        Repair::RemoveDataset(dataset) => {
            metastore.remove_dataset(&dataset.name, dataset.version)?;
        }
    }
    Ok(())
}

/// Does what is missing of a step that was sealed and not promoted.
pub(crate) fn roll_forward(
    name: &TableName,
    metastore: &dyn Metastore,
    warehouse: &dyn Warehouse,
) -> Result<()> {
    if let Some((_, provenance)) = self_described(name, warehouse)? {
        promote(name, &provenance.checkpoint, metastore, warehouse)?;
    }
    Ok(())
}

/// A table with what it carries about itself. One that is damaged, or does not say what it is, is left alone.
fn self_described(name: &TableName, warehouse: &dyn Warehouse) -> Result<Option<(Table, Provenance)>> {
    let told = match warehouse.open_table(name) {
        Ok(None) => return Ok(None),
        Ok(Some(table)) => match Provenance::from_bytes(table.record()) {
            Some(provenance) => return Ok(Some((table, provenance))),
            None => "it does not say what it is".to_owned(),
        },
        Err(error) => error.to_string(),
    };
    tracing::warn!("the table {name} is left as it is: {told}");
    Ok(None)
}

/// The last two steps of the write order: renames a sealed table to its final name and promotes its checkpoint.
pub(crate) fn promote(
    name: &TableName,
    checkpoint: &Checkpoint,
    metastore: &dyn Metastore,
    warehouse: &dyn Warehouse,
) -> Result<Checkpoint> {
    let final_name = TableName::udf(*checkpoint.job.as_uuid(), checkpoint.hash, UdfTable::Output);
    if *name != final_name {
        // A table of that name is an earlier result of the same step in the same job, which was to be replaced.
        warehouse.drop(&final_name)?;
        warehouse.rename(name, &final_name)?;
    }
    let Checkpoint { job, hash_partial, rows_failed, .. } = *checkpoint;
    if rows_failed == 0 {
        // The progress is still there where the finished table was put together beside it. It goes before its record.
        // Beside a result of which rows failed it may be what a retry of them has done.
        warehouse.drop(&TableName::udf(*job.as_uuid(), hash_partial, UdfTable::OutputPartial))?;
    }
    if metastore.find_checkpoint(job, hash_partial, CheckpointKind::Partial)?.is_none() {
        return Ok(metastore.get_or_create_checkpoint(checkpoint.clone())?); // it was lost
    }
    Ok(metastore.promote(job, hash_partial, checkpoint.clone())?)
}

/// Whether a table cannot be used because it is gone or its bytes are not what was written; not because it
/// could not be looked at just now.
pub(crate) fn is_lost(error: &rowmark_warehouse::Error) -> bool {
    matches!(error, rowmark_warehouse::Error::Damaged { .. } | rowmark_warehouse::Error::TableMissing { .. })
}

/// The job whose step's table this is.
fn owner(name: &TableName) -> Option<JobId> {
    match name {
        TableName::Udf { job, .. } => Some(JobId::from(*job)),
        TableName::Dataset { .. } => None,
    }
}

/// Which code did how many input rows of a table.
pub(crate) fn codes(table: &Table) -> Vec<CodeRows> {
    let mut rows: BTreeMap<ContentHash, u64> = BTreeMap::new();
    for frame in table.frames() {
        *rows.entry(frame.code().hash()).or_default() += frame.range().len();
    }
    rows.into_iter().map(|(code, rows)| CodeRows { code, rows }).collect()
}

/// The record of a dataset version that is made of a finished step's table.
pub(crate) fn dataset_version(
    name: &DatasetName,
    version: u32,
    checkpoint: &Checkpoint,
    table: &Table,
    bytes: u64,
) -> DatasetVersion {
    DatasetVersion {
        name: name.to_string(),
        version,
        chain_hash: checkpoint.identity,
        content_hash: checkpoint.content_hash.unwrap_or(checkpoint.identity),
        schema: table.schema().to_string(),
        table: TableName::dataset(name.clone(), version).to_string(),
        rows: table.rows_out(),
        bytes,
        job: checkpoint.job,
        created_at: checkpoint.created_at,
        dependencies: Vec::new(),
        codes: checkpoint.codes.clone(),
    }
}
