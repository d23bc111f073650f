//! Files that other programs broke, or that were made to do harm: an error that says where, in little memory.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use rowmark_readers::{CsvOptions, CsvSource, Error, JsonOptions, JsonSource, Source};
use rowmark_rows::{Row, RowRange, RowType};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Number {
    n: u64,
}

fn gzip(text: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_ref()).unwrap();
    encoder.finish().unwrap()
}

/// How many rows are good, and the first error.
fn read<T: RowType>(path: &Path) -> Result<(usize, Option<Error>), Error> {
    let read = |source: &dyn Source<Row = T>| {
        let rows = source.rows()?;
        source.fingerprint()?;
        let (mut good, mut first) = (0, None);
        for row in source.read(RowRange::new(0, rows))? {
            match row {
                Ok(_) => good += 1,
                Err(error) => first = first.or(Some(error)),
            }
        }
        Ok((good, first))
    };
    let name = path.file_name().unwrap().to_str().unwrap();
    #[cfg(feature = "parquet")]
    if name.contains("parquet") {
        return read(&rowmark_readers::ParquetSource::<T>::open(path, Default::default())?);
    }
    if name.contains("csv") {
        read(&CsvSource::<T>::open(path, CsvOptions::new())?)
    } else {
        read(&JsonSource::<T>::open(path, JsonOptions::new())?)
    }
}

fn told(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Checks how many rows of a file are good, and what the first error says after the file's name.
#[track_caller]
fn check<T: RowType>(name: &str, bytes: impl AsRef<[u8]>, good: usize, expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    let (rows, error) = read::<T>(&path).unwrap_or_else(|error| (0, Some(error)));
    let told = error.map(|error| told(&error)).unwrap_or_default();
    let told = told.split_once(name).map_or(&*told, |(_, told)| told);
    assert_eq!((rows, &told[..told.len().min(expected.len())]), (good, expected), "{told}");
    assert_eq!(told.is_empty(), expected.is_empty(), "{told}");
}

/// Reads a file in a process of its own, and answers the memory in MiB that it needed beyond that of an empty one.
#[cfg(target_os = "linux")]
fn peak_mib(path: &Path) -> (u64, String) {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["the_child_reads_a_file", "--exact", "--nocapture", "--ignored"])
        .env("ROWMARK_TEST_HOSTILE", path)
        .output()
        .unwrap();
    let out = String::from_utf8(child.stdout).unwrap();
    let line = out.lines().find_map(|line| line.split_once("peak ")).unwrap_or_else(|| panic!("{out}")).1;
    let (kib, told) = line.split_once(' ').unwrap();
    (kib.parse::<u64>().unwrap() / 1024, told.to_owned())
}

#[test]
#[ignore = "another test runs it in a process of its own"]
fn the_child_reads_a_file() {
    let Some(path) = std::env::var_os("ROWMARK_TEST_HOSTILE") else { return };
    let peak = || {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap()
    };
    let before = peak();
    let (rows, error) = read::<Row>(Path::new(&path)).unwrap_or_else(|error| (0, Some(error)));
    let error = error.map(|error| told(&error)).unwrap_or_default();
    println!("peak {} {rows} rows: {}", peak() - before, error.replace('\n', " "));
}

#[test]
#[cfg(target_os = "linux")]
fn what_is_made_to_fill_the_memory_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let long = "x".repeat(10 << 20);
    let (csv, json) = ("n\n1\n".repeat(20 << 20), "{\"n\":1}\n".repeat(10 << 20));
    let files: Vec<(&str, Vec<u8>, &str)> = vec![
        ("bomb.csv.gz", gzip(csv), "it unpacks to more than 500 times"),
        ("bomb.json.gz", gzip(json), "it unpacks to more than 500 times"),
        (
            "array.json.gz",
            gzip(format!("[{}1]", "{\"n\":1},".repeat(10 << 20))),
            "it unpacks to more than 500 times",
        ),
        ("one.json.gz", gzip(vec![b' '; 80 << 20]), "line 1: "),
        ("one.csv.gz", gzip(vec![b'x'; 80 << 20]), "line 1: a record is longer than 8388608 bytes"),
        ("line.csv", format!("n\n{long}\n1\n").into(), "line 2: a record is longer than 8388608 bytes"),
        ("line_without_end.csv", format!("n\n{long}").into(), "line 2: a record is longer than"),
        ("quote.csv", format!("n\n\"{long}").into(), "line 2: a record is longer than"),
        ("line.json", format!("{{\"n\":\"{long}\"}}\n{{}}\n").into(), "line 1: a record is longer than"),
        ("line_without_end.json", format!("{{\"n\":\"{long}").into(), "line 1: a record is longer than"),
        ("deep.json", "[".repeat(100_000).into(), "line 1: the array ends without `]`"),
        ("deep_row.json", format!("{{\"n\":{}", "[".repeat(100_000)).into(), "line 1: "),
        ("deep_keys.json", "{\"n\":".repeat(100_000).into(), "line 1: "),
        (
            "wide.csv",
            format!("{}\n", "a,".repeat((4 << 20) - 1)).into(),
            "it has 4194304 columns, where 32768 are the most",
        ),
    ];
    #[cfg(feature = "zstd")]
    let files = {
        let packed = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
        let (csv, json) = ("n\n1\n".repeat(20 << 20), "{\"n\":1}\n".repeat(10 << 20));
        // A frame that asks for a window of terabytes.
        let window = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0xff, 0, 0, 0];
        let more = [
            ("bomb.csv.zst", packed(csv.as_bytes()), "it unpacks to more than 500 times"),
            ("bomb.json.zst", packed(json.as_bytes()), "it unpacks to more than 500 times"),
            ("one.csv.zst", packed(&[b'x'; 80 << 20]), "line 1: a record is longer than 8388608 bytes"),
            ("window.csv.zst", window, "cannot read"),
        ];
        [files, more.into()].concat()
    };
    for (name, bytes, expected) in files {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let (mib, told) = peak_mib(&path);
        let shown: String = told.chars().take(300).collect();
        assert!(told.contains(expected), "{name}: {shown}");
        assert!(told.len() < 20_000, "{name}: an error of {} bytes: {shown}", told.len());
        assert!(mib < 150, "{name}: {mib} MiB; {shown}");
    }
}

#[test]
fn packed_files_are_read_whole_or_not_at_all() {
    let packed = gzip("n\n1\n2\n");
    let with = |end: &[u8]| [&packed, end].concat();
    check::<Number>("whole.csv.gz", &packed, 2, "");
    check::<Number>("two.csv.gz", with(&gzip("3\n")), 3, "");
    check::<Number>("empty_after.csv.gz", with(&gzip("")), 2, "");
    for cut in 1..packed.len() - 2 {
        check::<Number>("cut.csv.gz", &packed[..packed.len() - cut], 0, ": ");
    }
    check::<Number>("garbage.csv.gz", with(b"garbage"), 0, ": ");
    check::<Number>("zeros.csv.gz", with(&[0; 512]), 0, ": ");
    let mut other = packed.clone();
    let end = other.len() - 6;
    other[end] ^= 1;
    check::<Number>("checksum.csv.gz", &other, 0, ": ");
    check::<Number>("nothing.json.gz", gzip(""), 0, "");
    check::<Number>("nothing.csv.gz", gzip(""), 0, " is empty: expected a header line");
}

#[test]
fn texts_in_other_encodings_are_told() {
    let utf16 = |text: &str, order: fn(u16) -> [u8; 2]| -> Vec<u8> {
        "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(order).collect()
    };
    for name in ["n.csv", "n.json", "n.csv.gz"] {
        for order in [u16::to_le_bytes, u16::to_be_bytes] {
            let text = utf16("n\r\n1\r\n", order);
            let bytes = if name.ends_with("gz") { gzip(text) } else { text };
            check::<Number>(name, bytes, 0, ": it is a text in UTF-16, and only UTF-8 is read; convert it");
        }
    }
    #[derive(Debug, Serialize, Deserialize)]
    struct Named {
        name: String,
    }
    check::<Named>(
        "latin1.csv",
        b"name\nBern\nZ\xfcrich\n",
        1,
        ": line 3, column `name`, found \"Z\u{fffd}rich\": invalid utf-8",
    );
    check::<Row>(
        "latin1.csv",
        b"name\nBern\nZ\xfcrich\n",
        1,
        ": line 3, column `name`, found \"Z\u{fffd}rich\": ",
    );
    check::<Row>("header.csv", b"n\xfc\n1\n", 0, ": line 1, column `1`, found \"n\u{fffd}\": ");
    for name in ["latin1.json", "latin1_array.json"] {
        let mut text = b"{\"name\":\"Bern\"}\n{\"name\":\"Z\xfcrich\"}".to_vec();
        if name == "latin1_array.json" {
            text = [b"[".as_slice(), &text, b"]"].concat();
            text[16] = b',';
        }
        let line = if name == "latin1_array.json" { 1 } else { 2 };
        check::<Named>(
            name,
            &text,
            1,
            &format!(": line {line}, column `name`, found \"\\\"Z\u{fffd}rich\\\"\": "),
        );
    }
}

#[test]
fn empty_files_and_headers_alone_are_what_they_are() {
    check::<Number>("n.csv", "n\n", 0, "");
    check::<Number>("n.csv", "n", 0, "");
    check::<Row>("n.csv", "n,m\r\n", 0, "");
    check::<Number>("n.csv", "\u{feff}", 0, " is empty: expected a header line");
    check::<Number>("n.json", "", 0, "");
    check::<Number>("n.json", "\u{feff}\n", 0, "");
    check::<Number>("n.json", "[]", 0, "");
    check::<Number>("n.json", " [ ] ", 0, "");
    check::<Number>("n.json", "{\"n\":1}", 1, "");
}

#[test]
fn columns_of_one_name_are_told() {
    check::<Row>("n.csv", "n,m,n\n1,2,3\n", 0, ": there are two columns `n`");
    check::<Number>("n.csv", "n,n\n1,2\n", 0, ": there are two columns `n`");
    check::<Number>("n.json", "{\"n\":1,\"n\":2}\n", 0, ": line 1: duplicate field `n`");
    check::<Row>("n.json", "{\"n\":1,\"n\":2}\n", 0, ": line 1: the key `n` is there twice");
}
