//! Hands out ranges of rows, as large as the measured cost of a row allows.
//!
//! A lease begins at one row. Its size follows the cost of a row so that a lease takes about
//! [`LEASE_TIME`]: rows of seconds are handed out one by one and keep every worker busy to the
//! end; rows of nanoseconds go out in thousands and the queue's lock is taken rarely. Towards the
//! end leases shrink to a share of what remains (guided self-scheduling, Polychronopoulos and
//! Kuck 1987), and a worker whose lease turns out slow gives the rest of it back.
//! Hence a worker that finds no rows waits until no other holds a lease.
//!
//! Leases end at round numbers: what is stored in batches of a round number of rows is then read by one worker, and
//! what is cut into pieces of a round number lies in one lease.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use crate::slot::Bounds;
use crate::sync::{Condvar, Mutex, PoisonError, lock};

/// How long a lease should take.
pub(crate) const LEASE_TIME: Duration = Duration::from_millis(20);

/// How much of the estimated cost of a row is the newest measurement.
const COST_WEIGHT: f64 = 0.5;

/// Shorter leases end anywhere.
const ROUND_ROWS_MIN: u64 = 64;

/// Where a lease of about so many rows ends: at the last multiple of the largest power of two in that number.
fn round_end(start: u64, rows: u64) -> u64 {
    let round = 1 << rows.ilog2();
    (start.saturating_add(rows) & !(round - 1)).max(start + 1)
}

#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    /// Told when rows are given back, or the last lease ends.
    changed: Condvar,
    workers: u64,
    /// The least rows of a lease, if so many are left.
    rows_min: u64,
    bounds: Bounds,
}

#[derive(Debug)]
struct State {
    /// In row order.
    ranges: VecDeque<Range<u64>>,
    rows_left: u64,
    leases: usize,
    /// What a row took lately; none before the first lease came back.
    cost: Option<Cost>,
}

/// What a row takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) seconds: f64,
    pub(crate) bytes: f64,
}

/// What a worker that asks for rows is told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Compute these.
    Lease(Range<u64>),
    /// There are none now, but another worker may give some back.
    Wait,
    /// There are none, and there will be none.
    Done,
}

impl Queue {
    /// A queue over `ranges` for so many workers; leases are at least `rows_min` long if so many rows are
    /// left, and otherwise within `bounds`.
    pub(crate) fn new(
        ranges: impl IntoIterator<Item = Range<u64>>,
        workers: usize,
        rows_min: u64,
        bounds: Bounds,
    ) -> Self {
        let mut ranges: Vec<_> = ranges.into_iter().filter(|range| !range.is_empty()).collect();
        ranges.sort_unstable_by_key(|range| range.start);
        let rows_left = ranges.iter().map(|range| range.end - range.start).sum();
        ranges.dedup_by(|next, range| {
            let is_adjacent = range.end == next.start;
            if is_adjacent {
                range.end = next.end;
            }
            is_adjacent
        });
        Self {
            state: Mutex::new(State { ranges: ranges.into(), rows_left, leases: 0, cost: None }),
            changed: Condvar::new(),
            workers: workers.max(1) as u64,
            rows_min: rows_min.max(1),
            bounds,
        }
    }

    /// Takes the next lease, always from the front, so that what is done stays nearly contiguous. Each
    /// lease is [`end`](Self::end)ed.
    pub(crate) fn take(&self) -> Next {
        let mut state = lock(&self.state);
        let by_cost = state.cost.map_or(1, |cost| {
            let by_time = LEASE_TIME.as_secs_f64() / cost.seconds.max(1e-12);
            let by_bytes = self.bounds.bytes as f64 / cost.bytes.max(1e-12);
            by_time.min(by_bytes) as u64
        });
        let fair_share = state.rows_left.div_ceil(2 * self.workers);
        let rows = by_cost.min(fair_share).min(self.bounds.rows).max(self.rows_min);
        let Some(front) = state.ranges.front_mut() else {
            return if state.leases > 0 { Next::Wait } else { Next::Done };
        };
        let end = if rows >= ROUND_ROWS_MIN && self.rows_min == 1 {
            round_end(front.start, rows)
        } else {
            front.start.saturating_add(rows)
        };
        let lease = front.start..front.end.min(end);
        front.start = lease.end;
        if front.is_empty() {
            state.ranges.pop_front();
        }
        state.rows_left -= lease.end - lease.start;
        state.leases += 1;
        Next::Lease(lease)
    }

    /// Waits so long at most for what [`take`](Self::take) may then answer differently.
    pub(crate) fn wait(&self, at_most: Duration) {
        let state = lock(&self.state);
        if state.ranges.is_empty() && state.leases > 0 {
            drop(self.changed.wait_timeout(state, at_most).unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Takes back rows of a lease that its worker has not begun.
    pub(crate) fn give_back(&self, rest: Range<u64>) {
        if rest.is_empty() {
            return;
        }
        let mut state = lock(&self.state);
        state.rows_left += rest.end - rest.start;
        let behind = state.ranges.partition_point(|range| range.start < rest.start);
        match state.ranges.get_mut(behind) {
            Some(range) if range.start == rest.end => range.start = rest.start,
            _ => state.ranges.insert(behind, rest),
        }
        self.changed.notify_all();
    }

    /// Ends a lease.
    pub(crate) fn end(&self) {
        let mut state = lock(&self.state);
        state.leases -= 1;
        if state.leases == 0 {
            self.changed.notify_all();
        }
    }

    /// Learns what a row took.
    pub(crate) fn measure(&self, newest: Cost) {
        let mut state = lock(&self.state);
        let cost = state.cost.unwrap_or(newest);
        let mean = |cost: f64, newest: f64| cost + COST_WEIGHT * (newest - cost);
        state.cost =
            Some(Cost { seconds: mean(cost.seconds, newest.seconds), bytes: mean(cost.bytes, newest.bytes) });
    }

    /// Rows that are not leased.
    pub(crate) fn rows_left(&self) -> u64 {
        lock(&self.state).rows_left
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::iter::once;

    use super::*;

    const BOUNDS: Bounds = Bounds { rows: 8192, bytes: 1 << 20 };

    fn queue(ranges: impl IntoIterator<Item = Range<u64>>, workers: usize) -> Queue {
        Queue::new(ranges, workers, 1, BOUNDS)
    }

    fn lease(queue: &Queue) -> Option<Range<u64>> {
        let Next::Lease(lease) = queue.take() else { return None };
        queue.end();
        Some(lease)
    }

    #[test]
    fn slow_rows_are_leased_one_by_one() {
        let queue = queue(once(0..50), 2);
        for row in 0..50 {
            assert_eq!(lease(&queue), Some(row..row + 1));
            queue.measure(Cost { seconds: 2.0, bytes: 0.0 });
        }
        assert_eq!(queue.take(), Next::Done);
    }

    #[test]
    fn cheap_rows_are_leased_in_thousands_and_fairly_at_the_end() {
        let queue = queue(once(0..10_000_000), 2);
        assert_eq!(lease(&queue), Some(0..1));
        queue.measure(Cost { seconds: 50e-9, bytes: 0.0 });
        let mut leases = 0;
        let mut last = 0;
        while let Some(lease) = lease(&queue) {
            leases += 1;
            last = lease.end - lease.start;
        }
        assert!(leases < 10_000_000 / 8192 + 100, "{leases} leases");
        assert_eq!(last, 1);
    }

    #[test]
    fn long_leases_end_at_round_numbers() {
        let queue = queue(once(5..100_000), 1);
        queue.measure(Cost { seconds: 1e-9, bytes: 0.0 });
        assert_eq!([lease(&queue), lease(&queue)], [Some(5..8192), Some(8192..16_384)]);
        for (start, rows, end) in
            [(0, 64, 64), (63, 64, 64), (64, 127, 128), (100, 5000, 4096), (8191, 8192, 8192)]
        {
            assert_eq!(round_end(start, rows), end);
        }
    }

    #[test]
    fn large_rows_are_leased_as_a_batch_can_hold_them() {
        let queue = queue(once(0..1000), 2);
        queue.measure(Cost { seconds: 50e-9, bytes: 300.0 * 1024.0 });
        assert_eq!(lease(&queue), Some(0..3));
    }

    #[test]
    fn a_task_that_likes_many_rows_at_once_gets_them_while_there_are_some() {
        let queue = Queue::new(once(0..70), 2, 32, BOUNDS);
        queue.measure(Cost { seconds: 2.0, bytes: 0.0 });
        assert_eq!([lease(&queue), lease(&queue), lease(&queue)], [Some(0..32), Some(32..64), Some(64..70)]);
    }

    #[test]
    fn what_is_given_back_comes_in_row_order_and_in_one_piece() {
        let queue = queue([10..12, 3..4, 0..3], 1);
        assert_eq!(queue.take(), Next::Lease(0..1));
        queue.measure(Cost { seconds: 1e-9, bytes: 0.0 });
        assert_eq!(queue.take(), Next::Lease(1..4));
        assert_eq!(queue.take(), Next::Lease(10..11));
        queue.give_back(10..11);
        queue.give_back(2..4);
        assert_eq!(lock(&queue.state).ranges, [2..4, 10..12]);
        assert_eq!(queue.rows_left(), 4);
    }

    #[test]
    fn a_worker_waits_while_another_may_give_rows_back() {
        let queue = queue(once(0..1), 2);
        assert_eq!(queue.take(), Next::Lease(0..1));
        assert_eq!(queue.take(), Next::Wait);
        queue.give_back(0..1);
        queue.end();
        assert_eq!(lease(&queue), Some(0..1));
        assert_eq!(queue.take(), Next::Done);
    }
}
