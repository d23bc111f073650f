//! Steps that compute row by row: their workers' task and their committing thread's sink.

use std::ops::Range;

use arrow_array::RecordBatch;
use rowmark_executor::{Computed, FailedRow as Failed, Failure, Sink, Task};
use rowmark_hashing::ContentHash;
use rowmark_rows::{RowRange, RowSchema, RowType};
use rowmark_warehouse::{CodeId, Table, TableWriter};

use super::failures::{ERROR_BYTES_MAX, FailedRow, Failures, INPUT_BYTES_MAX};
use super::work::{Computation, Work, hash_rows};
use crate::Result;
use crate::error::{CommitError, RowError, text_of};
use crate::function::{Function, Outputs as _};
use crate::input::{Input, Reader};

/// A function over the rows of an input, each of them on its own.
pub(crate) struct RowWork<'a, In, F> {
    pub(crate) input: &'a dyn Input<In>,
    pub(crate) function: &'a F,
    pub(crate) schema: &'a RowSchema,
}

impl<In: RowType, F: Function<In>> Work for RowWork<'_, In, F> {
    fn rows_in(&self) -> Result<u64> {
        self.input.rows()
    }

    fn is_resumable(&self) -> bool {
        true
    }

    fn compute(&self, at: &mut Computation<'_>) -> Result<u64> {
        let workers = at.workers;
        let mut sink = TableSink {
            writer: &mut *at.writer,
            failures: &mut *at.failures,
            input: self.input,
            reader: None,
            code: at.code,
        };
        workers.run(&at.missing, self, &mut sink, &workers.options())?;
        self.input.rows()
    }

    fn hash_rows(&self, table: &Table, step: &str) -> Result<ContentHash> {
        hash_rows::<F::Out>(table, self.schema, step)
    }
}

/// What a worker keeps between leases.
pub(crate) struct Worker<'a, In, State> {
    reader: Box<dyn Reader<In> + 'a>,
    state: State,
}

/// The output of a range of input rows.
pub(crate) struct Batch {
    pub(crate) range: RowRange,
    pub(crate) rows: RecordBatch,
}

impl<'t, In: RowType, F: Function<In>> Task for RowWork<'t, In, F> {
    type Worker = Worker<'t, In, F::Worker>;
    type Row = F::Outputs;
    type Batch = Batch;
    type Error = RowError;

    fn setup(&self) -> Result<Self::Worker, RowError> {
        Ok(Worker { reader: self.input.reader()?, state: self.function.setup()? })
    }

    fn open<'a>(
        &'a self,
        worker: &'a mut Self::Worker,
        range: Range<u64>,
    ) -> Result<impl Iterator<Item = Result<Computed<F::Outputs>, RowError>> + 'a, RowError> {
        let rows = worker.reader.read(RowRange::from(range))?;
        Ok(self.function.apply(&mut worker.state, rows))
    }

    fn pack(&self, range: Range<u64>, rows: Vec<F::Outputs>) -> Result<Batch, RowError> {
        let rows: Vec<F::Out> = rows.into_iter().flatten().collect();
        Ok(Batch { range: RowRange::from(range), rows: self.schema.encode(&rows)? })
    }

    fn row_bytes(&self, outputs: &F::Outputs) -> u64 {
        outputs.bytes()
    }

    fn rows_at_once(&self) -> u64 {
        self.function.rows_at_once()
    }

    fn is_of_the_row(&self, error: &RowError) -> bool {
        error.is_of_the_row()
    }
}

/// Keeps finished batches in a table, and failures that are recorded in the one beside it.
struct TableSink<'a, In> {
    writer: &'a mut dyn TableWriter,
    failures: &'a mut Failures,
    input: &'a dyn Input<In>,
    /// Reads rows that failed, to show them.
    reader: Option<Box<dyn Reader<In> + 'a>>,
    code: CodeId,
}

impl<In: RowType> TableSink<'_, In> {
    /// The row as JSON, if it can be read and shown: it may be what is on the way to the UDF that failed, or panicked.
    fn shown(&mut self, row: u64) -> Option<String> {
        let mut reader = self.reader.take();
        let row = Failure::<RowError>::catch(|| {
            let reader = match &mut reader {
                Some(reader) => reader,
                none => none.insert(self.input.reader()?),
            };
            let row = reader.read(RowRange::new(row, row + 1))?.next().transpose()?.flatten();
            Ok(row.and_then(|row| serde_json::to_string(&row).ok()))
        });
        let shown = row.ok()?;
        self.reader = reader;
        shown
    }
}

impl<In: RowType> Sink for TableSink<'_, In> {
    type Batch = Batch;
    type Failure = RowError;
    type Error = CommitError;

    fn append(&mut self, Batch { range, rows }: Batch) -> Result<u64, CommitError> {
        // The rows were read before this moment; if the source is still the same, they are its rows.
        self.input.verify()?;
        self.writer.append(range, self.code, &rows)?;
        Ok(rows.num_rows() as u64)
    }

    fn record(&mut self, Failed { row, attempts, failure, .. }: Failed<RowError>) -> Result<(), CommitError> {
        self.input.verify()?;
        let input = self.shown(row).map(|text| cut(text, INPUT_BYTES_MAX));
        self.failures.add(FailedRow {
            row,
            input,
            error: cut(text_of(&failure), ERROR_BYTES_MAX),
            attempts,
            code: self.code.hash().to_string(),
        });
        Ok(())
    }

    fn commit(&mut self) -> Result<(), CommitError> {
        self.failures.commit()?;
        Ok(self.writer.commit()?)
    }
}

/// The beginning of a text.
fn cut(mut text: String, bytes_max: usize) -> String {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}
