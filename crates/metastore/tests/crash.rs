//! What was acknowledged is there, whenever the process dies and whichever write fails.
//!
//! The test program runs itself as a child, which makes the changes of a fixed history one by one and writes down the
//! number of each when it has returned. The store must then hold the changes up to the last number, or one more, whole:
//! the one that was being made. `ROWMARK_KILL_ROUNDS` sets how often the child is killed (20).

#![allow(clippy::unwrap_used, reason = "a test fails by it")]
#![cfg(unix)]

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rowmark_metastore::{Error, MemoryMetastore, Metastore, SledMetastore};

mod common;
use common::contents;
use common::history::{jobs_max, make};

const STORE: &str = "ROWMARK_TEST_STORE";
const FIRST_CHANGE: &str = "ROWMARK_TEST_FIRST_CHANGE";
const CHILD_TIME_MAX: Duration = Duration::from_secs(120);

/// The history so far, in memory.
struct Model {
    store: MemoryMetastore,
    changes: u64,
}

impl Model {
    fn new() -> Self {
        Self { store: MemoryMetastore::new(), changes: 0 }
    }

    fn advance_to(&mut self, changes: u64) {
        for number in self.changes..changes {
            make(&self.store, number).unwrap();
        }
        self.changes = changes;
    }

    /// Compares with a store in which `acknowledged` changes were, and one more may have been, made.
    fn check(&mut self, path: &Path, acknowledged: u64, what: &str) {
        let store = SledMetastore::open(path).unwrap_or_else(|error| panic!("{what}: {error}: {error:?}"));
        let jobs = jobs_max(acknowledged + 1);
        let found = contents(&store, jobs).unwrap();
        self.advance_to(acknowledged);
        if contents(&self.store, jobs).unwrap() != found {
            self.advance_to(acknowledged + 1);
            let expected = contents(&self.store, jobs).unwrap();
            assert_eq!(found, expected, "{what}: {acknowledged} changes were acknowledged");
        }
    }
}

/// Starts this program again, to make changes from a number on.
fn command(program: &str, path: &Path, first_change: u64) -> Command {
    let mut command = Command::new(program);
    command.env(STORE, path).env(FIRST_CHANGE, first_change.to_string()).stdout(Stdio::piped());
    command
}

/// Sends the lines of a child's output, as they come, to a channel.
fn lines(output: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// The number of changes that a child has acknowledged, after what was acknowledged before.
fn acknowledged(lines: impl Iterator<Item = String>, before: u64) -> u64 {
    let numbers = lines.filter_map(|line| line.strip_prefix("made ")?.parse::<u64>().ok());
    numbers.fold(before, |_, number| number + 1)
}

#[test]
fn every_acknowledged_change_survives_a_kill() {
    let rounds: u64 = std::env::var("ROWMARK_KILL_ROUNDS").map_or(20, |rounds| rounds.parse().unwrap());
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 | 1;
    let mut random = seed;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut model = Model::new();
    let program = std::env::current_exe().unwrap();
    for round in 0..rounds {
        let mut child = command(program.to_str().unwrap(), &path, model.changes)
            .args(["--exact", "make_changes_in_a_child", "--nocapture"])
            .spawn()
            .unwrap();
        let lines = lines(child.stdout.take().unwrap());
        let start = lines.recv_timeout(CHILD_TIME_MAX).expect("the child has begun");
        // Xorshift (Marsaglia 2003). Short and long lives: during the open, within one change, after hundreds.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        thread::sleep(Duration::from_micros(random % [1_000, 5_000, 30_000, 150_000][round as usize % 4]));
        child.kill().unwrap();
        child.wait().unwrap();
        let made = acknowledged(std::iter::once(start).chain(lines), model.changes);
        model.check(&path, made, &format!("seed {seed}, round {round}"));
    }
    assert!(model.changes > rounds, "the children made {} changes only", model.changes);
}

/// Runs in the child of the tests here.
#[test]
fn make_changes_in_a_child() {
    let (Some(path), Ok(first)) = (std::env::var_os(STORE), std::env::var(FIRST_CHANGE)) else { return };
    let mut output = std::io::stdout();
    writeln!(output, "\nbegun").unwrap();
    let store = match SledMetastore::open(path) {
        Ok(store) => store,
        Err(error) => {
            writeln!(output, "failed {error:?}").unwrap();
            assert!(matches!(error, Error::Io { .. }), "a full disk is not damage: {error:?}");
            return;
        }
    };
    for number in first.parse::<u64>().unwrap().. {
        if let Err(error) = make(&store, number) {
            let again = make(&store, number);
            writeln!(output, "failed {error:?}\nagain {again:?}").unwrap();
            assert!(matches!(error, Error::Io { .. } | Error::NotWritable { .. }), "{error:?}");
            assert!(matches!(again, Err(Error::Stopped { .. })), "{again:?}");
            assert!(!matches!(store.list_jobs(), Err(Error::Damaged { .. })), "a full disk is not damage");
            return;
        }
        // One write, so that a line is there whole or not at all.
        output.write_all(format!("made {number}\n").as_bytes()).unwrap();
    }
}

/// r14: a file may grow no further, as on a full disk; later it may.
#[test]
fn r14_a_write_that_fails_is_an_error_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut model = Model::new();
    // The limit counts blocks of 512 bytes in some shells and of 1,024 in others; both do. With the second one, which
    // is below the size that the file has, the store cannot even be opened.
    for blocks in [1_500, 600, 3_000, 4_500] {
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        let program = std::env::current_exe().unwrap();
        let mut child = command("sh", &path, model.changes)
            .args(["-c", &script, program.to_str().unwrap()])
            .args(["--exact", "make_changes_in_a_child", "--nocapture"])
            .spawn()
            .unwrap();
        let lines = lines(child.stdout.take().unwrap());
        let mut made = model.changes;
        let mut failed = None;
        loop {
            match lines.recv_timeout(CHILD_TIME_MAX) {
                Ok(line) if line.starts_with("failed ") => failed = Some(line),
                Ok(line) => made = acknowledged(std::iter::once(line), made),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    child.kill().unwrap();
                    panic!("the child hangs after {made} changes; {failed:?}");
                }
            }
        }
        let status: ExitStatus = child.wait().unwrap();
        assert!(status.success() && failed.is_some(), "{status}, {failed:?}, {made} changes");
        model.check(&path, made, &format!("{failed:?}"));
    }
}
