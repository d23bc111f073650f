//! What can go wrong with tables, in terms of what was being done and to what.

use std::path::PathBuf;

use rowmark_rows::{RowRange, RowRanges, SchemaDifference};

use crate::TableName;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// A file does not hold what was written to it.
    #[error("{} is damaged at byte {offset}; drop the table and compute it again", path.display())]
    Damaged {
        /// The file (or the folder, when a file is missing from it).
        path: PathBuf,
        /// Where in the file the first damage is.
        offset: u64,
        /// What is wrong there.
        #[source]
        damage: Damage,
    },
    /// A file was made by a newer version of this library.
    #[error(
        "{} has format version {found}, and this program knows versions up to {supported}; use a newer rowmark",
        path.display()
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// The version in the file.
        found: u16,
        /// The newest version that is known here.
        supported: u16,
    },
    /// A file holds batches that are compressed in a way that this program was built without.
    #[error("{} has compressed batches; build rowmark with the feature `{feature}` to read them", path.display())]
    MissingFeature {
        /// The file.
        path: PathBuf,
        /// The feature of this crate.
        feature: &'static str,
    },
    /// A text is not the name of a table or of a dataset.
    #[error("{text:?} is not a valid {kind} name: {reason}")]
    InvalidName {
        /// The text, shortened.
        text: String,
        /// What it was to be the name of.
        kind: &'static str,
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// The table is there already.
    #[error("table {table} exists already")]
    TableExists {
        /// The table.
        table: TableName,
    },
    /// The table is not there.
    #[error("table {table} does not exist")]
    TableMissing {
        /// The table.
        table: TableName,
    },
    /// The table is sealed, and cannot be written any more.
    #[error("table {table} is sealed and cannot be changed")]
    TableSealed {
        /// The table.
        table: TableName,
    },
    /// The table is not sealed yet.
    #[error("table {table} is not sealed")]
    TableNotSealed {
        /// The table.
        table: TableName,
    },
    /// Somebody is writing the table.
    #[error("table {table} is being written by another writer; wait until it is done")]
    BeingWritten {
        /// The table.
        table: TableName,
    },
    /// A write failed before, so that the end of the segment is not known.
    #[error("an earlier write to table {table} failed; resume the table with a new writer")]
    WriterFailed {
        /// The table.
        table: TableName,
    },
    /// Rows were processed twice.
    #[error("rows {range} overlap with rows {other}, which are in table {table} already")]
    Overlap {
        /// The table.
        table: TableName,
        /// The range that was to be added.
        range: RowRange,
        /// The rows of it that are there.
        other: RowRange,
    },
    /// A batch without input rows cannot be told from other such batches.
    #[error("a batch of {rows} rows for the empty range {range} cannot be added to table {table}")]
    EmptyRange {
        /// The table.
        table: TableName,
        /// The range.
        range: RowRange,
        /// The rows of the batch.
        rows: usize,
    },
    /// A table cannot be sealed before all of its input is in.
    #[error(
        "table {table} cannot be sealed: of its {rows_in} input rows, {missing} are missing and {surplus} are too many"
    )]
    Incomplete {
        /// The table.
        table: TableName,
        /// How many input rows there are to be.
        rows_in: u64,
        /// Which of them are missing.
        missing: RowRanges,
        /// Which rows beyond them are in.
        surplus: RowRanges,
    },
    /// A batch does not have the schema of the table.
    #[error("a batch does not fit table {table}: {difference}")]
    SchemaMismatch {
        /// The table.
        table: TableName,
        /// The first difference, seen from the table.
        difference: Box<SchemaDifference>,
    },
    /// A table holds other rows than those that it is to be read as.
    #[error("the rows of table {table} are of another type: {difference}")]
    OtherRows {
        /// The table.
        table: TableName,
        /// The first difference, seen from the type.
        difference: Box<SchemaDifference>,
    },
    /// Values cannot be stored as rows, or read from them.
    #[error("cannot convert rows of table {table}")]
    Rows {
        /// The table.
        table: TableName,
        /// Which field it is, and why.
        #[source]
        source: Box<rowmark_rows::Error>,
    },
    /// The schema has a column that cannot be stored batch by batch.
    #[error("field {field} is {data_type}, which cannot be stored; cast it to a plain type")]
    UnsupportedColumn {
        /// The path of the field.
        field: String,
        /// Its Arrow type.
        data_type: String,
    },
    /// Something is larger than the format allows.
    #[error("{what} of table {table} has {bytes} bytes, more than {bytes_max}")]
    TooLarge {
        /// The table.
        table: TableName,
        /// What is too large.
        what: &'static str,
        /// Its size.
        bytes: u64,
        /// The largest size.
        bytes_max: u64,
    },
    /// Arrow could not encode a batch or a schema.
    #[error("cannot encode {what} of table {table} as arrow ipc")]
    Encode {
        /// The table.
        table: TableName,
        /// What was being encoded.
        what: &'static str,
        /// What Arrow said.
        #[source]
        source: arrow_schema::ArrowError,
    },
}

/// What is wrong with a damaged file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// The first bytes are not those of such a file.
    #[error("it does not begin as a {expected} does")]
    ForeignFile {
        /// What the file should be.
        expected: &'static str,
    },
    /// The file ends too early.
    #[error("it has {found} bytes where {expected} are needed")]
    Truncated {
        /// How many bytes there should be at least.
        expected: u64,
        /// How many there are.
        found: u64,
    },
    /// The checksum does not match.
    #[error("its {part} does not match its checksum")]
    Checksum {
        /// Which part of the file.
        part: &'static str,
    },
    /// A frame is broken, and it had been committed: what was written later says so.
    #[error("a frame is broken that was committed before {witness} was written")]
    CommittedFrame {
        /// The later part that proves it.
        witness: String,
    },
    /// A segment is missing from the folder.
    #[error("segment {number} is missing")]
    MissingSegment {
        /// Its number.
        number: u32,
    },
    /// A segment is not the one that was there when the next one was begun.
    #[error("segment {number} is not the one that the segment after it was written behind")]
    ForeignSegment {
        /// Its number.
        number: u32,
    },
    /// A value contradicts another one.
    #[error("its {part} contradicts the rest of the file")]
    Contradiction {
        /// The value.
        part: &'static str,
    },
    /// Two frames hold the same input rows.
    #[error("rows {range} were committed twice")]
    Overlap {
        /// The rows.
        range: RowRange,
    },
    /// A segment has another schema than the first one.
    #[error("its schema differs from the first segment's: {difference}")]
    Schema {
        /// The first difference.
        difference: Box<SchemaDifference>,
    },
    /// Arrow cannot read what the checksum says is intact.
    #[error("its {part} is not readable as arrow ipc")]
    Arrow {
        /// Which part of the file.
        part: &'static str,
        /// What Arrow said.
        #[source]
        source: arrow_schema::ArrowError,
    },
}
