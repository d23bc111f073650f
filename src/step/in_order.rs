//! Batches that come in any order and are needed in that of their rows.

use std::collections::BTreeMap;

use rowmark_rows::{RowRange, RowRanges};

/// Holds batches back until all before them have come.
#[derive(Debug)]
pub(crate) struct InOrder<B> {
    /// The first row of the batch that is next.
    next: u64,
    waiting: BTreeMap<u64, (u64, B)>,
}

impl<B> InOrder<B> {
    pub(crate) fn new() -> Self {
        Self { next: 0, waiting: BTreeMap::new() }
    }

    /// The rows before one of which no batch has come.
    pub(crate) fn missing_before(&self, row: u64) -> RowRanges {
        let mut come: RowRanges = RowRange::new(0, self.next).into();
        self.waiting.iter().for_each(|(&start, &(end, _))| come.insert(RowRange::new(start, end)));
        come.missing_in(RowRange::new(0, row))
    }

    pub(crate) fn push(&mut self, range: RowRange, batch: B) {
        self.waiting.insert(range.start(), (range.end(), batch));
    }

    /// The next batch in order, if it has come.
    pub(crate) fn pop(&mut self) -> Option<B> {
        let (end, batch) = self.waiting.remove(&self.next)?;
        self.next = end;
        Some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_waits_for_those_before_it() {
        let mut in_order = InOrder::new();
        in_order.push(RowRange::new(3, 5), "b");
        assert_eq!(in_order.pop(), None);
        assert_eq!(
            in_order.missing_before(9).iter().collect::<Vec<_>>(),
            [RowRange::new(0, 3), RowRange::new(5, 9)]
        );
        in_order.push(RowRange::new(0, 3), "a");
        assert_eq!([in_order.pop(), in_order.pop(), in_order.pop()], [Some("a"), Some("b"), None]);
    }
}
