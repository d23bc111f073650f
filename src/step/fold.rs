//! A fold: one state, through which the rows go in their order. The state is saved as it goes.
//!
//! Each batch of the table is the state after the batch's rows, as one row. A run that continues begins with the last
//! state that was saved, and of a finished fold only that one is kept.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use rowmark_executor::{Computed, Durability, Task};
use rowmark_hashing::ContentHash;
use rowmark_rows::{RowRange, RowSchema, RowType, row_bytes};
use rowmark_warehouse::{CodeId, Table, TableWriter};

use super::rows::Batch;
use super::work::{Computation, Gather, Work};
use crate::digests::Digests;
use crate::error::{CommitError, RowError};
use crate::input::{Input, Reader, Rows, StoredRows};
use crate::udf::FoldUdf;
use crate::{Error, Result};

/// Of the time between two states that are saved, copying the state takes at most such a part.
const CLONES_PER_SAVE: u32 = 20;

/// When the states that a run saved take more than this, the later ones are so far apart that there are about so many
/// of them while the time of the run doubles.
const BYTES_SAVED_MAX: u64 = 64 << 20;
const SAVES_MAX: u32 = 64;

/// Rows that the worker takes at a time: there is no other that could have them.
const ROWS_AT_ONCE: u64 = 1 << 20;

/// A fold over the rows of an input.
pub(crate) struct FoldWork<'a, S, T, U> {
    pub(crate) input: &'a dyn Input<T>,
    /// What the state looks like.
    pub(crate) schema: &'a RowSchema,
    pub(crate) initial: &'a S,
    pub(crate) udf: &'a U,
}

impl<S: RowType + Clone, T: RowType, U: FoldUdf<S, T>> Work for FoldWork<'_, S, T, U> {
    fn rows_in(&self) -> Result<u64> {
        self.input.rows()
    }

    fn is_resumable(&self) -> bool {
        true
    }

    fn is_cumulative(&self) -> bool {
        true
    }

    fn compute(&self, at: &mut Computation<'_>) -> Result<u64> {
        let workers = at.workers;
        let saved = last_state(at, self.schema)?;
        let state = Mutex::new(saved.unwrap_or_else(|| self.initial.clone()));
        let options = workers.options().workers_max(1);
        let save_every = match options.durability {
            Durability::EveryRow => Duration::ZERO,
            Durability::Group { interval, .. } => interval / 2,
        };
        let bytes_saved = AtomicU64::new(0);
        let task = FoldTask { work: self, state, save_every, bytes_saved, begun: Instant::now() };
        let mut states = States { writer: &mut *at.writer, input: self.input, code: at.code };
        workers.gather(&at.missing, &task, &mut states, options)?;
        self.input.rows()
    }

    /// The last state.
    fn remains(&self, table: &Table) -> Result<Option<RecordBatch>> {
        Ok(table.scan_rows(last_row(table)).next().transpose()?)
    }

    fn hash_rows(&self, table: &Table, step: &str, _: Digests) -> Result<ContentHash> {
        // Which states were saved on the way is a matter of time; the last one is the result.
        Ok(ContentHash::of(&read_state::<S>(table, self.schema, step)?)?)
    }
}

/// The last row of a table, if it has one.
pub(crate) fn last_row(table: &Table) -> RowRange {
    RowRange::new(table.rows_out().saturating_sub(1), table.rows_out())
}

/// The state that an earlier run saved last.
fn last_state<S: RowType>(at: &Computation<'_>, schema: &RowSchema) -> Result<Option<S>> {
    if at.writer.processed().is_empty() {
        return Ok(None);
    }
    let (session, name) = (at.workers.session, at.writer.name());
    let lost = || rowmark_warehouse::Error::TableMissing { table: name.clone() };
    let table = session.warehouse().open_table(name)?.ok_or_else(lost)?;
    read_state(&table, schema, at.workers.step)
}

fn read_state<S: RowType>(table: &Table, schema: &RowSchema, step: &str) -> Result<Option<S>> {
    let state = StoredRows::new(table, schema).iter(last_row(table)).next().transpose();
    state.map_err(|source| Error::ReadBack { step: step.to_owned(), source: Box::new(source) })
}

/// Folds rows until it is time to save the state: that is one item, and nothing is saved of one that fails.
struct FoldTask<'a, S, T, U> {
    work: &'a FoldWork<'a, S, T, U>,
    /// The state after the last item.
    state: Mutex<S>,
    /// How much time may pass between two items; none for a state after every row.
    save_every: Duration,
    /// About the size of all states that this run saved.
    bytes_saved: AtomicU64,
    begun: Instant,
}

impl<S: RowType + Clone, T: RowType, U: FoldUdf<S, T>> FoldTask<'_, S, T, U> {
    /// Folds at least one row. Answers how many, and the state then; `None` behind the last row.
    fn next_item(&self, rows: &mut Rows<'_, T>) -> Result<Option<Computed<S>>, RowError> {
        let begun = Instant::now();
        let mut state = self.state().clone();
        // A state that takes long to copy is saved less often, and so is one whose copies take much space.
        let copying = begun.elapsed().saturating_mul(CLONES_PER_SAVE);
        let is_much = self.bytes_saved.load(Ordering::Relaxed) > BYTES_SAVED_MAX;
        let spacing = if is_much { self.begun.elapsed() / SAVES_MAX } else { Duration::ZERO };
        let is_each_row = self.save_every.is_zero();
        let save_after = if is_each_row { Duration::ZERO } else { self.save_every.max(copying).max(spacing) };
        let mut folded = 0;
        while folded == 0 || begun.elapsed() < save_after {
            let Some(row) = rows.next() else { break };
            if let Some(row) = row? {
                let udf = self.work.udf;
                udf.fold(&mut state, &row)
                    .map_err(|source| RowError::of_udf(udf.identity().name(), source))?;
            }
            folded += 1;
        }
        if folded == 0 {
            return Ok(None);
        }
        *self.state() = state.clone();
        // Relaxed: one worker writes it and reads it.
        self.bytes_saved.fetch_add(row_bytes(&state), Ordering::Relaxed);
        Ok(Some(Computed { rows: folded, row: state }))
    }

    fn state(&self) -> MutexGuard<'_, S> {
        // It is replaced as a whole, so what a panic left behind is the state after an item.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'t, S: RowType + Clone, T: RowType, U: FoldUdf<S, T>> Task for FoldTask<'t, S, T, U> {
    type Worker = Box<dyn Reader<T> + 't>;
    type Row = S;
    type Batch = Batch;
    type Error = RowError;

    fn setup(&self) -> Result<Self::Worker, RowError> {
        self.work.input.reader()
    }

    fn open<'a>(
        &'a self,
        reader: &'a mut Self::Worker,
        range: Range<u64>,
    ) -> Result<impl Iterator<Item = Result<Computed<S>, RowError>> + 'a, RowError> {
        let mut rows = reader.read(RowRange::from(range))?;
        Ok(std::iter::from_fn(move || self.next_item(&mut rows).transpose()))
    }

    fn pack(&self, range: Range<u64>, states: Vec<S>) -> Result<Batch, RowError> {
        let last = &states[states.len() - 1..];
        Ok(Batch { range: RowRange::from(range), rows: self.work.schema.encode(last)? })
    }

    fn row_bytes(&self, state: &S) -> u64 {
        row_bytes(state)
    }

    /// So an error in an item is looked for in halves of it, of which those before the row are saved.
    fn rows_at_once(&self) -> u64 {
        ROWS_AT_ONCE
    }

    fn is_of_the_row(&self, error: &RowError) -> bool {
        error.is_of_the_row()
    }
}

/// Keeps each state that comes.
struct States<'a, T> {
    writer: &'a mut dyn TableWriter,
    input: &'a dyn Input<T>,
    code: CodeId,
}

impl<T> Gather for States<'_, T> {
    type Batch = Batch;

    fn append(&mut self, Batch { range, rows }: Batch) -> Result<u64, CommitError> {
        self.input.verify()?;
        self.writer.append(range, self.code, &rows)?;
        Ok(1)
    }

    fn commit(&mut self) -> Result<(), CommitError> {
        Ok(self.writer.commit()?)
    }
}
