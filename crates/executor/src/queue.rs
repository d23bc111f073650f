//! Hands out ranges of rows, as large as the measured cost of a row allows.
//!
//! A lease begins at one row. Its size follows the cost of a row so that a lease takes about
//! [`LEASE_TIME`]: rows of seconds are handed out one by one and keep every worker busy to the
//! end; rows of nanoseconds go out in thousands and the queue's lock is taken rarely. Towards the
//! end leases shrink to a share of what remains (guided self-scheduling, Polychronopoulos and
//! Kuck 1987), and a worker whose lease turns out slow gives the rest of it back.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long a lease should take.
pub(crate) const LEASE_TIME: Duration = Duration::from_millis(20);

/// How much of the estimated cost of a row is the newest measurement.
const COST_WEIGHT: f64 = 0.5;

#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    workers: u64,
    rows_max: u64,
}

#[derive(Debug)]
struct State {
    ranges: VecDeque<Range<u64>>,
    rows_left: u64,
    /// Seconds a row took lately; none before the first lease came back.
    row_cost: Option<f64>,
}

impl Queue {
    /// A queue over `ranges` for so many workers; no lease is longer than `rows_max`.
    pub(crate) fn new(ranges: impl IntoIterator<Item = Range<u64>>, workers: usize, rows_max: u64) -> Self {
        let ranges: VecDeque<_> = ranges.into_iter().filter(|range| !range.is_empty()).collect();
        let rows_left = ranges.iter().map(|range| range.end - range.start).sum();
        Self {
            state: Mutex::new(State { ranges, rows_left, row_cost: None }),
            workers: workers.max(1) as u64,
            rows_max: rows_max.max(1),
        }
    }

    /// Takes the next lease, always from the front, so that what is done stays nearly contiguous.
    pub(crate) fn take(&self) -> Option<Range<u64>> {
        let mut state = self.lock();
        let by_cost = match state.row_cost {
            None => 1,
            Some(cost) => (LEASE_TIME.as_secs_f64() / cost.max(1e-12)) as u64,
        };
        let fair_share = state.rows_left.div_ceil(2 * self.workers);
        let rows = by_cost.min(fair_share).clamp(1, self.rows_max);
        let front = state.ranges.front_mut()?;
        let lease = front.start..front.end.min(front.start + rows);
        front.start = lease.end;
        if front.is_empty() {
            state.ranges.pop_front();
        }
        state.rows_left -= lease.end - lease.start;
        Some(lease)
    }

    /// Takes back the rows of a lease that its worker has not begun.
    pub(crate) fn give_back(&self, rest: Range<u64>) {
        if rest.is_empty() {
            return;
        }
        let mut state = self.lock();
        state.rows_left += rest.end - rest.start;
        state.ranges.push_front(rest);
    }

    /// Learns what `rows` rows cost.
    pub(crate) fn measure(&self, rows: u64, elapsed: Duration) {
        if rows == 0 {
            return;
        }
        let newest = elapsed.as_secs_f64() / rows as f64;
        let mut state = self.lock();
        state.row_cost = Some(match state.row_cost {
            None => newest,
            Some(cost) => cost + COST_WEIGHT * (newest - cost),
        });
    }

    /// Rows that are not leased.
    pub(crate) fn rows_left(&self) -> u64 {
        self.lock().rows_left
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // No user code runs under the lock, so a poisoned state is still a whole one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::iter::once;

    use super::*;

    #[test]
    fn slow_rows_are_leased_one_by_one() {
        let queue = Queue::new(once(0..50), 2, 8192);
        for row in 0..50 {
            assert_eq!(queue.take(), Some(row..row + 1));
            queue.measure(1, Duration::from_secs(2));
        }
        assert_eq!(queue.take(), None);
    }

    #[test]
    fn cheap_rows_are_leased_in_thousands_and_fairly_at_the_end() {
        let queue = Queue::new(once(0..10_000_000), 2, 8192);
        assert_eq!(queue.take(), Some(0..1));
        queue.measure(1, Duration::from_nanos(50));
        let mut leases = 0;
        let mut last = 0;
        while let Some(lease) = queue.take() {
            leases += 1;
            last = lease.end - lease.start;
        }
        assert!(leases < 10_000_000 / 8192 + 100, "{leases} leases");
        assert_eq!(last, 1);
    }

    #[test]
    fn what_is_given_back_comes_next() {
        let queue = Queue::new([0..4, 10..12], 1, 8192);
        assert_eq!(queue.take(), Some(0..1));
        queue.measure(1, Duration::from_nanos(1));
        let lease = queue.take().unwrap();
        queue.give_back(lease.start + 1..lease.end);
        assert_eq!(queue.take().unwrap().start, lease.start + 1);
        let rest = std::iter::from_fn(|| queue.take()).last().unwrap();
        assert_eq!(rest.end, 12);
        assert_eq!(queue.rows_left(), 0);
    }
}
