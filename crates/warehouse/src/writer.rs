//! The trait of a table's one writer, and the rules that are the same for every implementation.

use std::fmt::Debug;

use arrow_array::RecordBatch;
use rowmark_rows::{RowRange, RowRanges, RowSchema};

use crate::{BatchDigests, CodeId, Error, Frame, InputRow, RECORD_BYTES_MAX, Seal, Table, TableName};

/// The one writer of a table; made by [`Warehouse::create`](crate::Warehouse::create) and
/// [`Warehouse::resume`](crate::Warehouse::resume).
///
/// Of batches that were appended and not committed any may be lost when it is dropped, or the process dies. Readers see
/// what is written, and make it durable before.
pub trait TableWriter: Debug + Send {
    /// The table's name.
    fn name(&self) -> &TableName;

    /// What the table's rows look like.
    fn schema(&self) -> &RowSchema;

    /// The input rows that are committed or appended.
    fn processed(&self) -> &RowRanges;

    /// How many rows are committed or appended.
    fn rows_out(&self) -> u64;

    /// The batches that are committed or appended: first those that the writer found, in the order of
    /// their input rows, then its own as they came.
    fn frames(&self) -> &[Frame];

    /// Adds the output of the input rows `range`, made by `code`; a batch without rows is one too.
    ///
    /// The batch is durable after the next [`TableWriter::commit`]; a writer may write it, and make it durable, before.
    ///
    /// # Errors
    ///
    /// [`Error::Overlap`], [`Error::EmptyRange`], [`Error::SchemaMismatch`], [`Error::TooLarge`] or
    /// [`Error::Encode`], after which the writer goes on as if nothing had happened;
    /// [`Error::WriterFailed`], or [`Error::Io`].
    fn append(&mut self, range: RowRange, code: CodeId, batch: &RecordBatch) -> Result<(), Error>;

    /// Adds a batch as [`append`](Self::append) does, and what is known of its input rows: one for each row of
    /// `range`, in order; and digests, as far as there are any. [`Table::inputs`] and [`Table::digests`] read them.
    ///
    /// # Errors
    ///
    /// As [`append`](Self::append).
    ///
    /// # Panics
    ///
    /// When there are more or fewer inputs than rows in `range`, other outputs than rows in `batch`, or digests of more.
    fn append_with_inputs(
        &mut self,
        range: RowRange,
        code: CodeId,
        batch: &RecordBatch,
        inputs: &[InputRow],
        digests: &BatchDigests,
    ) -> Result<(), Error>;

    /// Sees to it that what was appended becomes durable soon, and need not wait for it: the next
    /// [`TableWriter::commit`] does.
    ///
    /// # Errors
    ///
    /// As [`TableWriter::commit`], also of what was begun before.
    fn begin_commit(&mut self) -> Result<(), Error> {
        self.commit()
    }

    /// Makes what was appended durable, or does nothing if there is nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], after which the writer answers [`Error::WriterFailed`] to everything: what was
    /// appended since the last commit is to be appended again to a resumed writer, as far as that
    /// does not hold it.
    fn commit(&mut self) -> Result<(), Error>;

    /// Commits, and opens the table as far as it is written. What the writer found was verified when it was resumed, so
    /// nothing is read here; a batch is checked when it is read.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] when a file of the table is gone, and those of [`TableWriter::commit`].
    fn written(&mut self) -> Result<Table, Error>;

    /// Stores another record with the table; commits what was appended. It is durable with the next batch.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`], and those of [`TableWriter::commit`].
    fn set_record(&mut self, record: &[u8]) -> Result<(), Error>;

    /// Commits, and closes the table for good: each of its input rows must have been processed or have failed.
    ///
    /// # Errors
    ///
    /// [`Error::Incomplete`] when there are other rows than `0..seal.rows_in`, [`Error::Overlap`] when some have been
    /// processed and have failed, [`Error::TooLarge`], and those of [`TableWriter::commit`]; the table can be resumed
    /// then.
    fn seal(self: Box<Self>, seal: Seal) -> Result<Table, Error>;
}

/// Refuses a batch that would process no input row, or one twice, or that holds other columns.
pub(crate) fn check_batch(
    writer: &dyn TableWriter,
    range: RowRange,
    batch: &RecordBatch,
) -> Result<(), Error> {
    let table = || writer.name().clone();
    if range.is_empty() {
        return Err(Error::EmptyRange { table: table(), range, rows: batch.num_rows() });
    }
    if let Some(other) = writer.processed().overlap(range) {
        return Err(Error::Overlap { table: table(), range, other });
    }
    match writer.schema().first_difference(&RowSchema::from_arrow(batch.schema())) {
        Some(difference) => Err(Error::SchemaMismatch { table: table(), difference: Box::new(difference) }),
        None => Ok(()),
    }
}

/// Refuses a seal that does not tell of each input row exactly once what became of it.
pub(crate) fn check_complete(writer: &dyn TableWriter, seal: &Seal) -> Result<(), Error> {
    let (table, rows_in) = (writer.name().clone(), seal.rows_in);
    let mut settled = writer.processed().clone();
    for range in &seal.failed {
        if let Some(other) = settled.overlap(range) {
            return Err(Error::Overlap { table, range, other });
        }
    }
    settled.extend(&seal.failed);
    let missing = settled.missing_in(RowRange::new(0, rows_in));
    let beyond = RowRange::new(rows_in, u64::MAX);
    let surplus: RowRanges = settled.iter().filter_map(|range| range.intersect(beyond)).collect();
    if missing.is_empty() && surplus.is_empty() {
        return Ok(());
    }
    Err(Error::Incomplete { table, rows_in, missing, surplus })
}

pub(crate) fn check_record(table: &TableName, record: &[u8]) -> Result<(), Error> {
    check_size(table, "the record", record.len(), RECORD_BYTES_MAX)
}

pub(crate) fn check_size(
    table: &TableName,
    what: &'static str,
    bytes: usize,
    bytes_max: u64,
) -> Result<(), Error> {
    let bytes = bytes as u64;
    if bytes > bytes_max {
        return Err(Error::TooLarge { table: table.clone(), what, bytes, bytes_max });
    }
    Ok(())
}
