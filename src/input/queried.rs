//! Rows of a query whose identity a cheaper query tells: what is stored under it need not be read again.
//!
//! Each run asks the cheaper query, and reads the rows in the same snapshot of the database if it has to. So rows are never
//! stored under the identity of others, whatever is written meanwhile. Once they came, the chain stays with them.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rowmark_hashing::Fingerprint;
use rowmark_metastore::Checkpoint;
use rowmark_readers::QueryRows;
use rowmark_rows::{RowSchema, RowType};
use rowmark_warehouse::Table;

use super::spool::by_content;
use super::{Input, Reader, Spool, TableInput, extend};
use crate::Result;
use crate::error::{CommitError, RowError};
use crate::session::Session;
use crate::stage::{Keep, Run, Stage};
use crate::step::Stored;

const NAME: &str = "rows of a query";

/// A query with a fingerprint query.
pub(crate) struct QueryStage<T> {
    session: Session,
    schema: RowSchema,
    state: Mutex<State<T>>,
}

struct State<T> {
    /// Cloned for each reading.
    rows: QueryRows<T>,
    /// Where the rows are, once a run came by them.
    stored: Option<(Checkpoint, Table)>,
}

impl<T: RowType> QueryStage<T> {
    pub(crate) fn new(session: &Session, rows: QueryRows<T>) -> Self {
        let schema = rows.schema().clone();
        Self { session: session.clone(), schema, state: Mutex::new(State { rows, stored: None }) }
    }

    fn stored_input(&self, (checkpoint, table): (Checkpoint, Table)) -> TableInput {
        by_content(&self.session, Some(checkpoint), NAME, table, self.schema.clone())
    }
}

impl<T: RowType> Stage<T> for QueryStage<T> {
    fn name(&self) -> String {
        NAME.to_owned()
    }

    fn input(&self, run: &mut Run<'_>) -> Result<Arc<dyn Input<T>>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stored) = &state.stored {
            let input = self.stored_input(stored.clone());
            run.source(NAME, &input.fingerprint);
            return Ok(Arc::new(input));
        }
        let mut rows = state.rows.clone();
        let identity = rows.fingerprint()?.expect("a query with a fingerprint query");
        let spool = Spool::new(&self.session, NAME.to_owned(), self.schema.clone(), Box::new(rows));
        let input = QueriedRows::new(&identity, &self.schema, spool);
        run.source(NAME, &input.fingerprint);
        let Stored { checkpoint, table, .. } = run.rows_as(&input, &Keep, &self.schema)?;
        let stored = (checkpoint, table);
        if run.plan.is_none() {
            state.stored = Some(stored.clone());
        }
        Ok(Arc::new(self.stored_input(stored)))
    }
}

/// The rows of a query as they come, with an identity that is known before.
struct QueriedRows<T> {
    fingerprint: Fingerprint,
    schema: RowSchema,
    spool: Spool<T>,
    /// The rows, once they came.
    input: OnceLock<TableInput>,
}

impl<T: RowType> QueriedRows<T> {
    fn new(identity: &Fingerprint, schema: &RowSchema, spool: Spool<T>) -> Self {
        let fingerprint = extend(Fingerprint::new("rowmark.rows"), "source", identity);
        let fingerprint = fingerprint.with_hash("row schema", schema.content_hash(), schema);
        Self { fingerprint, schema: schema.clone(), spool, input: OnceLock::new() }
    }

    fn read(&self) -> Result<&TableInput> {
        if self.input.get().is_none() {
            let _ = self.input.set(self.spool.input()?);
        }
        Ok(self.input.get().expect("it was just set"))
    }
}

impl<T: RowType> Input<T> for QueriedRows<T> {
    fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    fn schema(&self) -> &RowSchema {
        &self.schema
    }

    fn rows(&self) -> Result<u64> {
        Ok(self.read()?.table.rows_out())
    }

    /// The database may give the rows in another order to the next process.
    fn is_repeatable(&self) -> bool {
        false
    }

    fn reader(&self) -> Result<Box<dyn Reader<T> + '_>, RowError> {
        // The number of rows was asked for first, at which they came.
        Input::<T>::reader(self.input.get().expect("rows are counted before they are read"))
    }

    fn shown(&self, row: u64) -> Option<String> {
        Input::<T>::shown(self.input.get()?, row)
    }

    fn verify(&self) -> Result<(), CommitError> {
        Ok(())
    }
}
