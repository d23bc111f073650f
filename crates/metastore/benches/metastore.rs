//! What opening, finding and changing records costs, beside what the disk alone would cost.
//!
//! `cargo bench -p rowmark-metastore` prints the figures; nothing is asserted. `JOBS` and `CHECKPOINTS` set the size
//! of the store (10,000 and 100,000).

use std::error::Error;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rowmark_hashing::{ContentHash, Fingerprint};
use rowmark_metastore::{
    Checkpoint, CheckpointKind, CheckpointStatus, CodeRows, Event, EventKind, Job, JobId, JobStatus,
    Metastore, RowCounts, RunGroupId, SledMetastore, Timestamp,
};

const OPEN_IN_CHILD: &str = "ROWMARK_BENCH_OPEN";
const THREADS: usize = 16;

type Answer<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Answer {
    if let Some(path) = std::env::var_os(OPEN_IN_CHILD) {
        return open_and_tell_memory(Path::new(&path));
    }
    let (jobs, checkpoints) = (size("JOBS", 10_000)?, size("CHECKPOINTS", 100_000)?);
    // Beside the build and not in the system's folder for temporary files, which may be memory.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let path = folder.path().join("records");

    let start = Instant::now();
    let ids = fill(&path, jobs, checkpoints)?;
    let filled = start.elapsed();
    let bytes = fs::metadata(path.join("db"))?.len();
    println!("store: {jobs} jobs, {checkpoints} checkpoints, {:.1} MB", megabytes(bytes));
    println!("  made durable one by one from {THREADS} threads: {filled:.1?}");

    let start = Instant::now();
    let read = fs::read(path.join("db"))?.len();
    println!("  plain read of its file ({:.1} MB): {:.1?}", megabytes(read as u64), start.elapsed());
    let output = Command::new(std::env::current_exe()?).env(OPEN_IN_CHILD, &path).output()?;
    print!("{}", String::from_utf8(output.stdout)?);

    let store = SledMetastore::open(&path)?;
    find(&store, &ids)?;
    change(&store, folder.path())
}

fn size(variable: &str, default: usize) -> Answer<usize> {
    Ok(std::env::var(variable).map_or(Ok(default), |text| text.parse())?)
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Fills a store with a chain of jobs and with checkpoints spread over them; returns the jobs, oldest first.
fn fill(path: &Path, jobs: usize, checkpoints: usize) -> Answer<Vec<JobId>> {
    let store = SledMetastore::open(path)?;
    let ids: Vec<JobId> = (0..jobs).map(|_| JobId::new()).collect();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (store, ids) = (&store, &ids);
                scope.spawn(move || -> Answer {
                    for index in (thread..jobs).step_by(THREADS) {
                        let predecessor = index.checked_sub(1).map(|index| ids[index]);
                        store.create_job(&job(ids[index], predecessor))?;
                    }
                    for index in (thread..checkpoints).step_by(THREADS) {
                        store.get_or_create_checkpoint(checkpoint(ids[index % jobs], index)?)?;
                    }
                    Ok(())
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("the thread ended"))
    })?;
    Ok(ids)
}

fn open_and_tell_memory(path: &Path) -> Answer {
    let before = memory_kilobytes("VmRSS:")?;
    let start = Instant::now();
    let store = SledMetastore::open(path)?;
    let opened = start.elapsed();
    let peak = memory_kilobytes("VmHWM:")?;
    println!("  opened and checked: {opened:.1?}, {} MB above the start", (peak - before) / 1000);
    drop(store);
    Ok(())
}

/// A figure of the process's own memory; 0 where there is no such file.
fn memory_kilobytes(name: &str) -> Answer<u64> {
    let Ok(status) = fs::read_to_string("/proc/self/status") else { return Ok(0) };
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0 kB");
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

fn find(store: &SledMetastore, ids: &[JobId]) -> Answer {
    let last = ids.last().copied().ok_or("there are no jobs")?;
    let (ancestors, took) = timed(|| store.get_ancestor_job_ids(last))?;
    println!("ancestors of the last job, {}: {took:.1?}", ancestors.len());
    let wanted = step(0)?.hash();
    let (found, took) = timed(|| store.find_in(&ancestors, wanted, CheckpointKind::Final))?;
    println!(
        "first of them with a checkpoint ({}): {took:.1?}",
        if found.is_some() { "found" } else { "none" }
    );
    let (found, took) = timed(|| store.find_last_job("nightly"))?;
    println!("last job of a name ({}): {took:.1?}", if found.is_some() { "found" } else { "none" });
    let (jobs, took) = timed(|| store.list_jobs())?;
    println!("list of {} jobs: {took:.1?}", jobs.len());
    let (expired, took) = timed(|| store.expire(Timestamp::from_millis(1_000)))?;
    println!("search for expired checkpoints ({}): {took:.1?}", expired.len());
    Ok(())
}

/// Durable changes, beside an append and an `fdatasync` of as many bytes to a plain file.
fn change(store: &SledMetastore, folder: &Path) -> Answer {
    const CHANGES: u32 = 500;
    let job = JobId::new();
    let mut file = File::create(folder.join("plain"))?;
    let start = Instant::now();
    for _ in 0..CHANGES {
        file.write_all(&[7; 512])?;
        file.sync_data()?;
    }
    let plain = start.elapsed() / CHANGES;
    let start = Instant::now();
    for index in 0..CHANGES {
        store.get_or_create_checkpoint(checkpoint(job, 1_000_000 + index as usize)?)?;
    }
    let durable = start.elapsed() / CHANGES;
    let start = Instant::now();
    for _ in 0..CHANGES {
        store.record_event(Event::new(job, Timestamp::from_millis(0), "classify", EventKind::Run))?;
    }
    let event = start.elapsed() / CHANGES;
    println!("plain file, append and sync: {plain:.1?}");
    println!("checkpoint, durable: {durable:.1?} ({:.1} times)", ratio(durable, plain));
    println!("event, not durable yet: {event:.1?}");
    Ok(())
}

fn ratio(left: Duration, right: Duration) -> f64 {
    left.as_secs_f64() / right.as_secs_f64()
}

fn timed<T, E>(call: impl FnOnce() -> Result<T, E>) -> Result<(T, Duration), E> {
    let start = Instant::now();
    let answer = call()?;
    Ok((answer, start.elapsed()))
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

fn step(index: usize) -> Answer<Fingerprint> {
    Ok(Fingerprint::new("udf step")
        .with("input", "reviews.csv")?
        .with("name", "classify")?
        .with("output schema", "id: u64, label: utf8, score: f32")?
        .with("parameters", &index)?)
}

fn checkpoint(job: JobId, index: usize) -> Answer<Checkpoint> {
    let fingerprint = step(index)?;
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
