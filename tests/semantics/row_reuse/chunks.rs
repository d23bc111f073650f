//! Inputs of many chunks, whose digests tell that rows are the same without reading them.

use std::collections::BTreeMap;
use std::fs;

use proptest::collection::vec;
use proptest::prelude::*;
use rowmark::hashing::hash_rows;
use rowmark::prelude::*;

use super::{called, done, numbers};
use crate::support::{Calls, Folder, builder};

/// Saves numbers as a dataset, by a step whose batches tell of their chunks.
fn save(session: &Session, name: &str, rows: &[u64]) {
    session.read_values(rows).map(udf!("as it is", |n: &u64| *n)).save(name).unwrap();
}

/// How a step sees the dataset.
#[derive(Clone, Copy, Debug)]
enum View {
    Plain,
    Filtered { out: u64 },
    Offset { rows: u64 },
    Twice,
    Projected { by: u64 },
}

fn view() -> impl Strategy<Value = View> {
    prop_oneof![
        Just(View::Plain),
        (2..5_u64).prop_map(|out| View::Filtered { out }),
        prop_oneof![Just(1024_u64), 0..3000_u64].prop_map(|rows| View::Offset { rows }),
        Just(View::Twice),
        (1..3_u64).prop_map(|by| View::Projected { by }),
    ]
}

impl View {
    fn of_chain(self, rows: Chain<u64>) -> Chain<u64> {
        match self {
            Self::Plain => rows,
            Self::Filtered { out } => {
                rows.filter(udf!("others", captures(out), |n: &u64| !n.is_multiple_of(out)))
            }
            Self::Offset { rows: offset } => rows.offset(offset),
            Self::Twice => rows.union(&rows),
            Self::Projected { by } => rows.project(udf!("moved", captures(by), |n: &u64| n + by)),
        }
    }

    fn of_rows(self, rows: &[u64]) -> Vec<u64> {
        match self {
            Self::Plain => rows.to_vec(),
            Self::Filtered { out } => rows.iter().copied().filter(|n| !n.is_multiple_of(out)).collect(),
            Self::Offset { rows: offset } => rows[rows.len().min(offset as usize)..].to_vec(),
            Self::Twice => [rows, rows].concat(),
            Self::Projected { by } => rows.iter().map(|n| n + by).collect(),
        }
    }
}

#[derive(Clone, Debug)]
enum Edit {
    Append(Vec<u64>),
    Insert(u16, Vec<u64>),
    Change(u16, u64),
    Remove(u16, u16),
}

fn edit() -> impl Strategy<Value = Edit> {
    let value = 0..20_000_u64;
    prop_oneof![
        vec(value.clone(), 1..2500).prop_map(Edit::Append),
        (any::<u16>(), prop_oneof![vec(value.clone(), 1..5), vec(value.clone(), 1024)])
            .prop_map(|(at, rows)| Edit::Insert(at, rows)),
        (any::<u16>(), value).prop_map(|(at, value)| Edit::Change(at, value)),
        (any::<u16>(), 1..2000_u16).prop_map(|(at, rows)| Edit::Remove(at, rows)),
    ]
}

impl Edit {
    fn apply(&self, rows: &mut Vec<u64>) {
        let place = |at: u16| usize::from(at) % (rows.len() + 1);
        match self {
            Self::Append(more) => rows.extend(more),
            Self::Insert(at, more) => {
                let at = place(*at);
                rows.splice(at..at, more.iter().copied());
            }
            Self::Change(at, value) => {
                let at = place(*at);
                rows.splice(at..rows.len().min(at + 1), [*value]);
            }
            Self::Remove(at, removed) => {
                let at = place(*at);
                rows.drain(at..rows.len().min(at + usize::from(*removed)));
            }
        }
    }
}

/// The rows that one has more often than another.
fn more(rows: &[u64], before: &[u64]) -> Vec<u64> {
    let mut counts = BTreeMap::<u64, i64>::new();
    rows.iter().for_each(|row| *counts.entry(*row).or_default() += 1);
    before.iter().for_each(|row| *counts.entry(*row).or_default() -= 1);
    counts.into_iter().flat_map(|(row, count)| std::iter::repeat_n(row, count.max(0) as usize)).collect()
}

static CALLS: Calls = Calls::new();

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever becomes of a dataset and of how it is seen, what comes out is what a fresh run gives, and no row is called
    /// that was there before.
    #[test]
    fn u08_edits_of_a_dataset_of_many_chunks(
        rows in vec(0..20_000_u64, 0..6000),
        edits in vec(edit(), 1..4),
        views in (view(), prop_oneof![Just(None), view().prop_map(Some)]),
        batch_rows_max in prop_oneof![Just(8192_u64), Just(1024), 1..3000_u64],
        threads in 1..3_usize,
    ) {
        let folder = Folder::new();
        let open = || builder(&folder.path()).batch_rows_max(batch_rows_max).threads(threads).open().unwrap();
        let run = |rows: &[u64], view: View| {
            let session = open();
            save(&session, "numbers", rows);
            CALLS.take();
            done(&session, &CALLS, "square", |session| {
                view.of_chain(session.read_dataset("numbers", None).unwrap()).map(udf!("square", |n: &u64| {
                    CALLS.count(*n);
                    n * n
                }))
            })
        };
        let mut edited = rows.clone();
        edits.iter().for_each(|edit| edit.apply(&mut edited));
        let (view, next_view) = (views.0, views.1.unwrap_or(views.0));
        run(&rows, view);
        let again = run(&edited, next_view);
        let seen = next_view.of_rows(&edited);
        let squares: Vec<u64> = seen.iter().map(|n| n * n).collect();
        prop_assert_eq!(&again.rows, &squares);
        prop_assert_eq!(again.content_hash, hash_rows(&squares)?);
        // What was known behind no projection, or another one, is not known behind one.
        let is_known = match (view, next_view) {
            (View::Projected { by }, View::Projected { by: next }) => by == next,
            (View::Projected { .. }, _) | (_, View::Projected { .. }) => false,
            _ => true,
        };
        let known = if is_known { view.of_rows(&rows) } else { Vec::new() };
        prop_assert_eq!(called(&again), more(&seen, &known));
    }
}

#[test]
fn u08_rows_of_a_grown_dataset_that_are_known_to_be_the_same_are_not_read() {
    use rowmark::warehouse::{FileWarehouse, TableFilter, TableName, Warehouse};
    static CALLS: Calls = Calls::new();
    const ROWS: u64 = 100_000;
    let folder = Folder::new();
    let save = |rows: u64| save(&folder.session(), "numbers", &numbers(rows));
    let run = || {
        done(&folder.session(), &CALLS, "square", |session| {
            session.read_dataset("numbers", None).unwrap().map(udf!("square", |n: &u64| {
                CALLS.count(*n);
                n * n
            }))
        })
    };
    save(ROWS);
    run();
    save(ROWS + 8);
    // A row of a batch that tells of its input: whoever reads that finds it damaged.
    let warehouse = FileWarehouse::open(folder.path().join("tables")).unwrap();
    let tables = warehouse.list(&TableFilter::All).unwrap();
    let tables = tables.iter().filter(|table| matches!(table, TableName::Udf { .. }));
    let tables: Vec<_> = tables.map(|table| warehouse.open_table(table).unwrap().unwrap()).collect();
    let told = tables.iter().flat_map(|table| table.frames().iter().map(move |frame| (table, frame)));
    let told = told.filter(|(table, frame)| table.digests(frame).unwrap().unwrap().inputs.is_some());
    let row = told.map(|(_, frame)| frame.range().start() + 500).next().expect("a batch tells of its input");
    let damaged = folder.path().join("tables/ds_numbers_2/000001.seg");
    let mut bytes = fs::read(&damaged).unwrap();
    let place = bytes
        .windows(24)
        .position(|bytes| bytes.iter().copied().eq((row..row + 3).flat_map(u64::to_le_bytes)));
    bytes[place.unwrap()] ^= 1;
    fs::write(&damaged, bytes).unwrap();

    let again = run();
    assert_eq!(called(&again), (ROWS..ROWS + 8).collect::<Vec<_>>());
    assert_eq!(again.rows, numbers(ROWS + 8).iter().map(|n| n * n).collect::<Vec<_>>());
}

#[test]
fn u08_groups_are_not_known_by_what_is_told_of_where_their_rows_lie() {
    static CALLS: Calls = Calls::new();
    let folder = Folder::new();
    // The groups keep their keys, their numbers of rows and their places; a row of one becomes another.
    let run = |changed: u64| {
        let session = builder(&folder.path()).open().unwrap();
        let rows: Vec<(u64, u64)> = (0..6000).map(|n| (n / 2, if n == 3000 { changed } else { n })).collect();
        done(&session, &CALLS, "sum", |session| {
            session.read_values(&rows).map(udf!("as it is", |row: &(u64, u64)| *row)).agg(
                udf!("key", |row: &(u64, u64)| row.0),
                udf!("sum", |group: &Group<u64, (u64, u64)>| {
                    CALLS.count(*group.key());
                    group.rows().map(|row| row.1).sum::<u64>()
                }),
            )
        })
    };
    run(3000);
    let again = run(77);
    assert_eq!((called(&again), again.rows[1500]), (vec![1500], 77 + 3001));
}
