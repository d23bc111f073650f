//! Rows without a type: the same columns and the same hash as the structs that they could be.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use rowmark_hashing::hash_rows;
use rowmark_rows::{Columns, Error, Row, RowSchema, SchemaGuess, Value};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Place {
    latitude: f64,
    accuracy: Option<f32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Review {
    id: u64,
    small: Option<i8>,
    good: bool,
    text: String,
    note: Option<String>,
    #[serde(with = "serde_bytes_as_is")]
    blob: Vec<u8>,
    tags: Vec<String>,
    places: Option<Vec<Option<Place>>>,
    counts: BTreeMap<String, u32>,
    corner: [i64; 2],
}

mod serde_bytes_as_is {
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Vec<u8>;
            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_owned())
            }
        }
        if deserializer.is_human_readable() {
            deserializer.deserialize_byte_buf(Visitor)
        } else {
            Vec::deserialize(deserializer)
        }
    }
}

fn reviews() -> impl Strategy<Value = Vec<Review>> {
    let place = (any::<f64>(), prop::option::of(-9f32..9.0))
        .prop_map(|(latitude, accuracy)| Place { latitude, accuracy });
    let places = prop::option::of(prop::collection::vec(prop::option::of(place), 0..3));
    let words = (".{0,8}", prop::option::of("[a-z]{0,4}"), prop::collection::vec("[a-z]{0,3}", 0..3));
    let counts = prop::collection::btree_map("[a-z]{1,2}", any::<u32>(), 0..3);
    let numbers = (any::<u64>(), any::<Option<i8>>(), any::<bool>(), any::<[i64; 2]>());
    let review = (numbers, words, prop::collection::vec(any::<u8>(), 0..4), places, counts).prop_map(
        |((id, small, good, corner), (text, note, tags), blob, places, counts)| Review {
            id,
            small,
            good,
            text,
            note,
            blob,
            tags,
            places,
            counts,
            corner,
        },
    );
    prop::collection::vec(review, 0..8)
}

proptest! {
    #[test]
    fn rows_are_stored_and_hashed_as_their_structs_are(reviews in reviews()) {
        let schema = RowSchema::of::<Review>().unwrap();
        let batch = schema.encode(&reviews).unwrap();
        let rows: Vec<Row> = schema.decode(&batch).unwrap();
        prop_assert_eq!(rows.len(), reviews.len());
        prop_assert_eq!(schema.encode(&rows).unwrap(), batch);
        for (row, review) in rows.iter().zip(&reviews) {
            prop_assert_eq!(row["id"].as_u64(), Some(review.id));
            prop_assert_eq!(row["text"].as_str(), Some(&*review.text));
            prop_assert_eq!(row["places"].is_null(), review.places.is_none());
        }
    }

    #[test]
    fn the_hash_is_that_of_the_struct(rows in prop::collection::vec((any::<i32>(), any::<Option<f64>>(), ".{0,5}"), 0..20)) {
        #[derive(Serialize, Deserialize)]
        struct Plain { id: i32, score: Option<f64>, text: String, at: Place }
        let structs: Vec<Plain> = rows
            .into_iter()
            .map(|(id, score, text)| Plain { id, score, text, at: Place { latitude: 1.0, accuracy: Some(0.1) } })
            .collect();
        let schema = RowSchema::of::<Plain>().unwrap();
        let rows: Vec<Row> = schema.decode(&schema.encode(&structs).unwrap()).unwrap();
        prop_assert_eq!(hash_rows(&rows).unwrap(), hash_rows(&structs).unwrap());
    }
}

fn guess(lines: &[&str]) -> Result<String, Error> {
    let mut guess = SchemaGuess::new();
    for line in lines {
        guess.observe(&serde_json::from_str(line).unwrap())?;
    }
    Ok(guess.schema().to_string())
}

#[test]
fn a_schema_is_guessed_by_few_rules() {
    assert_eq!(guess(&[]).unwrap(), "");
    assert_eq!(guess(&[r#"{"z": null, "a": true}"#]).unwrap(), "z: string?, a: bool?");
    assert_eq!(guess(&[r#"{"n": 1}"#, r#"{"n": 18446744073709551615}"#]).unwrap(), "n: f64?");
    assert_eq!(guess(&[r#"{"n": 18446744073709551615}"#, r#"{"n": 1}"#]).unwrap(), "n: u64?");
    assert_eq!(
        guess(&[r#"{"at": {"x": 1}}"#, r#"{"at": {"y": [[1.5], []]}}"#]).unwrap(),
        "at: {x: i64?, y: [[f64?]?]?}?"
    );
    let keys: Vec<String> = (0..10_001).map(|key| format!("\"k{key}\": 0")).collect();
    let told = guess(&[&format!("{{{}}}", keys.join(","))]).unwrap_err().to_string();
    assert_eq!(told, "field k10000 is i64 0, where one of at most 10000 columns is expected");
    let told = guess(&[r#"{"at": {"x": 1}}"#, r#"{"at": {"x": "one"}}"#]).unwrap_err().to_string();
    assert_eq!(told, "field at.x is string \"one\", where a number is expected");
}

#[test]
fn a_value_that_does_not_fit_its_column_is_named() {
    #[derive(Serialize, Deserialize)]
    struct Small {
        id: i8,
        at: Option<Place>,
    }
    let columns = Columns::of(&RowSchema::of::<Small>().unwrap()).unwrap();
    let row = |text: &str| columns.row(serde_json::from_str(text).unwrap());
    assert_eq!(row(r#"{"id": -128}"#).unwrap().to_string(), "{id: -128, at: null}");
    for (text, told) in [
        (r#"{"id": 128}"#, "field id is i64 128, where i8 is expected"),
        (r#"{"at": null}"#, "field id is null null, where i8 is expected"),
        (
            r#"{"id": 1, "at": {"latitude": "north"}}"#,
            "field at.latitude is string \"north\", where f64 is expected",
        ),
        (r#"{"id": 1, "x": 2}"#, "field x is i64 2, where no column of this name is expected"),
        ("[]", "the row is list [], where an object is expected"),
    ] {
        assert_eq!(row(text).unwrap_err().to_string(), told);
    }
}

#[test]
fn what_no_row_can_hold_is_refused_before_a_row() {
    #[derive(Serialize, Deserialize)]
    enum Sky {
        Clear,
        Cloudy(u8),
    }
    #[derive(Serialize, Deserialize)]
    struct Observation {
        sky: Sky,
    }
    let schema = RowSchema::of::<Observation>().unwrap();
    let batch =
        schema.encode(&[Observation { sky: Sky::Cloudy(3) }, Observation { sky: Sky::Clear }]).unwrap();
    let told = schema.decode::<Row>(&batch).unwrap_err().to_string();
    assert_eq!(
        told,
        "field sky (<Clear | Cloudy: u8>) cannot be read without a type; read the rows as a struct"
    );
    let told = RowSchema::of::<Row>().unwrap_err().to_string();
    assert!(told.contains("takes whatever type the data has"), "{told}");
}

#[test]
#[should_panic(expected = "there is no column `b` among {a: i64?}")]
fn a_column_that_is_not_there_panics_with_those_that_are() {
    let row: Row = serde_json::from_str(r#"{"a": 1}"#).unwrap();
    let _ = &row["b"];
}

#[test]
fn a_value_says_what_it_is() {
    let row: Row = serde_json::from_str(r#"{"a": [{"b": 2}, {"b": 2.5}]}"#).unwrap();
    let items = row["a"].as_list().unwrap();
    assert_eq!(items[1].as_row().unwrap()["b"].as_f64(), Some(2.5));
    assert_eq!((Value::U64(7).as_i64(), Value::I64(-1).as_u64()), (Some(7), None));
}
