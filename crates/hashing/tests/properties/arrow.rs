//! Arbitrary rows have one hash, through serde and through the batches that `serde_arrow` makes of them.

use std::collections::BTreeMap;

use arrow_schema::FieldRef;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use rowmark_hashing::{ContentHasher, hash_batches, hash_rows};
use serde::{Deserialize, Serialize};
use serde_arrow::schema::{SchemaLike as _, TracingOptions};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Row {
    #[serde(rename = "größe")]
    size: (u8, i16, Option<u64>),
    texts: Vec<Option<String>>,
    floats: (f32, f64),
    inner: Option<Inner>,
    map: BTreeMap<String, Vec<Inner>>,
    kind: Kind,
    level: Option<Level>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Inner {
    n: i64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    yes: Option<bool>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Kind {
    Nothing,
    One(String),
    Two(i32, Option<Inner>),
    Named { level: Level, list: Vec<u16> },
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Level {
    Low,
    High,
}

fn arb_inner() -> impl Strategy<Value = Inner> {
    any::<(i64, Option<bool>)>().prop_map(|(n, yes)| Inner { n, yes })
}

fn arb_level() -> impl Strategy<Value = Level> {
    prop_oneof![Just(Level::Low), Just(Level::High)]
}

fn arb_kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Nothing),
        any::<String>().prop_map(Kind::One),
        (any::<i32>(), prop::option::of(arb_inner())).prop_map(|(n, inner)| Kind::Two(n, inner)),
        (arb_level(), vec(any::<u16>(), 0..4)).prop_map(|(level, list)| Kind::Named { level, list }),
    ]
}

fn arb_row() -> impl Strategy<Value = Row> {
    (
        any::<(u8, i16, Option<u64>)>(),
        vec(any::<Option<String>>(), 0..3),
        (prop::num::f32::ANY, prop::num::f64::ANY),
        prop::option::of(arb_inner()),
        btree_map(any::<String>(), vec(arb_inner(), 0..3), 0..4),
        arb_kind(),
        prop::option::of(arb_level()),
    )
        .prop_map(|(size, texts, floats, inner, map, kind, level)| Row {
            size,
            texts,
            floats,
            inner,
            map,
            kind,
            level,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn arrow_and_serde_agree(rows in vec(arb_row(), 0..40), cut in any::<prop::sample::Index>()) {
        let options = TracingOptions::default()
            .allow_null_fields(true)
            .map_as_struct(false)
            .enums_without_data_as_strings(true);
        let fields = Vec::<FieldRef>::from_type::<Row>(options).unwrap();
        let batch = serde_arrow::to_record_batch(&fields, &rows).unwrap();
        let hash = hash_rows(&rows)?;
        prop_assert_eq!(hash_batches([&batch])?, hash);
        let cut = cut.index(rows.len() + 1);
        let (first, second) = (batch.slice(0, cut), batch.slice(cut, rows.len() - cut));
        prop_assert_eq!(hash_batches([&first, &second])?, hash);
        let mut hasher = ContentHasher::new();
        hasher.update_batch(&first)?;
        rows[cut..].iter().try_for_each(|row| hasher.update(row))?;
        prop_assert_eq!(hasher.finish(), hash);
    }
}
