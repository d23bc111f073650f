//! Rows that are Arrow record batches, with the same hash as the same rows through serde.
//!
//! Arrow keeps less than serde does, so what a column means is fixed here, and listed in the format's page:
//! a nullable field holds options, a field that is not holds plain values; a union holds variants by the names of its
//! children, with the unit value for a child of type null; a dictionary of texts holds variants without data; a struct
//! that `serde_arrow` marks as a tuple is one. Where the type alone does not say, the field's metadata does, under
//! [`VALUE_KEY`]; where nothing says, the column is refused by name rather than hashed differently.

mod column;
mod encode;

use arrow_array::RecordBatch;

use self::column::Column;
use crate::{ContentHash, ContentHasher, Error};

/// The key in a field's metadata that says which kind of value the field holds, where its type does not.
///
/// | value | for columns of type |
/// |---|---|
/// | `char` | `UInt32` |
/// | `string` | dictionaries of texts (they hold variants otherwise) |
/// | `variant` | texts: variants without data |
/// | `bytes` | `FixedSizeBinary` |
/// | `integer` | dates, times, timestamps, durations, decimals: the integer that is stored |
/// | `sequence`, `tuple` | `FixedSizeList` |
/// | `struct`, `tuple` | `Struct` whose fields are called `0`, `1` and so on |
/// | `unit`, `none` | `Null` |
pub const VALUE_KEY: &str = "rowmark:value";

/// The key in a schema's metadata that says what the rows are: `struct` (unless said otherwise), `tuple`, or `item`
/// for batches of one column, each value of which is a row.
pub const ROWS_KEY: &str = "rowmark:rows";

impl ContentHasher {
    /// Takes the rows of an Arrow record batch.
    ///
    /// The hash is the one that [`update`](Self::update) gives for the same rows, so that the two may be mixed. How a
    /// stream is divided into batches does not count.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use arrow_array::{Int64Array, RecordBatch, StringArray};
    /// use arrow_schema::{DataType, Field, Schema};
    /// use rowmark_hashing::{ContentHasher, hash_rows};
    ///
    /// #[derive(serde::Serialize)]
    /// struct Review { id: u64, text: Option<String> }
    ///
    /// let schema = Schema::new(vec![
    ///     Field::new("id", DataType::Int64, false),
    ///     Field::new("text", DataType::Utf8, true),
    /// ]);
    /// let batch = RecordBatch::try_new(
    ///     Arc::new(schema),
    ///     vec![Arc::new(Int64Array::from(vec![1, 2])), Arc::new(StringArray::from(vec![Some("good"), None]))],
    /// )?;
    /// let mut hasher = ContentHasher::new();
    /// hasher.update_batch(&batch)?;
    /// let rows = [Review { id: 1, text: Some("good".to_owned()) }, Review { id: 2, text: None }];
    /// assert_eq!(hasher.finish(), hash_rows(&rows)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Column`] if a column's values are not known for certain, before any row is taken; otherwise as
    /// [`update`](Self::update), and the rows before the one that failed are taken.
    pub fn update_batch(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let column = Column::of_batch(batch)?;
        (0..batch.num_rows())
            .try_for_each(|row| self.update_with(|encoder, at| column.encode(row, encoder, at)))
    }
}

/// Hashes the rows of Arrow record batches, in order.
///
/// ```
/// use std::sync::Arc;
/// use arrow_array::{Int64Array, RecordBatch};
/// use rowmark_hashing::{hash_batches, hash_rows};
///
/// #[derive(serde::Serialize)]
/// struct Row { id: i64 }
///
/// let ids = Arc::new(Int64Array::from(vec![1, 2, 3]));
/// let batch = RecordBatch::try_from_iter_with_nullable([("id", ids as _, false)])?;
/// let hash = hash_batches([&batch.slice(0, 1), &batch.slice(1, 2)])?;
/// assert_eq!(hash, hash_rows([Row { id: 1 }, Row { id: 2 }, Row { id: 3 }])?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// As [`ContentHasher::update_batch`].
pub fn hash_batches<'a>(batches: impl IntoIterator<Item = &'a RecordBatch>) -> Result<ContentHash, Error> {
    let mut hasher = ContentHasher::new();
    batches.into_iter().try_for_each(|batch| hasher.update_batch(batch))?;
    Ok(hasher.finish())
}
