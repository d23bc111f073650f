//! Reading CSV files: errors that say where, options, identity, and any range of rows.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::fmt::Write as _;

use proptest::prelude::*;
use rowmark_readers::{CsvOptions, CsvSource, Error, Source};
use rowmark_rows::RowRange;
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize, Clone)]
struct Town {
    name: String,
    metres: Option<f64>,
}

fn open(text: impl AsRef<[u8]>, options: CsvOptions) -> (tempfile::TempDir, Result<CsvSource<Town>, Error>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("towns.csv");
    std::fs::write(&path, text).unwrap();
    let source = CsvSource::open(&path, options);
    (folder, source)
}

fn all(source: &CsvSource<Town>) -> Result<Vec<Town>, Error> {
    source.read(RowRange::new(0, source.rows()?))?.collect()
}

/// Checks what an error says after the file's name.
#[track_caller]
fn check_error(text: impl AsRef<[u8]>, expected: &str) {
    let (_folder, source) = open(text, CsvOptions::new());
    let error = source.and_then(|source| all(&source)).unwrap_err().to_string();
    let told = error.split("towns.csv").nth(1).expect("the error names the file");
    assert_eq!(told, expected);
}

#[test]
fn a_short_line_is_found_wherever_reading_begins() {
    let (_folder, source) = open("name,metres\nBern,540\nBiel\nThun,560\n", CsvOptions::new());
    let source = source.unwrap();
    for start in 0..3 {
        let rows: Vec<_> = source.read(RowRange::new(start, 3)).unwrap().collect();
        let good: Vec<bool> = rows.iter().map(Result::is_ok).collect();
        assert_eq!(good, [true, false, true][start as usize..]);
    }
}

#[test]
fn a_bad_line_is_named_with_its_column_and_text() {
    check_error(
        "name,metres\nBern,540\nBiel,high\n",
        ": line 3, column `metres`, found \"high\": invalid float literal",
    );
    check_error(
        "name,metres\nBern,540\nBiel\n",
        ": line 3: expected 2 columns as in the first line, found 1",
    );
    check_error(
        b"name,metres\nB\xffrn,540\n",
        ": line 2, column `name`, found \"B\u{fffd}rn\": invalid utf-8 sequence of 1 bytes from index 1",
    );
    check_error(
        "name,metres\nBern,540\n\n\nBiel,high\n",
        ": line 5, column `metres`, found \"high\": invalid float literal",
    );
    check_error("title,metres\nBern,540\n", ": line 2: missing field `name`");
    check_error(
        "",
        " is empty: expected a header line with the columns' names; if it has none, set `has_headers(false)`",
    );
}

#[test]
fn the_line_is_right_far_into_the_file() {
    let mut text = "name,metres\n".to_owned();
    for row in 0..2000 {
        writeln!(text, "\"a\nb\",{}", if row == 1900 { "x" } else { "1" }).unwrap();
    }
    check_error(&text, ": line 3802, column `metres`, found \"x\": invalid float literal");
}

#[test]
fn a_missing_value_may_have_its_own_text() {
    let (_folder, source) = open("name,metres\nOz,NA\n", CsvOptions::new().null("NA"));
    assert_eq!(all(&source.unwrap()).unwrap(), [Town { name: "Oz".into(), metres: None }]);
}

#[test]
fn content_and_options_are_the_identity_and_time_stamps_are_not() {
    let hash = |text: &str, options| {
        let (_folder, source) = open(text, options);
        source.unwrap().fingerprint().unwrap().hash()
    };
    let text = "name,metres\nBern,540\n";
    let first = hash(text, CsvOptions::new());
    assert_eq!(first, hash(text, CsvOptions::new()), "another file with another time stamp");
    assert_ne!(first, hash(text, CsvOptions::new().null("540")));
    assert_ne!(first, hash(text, CsvOptions::new().delimiter(b';')));
    assert_ne!(first, hash("name,metres\nBern,541\n", CsvOptions::new()));
}

#[test]
fn a_file_that_changed_is_refused() {
    let (folder, source) = open("name,metres\nBern,540\n", CsvOptions::new());
    let source = source.unwrap();
    source.verify().unwrap();
    source.fingerprint().unwrap();
    source.rows().unwrap();
    std::fs::write(folder.path().join("towns.csv"), "name,metres\nBern,540\nBiel,1\n").unwrap();
    for result in [source.rows().map(drop), source.fingerprint().map(drop), source.verify()] {
        assert!(matches!(result, Err(Error::Changed { .. })), "{result:?}");
    }
}

#[test]
fn a_row_is_the_same_wherever_reading_begins() {
    // What two files with byte order marks become when one is put behind the other.
    let rows = |count: usize| (0..count).map(|row| format!("\u{feff}n{row},1\n")).collect::<String>();
    let (_folder, source) = open(format!("name,metres\n{}", rows(600)), CsvOptions::new());
    let source = source.unwrap();
    let whole = all(&source).unwrap();
    for start in [0, 1, 255, 256, 257, 512] {
        let read: Vec<Town> =
            source.read(RowRange::new(start, 600)).unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!(read[0], whole[start as usize]);
    }
}

#[test]
fn a_folder_or_nothing_cannot_be_opened() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().to_owned(), folder.path().join("none.csv")] {
        let error = CsvSource::<Town>::open(&path, CsvOptions::new()).unwrap_err();
        assert!(matches!(error, Error::Open { .. }), "{error}");
    }
}

proptest! {
    #[test]
    fn any_range_reads_what_was_written(
        rows in prop::collection::vec(("[a-z\",\n\r é]{0,6}", prop::option::of(-1e9f64..1e9)), 0..600),
        start in 0usize..600,
        len in 0usize..600,
    ) {
        let rows: Vec<Town> =
            rows.into_iter().map(|(name, metres)| Town { name: format!("n{name}"), metres }).collect();
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["name", "metres"]).unwrap();
        for Town { name, metres } in &rows {
            writer.write_record([name, &metres.map(|metres| metres.to_string()).unwrap_or_default()]).unwrap();
        }
        let (_folder, source) = open(writer.into_inner().unwrap(), CsvOptions::new());
        let source = source.unwrap();
        prop_assert_eq!(source.rows().unwrap(), rows.len() as u64);
        let start = start.min(rows.len());
        let end = (start + len).min(rows.len());
        let range = RowRange::new(start as u64, end as u64);
        let read: Vec<Town> = source.read(range).unwrap().collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(&read, &rows[start..end]);
    }
}
