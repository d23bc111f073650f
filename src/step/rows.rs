//! Steps that compute row by row: their workers' task and their committing thread's sink.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::RecordBatch;
use rowmark_executor as executor;
use rowmark_executor::{Computed, Sink, Task};
use rowmark_hashing::ContentHash;
use rowmark_rows::{RowRange, RowRanges, RowSchema, RowType};
use rowmark_warehouse::{CodeId, Table, TableWriter};

use super::digests::{Digesting, Digests};
use super::failures::{FailedRow, Failures};
use super::work::{Computation, Work, hash_rows};
use crate::Result;
use crate::error::{CommitError, RowError, text_of};
use crate::function::{Function, Outputs as _};
use crate::input::{Input, Reader};
use crate::poison::{Notes, WorkerNote};

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
        self.input.is_repeatable()
    }

    fn compute(&self, at: &mut Computation<'_>) -> Result<u64> {
        let workers = at.workers;
        let digesting = Digesting::new(at.writer.frames(), at.failures.rows());
        let task = RowTask { work: self, notes: at.notes, digesting: &digesting, is_one_by_one: false };
        let mut sink = TableSink {
            writer: &mut *at.writer,
            failures: &mut *at.failures,
            work: self,
            digesting: &digesting,
            input: self.input,
            code: at.code,
        };
        let options = workers.options();
        let suspects = at.notes.map(Notes::suspects).unwrap_or_default();
        let (suspects, others) = split(&at.missing, &suspects);
        if !suspects.is_empty() {
            let one_by_one = RowTask { is_one_by_one: true, ..task };
            let options = options.clone().workers_max(1).batch_rows_max(1);
            workers.run(&suspects, &one_by_one, &mut sink, &options)?;
        }
        workers.run(&others, &task, &mut sink, &options)?;
        at.digests = digesting.finish();
        self.input.rows()
    }

    fn is_row_by_row(&self) -> bool {
        true
    }

    fn shown(&self, row: u64) -> Option<String> {
        // What reads a row may panic, as it may have for the worker.
        catch_unwind(AssertUnwindSafe(|| self.input.shown(row))).ok()?
    }

    fn hash_rows(&self, table: &Table, step: &str, digests: &Digests) -> Result<ContentHash> {
        hash_rows::<F::Out>(table, self.schema, step, digests)
    }
}

/// Ranges of rows: those that are among `chosen`, and the others.
fn split(rows: &RowRanges, chosen: &RowRanges) -> (RowRanges, RowRanges) {
    let parts = |range: RowRange| {
        let others = chosen.missing_in(range);
        (others.missing_in(range), others)
    };
    let (chosen, others): (Vec<RowRanges>, Vec<RowRanges>) = rows.iter().map(parts).unzip();
    (chosen.into_iter().flatten().collect(), others.into_iter().flatten().collect())
}

/// What the workers do.
struct RowTask<'a, In, F: Function<In>> {
    work: &'a RowWork<'a, In, F>,
    notes: Option<&'a Notes>,
    digesting: &'a Digesting<F::Out>,
    /// Whether no two rows are computed together, whatever the function likes.
    is_one_by_one: bool,
}

/// What a worker keeps between leases.
struct Worker<'a, In, State> {
    reader: Box<dyn Reader<In> + 'a>,
    state: State,
    note: Option<WorkerNote>,
}

/// The output of a range of input rows.
pub(crate) struct Batch {
    pub(crate) range: RowRange,
    pub(crate) rows: RecordBatch,
}

impl<'t, In: RowType, F: Function<In>> Task for RowTask<'t, In, F> {
    type Worker = Worker<'t, In, F::Worker>;
    type Row = F::Outputs;
    type Batch = Batch;
    type Error = RowError;

    fn setup(&self) -> Result<Self::Worker, RowError> {
        let RowWork { input, function, .. } = self.work;
        let note = self.notes.map(Notes::worker).transpose().map_err(RowError::Note)?;
        Ok(Worker { reader: input.reader()?, state: function.setup()?, note })
    }

    fn open<'a>(
        &'a self,
        Worker { reader, state, note }: &'a mut Self::Worker,
        range: Range<u64>,
    ) -> Result<impl Iterator<Item = Result<Computed<F::Outputs>, RowError>> + 'a, RowError> {
        let rows = reader.read(RowRange::from(range.clone()))?;
        let function = self.work.function;
        Ok(match (note, self.notes) {
            (Some(note), Some(notes)) => note.watch(notes, range, rows, |rows| function.apply(state, rows)),
            _ => function.apply(state, rows),
        })
    }

    fn pack(&self, range: Range<u64>, rows: Vec<F::Outputs>) -> Result<Batch, RowError> {
        let (range, schema) = (RowRange::from(range), self.work.schema);
        let rows: Vec<F::Out> = rows.into_iter().flatten().collect();
        let encoded = schema.encode(&rows)?;
        if is_read_back_alike(&rows, &encoded, schema)? {
            self.digesting.add(range, rows, encoded.get_array_memory_size() as u64);
        } else {
            self.digesting.add_unknown(range, encoded.num_rows() as u64);
        }
        Ok(Batch { range, rows: encoded })
    }

    fn row_bytes(&self, outputs: &F::Outputs) -> u64 {
        outputs.bytes()
    }

    fn rows_at_once(&self) -> u64 {
        if self.is_one_by_one { 1 } else { self.work.function.rows_at_once() }
    }

    fn is_of_the_row(&self, error: &RowError) -> bool {
        error.is_of_the_row()
    }
}

/// Whether a row that is read back hashes as the one that was computed, as far as the first tells: else the content
/// hash is that of what is stored, and is made when all of it is.
fn is_read_back_alike<T: RowType>(
    rows: &[T],
    encoded: &RecordBatch,
    schema: &RowSchema,
) -> Result<bool, RowError> {
    let Some(first) = rows.first() else { return Ok(true) };
    let read: Vec<T> = schema.decode(&encoded.slice(0, 1))?;
    Ok(matches!((ContentHash::of(first), ContentHash::of(&read[0])), (Ok(made), Ok(read)) if made == read))
}

/// Keeps finished batches in a table, and failures that are recorded in the one beside it.
struct TableSink<'a, In, Out> {
    writer: &'a mut dyn TableWriter,
    failures: &'a mut Failures,
    work: &'a dyn Work,
    digesting: &'a Digesting<Out>,
    input: &'a dyn Input<In>,
    code: CodeId,
}

impl<In: RowType, Out: RowType> Sink for TableSink<'_, In, Out> {
    type Batch = Batch;
    type Failure = RowError;
    type Error = CommitError;

    fn append(&mut self, Batch { range, rows }: Batch) -> Result<u64, CommitError> {
        // The rows were read before this moment; if the source is still the same, they are its rows.
        self.input.verify()?;
        self.writer.append(range, self.code, &rows)?;
        Ok(rows.num_rows() as u64)
    }

    fn record(&mut self, failed: executor::FailedRow<RowError>) -> Result<(), CommitError> {
        self.input.verify()?;
        let executor::FailedRow { row, attempts, failure, .. } = failed;
        let (input, error) = (self.work.shown(row), text_of(&failure));
        self.digesting.add_unknown(RowRange::new(row, row + 1), 0);
        self.failures.add(FailedRow::new(row, input, error, attempts, self.code));
        Ok(())
    }

    fn begin_commit(&mut self) -> Result<(), CommitError> {
        self.failures.commit()?;
        Ok(self.writer.begin_commit()?)
    }

    fn commit(&mut self) -> Result<(), CommitError> {
        self.failures.commit()?;
        Ok(self.writer.commit()?)
    }
}
