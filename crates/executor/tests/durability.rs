//! When the sink is asked to commit, and what becomes of a run when it cannot.
#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use std::thread::sleep;
use std::time::Duration;

use rowmark_executor::{Durability, Error, Options, per_row};
use support::{Refused, Store, run};

#[test]
fn the_default_is_a_commit_every_100_ms() {
    let Durability::Group { interval, .. } = Options::default().durability else { panic!("a group") };
    assert_eq!(interval, Duration::from_millis(100));
}

#[test]
fn every_row_is_a_batch_of_its_own() {
    let mut store = Store::default();
    let options = Options::default().durability(Durability::EveryRow);
    run(2, 300, &per_row(Ok), &mut store, &options).result.unwrap();
    assert_eq!(store.batches.len(), 300);
    // Batches that come at one time share a commit: no more than the channel holds.
    assert!((300 / 5..=300).contains(&store.commits), "{} commits", store.commits);
}

#[test]
fn an_interval_without_end_is_one_commit() {
    let durability = Durability::Group { interval: Duration::MAX, rows_max: u64::MAX };
    let mut store = Store::default();
    run(2, 1000, &per_row(Ok), &mut store, &Options::default().durability(durability)).result.unwrap();
    assert_eq!(store.commits, 1);
}

#[test]
fn so_many_rows_are_a_commit() {
    let durability = Durability::Group { interval: Duration::MAX, rows_max: 10 };
    let mut store = Store::default();
    run(1, 1000, &per_row(Ok), &mut store, &Options::default().durability(durability)).result.unwrap();
    assert!(store.commits >= 1000 / (10 * 4), "{} commits", store.commits);
    assert!(store.batches.iter().all(|batch| batch.end - batch.start <= 10));
}

#[test]
fn a_long_lease_is_handed_over_in_the_middle() {
    // The first row makes rows look free, so that a long lease follows; then rows are slow.
    let durability = Durability::Group { interval: Duration::from_millis(10), rows_max: u64::MAX };
    let mut store = Store::default();
    let task = per_row(|row| {
        sleep(if row > 0 { Duration::from_millis(10) } else { Duration::ZERO });
        Ok::<_, Refused>(row)
    });
    run(1, 60, &task, &mut store, &Options::default().durability(durability)).result.unwrap();
    assert!(store.commits > 10, "{} commits", store.commits);
}

#[test]
fn a_sink_that_fails_ends_the_run() {
    let mut store = Store::default();
    store.refuse_commit = Some(1);
    let options = Options::default().durability(Durability::EveryRow);
    let error = run(2, 1000, &per_row(Ok), &mut store, &options).result.unwrap_err();
    assert!(matches!(error, Error::Sink(Refused(1))), "{error}");
}

#[test]
fn a_sink_that_panics_ends_the_run_and_harms_no_other() {
    let executor = rowmark_executor::Executor::new(2).unwrap();
    let run = |store: &mut Store| {
        let progress = rowmark_executor::Progress::new(100, 0);
        let ranges = std::iter::once(0..100);
        executor.run(ranges, &per_row(Ok), store, &progress, &Options::default())
    };
    let mut store = Store::default();
    store.rows.insert(7, (7, std::time::Instant::now())); // so that row 7 comes twice
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&mut store)));
    let text = *panicked.unwrap_err().downcast::<String>().unwrap();
    assert_eq!(text, "row 7 came twice");
    run(&mut Store::default()).unwrap();
}
