//! A run that is cancelled stops in good order.
#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rowmark_executor::{CancelToken, Error, OnError, Options, Retry, per_row};
use support::{Refused, Store, run};

const LONG: Duration = Duration::from_secs(3600);

#[test]
fn rows_in_flight_finish_and_what_is_finished_is_committed() {
    let cancel = CancelToken::new();
    let mut store = Store::default();
    let calls = AtomicU64::new(0);
    let task = per_row(|row| {
        if calls.fetch_add(1, Ordering::Relaxed) == 100 {
            cancel.cancel();
        }
        Ok::<_, Refused>(row)
    });
    let ended = run(2, 100_000, &task, &mut store, &Options::default().cancel(cancel.clone()));
    let done = calls.load(Ordering::Relaxed);
    let left = 100_000 - done;
    assert!(matches!(ended.result, Err(Error::Cancelled { rows_left }) if rows_left == left));
    assert_eq!((store.rows.len() as u64, ended.snapshot.rows_left()), (done, left));
}

#[test]
fn a_worker_that_waits_to_try_a_row_again_stops_waiting() {
    let cancel = CancelToken::new();
    let retry = Retry { attempts: 2, delay: LONG, delay_max: LONG };
    let tried = AtomicU64::new(0);
    let task = per_row(|row| {
        if row >= 8 {
            tried.fetch_add(1, Ordering::SeqCst);
            return Err(Refused(row));
        }
        Ok(row)
    });
    let begun = Instant::now();
    let mut store = Store::default();
    let options = Options::default()
        .cancel(cancel.clone())
        .retry(retry)
        .on_error(OnError::Record { failures_max: 100 });
    let ended = std::thread::scope(|scope| {
        scope.spawn(|| {
            while tried.load(Ordering::SeqCst) < 2 {
                std::thread::yield_now(); // until both workers wait
            }
            cancel.cancel();
        });
        run(2, 10, &task, &mut store, &options)
    });
    assert!(begun.elapsed() < LONG / 100);
    // The rows that waited did not fail: they are left, and the next run tries them.
    assert!(matches!(ended.result, Err(Error::Cancelled { rows_left: 2 })));
    assert_eq!((ended.snapshot.rows_done, ended.snapshot.rows_failed, ended.snapshot.rows_left()), (8, 0, 2));
}

#[test]
fn a_failure_elsewhere_ends_the_wait_as_well() {
    let retry = Retry { attempts: 2, delay: LONG, delay_max: LONG };
    let waits = AtomicU64::new(0);
    let mut task = support::opens(|range| {
        range.map(|row| match row {
            0 => {
                waits.store(1, Ordering::SeqCst);
                Err(Refused(0))
            }
            1 => {
                while waits.load(Ordering::SeqCst) == 0 {
                    std::thread::yield_now();
                }
                Err(Refused(1))
            }
            _ => support::one(row),
        })
    });
    task.is_of_the_row = |error| error.0 != 1;
    let begun = Instant::now();
    let ended = run(2, 10, &task, &mut Store::default(), &Options::default().retry(retry));
    assert!(begun.elapsed() < LONG / 100);
    assert!(matches!(ended.result, Err(Error::Row { row: 1, .. })));
}

#[test]
fn a_run_that_is_cancelled_before_it_begins_computes_nothing() {
    let cancel = CancelToken::new();
    cancel.cancel();
    let task = per_row(|row| if row < 10 { Err(Refused(row)) } else { Ok(row) });
    let ended = run(2, 10, &task, &mut Store::default(), &Options::default().cancel(cancel));
    assert!(matches!(ended.result, Err(Error::Cancelled { rows_left: 10 })));
}
