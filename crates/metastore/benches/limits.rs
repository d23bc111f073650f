//! What opening and changing records costs, beside what the disk alone costs in the same run.
//!
//! ```text
//! cargo bench -p rowmark-metastore --bench limits
//! ```
//!
//! `JOBS` and `CHECKPOINTS` set the size of the store (10,000 and 100,000). With `--test` it is a small one.

mod records;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use records::{Answer, THREADS, checkpoint, fill};
use rowmark_metastore::{CheckpointKind, Event, EventKind, JobId, Metastore, SledMetastore, Timestamp};

const OPEN_IN_CHILD: &str = "ROWMARK_BENCH_OPEN";

fn main() -> Answer {
    if let Some(path) = std::env::var_os(OPEN_IN_CHILD) {
        return open_and_tell_memory(Path::new(&path));
    }
    let (jobs, checkpoints, changes) = if is_trial() { (100, 1_000, 10) } else { (10_000, 100_000, 500) };
    let (jobs, checkpoints) = (size("JOBS", jobs)?, size("CHECKPOINTS", checkpoints)?);
    // Beside the build and not in the system's folder for temporary files, which may be memory.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let path = folder.path().join("records");

    let start = Instant::now();
    let ids = fill(&SledMetastore::open(&path)?, jobs, checkpoints)?;
    let filled = start.elapsed();
    let start = Instant::now();
    let bytes = fs::read(path.join("db"))?.len();
    let read = start.elapsed();
    println!("store: {jobs} jobs, {checkpoints} checkpoints, {:.1} MB", bytes as f64 / 1e6);
    println!("  made durable one by one from {THREADS} threads: {filled:.1?}");
    println!("  plain read of its file: {read:.1?}");
    let output = Command::new(std::env::current_exe()?).env(OPEN_IN_CHILD, &path).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    print!("{}", String::from_utf8(output.stdout)?);
    change(&SledMetastore::open(&path)?, ids[0], folder.path(), changes)
}

/// Whether this was not started as a benchmark, or with `--test`.
fn is_trial() -> bool {
    let has = |name: &str| std::env::args().any(|argument| argument == name);
    has("--test") || !has("--bench")
}

fn size(variable: &str, default: usize) -> Answer<usize> {
    Ok(std::env::var(variable).map_or(Ok(default), |text| text.parse())?)
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

/// Durable changes, beside an append and an `fdatasync` of as many bytes to a plain file.
fn change(store: &SledMetastore, job: JobId, folder: &Path, changes: u32) -> Answer {
    let mut file = File::create(folder.join("plain"))?;
    let plain = each(changes, |_| {
        file.write_all(&[7; 512])?;
        Ok(file.sync_data()?)
    })?;
    let first = 1_000_000;
    let durable = each(changes, |index| {
        store.get_or_create_checkpoint(checkpoint(job, first + index as usize)?)?;
        Ok(())
    })?;
    let event = each(changes, |_| {
        store.record_event(Event::new(job, Timestamp::from_millis(0), "classify", EventKind::Run))?;
        Ok(())
    })?;
    println!("plain file, append and sync: {plain:.1?}");
    println!("checkpoint, durable: {durable:.1?} ({:.1} times)", durable.as_secs_f64() / plain.as_secs_f64());
    println!("event, not durable yet: {event:.1?}");
    let last = checkpoint(job, first + changes as usize - 1)?.hash;
    assert!(store.find_checkpoint(job, last, CheckpointKind::Final)?.is_some(), "what was written is there");
    Ok(())
}

/// How long a call takes, on average.
fn each(times: u32, mut call: impl FnMut(u32) -> Answer) -> Answer<Duration> {
    let start = Instant::now();
    (0..times).try_for_each(&mut call)?;
    Ok(start.elapsed() / times)
}
