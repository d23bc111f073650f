//! One worker computes strictly in row order, and its batches come so.
#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use std::sync::Mutex;
use std::thread::sleep;
use std::time::Duration;

use rowmark_executor::{Durability, Executor, OnError, Options, Progress, Retry, per_row};
use support::{Refused, Store};

#[test]
fn one_worker_of_many_threads_goes_from_the_first_row_to_the_last() {
    let computed = Mutex::new(Vec::new());
    let task = per_row(|row| {
        sleep(if row % 50 == 49 { Duration::from_millis(30) } else { Duration::ZERO });
        let mut computed = computed.lock().unwrap();
        let is_again = computed.last() == Some(&row);
        computed.push(row);
        if row % 40 == 7 || row % 40 == 9 && !is_again { Err(Refused(row)) } else { Ok(row) }
    });
    let options = Options::default()
        .workers_max(1)
        .retry(Retry { attempts: 2, delay: Duration::from_millis(1), delay_max: Duration::MAX })
        .on_error(OnError::Record { failures_max: 100 })
        .durability(Durability::Group { interval: Duration::from_millis(16), rows_max: 100 });
    let mut store = Store::default();
    let ranges = [300..400, 0..100, 150..300]; // in any order
    let progress = Progress::new(350, 0);
    Executor::new(8).unwrap().run(ranges, &task, &mut store, &progress, &options).unwrap();
    assert_eq!(store.rows.len() + store.failures.len(), 350);
    assert!(computed.into_inner().unwrap().is_sorted());
    assert!(store.batches.is_sorted_by_key(|batch| batch.start));
}
