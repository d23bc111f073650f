//! Schemas as values: equality, differences in words, stable hashes, and batches that do not fit.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as tests do")]

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, TimeUnit};
use rowmark_rows::{Error, RowSchema, RowType, SchemaDifference};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Base {
    id: u64,
    at: At,
    tags: Vec<String>,
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct At {
    lat: f64,
    lon: f64,
}

#[track_caller]
fn assert_difference<T: RowType>(expected: &str) {
    let (base, other) = (RowSchema::of::<Base>().unwrap(), RowSchema::of::<T>().unwrap());
    assert_eq!(base.first_difference(&other).unwrap().to_string(), expected);
    assert!(other.first_difference(&base).is_some());
    assert_ne!(base, other);
    assert_ne!(base.content_hash(), other.content_hash());
}

macro_rules! other {
    ($name:ident { $($field:ident: $type:ty),* }) => {
        #[derive(Serialize, Deserialize)]
        struct $name { $($field: $type),* }
    };
}

#[test]
fn the_first_difference_is_told_in_words() {
    other!(Lacks { id: u64, tags: Vec<String> });
    assert_difference::<Lacks>("field at ({lat: f64, lon: f64}) is missing");

    other!(Ends { id: u64, at: At });
    assert_difference::<Ends>("field tags ([string]) is missing");

    other!(More { id: u64, at: At, tags: Vec<String>, note: Option<String> });
    assert_difference::<More>("field note (string?) is not expected");

    other!(Between { id: u64, note: u8, at: At, tags: Vec<String> });
    assert_difference::<Between>("field note (u8) is not expected");

    other!(Order { at: At, id: u64, tags: Vec<String> });
    assert_difference::<Order>("field id is expected at position 0 and found at 1");

    other!(Typed { id: String, at: At, tags: Vec<String> });
    assert_difference::<Typed>("field id is expected to be u64 and found to be string");

    other!(Nullable { id: Option<u64>, at: At, tags: Vec<String> });
    assert_difference::<Nullable>("field id is expected to be u64 and found to be u64?");

    other!(AtThree { lat: f64, lon: f32 });
    other!(Nested { id: u64, at: AtThree, tags: Vec<String> });
    assert_difference::<Nested>("field at.lon is expected to be f64 and found to be f32");

    other!(Items { id: u64, at: At, tags: Vec<Option<String>> });
    assert_difference::<Items>("field tags.item is expected to be string and found to be string?");
}

#[test]
fn equal_schemas_of_two_types_are_equal() {
    other!(Same { id: u64, at: At, tags: std::collections::BTreeSet<String> });
    let (base, same) = (RowSchema::of::<Base>().unwrap(), RowSchema::of::<Same>().unwrap());
    assert_eq!(base, same);
    assert_eq!(base.first_difference(&same), None);
    assert_eq!(base.content_hash(), same.content_hash());
}

#[test]
fn what_a_list_calls_its_item_does_not_matter() {
    let list = |item: &str| {
        let item = Field::new(item, DataType::Int64, true);
        let list = Field::new("a", DataType::LargeList(Arc::new(item)), false);
        RowSchema::from_arrow(Arc::new(Schema::new(vec![list])))
    };
    assert_eq!(list("item"), list("element"));
    assert_eq!(list("item").content_hash(), list("element").content_hash());
}

/// These hashes are part of stored identities: a change here makes users recompute everything.
#[test]
fn hashes_are_the_same_for_ever() {
    let hash = |schema: RowSchema| schema.content_hash().to_string();
    let base = hash(RowSchema::of::<Base>().unwrap());
    assert_eq!(base, "180b2296d50db730261c68df17c0adb2817ca5670c6bf5fc9cb03ec07e723aaa");
    assert_eq!(
        hash(RowSchema::of::<Option<f64>>().unwrap()),
        "f100287390830988135612c06b648a01ff3dd4b5992624b996e902c1b5d4100b"
    );
    let foreign = vec![
        Field::new("t", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
        Field::new("d", DataType::Decimal128(10, 2), false),
    ];
    let foreign = RowSchema::from_arrow(Arc::new(Schema::new(foreign)));
    assert_eq!(foreign.to_string(), "t: timestamp[us, UTC]?, d: decimal128(10, 2)");
    assert_eq!(hash(foreign), "23d563040622d2e67cc2c95367325e8344d05664fdd334fde6ef382ebed86251");
}

#[test]
fn a_batch_of_another_schema_is_not_decoded() {
    other!(Other { id: u64 });
    let (base, other) = (RowSchema::of::<Base>().unwrap(), RowSchema::of::<Other>().unwrap());
    let batch = other.encode(&[Other { id: 1 }]).unwrap();
    match base.decode::<Base>(&batch).unwrap_err() {
        Error::SchemaMismatch { difference: SchemaDifference::Missing { field, .. } } => {
            assert_eq!(field, "at");
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_batch_may_be_read_as_fewer_columns_but_not_as_others() {
    other!(Narrow { tags: Vec<String> });
    other!(Wrong { id: String });
    other!(Unknown { nope: u64 });
    let schema = RowSchema::of::<Base>().unwrap();
    let row = Base { id: 7, at: At { lat: 1.0, lon: 2.0 }, tags: vec!["a".to_owned()] };
    let batch = schema.encode(&[row]).unwrap();
    assert_eq!(schema.decode::<Narrow>(&batch).unwrap()[0].tags, ["a"]);

    let error = schema.decode::<Wrong>(&batch).err().unwrap();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(error.to_string().contains("cannot be read as"), "{error}");
    assert!(source.contains("$.id"), "{source}");
    let error = schema.decode::<Unknown>(&batch).err().unwrap();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("nope"));
    assert!(schema.decode::<f64>(&batch).is_err());
    assert!(schema.decode::<Option<f64>>(&batch).is_err());
}

#[test]
fn rows_that_do_not_fit_are_not_encoded() {
    other!(Text { id: String, at: At, tags: Vec<String> });
    let schema = RowSchema::of::<Base>().unwrap();
    let row = Text { id: "seven".to_owned(), at: At { lat: 1.0, lon: 2.0 }, tags: vec![] };
    let error = schema.encode(&[row]).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(error.to_string().starts_with("1 rows of schema::rows_that_do_not_fit"), "{error}");
    assert!(source.contains("id"), "{source}");
    assert!(schema.encode(&[1.0_f64]).is_err());
}
