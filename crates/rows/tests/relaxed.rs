//! Rows with enums, wherever these stand, through what Arrow does with batches: IPC, and moving rows.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as tests do")]

use std::collections::BTreeMap;
use std::fmt::Debug;

use arrow_array::{RecordBatch, UInt32Array};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_select::concat::concat_batches;
use arrow_select::interleave::interleave_record_batch;
use arrow_select::take::take_record_batch;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use rowmark_rows::{RowSchema, RowType};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
enum Verdict {
    Unknown,
    Score(f32),
    Named { name: String, aliases: Vec<String> },
    Pair(u8, bool),
}

/// Without a variant that has no data.
#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
enum Full {
    Number(i64),
    Text(Option<String>),
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
enum Outer {
    Nothing,
    Inner(Verdict),
    Both { verdict: Verdict, full: Full },
    Many(Vec<Verdict>),
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
struct Judged {
    id: u64,
    verdict: Verdict,
    full: Full,
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
struct Nested {
    judged: Judged,
    maybe: Option<Judged>,
    list: Vec<Verdict>,
    outer: Vec<Outer>,
    map: BTreeMap<String, Verdict>,
    pair: (Verdict, u8),
    array: [Verdict; 2],
}

/// What a map may have as its key.
#[derive(Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord, Debug, Clone)]
enum Key {
    Numbered(u8),
    Named(String),
}

fn key() -> impl Strategy<Value = Key> {
    prop_oneof![any::<u8>().prop_map(Key::Numbered), "[a-z]{0,2}".prop_map(Key::Named)]
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        Just(Verdict::Unknown),
        (0..100_u8).prop_map(|score| Verdict::Score(f32::from(score))),
        ("[a-z]{0,3}", vec("[a-z]{0,2}", 0..3)).prop_map(|(name, aliases)| Verdict::Named { name, aliases }),
        any::<(u8, bool)>().prop_map(|(number, flag)| Verdict::Pair(number, flag)),
    ]
}

fn full() -> impl Strategy<Value = Full> {
    prop_oneof![any::<i64>().prop_map(Full::Number), option::of("[a-z]{0,3}").prop_map(Full::Text)]
}

fn outer() -> impl Strategy<Value = Outer> {
    prop_oneof![
        Just(Outer::Nothing),
        verdict().prop_map(Outer::Inner),
        (verdict(), full()).prop_map(|(verdict, full)| Outer::Both { verdict, full }),
        vec(verdict(), 0..3).prop_map(Outer::Many),
    ]
}

fn judged() -> impl Strategy<Value = Judged> {
    (any::<u64>(), verdict(), full()).prop_map(|(id, verdict, full)| Judged { id, verdict, full })
}

fn nested() -> impl Strategy<Value = Nested> {
    let lists = (vec(verdict(), 0..3), vec(outer(), 0..3), btree_map("[a-z]{0,2}", verdict(), 0..3));
    let fixed = (verdict(), any::<u8>(), [verdict(), verdict()]);
    (judged(), option::of(judged()), lists, fixed).prop_map(
        |(judged, maybe, (list, outer, map), (first, second, array))| Nested {
            judged,
            maybe,
            list,
            outer,
            map,
            pair: (first, second),
            array,
        },
    )
}

fn through_ipc(batch: &RecordBatch) -> RecordBatch {
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(batch).unwrap();
    let bytes = writer.into_inner().unwrap();
    StreamReader::try_new(&bytes[..], None).unwrap().next().unwrap().unwrap()
}

/// Rows come back as they were, in any order, whatever is done with their relaxed form.
fn check<T: RowType + PartialEq + Debug + Clone>(rows: &[T]) {
    let schema = RowSchema::of::<T>().unwrap();
    let relaxed = schema.relaxed();
    assert_eq!(relaxed.relaxed(), relaxed);
    let batch = schema.encode(rows).unwrap();
    let loose = relaxed.restore(batch.clone()).unwrap();
    let decode = |loose: RecordBatch| -> Vec<T> { schema.decode(&schema.restore(loose).unwrap()).unwrap() };
    assert_eq!(schema.restore(loose.clone()).unwrap(), batch);
    assert_eq!(decode(through_ipc(&loose)), rows);
    assert_eq!(
        decode(through_ipc(&loose.slice(rows.len() / 2, rows.len() - rows.len() / 2))),
        rows[rows.len() / 2..]
    );

    let mut reversed = rows.to_vec();
    reversed.reverse();
    let indices = UInt32Array::from_iter_values((0..rows.len() as u32).rev());
    assert_eq!(decode(take_record_batch(&loose, &indices).unwrap()), reversed);
    let places: Vec<_> = (0..rows.len()).rev().map(|row| (row % 2, row)).collect();
    assert_eq!(decode(interleave_record_batch(&[&loose, &through_ipc(&loose)], &places).unwrap()), reversed);
    let twice = concat_batches(loose.schema_ref(), [&loose, &loose]).unwrap();
    assert_eq!(decode(twice), [rows, rows].concat());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn enums_are_rows(rows in vec(verdict(), 1..20)) {
        check(&rows);
    }

    #[test]
    fn enums_that_always_hold_something_are_rows(rows in vec(full(), 1..20)) {
        check(&rows);
    }

    #[test]
    fn structs_with_enums_are_rows(rows in vec(judged(), 1..20)) {
        check(&rows);
    }

    #[test]
    fn tuples_and_lists_of_enums_are_rows(rows in vec((verdict(), vec(verdict(), 0..4)), 1..20)) {
        check(&rows);
    }

    #[test]
    fn maps_of_enums_to_enums_are_rows(rows in vec((btree_map(key(), verdict(), 0..3), any::<u8>()), 1..20)) {
        check(&rows);
    }

    #[test]
    fn enums_within_enums_are_rows(rows in vec(outer(), 1..20)) {
        check(&rows);
    }

    #[test]
    fn enums_anywhere_are_rows(rows in vec(nested(), 1..12)) {
        check(&rows);
    }
}

#[test]
fn rows_without_enums_have_one_form() {
    let schema = RowSchema::of::<(u64, Option<String>, Vec<[u8; 2]>)>().unwrap();
    assert!(std::sync::Arc::ptr_eq(schema.relaxed().arrow(), schema.arrow()));
}

#[test]
fn a_batch_of_other_columns_is_not_restored() {
    let (one, other) = (RowSchema::of::<(Verdict, u64)>().unwrap(), RowSchema::of::<Full>().unwrap());
    let batch = other.encode(&[Full::Number(1)]).unwrap();
    assert!(one.restore(batch).is_err());
}
