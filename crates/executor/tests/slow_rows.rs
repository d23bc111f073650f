//! Rows are committed in time, however long the row behind them takes.
#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use std::collections::HashSet;
use std::iter::once;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rowmark_executor::{Durability, Options, Sink, per_row};
use support::{Refused, Store, one, opens, run};

/// Longer than anything here takes, and the test fails.
const TOO_LONG: Duration = Duration::from_secs(20);

/// The rows of each commit, to whoever waits for them.
struct Told {
    pending: u64,
    committed: Sender<u64>,
}

impl Sink for Told {
    type Batch = (std::ops::Range<u64>, Vec<u64>);
    type Failure = Refused;
    type Error = Refused;

    fn append(&mut self, batch: Self::Batch) -> Result<u64, Refused> {
        self.pending += batch.1.len() as u64;
        Ok(batch.1.len() as u64)
    }

    fn record(&mut self, failed: rowmark_executor::FailedRow<Refused>) -> Result<(), Refused> {
        panic!("{failed:?}")
    }

    fn commit(&mut self) -> Result<(), Refused> {
        let _ = self.committed.send(std::mem::take(&mut self.pending));
        Ok(())
    }
}

/// Ends when so many rows were committed, or it took too long.
fn committed(commits: &Receiver<u64>, rows: u64) -> bool {
    let deadline = Instant::now() + TOO_LONG;
    let mut missing = rows;
    while missing > 0 {
        let Ok(rows) = commits.recv_timeout(deadline.saturating_duration_since(Instant::now())) else {
            return false;
        };
        missing -= rows;
    }
    true
}

#[test]
fn rows_before_one_that_does_not_end_are_committed_meanwhile() {
    // The last row ends only when all rows before it, cheap and slow, are durable: nothing here is timed.
    for cheap in [0, 1, 7, 1000, 20_000] {
        let (sender, commits) = channel();
        let commits = Mutex::new(commits);
        let compute = |row| {
            if row == cheap + 2 {
                let commits = commits.lock().unwrap_or_else(PoisonError::into_inner);
                return if committed(&commits, cheap + 2) { one(row) } else { Err(Refused(row)) };
            }
            if row >= cheap {
                std::thread::sleep(Duration::from_millis(1));
            }
            one(row)
        };
        let mut task = opens(|range| range.map(compute));
        task.rows_at_once = cheap + 3; // one lease
        let executor = rowmark_executor::Executor::new(1).unwrap();
        let progress = rowmark_executor::Progress::new(cheap + 3, 0);
        let mut sink = Told { pending: 0, committed: sender };
        executor.run(once(0..cheap + 3), &task, &mut sink, &progress, &Options::default()).unwrap();
        assert_eq!(progress.snapshot().rows_done, cheap + 3);
    }
}

#[test]
fn rows_are_durable_within_the_interval() {
    // One row in seven takes ten times the interval: those before it must not wait for it.
    let interval = Duration::from_millis(100);
    let finished = Mutex::new(Vec::new());
    let task = per_row(|row| {
        std::thread::sleep(if row % 7 == 6 { interval * 10 } else { Duration::from_millis(1) });
        finished.lock().unwrap().push((row, Instant::now()));
        Ok::<_, Refused>(row)
    });
    let mut store = Store::default();
    let options = Options::default().durability(Durability::Group { interval, rows_max: u64::MAX });
    run(2, 21, &task, &mut store, &options).result.unwrap();
    for (row, finished) in finished.into_inner().unwrap() {
        let waited = store.rows[&row].1 - finished;
        assert!(waited < interval * 3, "row {row} waited {waited:?}"); // thrice, for a busy machine
    }
}

#[test]
fn quick_rows_do_not_wait_for_the_slow_one_behind_them() {
    let mut task = opens(|range| {
        range.map(|row| {
            std::thread::sleep(if row == 9 { Duration::from_millis(600) } else { Duration::ZERO });
            one(row)
        })
    });
    task.rows_at_once = 10; // one lease
    let mut store = Store::default();
    run(1, 10, &task, &mut store, &Options::default()).result.unwrap();
    assert_eq!(store.batches, [0..9, 9..10]);
    assert!(store.rows[&9].1 - store.rows[&8].1 > Duration::from_millis(150));
}

#[test]
fn a_long_lease_that_turns_slow_is_shared() {
    // The first long lease is slow in all its rows: then more than one worker has had to do with them.
    let slow = OnceLock::new();
    let threads = Mutex::new(HashSet::new());
    let task = opens(|range| {
        if range.end - range.start >= 50 {
            slow.get_or_init(|| range.clone());
        }
        range.map(|row| {
            if slow.get().is_some_and(|slow| slow.contains(&row)) {
                threads.lock().unwrap().insert(std::thread::current().id());
                std::thread::sleep(Duration::from_millis(5));
            }
            one(row)
        })
    });
    run(8, 3000, &task, &mut Store::default(), &Options::default()).result.unwrap();
    assert!(slow.get().is_some(), "no lease was long");
    assert!(threads.into_inner().unwrap().len() > 1);
}
