//! Rows that can be read only once, stored while they are hashed.
//!
//! What was computed from them is found again by their content: a rerun consumes the source, stores its rows for as long
//! as it needs them, finds that they are what they were, and skips what is done. The table is scratch: it goes with the
//! chain, or with the next open after a crash.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rowmark_hashing::{ContentHash, ContentHasher, Fingerprint};
use rowmark_metastore::{Checkpoint, JobId};
use rowmark_rows::{RowRange, RowRanges, RowSchema, RowType};
use rowmark_warehouse::{CodeId, Seal, Table, TableName, TableWriter, UdfTable};

use super::TableInput;
use crate::session::Session;
use crate::{Error, Result};

/// Rows that are stored together, and their bytes as far as can be told from those before.
const BATCH_ROWS_MAX: usize = 8192;
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// The first batch is small, since the size of its rows is not known.
const FIRST_BATCH_ROWS: usize = 16;

/// Rows that come once.
pub(crate) type Once<T> = Box<dyn Iterator<Item = Result<T, rowmark_readers::Error>> + Send>;

/// Rows that come once, and the table in which they are once they came.
pub(crate) struct Spool<T> {
    session: Session,
    name: String,
    schema: RowSchema,
    state: Mutex<State<T>>,
}

enum State<T> {
    Waiting(Once<T>),
    Stored(Box<Spooled>),
    /// Reading them failed half way.
    Lost,
}

/// The table of rows that came.
struct Spooled {
    session: Session,
    table: Table,
}

impl Drop for Spooled {
    fn drop(&mut self) {
        // Whoever still reads it can read on.
        if let Err(error) = self.session.warehouse().drop(self.table.name()) {
            tracing::warn!(table = %self.table.name(), "a scratch table stays until the next open: {error}");
        }
    }
}

impl<T> fmt::Debug for Spool<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Spool").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<T: RowType> Spool<T> {
    pub(crate) fn new(session: &Session, name: String, schema: RowSchema, rows: Once<T>) -> Self {
        let state = Mutex::new(State::Waiting(rows));
        Self { session: session.clone(), name, schema, state }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The rows as a table; consumes the source if this is the first call.
    pub(crate) fn input(&self) -> Result<TableInput> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Waiting(_) = &*state {
            let State::Waiting(rows) = std::mem::replace(&mut *state, State::Lost) else {
                unreachable!("it was just looked at")
            };
            *state = State::Stored(Box::new(self.store(rows)?));
        }
        let State::Stored(stored) = &*state else { return Err(Error::Consumed { name: self.name.clone() }) };
        let (table, schema) = (stored.table.clone(), self.schema.clone());
        Ok(by_content(&self.session, None, &self.name, table, schema))
    }

    fn store(&self, rows: Once<T>) -> Result<Spooled> {
        /// Tells the spools of a process from each other. Relaxed: nothing is ordered by it.
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let warehouse = self.session.warehouse();
        let hash = ContentHash::of(&("rowmark.spool", number))?;
        // A look at what would be done begins no job.
        let job = self.session.job().map_or_else(JobId::new, |job| job.id);
        let name = TableName::udf(*job.as_uuid(), hash, UdfTable::Partition);
        let mut writer = warehouse.create(&name, &self.schema, b"")?;
        match self.write(rows, &mut *writer, CodeId::new(hash)) {
            Ok(seal) => {
                let table = writer.seal(seal)?;
                tracing::info!(source = self.name, rows = table.rows_out(), "rows stored");
                Ok(Spooled { session: self.session.clone(), table })
            }
            Err(error) => {
                drop(writer);
                warehouse.drop(&name)?;
                Err(error)
            }
        }
    }

    /// Writes and hashes all rows; in memory are those of one batch.
    fn write(&self, mut rows: Once<T>, writer: &mut dyn TableWriter, code: CodeId) -> Result<Seal> {
        let mut hasher = ContentHasher::new();
        let (mut rows_in, mut batch_rows) = (0, FIRST_BATCH_ROWS);
        loop {
            let batch: Vec<T> = rows.by_ref().take(batch_rows).collect::<Result<_, _>>()?;
            if batch.is_empty() {
                return Ok(Seal {
                    rows_in,
                    content_hash: hasher.finish(),
                    record: Vec::new(),
                    failed: RowRanges::new(),
                });
            }
            hasher.par_update(&batch)?;
            let encoded = self.schema.encode(&batch)?;
            let range = RowRange::new(rows_in, rows_in + batch.len() as u64);
            writer.append(range, code, &encoded)?;
            rows_in = range.end();
            let row_bytes = (encoded.get_array_memory_size() / batch.len()).max(1);
            batch_rows = (BATCH_BYTES / row_bytes).clamp(1, BATCH_ROWS_MAX);
        }
    }
}

/// The rows of a table that are known by their content alone.
pub(super) fn by_content(
    session: &Session,
    checkpoint: Option<Checkpoint>,
    name: &str,
    table: Table,
    schema: RowSchema,
) -> TableInput {
    let content = table.seal().map(|seal| seal.content_hash).expect("it was finished");
    let shown = format_args!("{name}, {}…, {} rows", content.short(), table.rows_out());
    let fingerprint = Fingerprint::new("rowmark.rows").with_hash("input content", content, shown).with_hash(
        "row schema",
        schema.content_hash(),
        &schema,
    );
    TableInput::new(session, checkpoint, table, schema, fingerprint)
}
