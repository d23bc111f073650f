//! Whether a folder can be opened, and what is said when it cannot.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::error::Error as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use rowmark_metastore::{CheckpointKind, CodeRows, Error, Metastore, SledMetastore};

mod common;
use common::{checkpoint, contents, dataset, event, hash, job};

const HOLD_IN_CHILD: &str = "ROWMARK_TEST_HOLD";

#[test]
fn a_store_is_new_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/down/store");
    assert!(SledMetastore::open(&path).unwrap().is_new());
    assert!(!SledMetastore::open(&path).unwrap().is_new());
    fs::remove_dir_all(&path).unwrap();
    assert!(SledMetastore::open(&path).unwrap().is_new());
}

#[test]
fn what_was_written_is_there_after_opening_again_and_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut expected = None;
    for number in 1..=20 {
        let store = SledMetastore::open(folder.path()).unwrap();
        assert_eq!(expected, (number > 1).then(|| contents(&store, 20).unwrap()));
        store.create_job(&job(number, number.checked_sub(1))).unwrap();
        store.get_or_create_checkpoint(checkpoint(number, "classify", CheckpointKind::Final)).unwrap();
        store.save_dataset(&dataset("reviews", number, "chain")).unwrap();
        // Not durable yet; dropping the store makes it so.
        store.record_event(event(number, "classify")).unwrap();
        expected = Some(contents(&store, 20).unwrap());
    }
    assert_eq!(SledMetastore::open(folder.path()).unwrap().get_next_dataset_version("reviews").unwrap(), 21);
}

#[test]
fn only_a_store_that_was_closed_and_not_touched_is_taken_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = SledMetastore::open(&path).unwrap();
    let empty = store.content();
    store.create_job(&job(1, None)).unwrap();
    let content = store.content();
    assert!(content.is_some() && content != empty && !store.was_closed());
    drop(store);
    for _ in 0..2 {
        let store = SledMetastore::open(&path).unwrap();
        assert_eq!((store.was_closed(), store.content()), (true, content));
    }
    // What a death leaves: a store that is open, as it is on the disk.
    let store = SledMetastore::open(&path).unwrap();
    let died = folder.path().join("died");
    fs::create_dir(&died).unwrap();
    for entry in fs::read_dir(&path).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file()) {
        fs::copy(entry.path(), died.join(entry.file_name())).unwrap();
    }
    drop(store);
    let died = SledMetastore::open(died).unwrap();
    assert_eq!((died.was_closed(), died.content()), (false, content));
    // Files that are the same bytes and were written again, and a file that is new.
    let db = path.join("db");
    for touch in [&|| fs::write(&db, fs::read(&db).unwrap()).unwrap(), &|| {
        fs::write(path.join("new"), "").unwrap();
    }] as [&dyn Fn(); 2]
    {
        drop(SledMetastore::open(&path).unwrap());
        touch();
        assert!(!SledMetastore::open(&path).unwrap().was_closed());
    }
}

#[test]
fn what_a_killed_opening_has_left_half_done_is_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    drop(SledMetastore::open(folder.path()).unwrap());
    SledMetastore::open(folder.path()).unwrap().create_job(&job(1, None)).unwrap();
    for half_done in ["", "half of a snapshot, which is longer than twelve bytes"] {
        let snapshot = folder.path().join("snap.FFFFFFFFFFFFFFFF.generating");
        fs::write(&snapshot, half_done).unwrap();
        let store = SledMetastore::open(folder.path()).unwrap();
        assert_eq!(store.list_jobs().unwrap(), [job(1, None)]);
        assert!(!snapshot.exists());
    }

    let begun = tempfile::tempdir().unwrap();
    fs::write(begun.path().join("conf"), "segment_size: 524288\nuse_compression: false\n").unwrap();
    assert!(SledMetastore::open(begun.path()).unwrap().is_new());
}

#[test]
fn j05_a_second_open_in_this_process_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = SledMetastore::open(folder.path()).unwrap();
    let error = SledMetastore::open(folder.path()).unwrap_err();
    assert!(matches!(&error, Error::InUse { path, .. } if path == first.path()), "{error:?}");
    assert!(error.source().is_some());
    assert!(first.list_jobs().unwrap().is_empty());
    drop(first);
    SledMetastore::open(folder.path()).unwrap();
}

#[test]
fn j05_a_store_that_another_process_holds_is_refused_until_it_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "hold_a_store", "--nocapture"])
        .env(HOLD_IN_CHILD, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.contains("holding")));
    for _ in 0..3 {
        let error = SledMetastore::open(folder.path()).unwrap_err();
        assert!(matches!(error, Error::InUse { .. }), "{error:?}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let store = SledMetastore::open(folder.path()).unwrap();
    assert_eq!(store.list_jobs().unwrap(), [job(1, None)]);
}

/// Runs in the child of the test above.
#[test]
fn hold_a_store() {
    let Some(path) = std::env::var_os(HOLD_IN_CHILD) else { return };
    let store = SledMetastore::open(path).unwrap();
    store.create_job(&job(1, None)).unwrap();
    println!("\nholding");
    std::thread::sleep(std::time::Duration::from_secs(60));
}

#[test]
fn j05_a_folder_that_sled_itself_holds_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let _db = sled::open(folder.path()).unwrap();
    let error = SledMetastore::open(folder.path()).unwrap_err();
    assert!(matches!(error, Error::InUse { .. }), "{error:?}");
    assert!(error.source().is_some());
}

#[test]
fn a_path_that_is_a_file_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "mine").unwrap();
    for path in [file.clone(), file.join("below")] {
        let error = SledMetastore::open(&path).unwrap_err();
        assert!(matches!(&error, Error::NotAFolder { path: named, .. } if *named == path), "{error:?}");
        assert!(error.source().is_some());
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
}

#[test]
fn a_file_that_cannot_be_opened_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("lock")).unwrap();
    let error = SledMetastore::open(folder.path()).unwrap_err();
    let Error::Io { action: "open", path, source } = &error else { panic!("{error:?}") };
    assert!(path.ends_with("lock") && source.raw_os_error().is_some(), "{error:?}");
}

#[cfg(unix)]
#[test]
fn a_folder_that_is_not_writable_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(folder.path().join("probe"), "").is_ok() {
        return; // whoever may write everywhere is never refused
    }
    for path in [folder.path().to_owned(), folder.path().join("below")] {
        let error = SledMetastore::open(&path).unwrap_err();
        assert!(matches!(error, Error::NotWritable { .. }), "{error:?}");
        assert!(error.source().is_some());
    }
}

#[test]
fn j06_a_store_of_a_newer_format_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(SledMetastore::open(folder.path()).unwrap());
    let version = 2_u32.to_be_bytes();
    let format = [version, crc32c::crc32c(&version).to_be_bytes()].concat();
    let db = loop {
        // Sled's threads may still be closing the file that was open a moment ago.
        if let Ok(db) = sled::open(folder.path()) {
            break db;
        }
    };
    db.insert([0, b'f'], format).unwrap();
    db.insert([7, 7, 7], "what only the newer version knows").unwrap();
    db.flush().unwrap();
    drop(db);
    let error = SledMetastore::open(folder.path()).unwrap_err();
    assert!(matches!(error, Error::NewerFormat { found: 2, known: 1, .. }), "{error:?}");
    assert!(!error.is_damage());
}

#[test]
fn long_records_never_make_sled_write_files_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    {
        let store = SledMetastore::open(folder.path()).unwrap();
        for index in 0..60 {
            let mut long = checkpoint(1, &format!("step {index}"), CheckpointKind::Final);
            let rows = (index % 7 + 1) * 900;
            long.codes = vec![CodeRows { code: hash("code"), rows: 1 }; rows];
            store.get_or_create_checkpoint(long).unwrap();
        }
        let mut longest = dataset("reviews", 1, "chain");
        longest.schema = "s".repeat(1_000_000);
        store.save_dataset(&longest).unwrap();
        for checkpoint in store.list_checkpoints(common::job_id(1)).unwrap().iter().step_by(2) {
            store.remove_checkpoint(checkpoint.job, checkpoint.hash, checkpoint.kind).unwrap();
        }
    }
    let files = fs::read_dir(folder.path().join("blobs")).unwrap().count();
    assert_eq!(files, 0, "sled put values into files that it does not sync");
    let store = SledMetastore::open(folder.path()).unwrap();
    assert_eq!(store.list_checkpoints(common::job_id(1)).unwrap().len(), 30);
    assert_eq!(store.get_dataset("reviews", None).unwrap().unwrap().schema.len(), 1_000_000);
}

#[test]
fn a_store_shows_its_path_and_not_its_contents() {
    let folder = tempfile::tempdir().unwrap();
    let store = SledMetastore::open(folder.path()).unwrap();
    store.create_job(&job(1, None)).unwrap();
    let text = format!("{store:?}");
    assert!(text.contains(store.path().to_str().unwrap()) && text.len() < 300, "{text}");
}
