//! The kinds of UDF that compute row by row: one to many, beside the input, in batches, with state.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rowmark::prelude::*;
use rowmark::{Error, RowError};

use crate::support::{Calls, FailAt, Folder, builder, bytes, failed_row, told};

#[test]
fn r02_an_input_whose_outputs_were_half_done_is_redone_whole() {
    static CALLS: Calls = Calls::new();
    static FAIL_AT: FailAt = FailAt::never();
    /// An iterator that fails in the middle by a panic, after some of its outputs.
    struct Copies(u64, u64);
    impl Iterator for Copies {
        type Item = (u64, u64);
        fn next(&mut self) -> Option<(u64, u64)> {
            assert!(self.1 < 3 || FAIL_AT.check(self.0).is_ok(), "in the middle of {}", self.0);
            self.1 += 1;
            (self.1 <= self.0 % 7).then_some((self.0, self.1))
        }
    }
    let numbers: Vec<u64> = (0..200).collect();
    let expected: Vec<(u64, u64)> =
        numbers.iter().flat_map(|n| (1..=n % 7).map(move |copy| (*n, copy))).collect();
    for batch_rows_max in [1, 2, 3, 10, 10_000] {
        let folder = Folder::new();
        let run = || {
            let session = builder(&folder.path()).batch_rows_max(batch_rows_max).open().unwrap();
            let copies = session.read_values(&numbers).flat_map(udf!("copies", |n: &u64| {
                CALLS.count(*n);
                Copies(*n, 0)
            }));
            copies.collect()
        };
        let mut failed = BTreeMap::new();
        for row in [4, 5, 102, 103, 199] {
            FAIL_AT.set(row);
            let is_failure = run().is_err(); // the other worker may be far ahead
            *failed.entry(row).or_insert(0) += u64::from(is_failure);
        }
        FAIL_AT.set(None);
        let rows = run().unwrap();
        assert_eq!(bytes(&rows), bytes(&expected), "batches of {batch_rows_max}");
        for (row, calls) in CALLS.take() {
            assert_eq!(
                calls,
                1 + failed.get(&row).copied().unwrap_or(0),
                "row {row}, batches of {batch_rows_max}"
            );
        }
        assert!(failed.values().sum::<u64>() > 0);
    }
}

#[test]
fn r03_inputs_that_yield_nothing_are_processed() {
    static CALLS: Calls = Calls::new();
    static FAIL_AT: FailAt = FailAt::never();
    let folder = Folder::new();
    let run = |session: Session| {
        let none = session.read_records((0..100u64).collect()).flat_map(udf!("none", |n: &u64| {
            FAIL_AT.check(*n)?;
            CALLS.count(*n);
            Ok::<_, String>(if *n == 70 { vec![*n] } else { vec![] })
        }));
        none.save("none")
    };
    FAIL_AT.set(60);
    assert_eq!(failed_row(run(folder.session_in_order())).0, 60);
    FAIL_AT.set(None);
    let saved = run(folder.session_in_order()).unwrap();
    assert_eq!((saved.rows(), told(saved.report(), "none")), (1, "continued 100 = 60 + 40".to_owned()));
    assert_eq!(CALLS.take(), (0..100).map(|n| (n, 1)).collect());
    assert_eq!((run(folder.session()).unwrap().rows(), CALLS.take_total()), (1, 0));
}

#[test]
fn a_flat_map_over_nothing_and_one_of_which_nothing_comes() {
    let folder = Folder::new();
    let session = folder.session();
    let nothing = || udf!("nothing", |_: &u64| Vec::<String>::new());
    assert_eq!(session.read_values::<u64>(&[]).flat_map(nothing()).save("a").unwrap().rows(), 0);
    let saved = session.read_values(&[1u64, 2]).flat_map(nothing()).save("b").unwrap();
    assert_eq!((saved.rows(), saved.version()), (0, 1));
    let after = session
        .read_dataset::<String>("b", None)
        .unwrap()
        .map(udf!("length", |text: &String| text.len() as u64));
    assert!(after.collect().unwrap().is_empty());
    let optional =
        session.read_values(&[1u64, 2, 3]).flat_map(udf!("odd", |n: &u64| (n % 2 == 1).then_some(*n)));
    assert_eq!(optional.collect().unwrap(), [1, 3], "an option can be iterated over");
}

#[test]
fn a_map_with_keeps_the_input_beside_the_output_through_a_resume() {
    static FAIL_AT: FailAt = FailAt::never();
    static CALLS: Calls = Calls::new();
    let folder = Folder::new();
    let run = || {
        let words = folder.session_in_order().read_records((0..50u64).map(|n| format!("word {n}")).collect());
        let chain = words.filter(udf!("long", |word: &String| word.len() > 6)).map_with(udf!(
            "number",
            |word: &String| {
                let n: u64 = word[5..].parse()?;
                FAIL_AT.check(n)?;
                CALLS.count(n);
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(n)
            }
        ));
        chain.collect()
    };
    FAIL_AT.set(30);
    assert_eq!(failed_row(run()).0, 30);
    FAIL_AT.set(None);
    let rows = run().unwrap();
    assert_eq!(rows.len(), 40);
    assert!(rows.iter().all(|row| row.input == format!("word {}", row.output)));
    assert_eq!(CALLS.take(), (10..50).map(|n| (n, 1)).collect());
}

#[test]
fn a_batch_that_fails_is_tried_row_by_row_and_names_the_row() {
    static SLICES: Mutex<Vec<Vec<u64>>> = Mutex::new(Vec::new());
    static FAIL_AT: FailAt = FailAt::never();
    static PANICS: AtomicBool = AtomicBool::new(false);
    for panics in [false, true] {
        PANICS.store(panics, Ordering::SeqCst);
        let folder = Folder::new();
        let run = || {
            let chain = folder.session_in_order().read_records((0..100u64).collect()).map_batch(
                8,
                udf!("batched", |rows: &[u64]| {
                    SLICES.lock().unwrap().push(rows.to_vec());
                    for row in rows {
                        assert!(
                            !PANICS.load(Ordering::SeqCst) || FAIL_AT.check(*row).is_ok(),
                            "row {row} fell over"
                        );
                        FAIL_AT.check(*row)?;
                    }
                    Ok::<_, String>(rows.iter().map(|n| n * 2).collect::<Vec<_>>())
                }),
            );
            chain.collect()
        };
        FAIL_AT.set(45);
        let (row, text) = failed_row(run());
        assert_eq!(row, 45, "{text}");
        assert_eq!(text, if panics { "panicked: row 45 fell over" } else { "row 45 is bad" });
        let slices = std::mem::take(&mut *SLICES.lock().unwrap());
        assert_eq!(slices.last().unwrap(), &[45]);
        assert!(slices.iter().all(|slice| (1..=8).contains(&slice.len())), "{slices:?}");
        FAIL_AT.set(None);
        assert_eq!(run().unwrap(), (0..100).map(|n| n * 2).collect::<Vec<_>>());
        let slices = std::mem::take(&mut *SLICES.lock().unwrap());
        let mut rows: Vec<u64> = slices.concat();
        rows.sort_unstable();
        assert_eq!(rows, Vec::from_iter(45..100), "finished rows are in no slice");
    }
}

#[test]
fn a_batch_holds_no_row_that_was_filtered_out_and_is_never_empty() {
    let folder = Folder::new();
    for rows_max in [1, 3, 7, usize::MAX] {
        let chain = folder
            .session()
            .read_records((0..500u64).collect())
            .filter(udf!("rare", |n: &u64| *n > 450 && n.is_multiple_of(3)));
        let batched = chain.map_batch(
            rows_max,
            udf!("checked", captures(rows_max), |rows: &[u64]| {
                assert!(!rows.is_empty() && rows.len() <= rows_max && rows.iter().all(|n| n % 3 == 0));
                rows.to_vec()
            }),
        );
        assert_eq!(batched.collect().unwrap(), (451..500).filter(|n| n % 3 == 0).collect::<Vec<_>>());
    }
    let none = folder.session().read_records((0..500u64).collect()).filter(udf!("no", |_: &u64| false));
    let never = none.map_batch(4, udf!("never", |_: &[u64]| -> Vec<u64> { panic!("it was called") }));
    assert!(never.collect().unwrap().is_empty());
}

#[test]
fn a_batch_of_another_length_is_an_error_that_says_so() {
    let folder = Folder::new();
    for extra in [0, 2] {
        let chain = folder.session().read_records((0..10u64).collect()).map_batch(
            4,
            udf!("uneven", captures(extra), |rows: &[u64]| vec![
                0u64;
                if rows.contains(&6) {
                    extra
                } else {
                    rows.len()
                }
            ]),
        );
        let Error::Step { source, .. } = chain.collect().unwrap_err() else { panic!("no step") };
        match *source {
            rowmark::executor::Error::Row {
                row: 6,
                source: rowmark::Failure::Error(RowError::BatchLength { rows_in: 1, rows_out, .. }),
                ..
            } => assert_eq!(rows_out, extra),
            other => panic!("{other:?}"),
        }
    }
}

/// A model that is costly to load, and that cannot leave the thread that loaded it.
#[derive(Serialize)]
struct Model {
    offset: u64,
    fails: bool,
}

struct Loaded {
    offset: Rc<Cell<u64>>,
    thread: std::thread::ThreadId,
}

static LOADED: AtomicU64 = AtomicU64::new(0);
static DROPPED: AtomicU64 = AtomicU64::new(0);
static MODEL_PANIC: FailAt = FailAt::never();
static MODEL_TURN: Mutex<()> = Mutex::new(());

impl Drop for Loaded {
    fn drop(&mut self) {
        assert_eq!(std::thread::current().id(), self.thread);
        DROPPED.fetch_add(1, Ordering::SeqCst);
    }
}

#[rowmark::udf]
impl Model {
    fn setup(&self) -> Result<Loaded, String> {
        if self.fails {
            return Err("the weights are gone".to_owned());
        }
        LOADED.fetch_add(1, Ordering::SeqCst);
        Ok(Loaded { offset: Rc::new(Cell::new(self.offset)), thread: std::thread::current().id() })
    }

    fn call(&self, loaded: &mut Loaded, n: &u64) -> u64 {
        assert_eq!(std::thread::current().id(), loaded.thread);
        assert!(MODEL_PANIC.check(*n).is_ok(), "the model fell over");
        n + loaded.offset.get()
    }
}

#[test]
fn a_setup_is_made_once_for_each_worker_and_again_after_a_panic() {
    let _turn = MODEL_TURN.lock().unwrap();
    let folder = Folder::new();
    let session =
        builder(&folder.path()).threads(3).on_error(OnError::Record { failures_max: 1 }).open().unwrap();
    let chain = session.read_records((0..2000u64).collect()).map(Model { offset: 7, fails: false });
    MODEL_PANIC.set(1000);
    let rows = chain.collect().unwrap();
    MODEL_PANIC.set(None);
    assert_eq!(rows, (0..2000).filter(|n| *n != 1000).map(|n| n + 7).collect::<Vec<_>>());
    let (loaded, dropped) = (LOADED.swap(0, Ordering::SeqCst), DROPPED.swap(0, Ordering::SeqCst));
    assert!((1..=4).contains(&loaded), "{loaded} setups by three workers and one panic");
    assert_eq!(loaded, dropped);
    // Skipped: nothing is loaded for it.
    assert_eq!(chain.collect().unwrap().len(), 1999);
    assert_eq!(LOADED.load(Ordering::SeqCst), 0);
}

#[test]
fn a_setup_that_fails_ends_the_run_whatever_the_policy_and_says_so() {
    let _turn = MODEL_TURN.lock().unwrap();
    let folder = Folder::new();
    let session = builder(&folder.path()).on_error(OnError::Record { failures_max: 1000 }).open().unwrap();
    let chain = session.read_records((0..20u64).collect()).map(Model { offset: 7, fails: true });
    let error = chain.collect().unwrap_err();
    let text = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ");
    assert!(text.contains("`setup` of the UDF `Model`") && text.ends_with("the weights are gone"), "{text}");
    assert_eq!(session.failures("Model").unwrap(), []);
}

#[test]
fn i10_a_struct_with_other_fields_is_another_udf_and_both_run_in_one_job() {
    let _turn = MODEL_TURN.lock().unwrap();
    let folder = Folder::new();
    let session = folder.session();
    let numbers = session.read_values(&[1u64, 2]);
    assert_eq!(numbers.map(Model { offset: 1, fails: false }).collect().unwrap(), [2, 3]);
    assert_eq!(numbers.map(Model { offset: 2, fails: false }).collect().unwrap(), [3, 4]);
    LOADED.store(0, Ordering::SeqCst);
    DROPPED.store(0, Ordering::SeqCst);
}
