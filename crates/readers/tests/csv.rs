//! Reading CSV files: errors that say where, options, identity, and any range of rows.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::fmt::Write as _;

use proptest::prelude::*;
use rowmark_readers::{CsvOptions, CsvSource, Error, Source};
use rowmark_rows::{Row, RowRange};
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
    check_error(
        "",
        " is empty: expected a header line with the columns' names; if it has none, set `has_headers(false)`",
    );
}

#[test]
fn other_columns_are_told_before_the_first_row_with_both_sides() {
    check_error(
        "title,metres\n",
        ": column `name` is missing; expected {name: string, metres: f64?}, found {title, metres}",
    );
    check_error(
        "metres,name,mayor\n",
        ": column `mayor` is in no field; add one, or pass over such columns with `skip_extra_columns`; \
         expected {name: string, metres: f64?}, found {metres, name, mayor}",
    );
    let text = "mayor,metres,name\nAda,540,Bern\n";
    for options in [
        CsvOptions::new().skip_extra_columns(),
        CsvOptions::new().unchecked(),
        CsvOptions::new().columns(["name", "metres"]),
    ] {
        let (_folder, source) = open(text, options);
        assert_eq!(all(&source.unwrap()).unwrap(), [Town { name: "Bern".into(), metres: Some(540.0) }]);
    }
    #[derive(Debug, Serialize, Deserialize)]
    struct Nested {
        name: String,
        metres: Vec<f64>,
    }
    let (folder, _) = open("name,metres\n", CsvOptions::new());
    let error = CsvSource::<Nested>::open(folder.path().join("towns.csv"), CsvOptions::new()).unwrap_err();
    assert!(
        error.to_string().contains("column `metres` is a text, as every cell of a CSV file is"),
        "{error}"
    );
}

#[test]
fn a_byte_order_mark_line_ends_and_a_missing_last_line_end_do_not_matter() {
    let expected =
        [Town { name: "Bern\r\nBE".into(), metres: Some(540.0) }, Town { name: "Oz".into(), metres: None }];
    for text in
        ["name,metres\n\"Bern\r\nBE\",540\nOz,", "\u{feff}name,metres\r\n\"Bern\r\nBE\",540\r\n\r\nOz,\r\n"]
    {
        let (_folder, source) = open(text, CsvOptions::new());
        let source = source.unwrap();
        assert_eq!(all(&source).unwrap(), expected);
        let second: Vec<_> = source.read(RowRange::new(1, 2)).unwrap().map(Result::unwrap).collect();
        assert_eq!(second, expected[1..]);
    }
}

#[test]
fn types_of_columns_are_guessed_where_none_are_told() {
    let text = "id,post code,score,good,note,big,mixed\n\
                1,01234,1,true,,123456789012345678901,1\n\
                -2,98765,2.5e3,FALSE,,1,x\n";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.csv");
    std::fs::write(&path, text).unwrap();
    let source = CsvSource::<Row>::open(&path, CsvOptions::new()).unwrap();
    assert_eq!(
        source.schema().unwrap().to_string(),
        "id: i64?, post code: string?, score: f64?, good: bool?, note: string?, big: string?, mixed: string?"
    );
    let rows: Vec<String> =
        source.read(RowRange::new(0, 2)).unwrap().map(|row| row.unwrap().to_string()).collect();
    assert_eq!(
        rows[1],
        "{id: -2, post code: \"98765\", score: 2500, good: false, note: null, big: \"1\", mixed: \"x\"}"
    );
    let options = CsvOptions::new().columns(["score", "id"]).rows_max(1);
    let source = CsvSource::<Row>::open(&path, options.clone()).unwrap();
    assert_eq!(
        (source.rows().unwrap(), &*source.schema().unwrap().to_string()),
        (1, "score: f64?, id: i64?")
    );
    let error = CsvSource::<Row>::open(&path, options.columns(["id", "nil"])).unwrap_err().to_string();
    assert!(error.ends_with("there is no column `nil`; expected {id, nil}, found {id, post code, score, good, note, big, mixed}"), "{error}");
}

#[test]
fn a_cell_that_is_not_what_was_guessed_is_an_error_of_its_row() {
    let mut text = "id\n".to_owned();
    (0..1500).for_each(|id| {
        writeln!(text, "{}", if id == 1200 { "none".into() } else { id.to_string() }).unwrap();
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.csv");
    std::fs::write(&path, text).unwrap();
    let source = CsvSource::<Row>::open(&path, CsvOptions::new()).unwrap();
    let rows: Vec<_> = source.read(RowRange::new(1199, 1202)).unwrap().collect();
    let error = rows[1].as_ref().unwrap_err().to_string();
    assert!(
        error.contains(
            ": line 1202, column `id`, found \"none\": expected a whole number as in the first 1000 rows"
        ),
        "{error}"
    );
    assert_eq!(rows[2].as_ref().unwrap()["id"].as_i64(), Some(1201));
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
    assert_ne!(first, hash(text, CsvOptions::new().delimiter(b';').unchecked()));
    assert_ne!(first, hash("name,metres\nBern,541\n", CsvOptions::new()));
}

#[test]
fn a_file_that_changed_is_refused() {
    let (folder, source) = open("name,metres\nBern,540\n", CsvOptions::new());
    let source = source.unwrap();
    source.fingerprint().unwrap();
    all(&source).unwrap();
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
    let open = |path: std::path::PathBuf| CsvSource::<Town>::open(path, CsvOptions::new()).unwrap_err();
    assert!(matches!(open(folder.path().to_owned()), Error::NoFiles { .. }));
    assert!(matches!(open(folder.path().join("none.csv")), Error::Open { .. }));
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
