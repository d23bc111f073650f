//! Where a worker keeps its finished rows until they are handed over, within the committing thread's reach.
//!
//! The worker pushes each row as it finishes, under a lock that is nearly never contended. The committing
//! thread looks at every slot now and then. Rows that it finds a second time are due: it says so, and
//! the worker hands them over after the row it is at. Rows that it finds a third time belong to a
//! worker that is held up in a row: it takes them itself. So the worker reads no clock for any of this.

use std::ops::Range;

use crate::sync::{Mutex, lock};

/// Looks of the committing thread at rows until their worker is to hand them over.
const LOOKS_DUE: u32 = 2;

/// Looks until the committing thread takes them.
pub(crate) const LOOKS_MAX: u32 = 3;

/// The bounds of what a slot may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

// Aligned to two cache lines: every row writes to its worker's slot, and neighbours must not share a line.
#[repr(align(128))]
pub(crate) struct Slot<R> {
    finished: Mutex<Finished<R>>,
}

/// Rows that are finished and not handed over.
#[derive(Debug)]
pub(crate) struct Finished<R> {
    pub(crate) range: Range<u64>,
    pub(crate) rows: Vec<R>,
    bytes: u64,
    /// How often the committing thread has seen them.
    looks: u32,
}

impl<R> Default for Slot<R> {
    fn default() -> Self {
        Self { finished: Mutex::new(Finished::at(0)) }
    }
}

impl<R> Finished<R> {
    fn at(row: u64) -> Self {
        Self { range: row..row, rows: Vec::new(), bytes: 0, looks: 0 }
    }

    fn take(&mut self) -> Option<Self> {
        let next = Self::at(self.range.end);
        (!self.rows.is_empty()).then(|| std::mem::replace(self, next))
    }
}

impl<R> Slot<R> {
    /// Says that the next rows begin at `row`. The slot must have been emptied.
    pub(crate) fn begin(&self, row: u64) {
        let mut finished = lock(&self.finished);
        debug_assert!(finished.rows.is_empty(), "rows were not handed over");
        *finished = Finished::at(row);
    }

    /// Adds what the next `rows` rows gave. Answers whether it is time to hand over.
    pub(crate) fn push(&self, rows: u64, row: R, bytes: u64, bounds: Bounds) -> bool {
        let mut finished = lock(&self.finished);
        finished.range.end += rows;
        finished.rows.push(row);
        finished.bytes += bytes;
        finished.looks >= LOOKS_DUE
            || finished.range.end - finished.range.start >= bounds.rows
            || finished.bytes >= bounds.bytes
    }

    /// Takes what is there; the next rows go on behind it.
    pub(crate) fn take(&self) -> Option<Finished<R>> {
        lock(&self.finished).take()
    }

    /// The committing thread's look. Answers rows that their worker will not hand over in time, if it may.
    pub(crate) fn look(&self, may_take: bool) -> Option<Finished<R>> {
        let mut finished = lock(&self.finished);
        if finished.rows.is_empty() {
            return None;
        }
        finished.looks += 1;
        (may_take && finished.looks >= LOOKS_MAX).then(|| finished.take()).flatten()
    }
}
