//! Rows as a step sees them: numbered by the nearest stored thing, some of them filtered out.
//!
//! Filters and projections are not steps: they are evaluated on the way, by the worker that reads a row,
//! so a range of the stored thing's rows is known without evaluating anything and nothing is copied.

use rowmark_hashing::{ContentHash, Fingerprint};
use rowmark_rows::{RowRange, RowSchema, RowType};

use crate::Error;
use crate::error::{CommitError, RowError};

#[cfg(feature = "database")]
mod queried;
mod spool;
mod stored;
mod views;

#[cfg(feature = "database")]
pub(crate) use queried::QueryStage;
pub(crate) use spool::{Once, Spool};
pub(crate) use stored::{DECODED_ROWS_MAX, LastRowInput, SourceInput, StoredRows, TableInput, row_ends};
pub(crate) use views::{FilterInput, ProjectInput, SliceInput, UnionInput};

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

    /// Whether a row holds nothing but what serde writes of it, so that it can be known by its content: a projection may
    /// set fields that serde skips.
    fn is_as_stored(&self) -> bool {
        true
    }

    /// Whether no row is filtered out.
    fn is_dense(&self) -> bool {
        true
    }

    /// Whether a later process reads the same rows under the same numbers, so that a step over some of them goes on.
    fn is_repeatable(&self) -> bool {
        true
    }

    /// The digest of all that a function sees of some rows, where it is known without reading them.
    fn digest(&self, _rows: RowRange) -> Option<ContentHash> {
        None
    }

    /// Begins to read, on the thread that will.
    fn reader(&self) -> Result<Box<dyn Reader<T> + '_>, RowError>;

    /// A row as JSON, if it can be read and shown: as it is stored, before the UDFs on the way, which are not called.
    fn shown(&self, row: u64) -> Option<String>;

    /// Makes sure that what was read is what was fingerprinted; called before rows are committed.
    fn verify(&self) -> Result<(), CommitError>;
}

/// Reads ranges of an input on one thread, and keeps what helps from one to the next.
pub(crate) trait Reader<T> {
    /// Reads the rows of a range.
    fn read(&mut self, range: RowRange) -> Result<Rows<'_, T>, RowError>;
}

/// The next row of a stored input as JSON.
fn shown<T: RowType>(mut rows: Rows<'_, T>) -> Option<String> {
    serde_json::to_string(&rows.next()?.ok()??).ok()
}

/// Adds the components of `other` to a fingerprint, their labels behind `prefix`.
pub(crate) fn extend(fingerprint: Fingerprint, prefix: &str, other: &Fingerprint) -> Fingerprint {
    other.components().iter().fold(fingerprint, |fingerprint, component| {
        fingerprint.with_hash(&format!("{prefix} {}", component.label), component.hash, &component.shown)
    })
}
