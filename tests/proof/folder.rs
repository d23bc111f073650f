//! A state folder of a test's own, child processes that work in it, and what is looked up in it between them.
//!
//! A child is this test program, made to run one test that does nothing otherwise.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use rowmark::metastore::SledMetastore;
use rowmark::warehouse::FileWarehouse;
use rowmark::{OnError, Result, Session};

use crate::calls::{self, Calls};
use crate::work::{self, Done, Outcome, Unbroken};

const STATE: &str = "ROWMARK_TEST_STATE";
const CALLS: &str = "ROWMARK_TEST_CALLS";
const LOG: &str = "ROWMARK_TEST_LOG";

/// A state folder, removed at the end of the test, and where the calls are counted of those who work in it.
pub(crate) struct Folder {
    folder: tempfile::TempDir,
    log: u64,
    /// How many failed rows are recorded; without it the first ends the run.
    failures_max: Option<u64>,
}

impl Folder {
    pub(crate) fn new(log: u64) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), log, failures_max: None }
    }

    /// One that is in memory, where the system has such a place: for thousands of runs that nothing is killed in.
    pub(crate) fn in_memory(log: u64, failures_max: Option<u64>) -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        Self { folder: folder.unwrap(), log, failures_max }
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn calls(&self) -> PathBuf {
        self.folder.path().join("calls")
    }

    /// A child that runs a test of this program, to which [`child`] answers.
    pub(crate) fn command(&self, test: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", test, "--nocapture"])
            .env(STATE, self.state())
            .env(CALLS, self.calls())
            .env(LOG, self.log.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }

    /// The calls of children since the last look.
    pub(crate) fn take_calls(&self) -> Calls {
        calls::take_from(&self.calls())
    }

    /// The rows that are done, as far as there are tables.
    pub(crate) fn done(&self, unbroken: &Unbroken) -> Done {
        if self.state().join("tables").exists() {
            unbroken.done(&warehouse(&self.state()))
        } else {
            Done::new()
        }
    }

    pub(crate) fn session(&self) -> Result<Session> {
        let on_error =
            self.failures_max.map_or(OnError::Fail, |failures_max| OnError::Record { failures_max });
        work::builder().state_folder(self.state()).on_error(on_error).open()
    }

    /// Runs to the end in this process.
    pub(crate) fn run(&self, rows: u64) -> Result<Outcome> {
        work::run(&self.session()?, rows, self.log)
    }

    /// What an unbroken run in this folder leaves.
    pub(crate) fn unbroken(&self, rows: u64) -> Unbroken {
        let session = self.session().unwrap();
        let outcome = work::run(&session, rows, self.log).unwrap();
        assert_eq!(calls::take(self.log), work::all_calls(rows));
        Unbroken::new(outcome, rows, session.metastore(), session.warehouse())
    }

    /// Checks what a run has left that was made to the end: nothing is missing, nothing is left over, and the rows are
    /// those of an unbroken run.
    #[track_caller]
    pub(crate) fn check(&self, unbroken: &Unbroken, what: &str) {
        unbroken.check_stores(&*metastore(&self.state()), &warehouse(&self.state()), what);
        calls::take(self.log);
        unbroken.check_outcome(&self.run(unbroken.rows).unwrap(), what);
        assert!(calls::take(self.log).is_empty(), "{what}: nothing was missing");
    }
}

/// The state folder and the log that this process was started for, if it is a child.
pub(crate) fn child() -> Option<(PathBuf, u64)> {
    let state = std::env::var_os(STATE)?;
    calls::write_to(Path::new(&std::env::var_os(CALLS).unwrap()));
    Some((state.into(), std::env::var(LOG).unwrap().parse().unwrap()))
}

/// The tables of a state folder that no process has open.
pub(crate) fn warehouse(state: &Path) -> FileWarehouse {
    FileWarehouse::open(state.join("tables")).unwrap()
}

/// The records of a state folder that no process has open.
pub(crate) fn metastore(state: &Path) -> Arc<SledMetastore> {
    Arc::new(SledMetastore::open(state.join("meta")).unwrap())
}
