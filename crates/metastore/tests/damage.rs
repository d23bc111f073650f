//! j07: whatever is flipped or cut in whatever file of a store, it is found and named, or nothing is missing.
//!
//! `ROWMARK_DAMAGE_EVERY=1` tries every byte that is in use, of every file, instead of some of them.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::fs;
use std::path::{Path, PathBuf};

use rowmark_metastore::{CheckpointKind, Error, JobStatus, Metastore, SledMetastore, Timestamp};
use tempfile::TempDir;

mod common;
use common::{Contents, checkpoint, contents, dataset, event, job, job_id};

const JOBS: u32 = 3;

/// The names of files, and what is in them.
type Files = Vec<(PathBuf, Vec<u8>)>;

/// A store that was filled and closed, and what was in it.
struct Store {
    folder: TempDir,
    expected: Contents,
}

impl Store {
    /// `steps` checkpoints a job; with some hundreds, sled has several segments and, once opened again, a snapshot.
    fn filled(steps: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let store = SledMetastore::open(&path).unwrap();
        for number in 1..=JOBS {
            store.create_job(&job(number, number.checked_sub(1))).unwrap();
            for step in 0..steps {
                let step = format!("step {step}");
                let partial = checkpoint(number, &step, CheckpointKind::Partial);
                let finished = checkpoint(number, &step, CheckpointKind::Final);
                store.get_or_create_checkpoint(partial.clone()).unwrap();
                store.promote(partial.job, partial.hash, finished).unwrap();
                store.record_event(event(number, &step)).unwrap();
            }
            store.save_dataset(&dataset("reviews", number, "chain")).unwrap();
            let at = Timestamp::from_millis(1);
            store.finish_job(job_id(number), JobStatus::Complete, at, None).unwrap();
        }
        let expected = contents(&store, JOBS).unwrap();
        drop(store);
        drop(SledMetastore::open(&path).unwrap());
        Self { folder, expected }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// The files whose content matters, with their contents.
    fn files(&self) -> Files {
        let entries = fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap());
        let files =
            entries.filter(|entry| entry.file_type().unwrap().is_file() && entry.file_name() != "lock");
        files.map(|entry| (entry.file_name().into(), fs::read(entry.path()).unwrap())).collect()
    }

    /// Opens a copy in which one file has other content, and tells whether the damage was found. If it was not,
    /// everything must be there.
    fn is_found(&self, files: &Files, file: &Path, content: &[u8], what: &str) -> bool {
        let copy = self.folder.path().join("copy");
        let _ = fs::remove_dir_all(&copy);
        fs::create_dir_all(copy.join("blobs")).unwrap();
        for (name, bytes) in files {
            fs::write(copy.join(name), if name == file { content } else { bytes }).unwrap();
        }
        match SledMetastore::open(&copy) {
            Ok(store) => {
                let found = contents(&store, JOBS);
                assert!(
                    matches!(&found, Ok(found) if *found == self.expected),
                    "{what}: not found, and read as {found:?}"
                );
                false
            }
            Err(error) => {
                assert!(matches!(error, Error::Damaged { .. }), "{what}: {error:?}");
                assert!(error.to_string().contains(&*copy.to_string_lossy()), "{error}");
                assert!(std::error::Error::source(&error).is_some(), "{error}");
                true
            }
        }
    }
}

/// How many positions are tried in a file of some length.
fn stride(length: usize, tries: usize) -> usize {
    std::env::var("ROWMARK_DAMAGE_EVERY").map_or((length / tries).max(1), |every| every.parse().unwrap())
}

/// Sled panics on some damage; the store catches it, and the test's output is to stay readable.
fn without_panic_output(test: impl FnOnce()) {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.location().is_none_or(|location| !location.file().contains("sled-")) {
            hook(info);
        }
    }));
    test();
}

fn any_flip_or_cut_is_found(store: &Store, tries: usize) {
    let mut found = 0;
    let files = store.files();
    for (file, bytes) in &files {
        // Sled's file has an unused end of zeros, of which fewer bytes are tried.
        let used = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        let stride = stride(used, tries);
        let unused = (used..bytes.len()).step_by(stride * 64);
        for index in (0..used).step_by(stride).chain(unused) {
            let what = format!("byte {index} of {}", file.display());
            let mut flipped = bytes.clone();
            flipped[index] ^= 1 << (index / stride % 8);
            found += usize::from(store.is_found(&files, file, &flipped, &format!("flipped {what}")));
            found += usize::from(store.is_found(&files, file, &bytes[..index], &format!("cut at {what}")));
        }
    }
    assert!(found >= tries, "{found} damages were found");
}

#[test]
fn j07_any_flip_or_cut_of_a_small_store_is_found() {
    without_panic_output(|| any_flip_or_cut_is_found(&Store::filled(2), 150));
}

#[test]
fn j07_any_flip_or_cut_of_a_larger_store_is_found() {
    without_panic_output(|| {
        let store = Store::filled(300);
        let snapshot = store.files().iter().any(|(file, _)| file.to_string_lossy().starts_with("snap."));
        assert!(snapshot, "sled wrote no snapshot, so that the damage to one is not tried");
        any_flip_or_cut_is_found(&store, 20);
    });
}

#[test]
fn j07_a_file_that_is_gone_is_found() {
    without_panic_output(|| {
        for steps in [2, 300] {
            let store = Store::filled(steps);
            fs::remove_file(store.path().join("db")).unwrap();
            let error = SledMetastore::open(store.path()).unwrap_err();
            assert!(error.is_damage(), "{error:?}");
        }
    });
}

/// Sled may answer nonsense when it cannot write; a store is not to be called damaged for that.
#[test]
fn r14_a_store_that_cannot_be_opened_where_nothing_can_be_written_is_not_called_damaged() {
    let store = Store::filled(2);
    fs::write(store.path().join("conf"), vec![7; 62]).unwrap();
    fs::create_dir(store.path().join("probe")).unwrap();
    let error = SledMetastore::open(store.path()).unwrap_err();
    assert!(matches!(&error, Error::Io { path, .. } if path.ends_with("probe")), "{error:?}");
    fs::remove_dir(store.path().join("probe")).unwrap();
    let error = SledMetastore::open(store.path()).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
    assert!(!store.path().join("probe").exists());
}

/// The loss that sled itself does not notice: it comes back with the state of an earlier moment.
#[test]
fn j07_a_store_that_fell_behind_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = SledMetastore::open(&path).unwrap();
    store.create_job(&job(1, None)).unwrap();
    let earlier = fs::read(path.join("db")).unwrap();
    store.create_job(&job(2, None)).unwrap();
    drop(store);
    fs::write(path.join("db"), earlier).unwrap();

    let error = SledMetastore::open(&path).unwrap_err();
    let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(error.is_damage() && source.contains("was acknowledged"), "{error}: {source}");
}

#[test]
fn j07_an_entry_that_was_changed_added_or_removed_behind_the_stores_back_is_found() {
    let open = |path: &Path| {
        // Sled's threads may still be closing the file that was open a moment ago.
        (0..200)
            .find_map(|_| {
                std::thread::sleep(std::time::Duration::from_millis(5));
                sled::open(path).ok()
            })
            .unwrap()
    };
    let changes: [fn(&sled::Db); 3] = [
        |db| {
            let (key, value) = db.scan_prefix([1]).next().unwrap().unwrap();
            let mut value = value.to_vec();
            *value.last_mut().unwrap() ^= 1;
            db.insert(key, value).unwrap();
        },
        |db| {
            db.insert([9, 9, 9], b"event").unwrap();
        },
        |db| {
            let (key, _) = db.scan_prefix([4]).next_back().unwrap().unwrap();
            db.remove(key).unwrap();
        },
    ];
    for change in changes {
        let store = Store::filled(2);
        let db = open(&store.path());
        change(&db);
        db.flush().unwrap();
        drop(db);
        let error = SledMetastore::open(store.path()).unwrap_err();
        assert!(error.is_damage(), "{error:?}");
    }
}
