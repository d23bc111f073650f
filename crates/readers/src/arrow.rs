//! Record batches in memory, which is what data frames of other libraries hand over.

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

use arrow_array::RecordBatch;
use rowmark_hashing::{ContentHash, ContentHasher, Fingerprint};
use rowmark_rows::{RowRange, RowSchema, RowType};

use crate::columnar::{Misfit, Plan};
use crate::selection::Selection;
use crate::{Error, Place, RowIter, Source};

/// Arrow record batches in memory, identified by the content of their rows: it is the same source as a
/// [`MemorySource`](crate::MemorySource) of the same rows, however they are divided into batches.
///
/// ```
/// use std::sync::Arc;
/// use arrow_array::{Int32Array, RecordBatch, StringArray};
/// use rowmark_readers::{ArrowSource, MemorySource, Source};
///
/// #[derive(Clone, serde::Serialize, serde::Deserialize)]
/// struct Town { name: String, metres: u16 }
///
/// let names = Arc::new(StringArray::from(vec!["Bern", "Biel"]));
/// let metres = Arc::new(Int32Array::from(vec![540, 434]));
/// let batch = RecordBatch::try_from_iter([("name", names as _), ("metres", metres as _)])?;
/// let towns = ArrowSource::<Town>::new(vec![batch])?;
///
/// let structs = [("Bern", 540), ("Biel", 434)].map(|(name, metres)| Town { name: name.into(), metres });
/// assert_eq!(towns.fingerprint()?, MemorySource::new(structs).fingerprint()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ArrowSource<T> {
    plan: Plan,
    batches: Vec<RecordBatch>,
    /// For each batch, the number of rows before it, and at the end of all.
    rows_before: Vec<u64>,
    content: Mutex<Option<ContentHash>>,
    row: PhantomData<fn() -> T>,
}

const WHAT: &str = "record batches";

impl<T: RowType> ArrowSource<T> {
    /// Takes the batches.
    ///
    /// # Errors
    /// Their columns are not those of `T`, or not the same in all batches.
    pub fn new(batches: Vec<RecordBatch>) -> Result<Self, Error> {
        let selection = Selection::default();
        let plan = match batches.first() {
            Some(first) => Plan::new::<T>(WHAT, first.schema_ref(), &selection)?,
            None => {
                let schema = RowSchema::of_or::<T, Error>(|| {
                    Ok(RowSchema::from_arrow(std::sync::Arc::new(arrow_schema::Schema::empty())))
                })?;
                Plan::matching(WHAT, schema.arrow(), &schema, &selection)?
            }
        };
        let mut rows_before = vec![0];
        for (number, batch) in batches.iter().enumerate() {
            if batch.schema_ref().fields() != batches[0].schema_ref().fields() {
                let (first, other) = (batches[0].schema(), batch.schema());
                let (first, other) = (RowSchema::from_arrow(first), RowSchema::from_arrow(other));
                return Err(Error::Columns {
                    what: WHAT.to_owned(),
                    difference: format!("batch {number} has other columns than batch 0"),
                    expected: first.to_string(),
                    found: other.to_string(),
                });
            }
            rows_before.push(rows_before[number] + batch.num_rows() as u64);
        }
        Ok(Self { plan, batches, rows_before, content: Mutex::default(), row: PhantomData })
    }

    fn error(&self, batch: usize, row: u64, misfit: Misfit) -> Error {
        let place = Place::Batch { batch: batch as u64, row };
        let Misfit { cell, reason, source } = misfit;
        Error::Row { path: WHAT.into(), place, cell, reason, source }
    }
}

impl<T> fmt::Debug for ArrowSource<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ArrowSource").field("schema", self.plan.schema()).finish_non_exhaustive()
    }
}

impl<T: RowType> Source for ArrowSource<T> {
    type Row = T;

    fn name(&self) -> String {
        format!("{} rows in {WHAT}", self.rows_before[self.batches.len()])
    }

    fn schema(&self) -> Result<RowSchema, Error> {
        Ok(self.plan.schema().clone())
    }

    fn fingerprint(&self) -> Result<Fingerprint, Error> {
        let mut known = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        let content = match *known {
            Some(content) => content,
            None => {
                let mut hasher = ContentHasher::new();
                for row in self.read(RowRange::new(0, self.rows()?))? {
                    hasher.update(&row?)?;
                }
                *known.insert(hasher.finish())
            }
        };
        Ok(crate::memory::fingerprint(content))
    }

    fn rows(&self) -> Result<u64, Error> {
        Ok(self.rows_before[self.batches.len()])
    }

    fn read(&self, range: RowRange) -> Result<RowIter<'_, T>, Error> {
        let slices = Slices { source: self, row: range.start(), end: range.end() };
        Ok(Box::new(slices.flatten()))
    }
}

/// Rows that are decoded at a time.
const DECODED_ROWS: u64 = 1024;

/// Decodes rows in slices of batches.
struct Slices<'a, T> {
    source: &'a ArrowSource<T>,
    row: u64,
    end: u64,
}

impl<T: RowType> Iterator for Slices<'_, T> {
    type Item = Vec<Result<T, Error>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.row >= self.end {
            return None;
        }
        let source = self.source;
        let number = source.rows_before.partition_point(|before| *before <= self.row) - 1;
        let start = self.row - source.rows_before[number];
        let len = DECODED_ROWS.min(self.end.min(source.rows_before[number + 1]) - self.row);
        self.row += len;
        let rows = source.plan.rows(&source.batches[number].slice(start as usize, len as usize));
        let error = |row: u64, misfit| source.error(number, row, misfit);
        Some((start..).zip(rows).map(|(row, read)| read.map_err(|misfit| error(row, misfit))).collect())
    }
}
