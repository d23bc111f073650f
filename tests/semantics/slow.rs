//! r15 and r14: slow rows that are killed, and disks that are full. The test program runs itself as a child.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rowmark::prelude::*;

use crate::support::{Folder, builder};

/// How long the child's rows take.
#[derive(Clone, Copy)]
enum Pace {
    /// All rows so long.
    Even(Duration),
    /// This one hangs; all others are quick.
    HangsAt(u64),
}

struct Slow {
    state: PathBuf,
    calls: PathBuf,
    threads: u64,
}

impl Slow {
    fn new(folder: &Folder, threads: u64) -> Self {
        Self { state: folder.path(), calls: folder.path().with_extension("calls"), threads }
    }

    fn spawn(&self, pace: Pace) -> Child {
        let (pause, hangs_at) = match pace {
            Pace::Even(pause) => (pause, u64::MAX),
            Pace::HangsAt(row) => (Duration::ZERO, row),
        };
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "slow::child_with_slow_rows", "--nocapture"])
            .env("ROWMARK_TEST_SLOW", &self.state)
            .env("ROWMARK_TEST_CALLS", &self.calls)
            .env("ROWMARK_TEST_THREADS", self.threads.to_string())
            .env("ROWMARK_TEST_PAUSE", pause.as_millis().to_string())
            .env("ROWMARK_TEST_HANGS_AT", hangs_at.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Rows whose call has ended, in that order.
    fn calls(&self) -> Vec<u64> {
        let text = std::fs::read_to_string(&self.calls).unwrap_or_default();
        text.lines().map(|line| line.parse().unwrap()).collect()
    }

    /// Waits for so many calls.
    fn wait_for(&self, calls: usize) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.calls().len() < calls {
            assert!(Instant::now() < deadline, "the child made only {} calls", self.calls().len());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// How often the rows were computed in the end; that the result is right.
    fn finish(&self) -> BTreeMap<u64, u64> {
        assert!(self.spawn(Pace::Even(Duration::ZERO)).wait().unwrap().success());
        let rows = builder(&self.state).open().unwrap().read_dataset::<u64>("slow", None).unwrap().collect();
        assert_eq!(rows.unwrap(), (0..ROWS).map(|n| n * n).collect::<Vec<_>>());
        let mut calls = BTreeMap::new();
        self.calls().into_iter().for_each(|row| *calls.entry(row).or_insert(0) += 1);
        assert_eq!(calls.len() as u64, ROWS);
        calls
    }
}

const ROWS: u64 = 400;

#[test]
fn child_with_slow_rows() {
    let Some(state) = std::env::var_os("ROWMARK_TEST_SLOW") else { return };
    fn variable(name: &str) -> u64 {
        std::env::var(name).unwrap().parse().unwrap()
    }
    let session =
        builder(Path::new(&state)).threads(variable("ROWMARK_TEST_THREADS") as usize).open().unwrap();
    let squares = session.read_records((0..ROWS).collect()).map(udf!("square", |n: &u64| {
        let hangs = *n == variable("ROWMARK_TEST_HANGS_AT");
        let pause = if hangs { 1_000_000 } else { variable("ROWMARK_TEST_PAUSE") };
        std::thread::sleep(Duration::from_millis(pause));
        let path = std::env::var_os("ROWMARK_TEST_CALLS").unwrap_or_default();
        OpenOptions::new().create(true).append(true).open(path)?.write_all(format!("{n}\n").as_bytes())?;
        Ok::<_, std::io::Error>(n * n)
    }));
    squares.save("slow").unwrap();
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn r15_of_slow_rows_only_those_in_flight_are_redone_however_the_program_is_killed() {
    /// Rows that had ended and were not committed yet: a commit comes within 100 ms, and rows take 200.
    const PAUSE: Duration = Duration::from_millis(200);
    for threads in [1, 4] {
        for kill in ["KILL", "TERM", "INT"] {
            let folder = Folder::new();
            let job = Slow::new(&folder, threads);
            let mut child = job.spawn(Pace::Even(PAUSE));
            job.wait_for(5 * threads as usize);
            std::thread::sleep(PAUSE / 2); // in the middle of a row
            signal(&child, kill);
            child.wait().unwrap();
            let before = job.calls().len() as u64;
            assert!(before < ROWS / 2);
            let again = job.finish().values().filter(|calls| **calls > 1).count() as u64;
            println!("{threads} threads, {kill}: {before} rows done, {again} of them done again");
            assert!(again <= threads, "{again} of {before} rows were done again after {kill}");
        }
    }
}

#[test]
fn r15_quick_rows_before_one_that_hangs_are_durable_within_the_interval() {
    for threads in [1, 4] {
        let folder = Folder::new();
        let job = Slow::new(&folder, threads);
        let mut child = job.spawn(Pace::HangsAt(150));
        // With one worker the rows before it; with several also what the others do meanwhile.
        job.wait_for(if threads == 1 { 150 } else { 250 });
        std::thread::sleep(Duration::from_millis(1000)); // ten intervals
        child.kill().unwrap();
        child.wait().unwrap();
        let done = job.calls().len();
        let calls = job.finish();
        let again: Vec<_> = calls.iter().filter(|(_, calls)| **calls > 1).collect();
        println!(
            "{threads} threads: {done} rows done before the one that hangs, {} of them again",
            again.len()
        );
        assert!(again.is_empty(), "{again:?}");
    }
}

/// Runs a child whose files may not grow beyond so many blocks of 512 bytes: a write fails as on a full disk.
fn run_with_blocks(folder: &Folder, blocks: &str) -> Output {
    Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f \"$0\"; exec \"$@\"", blocks])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "slow::child_with_large_rows", "--nocapture"])
        .env("ROWMARK_TEST_LARGE", folder.path())
        .env("ROWMARK_TEST_CALLS", folder.path().with_extension("calls"))
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap()
}

const LARGE_ROWS: u64 = 600;

fn large(n: u64) -> String {
    // Text that no compression makes small, should there be one.
    std::iter::successors(Some(n + 1), |n| Some(n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1)))
        .take(1000)
        .map(|n| format!("{n:016x}"))
        .collect()
}

#[test]
fn child_with_large_rows() {
    let Some(state) = std::env::var_os("ROWMARK_TEST_LARGE") else { return };
    let session = builder(Path::new(&state)).threads(1).durability(Durability::EveryRow).open().unwrap();
    let chain = session.read_records((0..LARGE_ROWS).collect()).map(udf!("large", |n: &u64| {
        let path = std::env::var_os("ROWMARK_TEST_CALLS").unwrap_or_default();
        OpenOptions::new().create(true).append(true).open(path)?.write_all(format!("{n}\n").as_bytes())?;
        Ok::<_, std::io::Error>(large(*n))
    }));
    if let Err(error) = chain.save("large") {
        let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
        causes.for_each(|cause| eprintln!("cause: {cause}"));
        std::process::exit(7);
    }
}

#[test]
fn r14_a_full_disk_is_an_error_that_says_so_and_the_run_goes_on_when_there_is_space() {
    let folder = Folder::new();
    let full = run_with_blocks(&folder, "12000"); // 6 MB: more than the records need, less than the rows
    let told = String::from_utf8_lossy(&full.stderr).into_owned();
    assert_eq!(full.status.code(), Some(7), "{told}");
    assert!(told.contains("cause: step `large` stopped"), "{told}");
    assert!(
        told.contains("File too large") && told.contains("tables"),
        "it names the cause and the file: {told}"
    );
    println!("{told}");
    let calls = || {
        let text = std::fs::read_to_string(folder.path().with_extension("calls")).unwrap();
        text.lines().map(|line| line.parse().unwrap()).collect::<Vec<u64>>()
    };
    let before = calls();
    assert!((100..LARGE_ROWS as usize).contains(&before.len()), "{} rows", before.len());

    let again = run_with_blocks(&folder, "unlimited");
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    let rows = folder.session().read_dataset::<String>("large", None).unwrap().collect().unwrap();
    assert!(rows.into_iter().eq((0..LARGE_ROWS).map(large)));
    let twice = calls().len() as u64 - LARGE_ROWS;
    println!("{} rows were done when the disk was full, {twice} of them were done again", before.len());
    assert!(twice <= 8, "{twice} rows were done again");
}
