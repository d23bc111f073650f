//! Rows that are stored: those of a source, and those of a table.

use std::sync::{Arc, OnceLock};

use arrow_array::RecordBatch;
use rowmark_hashing::{ChunkDigest, ContentHash, Fingerprint};
use rowmark_metastore::{Checkpoint, CheckpointStatus};
use rowmark_readers::Source;
use rowmark_rows::{RowRange, RowSchema, RowType};
use rowmark_warehouse::{Frame, Table};

use super::{Input, Reader, Rows, extend, shown};
use crate::digests::Digests;
use crate::error::{CommitError, RowError};
use crate::function::type_text;
use crate::session::Session;
use crate::{Error, store};

/// Rows of a table that are decoded at a time: one input of a `flat_map` may have made a batch of millions.
pub(crate) const DECODED_ROWS_MAX: u64 = 1024;

/// The rows of a source.
pub(crate) struct SourceInput<S> {
    source: Arc<S>,
    schema: RowSchema,
    fingerprint: Fingerprint,
}

impl<S: Source<Row: RowType>> SourceInput<S> {
    pub(crate) fn new(source: Arc<S>) -> Result<Self, Error> {
        let schema = source.schema()?;
        let of_source = source.fingerprint()?;
        let fingerprint = Fingerprint::new("rowmark.rows").with("source", of_source.domain())?;
        let fingerprint = extend(fingerprint, "source", &of_source);
        let fingerprint = fingerprint.with_hash("row schema", schema.content_hash(), &schema);
        Ok(Self { source, schema, fingerprint })
    }
}

impl<S: Source<Row: RowType>> Input<S::Row> for SourceInput<S> {
    fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    fn schema(&self) -> &RowSchema {
        &self.schema
    }

    fn rows(&self) -> Result<u64, Error> {
        Ok(self.source.rows()?)
    }

    fn reader(&self) -> Result<Box<dyn Reader<S::Row> + '_>, RowError> {
        Ok(Box::new(SourceReader(&*self.source)))
    }

    fn shown(&self, row: u64) -> Option<String> {
        let mut reader: Box<dyn Reader<S::Row>> = self.reader().ok()?;
        shown(reader.read(RowRange::new(row, row + 1)).ok()?)
    }

    fn verify(&self) -> Result<(), CommitError> {
        Ok(self.source.verify()?)
    }
}

struct SourceReader<'a, S>(&'a S);

impl<S: Source> Reader<S::Row> for SourceReader<'_, S> {
    fn read(&mut self, range: RowRange) -> Result<Rows<'_, S::Row>, RowError> {
        Ok(Box::new(self.0.read(range)?.map(|row| Ok(Some(row?)))))
    }
}

/// The rows of a sealed table.
pub(crate) struct TableInput {
    pub(crate) session: Session,
    /// The checkpoint that vouches for the table, if there is one.
    pub(crate) checkpoint: Option<Checkpoint>,
    pub(crate) table: Table,
    pub(crate) schema: RowSchema,
    pub(crate) fingerprint: Fingerprint,
    /// Those that are stored with the table, once they are asked for.
    digests: OnceLock<Digests>,
}

impl TableInput {
    pub(crate) fn new(
        session: &Session,
        checkpoint: Option<Checkpoint>,
        table: Table,
        schema: RowSchema,
        fingerprint: Fingerprint,
    ) -> Self {
        Self { session: session.clone(), checkpoint, table, schema, fingerprint, digests: OnceLock::new() }
    }

    /// Sees to it that the next run computes a damaged table anew instead of meeting the damage again.
    pub(crate) fn distrust(&self, error: &RowError) {
        let RowError::Table(lost) = error else { return };
        if store::is_lost(lost)
            && let Some(Checkpoint { job, hash, kind, step, .. }) = &self.checkpoint
        {
            let told = format!("its table is not used again: {error}");
            let status = CheckpointStatus::Expired;
            let marked = self.session.metastore().set_checkpoint_status(*job, *hash, *kind, status);
            if let Err(error) = marked.map_err(Error::from).and_then(|_| self.session.warn(step, told)) {
                tracing::warn!(step, "a damaged table could not be marked: {error}");
            }
        }
    }
}

impl<T: RowType> Input<T> for TableInput {
    fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    fn schema(&self) -> &RowSchema {
        &self.schema
    }

    fn rows(&self) -> Result<u64, Error> {
        Ok(self.table.rows_out())
    }

    /// The rows of whole chunks are known by the digests of these.
    fn digest(&self, rows: RowRange) -> Option<ContentHash> {
        // What cannot be read is no help, and told when the rows are read.
        let stored = || Digests::default().with_stored(&self.table).unwrap_or_default();
        let chunks = self.digests.get_or_init(stored).of_rows(rows)?;
        let chunks: Vec<_> = chunks.iter().map(ChunkDigest::as_bytes).collect();
        let context = ("rowmark.rows by chunks", self.schema.content_hash(), type_text::<T>());
        ContentHash::of(&(context, chunks)).ok()
    }

    fn reader(&self) -> Result<Box<dyn Reader<T> + '_>, RowError> {
        Ok(Box::new(TableReader { input: self, rows: StoredRows::new(&self.table, &self.schema) }))
    }

    fn shown(&self, row: u64) -> Option<String> {
        let mut reader: Box<dyn Reader<T>> = self.reader().ok()?;
        shown(reader.read(RowRange::new(row, row + 1)).ok()?)
    }

    fn verify(&self) -> Result<(), CommitError> {
        Ok(())
    }
}

struct TableReader<'a> {
    input: &'a TableInput,
    rows: StoredRows,
}

impl<T: RowType> Reader<T> for TableReader<'_> {
    fn read(&mut self, range: RowRange) -> Result<Rows<'_, T>, RowError> {
        let Self { input, rows } = self;
        Ok(Box::new(rows.iter(range).map(|row| row.map(Some).inspect_err(|error| input.distrust(error)))))
    }
}

/// Reads the rows of a table on one thread; neighbouring ranges share the batch that they both lie in.
pub(crate) struct StoredRows {
    table: Table,
    schema: RowSchema,
    /// The first output row behind each batch.
    ends: Vec<u64>,
    /// The batch that was read last, by its position.
    last: Option<(usize, RecordBatch)>,
}

/// The first output row behind each batch of a table.
pub(crate) fn row_ends(table: &Table) -> Vec<u64> {
    let rows = table.frames().iter().map(Frame::rows);
    rows.scan(0, |end, rows| {
        *end += rows;
        Some(*end)
    })
    .collect()
}

impl StoredRows {
    pub(crate) fn new(table: &Table, schema: &RowSchema) -> Self {
        Self { ends: row_ends(table), table: table.clone(), schema: schema.clone(), last: None }
    }

    /// The rows of a range, decoded a piece at a time; it ends after an error.
    pub(crate) fn iter<T: RowType>(
        &mut self,
        range: RowRange,
    ) -> impl Iterator<Item = Result<T, RowError>> + '_ {
        let mut left = RowRange::new(range.start(), range.end().min(self.table.rows_out()));
        let mut decoded = Vec::new().into_iter();
        std::iter::from_fn(move || {
            while decoded.len() == 0 && !left.is_empty() {
                match self.decode(left) {
                    Ok(rows) => {
                        left = RowRange::new(left.start() + rows.len() as u64, left.end());
                        decoded = rows.into_iter();
                    }
                    Err(error) => {
                        left = RowRange::new(left.end(), left.end());
                        return Some(Err(error));
                    }
                }
            }
            decoded.next().map(Ok)
        })
    }

    /// The first rows of a range that is not empty: at least one.
    pub(crate) fn decode<T: RowType>(&mut self, range: RowRange) -> Result<Vec<T>, RowError> {
        let position = self.ends.partition_point(|&end| end <= range.start());
        let frame = self.table.frames()[position];
        let first = self.ends[position] - frame.rows();
        if self.last.as_ref().is_none_or(|(last, _)| *last != position) {
            self.last = Some((position, self.table.read(&frame)?));
        }
        let (_, batch) = self.last.as_ref().expect("it was read");
        let rows = range.len().min(self.ends[position] - range.start()).min(DECODED_ROWS_MAX);
        Ok(self.schema.decode(&batch.slice((range.start() - first) as usize, rows as usize))?)
    }
}

/// The last row of a table, or another when it has none: the result of a fold, whose table holds its states.
pub(crate) struct LastRowInput<T> {
    pub(crate) rows: TableInput,
    pub(crate) otherwise: T,
}

impl<T: RowType + Clone> Input<T> for LastRowInput<T> {
    fn fingerprint(&self) -> &Fingerprint {
        &self.rows.fingerprint
    }

    fn schema(&self) -> &RowSchema {
        &self.rows.schema
    }

    fn rows(&self) -> Result<u64, Error> {
        Ok(1)
    }

    fn reader(&self) -> Result<Box<dyn Reader<T> + '_>, RowError> {
        let end = self.rows.table.rows_out();
        let last = RowRange::new(end.saturating_sub(1), end);
        Ok(Box::new(LastRowReader { reader: self.rows.reader()?, last, otherwise: &self.otherwise }))
    }

    fn shown(&self, row: u64) -> Option<String> {
        let mut reader: Box<dyn Reader<T>> = self.reader().ok()?;
        shown(reader.read(RowRange::new(row, row + 1)).ok()?)
    }

    fn verify(&self) -> Result<(), CommitError> {
        Ok(())
    }
}

struct LastRowReader<'a, T> {
    reader: Box<dyn Reader<T> + 'a>,
    last: RowRange,
    otherwise: &'a T,
}

impl<T: Clone> Reader<T> for LastRowReader<'_, T> {
    fn read(&mut self, range: RowRange) -> Result<Rows<'_, T>, RowError> {
        if range.is_empty() || !self.last.is_empty() {
            return self.reader.read(if range.is_empty() { range } else { self.last });
        }
        Ok(Box::new(std::iter::once(Ok(Some(self.otherwise.clone())))))
    }
}
