//! What the tests of a run share: an error, a store that notes what came when, and tasks out of closures.
#![allow(dead_code, reason = "each test uses a part")]

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::time::{Duration, Instant};

use rowmark_executor::{Computed, Error, Executor, FailedRow, Options, Progress, Sink, Snapshot, Task};

#[derive(Debug, PartialEq)]
pub(crate) struct Refused(pub(crate) u64);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused {}", self.0)
    }
}

impl std::error::Error for Refused {}

/// Keeps rows and failures; what came after the last commit is told apart, as a crash would.
#[derive(Default)]
pub(crate) struct Store {
    pending: Vec<(Range<u64>, Vec<u64>)>,
    pending_failures: Vec<(u64, u32, String)>,
    /// Committed rows, and when they were committed.
    pub(crate) rows: BTreeMap<u64, (u64, Instant)>,
    /// Committed failures: their attempts and their text.
    pub(crate) failures: BTreeMap<u64, (u32, String)>,
    /// The batches in the order in which they came.
    pub(crate) batches: Vec<Range<u64>>,
    pub(crate) commits: usize,
    pub(crate) refuse_commit: Option<usize>,
    /// How long a batch takes.
    pub(crate) slow: Duration,
}

impl Sink for Store {
    type Batch = (Range<u64>, Vec<u64>);
    type Failure = Refused;
    type Error = Refused;

    fn append(&mut self, batch: Self::Batch) -> Result<u64, Refused> {
        std::thread::sleep(self.slow);
        let rows = batch.1.len() as u64;
        self.batches.push(batch.0.clone());
        self.pending.push(batch);
        Ok(rows)
    }

    fn record(&mut self, failed: FailedRow<Refused>) -> Result<(), Refused> {
        self.pending_failures.push((failed.row, failed.attempts, failed.failure.to_string()));
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Refused> {
        if self.refuse_commit == Some(self.commits) {
            return Err(Refused(self.commits as u64));
        }
        self.commits += 1;
        for (range, rows) in self.pending.drain(..) {
            assert_eq!(range.end - range.start, rows.len() as u64);
            for (row, value) in range.zip(rows) {
                assert!(self.rows.insert(row, (value, Instant::now())).is_none(), "row {row} came twice");
            }
        }
        for (row, attempts, text) in self.pending_failures.drain(..) {
            assert!(self.failures.insert(row, (attempts, text)).is_none(), "row {row} failed twice");
        }
        Ok(())
    }
}

impl Store {
    /// The rows that are neither kept nor recorded as failed.
    pub(crate) fn missing(&self, rows: u64) -> Vec<Range<u64>> {
        (0..rows)
            .filter(|row| !self.rows.contains_key(row) && !self.failures.contains_key(row))
            .map(|row| row..row + 1)
            .collect()
    }

    pub(crate) fn values(&self) -> BTreeMap<u64, u64> {
        self.rows.iter().map(|(row, (value, _))| (*row, *value)).collect()
    }
}

/// A task out of a function that opens a range; an item gives as many values as it covers rows.
pub(crate) struct Opens<Open, Items> {
    open: Open,
    items: PhantomData<fn() -> Items>,
    pub(crate) rows_at_once: u64,
    pub(crate) row_bytes: u64,
    pub(crate) is_of_the_row: fn(&Refused) -> bool,
}

/// What an item of [`Opens`] is.
pub(crate) type Item = Result<Computed<Vec<u64>>, Refused>;

/// An item of one row.
pub(crate) fn one(value: u64) -> Item {
    Ok(vec![value].into())
}

pub(crate) fn opens<Open, Items>(open: Open) -> Opens<Open, Items>
where
    Open: Fn(Range<u64>) -> Items + Sync,
    Items: Iterator<Item = Item>,
{
    Opens { open, items: PhantomData, rows_at_once: 1, row_bytes: 0, is_of_the_row: |_| true }
}

impl<Open, Items> Task for Opens<Open, Items>
where
    Open: Fn(Range<u64>) -> Items + Sync,
    Items: Iterator<Item = Item>,
{
    type Worker = ();
    type Row = Vec<u64>;
    type Batch = (Range<u64>, Vec<u64>);
    type Error = Refused;

    fn setup(&self) -> Result<(), Refused> {
        Ok(())
    }

    fn open<'a>(
        &'a self,
        (): &'a mut (),
        range: Range<u64>,
    ) -> Result<impl Iterator<Item = Item> + 'a, Refused> {
        Ok((self.open)(range))
    }

    fn pack(&self, range: Range<u64>, rows: Vec<Vec<u64>>) -> Result<Self::Batch, Refused> {
        Ok((range, rows.into_iter().flatten().collect()))
    }

    fn row_bytes(&self, _: &Vec<u64>) -> u64 {
        self.row_bytes
    }

    fn rows_at_once(&self) -> u64 {
        self.rows_at_once
    }

    fn is_of_the_row(&self, error: &Refused) -> bool {
        (self.is_of_the_row)(error)
    }
}

/// How a run ended, and its counters, which add up however it ended.
pub(crate) struct Ended {
    pub(crate) result: Result<(), Error<Refused, Refused>>,
    pub(crate) snapshot: Snapshot,
}

/// Runs rows `0..rows` that `store` does not have.
pub(crate) fn run<T>(threads: usize, rows: u64, task: &T, store: &mut Store, options: &Options) -> Ended
where
    T: Task<Batch = (Range<u64>, Vec<u64>), Error = Refused>,
{
    let (reused, failed) = (store.rows.len() as u64, store.failures.len() as u64);
    let progress = Progress::new(rows, reused).failed_before(failed);
    let executor = Executor::new(threads).unwrap();
    let result = executor.run(store.missing(rows), task, store, &progress, options);
    let snapshot = progress.snapshot();
    assert_eq!(progress.workers(), [], "workers rest when the run is over");
    if !matches!(result, Err(Error::Sink(_))) {
        assert_eq!(reused + snapshot.rows_done, store.rows.len() as u64);
        let unrecorded = snapshot.rows_failed + failed - store.failures.len() as u64;
        assert_eq!(unrecorded + snapshot.rows_left(), store.missing(rows).len() as u64);
    }
    Ended { result, snapshot }
}
