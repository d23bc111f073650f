//! Sorted runs on disk: scratch tables with the key and the number of each row beside it.

use std::marker::PhantomData;
use std::sync::Arc;

use arrow_array::{Array as _, ArrayRef, RecordBatch, StructArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use rowmark_hashing::ContentHash;
use rowmark_rows::{RowRange, RowRanges, RowSchema};
use rowmark_warehouse::{CodeId, Seal, Table, TableName, UdfTable};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Chunk, SortKey};
use crate::error::CommitError;
use crate::session::Session;

/// The column of a run that holds the rows.
const ROWS_COLUMN: &str = "rows";

/// What stands beside each row of a run.
#[derive(Serialize, Deserialize)]
struct RunKey<K> {
    key: K,
    number: u64,
}

/// How runs are laid out.
pub(crate) struct RunFormat<K> {
    keys: RowSchema,
    rows: RowSchema,
    whole: RowSchema,
    key: PhantomData<fn() -> K>,
}

impl<K: SortKey> RunFormat<K> {
    pub(crate) fn new(rows: &RowSchema) -> Result<Self, CommitError> {
        let keys = RowSchema::of::<RunKey<K>>()?;
        let mut fields = keys.arrow().fields().to_vec();
        let row = DataType::Struct(rows.arrow().fields().clone());
        fields.push(Arc::new(Field::new(ROWS_COLUMN, row, false)));
        let whole = RowSchema::from_arrow(Arc::new(Schema::new(fields)));
        Ok(Self { keys, rows: rows.clone(), whole, key: PhantomData })
    }

    fn encode(&self, Chunk { keys, rows }: Chunk<K>) -> Result<RecordBatch, CommitError> {
        let keys: Vec<_> = keys.into_iter().map(|(key, number)| RunKey { key, number }).collect();
        let mut columns: Vec<ArrayRef> = self.keys.encode(&keys)?.columns().to_vec();
        columns.push(Arc::new(StructArray::from(rows)));
        Ok(RecordBatch::try_new(Arc::clone(self.whole.arrow()), columns)?)
    }

    fn decode(&self, batch: &RecordBatch) -> Result<Chunk<K>, CommitError> {
        let (rows, keys) = batch.columns().split_last().expect("the rows stand last");
        let keys = RecordBatch::try_new(Arc::clone(self.keys.arrow()), keys.to_vec())?;
        let keys =
            self.keys.decode::<RunKey<K>>(&keys)?.into_iter().map(|RunKey { key, number }| (key, number));
        let rows = rows.as_any().downcast_ref::<StructArray>().expect("the schema says so");
        let rows = RecordBatch::try_new(Arc::clone(self.rows.arrow()), rows.columns().to_vec())?;
        Ok(Chunk { keys: keys.collect(), rows })
    }
}

/// Where runs go. Dropping it removes them; one that is being read can be read on.
pub(crate) struct Scratch {
    session: Session,
    job: Uuid,
    step: ContentHash,
    tables: Vec<TableName>,
}

impl Scratch {
    /// The scratch tables of one sort of a step.
    pub(crate) fn new(session: &Session, job: Uuid, step: ContentHash) -> Self {
        Self { session: session.clone(), job, step, tables: Vec::new() }
    }

    /// The name of another table.
    pub(crate) fn next_table(&mut self) -> Result<TableName, CommitError> {
        let hash = ContentHash::of(&("rowmark.run", self.step, self.tables.len()))?;
        let name = TableName::udf(self.job, hash, UdfTable::Partition);
        self.session.warehouse().drop(&name)?;
        self.tables.push(name.clone());
        Ok(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for table in &self.tables {
            if let Err(error) = self.session.warehouse().drop(table) {
                tracing::warn!(%table, "a scratch table stays until the next open: {error}");
            }
        }
    }
}

/// A sorted run.
pub(crate) struct Run<K> {
    table: Table,
    format: Arc<RunFormat<K>>,
}

impl<K: SortKey> Run<K> {
    /// Writes the chunks that `next` gives, until there are none.
    pub(crate) fn write(
        format: &Arc<RunFormat<K>>,
        scratch: &mut Scratch,
        mut next: impl FnMut() -> Result<Option<Chunk<K>>, CommitError>,
    ) -> Result<Self, CommitError> {
        let code = CodeId::new(scratch.step);
        let name = scratch.next_table()?;
        let mut writer = scratch.session.warehouse().create(&name, &format.whole, b"")?;
        let mut rows_in = 0;
        while let Some(chunk) = next()? {
            let range = RowRange::new(rows_in, rows_in + chunk.keys.len() as u64);
            writer.append(range, code, &format.encode(chunk)?)?;
            rows_in = range.end();
        }
        // Nobody continues from a run, so nobody compares its content.
        let seal = Seal { rows_in, content_hash: scratch.step, record: Vec::new(), failed: RowRanges::new() };
        Ok(Self { table: writer.seal(seal)?, format: Arc::clone(format) })
    }

    /// What its rows look like, without their keys.
    pub(crate) fn rows_schema(&self) -> SchemaRef {
        Arc::clone(self.format.rows.arrow())
    }

    /// The chunks of the run, in their order.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = Result<Chunk<K>, CommitError>> + use<K> {
        let format = Arc::clone(&self.format);
        self.table.scan().map(move |batch| format.decode(&batch?))
    }
}
