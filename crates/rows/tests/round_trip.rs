//! Encoding and decoding is the identity, for a struct with a field of every kind.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rowmark_rows::RowSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
struct Wide {
    flag: bool,
    tiny: i8,
    short: i16,
    int: i32,
    long: i64,
    byte: u8,
    word: u16,
    unsigned: u32,
    id: u64,
    single: Bits32,
    double: Bits64,
    letter: char,
    text: String,
    maybe_text: Option<String>,
    maybe_double: Option<Bits64>,
    bytes: Vec<u8>,
    lists: Vec<Vec<Option<String>>>,
    array: [Bits32; 3],
    pair: (i64, String),
    map: BTreeMap<String, Vec<i64>>,
    inner: Inner,
    maybe_inner: Option<Inner>,
    inners: Vec<Inner>,
    color: Color,
    maybe_color: Option<Color>,
    event: Event,
    events: Vec<Event>,
    unit: (),
}

#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
struct Inner {
    name: String,
    event: Event,
    more: Option<BTreeMap<u8, Option<Color>>>,
}

#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq)]
enum Color {
    Red,
    Green,
    Blue,
}

#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
enum Event {
    Nothing,
    Moved { x: Bits64, y: Option<i32> },
    Said(String),
    Both(u8, Vec<Color>),
}

/// Floats that are equal when their bits are.
#[derive(Serialize, Deserialize, Debug, Clone, Copy)]
struct Bits32(f32);

#[derive(Serialize, Deserialize, Debug, Clone, Copy)]
struct Bits64(f64);

impl PartialEq for Bits32 {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl PartialEq for Bits64 {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

fn bits32() -> impl Strategy<Value = Bits32> {
    any::<u32>().prop_map(|bits| Bits32(f32::from_bits(bits)))
}

fn bits64() -> impl Strategy<Value = Bits64> {
    any::<u64>().prop_map(|bits| Bits64(f64::from_bits(bits)))
}

fn color() -> impl Strategy<Value = Color> {
    prop_oneof![Just(Color::Red), Just(Color::Green), Just(Color::Blue)]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), any::<String>()]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::Nothing),
        (bits64(), any::<Option<i32>>()).prop_map(|(x, y)| Event::Moved { x, y }),
        text().prop_map(Event::Said),
        (any::<u8>(), prop::collection::vec(color(), 0..3)).prop_map(|(a, b)| Event::Both(a, b)),
    ]
}

fn inner() -> impl Strategy<Value = Inner> {
    let colors = prop::collection::btree_map(any::<u8>(), prop::option::of(color()), 0..3);
    (text(), event(), prop::option::of(colors)).prop_map(|(name, event, more)| Inner { name, event, more })
}

prop_compose! {
    fn wide()(
        (flag, tiny, short, int, long) in any::<(bool, i8, i16, i32, i64)>(),
        (byte, word, unsigned, id, letter) in any::<(u8, u16, u32, u64, char)>(),
        (single, double, maybe_double) in (bits32(), bits64(), prop::option::of(bits64())),
        (text, maybe_text, pair) in (text(), prop::option::of(text()), (any::<i64>(), text())),
        bytes in prop::collection::vec(any::<u8>(), 0..20),
        lists in prop::collection::vec(prop::collection::vec(prop::option::of(text()), 0..3), 0..3),
        array in [bits32(), bits32(), bits32()],
        map in prop::collection::btree_map(text(), prop::collection::vec(any::<i64>(), 0..3), 0..4),
        (inner, maybe_inner, inners) in
            (inner(), prop::option::of(inner()), prop::collection::vec(inner(), 0..3)),
        (color, maybe_color, event, events) in
            (color(), prop::option::of(color()), event(), prop::collection::vec(event(), 0..3)),
    ) -> Wide {
        Wide {
            flag, tiny, short, int, long, byte, word, unsigned, id, single, double, letter, text, maybe_text,
            maybe_double, bytes, lists, array, pair, map, inner, maybe_inner, inners, color, maybe_color,
            event, events, unit: (),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..Default::default() })]

    #[test]
    fn rows_come_back_as_they_were(rows in prop::collection::vec(wide(), 0..8), start in 0_usize..8) {
        let schema = RowSchema::of::<Wide>().unwrap();
        let batch = schema.encode(&rows).unwrap();
        prop_assert_eq!(batch.num_rows(), rows.len());
        prop_assert_eq!(&schema.decode::<Wide>(&batch).unwrap(), &rows);

        let start = start.min(rows.len());
        let tail = batch.slice(start, rows.len() - start);
        prop_assert_eq!(&schema.decode::<Wide>(&tail).unwrap(), &rows[start..]);
    }

    #[test]
    fn values_come_back_as_they_were(rows in prop::collection::vec(prop::option::of(inner()), 0..8)) {
        let schema = RowSchema::of::<Option<Inner>>().unwrap();
        let batch = schema.encode(&rows).unwrap();
        prop_assert_eq!(&schema.decode::<Option<Inner>>(&batch).unwrap(), &rows);
    }
}
