//! Reading the rows of a table in order, one batch at a time.

use arrow_array::RecordBatch;
use rowmark_rows::RowRange;

use crate::{Error, Table};

/// Reads batches in row order; made by [`Table::scan`] and [`Table::scan_rows`].
///
/// It ends after the first error.
#[derive(Debug)]
pub struct Scan {
    table: Table,
    /// The output rows that are still to be read.
    rows: RowRange,
    next_frame: usize,
}

impl Scan {
    pub(crate) fn new(table: Table, rows: RowRange) -> Self {
        let end = rows.end().min(table.rows_out());
        let rows = RowRange::new(rows.start().min(end), end);
        // The last frame that begins at or before the first row.
        let next_frame = table.first_rows().partition_point(|first| *first <= rows.start()).saturating_sub(1);
        Self { table, rows, next_frame }
    }

    /// Reads no more.
    pub(crate) fn end(&mut self) {
        self.rows = RowRange::new(0, 0);
    }

    fn read_next(&mut self) -> Result<Option<RecordBatch>, Error> {
        while !self.rows.is_empty() {
            let frame = self.table.frames()[self.next_frame];
            let first = self.table.first_rows()[self.next_frame];
            self.next_frame += 1;
            if frame.rows() == 0 {
                continue;
            }
            let batch = self.table.read(&frame)?;
            let end = self.rows.end().min(first + frame.rows());
            let (skipped, taken) = ((self.rows.start() - first) as usize, (end - self.rows.start()) as usize);
            self.rows = RowRange::new(end, self.rows.end());
            return Ok(Some(if taken == batch.num_rows() { batch } else { batch.slice(skipped, taken) }));
        }
        Ok(None)
    }
}

impl Iterator for Scan {
    type Item = Result<RecordBatch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.read_next().transpose();
        if matches!(next, Some(Err(_))) {
            self.end();
        }
        next
    }
}

impl std::iter::FusedIterator for Scan {}
