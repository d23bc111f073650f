//! Every row is kept exactly once, or recorded as failed once, over any number of runs, whatever fails.
#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::time::Duration;

use proptest::prelude::*;
use rowmark_executor::{Computed, Durability, Error, Failure, OnError, Options, Retry};
use support::{Item, Refused, Store, opens, run};

/// What goes wrong with a row.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Fails,
    Panics,
    /// It takes longer than a look of the committing thread.
    Slow,
}

/// What goes wrong, and how often before the row is as any other.
type Bad = (Kind, u32);

fn bad() -> impl Strategy<Value = Bad> {
    let kind = prop_oneof![4 => Just(Kind::Fails), 2 => Just(Kind::Panics), 1 => Just(Kind::Slow)];
    (kind, prop_oneof![3 => 1u32..4, 1 => Just(u32::MAX)])
}

#[derive(Clone, Copy, Debug)]
struct Plan {
    threads: usize,
    workers_max: usize,
    rows: u64,
    rows_at_once: u64,
    row_bytes: u64,
    /// What comes after an error: the next row, or the end.
    goes_on: bool,
}

fn plan() -> impl Strategy<Value = Plan> {
    let threads = prop::sample::select(vec![1usize, 2, 8]);
    let rows_at_once = prop::sample::select(vec![1u64, 1, 2, 7, 100]);
    let row_bytes = prop::sample::select(vec![0u64, 100, 5000]);
    (threads, 1usize..9, 0u64..2000, rows_at_once, row_bytes, any::<bool>()).prop_map(
        |(threads, workers_max, rows, rows_at_once, row_bytes, goes_on)| Plan {
            threads,
            workers_max,
            rows,
            rows_at_once,
            row_bytes,
            goes_on,
        },
    )
}

fn options() -> impl Strategy<Value = Options> {
    let durability = prop_oneof![
        Just(Durability::EveryRow),
        Just(Durability::default()),
        Just(Durability::Group { interval: Duration::from_millis(4), rows_max: 50 }),
    ];
    let on_error = prop_oneof![
        Just(OnError::Fail),
        (0u64..20).prop_map(|failures_max| OnError::Record { failures_max }),
    ];
    let batch_rows_max = prop::sample::select(vec![1u64, 2, 3, 10, 10_000]);
    (durability, on_error, 0u32..4, batch_rows_max).prop_map(|(durability, on_error, attempts, rows)| {
        let delay = Duration::from_micros(200);
        Options::default()
            .durability(durability)
            .on_error(on_error)
            .retry(Retry { attempts, delay, delay_max: delay })
            .batch_rows_max(rows)
            .batch_bytes_max(20_000)
    })
}

/// The bad rows of a test, and how often each row was computed.
struct Rows {
    bad: Mutex<BTreeMap<u64, Bad>>,
    calls: Mutex<BTreeMap<u64, u32>>,
}

impl Rows {
    /// What goes wrong with a row this time.
    fn goes_wrong(&self, row: u64) -> Option<Kind> {
        let mut bad = self.bad.lock().unwrap();
        let (kind, times) = bad.get_mut(&row)?;
        *times = times.checked_sub(1)?;
        Some(*kind)
    }

    fn compute(&self, rows: Range<u64>) -> Item {
        for row in rows.clone() {
            match self.goes_wrong(row) {
                Some(Kind::Fails) => return Err(Refused(row)),
                Some(Kind::Panics) => panic!("row {row} panics"),
                Some(Kind::Slow) => std::thread::sleep(Duration::from_millis(15)),
                None => {}
            }
        }
        for row in rows.clone() {
            *self.calls.lock().unwrap().entry(row).or_default() += 1;
        }
        Ok(Computed { rows: rows.end - rows.start, row: rows.map(|row| row * 2).collect() })
    }

    /// Items of up to `rows_at_once` rows; after an error the iterator goes on behind its row, or ends.
    fn open(&self, range: Range<u64>, rows_at_once: u64, goes_on: bool) -> impl Iterator<Item = Item> {
        let mut next = range.start;
        std::iter::from_fn(move || {
            let rows = next..range.end.min(next + rows_at_once);
            if rows.is_empty() {
                return None;
            }
            let item = self.compute(rows.clone());
            next = match (&item, goes_on) {
                (Ok(_), _) => rows.end,
                (Err(_), true) => rows.start + 1,
                (Err(_), false) => range.end,
            };
            Some(item)
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn rows_come_exactly_once_over_failing_runs(
        plan in plan(),
        options in options(),
        bad in prop::collection::btree_map(0u64..2000, bad(), 0..12),
    ) {
        let rows = Rows { bad: Mutex::new(bad), calls: Mutex::default() };
        let mut task = opens(|range| rows.open(range, plan.rows_at_once, plan.goes_on));
        task.rows_at_once = plan.rows_at_once;
        task.row_bytes = plan.row_bytes;
        let options = options.workers_max(plan.workers_max);
        let mut store = Store::default();
        for attempt in 0.. {
            if attempt == 60 {
                // What is still bad is hopeless; a person mends it.
                rows.bad.lock().unwrap().clear();
            }
            match run(plan.threads, plan.rows, &task, &mut store, &options).result {
                Ok(()) => break,
                Err(Error::Row { row, source: Failure::Error(Refused(refused)), .. })
                | Err(Error::TooManyFailures { row, source: Failure::Error(Refused(refused)), .. }) => {
                    prop_assert_eq!(row, refused);
                }
                Err(Error::Row { row, source: Failure::Panic { message }, .. })
                | Err(Error::TooManyFailures { row, source: Failure::Panic { message }, .. }) => {
                    prop_assert_eq!(message, format!("row {row} panics"));
                }
                Err(other) => return Err(TestCaseError::fail(format!("{other:?}"))),
            }
            prop_assert!(attempt < 70, "it does not end");
        }
        let all = (0..plan.rows).filter(|row| !store.failures.contains_key(row)).map(|row| (row, row * 2));
        prop_assert_eq!(store.values(), all.collect::<BTreeMap<_, _>>());
        if let OnError::Record { failures_max } = options.on_error {
            prop_assert!(store.failures.len() as u64 <= failures_max);
        } else {
            prop_assert!(store.failures.is_empty());
        }
        // Finished rows are committed before a failure is told, so none was computed again.
        prop_assert!(rows.calls.into_inner().unwrap().values().all(|&calls| calls == 1));
    }
}
