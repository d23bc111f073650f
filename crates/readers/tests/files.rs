//! Which files are read, packed or not, in many ranges at a time; what is remembered of them; and what is refused.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;
use rowmark_readers::{CsvOptions, CsvSource, Error, FileHashes, Files, JsonOptions, JsonSource, Source};
use rowmark_rows::RowRange;
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Number {
    n: u64,
}

fn numbers(range: std::ops::Range<u64>) -> String {
    range.fold("n\n".to_owned(), |text, n| format!("{text}{n}\n"))
}

fn gzip(text: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_ref()).unwrap();
    encoder.finish().unwrap()
}

fn open(files: impl Into<Files>) -> CsvSource<Number> {
    CsvSource::open(files, CsvOptions::new()).unwrap()
}

fn read(source: &CsvSource<Number>, start: u64, end: u64) -> Vec<u64> {
    source.read(RowRange::new(start, end)).unwrap().map(|row| row.unwrap().n).collect()
}

#[test]
fn files_are_meant_by_path_list_folder_or_pattern() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("below")).unwrap();
    for (name, from) in
        [("b.csv", 10), ("below/c.CSV.gz", 20), ("a.csv", 0), (".hidden.csv", 90), ("d.txt", 30)]
    {
        let text = numbers(from..from + 2);
        fs::write(folder.join(name), if name.contains("gz") { gzip(text) } else { text.into() }).unwrap();
    }
    let all = |files: Files| {
        let source = open(files);
        let rows = source.rows().unwrap();
        (read(&source, 0, rows), source.name())
    };
    assert_eq!(all(folder.into()), (vec![0, 1, 10, 11, 20, 21], "a.csv and 2 more files".into()));
    assert_eq!(all(folder.join("d.txt").into()).0, [30, 31]);
    assert_eq!(all([folder.join("b.csv"), folder.join("below")].into()).0, [10, 11, 20, 21]);
    assert_eq!(all(folder.join("**/*.csv").into()).0, [0, 1, 10, 11]);
    assert_eq!(all(format!("{}/[bd].*", folder.display()).into()).0, [10, 11, 30, 31]);
    for (files, told) in [
        (Files::from(folder.join("*.parquet")), "no file matches the pattern"),
        (Files::from(Vec::<&str>::new()), "there is no file to read in an empty list"),
        (Files::from(folder.join("none.csv")), "check that it exists"),
    ] {
        let error = CsvSource::<Number>::open(files, CsvOptions::new()).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
    let error = JsonSource::<Number>::open(folder, JsonOptions::new()).unwrap_err().to_string();
    assert!(error.ends_with("no name in it ends with .json or .jsonl or .ndjson"), "{error}");
}

#[test]
fn any_range_over_many_files_is_read_by_many_threads() {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<_> = (0..5).map(|number| folder.path().join(format!("{number}.csv"))).collect();
    for (number, name) in (0..).zip(&names) {
        let text = numbers(number * 3000..(number + 1) * 3000);
        // Two are packed, one of them as two packed parts.
        fs::write(
            name,
            match number {
                1 => gzip(text),
                3 => [gzip(&text[..5000]), gzip(&text[5000..])].concat(),
                _ => text.into(),
            },
        )
        .unwrap();
    }
    let source = open(names);
    assert_eq!(source.rows().unwrap(), 15_000);
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let source = &source;
            scope.spawn(move || {
                for lease in (thread * 100..15_000).step_by(400) {
                    let end = (lease + 100).min(15_000);
                    assert_eq!(read(source, lease, end), (lease..end).collect::<Vec<_>>());
                }
                for row in (thread * 7..15_000).rev().step_by(2111) {
                    assert_eq!(read(source, row, row + 1), [row]);
                }
            });
        }
    });
    assert_eq!(read(&source, 0, 15_000), (0..15_000).collect::<Vec<_>>());
    source.verify().unwrap();
}

#[test]
fn the_order_and_content_of_files_are_the_identity_and_their_names_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b, c] = ["a.csv", "b.csv", "c.csv"].map(|name| folder.path().join(name));
    fs::write(&a, numbers(0..5)).unwrap();
    fs::write(&b, numbers(5..9)).unwrap();
    fs::copy(&a, &c).unwrap();
    let hash = |files: Vec<&Path>| open(files).fingerprint().unwrap().hash();
    assert_eq!(hash(vec![&a, &b]), hash(vec![&c, &b]));
    assert_ne!(hash(vec![&a, &b]), hash(vec![&b, &a]));
    assert_ne!(hash(vec![&a]), hash(vec![&a, &a]));
}

#[test]
fn a_file_that_changes_while_it_is_read_is_told_of_at_once_and_others_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b] = ["a.csv", "b.csv"].map(|name| folder.path().join(name));
    fs::write(&a, numbers(0..50_000)).unwrap();
    fs::write(&b, numbers(0..10)).unwrap();
    let source = open(vec![&a, &b]);
    assert_eq!(source.rows().unwrap(), 50_010);
    let mut rows = source.read(RowRange::new(0, 50_000)).unwrap();
    assert_eq!(rows.next().unwrap().unwrap().n, 0);
    fs::write(&b, numbers(0..11)).unwrap();
    source.verify().expect("nothing was read from the file that changed");
    File::options().write(true).open(&a).unwrap().set_len(200_000).unwrap();
    assert!(matches!(source.verify(), Err(Error::Changed { path }) if path == a));
    let last = rows.find_map(Result::err).expect("there are fewer rows than there were");
    assert!(matches!(last, Error::Changed { path } if path == a));
}

/// A clock that is well behind the writing of all test files.
fn later() -> SystemTime {
    SystemTime::now() + Duration::from_secs(60)
}

#[test]
fn an_unchanged_file_is_not_read_again_and_a_changed_one_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("n.csv");
    let cache = folder.path().join("hashes");
    fs::write(&path, numbers(0..10)).unwrap();
    let hash = |clock: fn() -> SystemTime| {
        let hashes = Arc::new(FileHashes::open(&cache, clock));
        open(&path).remember(&hashes).fingerprint().unwrap().hash()
    };
    let first = hash(SystemTime::now);
    assert!(!cache.exists(), "it was written less than two seconds ago, and another write might not show");
    assert_eq!(hash(later), first);
    let text = fs::read_to_string(&cache).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");

    // Proof that it is not read: another hash in its place is believed as long as the file is as it was.
    let content = text.lines().nth(1).unwrap().split(' ').next().unwrap();
    let other = text.replace(content, &"ab".repeat(32));
    assert_ne!(text, other);
    fs::write(&cache, &other).unwrap();
    assert_eq!(hash(later), first, "a list that does not have the hash that it says is not believed");
    let lines = other.split_once('\n').unwrap().1;
    let whole =
        format!("rowmark file hashes 1 {}\n{lines}", rowmark_hashing::hash_reader(lines.as_bytes()).unwrap());
    fs::write(&cache, &whole).unwrap();
    assert_ne!(hash(later), first, "it was not read");

    // The same size and time, other content: the time of status change tells.
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, numbers(0..10).replace('7', "4")).unwrap();
    File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
    let changed = hash(later);
    assert_ne!(changed, first);
    fs::write(&path, numbers(0..10)).unwrap();
    assert_eq!(hash(later), first);
}

/// Checks what an error says after the file's name.
#[track_caller]
fn check_refused(name: &str, bytes: &[u8], expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    let result = if name.contains("csv") {
        CsvSource::<Number>::open(&path, CsvOptions::new()).and_then(|source| source.rows())
    } else {
        JsonSource::<Number>::open(&path, JsonOptions::new()).and_then(|source| source.rows())
    };
    let error = result.unwrap_err();
    let told = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ");
    assert!(told.split(name).nth(1).unwrap().starts_with(expected), "{told}");
}

#[test]
fn hostile_files_are_errors() {
    let too_long = ": line 3: a record is longer than 8388608 bytes; if that is right, allow it";
    let long = "x".repeat(20 << 20);
    check_refused("plain.csv", format!("n\n1\n{long}").as_bytes(), too_long);
    check_refused(
        "quoted.csv",
        format!("n\n1\n\"{long}").as_bytes(),
        ": line 3: a record is longer than 8388608 bytes",
    );
    check_refused("lines.json", format!("{{\"n\":1}}\n\n\"{long}").as_bytes(), too_long);
    check_refused("array.json", format!("[{{\"n\":1}},\n\n\"{long}").as_bytes(), too_long);
    check_refused("packed.csv.gz", &gzip(format!("n\n1\n{long}")), too_long);
    // Lines of a few bytes each, and far too many of them.
    check_refused(
        "bomb.csv.gz",
        &gzip("n\n1\n".repeat(20 << 20)),
        ": line 33554433: it unpacks to more than 500 times",
    );
    check_refused("header.csv", long.as_bytes(), ": line 1: a record is longer than 8388608 bytes");
    let packed = gzip(numbers(0..100_000));
    check_refused("cut.csv.gz", &packed[..packed.len() / 2], ": incomplete deflate stream");
    let mut broken = packed;
    let middle = broken.len() / 2;
    broken[middle..middle + 100].fill(0);
    check_refused("broken.csv.gz", &broken, ": corrupt");
    check_refused("deep.json", "[".repeat(5 << 20).as_bytes(), ": line 1: the array ends without `]`");
}

#[test]
fn a_row_that_is_nested_without_end_is_an_error_of_that_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("n.json");
    fs::write(&path, format!("{{\"n\":1}}\n{{\"n\":{}\n{{\"n\":3}}\n", "[".repeat(1 << 20))).unwrap();
    let source = JsonSource::<Number>::open(&path, JsonOptions::new()).unwrap();
    let rows: Vec<_> = source.read(RowRange::new(0, 3)).unwrap().collect();
    let told = rows[1].as_ref().unwrap_err().to_string();
    assert!(told.ends_with("n.json: line 2: invalid type: sequence, expected u64"), "{told}");
    assert_eq!(rows[2].as_ref().unwrap().n, 3);
}

#[test]
fn a_record_may_be_longer_when_that_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("n.csv");
    fs::write(&path, format!("n,text\n1,{}\n", "x".repeat(9 << 20))).unwrap();
    let options = CsvOptions::new().skip_extra_columns();
    assert!(CsvSource::<Number>::open(&path, options.clone()).unwrap().rows().is_err());
    let source = CsvSource::<Number>::open(&path, options.record_bytes_max(10 << 20)).unwrap();
    assert_eq!(source.rows().unwrap(), 1);
}

#[test]
fn zstd_is_read_by_programs_that_were_built_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("n.csv.zst");
    // One raw block, as RFC 8878 has it, of the text "n\n7\n".
    const PACKED: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x04, 0x21, 0x00, 0x00, b'n', b'\n', b'7', b'\n'];
    fs::write(&path, PACKED).unwrap();
    let source = CsvSource::<Number>::open(&path, CsvOptions::new());
    if cfg!(feature = "zstd") {
        assert_eq!(read(&source.unwrap(), 0, 1), [7]);
    } else {
        let told = source.unwrap_err().to_string();
        assert!(
            told.contains("n.csv.zst: it is compressed with zstd, which this program was built without"),
            "{told}"
        );
    }
}
