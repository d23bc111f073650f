//! Rows that met in the join, brought into the order in which their outputs are stored.

use std::sync::Arc;

use arrow_array::{RecordBatch, UInt8Array};
use rowmark_rows::RowSchema;

use super::outputs::{Outputs, Taken};
use super::{Cursor, Search};
use crate::error::CommitError;
use crate::sort::{Chunk, Sorter};

/// Pairs that are given to the sort together.
const PAIRS_TOGETHER: usize = 8192;

/// The position of a donor, and one of its rows.
type Place = (u8, u64);

/// Stored rows with the new rows that they stand for.
pub(super) struct Pairs<'a> {
    search: &'a Search<'a>,
    sorter: Sorter<Place>,
    /// What is sorted beside the keys: nothing, in one column.
    schema: RowSchema,
    waiting: Vec<(Place, u64)>,
}

impl<'a> Pairs<'a> {
    pub(super) fn new(search: &'a Search<'a>) -> Result<Self, CommitError> {
        let schema = RowSchema::of::<u8>()?;
        Ok(Self { search, sorter: search.sorter(&schema, "pairs")?, schema, waiting: Vec::new() })
    }

    pub(super) fn add(&mut self, donor: usize, old: u64, new: u64) -> Result<(), CommitError> {
        self.waiting.push(((donor as u8, old), new));
        if self.waiting.len() >= PAIRS_TOGETHER { self.hand_over() } else { Ok(()) }
    }

    fn hand_over(&mut self) -> Result<(), CommitError> {
        let nothing = Arc::new(UInt8Array::from(vec![0; self.waiting.len()]));
        let rows = RecordBatch::try_new(Arc::clone(self.schema.arrow()), vec![nothing])?;
        self.sorter.add(rows, std::mem::take(&mut self.waiting))
    }

    /// Reads what the stored rows gave, batch by batch.
    pub(super) fn collect(mut self, outputs: &mut Outputs<'_>) -> Result<(), CommitError> {
        if !self.waiting.is_empty() {
            self.hand_over()?;
        }
        let Self { search, sorter, .. } = self;
        let mut sorted = sorter.finish()?;
        let mut cursors: Vec<Cursor<'_>> =
            search.donors.iter().map(|donor| Cursor::new(donor, Some(search.code))).collect();
        let (mut last, mut taken) = (0, Vec::new());
        while let Some(Chunk { keys, .. }) = sorted.next_chunk()? {
            for ((donor, old), new) in keys {
                let donor = usize::from(donor);
                let is_same_batch = donor == last && cursors[donor].holds(old);
                if !is_same_batch {
                    cursors[last].give(last, &mut taken, outputs)?;
                    last = donor;
                }
                if cursors[donor].at(old)?.is_some()
                    && let Some(batch) = &cursors[donor].batch
                {
                    let index = (old - batch.frame.range().start()) as usize;
                    taken.push(Taken { index, row: new });
                }
            }
        }
        cursors[last].give(last, &mut taken, outputs)
    }
}

impl Cursor<'_> {
    /// Whether the batch in hand has a row.
    fn holds(&self, row: u64) -> bool {
        self.batch.as_ref().is_some_and(|batch| batch.frame.range().contains(row))
    }

    /// Gives what was taken of the batch in hand.
    fn give(
        &self,
        donor: usize,
        taken: &mut Vec<Taken>,
        outputs: &mut Outputs<'_>,
    ) -> Result<(), CommitError> {
        match &self.batch {
            Some(batch) => outputs.add(donor, batch, &std::mem::take(taken)),
            None => Ok(()),
        }
    }
}
