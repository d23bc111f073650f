//! Panics are caught, told with row and text, and poison nothing.
#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use rowmark_executor::{Computed, Error, Executor, Failure, OnError, Options, Progress, Task, per_row};
use support::{Refused, Store, run};

fn panics_at(panicking: u64) -> impl Fn(u64) -> Result<u64, Refused> + Sync {
    move |row| {
        assert!(row != panicking, "row {row} is bad");
        Ok(row)
    }
}

#[test]
fn a_panic_is_told_with_its_row_and_text_and_the_executor_goes_on() {
    let executor = Executor::new(2).unwrap();
    let mut store = Store::default();
    let progress = Progress::new(100, 0);
    let error = executor
        .run(std::iter::once(0..100), &per_row(panics_at(31)), &mut store, &progress, &Options::default())
        .unwrap_err();
    let Error::Row { row: 31, attempts: 1, source: Failure::Panic { message } } = error else {
        panic!("{error:?}")
    };
    assert_eq!(message, "row 31 is bad");
    executor
        .run(store.missing(100), &per_row(Ok), &mut store, &Progress::new(100, 0), &Options::default())
        .unwrap();
    assert_eq!(store.rows.len(), 100);
}

#[test]
fn panics_can_be_recorded() {
    let mut store = Store::default();
    let options = Options::default().on_error(OnError::Record { failures_max: 1 });
    run(2, 100, &per_row(panics_at(31)), &mut store, &options).result.unwrap();
    assert_eq!(store.failures[&31], (1, "panicked: row 31 is bad".to_owned()));
    assert_eq!(store.rows.len(), 99);
}

#[derive(PartialEq)]
enum At {
    Setup,
    Open,
    RowBytes,
    Pack,
    Drop,
}

/// Panics in one of its methods.
struct Panics(At);

/// A worker's state that panics when it is dropped.
struct State(bool);

impl Drop for State {
    fn drop(&mut self) {
        assert!(!self.0, "drop is bad");
    }
}

impl Task for Panics {
    type Worker = State;
    type Row = u64;
    type Batch = (Range<u64>, Vec<u64>);
    type Error = Refused;

    fn setup(&self) -> Result<State, Refused> {
        assert!(self.0 != At::Setup, "setup is bad");
        Ok(State(self.0 == At::Drop))
    }

    fn open<'a>(
        &'a self,
        _: &'a mut State,
        range: Range<u64>,
    ) -> Result<impl Iterator<Item = Result<Computed<u64>, Refused>> + 'a, Refused> {
        assert!(self.0 != At::Open, "open is bad");
        Ok(range.map(|row| Ok(row.into())))
    }

    fn pack(&self, range: Range<u64>, rows: Vec<u64>) -> Result<Self::Batch, Refused> {
        assert!(self.0 != At::Pack, "pack is bad");
        Ok((range, rows))
    }

    fn row_bytes(&self, _: &u64) -> u64 {
        assert!(self.0 != At::RowBytes, "size is bad");
        0
    }
}

#[test]
fn a_panic_anywhere_in_a_task_is_caught() {
    let error = |at: At| run(2, 10, &Panics(at), &mut Store::default(), &Options::default()).result;
    assert!(
        matches!(error(At::Setup), Err(Error::Setup(Failure::Panic { message })) if message == "setup is bad")
    );
    assert!(matches!(error(At::Open), Err(Error::Row { row: 0, source: Failure::Panic { .. }, .. })));
    assert!(matches!(error(At::RowBytes), Err(Error::Row { row: 0, source: Failure::Panic { .. }, .. })));
    assert!(matches!(error(At::Pack), Err(Error::Pack { source: Failure::Panic { .. }, .. })));
    error(At::Drop).unwrap(); // the rows are done
}

#[test]
fn a_setup_that_fails_ends_the_run_and_says_so() {
    struct NoWorker(AtomicU64);
    impl Task for NoWorker {
        type Worker = ();
        type Row = u64;
        type Batch = (Range<u64>, Vec<u64>);
        type Error = Refused;
        fn setup(&self) -> Result<(), Refused> {
            Err(Refused(self.0.fetch_add(1, Ordering::Relaxed)))
        }
        fn open<'a>(
            &'a self,
            (): &'a mut (),
            _: Range<u64>,
        ) -> Result<impl Iterator<Item = Result<Computed<u64>, Refused>> + 'a, Refused> {
            Ok(std::iter::empty())
        }
        fn pack(&self, range: Range<u64>, rows: Vec<u64>) -> Result<Self::Batch, Refused> {
            Ok((range, rows))
        }
    }
    let options = Options::default().on_error(OnError::Record { failures_max: 100 });
    let ended = run(1, 10, &NoWorker(AtomicU64::new(0)), &mut Store::default(), &options);
    let error = ended.result.unwrap_err();
    assert!(matches!(error, Error::Setup(Failure::Error(Refused(0)))), "{error:?}");
    assert_eq!(error.to_string(), "a worker could not be set up");
    assert_eq!((ended.snapshot.rows_failed, ended.snapshot.rows_left()), (0, 10));
}
