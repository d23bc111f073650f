//! Where a worker leaves its finished rows until they are handed over, within the committing thread's reach.
//!
//! The worker puts each row as it finishes into a ring that it alone writes to: a plain store, for rows may
//! cost less than a lock. Whoever takes them out holds the slot's lock. The committing thread looks at every
//! slot now and then. Rows that it finds a second time are due: it says so, and the worker hands them over
//! after the row it is at. Rows that it finds a third time belong to a worker that is held up in a row: it
//! takes them itself. So the worker reads no clock for any of this.

use std::ops::Range;

use crate::Computed;
use crate::sync::{AtomicBool, Consumer, Mutex, Ordering, Producer, lock, ring};

/// Looks of the committing thread at rows until their worker is to hand them over.
const LOOKS_DUE: u32 = 2;

/// Looks until the committing thread takes them.
pub(crate) const LOOKS_MAX: u32 = 3;

/// The most items in a ring; so many share one taking of the lock.
const RING_ITEMS_MAX: usize = if cfg!(all(test, shuttle)) { 4 } else { 256 };

/// The most memory of a ring, however large an item is.
const RING_BYTES_MAX: usize = 64 << 10;

/// The bounds of what a worker may hold back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

/// The end at which rows are taken out.
// Aligned to two cache lines: a worker reads its flag at every row, and neighbours must not share a line.
#[repr(align(128))]
pub(crate) struct Slot<R> {
    outlet: Mutex<Outlet<R>>,
    /// Asks the worker to hand over. Relaxed: it orders nothing, and seen a row late it does no harm.
    is_due: AtomicBool,
}

struct Outlet<R> {
    /// What the worker puts in; none before it begins.
    ring: Option<Consumer<Computed<R>>>,
    finished: Finished<R>,
    /// How often the committing thread has seen these rows.
    looks: u32,
}

/// Rows that are finished and not handed over.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finished<R> {
    pub(crate) range: Range<u64>,
    pub(crate) rows: Vec<R>,
}

/// The end at which a worker puts rows in.
pub(crate) struct Inlet<'run, R> {
    slot: &'run Slot<R>,
    ring: Producer<Computed<R>>,
    bounds: Bounds,
    /// What was put in since the worker last handed over; the committing thread may have taken of it.
    held: Bounds,
}

impl<R> Slot<R> {
    pub(crate) fn new() -> Self {
        let finished = Finished { range: 0..0, rows: Vec::new() };
        let outlet = Outlet { ring: None, finished, looks: 0 };
        Self { outlet: Mutex::new(outlet), is_due: AtomicBool::new(false) }
    }

    /// The other end, for the slot's worker.
    pub(crate) fn inlet(&self, bounds: Bounds) -> Inlet<'_, R> {
        let items = (RING_BYTES_MAX / size_of::<Computed<R>>()).clamp(1, RING_ITEMS_MAX);
        let (producer, consumer) = ring(items);
        lock(&self.outlet).ring = Some(consumer);
        Inlet { slot: self, ring: producer, bounds, held: Bounds { rows: 0, bytes: 0 } }
    }

    /// The committing thread's look. Answers rows that their worker will not hand over in time.
    pub(crate) fn look(&self) -> Option<Finished<R>> {
        let mut outlet = lock(&self.outlet);
        outlet.drain();
        if outlet.finished.rows.is_empty() {
            return None;
        }
        outlet.looks += 1;
        if outlet.looks >= LOOKS_MAX {
            return self.take(&mut outlet);
        }
        self.is_due.store(outlet.looks >= LOOKS_DUE, Ordering::Relaxed);
        None
    }

    /// Takes what is there; the next rows go on behind it.
    fn take(&self, outlet: &mut Outlet<R>) -> Option<Finished<R>> {
        outlet.drain();
        outlet.looks = 0;
        self.is_due.store(false, Ordering::Relaxed);
        let Finished { range, rows } = &outlet.finished;
        // As many rows as these will come, by the best of our knowledge.
        let next = Finished { range: range.end..range.end, rows: Vec::with_capacity(rows.len()) };
        (!rows.is_empty()).then(|| std::mem::replace(&mut outlet.finished, next))
    }
}

impl<R> Outlet<R> {
    fn drain(&mut self) {
        let Some(ring) = &mut self.ring else { return };
        let Finished { range, rows } = &mut self.finished;
        let items = ring.read();
        rows.reserve(items.len());
        range.end += items.fold(0, |covered, item| {
            rows.push(item.row);
            covered + item.rows
        });
    }
}

impl<R> Inlet<'_, R> {
    /// Says that the next rows begin at `row`. The slot must have been emptied.
    pub(crate) fn begin(&mut self, row: u64) {
        let mut outlet = lock(&self.slot.outlet);
        assert!(outlet.finished.rows.is_empty(), "the rows before {row} were not handed over");
        outlet.finished.range = row..row;
    }

    /// Adds what the next rows gave. Answers whether it is time to hand over.
    #[inline(always)]
    pub(crate) fn push(&mut self, item: Computed<R>, bytes: u64) -> bool {
        self.held.rows += item.rows;
        self.held.bytes = self.held.bytes.saturating_add(bytes);
        if let Err(item) = self.ring.push(item) {
            self.push_after_drain(item);
        }
        self.held.rows >= self.bounds.rows
            || self.held.bytes >= self.bounds.bytes
            || self.slot.is_due.load(Ordering::Relaxed)
    }

    #[cold]
    fn push_after_drain(&mut self, item: Computed<R>) {
        lock(&self.slot.outlet).drain();
        self.ring.push(item).unwrap_or_else(|_| unreachable!("the ring was emptied"));
    }

    /// Takes out what is there.
    pub(crate) fn take(&mut self) -> Option<Finished<R>> {
        self.held = Bounds { rows: 0, bytes: 0 };
        self.slot.take(&mut lock(&self.slot.outlet))
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { rows: 1000, bytes: 1000 };

    #[test]
    fn rows_that_are_looked_at_are_due_and_then_taken() {
        let slot = Slot::new();
        let mut inlet = slot.inlet(BOUNDS);
        inlet.begin(5);
        assert!(!inlet.push("a".into(), 1));
        assert_eq!(slot.look(), None);
        assert!(!inlet.push("b".into(), 1));
        assert_eq!(slot.look(), None);
        assert!(inlet.push("c".into(), 1), "due");
        assert_eq!(slot.look(), Some(Finished { range: 5..8, rows: vec!["a", "b", "c"] }));
        assert!(!inlet.push(Computed { rows: 3, row: "d" }, 1));
        assert_eq!(inlet.take(), Some(Finished { range: 8..11, rows: vec!["d"] }));
        assert_eq!(inlet.take(), None);
    }

    #[test]
    fn a_worker_may_finish_more_rows_than_its_ring_holds() {
        let slot = Slot::new();
        let mut inlet = slot.inlet(BOUNDS);
        assert!((0..999u64).all(|row| !inlet.push(row.into(), 1)));
        assert!(inlet.push(999.into(), 1), "full");
        assert_eq!(inlet.take(), Some(Finished { range: 0..1000, rows: (0..1000).collect() }));
    }

    #[test]
    fn bytes_fill_a_slot() {
        let slot = Slot::new();
        let mut inlet = slot.inlet(BOUNDS);
        assert!(!inlet.push(0.into(), 999));
        assert!(inlet.push(1.into(), 1));
    }
}
