//! Files that other programs wrote; `data/make.py` has them do it.

#![expect(clippy::unwrap_used, reason = "a test")]

use rowmark_readers::{CsvOptions, CsvSource, Error, JsonOptions, JsonSource, Source};
use rowmark_rows::{Row, RowRange};
use serde::{Deserialize, Serialize};

fn data(name: &str) -> String {
    format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn all<S: Source>(source: Result<S, Error>) -> Vec<S::Row> {
    let source = source.unwrap();
    let rows = source.read(RowRange::new(0, source.rows().unwrap())).unwrap().collect::<Result<_, _>>();
    rows.unwrap()
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Town {
    name: String,
    metres: Option<f64>,
    note: String,
    open: String,
    id: i32,
}

#[test]
fn python_wrote_csv_and_json() {
    let town = |name: &str, metres, note: &str, id| (name.to_owned(), metres, note.to_owned(), id);
    let expected = [
        town("Bern", Some(540.5), "the \"federal\"\r\ncity, of Bern", 1),
        town("Zürich", None, "", -2),
        town("Biel/Bienne 🐻", Some(434.0), " spaces ", 3),
    ];
    let csv = all(CsvSource::<Town>::open(data("python.csv"), CsvOptions::new()));
    let told: Vec<_> = csv.into_iter().map(|town| (town.name, town.metres, town.note, town.id)).collect();
    assert_eq!(told, expected);
    for name in ["python.json", "python.jsonl"] {
        let rows = all(JsonSource::<Row>::open(data(name), JsonOptions::new()));
        let told: Vec<_> = rows
            .iter()
            .map(|row| {
                let text = |column| row[column].as_str().unwrap().to_owned();
                (text("name"), row["metres"].as_f64(), text("note"), row["id"].as_i64().unwrap() as i32)
            })
            .collect();
        assert_eq!(told, expected, "{name}");
    }
    let rows = all(CsvSource::<Row>::open(data("python.csv"), CsvOptions::new()));
    assert_eq!(rows[1].to_string(), "{name: \"Zürich\", metres: null, note: null, open: false, id: -2}");
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Made {
    id: u32,
    text: String,
    score: f64,
    good: bool,
    day: Option<String>,
    price: f64,
    pair: Vec<u32>,
}

#[test]
fn duckdb_wrote_csv_and_json() {
    let made = |id: u32| Made {
        id,
        text: format!("row {id}"),
        score: f64::from(id) / 8.0,
        good: id.is_multiple_of(3),
        day: None,
        price: f64::from(id) * 1.25,
        pair: vec![id, id + 1],
    };
    let lines = all(JsonSource::<Made>::open(data("duckdb.jsonl"), JsonOptions::new()));
    let array = all(JsonSource::<Made>::open(data("duckdb.json"), JsonOptions::new()));
    assert_eq!(lines, array);
    assert_eq!(lines.len(), 300);
    for row in lines {
        let day = (row.id % 5 != 0).then_some(row.day.clone()).flatten();
        assert_eq!(row.day.is_none(), row.id % 5 == 0);
        assert_eq!(row, Made { day, ..made(row.id) });
    }
    let source = CsvSource::<Row>::open(data("duckdb.csv"), CsvOptions::new()).unwrap();
    assert_eq!(
        source.schema().unwrap().to_string(),
        "id: i64?, text: string?, score: f64?, good: bool?, day: string?, price: f64?, pair: string?"
    );
    let rows = all(Ok(source));
    assert_eq!(
        rows[7].to_string(),
        "{id: 7, text: \"row 7\", score: 0.875, good: false, day: \"2024-03-06\", price: 8.75, pair: \"[7, 8]\"}"
    );
    assert!(rows[10]["day"].is_null());
}
