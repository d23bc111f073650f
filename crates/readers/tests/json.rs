//! Reading JSON files: both layouts, errors that say where, identity, and any range of rows.

#![expect(clippy::unwrap_used, reason = "a test")]

use proptest::prelude::*;
use rowmark_readers::{Error, JsonLayout, JsonOptions, JsonSource, Source};
use rowmark_rows::{Row, RowRange, RowType};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize, Clone)]
struct Place {
    latitude: f64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, Clone)]
struct Town {
    name: String,
    metres: Option<f64>,
    #[serde(default)]
    tags: Vec<String>,
    at: Option<Place>,
}

fn open<T: RowType>(
    text: impl AsRef<[u8]>,
    options: JsonOptions,
) -> (tempfile::TempDir, Result<JsonSource<T>, Error>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("towns.json");
    std::fs::write(&path, text).unwrap();
    let source = JsonSource::open(&path, options);
    (folder, source)
}

fn all<T: RowType>(text: impl AsRef<[u8]>) -> Result<Vec<T>, Error> {
    let (_folder, source) = open(text, JsonOptions::new());
    let source = source?;
    source.read(RowRange::new(0, source.rows()?))?.collect()
}

/// Checks what an error says after the file's name.
#[track_caller]
fn check_error(text: impl AsRef<[u8]>, expected: &str) {
    let error = all::<Town>(text).unwrap_err().to_string();
    let told = error.split("towns.json").nth(1).expect("the error names the file");
    assert_eq!(told, expected);
}

#[test]
fn lines_and_arrays_are_told_apart() {
    for text in ["", "\n \n", "[]", " [ ] \n", "\u{feff}[]"] {
        assert_eq!(all::<Town>(text).unwrap(), []);
    }
    let expected =
        ["Bern", "Biel"].map(|name| Town { name: name.into(), metres: None, tags: vec![], at: None });
    for text in [
        "{\"name\":\"Bern\",\"tags\":[]}\n{\"name\":\"Biel\",\"tags\":[]}",
        "\u{feff}{\"name\":\"Bern\",\"tags\":[]}\r\n\r\n  {\"name\":\"Biel\",\"tags\":[]}\r\n",
        "[{\"name\":\"Bern\",\"tags\":[]},{\"name\":\"Biel\",\"tags\":[]}]",
        "\u{feff} \n[\n  {\n    \"name\": \"Bern\", \"tags\": []\n  } ,\n  {\"name\":\"Biel\",\"tags\":[]}\n]\n",
    ] {
        assert_eq!(all::<Town>(text).unwrap(), expected, "{text:?}");
    }
    let (_folder, source) =
        open::<(u64, u64)>("[1, 2]\n[3, 4]\n", JsonOptions::new().layout(JsonLayout::Lines));
    let rows: Vec<_> = source.unwrap().read(RowRange::new(0, 2)).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows, [(1, 2), (3, 4)]);
}

#[test]
fn a_bad_row_is_named_with_its_line_path_and_text() {
    let good = r#"{"name":"Bern","tags":[]}"#;
    check_error(
        format!("{good}\n\n{{\"name\":\"Biel\",\"tags\":[\"a\", 7]}}\n"),
        ": line 3, column `tags[1]`, found \"7\": invalid type: integer `7`, expected a string",
    );
    check_error(
        format!(
            "[\n{good},\n{{\n\"name\": \"Biel\",\n\"at\": {{\"latitude\": \"north\"}}, \"tags\": []}}\n]"
        ),
        ": line 5, column `at.latitude`, found \"\\\"north\\\"\": invalid type: string \"north\", expected f64",
    );
    check_error(format!("{good}\n{{\"name\":\"Biel\"\n"), ": line 2: EOF while parsing an object");
    check_error(format!("{good}\n{{\"tags\":[]}}\n"), ": line 2: missing field `name`");
    check_error(
        b"{\"name\":\"B\xffrn\"}\n",
        ": line 1, column `name`, found \"\\\"B\u{fffd}rn\\\"\": invalid unicode code point",
    );
    check_error(format!("[{good},\n{good}"), ": line 2: the array ends without `]`; the file may be cut off");
    check_error(format!("[{good},\n]"), ": line 2: found `]`, expected a value");
    check_error(format!("[{good}]\n{good}"), ": line 2: found `{`, expected nothing behind the array");
    check_error("[", ": line 1: the array ends without `]`; the file may be cut off");
}

#[test]
fn other_keys_are_told_before_the_first_row_with_both_sides() {
    let expected = "expected {name: string, metres: f64?, tags: [string], at: {latitude: f64}?}";
    check_error(
        r#"{"title": "Bern", "tags": []}"#,
        &format!(": column `name` is missing; {expected}, found {{title: string?, tags: [string?]?}}"),
    );
    check_error(
        r#"{"name": "Bern", "tags": ["a"], "metres": "high"}"#,
        &format!(
            ": column `metres` is of another type; {expected}, found {{name: string?, tags: [string?]?, metres: string?}}"
        ),
    );
    let extra = r#"{"name": "Bern", "tags": [], "mayor": 1}"#;
    check_error(
        extra,
        &format!(
            ": column `mayor` is in no field; add one, or pass over such columns with `skip_extra_columns`; {expected}, found {{name: string?, tags: [string?]?, mayor: i64?}}"
        ),
    );
    for (text, options) in [
        (extra, JsonOptions::new().skip_extra_columns()),
        (r#"{"name": "Oz"}"#, JsonOptions::new().unchecked()),
    ] {
        let (_folder, source) = open::<Town>(text, options);
        assert!(source.unwrap().read(RowRange::new(0, 1)).unwrap().all(|row| row.is_ok()));
    }
}

#[test]
fn rows_without_a_type_have_the_columns_of_the_first_thousand() {
    let text = r#"[{"name": "Bern", "at": {"x": 1}}, {"name": null, "at": {"y": [true]}, "score": 1.5}]"#;
    let (_folder, source) = open::<Row>(text, JsonOptions::new());
    let source = source.unwrap();
    assert_eq!(
        source.schema().unwrap().to_string(),
        "name: string?, at: {x: i64?, y: [bool?]?}?, score: f64?"
    );
    let rows: Vec<Row> = source.read(RowRange::new(0, 2)).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows[1].to_string(), "{name: null, at: {x: null, y: [true]}, score: 1.5}");

    let (_folder, source) = open::<Row>(text, JsonOptions::new().columns(["score", "name"]));
    assert_eq!(source.unwrap().schema().unwrap().to_string(), "score: f64?, name: string?");

    let late = format!("{}{}", "{\"id\": 1}\n".repeat(1000), "{\"id\": \"x\"}\n{\"other\": 1}\n");
    let (_folder, source) = open::<Row>(late, JsonOptions::new());
    let rows: Vec<_> = source.unwrap().read(RowRange::new(1000, 1002)).unwrap().collect();
    let told = rows[0].as_ref().unwrap_err().to_string();
    assert!(
        told.contains(": line 1001: field id is string \"x\", where i64? is expected, as in the first 1000"),
        "{told}"
    );
    let (_folder, source) = open::<Row>("{\"a\": 1}\n{\"a\": []}\n", JsonOptions::new());
    let told = source.unwrap_err().to_string();
    assert!(
        told.contains(": line 2: field a is list [], where a number is expected; read the file as a struct"),
        "{told}"
    );
}

#[test]
fn content_and_options_are_the_identity() {
    let hash = |text: &str, options| open::<Row>(text, options).1.unwrap().fingerprint().unwrap().hash();
    let text = "{\"a\": 1, \"b\": 2}\n";
    let first = hash(text, JsonOptions::new());
    assert_eq!(first, hash(text, JsonOptions::new()));
    assert_eq!(first, hash(text, JsonOptions::new().skip_extra_columns()), "which shapes no row");
    for options in [
        JsonOptions::new().columns(["a"]),
        JsonOptions::new().columns(["a", "b"]),
        JsonOptions::new().rows_max(5),
        JsonOptions::new().layout(JsonLayout::Lines),
    ] {
        assert_ne!(first, hash(text, options));
    }
    assert_ne!(first, hash("{\"a\": 1, \"b\": 3}\n", JsonOptions::new()));
}

fn town() -> impl Strategy<Value = Town> {
    let at = prop::option::of((-9e9f64..9e9).prop_map(|latitude| Place { latitude }));
    let words = (".{0,6}", prop::collection::vec("[\\[\\]{},\"\\\\é\n]{0,4}", 0..3));
    (words, prop::option::of(-1e9f64..1e9), at).prop_map(|((name, tags), metres, at)| Town {
        name,
        metres,
        tags,
        at,
    })
}

proptest! {
    #[test]
    fn any_range_of_any_layout_reads_what_was_written(
        rows in prop::collection::vec(town(), 0..600),
        layout in 0..3,
        start in 0usize..600,
        len in 0usize..600,
    ) {
        let text = match layout {
            0 => rows.iter().map(|row| serde_json::to_string(row).unwrap() + "\n").collect::<String>(),
            1 => serde_json::to_string(&rows).unwrap(),
            _ => serde_json::to_string_pretty(&rows).unwrap(),
        };
        let (_folder, source) = open::<Town>(text, JsonOptions::new().unchecked());
        let source = source.unwrap();
        prop_assert_eq!(source.rows().unwrap(), rows.len() as u64);
        let start = start.min(rows.len());
        let end = (start + len).min(rows.len());
        let read: Vec<Town> =
            source.read(RowRange::new(start as u64, end as u64)).unwrap().collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(&read, &rows[start..end]);
    }
}
