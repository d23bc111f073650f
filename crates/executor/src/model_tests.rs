//! What threads share, under every order of their steps that a model scheduler comes up with (Burckhardt et
//! al. 2010, through `shuttle`). A wake-up that can be lost is a deadlock here, since no wait times out.
//!
//! `RUSTFLAGS="--cfg shuttle" cargo test -p rowmark-executor --lib --target-dir target/shuttle`

use std::iter::once;
use std::sync::Arc;
use std::time::{Duration, Instant};

use shuttle::thread;

use crate::queue::{Next, Queue};
use crate::slot::{Bounds, Finished, Slot};
use crate::sync::{AtomicBool, Mutex, Ordering, lock};
use crate::{CancelToken, Computed, Progress};

const LONG: Duration = Duration::from_secs(3600);

/// Tries out orders at random, and such as have few changes of thread at unlucky moments.
fn check(test: impl Fn() + Send + Sync + Copy + 'static) {
    shuttle::check_random(test, 3000);
    shuttle::check_pct(test, 3000, 3);
}

#[test]
fn a_sleeper_is_woken_by_the_token() {
    check(|| {
        let cancel = CancelToken::new();
        let sleepers = [(); 2].map(|()| {
            let cancel = cancel.clone();
            thread::spawn(move || cancel.sleep(LONG, || cancel.is_cancelled()))
        });
        cancel.cancel();
        sleepers.into_iter().for_each(|sleeper| sleeper.join().unwrap());
    });
}

#[test]
fn a_sleeper_is_woken_by_another_reason_to_stop() {
    check(|| {
        let cancel = CancelToken::new();
        let stop = Arc::new(AtomicBool::new(false));
        let sleeper = thread::spawn({
            let (cancel, stop) = (cancel.clone(), Arc::clone(&stop));
            move || cancel.sleep(LONG, || stop.load(Ordering::Relaxed))
        });
        stop.store(true, Ordering::Relaxed);
        cancel.wake();
        sleeper.join().unwrap();
        assert!(!cancel.is_cancelled());
    });
}

#[test]
fn finished_rows_are_taken_once_by_the_worker_or_the_committing_thread() {
    const ITEMS: u64 = 12;
    check(|| {
        let slot = Arc::new(Slot::new());
        let taken = Arc::new(Mutex::new(Vec::<Finished<u64>>::new()));
        let worker = thread::spawn({
            let (slot, taken) = (Arc::clone(&slot), Arc::clone(&taken));
            move || {
                let mut inlet = slot.inlet(Bounds { rows: 20, bytes: 90 });
                inlet.begin(100);
                for item in 0..ITEMS {
                    // Items of two rows, each of which gives the number of the first.
                    if inlet.push(Computed { rows: 2, row: 100 + 2 * item }, 10) {
                        lock(&taken).extend(inlet.take());
                    }
                }
                lock(&taken).extend(inlet.take());
            }
        });
        for _ in 0..8 {
            let finished = slot.look();
            lock(&taken).extend(finished);
        }
        worker.join().unwrap();
        assert_eq!(slot.look(), None);
        let mut taken = std::mem::take(&mut *lock(&taken));
        taken.sort_by_key(|finished| finished.range.start);
        let mut next = 100;
        for Finished { range, rows } in taken {
            assert_eq!(range.start, next);
            assert!(rows.into_iter().eq(range.clone().step_by(2)));
            next = range.end;
        }
        assert_eq!(next, 100 + 2 * ITEMS);
    });
}

#[test]
fn rows_that_are_given_back_find_a_worker() {
    check(|| {
        let queue = Arc::new(Queue::new(once(0..6), 2, 2, Bounds { rows: 8, bytes: 8 }));
        let done = Arc::new(Mutex::new(Vec::new()));
        let workers = [(); 3].map(|()| {
            let (queue, done) = (Arc::clone(&queue), Arc::clone(&done));
            thread::spawn(move || {
                loop {
                    match queue.take() {
                        Next::Lease(lease) => {
                            // The first row is done and the rest left to others, as by a slow worker.
                            lock(&done).push(lease.start);
                            queue.give_back(lease.start + 1..lease.end);
                            queue.end();
                        }
                        Next::Wait => queue.wait(LONG),
                        Next::Done => return,
                    }
                }
            })
        });
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        let mut done = std::mem::take(&mut *lock(&done));
        done.sort_unstable();
        assert_eq!(done, [0, 1, 2, 3, 4, 5]);
        assert_eq!(queue.rows_left(), 0);
    });
}

#[test]
fn rows_that_are_given_back_are_begun_while_their_lease_goes_on() {
    check(|| {
        let queue = Arc::new(Queue::new(once(0..2), 2, 2, Bounds { rows: 8, bytes: 8 }));
        let is_begun = Arc::new(AtomicBool::new(false));
        let workers = [(); 2].map(|()| {
            let (queue, is_begun) = (Arc::clone(&queue), Arc::clone(&is_begun));
            thread::spawn(move || {
                loop {
                    match queue.take() {
                        Next::Lease(lease) if lease.start == 0 => {
                            queue.give_back(1..2);
                            while !is_begun.load(Ordering::SeqCst) {
                                thread::yield_now(); // held up in its row until the other has begun the next
                            }
                            queue.end();
                        }
                        Next::Lease(_) => {
                            is_begun.store(true, Ordering::SeqCst);
                            queue.end();
                        }
                        Next::Wait => queue.wait(LONG),
                        Next::Done => return,
                    }
                }
            })
        });
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    });
}

#[test]
fn counters_add_up_and_a_row_is_overdue_once() {
    const ROWS: u64 = 4;
    check(|| {
        let progress = Arc::new(Progress::new(2 * ROWS + 3, 2).failed_before(1));
        let posts = progress.begin(2);
        let workers = [0, 1].map(|worker| {
            let (progress, posts) = (Arc::clone(&progress), Arc::clone(&posts));
            thread::spawn(move || {
                for row in 0..ROWS {
                    posts[worker].begin(row);
                    if row == 1 {
                        progress.add_failed();
                    } else {
                        progress.add_done(1, 3);
                    }
                }
                posts[worker].rest();
            })
        });
        let mut left = u64::MAX;
        for _ in 0..6 {
            progress.look(Instant::now(), Some(Duration::ZERO));
            let snapshot = progress.snapshot();
            assert!(snapshot.rows_left() <= left, "what is done stays done");
            left = snapshot.rows_left();
            assert!(progress.workers().iter().all(|work| work.row < ROWS));
        }
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        let snapshot = progress.snapshot();
        assert_eq!((snapshot.rows_done, snapshot.rows_failed, snapshot.rows_out), (6, 2, 18));
        assert_eq!(snapshot.rows_left(), 0);
        assert!(snapshot.rows_overdue <= 2 * ROWS);
        assert_eq!(progress.workers(), []);
    });
}
