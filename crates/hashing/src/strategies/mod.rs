//! Strategies of `proptest` for values and rows of every kind, for the property tests of those who hash.
//!
//! Code that stores, moves or compares rows can be tested with rows that it did not think of:
//!
//! ```
//! use proptest::prelude::*;
//! use rowmark_hashing::strategies::arb_rows;
//! use rowmark_hashing::{ContentHasher, hash_rows};
//!
//! proptest!(|(rows in arb_rows(0..200), split in 0..200_usize)| {
//!     // Two parts of a stream, one hasher: what arrives in parts is the same content.
//!     let (first, second) = rows.split_at(split.min(rows.len()));
//!     let mut hasher = ContentHasher::new();
//!     first.iter().chain(second).try_for_each(|row| hasher.update(row))?;
//!     prop_assert_eq!(hasher.finish(), hash_rows(&rows)?);
//! });
//! ```
//!
//! A [`Value`] serialises as what it is, so it can stand wherever a type of yours does.

mod value;

use proptest::collection::{SizeRange, vec};
use proptest::prelude::*;

pub use self::value::Value;

/// Names of fields and variants: some begin others, one is empty, some are not ASCII.
const NAMES: [&str; 8] = ["id", "name", "n", "ame", "", "größe", "😀", "a name with spaces"];

const DEPTH: u32 = 4;
const NODES: u32 = 32;
const CHILDREN: u32 = 4;

fn arb_name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&NAMES[..])
}

/// Integers whose lengths in bytes are all about as likely.
fn arb_integer() -> impl Strategy<Value = Value> {
    prop_oneof![
        (any::<u128>(), 0..128_u32).prop_map(|(number, shift)| Value::Unsigned(number >> shift)),
        (any::<i128>(), 0..128_u32).prop_map(|(number, shift)| Value::Signed(number >> shift)),
    ]
}

fn arb_leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Unit),
        Just(Value::None),
        any::<bool>().prop_map(Value::Bool),
        arb_integer(),
        any::<u32>().prop_map(|bits| Value::F32(f32::from_bits(bits))),
        any::<u64>().prop_map(|bits| Value::F64(f64::from_bits(bits))),
        prop::num::f64::ANY.prop_map(Value::F64),
        any::<char>().prop_map(Value::Char),
        any::<String>().prop_map(Value::String),
        "[ab]{0,2}".prop_map(Value::String),
        vec(any::<u8>(), 0..200).prop_map(Value::Bytes),
        arb_name().prop_map(|name| Value::Variant(name, None)),
    ]
}

/// Any value of the format's model, nested or not.
///
/// Every kind of value comes, with the edges of each: NaNs of all payloads, integers of all lengths, empty texts and
/// lists, maps in maps and as keys. The keys of a map are different from each other.
///
/// ```
/// use proptest::prelude::*;
/// use rowmark_hashing::{ContentHash, strategies::arb_value};
///
/// proptest!(|(a in arb_value(), b in arb_value())| {
///     prop_assert_eq!(a == b, ContentHash::of(&a)? == ContentHash::of(&b)?);
/// });
/// ```
pub fn arb_value() -> impl Strategy<Value = Value> {
    arb_leaf().prop_recursive(DEPTH, NODES, CHILDREN, |inner| {
        let values = || vec(inner.clone(), 0..CHILDREN as usize);
        prop_oneof![
            inner.clone().prop_map(|value| Value::Some(Box::new(value))),
            values().prop_map(Value::Sequence),
            values().prop_map(Value::Tuple),
            vec((inner.clone(), inner.clone()), 0..CHILDREN as usize).prop_map(Value::map),
            vec((arb_name(), inner.clone()), 0..CHILDREN as usize).prop_map(Value::Struct),
            (arb_name(), inner.clone()).prop_map(|(name, value)| Value::Variant(name, Some(Box::new(value)))),
        ]
    })
}

/// Rows as those of a table: structs of the same fields, and of the same kind of value in each.
///
/// ```
/// use proptest::prelude::*;
/// use rowmark_hashing::{hash_rows, strategies::arb_rows};
///
/// proptest!(|(rows in arb_rows(1..50))| {
///     prop_assert_ne!(hash_rows(&rows)?, hash_rows(&rows[1..])?);
/// });
/// ```
pub fn arb_rows(count: impl Into<SizeRange>) -> impl Strategy<Value = Vec<Value>> {
    let count = count.into();
    let columns = prop::sample::subsequence(&NAMES[..], 1..NAMES.len()).prop_flat_map(|names| {
        names.into_iter().map(|name| arb_cell().prop_map(move |cell| (name, cell))).collect::<Vec<_>>()
    });
    columns.prop_flat_map(move |columns| {
        let row = columns
            .into_iter()
            .map(|(name, cell)| cell.prop_map(move |value| (name, value)))
            .collect::<Vec<_>>()
            .prop_map(Value::Struct);
        vec(row, count.clone())
    })
}

/// A kind of value, as the strategy for the values of one column.
fn arb_cell() -> impl Strategy<Value = BoxedStrategy<Value>> {
    let text = || any::<String>().prop_map(Value::String).boxed();
    let option = |inner: BoxedStrategy<Value>| {
        prop_oneof![Just(Value::None), inner.prop_map(|value| Value::Some(Box::new(value)))].boxed()
    };
    let list = |inner: BoxedStrategy<Value>| vec(inner, 0..4).prop_map(Value::Sequence).boxed();
    let plain = prop_oneof![
        Just(any::<bool>().prop_map(Value::Bool).boxed()),
        Just(any::<i64>().prop_map(|number| Value::Signed(number.into())).boxed()),
        Just(any::<u64>().prop_map(|number| Value::Unsigned(number.into())).boxed()),
        Just(prop::num::f32::ANY.prop_map(Value::F32).boxed()),
        Just(prop::num::f64::ANY.prop_map(Value::F64).boxed()),
        Just(vec(any::<u8>(), 0..20).prop_map(Value::Bytes).boxed()),
        Just(text()),
    ];
    plain.prop_recursive(2, 4, 1, move |inner| {
        prop_oneof![inner.clone().prop_map(option), inner.prop_map(list)]
    })
}
