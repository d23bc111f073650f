//! Rows as a step sees them: numbered by the nearest stored thing, some of them filtered out.
//!
//! Filters are not steps: they are evaluated on the way, by the worker that reads a row, so a range
//! of the stored thing's rows is known without evaluating anything and nothing is copied.

use std::sync::Arc;

use rowmark_hashing::Fingerprint;
use rowmark_metastore::{Checkpoint, CheckpointStatus};
use rowmark_readers::Source;
use rowmark_rows::{RowRange, RowSchema, RowType};
use rowmark_warehouse::Table;

use crate::error::{CommitError, RowError};
use crate::session::Session;
use crate::udf::Udf;
use crate::{Error, store};

/// One item for each row of the range, in order; `None` for a row that was filtered out.
pub(crate) type Rows<'a, T> = Box<dyn Iterator<Item = Result<Option<T>, RowError>> + 'a>;

/// A deterministic sequence of rows that can be read by range, from many threads.
pub(crate) trait Input<T>: Send + Sync {
    /// Everything that decides which rows these are.
    fn fingerprint(&self) -> &Fingerprint;
    /// The columns of the rows.
    fn schema(&self) -> &RowSchema;
    /// The number of rows, those that are filtered out included.
    fn rows(&self) -> Result<u64, Error>;
    /// Reads the rows of a range.
    fn read(&self, range: RowRange) -> Result<Rows<'_, T>, RowError>;
    /// Makes sure that what was read is what was fingerprinted; called before rows are committed.
    fn verify(&self) -> Result<(), CommitError>;
}

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

    fn read(&self, range: RowRange) -> Result<Rows<'_, S::Row>, RowError> {
        Ok(Box::new(self.source.read(range)?.map(|row| Ok(Some(row?)))))
    }

    fn verify(&self) -> Result<(), CommitError> {
        Ok(self.source.verify()?)
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
}

impl TableInput {
    /// Sees to it that the next run computes a damaged table anew instead of meeting the damage again.
    fn distrust(&self, error: &RowError) {
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

    fn read(&self, range: RowRange) -> Result<Rows<'_, T>, RowError> {
        let rows = table_rows(&self.table, &self.schema, range);
        Ok(Box::new(rows.map(|row| row.map(Some).inspect_err(|error| self.distrust(error)))))
    }

    fn verify(&self) -> Result<(), CommitError> {
        Ok(())
    }
}

/// The rows of a range of a table, decoded a batch at a time.
pub(crate) fn table_rows<'a, T: RowType>(
    table: &'a Table,
    schema: &'a RowSchema,
    range: RowRange,
) -> impl Iterator<Item = Result<T, RowError>> + 'a {
    table.scan_rows(range).flat_map(move |batch| {
        let rows = batch.map_err(RowError::from).and_then(|batch| Ok(schema.decode::<T>(&batch)?));
        let (rows, error) = match rows {
            Ok(rows) => (rows, None),
            Err(error) => (Vec::new(), Some(Err(error))),
        };
        rows.into_iter().map(Ok).chain(error)
    })
}

/// The rows of another input that a predicate keeps.
pub(crate) struct FilterInput<T, U> {
    input: Arc<dyn Input<T>>,
    predicate: Arc<U>,
    name: &'static str,
    fingerprint: Fingerprint,
}

impl<T, U: Udf<T, Output = bool>> FilterInput<T, U> {
    pub(crate) fn new(input: Arc<dyn Input<T>>, predicate: Arc<U>) -> Result<Self, Error> {
        let identity = predicate.identity();
        let name = identity.name();
        // The whole identity counts: another body of a filter keeps other rows.
        let fingerprint = input.fingerprint().clone().with("filter", name)?;
        let label = format!("filter {name}");
        let fingerprint = extend(fingerprint, &label, identity.parameters()?);
        let fingerprint = extend(fingerprint, &label, identity.code_fingerprint()?);
        Ok(Self { input, predicate, name, fingerprint })
    }

    fn keep(&self, row: T) -> Result<Option<T>, RowError> {
        let keep = self
            .predicate
            .call(&row)
            .map_err(|source| RowError::Udf { udf: self.name.to_owned(), source })?;
        Ok(keep.then_some(row))
    }
}

impl<T, U: Udf<T, Output = bool>> Input<T> for FilterInput<T, U> {
    fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    fn schema(&self) -> &RowSchema {
        self.input.schema()
    }

    fn rows(&self) -> Result<u64, Error> {
        self.input.rows()
    }

    fn read(&self, range: RowRange) -> Result<Rows<'_, T>, RowError> {
        let rows = self.input.read(range)?;
        Ok(Box::new(rows.map(|row| row?.map_or(Ok(None), |row| self.keep(row)))))
    }

    fn verify(&self) -> Result<(), CommitError> {
        self.input.verify()
    }
}

/// Adds the components of `other` to a fingerprint, their labels behind `prefix`.
pub(crate) fn extend(fingerprint: Fingerprint, prefix: &str, other: &Fingerprint) -> Fingerprint {
    other.components().iter().fold(fingerprint, |fingerprint, component| {
        fingerprint.with_hash(&format!("{prefix} {}", component.label), component.hash, &component.shown)
    })
}
