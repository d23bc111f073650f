//! Every row reaches the sink exactly once over any number of runs, whatever fails on the way.

use std::collections::BTreeMap;
use std::fmt;
use std::iter::once;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use rowmark_executor::{
    CancelToken, Computed, Durability, Error, Executor, FailedRow, Failure, Options, Progress, Sink, Task,
    per_row,
};

#[derive(Debug, PartialEq)]
struct Refused(u64);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused {}", self.0)
    }
}

impl std::error::Error for Refused {}

/// Keeps rows; those appended after the last commit are told apart, as a crash would.
#[derive(Default)]
struct Store {
    pending: Vec<(Range<u64>, Vec<u64>)>,
    committed: BTreeMap<u64, u64>,
    commits: usize,
    refuse_commit: Option<usize>,
}

impl Sink for Store {
    type Batch = (Range<u64>, Vec<u64>);
    type Failure = Refused;
    type Error = Refused;

    fn record(&mut self, failed: FailedRow<Refused>) -> Result<(), Refused> {
        panic!("{failed:?} is not to be recorded")
    }

    fn append(&mut self, batch: Self::Batch) -> Result<u64, Refused> {
        let rows = batch.1.len() as u64;
        self.pending.push(batch);
        Ok(rows)
    }

    fn commit(&mut self) -> Result<(), Refused> {
        if self.refuse_commit == Some(self.commits) {
            return Err(Refused(self.commits as u64));
        }
        self.commits += 1;
        for (range, rows) in self.pending.drain(..) {
            assert_eq!(range.end - range.start, rows.len() as u64);
            for (row, value) in range.zip(rows) {
                assert_eq!(self.committed.insert(row, value), None, "row {row} came twice");
            }
        }
        Ok(())
    }
}

impl Store {
    fn missing(&self, rows: u64) -> Vec<Range<u64>> {
        (0..rows).filter(|row| !self.committed.contains_key(row)).map(|row| row..row + 1).collect()
    }
}

fn run(
    threads: usize,
    ranges: Vec<Range<u64>>,
    store: &mut Store,
    options: &Options,
    function: impl Fn(u64) -> Result<u64, Refused> + Sync,
) -> Result<Progress, Error<Refused, Refused>> {
    let progress = Progress::new(ranges.iter().map(|range| range.end - range.start).sum(), 0);
    Executor::new(threads).expect("threads start").run(
        ranges,
        &per_row(function),
        store,
        &progress,
        options,
    )?;
    Ok(progress)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn rows_come_exactly_once_over_failing_runs(
        threads in prop::sample::select(vec![1usize, 2, 8]),
        rows in 0u64..3000,
        failing in prop::collection::btree_set(0u64..3000, 0..12),
        panics in any::<bool>(),
        batch_rows_max in prop::sample::select(vec![1u64, 2, 3, 10, 10_000]),
        every_row in any::<bool>(),
    ) {
        let durability = if every_row { Durability::EveryRow } else { Durability::default() };
        let options = Options::default().batch_rows_max(batch_rows_max).durability(durability);
        let failing = Mutex::new(failing);
        let calls = Mutex::new(BTreeMap::<u64, u32>::new());
        let mut store = Store::default();
        for _ in 0..20 {
            let result = run(threads, store.missing(rows), &mut store, &options, |row| {
                // A row that fails does so once; the next run has the bug fixed.
                if failing.lock().unwrap().remove(&row) {
                    assert!(!panics, "row {row} panics");
                    return Err(Refused(row));
                }
                *calls.lock().unwrap().entry(row).or_default() += 1;
                Ok(row * 2)
            });
            match result {
                Ok(_) => break,
                Err(Error::Row { row, source: Failure::Error(Refused(refused)), .. }) => prop_assert_eq!(row, refused),
                Err(Error::Row { row, source: Failure::Panic { message }, .. }) => {
                    prop_assert_eq!(message, format!("row {row} panics"));
                }
                Err(other) => return Err(TestCaseError::fail(format!("{other:?}"))),
            }
        }
        prop_assert_eq!(store.committed, (0..rows).map(|row| (row, row * 2)).collect::<BTreeMap<_, _>>());
        // Finished rows are committed before a failure is told, so none was computed again.
        prop_assert!(calls.into_inner().unwrap().values().all(|&calls| calls == 1));
    }
}

#[test]
fn the_counters_add_up() {
    let progress = run(2, once(0..10_000).collect(), &mut Store::default(), &Options::default(), Ok).unwrap();
    let snapshot = progress.snapshot();
    assert_eq!((snapshot.rows_done, snapshot.rows_out, snapshot.rows_failed), (10_000, 10_000, 0));
    assert_eq!(snapshot.rows_left(), 0);
}

#[test]
fn a_row_that_fails_is_tried_once() {
    for _ in 0..200 {
        let calls = AtomicU64::new(0);
        let progress = Progress::new(10, 0);
        let task = per_row(|row| {
            if row == 5 {
                calls.fetch_add(1, Ordering::Relaxed);
                return Err(Refused(row));
            }
            Ok(row)
        });
        let executor = Executor::new(4).expect("threads start");
        executor.run(once(0..10), &task, &mut Store::default(), &progress, &Options::default()).unwrap_err();
        assert_eq!((calls.into_inner(), progress.snapshot().rows_failed), (1, 1));
    }
}

#[test]
fn a_row_that_uses_rayon_itself_does_not_wait_for_the_rows_of_others() {
    // While a row waits for its own parallel work it may help with that, not with another worker's rows.
    thread_local!(static INSIDE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) });
    let mut store = Store::default();
    run(4, once(0..200).collect(), &mut store, &Options::default(), |row| {
        assert!(!INSIDE.replace(true), "row {row} began inside another on the same thread");
        rayon::join(
            || std::thread::sleep(Duration::from_millis(1)),
            || std::thread::sleep(Duration::from_millis(1)),
        );
        INSIDE.set(false);
        Ok(row)
    })
    .unwrap();
    assert_eq!(store.missing(200), []);
}

#[test]
fn an_interval_without_end_is_allowed() {
    let options =
        Options::default().durability(Durability::Group { interval: Duration::MAX, rows_max: u64::MAX });
    let mut store = Store::default();
    run(2, once(0..100).collect(), &mut store, &options, Ok).unwrap();
    assert_eq!(store.commits, 1);
}

#[test]
fn the_default_is_a_commit_every_100_ms() {
    let Durability::Group { interval, .. } = Durability::default() else { panic!("a group") };
    assert_eq!(interval, Duration::from_millis(100));
}

#[test]
fn a_cancelled_run_commits_what_is_finished() {
    let cancel = CancelToken::new();
    let mut store = Store::default();
    let options = Options::default().cancel(cancel.clone());
    let calls = AtomicU64::new(0);
    let error = run(2, once(0..100_000).collect(), &mut store, &options, |row| {
        if calls.fetch_add(1, Ordering::Relaxed) == 100 {
            cancel.cancel();
        }
        Ok(row)
    })
    .unwrap_err();
    let done = calls.load(Ordering::Relaxed);
    assert!(matches!(error, Error::Cancelled { rows_left } if rows_left == 100_000 - done), "{error}");
    assert_eq!(store.committed.len() as u64, done);
}

#[test]
fn a_sink_that_fails_ends_the_run() {
    let mut store = Store { refuse_commit: Some(1), ..Store::default() };
    let options = Options::default().durability(Durability::EveryRow);
    let error = run(2, once(0..1000).collect(), &mut store, &options, Ok).unwrap_err();
    assert!(matches!(error, Error::Sink(Refused(1))), "{error}");
}

#[test]
fn a_long_lease_is_handed_over_in_the_middle() {
    // The first row makes rows look free, so that a long lease follows; then rows are slow.
    let options = Options::default()
        .durability(Durability::Group { interval: Duration::from_millis(10), rows_max: u64::MAX });
    let mut store = Store::default();
    run(1, once(0..60).collect(), &mut store, &options, |row| {
        if row > 0 {
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(row)
    })
    .unwrap();
    assert!(store.commits > 10, "{} commits", store.commits);
}

#[test]
fn an_input_that_ends_early_is_an_error_with_its_row() {
    struct Short;
    impl Task for Short {
        type Worker = ();
        type Row = u64;
        type Batch = (Range<u64>, Vec<u64>);
        type Error = Refused;
        fn setup(&self) -> Result<(), Refused> {
            Ok(())
        }
        fn open<'a>(
            &'a self,
            (): &'a mut (),
            range: Range<u64>,
        ) -> Result<impl Iterator<Item = Result<Computed<u64>, Refused>> + 'a, Refused> {
            Ok((range.start..range.end.min(7)).map(|row| Ok(row.into())))
        }
        fn pack(&self, range: Range<u64>, rows: Vec<u64>) -> Result<Self::Batch, Refused> {
            Ok((range, rows))
        }
    }
    let mut store = Store::default();
    let executor = Executor::new(2).unwrap();
    let progress = Progress::new(10, 0);
    let error = executor.run(once(0..10), &Short, &mut store, &progress, &Options::default()).unwrap_err();
    assert!(matches!(error, Error::Short { row: 7, .. }), "{error:?}");
    assert_eq!(store.missing(7), []);
}

#[test]
fn a_run_inside_a_row_is_refused() {
    let executor = Executor::new(1).unwrap();
    let inner = executor.pool().install(|| {
        let task = per_row(Ok::<u64, Refused>);
        executor.run(once(0..3), &task, &mut Store::default(), &Progress::new(3, 0), &Options::default())
    });
    assert!(matches!(inner, Err(Error::Nested)));
}
