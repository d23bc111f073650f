//! How far a worker is with its lease.

use std::ops::Range;
use std::time::{Duration, Instant};

use crate::queue::Cost;

/// The size of an item is asked for once in so many.
const SAMPLE_EVERY: u64 = 16;

/// Rows that one worker computes.
#[derive(Debug)]
pub(crate) struct Lease {
    /// The next row to be computed.
    pub(crate) next: u64,
    /// Where the lease ends; it shrinks when rows are given back.
    pub(crate) end: u64,
    start: u64,
    begun: Instant,
    /// The row that failed last, and how often it did.
    failed: (u64, u32),
    /// The end of the range that was opened last.
    opened_end: u64,
    /// Some row before this one fails; which, is found by halves.
    suspects_end: u64,
    items: u64,
    /// The sizes of the items that were asked for it, the last of them, and their sum.
    item_bytes: u64,
    sampled_bytes: u64,
}

impl Lease {
    pub(crate) fn new(range: Range<u64>) -> Self {
        Self {
            next: range.start,
            end: range.end,
            start: range.start,
            begun: Instant::now(),
            failed: (range.start, 0),
            opened_end: range.start,
            suspects_end: range.start,
            items: 0,
            item_bytes: 0,
            sampled_bytes: 0,
        }
    }

    /// The range to open next.
    pub(crate) fn open(&mut self) -> Range<u64> {
        self.opened_end = match self.suspects_end.saturating_sub(self.next) {
            0 => self.end,
            suspects => self.end.min(self.next + suspects.div_ceil(2)),
        };
        self.next..self.opened_end
    }

    /// Makes sure that the next row is tried alone before it is blamed, where items may cover several rows: an error
    /// is looked for in halves, so that what is computed again is little and each half that is well is handed over.
    /// Answers whether the row was not tried alone so far.
    pub(crate) fn isolate(&mut self, rows_at_once: u64) -> bool {
        if rows_at_once <= 1 || self.opened_end - self.next <= 1 {
            self.suspects_end = self.next;
            return false;
        }
        self.suspects_end = self.opened_end.min(self.next.saturating_add(rows_at_once));
        true
    }

    /// Counts a failed attempt at the next row. Answers how many there were.
    pub(crate) fn attempt(&mut self) -> u32 {
        let before = if self.failed.0 == self.next { self.failed.1 } else { 0 };
        self.failed = (self.next, before + 1);
        self.failed.1
    }

    /// Counts an item that is computed. Answers its size, as far as it is known.
    #[inline]
    pub(crate) fn add(&mut self, rows: u64, bytes: impl FnOnce() -> u64) -> u64 {
        if self.items.is_multiple_of(SAMPLE_EVERY) {
            self.item_bytes = bytes();
            self.sampled_bytes = self.sampled_bytes.saturating_add(self.item_bytes);
        }
        self.items += 1;
        self.next += rows;
        self.item_bytes
    }

    /// Calls what takes time that is not the rows'.
    pub(crate) fn pause<O>(&mut self, call: impl FnOnce() -> O) -> O {
        let paused = Instant::now();
        let answer = call();
        self.begun += paused.elapsed();
        answer
    }

    /// How long the rows took so far.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// What a row took, over those that are behind us.
    pub(crate) fn cost(&self) -> Option<Cost> {
        let rows = (self.next - self.start) as f64;
        let sampled = self.items.div_ceil(SAMPLE_EVERY).max(1) as f64;
        let bytes = self.sampled_bytes as f64 / sampled * self.items as f64;
        (rows > 0.0).then(|| Cost { seconds: self.elapsed().as_secs_f64() / rows, bytes: bytes / rows })
    }
}
