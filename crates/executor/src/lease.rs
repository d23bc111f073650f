//! How far a worker is with its lease.

use std::ops::Range;
use std::time::{Duration, Instant};

/// The size of an item is asked for once in so many.
const SAMPLE_EVERY: u64 = 16;

/// Rows that one worker computes.
#[derive(Debug)]
pub(crate) struct Lease {
    /// The next row to be computed.
    pub(crate) next: u64,
    /// Where the lease ends; it shrinks when rows are given back.
    pub(crate) end: u64,
    /// How often the next row was tried.
    pub(crate) attempts: u32,
    /// Rows before this one are opened one by one, to find which of them an error is of.
    alone_end: u64,
    begun: Instant,
    rows: u64,
    items: u64,
    bytes: u64,
    /// The size of the item that was last asked for it.
    item_bytes: u64,
}

impl Lease {
    pub(crate) fn new(range: Range<u64>) -> Self {
        Self {
            next: range.start,
            end: range.end,
            attempts: 0,
            alone_end: 0,
            begun: Instant::now(),
            rows: 0,
            items: 0,
            bytes: 0,
            item_bytes: 0,
        }
    }

    /// The end of the range to open next.
    pub(crate) fn open_end(&self) -> u64 {
        if self.next < self.alone_end { self.next + 1 } else { self.end }
    }

    /// Makes sure that the next row is tried alone before it is blamed, where items may cover several rows.
    /// Answers whether it was not tried alone so far.
    pub(crate) fn isolate(&mut self, rows_at_once: u64) -> bool {
        if rows_at_once <= 1 || self.next < self.alone_end || self.end - self.next <= 1 {
            return false;
        }
        self.alone_end = self.end.min(self.next.saturating_add(rows_at_once));
        true
    }

    /// Counts an item that is computed. Answers its size, as far as it is known.
    pub(crate) fn add(&mut self, rows: u64, bytes: impl FnOnce() -> u64) -> u64 {
        if self.items.is_multiple_of(SAMPLE_EVERY) {
            self.item_bytes = bytes();
        }
        self.items += 1;
        self.rows += rows;
        self.bytes = self.bytes.saturating_add(self.item_bytes);
        self.next += rows;
        self.attempts = 0;
        self.item_bytes
    }

    /// Goes on behind the next row, which failed.
    pub(crate) fn skip(&mut self) {
        self.next += 1;
        self.attempts = 0;
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

    /// What was computed: rows, their time, their size.
    pub(crate) fn cost(&self) -> (u64, Duration, u64) {
        (self.rows, self.elapsed(), self.bytes)
    }
}
