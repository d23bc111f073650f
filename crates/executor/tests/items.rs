//! An item may cover several rows, as a model that likes batches gives them.
#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use std::ops::Range;
use std::sync::Mutex;

use rowmark_executor::{Computed, Error, OnError, Options};
use support::{Item, Refused, Store, opens, run};

/// Items of up to `size` rows; one with a bad row in it fails whole.
fn items(range: Range<u64>, size: u64, bad: &'static [u64]) -> impl Iterator<Item = Item> {
    let mut next = range.start;
    std::iter::from_fn(move || {
        let item = next..range.end.min(next + size);
        next = item.end;
        if item.is_empty() {
            return None;
        }
        match item.clone().find(|row| bad.contains(row)) {
            Some(row) => Some(Err(Refused(row))),
            None => Some(Ok(Computed { rows: item.end - item.start, row: item.collect() })),
        }
    })
}

#[test]
fn ranges_are_as_long_as_the_task_likes_and_batches_hold_whole_items() {
    for threads in [1, 2, 8] {
        let sizes = Mutex::new(Vec::new());
        let mut task = opens(|range: Range<u64>| {
            sizes.lock().unwrap().push(range.end - range.start);
            items(range, 32, &[])
        });
        task.rows_at_once = 32;
        let mut store = Store::default();
        let ended = run(threads, 1000, &task, &mut store, &Options::default().batch_rows_max(10));
        ended.result.unwrap();
        assert!(store.values().into_iter().eq((0..1000).map(|row| (row, row))));
        let mut sizes = sizes.into_inner().unwrap();
        sizes.sort_unstable();
        assert!(sizes[1..].iter().all(|&rows| rows >= 32), "but for the last: {sizes:?}");
        assert!(store.batches.iter().all(|batch| batch.end - batch.start <= 32));
        assert_eq!(ended.snapshot.rows_out, 1000);
    }
}

#[test]
fn an_error_of_an_item_is_blamed_on_the_row_that_fails_alone() {
    for threads in [1, 2] {
        let mut task = opens(|range| items(range, 32, &[5, 40, 41, 999]));
        task.rows_at_once = 32;
        let mut store = Store::default();
        let options = Options::default().on_error(OnError::Record { failures_max: 4 });
        run(threads, 1000, &task, &mut store, &options).result.unwrap();
        assert!(store.failures.keys().eq(&[5, 40, 41, 999]));
        assert!(store.failures.values().all(|(attempts, _)| *attempts == 1));
        let ended = run(threads, 1000, &task, &mut Store::default(), &Options::default());
        assert!(matches!(ended.result, Err(Error::Row { row: 5, attempts: 1, .. })));
    }
}

#[test]
fn an_error_of_a_large_item_is_found_in_few_openings() {
    let sizes = Mutex::new(Vec::new());
    let mut task = opens(|range: Range<u64>| {
        sizes.lock().unwrap().push(range.end - range.start);
        items(range, 1 << 20, &[77_777])
    });
    task.rows_at_once = 1 << 20;
    let mut store = Store::default();
    let ended = run(1, 100_000, &task, &mut store, &Options::default());
    assert!(matches!(ended.result, Err(Error::Row { row: 77_777, .. })));
    assert!(store.values().into_keys().eq(0..77_777), "the rows before it are handed over");
    let sizes = sizes.into_inner().unwrap();
    assert!(sizes.len() < 50, "{sizes:?}");
}

#[test]
fn an_item_that_does_not_fit_in_its_range_is_an_error() {
    for rows in [0, 11] {
        let task = opens(|_| std::iter::repeat_with(move || Ok(Computed { rows, row: Vec::new() })));
        let ended = run(1, 10, &task, &mut Store::default(), &Options::default());
        assert!(
            matches!(ended.result, Err(Error::Misfit { row: 0, rows: r, .. }) if r == rows),
            "{:?}",
            ended.result
        );
        assert_eq!((ended.snapshot.rows_done, ended.snapshot.rows_failed), (0, 0));
    }
}

#[test]
fn an_iterator_that_ends_early_is_an_error_with_its_row() {
    let task = opens(|range| (range.start..range.end.min(7)).map(support::one));
    let mut store = Store::default();
    let ended = run(2, 10, &task, &mut store, &Options::default());
    assert!(matches!(ended.result, Err(Error::Short { row: 7, .. })), "{:?}", ended.result);
    assert!(store.values().into_keys().eq(0..7));
}
