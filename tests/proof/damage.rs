//! Damage: one bit is flipped, or the end is cut off, in one file of a state folder; any file, at any place.
//!
//! The next run must give the right rows, or an error that names the file. After an error about a table one more run
//! heals it; the others say what to do. Never is there a panic, an endless run, or a wrong row.
//!
//! `ROWMARK_DAMAGE_EVERY=1` tries every byte that is in use, instead of some of them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use rowmark::metastore::EventKind;
use rowmark::{Decision, Error};

use crate::calls;
use crate::folder::Folder;
use crate::work::{self, Outcome, text_of};

const ROWS: u64 = 9;

/// Every byte of a file that is no longer is tried.
const SMALL_BYTES_MAX: usize = 100;

/// A run that takes longer does not end.
const RUN_TIME_MAX: Duration = Duration::from_secs(120);

/// A state folder with finished steps, saved rows, and a step that is not finished; and the work on it.
struct Store {
    log: u64,
    failures_max: Option<u64>,
    /// What a run may give that finishes the work.
    outcomes: Vec<Outcome>,
    files: Vec<File>,
}

/// A file, by all the names that it has in the folder.
#[derive(Clone)]
struct File {
    names: Vec<PathBuf>,
    bytes: Vec<u8>,
}

impl Store {
    /// The step over groups has ended with an error.
    fn unfinished() -> Self {
        let log = calls::new_log();
        let outcome = Folder::in_memory(log, None).run(ROWS).unwrap();
        let store = Self::broken(log, None, vec![outcome], "totals", &[2]);
        assert!(store.files.iter().any(|file| file.names.len() > 1), "saved rows share their step's files");
        store
    }

    /// The first step has ended with more failures than may be recorded. When the record of the failed row is damaged,
    /// the row is tried again.
    fn with_failures() -> Self {
        let log = calls::new_log();
        let whole = Folder::in_memory(log, Some(1)).run(ROWS).unwrap();
        calls::fail_at(log, "square", &[4]);
        let without_the_row = Folder::in_memory(log, Some(1)).run(ROWS).unwrap();
        assert_ne!(whole, without_the_row);
        Self::broken(log, Some(1), vec![whole, without_the_row], "square", &[4, 7])
    }

    fn broken(log: u64, failures_max: Option<u64>, outcomes: Vec<Outcome>, step: &str, rows: &[u64]) -> Self {
        let folder = Folder::in_memory(log, failures_max);
        calls::fail_at(log, step, rows);
        folder.run(ROWS).unwrap_err();
        calls::fail_at(log, step, &[]);
        // Opened once more, as it is then in the state that most openings find.
        drop(folder.session().unwrap());
        let files = files(&folder.state());
        Self { log, failures_max, outcomes, files }
    }

    /// A copy in which a file has other content.
    fn copy(&self, damaged: &File, content: &[u8]) -> Folder {
        let copy = Folder::in_memory(self.log, self.failures_max);
        for file in &self.files {
            let (first, others) = file.names.split_first().unwrap();
            let path = |name: &PathBuf| {
                let path = copy.state().join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                path
            };
            fs::write(path(first), if file.names == damaged.names { content } else { &file.bytes }).unwrap();
            for other in others {
                fs::hard_link(path(first), path(other)).unwrap();
            }
        }
        copy
    }

    /// Runs in such a copy until the work is done; answers the errors on the way.
    fn errors(&self, damaged: &File, content: &[u8], what: &str) -> Vec<Error> {
        let copy = Arc::new(self.copy(damaged, content));
        let mut errors = Vec::new();
        loop {
            let (sender, receiver) = mpsc::channel();
            let folder = Arc::clone(&copy);
            let run = thread::spawn(move || sender.send(folder.run(ROWS)).unwrap());
            let ended: Result<rowmark::Result<Outcome>, _> = receiver.recv_timeout(RUN_TIME_MAX);
            assert!(!matches!(ended, Err(mpsc::RecvTimeoutError::Timeout)), "{what}: it does not end");
            assert!(run.join().is_ok(), "{what}: it panicked");
            match ended.unwrap() {
                Ok(outcome) => {
                    assert!(self.outcomes.contains(&outcome), "{what}: the result is another: {outcome:?}");
                    return errors;
                }
                Err(error) => {
                    let text = text_of(&error);
                    let names_it = damaged.names.iter().any(|name| {
                        let path = copy.state().join(name);
                        text.contains(&*path.to_string_lossy())
                    });
                    assert!(names_it, "{what}: {text}");
                    let is_last = matches!(error, Error::State(_));
                    errors.push(error);
                    if is_last {
                        return errors;
                    }
                    assert!(errors.len() < 2, "{what}: it is not healed: {errors:?}");
                }
            }
        }
    }

    /// Flips bits and cuts ends of the files that are chosen, in about so many places each; answers how many damages
    /// were tried, and how many errors they caused.
    fn damage(
        &self,
        chosen: impl Fn(&Path) -> bool,
        tries: usize,
        check: impl Fn(&File, &[Error], &str),
    ) -> (usize, usize) {
        let (mut tried, mut errors) = (0, 0);
        let mut damage = |file: &File, content: &[u8], what: &str| {
            let found = self.errors(file, content, what);
            check(file, &found, what);
            tried += 1;
            errors += found.len();
        };
        for file in self.files.iter().filter(|file| chosen(&file.names[0])) {
            let name = file.names[0].display();
            // Sled's file has an unused end of zeros, of which fewer bytes are tried.
            let used = file.bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
            let stride = if used <= SMALL_BYTES_MAX { 1 } else { stride(used, tries) };
            let unused = (used..file.bytes.len()).step_by(stride * 64);
            for index in (0..used).step_by(stride).chain(unused) {
                let mut flipped = file.bytes.clone();
                flipped[index] ^= 1 << (index / stride % 8);
                damage(file, &flipped, &format!("byte {index} of {name} flipped"));
                damage(file, &file.bytes[..index], &format!("{name} cut at byte {index}"));
            }
        }
        (tried, errors)
    }
}

/// All files in a folder, those with several names once.
fn files(folder: &Path) -> Vec<File> {
    let mut files: BTreeMap<u64, File> = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let file = files
                .entry(fs::metadata(&path).unwrap().ino())
                .or_insert_with(|| File { names: Vec::new(), bytes: fs::read(&path).unwrap() });
            file.names.push(path.strip_prefix(folder).unwrap().to_owned());
        }
    }
    let mut files: Vec<File> = files.into_values().collect();
    files.iter_mut().for_each(|file| file.names.sort());
    files.sort_by(|one, other| one.names.cmp(&other.names));
    files
}

/// How far apart are positions of which there are to be about so many in a file of some length.
fn stride(length: usize, tries: usize) -> usize {
    std::env::var("ROWMARK_DAMAGE_EVERY").map_or((length / tries).max(1), |every| every.parse().unwrap())
}

/// Which files are damaged, in about how many places each.
const TABLE_TRIES: usize = 100;
const RECORD_TRIES: usize = 150;
const OWN_TRIES: usize = 100;

fn is_table(name: &Path) -> bool {
    name.starts_with("tables")
}

#[test]
fn j07_any_flip_or_cut_of_a_table_is_found_and_healed() {
    let (tried, errors) = Store::unfinished().damage(is_table, TABLE_TRIES, |_, _, _| {});
    println!("{tried} damages to tables, {errors} errors");
    assert!(tried > 2000 && errors > 40);
}

#[test]
fn j07_any_flip_or_cut_where_failures_are_recorded_is_found_and_healed() {
    let (tried, errors) = Store::with_failures().damage(is_table, TABLE_TRIES, |_, _, _| {});
    println!("{tried} damages to tables with failures, {errors} errors");
    assert!(tried > 150);
}

/// They are made again from the tables, or a moment before is found to be enough: no run ends with an error.
#[test]
fn j07_any_flip_or_cut_of_records_is_found_and_they_are_made_again() {
    let is_record = |name: &Path| name.starts_with("meta");
    let (tried, errors) = Store::unfinished().damage(is_record, RECORD_TRIES, |_, _, _| {});
    println!("{tried} damages to records");
    assert!(tried > 500 && errors == 0);
}

#[test]
fn j07_any_flip_or_cut_of_the_folders_own_files_is_told_with_what_to_do() {
    let is_own = |name: &Path| name.parent() == Some(Path::new(""));
    let (tried, _) = Store::unfinished().damage(is_own, OWN_TRIES, |file, found, what| {
        for error in found {
            let text = error.to_string();
            assert!(file.names[0].ends_with("rowmark-state"), "{what}: {text}");
            assert!(text.contains("restore it") || text.contains("use the newer version"), "{what}: {text}");
        }
    });
    println!("{tried} damages to the folder's own files");
    assert!(tried > 100);
}

#[test]
fn j07_a_torn_tail_is_repaired_and_told() {
    let store = Store::unfinished();
    let is_progress = |file: &&File| file.names[0].to_string_lossy().contains("output_partial");
    let progress = store.files.iter().find(is_progress).unwrap();
    let folder = store.copy(progress, &progress.bytes[..progress.bytes.len() - 5]);
    let session = folder.session().unwrap();
    assert_eq!(work::run(&session, ROWS, store.log).unwrap(), store.outcomes[0]);
    let step = session.report().step("totals").unwrap().clone();
    assert_eq!(
        (step.decision, step.rows_reused),
        (Decision::Continued, 1),
        "of two groups the last was torn"
    );
    let events = session.metastore().list_events(session.job().unwrap().id).unwrap();
    let warnings: Vec<_> = events.iter().filter(|event| event.kind == EventKind::Warning).collect();
    let path = folder.state().join(&progress.names[0]);
    assert!(warnings[0].reason.contains(&*path.to_string_lossy()), "{warnings:?}");
}

/// Two misfortunes: with the records gone, a version whose table is damaged cannot be known. Its number stays taken.
#[test]
fn j07_records_that_are_lost_and_saved_rows_that_are_damaged_are_made_again() {
    let log = calls::new_log();
    let folder = Folder::in_memory(log, None);
    let outcome = folder.run(ROWS).unwrap();
    fs::remove_dir_all(folder.state().join("meta")).unwrap();
    let footer = folder.state().join("tables/ds_totals_1/footer");
    let mut bytes = fs::read(&footer).unwrap();
    bytes[30] ^= 1;
    fs::write(&footer, bytes).unwrap();
    for _ in 0..2 {
        assert_eq!(folder.run(ROWS).unwrap(), outcome);
    }
    assert!(footer.exists(), "the damaged table stays for whoever wants to look at it");
    assert!(folder.state().join("tables/ds_totals_2/footer").exists());
}
