//! The two ends of a step's run: what its workers compute and what its committing thread keeps.

use std::ops::Range;

use arrow_array::RecordBatch;
use rowmark_executor::{Computed, FailedRow, Sink, Task};
use rowmark_rows::{RowRange, RowSchema, RowType};
use rowmark_warehouse::{CodeId, TableWriter};

use crate::error::{CommitError, RowError};
use crate::input::Input;

/// What the workers do: read a row, filter it, call the function, encode.
pub(crate) struct RowTask<'a, In, Out> {
    pub(crate) input: &'a dyn Input<In>,
    pub(crate) function: &'a (dyn Fn(In) -> Result<Out, RowError> + Sync),
    pub(crate) schema: &'a RowSchema,
}

/// The output of a range of input rows.
pub(crate) struct Batch {
    range: RowRange,
    rows: RecordBatch,
}

impl<In, Out: RowType> Task for RowTask<'_, In, Out> {
    type Worker = ();
    type Row = Option<Out>;
    type Batch = Batch;
    type Error = RowError;

    fn setup(&self) -> Result<(), RowError> {
        Ok(())
    }

    fn open<'a>(
        &'a self,
        (): &'a mut (),
        range: Range<u64>,
    ) -> Result<impl Iterator<Item = Result<Computed<Option<Out>>, RowError>> + 'a, RowError> {
        let rows = self.input.read(RowRange::from(range))?;
        Ok(rows.map(|row| row?.map(self.function).transpose().map(Computed::from)))
    }

    fn pack(&self, range: Range<u64>, rows: Vec<Option<Out>>) -> Result<Batch, RowError> {
        let rows: Vec<Out> = rows.into_iter().flatten().collect();
        Ok(Batch { range: RowRange::from(range), rows: self.schema.encode(&rows)? })
    }

    fn is_of_the_row(&self, error: &RowError) -> bool {
        // What cannot be read may be more than one row, and what comes behind it others than are numbered so.
        matches!(error, RowError::Udf { .. })
    }
}

/// What the committing thread does.
pub(crate) struct TableSink<'a, In> {
    pub(crate) writer: &'a mut dyn TableWriter,
    pub(crate) input: &'a dyn Input<In>,
    pub(crate) code: CodeId,
}

impl<In> Sink for TableSink<'_, In> {
    type Batch = Batch;
    type Failure = RowError;
    type Error = CommitError;

    fn append(&mut self, Batch { range, rows }: Batch) -> Result<u64, CommitError> {
        // The rows were read before this moment; if the source is still the same, they are its rows.
        self.input.verify()?;
        self.writer.append(range, self.code, &rows)?;
        Ok(rows.num_rows() as u64)
    }

    fn record(&mut self, _: FailedRow<RowError>) -> Result<(), CommitError> {
        unreachable!("steps run under `OnError::Fail`")
    }

    fn commit(&mut self) -> Result<(), CommitError> {
        Ok(self.writer.commit()?)
    }
}
