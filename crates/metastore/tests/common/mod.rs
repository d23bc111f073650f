//! Records to test with, and what a store holds as one value that can be compared.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test program uses a part of it, and all of it is for them"
)]

pub mod history;

use rowmark_hashing::{ContentHash, Fingerprint};
use rowmark_metastore::{
    Checkpoint, CheckpointKind, CheckpointStatus, CodeRows, DatasetRef, DatasetVersion, Event, EventKind,
    Job, JobId, JobStatus, Metastore, Result, RowCounts, RunGroupId, Timestamp,
};

/// An id that is the same in every run.
pub fn job_id(number: u32) -> JobId {
    JobId::from_bytes(u128::from(number).to_be_bytes())
}

pub fn job(number: u32, predecessor: Option<u32>) -> Job {
    Job {
        id: job_id(number),
        name: "nightly".to_owned(),
        predecessor: predecessor.map(job_id),
        run_group: RunGroupId::from_bytes([0xee; 16]),
        status: JobStatus::Running,
        started_at: Timestamp::from_millis(1_700_000_000_000),
        finished_at: None,
        error: None,
        process: 4711,
        build: None,
    }
}

pub fn hash(text: &str) -> ContentHash {
    ContentHash::of(text).unwrap()
}

pub fn checkpoint(job: u32, step: &str, kind: CheckpointKind) -> Checkpoint {
    let partial = Fingerprint::new("udf step").with_hash("name", hash(step), step);
    let fingerprint = match kind {
        CheckpointKind::Partial => partial.clone(),
        CheckpointKind::Final => partial.clone().with_hash("code", hash("code"), "code"),
    };
    let hash = fingerprint.hash();
    Checkpoint {
        job: job_id(job),
        hash,
        kind,
        status: CheckpointStatus::Active,
        created_at: Timestamp::from_millis(1_700_000_000_000 + u64::from(job)),
        step: step.to_owned(),
        hash_partial: partial.hash(),
        fingerprint,
        table: format!("udf_{}_{}_output", job_id(job), hash.short()),
        counts: RowCounts { rows_in: 10, rows_out: 20 },
        content_hash: (kind == CheckpointKind::Final).then_some(hash),
        codes: vec![CodeRows { code: hash, rows: 10 }],
        identity: hash,
        rows_failed: 0,
    }
}

pub fn dataset(name: &str, version: u32, chain: &str) -> DatasetVersion {
    DatasetVersion {
        name: name.to_owned(),
        version,
        chain_hash: hash(chain),
        content_hash: hash("rows"),
        schema: "id: u64, label: utf8".to_owned(),
        table: format!("ds_{name}_{version}"),
        rows: 10,
        bytes: 1_000,
        job: job_id(1),
        created_at: Timestamp::from_millis(1_700_000_000_000),
        dependencies: vec![DatasetRef { name: "source".to_owned(), version: 1 }],
        codes: Vec::new(),
    }
}

pub fn event(job: u32, step: &str) -> Event {
    let at = Timestamp::from_millis(1_700_000_000_000);
    Event { rows_in: 10, rows_computed: 10, ..Event::new(job_id(job), at, step, EventKind::Run) }
}

/// Everything that a store holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Contents {
    pub jobs: Vec<Job>,
    pub checkpoints: Vec<Checkpoint>,
    pub datasets: Vec<DatasetVersion>,
    pub events: Vec<Event>,
}

/// Reads a whole store; the jobs are those that are numbered up to `jobs_max`.
pub fn contents(store: &dyn Metastore, jobs_max: u32) -> Result<Contents> {
    let mut contents = Contents {
        jobs: store.list_jobs()?,
        checkpoints: Vec::new(),
        datasets: store.list_datasets()?,
        events: Vec::new(),
    };
    for job in 0..=jobs_max {
        contents.checkpoints.extend(store.list_checkpoints(job_id(job))?);
        contents.events.extend(store.list_events(job_id(job))?);
    }
    Ok(contents)
}
