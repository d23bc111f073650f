//! Rows that are in memory already.

use std::fmt;
use std::sync::OnceLock;

use rowmark_hashing::{ContentHash, Fingerprint, par_hash_rows};
use rowmark_rows::{Row, RowRange, RowSchema, RowType, SchemaGuess};

use crate::{Error, RowIter, Source};

/// Rows in memory, identified by their content: the same rows are the same source in any process.
///
/// ```
/// use rowmark_readers::{MemorySource, Source};
///
/// let one = MemorySource::new(vec![1, 2, 3]);
/// let other = MemorySource::new(vec![1, 3, 2]);
/// assert_ne!(one.fingerprint()?.hash(), other.fingerprint()?.hash());
/// # Ok::<(), rowmark_readers::Error>(())
/// ```
pub struct MemorySource<T> {
    rows: Vec<T>,
    schema: OnceLock<RowSchema>,
}

impl<T> MemorySource<T> {
    /// Takes the rows; those of a slice are cloned.
    pub fn new(rows: impl Into<Vec<T>>) -> Self {
        Self { rows: rows.into(), schema: OnceLock::new() }
    }
}

impl<T> fmt::Debug for MemorySource<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySource").field("rows", &self.rows.len()).finish()
    }
}

impl<T: RowType + Clone> Source for MemorySource<T> {
    type Row = T;

    fn name(&self) -> String {
        format!("{} values", self.rows.len())
    }

    fn schema(&self) -> Result<RowSchema, Error> {
        RowSchema::of_or::<T, Error>(|| {
            let mut rows = self.rows.iter().filter_map(Row::of);
            let Some(first) = rows.next() else { return Ok(SchemaGuess::new().schema()) };
            let first = first.columns().schema();
            let difference = rows.find_map(|row| first.first_difference(row.columns().schema()));
            let other = |difference| Err(rowmark_rows::Error::SchemaMismatch { difference }.into());
            difference.map_or_else(|| Ok(first.clone()), other)
        })
    }

    fn fingerprint(&self) -> Result<Fingerprint, Error> {
        Ok(fingerprint(par_hash_rows(&self.rows)?))
    }

    fn rows(&self) -> Result<u64, Error> {
        Ok(self.rows.len() as u64)
    }

    /// A row is what its hash is made of. What a type leaves out when it is written (a skipped field) is left out
    /// here too: else it would be seen, and not be known by.
    fn read(&self, range: RowRange) -> Result<RowIter<'_, T>, Error> {
        let schema = match self.schema.get() {
            Some(schema) => schema,
            None => {
                let schema = self.schema()?;
                self.schema.get_or_init(|| schema)
            }
        };
        let rows = &self.rows[range.start() as usize..range.end() as usize];
        Ok(Box::new(rows.chunks(ROWS_AT_ONCE).flat_map(move |rows| as_stored(schema, rows))))
    }
}

/// Rows that are written and read back together.
const ROWS_AT_ONCE: usize = 1024;

/// Rows as they would be read back; if one cannot be, the others are.
fn as_stored<T: RowType>(schema: &RowSchema, rows: &[T]) -> Vec<Result<T, Error>> {
    match schema.encode(rows).and_then(|batch| schema.decode(&batch)) {
        Ok(rows) => rows.into_iter().map(Ok).collect(),
        Err(error) if rows.len() == 1 => vec![Err(error.into())],
        Err(_) => rows.iter().flat_map(|row| as_stored(schema, std::slice::from_ref(row))).collect(),
    }
}

/// The identity of rows in memory, whatever form they have there.
pub(crate) fn fingerprint(content: ContentHash) -> Fingerprint {
    Fingerprint::new("rowmark.source.memory").with_hash(
        "content",
        content,
        format_args!("{}…", content.short()),
    )
}
