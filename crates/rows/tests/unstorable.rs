//! Types that cannot be stored are refused when the schema is made, by the path of the field.

use std::collections::BTreeMap;

use rowmark_rows::{Error, RowSchema, RowType, Unstorable};
use serde::{Deserialize, Serialize};

#[track_caller]
fn refused<T: RowType>(expected_field: &str) -> Unstorable {
    match RowSchema::of::<T>() {
        Err(Error::Unstorable { field, reason, type_name }) => {
            assert_eq!(field, expected_field, "{reason}");
            assert_eq!(type_name, std::any::type_name::<T>());
            reason
        }
        other => panic!("expected a refusal, got {other:?}"),
    }
}

macro_rules! assert_refused {
    ($type:ty, $field:expr, $reason:pat) => {
        let reason = refused::<$type>($field);
        assert!(matches!(reason, $reason), "{reason}");
    };
}

#[derive(Serialize, Deserialize)]
struct In<T> {
    id: u64,
    inner: Inner<T>,
}

#[derive(Serialize, Deserialize)]
struct Inner<T> {
    list: Vec<T>,
}

#[derive(Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
enum Data {
    A(u8),
    B,
}

#[derive(Serialize, Deserialize)]
struct Newtype<T>(T);

#[test]
fn types_without_an_arrow_form() {
    assert_refused!(i128, "", Unstorable::Integer128);
    assert_refused!(In<u128>, "inner.list.item", Unstorable::Integer128);
    assert_refused!(In<serde_json::Value>, "inner.list.item", Unstorable::SelfDescribing);
    assert_refused!(BTreeMap<String, serde_json::Value>, "value", Unstorable::SelfDescribing);
}

#[test]
fn two_values_that_would_be_stored_alike() {
    assert_refused!(Option<Option<u8>>, "", Unstorable::NestedOption);
    assert_refused!(In<Option<Option<String>>>, "inner.list.item", Unstorable::NestedOption);
    assert_refused!(Option<Newtype<Option<u8>>>, "", Unstorable::NestedOption);
    assert_refused!(Option<()>, "", Unstorable::OptionalUnit);
    assert_refused!(In<Option<Newtype<()>>>, "inner.list.item", Unstorable::OptionalUnit);
}

#[test]
fn nulls_where_arrow_has_none() {
    assert_refused!(Option<Data>, "", Unstorable::OptionalEnum);
    assert_refused!(In<Option<Data>>, "inner.list.item", Unstorable::OptionalEnum);
    assert_refused!(BTreeMap<Option<u8>, u8>, "key", Unstorable::NullableKey);
    assert_refused!(BTreeMap<(), u8>, "key", Unstorable::NullableKey);
    assert_refused!(In<BTreeMap<Data, u8>>, "inner.list.item.key", Unstorable::EnumKey);
}

#[derive(Serialize, Deserialize)]
struct Tree {
    children: Vec<Tree>,
}

#[derive(Serialize, Deserialize)]
struct Chain {
    next: Option<Box<Chain>>,
}

#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Loop(Option<Box<Loop>>);

#[derive(Serialize, Deserialize)]
enum Expression {
    Number(f64),
    Sum(Box<Expression>, Box<Expression>),
}

#[test]
fn types_that_contain_themselves() {
    for reason in [
        RowSchema::of::<Tree>().unwrap_err(),
        RowSchema::of::<Chain>().unwrap_err(),
        RowSchema::of::<Loop>().unwrap_err(),
        RowSchema::of::<Expression>().unwrap_err(),
    ] {
        assert!(reason.to_string().contains("contains itself"), "{reason}");
    }
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type")]
enum Tagged {
    A { a: u8 },
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(u8),
    Text(String),
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "t", content = "c")]
enum Adjacent {
    A(u8),
    B(String),
}

#[derive(Serialize, Deserialize)]
struct Flat {
    id: u64,
    #[serde(flatten)]
    rest: Inner<u8>,
}

#[derive(Serialize, Deserialize)]
struct Tags {
    id: u8,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Renamed {
    #[serde(rename(serialize = "a", deserialize = "b"))]
    field: u8,
}

#[derive(Serialize, Deserialize)]
enum Never {}

#[test]
fn serde_attributes_without_a_fixed_form() {
    assert_refused!(Newtype<Tagged>, "", Unstorable::SelfDescribing);
    assert_refused!(In<Untagged>, "inner.list.item", Unstorable::SelfDescribing);
    assert_refused!(Adjacent, "c", Unstorable::Inconsistent { .. });
    assert!(RowSchema::of::<Flat>().unwrap_err().to_string().contains("flattened"));
    assert_refused!(Tags, "tags", Unstorable::LeftOut);
    assert_refused!(Renamed, "", Unstorable::NotReadable { .. });
    assert_refused!(In<Never>, "inner.list.item", Unstorable::NoVariants);
}

/// Only one value is right, and it is not a plain one.
#[derive(Serialize, Clone)]
struct Secret(String);

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "xyzzy" { Ok(Self(text)) } else { Err(serde::de::Error::custom("not the magic word")) }
    }
}

#[derive(Serialize, Deserialize)]
struct Guarded {
    id: u64,
    secret: Secret,
    rest: u8,
}

/// Writes a number, reads a number, but not the same one.
#[derive(Clone)]
struct Drifting(u8);

impl Serialize for Drifting {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.0)
    }
}

impl<'de> Deserialize<'de> for Drifting {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(u8::deserialize(deserializer)?.wrapping_add(1)))
    }
}

#[derive(Serialize, Deserialize)]
struct Drifts {
    id: u64,
    value: Drifting,
}

#[test]
fn hand_written_serde_that_does_not_agree() {
    assert_refused!(Drifts, "value", Unstorable::Altered);
    let reason = refused::<Guarded>("secret");
    assert!(reason.to_string().contains("not the magic word"), "{reason}");
}

#[test]
fn the_error_says_what_where_and_what_to_do() {
    let error = RowSchema::of::<In<Option<Data>>>().unwrap_err();
    let text = error.to_string();
    assert!(text.contains("In<core::option::Option<unstorable::Data>> cannot be stored as rows"), "{text}");
    assert!(text.contains("field inner.list.item is an option of an enum that carries data"), "{text}");
    assert!(text.ends_with("add a variant for the missing case, or put the enum in a struct"), "{text}");
    let source = std::error::Error::source(&error).unwrap();
    assert!(source.to_string().contains("option of an enum"));
}
