//! Records to check with.

use rowmark_hashing::{ContentHash, Fingerprint};

use crate::{
    Checkpoint, CheckpointKind, CheckpointStatus, CodeRows, DatasetRef, DatasetVersion, Job, JobId,
    JobStatus, RowCounts, RunGroupId, Timestamp,
};

pub(super) const KINDS: [CheckpointKind; 2] = [CheckpointKind::Partial, CheckpointKind::Final];

pub(super) fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub(super) fn hash(text: &str) -> ContentHash {
    ContentHash::of(text).expect("text can be hashed")
}

pub(super) fn job(name: &str, predecessor: Option<JobId>) -> Job {
    Job {
        id: JobId::new(),
        name: name.to_owned(),
        predecessor,
        run_group: RunGroupId::new(),
        status: JobStatus::Running,
        started_at: at(1_000),
        finished_at: None,
        error: None,
        process: 4711,
        build: None,
    }
}

fn fingerprint(step: &str, body: Option<&str>) -> Fingerprint {
    let partial = Fingerprint::new("step").with_hash("name", hash(step), step);
    body.map_or(partial.clone(), |body| partial.with_hash("body", hash(body), body))
}

/// A partial checkpoint of a step.
pub(super) fn partial(job: JobId, step: &str) -> Checkpoint {
    let fingerprint = fingerprint(step, None);
    let hash = fingerprint.hash();
    Checkpoint {
        job,
        hash,
        kind: CheckpointKind::Partial,
        status: CheckpointStatus::Active,
        created_at: at(1_000),
        step: step.to_owned(),
        hash_partial: hash,
        fingerprint,
        table: format!("udf_{job}_{}_output_partial", hash.short()),
        counts: RowCounts::default(),
        content_hash: None,
        codes: Vec::new(),
        identity: hash,
        rows_failed: 0,
    }
}

/// The final checkpoint of a step with a body.
pub(super) fn finished(job: JobId, step: &str, body: &str) -> Checkpoint {
    let partial = partial(job, step);
    let fingerprint = fingerprint(step, Some(body));
    Checkpoint {
        hash: fingerprint.hash(),
        kind: CheckpointKind::Final,
        fingerprint,
        counts: RowCounts { rows_in: 10, rows_out: 20 },
        content_hash: Some(hash("rows")),
        codes: vec![CodeRows { code: hash(body), rows: 10 }],
        ..partial
    }
}

pub(super) fn dataset(name: &str, version: u32, chain: &str) -> DatasetVersion {
    DatasetVersion {
        name: name.to_owned(),
        version,
        chain_hash: hash(chain),
        content_hash: hash("rows"),
        schema: "id: u64".to_owned(),
        table: format!("ds_{name}_{version}"),
        rows: 10,
        bytes: 1_000,
        job: JobId::new(),
        created_at: at(1_000),
        dependencies: vec![DatasetRef { name: "source".to_owned(), version: 1 }],
        codes: vec![CodeRows { code: hash("code"), rows: 10 }],
    }
}
