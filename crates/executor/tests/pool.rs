//! Workers on a pool that others use too: the rows themselves, and other runs.
#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use std::cell::Cell;
use std::iter::once;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rowmark_executor::{Error, Executor, Options, Progress, per_row};
use support::{Refused, Store, run};

#[test]
fn a_row_that_uses_rayon_itself_does_not_wait_for_the_rows_of_others() {
    // While a row waits for its own parallel work it may help with that, not with another worker's rows.
    thread_local!(static INSIDE: Cell<bool> = const { Cell::new(false) });
    let task = per_row(|row| {
        assert!(!INSIDE.replace(true), "row {row} began inside another on the same thread");
        rayon::join(|| sleep(Duration::from_millis(1)), || sleep(Duration::from_millis(1)));
        INSIDE.set(false);
        Ok::<_, Refused>(row)
    });
    let mut store = Store::default();
    run(4, 200, &task, &mut store, &Options::default()).result.unwrap();
    assert_eq!(store.rows.len(), 200);
}

#[test]
fn workers_without_rows_help_with_a_rows_own_rayon_work() {
    // The only row is many pieces that each wait until another thread is at one, too.
    let busy = AtomicU64::new(0);
    let task = per_row(|row| {
        rayon::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|_| {
                    busy.fetch_add(1, Ordering::SeqCst);
                    let begun = Instant::now();
                    while busy.load(Ordering::SeqCst) < 2 {
                        assert!(begun.elapsed() < Duration::from_secs(20), "nobody helps");
                        std::thread::yield_now();
                    }
                });
            }
        });
        Ok::<_, Refused>(row)
    });
    run(2, 1, &task, &mut Store::default(), &Options::default()).result.unwrap();
}

#[test]
fn runs_on_one_pool_take_turns() {
    let executor =
        Executor::with_pool(Arc::new(rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap()));
    let runs = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let begun = Cell::new(false);
                let ranges = once(0..20).inspect(|_| {
                    assert!(!begun.replace(true));
                    assert_eq!(runs.fetch_add(1, Ordering::SeqCst), 0, "another run goes on");
                });
                let task = per_row(|row| {
                    sleep(Duration::from_millis(1));
                    if row == 19 {
                        runs.store(0, Ordering::SeqCst);
                    }
                    Ok::<_, Refused>(row)
                });
                let options = Options::default().workers_max(1);
                let progress = Progress::new(20, 0);
                executor.clone().run(ranges, &task, &mut Store::default(), &progress, &options).unwrap();
            });
        }
    });
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
