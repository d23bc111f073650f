//! The trait that both stores of tables implement.
//!
//! Three rules hold for every implementation, and the contract (feature `contract-tests`) checks them:
//!
//! - **A table has one writer**, and while it has one it cannot be renamed, copied or dropped.
//! - **All or nothing.** Each of these operations is whole or has not happened, whatever happens half way.
//! - **A reader keeps what it opened.** An open [`Table`] does not change when the table is written on, renamed or
//!   dropped.

use std::fmt::Debug;
use std::time::SystemTime;

use rowmark_rows::RowSchema;

use crate::{Error, Table, TableFilter, TableName, TableWriter};

/// Keeps tables: finds, makes, renames, copies and drops them as a whole.
///
/// ```
/// use rowmark_hashing::ContentHash;
/// use rowmark_rows::{RowRange, RowRanges, RowSchema};
/// use rowmark_warehouse::{CodeId, DatasetName, MemoryWarehouse, Seal, TableName, Warehouse};
///
/// let warehouse: &dyn Warehouse = &MemoryWarehouse::new();
/// let name = TableName::dataset(DatasetName::new("squares")?, 1);
/// let schema = RowSchema::of::<u64>()?;
/// let code = CodeId::new(ContentHash::of(&"x * x")?);
///
/// let mut writer = warehouse.create(&name, &schema, b"")?;
/// writer.append(RowRange::new(0, 3), code, &schema.encode(&[0_u64, 1, 4])?)?;
/// writer.commit()?;                       // from here on, no crash can lose these rows
/// drop(writer);
///
/// let mut writer = warehouse.resume(&name)?;
/// assert_eq!(writer.processed().to_string(), "0..3");
/// writer.append(RowRange::new(3, 4), code, &schema.encode(&[9_u64])?)?;
/// let content_hash = ContentHash::of(&[0_u64, 1, 4, 9])?;
/// let seal = Seal { rows_in: 4, failed: RowRanges::new(), content_hash, record: Vec::new() };
/// let table = writer.seal(seal)?;
///
/// let mut rows = Vec::new();
/// for batch in table.scan() {
///     rows.extend(schema.decode::<u64>(&batch?)?);
/// }
/// assert_eq!(rows, [0, 1, 4, 9]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Warehouse: Debug + Send + Sync {
    /// Makes a table, which is empty and durable when this answers.
    ///
    /// `record` is kept with the table for the caller and may hold up to
    /// [`RECORD_BYTES_MAX`](crate::RECORD_BYTES_MAX) bytes.
    ///
    /// # Errors
    ///
    /// [`Error::TableExists`], [`Error::BeingWritten`], [`Error::UnsupportedColumn`], [`Error::TooLarge`], or
    /// [`Error::Io`].
    fn create(
        &self,
        name: &TableName,
        schema: &RowSchema,
        record: &[u8],
    ) -> Result<Box<dyn TableWriter>, Error>;

    /// Makes a table whose batches will be [appended with their inputs](TableWriter::append_with_inputs). They can be
    /// in any table; one that was made for them has them in its first segment.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create).
    fn create_with_inputs(
        &self,
        name: &TableName,
        schema: &RowSchema,
        record: &[u8],
    ) -> Result<Box<dyn TableWriter>, Error> {
        self.create(name, schema, record)
    }

    /// Goes on with a table that is not sealed: what it holds is verified and made durable.
    ///
    /// # Errors
    ///
    /// [`Error::TableMissing`], [`Error::TableSealed`], [`Error::BeingWritten`], [`Error::Damaged`],
    /// [`Error::NewerFormat`], or [`Error::Io`].
    fn resume(&self, name: &TableName) -> Result<Box<dyn TableWriter>, Error>;

    /// Opens a table for reading, or answers `None` when there is none of that name.
    ///
    /// A sealed table opens without a look at its rows; of another, every batch is verified.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`], [`Error::NewerFormat`], or [`Error::Io`].
    fn open_table(&self, name: &TableName) -> Result<Option<Table>, Error>;

    /// Gives a table another name, durably, in time that does not depend on its rows.
    ///
    /// # Errors
    ///
    /// [`Error::TableExists`], [`Error::TableMissing`], [`Error::BeingWritten`], or [`Error::Io`].
    fn rename(&self, from: &TableName, to: &TableName) -> Result<(), Error>;

    /// Makes a second table of the same rows; both go on from there on their own.
    ///
    /// It takes time in proportion to the table's segments, where files can be linked.
    ///
    /// # Errors
    ///
    /// [`Error::TableExists`], [`Error::TableMissing`], [`Error::BeingWritten`], or [`Error::Io`].
    fn copy(&self, from: &TableName, to: &TableName) -> Result<(), Error>;

    /// Copies a sealed table, as [`Warehouse::copy`] does, and stores another record with it.
    ///
    /// # Errors
    ///
    /// As [`Warehouse::copy`]; also [`Error::TableNotSealed`], [`Error::TooLarge`], and [`Error::Damaged`] when the
    /// footer is.
    fn copy_with_record(&self, from: &TableName, to: &TableName, record: &[u8]) -> Result<(), Error>;

    /// Makes a second table of the rows of an open one, sealed or not, under a record of its own, and goes on with it: so
    /// that rows that are done elsewhere, or failed, can be gone on from.
    ///
    /// What was verified when `from` was opened is not verified again: of a table that is sealed nothing is, until it is
    /// read. The table that was opened is to be there still, under its name. It takes time in proportion to the table's
    /// segments, where files can be linked.
    ///
    /// # Errors
    ///
    /// As [`Warehouse::copy`]; also [`Error::TooLarge`], and [`Error::Damaged`] when the table has become shorter.
    ///
    /// # Panics
    ///
    /// When `from` is a table of another store.
    fn resume_copy(&self, from: &Table, to: &TableName, record: &[u8])
    -> Result<Box<dyn TableWriter>, Error>;

    /// Removes a table, if it exists; answers whether it did.
    ///
    /// # Errors
    ///
    /// [`Error::BeingWritten`], or [`Error::Io`].
    fn drop(&self, name: &TableName) -> Result<bool, Error>;

    /// The names of tables, in alphabetical order.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    fn list(&self, filter: &TableFilter) -> Result<Vec<TableName>, Error>;

    /// Whether a table is there and sealed; its rows are not looked at.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    fn is_sealed(&self, name: &TableName) -> Result<bool, Error>;

    /// The bytes that a table takes, or `None` when there is no such table.
    ///
    /// What it shares with a copy counts for both.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    fn size_bytes(&self, name: &TableName) -> Result<Option<u64>, Error>;

    /// When a table was last written: at its last commit or seal, also those of tables that it shares segments with.
    /// `None` when there is no such table, and where times are not kept.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    fn written_at(&self, name: &TableName) -> Result<Option<SystemTime>, Error>;

    /// Removes what crashes left behind: files and tables that were not whole yet, or not whole any more.
    ///
    /// It is for the one process that writes the store; answers how many were removed.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    fn remove_leftovers(&self) -> Result<usize, Error>;
}
