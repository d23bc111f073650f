//! Outputs of every kind are moved as they are.

use std::collections::{BTreeMap, HashMap};

use rowmark::hashing::hash_rows;
use rowmark::prelude::*;
use rowmark::rows::RowType;

use super::{called, done, numbers};
use crate::support::{Calls, Folder, builder};

/// Checks that outputs are found again behind a row that is new, in batches that are not kept as they are; as many
/// calls are made as `expected` says.
#[track_caller]
fn check<T: RowType + Clone>(calls: &Calls, expected: &[u64], chain: impl Fn(Chain<u64>) -> Chain<T>) {
    let (folder, fresh) = (Folder::new(), Folder::new());
    let run = |folder: &Folder, rows: &[u64]| {
        let session = builder(&folder.path()).batch_rows_max(7).sort_bytes_max(1).open().unwrap();
        done(&session, calls, "made", |session| chain(session.read_values(rows)))
    };
    run(&folder, &numbers(50));
    let mut rows = numbers(50);
    rows.reverse();
    rows.insert(20, 100);
    let again = run(&folder, &rows);
    assert_eq!(called(&again), expected);
    let fresh = run(&fresh, &rows);
    assert_eq!(hash_rows(&again.rows).unwrap(), hash_rows(&fresh.rows).unwrap());
    assert_eq!(again.content_hash, fresh.content_hash);
    assert_eq!(again.content_hash, hash_rows(&again.rows).unwrap());
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Shape {
    Nothing,
    Round(f32),
    Square { side: Option<u64>, name: String },
    Pair(u8, Box<Option<char>>),
}

fn shape(n: u64) -> Shape {
    match n % 4 {
        0 => Shape::Nothing,
        1 => Shape::Round(if n == 1 { f32::NAN } else { -0.0 }),
        2 => Shape::Square { side: n.is_multiple_of(3).then_some(n), name: "x".repeat(n as usize) },
        _ => Shape::Pair(n as u8, Box::new(n.is_multiple_of(5).then_some('é'))),
    }
}

static MADE: Calls = Calls::new();

fn made(n: u64) -> u64 {
    MADE.count(n);
    n
}

#[test]
fn u08_outputs_of_every_kind_are_moved() {
    check(&MADE, &[100], |rows| {
        rows.flat_map(udf!("made", |n: &u64| vec![(made(*n), 'é', -0.0_f32); *n as usize % 5]))
    });
    check(&MADE, &[100], |rows| {
        rows.map(udf!("made", |n: &u64| {
            let many: HashMap<String, Vec<Option<i64>>> =
                (0..made(*n) % 6).map(|key| (key.to_string(), vec![None, Some(-7)])).collect();
            many
        }))
    });
    check(&MADE, &[100], |rows| {
        rows.map_with(udf!("made", |n: &u64| {
            (0..made(*n) % 3).map(|key| (key, (i64::MIN, 'z', [1_u8; 3]))).collect::<BTreeMap<_, _>>()
        }))
    });
    check(&MADE, &[100], |rows| rows.map(udf!("made", |n: &u64| made(*n).is_multiple_of(2).then_some(*n))));
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Drawn {
    shape: Shape,
    others: Vec<Shape>,
    maybe: Option<(Shape, u64)>,
}

#[test]
fn u08_enums_are_moved_wherever_they_stand() {
    static DRAWN: Calls = Calls::new();
    fn drawn(n: u64) -> u64 {
        DRAWN.count(n);
        n
    }
    check(&DRAWN, &[100], |rows| rows.map(udf!("made", |n: &u64| shape(drawn(*n)))));
    check(&DRAWN, &[100], |rows| {
        rows.flat_map(udf!("made", |n: &u64| vec![(shape(drawn(*n)), 7_u8); *n as usize % 3]))
    });
    check(&DRAWN, &[100], |rows| {
        rows.map_with(udf!("made", |n: &u64| Drawn {
            shape: shape(drawn(*n)),
            others: (0..*n % 5).map(shape).collect(),
            maybe: n.is_multiple_of(2).then(|| (shape(n + 1), *n)),
        }))
    });
}

/// A row that is read as another one than was written.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Halved {
    #[serde(deserialize_with = "half")]
    value: f64,
}

fn half<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    f64::deserialize(deserializer).map(|value| value / 2.0)
}

#[test]
fn u08_outputs_that_are_read_as_others_are_not_written_again() {
    static CALLS: Calls = Calls::new();
    let all: Vec<u64> = numbers(50).into_iter().chain([100]).collect();
    check(&CALLS, &all, |rows| {
        rows.map(udf!("made", |n: &u64| {
            CALLS.count(*n);
            Halved { value: *n as f64 + 8.0 }
        }))
    });
}

/// A row that is read as another one where it is large.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Capped {
    #[serde(deserialize_with = "half_of_many")]
    value: f64,
}

fn half_of_many<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    f64::deserialize(deserializer).map(|value| if value > 60.0 { value / 2.0 } else { value })
}

#[test]
fn u08_the_content_hash_does_not_trust_a_row_that_was_found() {
    static CALLS: Calls = Calls::new();
    let folder = Folder::new();
    let run = |rows: &[u64]| {
        let session = builder(&folder.path()).threads(1).open().unwrap();
        let done = done(&session, &CALLS, "capped", |session| {
            session.read_values(rows).map(udf!("capped", |n: &u64| {
                CALLS.count(*n);
                Capped { value: *n as f64 }
            }))
        });
        assert_eq!(done.content_hash, hash_rows(&done.rows).unwrap());
        called(&done)
    };
    run(&numbers(3000).iter().map(|n| n % 60).collect::<Vec<_>>());
    // Batches that hold a whole chunk begin at an even number: with a row that was found, and is read as it was written.
    let moved: Vec<u64> =
        numbers(3000).iter().map(|n| if n.is_multiple_of(2) { n / 2 % 60 } else { 1000 }).collect();
    assert_eq!(run(&moved), [1000; 1500]);
}
