//! r08: the test program runs itself as a child and kills it with `SIGKILL`.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rowmark::prelude::*;

use crate::support::{Folder, builder};

/// Rounds of a random kill.
fn rounds() -> u32 {
    std::env::var("ROWMARK_KILL_ROUNDS").map_or(20, |rounds| rounds.parse().unwrap())
}

struct Job {
    state: PathBuf,
    calls: PathBuf,
    rows: u64,
    every_row: bool,
}

/// A finished call of the UDF: its row, and when.
type Call = (u64, Duration);

impl Job {
    fn new(folder: &Folder, rows: u64, every_row: bool) -> Self {
        Self { state: folder.path(), calls: folder.path().with_extension("calls"), rows, every_row }
    }

    fn spawn(&self) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::child_that_is_killed", "--nocapture"])
            .env("ROWMARK_TEST_KILLED", &self.state)
            .env("ROWMARK_TEST_CALLS", &self.calls)
            .env("ROWMARK_TEST_ROWS", self.rows.to_string())
            .env("ROWMARK_TEST_EVERY_ROW", self.every_row.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn finished_calls(&self) -> Vec<Call> {
        let text = std::fs::read_to_string(&self.calls).unwrap_or_default();
        let call = |line: &str| {
            let (row, nanos) = line.split_once(' ')?;
            Some((row.parse().ok()?, Duration::from_nanos(nanos.parse().ok()?)))
        };
        text.lines().map(|line| call(line).unwrap_or_else(|| panic!("{line:?}"))).collect()
    }

    /// Checks that the rows are all there, once and in order, and answers how often each was computed.
    fn check_result(&self) -> BTreeMap<u64, u64> {
        let session = builder(&self.state).open().unwrap();
        let rows = session.read_dataset::<String>("named", None).unwrap().collect().unwrap();
        assert!(rows.into_iter().eq((0..self.rows).map(|n| format!("row {n}"))));
        let mut calls = BTreeMap::new();
        for (row, _) in self.finished_calls() {
            *calls.entry(row).or_default() += 1;
        }
        assert_eq!(calls.len() as u64, self.rows);
        calls
    }
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

#[test]
fn child_that_is_killed() {
    let Some(state) = std::env::var_os("ROWMARK_TEST_KILLED") else { return };
    let variable = |name| std::env::var(name).unwrap();
    static CALLS: OnceLock<std::fs::File> = OnceLock::new();
    let file = OpenOptions::new().create(true).append(true).open(variable("ROWMARK_TEST_CALLS")).unwrap();
    CALLS.set(file).unwrap();
    let mut session = builder(Path::new(&state));
    if variable("ROWMARK_TEST_EVERY_ROW") == "true" {
        session = session.durability(Durability::EveryRow);
    }
    let session = session.open().unwrap();
    let numbers: Vec<u64> = (0..variable("ROWMARK_TEST_ROWS").parse().unwrap()).collect();
    session
        .read_records(numbers)
        .map(udf!("name", |n: &u64| {
            std::thread::sleep(Duration::from_millis(1));
            let line = format!("{n} {}\n", since_epoch().as_nanos());
            CALLS.get().map(|mut calls| calls.write_all(line.as_bytes())).transpose()?;
            Ok::<_, std::io::Error>(format!("row {n}"))
        }))
        .save("named")
        .unwrap();
}

#[test]
fn r08_killed_again_and_again_no_row_is_lost_doubled_or_computed_beyond_the_bound() {
    /// With two workers: a row being handed over by each, four in the channel, five taken for a commit.
    const ROWS_AT_RISK: u64 = 2 + 4 + 5;
    let folder = Folder::new();
    let job = Job::new(&folder, 60 * u64::from(rounds()), true);
    let mut random = std::process::id();
    let mut kills = 0;
    loop {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223); // Numerical Recipes
        let mut child = job.spawn();
        let deadline = Instant::now() + Duration::from_millis(u64::from(random >> 24));
        while child.try_wait().unwrap().is_none() && (kills >= rounds() || Instant::now() < deadline) {
            std::thread::sleep(Duration::from_millis(1));
        }
        if child.try_wait().unwrap().is_some_and(|status| status.success()) {
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    let calls = job.check_result();
    let again = calls.values().sum::<u64>() - job.rows;
    println!("{kills} kills, {} rows, {again} computed again", job.rows);
    assert!(kills > 0, "the child was never killed");
    assert!(again <= u64::from(kills) * ROWS_AT_RISK, "{again} rows were computed again after {kills} kills");
}

#[test]
fn r08_what_was_done_well_before_a_kill_is_not_computed_again() {
    /// 100 ms by default; the rest is for a machine whose disk is slow to sync.
    const AT_RISK: Duration = Duration::from_millis(1500);
    let folder = Folder::new();
    let job = Job::new(&folder, 6000, false);
    let mut child = job.spawn();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(2500) && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let killed_at = since_epoch();
    child.kill().unwrap();
    child.wait().unwrap();
    let before = job.finished_calls();
    assert!(before.len() < 6000, "the child was too fast to be killed");
    let safe: Vec<u64> =
        before.iter().filter(|(_, at)| *at + AT_RISK < killed_at).map(|(row, _)| *row).collect();
    assert!(!safe.is_empty());
    assert!(job.spawn().wait().unwrap().success());
    let calls = job.check_result();
    let again = calls.values().filter(|calls| **calls > 1).count();
    println!("{} rows done before the kill, {again} of them computed again", before.len());
    assert!(safe.iter().all(|row| calls[row] == 1));
}
