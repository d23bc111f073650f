//! Batches that `serde_arrow` builds from rows have the hash of the rows; where that cannot be, a column is refused.

#![cfg(feature = "arrow")]
#![allow(clippy::unwrap_used, reason = "a test says with a panic that it failed")]

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, DictionaryArray, FixedSizeListArray, Int32Array, ListViewArray, NullArray, RecordBatch,
    StringArray, StringViewArray, StructArray, TimestampMicrosecondArray, UInt32Array,
};
use arrow_schema::{DataType, Field, FieldRef, Fields, Schema};
use rowmark_hashing::{CHUNK_ROWS, ContentHasher, Error, ROWS_KEY, VALUE_KEY, hash_batches, hash_rows};
use serde::{Deserialize, Serialize};
use serde_arrow::schema::{SchemaLike, TracingOptions};

fn traced<T: Serialize + for<'de> Deserialize<'de>>(rows: &[T], strings: bool) -> RecordBatch {
    let options = TracingOptions::default()
        .allow_null_fields(true)
        .map_as_struct(false)
        .enums_without_data_as_strings(strings);
    let fields = Vec::<FieldRef>::from_type::<T>(options).unwrap();
    serde_arrow::to_record_batch(&fields, &rows).unwrap()
}

/// The same rows, in batches of different lengths and with both ways of keeping variants without data.
#[track_caller]
fn check<T: Serialize + for<'de> Deserialize<'de>>(rows: &[T]) {
    let expected = hash_rows(rows).unwrap();
    for strings in [true, false] {
        let batch = traced(rows, strings);
        assert_eq!(hash_batches([&batch]).unwrap(), expected, "{:#?}", batch.schema());
        let third = rows.len() / 3;
        let slices = [batch.slice(0, third), batch.slice(third, 0), batch.slice(third, rows.len() - third)];
        assert_eq!(hash_batches(&slices).unwrap(), expected);
        let mut mixed = ContentHasher::new();
        rows[..third].iter().for_each(|row| mixed.update(row).unwrap());
        mixed.update_batch(&batch.slice(third, rows.len() - third)).unwrap();
        assert_eq!(mixed.finish(), expected);
    }
}

#[derive(Serialize, Deserialize, Clone, Default)]
struct Plain {
    small: i8,
    byte: u8,
    word: i32,
    big: u64,
    single: f32,
    double: f64,
    text: String,
    yes: bool,
}

#[test]
fn plain_rows() {
    let row = |n: u64| Plain {
        small: n as i8,
        byte: n as u8,
        word: -(n as i32),
        big: u64::MAX - n,
        single: if n == 3 { f32::from_bits(0xffc0_1234) } else { n as f32 / 3.0 },
        double: if n == 4 { -0.0 } else { n as f64 / 3.0 },
        text: "ä".repeat(n as usize % 70),
        yes: n.is_multiple_of(3),
    };
    let rows: Vec<Plain> = (0..2 * CHUNK_ROWS as u64 + 1).map(row).collect();
    for count in [0, 1, CHUNK_ROWS - 1, CHUNK_ROWS, CHUNK_ROWS + 1, rows.len()] {
        check(&rows[..count]);
    }
}

#[derive(Serialize, Deserialize)]
struct Optional {
    number: Option<i64>,
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    skipped: Option<f32>,
    #[serde(skip)]
    _never: u8,
    inner: Option<Inner>,
    list: Option<Vec<Option<u32>>>,
}

#[derive(Serialize, Deserialize, Clone)]
struct Inner {
    x: i16,
    y: Option<bool>,
}

#[test]
fn options_and_skipped_fields() {
    let row = |n: i64| Optional {
        number: (n % 2 == 0).then_some(n),
        text: (n % 3 == 0).then(|| "t".repeat(n as usize)),
        skipped: (n % 5 == 0).then_some(n as f32),
        _never: n as u8,
        inner: (n % 4 != 0).then(|| Inner { x: -3, y: (n % 3 > 0).then_some(true) }),
        list: (n % 7 > 0).then(|| (0..n as u32 % 4).map(|i| (i % 2 == 0).then_some(i)).collect()),
    };
    check(&(0..60).map(row).collect::<Vec<_>>());
}

#[derive(Serialize, Deserialize)]
enum Colour {
    Red,
    Green,
}

#[derive(Serialize, Deserialize)]
enum Event {
    Nothing,
    Number(i64),
    Pair(u8, Option<String>),
    Place { x: f64, inner: Inner },
    Wrapped(Inner),
    Empty(()),
}

#[derive(Serialize, Deserialize)]
struct Nested {
    map: BTreeMap<String, i32>,
    maps: HashMap<u8, BTreeMap<String, Vec<Inner>>>,
    tuple: (u8, String, Option<i64>),
    array: [f32; 3],
    lists: Vec<Vec<u8>>,
    #[serde(with = "serde_bytes_like")]
    blob: Vec<u8>,
    newtype: Wrapper,
    colour: Colour,
    maybe_colour: Option<Colour>,
    event: Event,
    events: Vec<Event>,
}

#[derive(Serialize, Deserialize)]
struct Wrapper(Inner);

mod serde_bytes_like {
    use serde::{Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        struct Bytes;
        impl de::Visitor<'_> for Bytes {
            type Value = Vec<u8>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

#[test]
fn nested_rows() {
    let event = |n: usize| match n % 6 {
        0 => Event::Nothing,
        1 => Event::Number(-(n as i64)),
        2 => Event::Pair(n as u8, n.is_multiple_of(4).then(|| n.to_string())),
        3 => Event::Place { x: n as f64, inner: Inner { x: 1, y: None } },
        4 => Event::Wrapped(Inner { x: n as i16, y: Some(false) }),
        _ => Event::Empty(()),
    };
    let row = |n: usize| Nested {
        map: (0..n as i32 % 5).map(|i| (format!("key {}", i * 7 % 5), i)).collect(),
        maps: (0..n % 3)
            .map(|i| (i as u8, [("inners".to_owned(), vec![Inner { x: 4, y: Some(true) }; i])].into()))
            .collect(),
        tuple: (n as u8, "second".to_owned(), Some(n as i64)),
        array: [n as f32; 3],
        lists: (0..n % 4).map(|i| vec![i as u8; i]).collect(),
        blob: vec![7; n % 9],
        newtype: Wrapper(Inner { x: n as i16, y: None }),
        colour: if n.is_multiple_of(2) { Colour::Red } else { Colour::Green },
        maybe_colour: n.is_multiple_of(3).then_some(Colour::Green),
        event: event(n),
        events: (0..n % 7).map(event).collect(),
    };
    // `serde_arrow` keeps an optional variant as a text alone, not in a union.
    let rows: Vec<Nested> = (0..50).map(row).collect();
    let batch = traced(&rows, true);
    assert_eq!(hash_batches([&batch]).unwrap(), hash_rows(&rows).unwrap());
    assert_eq!(hash_batches([&batch.slice(0, 9), &batch.slice(9, 41)]).unwrap(), hash_rows(&rows).unwrap());
}

#[test]
fn variants_in_unions() {
    #[derive(Serialize, Deserialize)]
    struct Row {
        colour: Colour,
        event: Event,
    }
    check(
        &(0..20)
            .map(|n| Row {
                colour: if n % 2 == 0 { Colour::Red } else { Colour::Green },
                event: if n % 3 == 0 { Event::Nothing } else { Event::Number(n) },
            })
            .collect::<Vec<_>>(),
    );
}

#[test]
fn optional_unions() {
    #[derive(Serialize, Deserialize)]
    struct Row {
        event: Option<Event>,
    }
    let rows = [Row { event: Some(Event::Number(1)) }, Row { event: Some(Event::Nothing) }];
    // `serde_arrow` traces the column as nullable and then builds it as one that is not: its field has to be kept.
    let options = TracingOptions::default().allow_null_fields(true);
    let fields = Vec::<FieldRef>::from_type::<Row>(options).unwrap();
    let built = serde_arrow::to_record_batch(&fields, &rows).unwrap();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), built.columns().to_vec()).unwrap();
    assert_eq!(hash_batches([&batch]).unwrap(), hash_rows(&rows).unwrap());
}

fn batch(field: Field, array: impl Array + 'static) -> RecordBatch {
    RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![Arc::new(array) as ArrayRef]).unwrap()
}

fn told(field: Field, value: &str) -> Field {
    field.with_metadata(HashMap::from([(VALUE_KEY.to_owned(), value.to_owned())]))
}

#[track_caller]
fn refused(batch: &RecordBatch, column: &str) {
    let mut hasher = ContentHasher::new();
    let error = hasher.update_batch(batch).unwrap_err();
    assert!(matches!(&error, Error::Column { column: named, .. } if named == column), "{error}");
    assert_eq!(hasher.rows(), 0);
}

#[derive(Serialize)]
struct Column<T> {
    column: T,
}

fn column<T>(column: T) -> Column<T> {
    Column { column }
}

#[test]
fn what_a_field_is_told() {
    let chars = || UInt32Array::from(vec![65, 0x1f600]);
    let field = |data_type: &DataType| Field::new("column", data_type.clone(), false);
    let untold = batch(field(&DataType::UInt32), chars());
    assert_eq!(hash_batches([&untold]).unwrap(), hash_rows([column(65), column(0x1f600)]).unwrap());
    let chars = batch(told(field(&DataType::UInt32), "char"), chars());
    assert_eq!(hash_batches([&chars]).unwrap(), hash_rows([column('A'), column('😀')]).unwrap());
    let no_char = batch(told(field(&DataType::UInt32), "char"), UInt32Array::from(vec![0xd800]));
    let error = hash_batches([&no_char]).unwrap_err().to_string();
    assert!(error.contains("rows[0].column"), "{error}");

    let texts = || ["a", "b"].into_iter().collect::<DictionaryArray<arrow_array::types::Int32Type>>();
    let dictionary = |value: Option<&str>| {
        let field = Field::new("column", texts().data_type().clone(), false);
        batch(value.map_or(field.clone(), |value| told(field, value)), texts())
    };
    #[derive(Serialize)]
    #[serde(rename_all = "lowercase")]
    enum Letter {
        A,
        B,
    }
    let variants = hash_rows([column(Letter::A), column(Letter::B)]).unwrap();
    assert_eq!(hash_batches([&dictionary(None)]).unwrap(), variants);
    assert_eq!(hash_batches([&dictionary(Some("variant"))]).unwrap(), variants);
    let strings = hash_rows([column("a"), column("b")]).unwrap();
    assert_eq!(hash_batches([&dictionary(Some("string"))]).unwrap(), strings);
    assert_ne!(strings, variants);
    let plain = batch(field(&DataType::Utf8), StringArray::from(vec!["a", "b"]));
    assert_eq!(hash_batches([&plain]).unwrap(), strings);
    let view = batch(field(&DataType::Utf8View), StringViewArray::from(vec!["a", "b"]));
    assert_eq!(hash_batches([&view]).unwrap(), strings);
    let plain = batch(told(field(&DataType::Utf8), "variant"), StringArray::from(vec!["a", "b"]));
    assert_eq!(hash_batches([&plain]).unwrap(), variants);

    let null = |value| batch(told(Field::new("column", DataType::Null, true), value), NullArray::new(2));
    assert_eq!(hash_batches([&null("unit")]).unwrap(), hash_rows([column(()), column(())]).unwrap());
    assert_eq!(
        hash_batches([&null("none")]).unwrap(),
        hash_rows([column(None::<u8>), column(None)]).unwrap()
    );
    refused(&null("char"), "column");
    refused(&batch(Field::new("column", DataType::Null, true), NullArray::new(2)), "column");

    let times = || TimestampMicrosecondArray::from(vec![5, -5]);
    let time = Field::new("column", times().data_type().clone(), false);
    refused(&batch(time.clone(), times()), "column");
    let integers = batch(told(time, "integer"), times());
    assert_eq!(hash_batches([&integers]).unwrap(), hash_rows([column(5), column(-5)]).unwrap());
}

#[test]
fn lists_of_every_kind() {
    let item = Arc::new(Field::new("item", DataType::Int32, false));
    let numbers = || Arc::new(Int32Array::from(vec![1, 2, 3, 4]));
    let fixed = FixedSizeListArray::new(item.clone(), 2, numbers(), None).slice(1, 1);
    let field = Field::new("column", fixed.data_type().clone(), false);
    refused(&batch(field.clone(), fixed.clone()), "column");
    let sequence = batch(told(field.clone(), "sequence"), fixed.clone());
    assert_eq!(hash_batches([&sequence]).unwrap(), hash_rows([column(vec![3, 4])]).unwrap());
    let tuple = batch(told(field, "tuple"), fixed);
    assert_eq!(hash_batches([&tuple]).unwrap(), hash_rows([column([3, 4])]).unwrap());
    let views = ListViewArray::new(item, vec![2, 0].into(), vec![2, 3].into(), numbers(), None);
    let views = batch(Field::new("column", views.data_type().clone(), false), views);
    assert_eq!(
        hash_batches([&views]).unwrap(),
        hash_rows([column(vec![3, 4]), column(vec![1, 2, 3])]).unwrap()
    );
}

#[test]
fn structs_that_may_be_tuples() {
    let fields = Fields::from(vec![Field::new("0", DataType::Int32, false)]);
    let array = || StructArray::new(fields.clone(), vec![Arc::new(Int32Array::from(vec![5]))], None);
    let field = Field::new("column", array().data_type().clone(), false);
    refused(&batch(field.clone(), array()), "column");
    let tuple = batch(told(field.clone(), "tuple"), array());
    assert_eq!(hash_batches([&tuple]).unwrap(), hash_rows([column((5,))]).unwrap());
    #[derive(Serialize)]
    struct Zero {
        #[serde(rename = "0")]
        zero: i32,
    }
    let structure = batch(told(field, "struct"), array());
    assert_eq!(hash_batches([&structure]).unwrap(), hash_rows([column(Zero { zero: 5 })]).unwrap());

    let rows = |value: Option<&str>| {
        let schema = Schema::new(fields.clone());
        let metadata: HashMap<_, _> =
            value.map(|value| (ROWS_KEY.to_owned(), value.to_owned())).into_iter().collect();
        let array: ArrayRef = Arc::new(Int32Array::from(vec![5, 6]));
        RecordBatch::try_new(Arc::new(schema.with_metadata(metadata)), vec![array]).unwrap()
    };
    refused(&rows(None), "(all columns)");
    refused(&rows(Some("tuples")), "(all columns)");
    assert_eq!(hash_batches([&rows(Some("tuple"))]).unwrap(), hash_rows([(5,), (6,)]).unwrap());
    assert_eq!(hash_batches([&rows(Some("item"))]).unwrap(), hash_rows([5, 6]).unwrap());
    let structs = hash_rows([Zero { zero: 5 }, Zero { zero: 6 }]).unwrap();
    assert_eq!(hash_batches([&rows(Some("struct"))]).unwrap(), structs);
}

#[test]
fn a_map_that_became_a_struct() {
    let rows = [BTreeMap::from([("a", 1)]), BTreeMap::from([("b", 2)])].map(column);
    let options = TracingOptions::default().map_as_struct(true);
    let fields = Vec::<FieldRef>::from_samples(&rows, options).unwrap();
    refused(&serde_arrow::to_record_batch(&fields, &rows).unwrap(), "column");
}

#[test]
fn a_map_with_a_key_twice() {
    let rows = [column(BTreeMap::from([("a", 1), ("b", 2)]))];
    let options = TracingOptions::default().map_as_struct(false);
    let fields = Vec::<FieldRef>::from_samples(&rows, options).unwrap();
    struct Twice;
    impl Serialize for Twice {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map([("a", 1), ("b", 2), ("a", 3)])
        }
    }
    let batch = serde_arrow::to_record_batch(&fields, &[column(Twice)]).unwrap();
    for error in [hash_batches([&batch]).unwrap_err(), hash_rows([column(Twice)]).unwrap_err()] {
        let Error::DuplicateKey { path, key } = error else { panic!("{error}") };
        assert_eq!((&*path, &*key), ("rows[0].column", "\"a\""));
    }
}
