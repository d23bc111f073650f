//! Stores with a chain of jobs, and checkpoints spread over them.

use std::error::Error;

use rowmark_hashing::{ContentHash, Fingerprint};
use rowmark_metastore::{
    Checkpoint, CheckpointKind, CheckpointStatus, CodeRows, Job, JobId, JobStatus, Metastore, RowCounts,
    RunGroupId, Timestamp,
};

pub(crate) type Answer<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// Writers that share a sync.
pub(crate) const THREADS: usize = 16;

/// Fills a store; returns the jobs, oldest first.
pub(crate) fn fill(store: &dyn Metastore, jobs: usize, checkpoints: usize) -> Answer<Vec<JobId>> {
    let ids: Vec<JobId> = (0..jobs).map(|_| JobId::new()).collect();
    std::thread::scope(|scope| {
        let write = |thread: usize| -> Answer {
            for index in (thread..jobs).step_by(THREADS) {
                let predecessor = index.checked_sub(1).map(|index| ids[index]);
                store.create_job(&job(ids[index], predecessor))?;
            }
            for index in (thread..checkpoints).step_by(THREADS) {
                store.get_or_create_checkpoint(checkpoint(ids[index % jobs], index)?)?;
            }
            Ok(())
        };
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || write(thread))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("the thread ended"))
    })?;
    Ok(ids)
}

fn job(id: JobId, predecessor: Option<JobId>) -> Job {
    Job {
        id,
        name: "nightly".to_owned(),
        predecessor,
        run_group: RunGroupId::new(),
        status: JobStatus::Running,
        started_at: Timestamp::from_millis(1_700_000_000_000),
        finished_at: None,
        error: None,
        process: std::process::id(),
        build: None,
    }
}

/// A checkpoint; its number is what its hash is of.
pub(crate) fn checkpoint(job: JobId, index: usize) -> Answer<Checkpoint> {
    let fingerprint = Fingerprint::new("udf step")
        .with("input", "reviews.csv")?
        .with("name", "classify")?
        .with("output schema", "id: u64, label: utf8, score: f32")?
        .with("parameters", &index)?;
    let hash = fingerprint.hash();
    Ok(Checkpoint {
        job,
        hash,
        kind: CheckpointKind::Final,
        status: CheckpointStatus::Active,
        created_at: Timestamp::from_millis(1_700_000_000_000),
        step: "classify".to_owned(),
        hash_partial: ContentHash::of(&index)?,
        fingerprint,
        table: format!("udf_{job}_{hash}_output"),
        counts: RowCounts { rows_in: 1_000_000, rows_out: 1_000_000 },
        content_hash: Some(hash),
        codes: vec![CodeRows { code: hash, rows: 1_000_000 }],
        identity: hash,
        rows_failed: 0,
    })
}
