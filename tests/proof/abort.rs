//! Real stores, sled among them, in a process that aborts at a numbered operation.
//!
//! The numbers are those of [`crate::crash`]: what changes files goes through a wrapper of the system's [`Os`], what
//! changes records through [`Numbered`]. What the dead process wrote is there, synced or not, as the machine lives on.
//! Sled's own writes are not numbered; `crates/metastore/tests` kills it in their midst.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use rowmark::warehouse::FileWarehouse;
use rowmark_os::{AppendFile, Os, ReadFile, System};

use crate::calls;
use crate::folder::{self, Folder};
use crate::numbered::{Numbered, Numbers};
use crate::work;

const ROWS: u64 = 12;

/// Every so many operations there is a death.
const STRIDE: usize = 5;

const OPERATION: &str = "ROWMARK_TEST_OPERATION";

/// Counts down to the operation at which the process aborts; clones are the same count.
#[derive(Clone, Debug)]
struct Countdown(Arc<AtomicU64>);

impl Countdown {
    fn count(&self) {
        if self.0.fetch_sub(1, Ordering::SeqCst) == 1 {
            std::process::abort();
        }
    }
}

impl Numbers for Countdown {
    fn next(&self) -> io::Result<()> {
        self.count();
        Ok(())
    }

    fn check_alive(&self) -> io::Result<()> {
        Ok(())
    }
}

/// The system, whose changing operations are counted.
#[derive(Clone, Debug)]
struct Counted(Countdown);

impl Os for Counted {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.0.count();
        System.create_folder(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        System.exists(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        System.list(path)
    }

    fn create_file(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        self.0.count();
        Ok(Box::new(CountedFile { file: System.create_file(path)?, countdown: self.0.clone() }))
    }

    fn open_file(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        System.open_file(path)
    }

    fn file_bytes(&self, path: &Path) -> io::Result<u64> {
        System.file_bytes(path)
    }

    fn modified(&self, path: &Path) -> io::Result<SystemTime> {
        System.modified(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.count();
        System.rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.count();
        System.hard_link(from, to)
    }

    fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.count();
        System.copy(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.count();
        System.remove_file(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.0.count();
        for name in System.list(path)? {
            System.remove_file(&path.join(name))?;
            self.0.count();
        }
        System.remove_folder(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.0.count();
        System.sync_folder(path)
    }

    fn now(&self) -> SystemTime {
        System.now()
    }
}

#[derive(Debug)]
struct CountedFile {
    file: Box<dyn AppendFile>,
    countdown: Countdown,
}

impl AppendFile for CountedFile {
    /// Two operations, so that a death between them tears what is appended.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (first, second) = bytes.split_at(bytes.len() / 2);
        self.countdown.count();
        self.file.append(first)?;
        self.countdown.count();
        self.file.append(second)
    }

    fn sync(&self) -> io::Result<()> {
        self.countdown.count();
        self.file.sync()
    }
}

#[test]
fn child_that_aborts() {
    let Some((state, log)) = folder::child() else { return };
    let operation: u64 = std::env::var(OPERATION).unwrap().parse().unwrap();
    let countdown = Countdown(Arc::new(AtomicU64::new(operation)));
    let metastore = Numbered::new(countdown.clone(), folder::metastore(&state));
    let warehouse = FileWarehouse::open_on(Arc::new(Counted(countdown)), state.join("tables")).unwrap();
    let session = work::session_on(Box::new(metastore), Arc::new(warehouse)).unwrap();
    work::run(&session, ROWS, log).unwrap();
}

/// Runs a child that dies at an operation; tells whether it died.
fn aborts(folder: &Folder, operation: u64) -> bool {
    let mut child = folder.command("abort::child_that_aborts");
    let ended = child.env(OPERATION, operation.to_string()).output().unwrap();
    let has_failed = ended.status.code().is_some_and(|code| code != 0);
    assert!(!has_failed, "operation {operation}: {}", String::from_utf8_lossy(&ended.stderr));
    !ended.status.success()
}

#[test]
fn a_process_on_the_real_stores_that_aborts() {
    let log = calls::new_log();
    let unbroken = Folder::new(log).unbroken(ROWS);
    let mut deaths = 0;
    for operation in (1..).step_by(STRIDE) {
        let what = format!("aborted at operation {operation}");
        let folder = Folder::new(log);
        // Made as a session makes it; the child opens the stores in it by itself.
        drop(folder.session().unwrap());
        if !aborts(&folder, operation) {
            break;
        }
        deaths += 1;
        folder.take_calls();
        let done = folder.done(&unbroken);
        assert!(!aborts(&folder, u64::MAX), "{what}: the next run died");
        unbroken.check_calls(&folder.take_calls(), &done, &what);
        folder.check(&unbroken, &what);
    }
    println!("{deaths} deaths");
    assert!(deaths > 40, "those are too few");
}
