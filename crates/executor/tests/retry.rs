//! Rows that fail are tried again, after a while, so many times.
#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rowmark_executor::{Error, Failure, OnError, Options, Retry, per_row};
use support::{Refused, Store, run};

const RETRY: Retry =
    Retry { attempts: 3, delay: Duration::from_millis(4), delay_max: Duration::from_millis(6) };

/// Counts the attempts at each row.
#[derive(Default)]
struct Attempts(Mutex<BTreeMap<u64, u32>>);

impl Attempts {
    fn at(&self, row: u64) -> u32 {
        let mut attempts = self.0.lock().unwrap();
        let attempts = attempts.entry(row).or_default();
        *attempts += 1;
        *attempts
    }
}

#[test]
fn a_row_that_fails_twice_succeeds_the_third_time_whether_it_fails_or_panics() {
    for panics in [false, true] {
        let attempts = Attempts::default();
        let task = per_row(|row| {
            let attempt = attempts.at(row);
            if row % 10 == 3 && attempt < 3 {
                assert!(!panics, "row {row} panics");
                return Err(Refused(row));
            }
            Ok(row)
        });
        let mut store = Store::default();
        let ended = run(2, 100, &task, &mut store, &Options::default().retry(RETRY));
        ended.result.unwrap();
        assert_eq!((ended.snapshot.rows_done, ended.snapshot.rows_failed), (100, 0));
        let attempts = attempts.0.into_inner().unwrap();
        assert!(attempts.iter().all(|(row, n)| *n == if row % 10 == 3 { 3 } else { 1 }), "{attempts:?}");
    }
}

#[test]
fn attempts_run_out_and_are_told() {
    let attempts = Attempts::default();
    let task = per_row(|row| if row == 7 { Err(Refused(attempts.at(row).into())) } else { Ok(row) });
    let mut store = Store::default();
    let begun = Instant::now();
    let error = run(2, 20, &task, &mut store, &Options::default().retry(RETRY)).result.unwrap_err();
    assert!(matches!(error, Error::Row { row: 7, attempts: 3, source: Failure::Error(Refused(3)) }));
    assert_eq!(error.to_string(), "row 7 failed after 3 attempts");
    let waits = RETRY.delay_after(7, 1) + RETRY.delay_after(7, 2);
    assert!(begun.elapsed() >= waits, "{:?} is less than {waits:?}", begun.elapsed());

    let mut store = Store::default();
    let options = Options::default().retry(RETRY).on_error(OnError::Record { failures_max: 1 });
    run(2, 20, &task, &mut store, &options).result.unwrap();
    assert_eq!(store.failures[&7], (3, "refused 6".to_owned()));
}

#[test]
fn while_a_row_waits_the_rest_of_its_range_is_computed() {
    // The row waits for the others: only if another worker gets the rest of the range does it succeed.
    let retry =
        Retry { attempts: 10_000, delay: Duration::from_millis(1), delay_max: Duration::from_millis(1) };
    let attempts = Attempts::default();
    let task = per_row(|row| {
        if row != 50 {
            attempts.at(row);
            return Ok(row);
        }
        let done = attempts.0.lock().unwrap().len();
        if done == 99 { Ok(row) } else { Err(Refused(row)) }
    });
    let mut store = Store::default();
    run(2, 100, &task, &mut store, &Options::default().retry(retry)).result.unwrap();
    assert_eq!(store.rows.len(), 100);
}

#[test]
fn what_is_finished_before_a_row_that_waits_is_durable_meanwhile() {
    let retry = Retry { attempts: 2, delay: Duration::from_millis(600), delay_max: Duration::MAX };
    let attempts = Attempts::default();
    let task = per_row(|row| if row == 7 && attempts.at(row) == 1 { Err(Refused(7)) } else { Ok(row) });
    let mut store = Store::default();
    run(1, 8, &task, &mut store, &Options::default().retry(retry)).result.unwrap();
    let at = |row: u64| store.rows[&row].1;
    assert!(at(7) - at(6) > Duration::from_millis(150), "{:?}", at(7) - at(6));
}
