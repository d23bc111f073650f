//! Every kind of type as a row: its schema, and its values back as they were, also through Arrow IPC.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as tests do")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Debug;
use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroI64, NonZeroU32};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use arrow_array::RecordBatch;
use rowmark_rows::{RowSchema, RowType};
use serde::{Deserialize, Serialize};

fn through_ipc(batch: &RecordBatch) -> RecordBatch {
    let mut writer = arrow_ipc::writer::StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(batch).unwrap();
    let bytes = writer.into_inner().unwrap();
    let mut reader = arrow_ipc::reader::StreamReader::try_new(&bytes[..], None).unwrap();
    reader.next().unwrap().unwrap()
}

#[track_caller]
fn check<T: RowType + PartialEq + Debug>(expected_schema: &str, rows: Vec<T>) {
    let schema = RowSchema::of::<T>().unwrap();
    assert_eq!(schema.to_string(), expected_schema);
    assert_eq!(RowSchema::of::<T>().unwrap().content_hash(), schema.content_hash());

    let batch = schema.encode(&rows).unwrap();
    assert_eq!(batch.num_rows(), rows.len());
    let read = through_ipc(&batch);
    assert_eq!(RowSchema::from_arrow(read.schema()), schema);
    assert_eq!(schema.decode::<T>(&read).unwrap(), rows);

    let middle = read.slice(1, rows.len() - 1);
    assert_eq!(schema.decode::<T>(&middle).unwrap(), rows[1..]);
    let none = schema.encode::<T>(&[]).unwrap();
    assert_eq!(schema.decode::<T>(&through_ipc(&none)).unwrap(), Vec::<T>::new());
}

#[test]
fn scalars_are_rows() {
    check("value: bool", vec![true, false]);
    check("value: i8", vec![i8::MIN, i8::MAX]);
    check("value: i16", vec![i16::MIN, i16::MAX]);
    check("value: i32", vec![i32::MIN, i32::MAX]);
    check("value: i64", vec![i64::MIN, i64::MAX]);
    check("value: u8", vec![0, u8::MAX]);
    check("value: u16", vec![0, u16::MAX]);
    check("value: u32", vec![0, u32::MAX]);
    check("value: u64", vec![0, u64::MAX]);
    check("value: f32", vec![f32::MIN_POSITIVE, -0.0]);
    check("value: f64", vec![f64::MAX, 0.1]);
    check("value: u32", vec!['a', char::MAX, '\0']);
    check("value: string", vec![String::new(), "häuser\0".to_owned()]);
    check("value: null", vec![(), (), ()]);
}

#[test]
fn nan_keeps_its_bits() {
    let schema = RowSchema::of::<f64>().unwrap();
    let rows = [f64::from_bits(0x7ff8_0000_0000_1234), f64::from_bits(0xfff0_0000_0000_0001), -0.0];
    let read: Vec<f64> = schema.decode(&through_ipc(&schema.encode(&rows).unwrap())).unwrap();
    assert_eq!(read.map_bits(), rows.to_vec().map_bits());
}

trait MapBits {
    fn map_bits(self) -> Vec<u64>;
}

impl MapBits for Vec<f64> {
    fn map_bits(self) -> Vec<u64> {
        self.into_iter().map(f64::to_bits).collect()
    }
}

#[test]
fn options_lists_maps_and_tuples_are_rows() {
    check("value: f64?", vec![None, Some(1.5), None]);
    check("value: string?", vec![Some(String::new()), None]);
    check("value: [u8]", vec![vec![], vec![1_u8, 2], vec![0; 1000]]);
    check("value: [string?]?", vec![Some(vec![None, Some("a".to_owned())]), None, Some(vec![])]);
    check("value: [[i64]]", vec![vec![vec![1_i64], vec![]], vec![]]);
    check("value: {0: u64, 1: string}", vec![(1_u64, "a".to_owned()), (2, "b".to_owned())]);
    check("value: {0: f64, 1: f64?}", vec![(1.0, Some(2.0)), (1.0, None)]);
    check("value: [f64; 2]", vec![(1.0, 2.0), (3.0, 4.0)]);
    check("value: [u8; 4]", vec![[1_u8, 2, 3, 4], [0; 4]]);
    check("value: [f32; 3]?", vec![Some([1.0_f32, 2.0, 3.0]), None]);
    check("value: [u8; 1]", vec![(1_u8,), (2,)]);
    let map = BTreeMap::from([("a".to_owned(), 1_i64), ("b".to_owned(), 2)]);
    check("value: map<string, i64>", vec![map.clone(), BTreeMap::new()]);
    check("value: map<string, i64>?", vec![Some(map), None]);
    check(
        "value: map<u32, [string]?>",
        vec![BTreeMap::from([(7_u32, Some(vec!["x".to_owned()])), (8, None)])],
    );
    check("value: map<string, f64>", vec![HashMap::from([("one".to_owned(), 1.0_f64)]), HashMap::new()]);
    check("value: map<[u8; 2], bool>", vec![BTreeMap::from([((1_u8, 2_u8), true)])]);
    check("value: [string]", vec![BTreeSet::from(["a".to_owned(), "b".to_owned()]), BTreeSet::new()]);
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
struct Point {
    x: i32,
    y: Option<i32>,
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
struct Pair(Point, u8);

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
struct Meters(f64);

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
struct Wrapped(Point);

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone, Copy)]
struct Nothing;

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone, Copy)]
struct NoFields {}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
struct HoldsNothing {
    value: (),
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
struct HoldsValue {
    value: f64,
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
struct Deep {
    point: Point,
    maybe: Option<Point>,
    pair: Pair,
    list: Vec<Point>,
    length: Meters,
    nothing: Nothing,
    boxed: Box<Point>,
    map: BTreeMap<String, Point>,
}

#[test]
fn structs_are_rows() {
    let point = Point { x: -1, y: None };
    check("x: i32, y: i32?", vec![point.clone(), Point { x: 2, y: Some(3) }]);
    check("value: {x: i32, y: i32?}?", vec![Some(point.clone()), None]);
    check("x: i32, y: i32?", vec![Box::new(point.clone())]);
    check("x: i32, y: i32?", vec![Wrapped(point.clone())]);
    check("value: {0: {x: i32, y: i32?}, 1: u8}", vec![Pair(point.clone(), 1), Pair(point.clone(), 2)]);
    check("value: f64", vec![Meters(1.0)]);
    check("value: f64", vec![HoldsValue { value: 1.0 }]);
    check("value: null", vec![Nothing; 3]);
    check("value: null", vec![NoFields {}; 3]);
    check("value: null", vec![HoldsNothing { value: () }; 3]);
    let deep = Deep {
        point: point.clone(),
        maybe: None,
        pair: Pair(point.clone(), 7),
        list: vec![point.clone(), point.clone()],
        length: Meters(2.5),
        nothing: Nothing,
        boxed: Box::new(point.clone()),
        map: BTreeMap::from([("k".to_owned(), point.clone())]),
    };
    let expected = "point: {x: i32, y: i32?}, maybe: {x: i32, y: i32?}?, pair: {0: {x: i32, y: i32?}, 1: u8}, \
                    list: [{x: i32, y: i32?}], length: f64, nothing: null, boxed: {x: i32, y: i32?}, \
                    map: map<string, {x: i32, y: i32?}>";
    check(expected, vec![deep.clone(), Deep { maybe: Some(point), list: vec![], ..deep }]);
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone, Copy, PartialOrd, Ord, Eq)]
enum Color {
    Red,
    #[serde(rename = "dark green")]
    Green,
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
enum Vehicle {
    Feet,
    Bike { gears: u8, color: Option<Color> },
    Car(String),
    Train(u32, Vec<Color>),
    Other(Other),
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
enum Other {
    Ship,
    Rocket(f64),
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
struct Trip {
    by: Vehicle,
    then: Vec<Vehicle>,
    maybe: Option<Leg>,
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
struct Leg {
    by: Vehicle,
}

fn vehicles() -> Vec<Vehicle> {
    vec![
        Vehicle::Feet,
        Vehicle::Bike { gears: 3, color: None },
        Vehicle::Bike { gears: 0, color: Some(Color::Green) },
        Vehicle::Car("beetle".to_owned()),
        Vehicle::Train(9, vec![Color::Red, Color::Green]),
        Vehicle::Other(Other::Ship),
        Vehicle::Other(Other::Rocket(1.0)),
    ]
}

#[test]
fn enums_are_rows() {
    check("value: string", vec![Color::Red, Color::Green]);
    check("value: string?", vec![Some(Color::Red), None]);
    check("value: map<string, u8>", vec![BTreeMap::from([(Color::Red, 1_u8), (Color::Green, 2)])]);
    let vehicle = "<Feet | Bike: {gears: u8, color: string?} | Car: string | Train: {0: u32, 1: [string]} | \
                   Other: <Ship | Rocket: f64>>";
    check(&format!("value: {vehicle}"), vehicles());
    let trips = vec![
        Trip { by: Vehicle::Feet, then: vehicles(), maybe: None },
        Trip { by: vehicles()[4].clone(), then: vec![], maybe: Some(Leg { by: vehicles()[6].clone() }) },
    ];
    check(&format!("by: {vehicle}, then: [{vehicle}], maybe: {{by: {vehicle}}}?"), trips);
    check("value: [string; 2]", vec![[Color::Red, Color::Green]]);
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
enum Gaps {
    #[serde(alias = "Uno")]
    One(u8),
    #[serde(skip)]
    #[allow(dead_code)]
    Hidden,
    #[serde(alias = "aaa", rename = "third")]
    Three(String),
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Attributes {
    #[serde(rename = "ID")]
    id: u64,
    #[serde(alias = "title", alias = "a")]
    name: String,
    #[serde(alias = "aa")]
    b: Option<String>,
    #[serde(skip)]
    cache: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<Vec<String>>,
    #[serde(with = "as_text")]
    big: u128,
    gaps: Gaps,
    #[serde(default)]
    last: u8,
}

mod as_text {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&value.to_string())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[test]
fn serde_attributes_are_followed() {
    let row = |gaps, note| Attributes {
        id: 1,
        name: "n".to_owned(),
        b: None,
        cache: 0,
        note,
        big: u128::MAX,
        gaps,
        last: 9,
    };
    check(
        "ID: u64, name: string, b: string?, note: [string]?, big: string, \
         gaps: <One: u8 | unused_1 | third: string>, last: u8",
        vec![row(Gaps::One(1), None), row(Gaps::Three("x".to_owned()), Some(vec!["y".to_owned()]))],
    );
}

#[test]
fn types_that_check_their_values_are_rows() {
    check("value: u32", vec![NonZeroU32::MIN, NonZeroU32::MAX]);
    check("value: i64?", vec![NonZeroI64::new(-1), None]);
    check("value: string", vec!["10.0.0.1".parse::<IpAddr>().unwrap(), "fe80::1".parse().unwrap()]);
    check("value: string", vec!["10.0.0.1:443".parse::<SocketAddr>().unwrap()]);
    check("value: string", vec![uuid::Uuid::from_u128(0x1234), uuid::Uuid::max()]);
    check("value: string", vec![PathBuf::from("/a/b")]);
    check("secs: u64, nanos: u32", vec![Duration::new(1, 2), Duration::MAX]);
    check("secs_since_epoch: u64, nanos_since_epoch: u32", vec![SystemTime::UNIX_EPOCH]);
    check("value: {start: u32, end: u32}?", vec![Some(1_u32..5), None]);
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
#[serde(try_from = "String", into = "String")]
struct Email(String);

impl TryFrom<String> for Email {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.contains('@') { Ok(Self(text)) } else { Err(format!("{text:?} is not an address")) }
    }
}

impl From<Email> for String {
    fn from(email: Email) -> Self {
        email.0
    }
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
struct Contact {
    first: Email,
    port: NonZeroU32,
    others: Vec<Email>,
    kind: Kind,
    host: IpAddr,
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
enum Kind {
    Local(Email, NonZeroU32),
    Remote(IpAddr),
    None,
}

#[test]
fn several_checked_fields_are_found_out_together() {
    let email = Email("x@y".to_owned());
    let host: IpAddr = "::1".parse().unwrap();
    let contact = |kind| Contact {
        first: email.clone(),
        port: NonZeroU32::MAX,
        others: vec![email.clone()],
        kind,
        host,
    };
    check(
        "first: string, port: u32, others: [string], \
         kind: <Local: {0: string, 1: u32} | Remote: string | None>, host: string",
        vec![
            contact(Kind::Local(email.clone(), NonZeroU32::MIN)),
            contact(Kind::Remote(host)),
            contact(Kind::None),
        ],
    );
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Default)]
struct Bytes(#[serde(with = "raw_bytes")] Vec<u8>);

mod raw_bytes {
    use serde::de::Visitor;
    use serde::{Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(value)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        struct Raw;
        impl Visitor<'_> for Raw {
            type Value = Vec<u8>;
            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
        }
        deserializer.deserialize_byte_buf(Raw)
    }
}

#[test]
fn raw_bytes_are_rows() {
    check("value: bytes", vec![Bytes(vec![]), Bytes((0..=255).collect())]);
}

macro_rules! nested {
    ($inner:ty;) => { $inner };
    ($inner:ty; . $($rest:tt)*) => { Vec<nested!($inner; $($rest)*)> };
}

#[test]
fn the_deepest_type_that_is_allowed_is_also_read_back() {
    type Deepest = nested!(Vec<Option<u8>>; . . . . . . . . . . . . . . . . . .);
    type TooDeep = nested!(Deepest; . .);
    let mut expected = "[u8?]".to_owned();
    for _ in 0..18 {
        expected = format!("[{expected}]");
    }
    check::<Deepest>(&format!("value: {expected}"), vec![Vec::new(), vec![Vec::new()]]);
    assert!(RowSchema::of::<TooDeep>().unwrap_err().to_string().contains("more than 20 levels deep"));
}
