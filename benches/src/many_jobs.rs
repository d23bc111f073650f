//! A store with many jobs and checkpoints, whose tables are all there.

use std::collections::BTreeSet;
use std::fs;

use rowmark::hashing::{ContentHash, Fingerprint};
use rowmark::metastore::{
    Checkpoint, CheckpointKind, CheckpointStatus, CodeRows, Job, JobId, JobStatus, Metastore as _, RowCounts,
    RunGroupId, SledMetastore, Timestamp,
};
use rowmark::prelude::*;
use rowmark::rows::{RowRange, RowRanges, RowSchema};
use rowmark::warehouse::{CodeId, FileWarehouse, Seal, TableName, UdfTable, Warehouse as _};

use crate::Answer;
use crate::side::{At, Done};

const CHECKPOINTS_PER_JOB: u64 = 10;

/// A file has at most 65,000 names on some file systems.
const NAMES_MAX: u64 = 50_000;

/// Writers of records that share a sync.
const THREADS: usize = 16;

const STARTED: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// Makes the store; `at.rows` is its number of checkpoints.
pub(crate) fn prepare(at: &At) -> Answer {
    fill(at, at.rows.div_ceil(CHECKPOINTS_PER_JOB), at.rows)
}

/// Makes a store without checkpoints; `at.rows` is its number of jobs.
pub(crate) fn prepare_jobs(at: &At) -> Answer {
    fill(at, at.rows, 0)
}

fn fill(at: &At, jobs: u64, checkpoints: u64) -> Answer {
    let state = at.shared.join("state");
    drop(Session::builder().state_folder(&state).open()?);
    let jobs: Vec<JobId> = (0..jobs).map(|_| JobId::new()).collect();
    let checkpoints: Vec<Checkpoint> = (0..checkpoints)
        .map(|index| checkpoint(jobs[index as usize % jobs.len()], index))
        .collect::<Answer<_>>()?;

    let metastore = SledMetastore::open(state.join("meta"))?;
    std::thread::scope(|scope| {
        let write = |thread: usize| -> Answer {
            for index in (thread..jobs.len()).step_by(THREADS) {
                metastore.create_job(&job(jobs[index], index.checked_sub(1).map(|before| jobs[before])))?;
            }
            for checkpoint in checkpoints.iter().skip(thread).step_by(THREADS) {
                metastore.get_or_create_checkpoint(checkpoint.clone())?;
            }
            Ok(())
        };
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || write(thread))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("the thread ended"))
    })?;
    tables(&FileWarehouse::open(state.join("tables"))?, &state.join("tables"), &checkpoints)
}

/// Makes a table for each checkpoint: a few are written, the others are links to their files.
fn tables(warehouse: &FileWarehouse, folder: &std::path::Path, checkpoints: &[Checkpoint]) -> Answer {
    let schema = RowSchema::of::<u64>()?;
    for same in checkpoints.chunks(NAMES_MAX as usize) {
        let first: TableName = same[0].table.parse()?;
        let mut writer = warehouse.create(&first, &schema, b"")?;
        let code = CodeId::new(ContentHash::of(&"code")?);
        writer.append(RowRange::new(0, 1), code, &schema.encode(&[1_u64])?)?;
        let (failed, content_hash) = (RowRanges::new(), ContentHash::of(&1_u64)?);
        writer.seal(Seal { rows_in: 1, failed, content_hash, record: Vec::new() })?;
        let files: BTreeSet<_> = fs::read_dir(folder.join(first.to_string()))?
            .map(|file| file.map(|file| file.path()))
            .collect::<Result<_, _>>()?;
        for checkpoint in &same[1..] {
            let table = folder.join(&checkpoint.table);
            fs::create_dir(&table)?;
            for file in &files {
                fs::hard_link(file, table.join(file.file_name().expect("a file has a name")))?;
            }
        }
    }
    Ok(())
}

/// Opens the store.
pub(crate) fn open(at: &At) -> Answer<Done> {
    open_with(at, CHECKPOINTS_PER_JOB.min(at.rows))
}

/// Leaves the store as a death does: nobody says that all is well.
pub(crate) fn die(at: &At) -> Answer {
    for closed in ["state/closed", "state/meta/closed"] {
        match fs::remove_file(at.shared.join(closed)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            removed => removed?,
        }
    }
    Ok(())
}

/// Opens the store without checkpoints.
pub(crate) fn open_jobs(at: &At) -> Answer<Done> {
    open_with(at, 0)
}

fn open_with(at: &At, checkpoints_per_job: u64) -> Answer<Done> {
    let session = Session::builder().state_folder(at.shared.join("state")).open()?;
    let last = session.metastore().list_jobs()?.pop().ok_or("there are no jobs")?;
    // Had the tables and the records disagreed, checkpoints would be gone.
    let found = session.metastore().list_checkpoints(last.id)?.len() as u64;
    match found == checkpoints_per_job {
        true => Ok(Done::rows(at.rows)),
        false => Err(format!("the last job has {found} checkpoints").into()),
    }
}

fn job(id: JobId, predecessor: Option<JobId>) -> Job {
    Job {
        id,
        name: "nightly".to_owned(),
        predecessor,
        run_group: RunGroupId::new(),
        status: JobStatus::Complete,
        started_at: STARTED,
        finished_at: Some(STARTED),
        error: None,
        process: std::process::id(),
        build: None,
    }
}

fn checkpoint(job: JobId, index: u64) -> Answer<Checkpoint> {
    let fingerprint = Fingerprint::new("rowmark.step")
        .with("input source", "reviews.csv")?
        .with("name", "classify")?
        .with("output schema", "id: u64, label: utf8, score: f32")?
        .with("parameters", &index)?;
    let hash = fingerprint.hash();
    let table = TableName::udf(*job.as_uuid(), hash, UdfTable::Output).to_string();
    Ok(Checkpoint {
        job,
        hash,
        kind: CheckpointKind::Final,
        status: CheckpointStatus::Active,
        created_at: STARTED,
        step: "classify".to_owned(),
        hash_partial: ContentHash::of(&index)?,
        fingerprint,
        table,
        counts: RowCounts { rows_in: 1, rows_out: 1 },
        content_hash: Some(hash),
        codes: vec![CodeRows { code: hash, rows: 1 }],
        identity: hash,
        rows_failed: 0,
    })
}
