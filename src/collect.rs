//! Reads the rows of an input into memory, on all workers.

use std::collections::BTreeMap;
use std::iter::once;
use std::ops::Range;

use rowmark_executor::{Computed, FailedRow, Progress, Sink, Task};
use rowmark_rows::RowRange;

use crate::error::{CommitError, RowError};
use crate::input::Input;
use crate::session::Session;
use crate::{Error, Result};

/// The rows of an input, in their order.
pub(crate) fn collect<T: Send>(session: &Session, input: &dyn Input<T>) -> Result<Vec<T>> {
    let rows = input.rows()?;
    let mut collected = Collected { input, ranges: BTreeMap::new() };
    session
        .executor()
        .run(
            once(0..rows),
            &ReadTask(input),
            &mut collected,
            &Progress::new(rows, 0),
            &session.settings().options,
        )
        .map_err(|source| Error::Collect { source: Box::new(source) })?;
    Ok(collected.ranges.into_values().flatten().collect())
}

struct ReadTask<'a, T>(&'a dyn Input<T>);

impl<T: Send> Task for ReadTask<'_, T> {
    type Worker = ();
    type Row = Option<T>;
    type Batch = (Range<u64>, Vec<T>);
    type Error = RowError;

    fn setup(&self) -> Result<(), RowError> {
        Ok(())
    }

    fn open<'a>(
        &'a self,
        (): &'a mut (),
        range: Range<u64>,
    ) -> Result<impl Iterator<Item = Result<Computed<Option<T>>, RowError>> + 'a, RowError> {
        Ok(self.0.read(RowRange::from(range))?.map(|row| row.map(Computed::from)))
    }

    fn pack(&self, range: Range<u64>, rows: Vec<Option<T>>) -> Result<Self::Batch, RowError> {
        Ok((range, rows.into_iter().flatten().collect()))
    }
}

struct Collected<'a, T> {
    input: &'a dyn Input<T>,
    /// Rows by the start of their range.
    ranges: BTreeMap<u64, Vec<T>>,
}

impl<T> Sink for Collected<'_, T> {
    type Batch = (Range<u64>, Vec<T>);
    type Failure = RowError;
    type Error = CommitError;

    fn append(&mut self, (range, rows): Self::Batch) -> Result<u64, CommitError> {
        self.input.verify()?;
        let rows_out = rows.len() as u64;
        self.ranges.insert(range.start, rows);
        Ok(rows_out)
    }

    fn record(&mut self, _: FailedRow<RowError>) -> Result<(), CommitError> {
        unreachable!("rows are collected under `OnError::Fail`")
    }

    fn commit(&mut self) -> Result<(), CommitError> {
        Ok(())
    }
}
