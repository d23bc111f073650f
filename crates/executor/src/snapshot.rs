//! The counters of a run at one moment, and what follows from them.

use std::time::Duration;

/// The counters of a [`Progress`](crate::Progress) at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Rows of the input.
    pub rows_total: u64,
    /// Rows that an earlier run had done.
    pub rows_reused: u64,
    /// Rows that an earlier run had recorded as failed, and that this one does not try.
    pub rows_failed_before: u64,
    /// Rows that this run computed and handed to the sink.
    pub rows_done: u64,
    /// Rows that failed in this run, after all their attempts.
    pub rows_failed: u64,
    /// Rows, whatever became of them, that were seen to take longer than the run's row timeout.
    pub rows_overdue: u64,
    /// Rows that this run's rows gave.
    pub rows_out: u64,
    /// Time since the run began.
    pub elapsed: Duration,
}

impl Snapshot {
    /// Rows that are neither reused nor done nor failed: not begun, in flight, or finished and not handed over.
    pub fn rows_left(&self) -> u64 {
        let settled = self.rows_reused + self.rows_failed_before + self.rows_done + self.rows_failed;
        self.rows_total.saturating_sub(settled)
    }

    /// Rows computed per second since the run began.
    pub fn rows_per_second(&self) -> f64 {
        self.rows_done as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// The time that the rows left will take at the rate so far; `None` before the first row.
    pub fn time_left(&self) -> Option<Duration> {
        let rate = self.rows_per_second();
        (rate > 0.0)
            .then(|| Duration::try_from_secs_f64(self.rows_left() as f64 / rate).unwrap_or(Duration::MAX))
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;
    use crate::Progress;

    #[test]
    fn the_rate_gives_the_time_left() {
        let snapshot = Snapshot {
            rows_total: 100,
            rows_reused: 35,
            rows_failed_before: 4,
            rows_done: 20,
            rows_failed: 1,
            rows_overdue: 3,
            rows_out: 20,
            elapsed: Duration::from_secs(10),
        };
        assert_eq!(snapshot.rows_left(), 40);
        assert_eq!(snapshot.rows_per_second(), 2.0);
        assert_eq!(snapshot.time_left(), Some(Duration::from_secs(20)));
    }

    #[test]
    fn before_the_first_row_there_is_no_time_left() {
        assert_eq!(Progress::new(5, 0).snapshot().time_left(), None);
    }
}
