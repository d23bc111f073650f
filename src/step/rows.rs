//! Steps that compute row by row: their workers' task and their committing thread's sink.

use std::cell::Cell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::RecordBatch;
use rowmark_executor as executor;
use rowmark_executor::{Computed, OnError, Progress, Sink, Task};
use rowmark_hashing::{ContentHash, RowHash};
use rowmark_rows::{RowRange, RowRanges, RowSchema, RowType};
use rowmark_warehouse::{BatchDigests, CodeId, InputRow, Table, TableWriter};

use super::digesting::Digesting;
use super::failures::{FailedRow, Failures};
use super::work::{Computation, Work, hash_rows};
use crate::Result;
use crate::digests::Digests;
use crate::error::{CommitError, RowError, text_of};
use crate::function::{Function, Hashes, Items, Outputs};
use crate::input::{Input, Reader, Rows};
use crate::poison::{Notes, WorkerNote};
use crate::reuse::{Found, FoundRows, Matches, Search, find};

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
        let options = workers.options();
        let is_one_to_one = F::IS_ONE_TO_ONE && self.input.is_dense() && options.on_error == OnError::Fail;
        let (frames, failed) = (at.writer.frames(), at.failures.rows());
        let digesting = Digesting::new(frames, failed, is_one_to_one, options.batch_bytes_max);
        let task = RowTask {
            work: self,
            notes: at.notes,
            is_keyed: workers.session.settings().row_reuse && self.is_keyed(),
            found: at.found,
            digesting: &digesting,
            is_one_by_one: false,
        };
        let mut sink = TableSink {
            writer: &mut *at.writer,
            failures: &mut *at.failures,
            work: self,
            digesting: &digesting,
            input: self.input,
            code: at.code,
            progress: workers.progress,
        };
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

    fn is_keyed(&self) -> bool {
        F::IS_KEYED && self.input.is_repeatable()
    }

    fn digest(&self, rows: RowRange) -> Option<ContentHash> {
        if F::IS_OF_THE_ROW { self.input.digest(rows) } else { None }
    }

    fn find(&self, search: &Search<'_>) -> Result<Matches> {
        find(search, self.input, self.function, self.schema)
    }

    fn shown(&self, row: u64) -> Option<String> {
        // What reads a row may panic, as it may have for the worker.
        catch_unwind(AssertUnwindSafe(|| self.input.shown(row))).ok()?
    }

    fn hash_rows(&self, table: &Table, step: &str, digests: Digests) -> Result<ContentHash> {
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
    /// Whether rows are hashed, so that they are known by their content.
    is_keyed: bool,
    /// What was done of the rows over another input.
    found: Option<&'a Found>,
    digesting: &'a Digesting<F::Out>,
    /// Whether no two rows are computed together, whatever the function likes.
    is_one_by_one: bool,
}

/// What a worker keeps between leases.
struct Worker<'a, In, F: Function<In>> {
    reader: Box<dyn Reader<In> + 'a>,
    state: F::Worker,
    key: Option<Key<'a, In, F>>,
    note: Option<WorkerNote>,
}

/// How a worker knows rows by their content.
struct Key<'a, In, F: Function<In>> {
    hashes: Hashes<'a, In>,
    found: Option<FoundRows<'a, F::Out>>,
    /// The hash of the row that the function was given last, and what it gave when it was computed over another input.
    last_hash: Cell<Option<RowHash>>,
    last_found: Cell<Option<F::Outputs>>,
}

/// What rows that were computed together gave, or what was found for one.
struct Given<Outputs> {
    outputs: Outputs,
    hash: Option<RowHash>,
    is_found: bool,
}

/// The output of a range of input rows.
pub(crate) struct Batch {
    pub(crate) range: RowRange,
    pub(crate) rows: RecordBatch,
}

/// The same, with what is known of the input rows.
struct KnownBatch {
    batch: Batch,
    /// The input rows, where they are known by their content.
    inputs: Option<Vec<InputRow>>,
    digests: BatchDigests,
    /// The number of rows that were not computed but found.
    rows_found: u64,
}

impl<In: RowType, F: Function<In>> Key<'_, In, F> {
    /// Lets the function compute the rows that nothing was found for, and puts what was found in the place of the
    /// others.
    fn apply<'a>(
        &'a mut self,
        function: &'a F,
        state: &'a mut F::Worker,
        range: RowRange,
        rows: Rows<'a, In>,
    ) -> Items<'a, Given<F::Outputs>> {
        let Self { hashes, found, last_hash, last_found } = self;
        if let Some(found) = found {
            found.begin(range);
        }
        let (last_hash, last_found, may_be_found) = (&*last_hash, &*last_found, found.is_some());
        let unknown = (range.start()..).zip(rows).map(move |(number, row)| {
            last_hash.set(None);
            let Some(row) = row? else { return Ok(None) };
            let hash = hashes.of_last(&row)?;
            last_hash.set(hash);
            if let (Some(found), Some(hash)) = (found.as_mut(), hash)
                && let Some(outputs) = found.get(number, hash)?.and_then(F::Outputs::of_stored)
            {
                last_found.set(Some(outputs));
                return Ok(None);
            }
            Ok(Some(row))
        });
        Box::new(function.apply(state, Box::new(unknown)).map(move |item| {
            let found = if may_be_found { last_found.take() } else { None };
            item.map(|Computed { rows, row }| {
                debug_assert_eq!(rows, 1, "rows that are known by their content are computed one by one");
                let is_found = found.is_some();
                let given = Given { outputs: found.unwrap_or(row), hash: last_hash.get(), is_found };
                Computed { rows, row: given }
            })
        }))
    }
}

impl<'t, In: RowType, F: Function<In>> Task for RowTask<'t, In, F> {
    type Worker = Worker<'t, In, F>;
    type Row = Given<F::Outputs>;
    type Batch = KnownBatch;
    type Error = RowError;

    fn setup(&self) -> Result<Self::Worker, RowError> {
        let RowWork { input, function, .. } = self.work;
        let note = self.notes.map(Notes::worker).transpose().map_err(RowError::Note)?;
        let (reader, key) = if self.is_keyed {
            let (reader, hashes) = Hashes::reader(*input, *function)?;
            let found = self.found.map(Found::reader);
            let key = Key { hashes, found, last_hash: Cell::default(), last_found: Cell::default() };
            (reader, Some(key))
        } else {
            (input.reader()?, None)
        };
        Ok(Worker { reader, state: function.setup()?, key, note })
    }

    fn open<'a>(
        &'a self,
        Worker { reader, state, key, note }: &'a mut Self::Worker,
        range: Range<u64>,
    ) -> Result<impl Iterator<Item = Result<Computed<Self::Row>, RowError>> + 'a, RowError> {
        let rows = reader.read(RowRange::from(range.clone()))?;
        let (function, lease, key) = (self.work.function, RowRange::from(range.clone()), key.as_mut());
        let apply = move |rows: Rows<'a, In>| -> Items<'a, Given<F::Outputs>> {
            match key {
                Some(key) => key.apply(function, state, lease, rows),
                None => Box::new(function.apply(state, rows).map(|item| {
                    item.map(|Computed { rows, row }| {
                        let given = Given { outputs: row, hash: None, is_found: false };
                        Computed { rows, row: given }
                    })
                })),
            }
        };
        Ok(match (note, self.notes) {
            (Some(note), Some(notes)) => note.watch(notes, range, rows, apply),
            _ => apply(rows),
        })
    }

    fn pack(&self, range: Range<u64>, rows: Vec<Self::Row>) -> Result<KnownBatch, RowError> {
        let (range, schema) = (RowRange::from(range), self.work.schema);
        let inputs = self.is_keyed.then(|| {
            let input = |given: &Given<F::Outputs>| InputRow {
                hash: given.hash,
                outputs: u32::try_from(given.outputs.count()).expect("a batch is smaller"),
            };
            rows.iter().map(input).collect()
        });
        let rows_found = rows.iter().filter(|given| given.is_found).count() as u64;
        let computed = first_computed(&rows);
        let mut outputs = Vec::with_capacity(rows.iter().map(|given| given.outputs.count()).sum());
        rows.into_iter().for_each(|given| outputs.extend(given.outputs));
        let encoded = schema.encode(&outputs)?;
        // What was found was read back before.
        let chunks = if computed
            .map_or(Ok(true), |row| is_read_back_alike(&outputs[row], &encoded.slice(row, 1), schema))?
        {
            self.digesting.add(range, outputs, encoded.get_array_memory_size() as u64)
        } else {
            self.digesting.add_unknown(range, encoded.num_rows() as u64);
            BatchDigests::default()
        };
        let digests = BatchDigests { inputs: self.work.digest(range), ..chunks };
        Ok(KnownBatch { batch: Batch { range, rows: encoded }, inputs, digests, rows_found })
    }

    fn row_bytes(&self, given: &Self::Row) -> u64 {
        given.outputs.bytes()
    }

    fn rows_at_once(&self) -> u64 {
        if self.is_one_by_one { 1 } else { self.work.function.rows_at_once() }
    }

    fn is_of_the_row(&self, error: &RowError) -> bool {
        error.is_of_the_row()
    }
}

/// The place of the first output that was not found.
fn first_computed<O: Outputs>(rows: &[Given<O>]) -> Option<usize> {
    let given = rows.iter().position(|given| !given.is_found && given.outputs.count() > 0)?;
    Some(rows[..given].iter().map(|given| given.outputs.count()).sum())
}

/// Whether a row that is read back hashes as the one that was computed: else, as far as the first of a batch tells, the
/// content hash is that of what is stored, and is made when all of it is.
fn is_read_back_alike<T: RowType>(
    row: &T,
    encoded: &RecordBatch,
    schema: &RowSchema,
) -> Result<bool, RowError> {
    let read: Vec<T> = schema.decode(encoded)?;
    Ok(matches!((ContentHash::of(row), ContentHash::of(&read[0])), (Ok(made), Ok(read)) if made == read))
}

/// Keeps finished batches in a table, and failures that are recorded in the one beside it.
struct TableSink<'a, In, Out> {
    writer: &'a mut dyn TableWriter,
    failures: &'a mut Failures,
    work: &'a dyn Work,
    digesting: &'a Digesting<Out>,
    input: &'a dyn Input<In>,
    code: CodeId,
    progress: &'a Progress,
}

impl<In: RowType, Out: RowType> Sink for TableSink<'_, In, Out> {
    type Batch = KnownBatch;
    type Failure = RowError;
    type Error = CommitError;

    fn append(&mut self, batch: KnownBatch) -> Result<u64, CommitError> {
        // The rows were read before this moment; if the source is still the same, they are its rows.
        self.input.verify()?;
        let KnownBatch { batch: Batch { range, rows }, inputs, digests, rows_found } = batch;
        match &inputs {
            Some(inputs) => self.writer.append_with_inputs(range, self.code, &rows, inputs, &digests)?,
            None => self.writer.append(range, self.code, &rows)?,
        }
        self.progress.add_found(rows_found);
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
