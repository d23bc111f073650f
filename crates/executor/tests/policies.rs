//! What becomes of a run when rows fail.
#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use std::collections::BTreeSet;
use std::error::Error as _;
use std::iter::once;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rowmark_executor::{Error, Executor, Failure, OnError, Options, Progress, per_row};
use support::{Refused, Store, one, opens, run};

const RECORD_3: OnError = OnError::Record { failures_max: 3 };

fn fails_at(failing: &[u64]) -> impl Fn(u64) -> Result<u64, Refused> + Sync + '_ {
    |row| if failing.contains(&row) { Err(Refused(row)) } else { Ok(row) }
}

#[test]
fn by_default_the_first_failure_ends_the_run_and_what_is_finished_stays() {
    let mut store = Store::default();
    let ended = run(1, 100, &per_row(fails_at(&[70, 80])), &mut store, &Options::default());
    let error = ended.result.unwrap_err();
    assert!(matches!(error, Error::Row { row: 70, attempts: 1, source: Failure::Error(Refused(70)) }));
    assert_eq!(error.to_string(), "row 70 failed");
    assert!(store.values().into_keys().eq(0..70));
    assert_eq!((ended.snapshot.rows_failed, ended.snapshot.rows_left()), (1, 29));
}

#[test]
fn recorded_failures_are_in_no_batch_and_the_run_goes_on() {
    for threads in [1, 2, 8] {
        let mut store = Store::default();
        let options = Options::default().on_error(RECORD_3);
        let ended = run(threads, 1000, &per_row(fails_at(&[0, 500, 999])), &mut store, &options);
        ended.result.unwrap();
        assert_eq!(store.values().len(), 997);
        let failures: Vec<_> =
            store.failures.iter().map(|(row, (n, text))| (*row, *n, text.as_str())).collect();
        assert_eq!(failures, [(0, 1, "refused 0"), (500, 1, "refused 500"), (999, 1, "refused 999")]);
        assert!(store.batches.iter().all(|batch| ![0, 500, 999].iter().any(|row| batch.contains(row))));
        assert_eq!((ended.snapshot.rows_failed, ended.snapshot.rows_left()), (3, 0));
    }
}

#[test]
fn one_failure_too_many_ends_the_run_and_is_not_recorded() {
    let mut store = Store::default();
    let options = Options::default().on_error(RECORD_3);
    let ended = run(1, 100, &per_row(fails_at(&[2, 4, 6, 8, 10])), &mut store, &options);
    let error = ended.result.unwrap_err();
    assert_eq!(error.to_string(), "4 rows failed, the last of them row 8; no more than 3 may be recorded");
    assert_eq!(error.source().unwrap().to_string(), "refused 8");
    assert!(store.failures.into_keys().eq([2, 4, 6]));
}

#[test]
fn failures_before_the_run_count_and_are_not_tried_again() {
    let mut store = Store::default();
    store.failures.extend([(1, (1, String::new())), (2, (1, String::new()))]);
    let options = Options::default().on_error(RECORD_3);
    let tried = Mutex::new(BTreeSet::new());
    let task = per_row(|row| {
        tried.lock().unwrap().insert(row);
        if row == 5 || row == 7 { Err(Refused(row)) } else { Ok(row) }
    });
    let ended = run(1, 10, &task, &mut store, &options);
    assert!(matches!(ended.result, Err(Error::TooManyFailures { failures: 4, failures_max: 3, row: 7, .. })));
    let snapshot = ended.snapshot;
    assert_eq!((snapshot.rows_failed_before, snapshot.rows_failed), (2, 2));
    assert!(tried.lock().unwrap().iter().all(|row| ![1, 2].contains(row)));
}

#[test]
fn an_error_that_is_not_of_the_row_ends_the_run_whatever_the_policy() {
    let mut store = Store::default();
    let retry = rowmark_executor::Retry { attempts: 5, ..Default::default() };
    let options = Options::default().on_error(RECORD_3).retry(retry);
    let mut task = opens(|range| range.map(|row| if row == 7 { Err(Refused(row)) } else { one(row) }));
    task.is_of_the_row = |error| error.0 != 7;
    let ended = run(1, 10, &task, &mut store, &options);
    assert!(matches!(ended.result, Err(Error::Row { row: 7, attempts: 1, .. })));
    assert_eq!(store.values().len(), 7);
}

#[test]
fn after_an_error_an_iterator_may_go_on_or_end() {
    for goes_on in [true, false] {
        let mut store = Store::default();
        let opened = Mutex::new(0);
        let task = opens(|range| {
            *opened.lock().unwrap() += 1;
            let mut ended = false;
            range.map_while(move |row| {
                if ended && !goes_on {
                    return None;
                }
                ended = row % 10 == 0;
                Some(if ended { Err(Refused(row)) } else { one(row) })
            })
        });
        let options = Options::default().on_error(OnError::Record { failures_max: 100 });
        run(2, 1000, &task, &mut store, &options).result.unwrap();
        assert_eq!((store.rows.len(), store.failures.len()), (900, 100));
    }
}

#[test]
fn a_row_that_fails_is_tried_once() {
    for _ in 0..200 {
        let calls = AtomicU64::new(0);
        let task = per_row(|row| {
            if row == 5 {
                calls.fetch_add(1, Ordering::Relaxed);
                return Err(Refused(row));
            }
            Ok(row)
        });
        let ended = run(4, 10, &task, &mut Store::default(), &Options::default());
        ended.result.unwrap_err();
        assert_eq!((calls.into_inner(), ended.snapshot.rows_failed), (1, 1));
    }
}

#[test]
fn runs_with_one_progress_share_the_bound_of_failures() {
    let task = opens(|range| range.map(|row| Err(Refused(row))));
    let (executor, progress) = (Executor::new(1).unwrap(), Progress::new(4, 0));
    let options = Options::default().on_error(OnError::Record { failures_max: 3 });
    let mut store = Store::default();
    executor.run(once(0..2), &task, &mut store, &progress, &options).unwrap();
    let ended = executor.run(once(2..4), &task, &mut store, &progress, &options);
    assert!(matches!(ended, Err(Error::TooManyFailures { failures: 4, failures_max: 3, row: 3, .. })));
    assert!(store.failures.keys().eq(&[0, 1, 2]));
}
