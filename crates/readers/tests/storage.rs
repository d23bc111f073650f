//! Files of folders as rows, in a program that knows no network.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rowmark_readers::{Error, File, FileHashes, Files, Source, StorageOptions, StorageSource};
use rowmark_rows::RowRange;

fn open(files: impl Into<Files>) -> StorageSource {
    StorageSource::open(files, StorageOptions::new()).unwrap()
}

fn rows(source: &StorageSource) -> Vec<File> {
    let rows = source.rows().unwrap();
    source.read(RowRange::new(0, rows)).unwrap().collect::<Result<_, _>>().unwrap()
}

fn hash(source: &StorageSource) -> String {
    source.fingerprint().unwrap().hash().to_string()
}

fn write(folder: &Path, names: &[&str]) {
    for name in names {
        fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
        fs::write(folder.join(name), name).unwrap();
    }
}

#[test]
fn a_folder_is_listed_whole_and_a_pattern_takes_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, &["b.txt", "a/deep/c.txt", "_marked", ".hidden", ".git/config", "a b%20.txt"]);
    let names = |files: Files| -> Vec<String> {
        let root = format!("{}/", folder.display());
        rows(&open(files)).iter().map(|file| file.path.strip_prefix(&root).unwrap().to_owned()).collect()
    };
    assert_eq!(names(folder.into()), ["_marked", "a b%20.txt", "a/deep/c.txt", "b.txt"]);
    assert_eq!(names(folder.join("*.txt").into()), ["a b%20.txt", "b.txt"]);
    assert_eq!(names(folder.join("**/*.txt").into()), ["a b%20.txt", "a/deep/c.txt", "b.txt"]);
    assert_eq!(names(format!("file://{}/a%20b%2520.txt", folder.display()).into()), ["a b%20.txt"]);
    assert_eq!(
        names(vec![folder.join("b.txt"), folder.join("a"), folder.join("b.txt")].into()),
        ["a/deep/c.txt", "b.txt"]
    );
    for nothing in [folder.join("*.png"), folder.join(".git/hooks")] {
        assert!(StorageSource::open(nothing, StorageOptions::new()).is_err());
    }
    fs::create_dir(folder.join("none")).unwrap();
    let error = StorageSource::open(folder.join("none"), StorageOptions::new()).unwrap_err();
    assert!(matches!(error, Error::NoFiles { .. }), "{error}");
}

#[test]
fn a_row_says_what_a_file_is_and_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &["a/b.txt"]);
    let source =
        StorageSource::open(folder.path(), StorageOptions::new().with_modified().with_version()).unwrap();
    let file = rows(&source).remove(0);
    assert_eq!((file.source.as_str(), file.name(), file.size, &file.version), ("file://", "b.txt", 7, &None));
    assert!(file.etag.starts_with("content:") && file.uri() == file.path, "{file:?}");
    let modified = file.modified.as_deref().unwrap();
    assert!(modified.len() >= 20 && modified.ends_with('Z') && modified.starts_with("20"), "{modified}");
    assert_eq!(file.read().unwrap(), b"a/b.txt");
    let mut some = [0; 3];
    file.open().unwrap().read_exact(&mut some).unwrap();
    assert_eq!(&some, b"a/b");
    assert_eq!(rows(&open(file.uri()))[0].etag, file.etag);
}

#[test]
fn a_file_that_changed_is_refused_by_its_row_and_by_the_source() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &["a", "b", "c"]);
    let source = open(folder.path());
    let before = hash(&source);
    let files = rows(&source);
    source.verify().unwrap();
    for other in ["A", "longer"] {
        fs::write(folder.path().join("a"), other).unwrap();
        assert!(matches!(files[0].read(), Err(Error::Changed { .. })), "{other}");
    }
    source.verify().unwrap();
    let mut reading = source.read(RowRange::new(0, 2)).unwrap();
    source.verify().unwrap();
    reading.next().unwrap().unwrap();
    assert!(matches!(source.verify(), Err(Error::Changed { .. })), "its row was given out since");
    assert!(matches!(source.fingerprint(), Err(Error::Changed { .. })));
    assert_eq!(files[1].text().unwrap(), "b");
    fs::write(folder.path().join("a"), "a").unwrap();
    assert_eq!(files[0].text().unwrap(), "a", "it holds again what was listed");
    assert_eq!(hash(&open(folder.path())), before);
}

#[test]
fn hashes_of_unchanged_files_are_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let (data, memory) = (folder.path().join("data"), folder.path().join("hashes"));
    write(&data, &["a", "b"]);
    let before = SystemTime::now() - std::time::Duration::from_secs(60);
    for name in ["a", "b"] {
        fs::File::options().write(true).open(data.join(name)).unwrap().set_modified(before).unwrap();
    }
    // Its clock is ahead, so that the files have been as they are for long enough.
    let hashes =
        Arc::new(FileHashes::open(&memory, || SystemTime::now() + std::time::Duration::from_secs(60)));
    let known = hash(&open(&*data).remember(&hashes));
    let remembered = fs::read_to_string(&memory).unwrap();
    assert_eq!(remembered.lines().count(), 3, "{remembered}");
    assert_eq!(hash(&open(&*data).remember(&hashes)), known);
}

#[test]
#[cfg(not(feature = "storage"))]
fn a_program_without_stores_says_what_it_was_built_without() {
    let told = StorageSource::open("s3://bucket/*", StorageOptions::new()).unwrap_err().to_string();
    assert_eq!(
        told,
        "`s3://bucket/*` cannot be read: this program was built for local files only; build it with the feature `storage`"
    );
}
