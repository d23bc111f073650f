//! `limit` and `offset` over rows of which some are filtered out: which ones stay is known only in order.

use std::ops::Range;

use rowmark_executor::{Computed, Error as Ended, Task};
use rowmark_hashing::ContentHash;
use rowmark_rows::{RowRange, RowSchema, RowType};
use rowmark_warehouse::{CodeId, Table, TableWriter};

use super::in_order::InOrder;
use super::rows::Batch;
use super::work::{Computation, Gather, Work, hash_rows};
use crate::digests::Digests;
use crate::error::{CommitError, RowError};
use crate::input::{Input, Reader};
use crate::{Error, Result};

/// The rows that are not filtered out, between two numbers.
pub(crate) struct CutWork<'a, T> {
    pub(crate) input: &'a dyn Input<T>,
    pub(crate) schema: &'a RowSchema,
    /// Which of them.
    pub(crate) kept: RowRange,
}

impl<T: RowType> Work for CutWork<'_, T> {
    fn rows_in(&self) -> Result<u64> {
        self.input.rows()
    }

    fn compute(&self, at: &mut Computation<'_>) -> Result<u64> {
        let workers = at.workers;
        let mut cut = Cut {
            input: self.input,
            writer: &mut *at.writer,
            code: at.code,
            kept: self.kept,
            batches: InOrder::new(),
            rows_seen: 0,
            rows_out: 0,
        };
        let task = ReadTask { input: self.input, schema: self.schema };
        let (mut end, mut failed) = (self.input.rows()?, None);
        loop {
            let missing = cut.batches.missing_before(end);
            let ended = workers.gather(&missing, &task, &mut cut, workers.options_in_bulk());
            let error = match (ended, failed.take()) {
                (Ok(()), None) => break,
                (Ok(()), Some(error)) => return Err(error),
                (Err(error), _) if is_enough(&error) => break,
                (Err(error), _) => error,
            };
            // The rows before the one that failed may be enough; then nobody asked for it.
            match row_of(&error) {
                Some(row) if row < end => (end, failed) = (row, Some(error)),
                _ => return Err(error),
            }
        }
        cut.writer.commit()?;
        Ok(cut.rows_out)
    }

    fn hash_rows(&self, table: &Table, step: &str, digests: Digests) -> Result<ContentHash> {
        hash_rows::<T>(table, self.schema, step, digests)
    }
}

fn is_enough(error: &Error) -> bool {
    matches!(error, Error::Step { source, .. } if matches!(**source, Ended::Sink(CommitError::Enough)))
}

/// The row that ended the run.
fn row_of(error: &Error) -> Option<u64> {
    match error {
        Error::Step { source, .. } => match **source {
            Ended::Row { row, .. } => Some(row),
            _ => None,
        },
        _ => None,
    }
}

/// Reads rows and encodes those that are not filtered out.
pub(crate) struct ReadTask<'a, T> {
    pub(crate) input: &'a dyn Input<T>,
    pub(crate) schema: &'a RowSchema,
}

impl<'t, T: RowType> Task for ReadTask<'t, T> {
    type Worker = Box<dyn Reader<T> + 't>;
    type Row = Option<T>;
    type Batch = Batch;
    type Error = RowError;

    fn setup(&self) -> Result<Self::Worker, RowError> {
        self.input.reader()
    }

    fn open<'a>(
        &'a self,
        reader: &'a mut Self::Worker,
        range: Range<u64>,
    ) -> Result<impl Iterator<Item = Result<Computed<Option<T>>, RowError>> + 'a, RowError> {
        Ok(reader.read(RowRange::from(range))?.map(|row| row.map(Computed::from)))
    }

    fn pack(&self, range: Range<u64>, rows: Vec<Option<T>>) -> Result<Batch, RowError> {
        let rows: Vec<T> = rows.into_iter().flatten().collect();
        Ok(Batch { range: RowRange::from(range), rows: self.schema.encode(&rows)? })
    }

    fn is_of_the_row(&self, error: &RowError) -> bool {
        error.is_of_the_row()
    }
}

struct Cut<'a, T> {
    input: &'a dyn Input<T>,
    writer: &'a mut dyn TableWriter,
    code: CodeId,
    kept: RowRange,
    batches: InOrder<arrow_array::RecordBatch>,
    /// Rows that passed, whether kept or not.
    rows_seen: u64,
    rows_out: u64,
}

impl<T> Gather for Cut<'_, T> {
    type Batch = Batch;

    fn append(&mut self, Batch { range, rows }: Batch) -> Result<u64, CommitError> {
        self.input.verify()?;
        self.batches.push(range, rows);
        let before = self.rows_out;
        while let Some(rows) = self.batches.pop() {
            let seen = RowRange::new(self.rows_seen, self.rows_seen + rows.num_rows() as u64);
            self.rows_seen = seen.end();
            if let Some(kept) = seen.intersect(self.kept).filter(|kept| !kept.is_empty()) {
                let rows = rows.slice((kept.start() - seen.start()) as usize, kept.len() as usize);
                let range = RowRange::new(self.rows_out, self.rows_out + kept.len());
                self.writer.append(range, self.code, &rows)?;
                self.rows_out = range.end();
            }
            if self.rows_seen >= self.kept.end() {
                return Err(CommitError::Enough);
            }
        }
        Ok(self.rows_out - before)
    }

    fn commit(&mut self) -> Result<(), CommitError> {
        Ok(self.writer.commit()?)
    }
}
