//! Merges sorted runs.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use arrow_array::RecordBatch;

use super::run::Run;
use super::{CHUNK_ROWS_MAX, Chunk, SortKey, batch_bytes, gather};
use crate::error::CommitError;

/// Gives the rows of several runs in their common order.
pub(crate) struct Merge<K> {
    cursors: Vec<Cursor<K>>,
    /// The next row of each run that has one, by key and number; the run's position stands last.
    next: BinaryHeap<Reverse<(K, u64, usize)>>,
    /// About the most bytes of a batch that comes out.
    chunk_bytes: usize,
}

/// Where the merge is in a run.
struct Cursor<K> {
    chunks: Box<dyn Iterator<Item = Result<Chunk<K>, CommitError>>>,
    keys: std::vec::IntoIter<(K, u64)>,
    batch: RecordBatch,
    row_bytes: usize,
}

impl<K: SortKey> Cursor<K> {
    fn take(&mut self, Chunk { keys, rows }: Chunk<K>) {
        self.keys = keys.into_iter();
        self.row_bytes = batch_bytes(&rows) / rows.num_rows().max(1);
        self.batch = rows;
    }
}

impl<K: SortKey> Merge<K> {
    pub(crate) fn new(
        runs: impl IntoIterator<Item = Run<K>>,
        chunk_bytes: usize,
    ) -> Result<Self, CommitError> {
        let mut merge = Self { cursors: Vec::new(), next: BinaryHeap::new(), chunk_bytes };
        for (position, run) in runs.into_iter().enumerate() {
            let (keys, batch) = (Vec::new().into_iter(), RecordBatch::new_empty(run.rows_schema()));
            merge.cursors.push(Cursor { chunks: Box::new(run.chunks()), keys, batch, row_bytes: 0 });
            merge.advance(position)?;
        }
        Ok(merge)
    }

    /// Puts the next row of a run in line.
    fn advance(&mut self, position: usize) -> Result<(), CommitError> {
        let cursor = &mut self.cursors[position];
        if cursor.keys.len() == 0
            && let Some(chunk) = cursor.chunks.next().transpose()?
        {
            cursor.take(chunk);
        }
        if let Some((key, number)) = cursor.keys.next() {
            self.next.push(Reverse((key, number, position)));
        }
        Ok(())
    }

    pub(crate) fn next_chunk(&mut self) -> Result<Option<Chunk<K>>, CommitError> {
        // The batches that rows of this chunk lie in: first the one of each run, then those that came after.
        let mut batches: Vec<RecordBatch> = self.cursors.iter().map(|cursor| cursor.batch.clone()).collect();
        let mut batch_of: Vec<usize> = (0..batches.len()).collect();
        let (mut keys, mut places, mut bytes) = (Vec::new(), Vec::new(), 0);
        while keys.len() < CHUNK_ROWS_MAX && bytes < self.chunk_bytes {
            let Some(Reverse((key, number, position))) = self.next.pop() else { break };
            let cursor = &self.cursors[position];
            let is_last = cursor.keys.len() == 0;
            bytes += cursor.row_bytes;
            places.push((batch_of[position], cursor.batch.num_rows() - cursor.keys.len() - 1));
            keys.push((key, number));
            self.advance(position)?;
            if is_last {
                batch_of[position] = batches.len();
                batches.push(self.cursors[position].batch.clone());
            }
        }
        if keys.is_empty() {
            return Ok(None);
        }
        Ok(Some(Chunk { keys, rows: gather(&batches, &places)? }))
    }
}
