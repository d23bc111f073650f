//! A fold: one state, through which the rows go in their order. The state is saved as it goes.
//!
//! Each batch of the table is the state after the batch's rows, as one row; the last is the result. A run that
//! continues begins with the last state that was saved.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rowmark_executor::{Computed, Retry, Task};
use rowmark_hashing::ContentHash;
use rowmark_rows::{RowRange, RowSchema, RowType};
use rowmark_warehouse::{CodeId, Table, TableWriter};

use super::rows::Batch;
use super::work::{Computation, Gather, Work};
use crate::error::{CommitError, RowError};
use crate::input::{Input, Reader, StoredRows};
use crate::udf::FoldUdf;
use crate::{Error, Result};

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

    fn compute(&self, at: &mut Computation<'_>) -> Result<u64> {
        let workers = at.workers;
        let saved = last_state(at, self.schema)?;
        let state = saved.unwrap_or_else(|| self.initial.clone());
        let state = Mutex::new(Running { state, is_whole: true });
        let task = FoldTask { work: self, state };
        let mut states = States { writer: &mut *at.writer, input: self.input, code: at.code };
        // Rows in their order, and none twice: a call that failed may have changed half of the state.
        let options = workers.options().retry(Retry::default()).workers_max(1);
        workers.gather(&at.missing, &task, &mut states, options)?;
        self.input.rows()
    }

    fn hash_rows(&self, table: &Table, step: &str) -> Result<ContentHash> {
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

struct FoldTask<'a, S, T, U> {
    work: &'a FoldWork<'a, S, T, U>,
    /// There is one worker.
    state: Mutex<Running<S>>,
}

/// The state after the rows that were computed.
struct Running<S> {
    state: S,
    /// No call is on the way, or has failed and left half of its row in the state.
    is_whole: bool,
}

impl<S, T, U> FoldTask<'_, S, T, U> {
    fn state(&self) -> MutexGuard<'_, Running<S>> {
        // After a panic the run ends, and the state is not used again.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'t, S: RowType + Clone, T: RowType, U: FoldUdf<S, T>> Task for FoldTask<'t, S, T, U> {
    type Worker = Box<dyn Reader<T> + 't>;
    type Row = ();
    /// None if the state after these rows is lost, since the call behind them has changed it and failed.
    type Batch = Option<Batch>;
    type Error = RowError;

    fn setup(&self) -> Result<Self::Worker, RowError> {
        self.work.input.reader()
    }

    fn open<'a>(
        &'a self,
        reader: &'a mut Self::Worker,
        range: Range<u64>,
    ) -> Result<impl Iterator<Item = Result<Computed<()>, RowError>> + 'a, RowError> {
        let udf = self.work.udf;
        Ok(reader.read(RowRange::from(range))?.map(|row| {
            if let Some(row) = row? {
                let mut running = self.state();
                running.is_whole = false;
                udf.fold(&mut running.state, &row)
                    .map_err(|source| RowError::of_udf(udf.identity().name(), source))?;
                running.is_whole = true;
            }
            Ok(Computed::from(()))
        }))
    }

    fn pack(&self, range: Range<u64>, _: Vec<()>) -> Result<Option<Batch>, RowError> {
        let running = self.state();
        if !running.is_whole {
            return Ok(None);
        }
        let state = self.work.schema.encode(std::slice::from_ref(&running.state))?;
        Ok(Some(Batch { range: RowRange::from(range), rows: state }))
    }

    fn is_of_the_row(&self, _: &RowError) -> bool {
        false
    }

    fn is_packed_where_computed(&self) -> bool {
        true
    }
}

/// Keeps each state that comes.
struct States<'a, T> {
    writer: &'a mut dyn TableWriter,
    input: &'a dyn Input<T>,
    code: CodeId,
}

impl<T> Gather for States<'_, T> {
    type Batch = Option<Batch>;

    fn append(&mut self, batch: Option<Batch>) -> Result<u64, CommitError> {
        let Some(Batch { range, rows }) = batch else { return Ok(0) };
        self.input.verify()?;
        self.writer.append(range, self.code, &rows)?;
        Ok(1)
    }

    fn commit(&mut self) -> Result<(), CommitError> {
        Ok(self.writer.commit()?)
    }
}
