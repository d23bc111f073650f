//! Rows as a step sees them: numbered by the nearest stored thing, some of them filtered out.
//!
//! Filters and projections are not steps: they are evaluated on the way, by the worker that reads a row,
//! so a range of the stored thing's rows is known without evaluating anything and nothing is copied.

use std::cell::Cell;
use std::rc::Rc;

use rowmark_hashing::{ContentHash, Fingerprint, RowHash, RowHasher};
use rowmark_rows::{RowRange, RowSchema, RowType};

use crate::Error;
use crate::error::{CommitError, RowError};
use crate::function::type_text;

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

    /// Whether a row holds nothing but what serde writes of it: a projection may set fields that serde skips.
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

    /// Begins to read, as [`reader`](Self::reader) does, and tells of each row a hash of all that it is made from: of the row
    /// as it is stored, and of what it has passed through since. `context` says how it is understood then.
    fn hashing_reader(&self, context: ContentHash, told: &Told) -> Result<Box<dyn Reader<T> + '_>, RowError>
    where
        T: RowType,
    {
        Ok(Box::new(Hashing::new(self.reader()?, (context, self.schema()), told)?))
    }

    /// A row as JSON, if it can be read and shown: as it is stored, before the UDFs on the way, which are not called.
    fn shown(&self, row: u64) -> Option<String>;

    /// Makes sure that what was read is what was fingerprinted; called before rows are committed.
    fn verify(&self) -> Result<(), CommitError>;
}

/// The hash of the row that was read last; none if it cannot be hashed.
pub(crate) type Told = Rc<Cell<Option<RowHash>>>;

/// Hashes rows that hold nothing but what serde writes of them.
struct Hashing<'a, T> {
    reader: Box<dyn Reader<T> + 'a>,
    hasher: RowHasher,
    told: Told,
}

impl<'a, T: RowType> Hashing<'a, T> {
    /// The type of the rows may have been inferred, so that it is in no code: it counts here.
    fn new(
        reader: Box<dyn Reader<T> + 'a>,
        (context, schema): (ContentHash, &RowSchema),
        told: &Told,
    ) -> Result<Self, RowError> {
        let context = ContentHash::of(&("rowmark.row", context, schema.content_hash(), type_text::<T>()))?;
        Ok(Self { reader, hasher: RowHasher::new(context), told: Rc::clone(told) })
    }
}

impl<T: RowType> Reader<T> for Hashing<'_, T> {
    fn read(&mut self, range: RowRange) -> Result<Rows<'_, T>, RowError> {
        let Self { reader, hasher, told } = self;
        Ok(Box::new(reader.read(range)?.inspect(|row| {
            let row = row.as_ref().ok().and_then(Option::as_ref);
            told.set(row.and_then(|row| hasher.hash(row).ok()));
        })))
    }
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
