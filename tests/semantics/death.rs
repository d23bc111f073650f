//! r13 and poison rows: the test program runs itself as a child that is told to stop, or takes itself down.
#![cfg(all(unix, feature = "ctrlc"))]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rowmark::metastore::JobStatus;
use rowmark::prelude::*;

use crate::support::{Folder, builder};

const ROWS: u64 = 200;

/// The row that takes the process down.
const POISON: u64 = 42;

/// The calls of a child: a line for each, written before the row is computed.
struct Calls(PathBuf);

impl Calls {
    fn of(state: &Path) -> Self {
        Self(state.with_extension("calls"))
    }

    fn append(&self, row: u64) {
        use std::io::Write as _;
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&self.0).unwrap();
        file.write_all(format!("{row}\n").as_bytes()).unwrap();
    }

    fn read(&self) -> BTreeMap<u64, u64> {
        let mut calls = BTreeMap::new();
        for row in std::fs::read_to_string(&self.0).unwrap_or_default().lines() {
            *calls.entry(row.parse().unwrap()).or_default() += 1;
        }
        calls
    }
}

fn child(state: &Path, test: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env("ROWMARK_TEST_CHILD", state)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn state_of_child() -> Option<PathBuf> {
    std::env::var_os("ROWMARK_TEST_CHILD").map(PathBuf::from)
}

#[test]
#[ignore = "the child that r13 runs"]
fn child_that_heeds_ctrl_c() {
    let Some(state) = state_of_child() else { return };
    let session = builder(&state).durability(Durability::EveryRow).stop_on_ctrl_c().open().unwrap();
    let calls = Calls::of(&state).0;
    let rows: Vec<u64> = (0..ROWS).collect();
    let chain = session.read_values(&rows).map(udf!("slow", captures(calls), |n: &u64| {
        std::thread::sleep(Duration::from_millis(5));
        Calls(calls.clone()).append(*n);
        *n
    }));
    match chain.save("slow") {
        Ok(saved) => println!("saved {}", saved.rows()),
        Err(error) => println!("ended: {}", std::error::Error::source(&error).unwrap()),
    }
}

#[test]
fn r13_a_signal_ends_the_run_in_good_order() {
    for signal in ["INT", "TERM"] {
        let folder = Folder::new();
        let calls = Calls::of(&folder.path());
        let running = child(&folder.path(), "death::child_that_heeds_ctrl_c");
        let waiting = Instant::now();
        while calls.read().len() < 10 {
            assert!(waiting.elapsed() < Duration::from_secs(60), "the child does not begin");
            std::thread::sleep(Duration::from_millis(5));
        }
        let sent = Command::new("kill").args([&format!("-{signal}"), &running.id().to_string()]).status();
        assert!(sent.unwrap().success());
        let Output { status, stdout, .. } = running.wait_with_output().unwrap();
        assert!(status.success(), "SIG{signal}: the exit is orderly");
        let told = String::from_utf8(stdout).unwrap();
        assert!(told.contains("ended: cancelled with"), "{told}");
        let done = calls.read();
        assert!(done.len() < ROWS as usize);

        let session = builder(&folder.path()).open().unwrap();
        let job = session.metastore().find_last_job("test").unwrap().unwrap();
        assert_eq!(job.status, JobStatus::Cancelled);
        drop(session);
        let Output { stdout, .. } =
            child(&folder.path(), "death::child_that_heeds_ctrl_c").wait_with_output().unwrap();
        assert!(String::from_utf8(stdout).unwrap().contains("saved 200"));
        assert!(calls.read().into_values().eq(std::iter::repeat_n(1, ROWS as usize)), "each row once");
    }
}

#[test]
#[ignore = "the child that the tests of poison rows run"]
fn child_that_takes_itself_down() {
    let Some(state) = state_of_child() else { return };
    let session = builder(&state).poison_rows(3).durability(Durability::EveryRow).open().unwrap();
    let calls = Calls::of(&state).0;
    let rows: Vec<u64> = (0..ROWS).collect();
    let chain = session.read_values(&rows).map(udf!("deadly", captures(calls), |n: &u64| {
        Calls(calls.clone()).append(*n);
        if *n == POISON {
            std::process::abort();
        }
        *n
    }));
    let saved = chain.save("deadly").unwrap();
    println!("saved {}, failed {}", saved.rows(), saved.report().step("deadly").unwrap().rows_failed);
}

#[test]
fn a_row_that_takes_the_process_down_is_recorded_after_three_deaths() {
    let folder = Folder::new();
    let calls = Calls::of(&folder.path());
    let run = || child(&folder.path(), "death::child_that_takes_itself_down").wait_with_output().unwrap();
    for death in 1..=3 {
        assert!(!run().status.success());
        assert_eq!(calls.read().get(&POISON), Some(&death));
    }
    for _ in 0..2 {
        let Output { status, stdout, stderr } = run();
        assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
        assert!(String::from_utf8(stdout).unwrap().contains("saved 199, failed 1"));
        assert_eq!(calls.read().get(&POISON), Some(&3), "it is not called a fourth time");
    }
    assert_eq!(calls.read().len(), ROWS as usize);

    let session = builder(&folder.path()).on_error(OnError::Record { failures_max: 1 }).open().unwrap();
    let failures = session.failures("deadly").unwrap();
    assert_eq!((failures.len(), failures[0].row, failures[0].input.as_deref()), (1, POISON, Some("42")));
    assert!(failures[0].error.contains("died 3 times in a row"), "{}", failures[0].error);
    assert_eq!(std::fs::read_dir(folder.path().join("in-work")).unwrap().count(), 0, "no note is left");
}
