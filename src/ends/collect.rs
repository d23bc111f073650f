//! Reads the rows of an input on all workers: into memory, or only to count them.

use std::collections::BTreeMap;
use std::ops::Range;

use rowmark_executor::{Computed, Task};
use rowmark_rows::{RowRange, RowType, row_bytes};

use crate::error::{CommitError, RowError};
use crate::input::{Input, Reader};
use crate::step::work::Gather;

/// Reads rows; a batch is those that are not filtered out.
pub(super) struct ReadTask<'a, T>(pub(super) &'a dyn Input<T>);

impl<'t, T: RowType> Task for ReadTask<'t, T> {
    type Worker = Box<dyn Reader<T> + 't>;
    type Row = Option<T>;
    type Batch = (RowRange, Vec<T>);
    type Error = RowError;

    fn setup(&self) -> Result<Self::Worker, RowError> {
        self.0.reader()
    }

    fn open<'a>(
        &'a self,
        reader: &'a mut Self::Worker,
        range: Range<u64>,
    ) -> Result<impl Iterator<Item = Result<Computed<Option<T>>, RowError>> + 'a, RowError> {
        Ok(reader.read(RowRange::from(range))?.map(|row| row.map(Computed::from)))
    }

    fn pack(&self, range: Range<u64>, rows: Vec<Option<T>>) -> Result<Self::Batch, RowError> {
        Ok((RowRange::from(range), rows.into_iter().flatten().collect()))
    }

    fn row_bytes(&self, row: &Option<T>) -> u64 {
        row.as_ref().map_or(0, row_bytes)
    }

    fn is_of_the_row(&self, error: &RowError) -> bool {
        error.is_of_the_row()
    }
}

/// Rows in memory.
pub(super) struct Collected<'a, T> {
    input: &'a dyn Input<T>,
    /// Rows by the start of their range.
    ranges: BTreeMap<u64, Vec<T>>,
}

impl<'a, T> Collected<'a, T> {
    pub(super) fn new(input: &'a dyn Input<T>) -> Self {
        Self { input, ranges: BTreeMap::new() }
    }

    /// The rows, in their order.
    pub(super) fn into_rows(self) -> Vec<T> {
        self.ranges.into_values().flatten().collect()
    }
}

impl<T> Gather for Collected<'_, T> {
    type Batch = (RowRange, Vec<T>);

    fn append(&mut self, (range, rows): Self::Batch) -> Result<u64, CommitError> {
        self.input.verify()?;
        let rows_out = rows.len() as u64;
        self.ranges.insert(range.start(), rows);
        Ok(rows_out)
    }
}

/// The number of rows.
pub(super) struct Counted<'a, T> {
    input: &'a dyn Input<T>,
    rows: u64,
}

impl<'a, T> Counted<'a, T> {
    pub(super) fn new(input: &'a dyn Input<T>) -> Self {
        Self { input, rows: 0 }
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }
}

impl<T> Gather for Counted<'_, T> {
    type Batch = (RowRange, Vec<T>);

    fn append(&mut self, (_, rows): Self::Batch) -> Result<u64, CommitError> {
        self.input.verify()?;
        self.rows += rows.len() as u64;
        Ok(rows.len() as u64)
    }
}
