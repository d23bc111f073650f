//! Steps that have all rows in view: in the order of a key, or without those that came before.

use std::ops::Range;

use arrow_array::{BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;
use rowmark_executor::{Computed, Task};
use rowmark_hashing::ContentHash;
use rowmark_rows::{RowRange, RowSchema, RowType};
use rowmark_warehouse::Table;

use super::work::{Computation, Gather, Work, hash_rows};
use crate::Result;
use crate::digests::Digests;
use crate::error::{CommitError, RowError};
use crate::input::{Input, Reader};
use crate::sort::{Chunk, SortKey, Sorted, Sorter};
use crate::udf::Udf;

/// The rows of an input in the order of a key.
pub(crate) struct SortWork<'a, T, U> {
    pub(crate) input: &'a dyn Input<T>,
    pub(crate) schema: &'a RowSchema,
    pub(crate) key: &'a U,
}

impl<T: RowType, U: Udf<T, Output: SortKey>> Work for SortWork<'_, T, U> {
    fn rows_in(&self) -> Result<u64> {
        self.input.rows()
    }

    fn compute(&self, at: &mut Computation<'_>) -> Result<u64> {
        let key = |state: &mut U::State, row: &T| {
            self.key.call(state, row).map_err(|source| RowError::of_udf(self.key.identity().name(), source))
        };
        let task =
            KeyTask { input: self.input, schema: self.schema, setup: || RowError::setup(self.key), key };
        at.store(sort(&task, at)?)
    }

    fn hash_rows(&self, table: &Table, step: &str, digests: Digests) -> Result<ContentHash> {
        hash_rows::<T>(table, self.schema, step, digests)
    }
}

/// The rows of an input without those that are equal to an earlier one.
pub(crate) struct DistinctWork<'a, T> {
    pub(crate) input: &'a dyn Input<T>,
    pub(crate) schema: &'a RowSchema,
}

/// The content hash of a row, in a form that can be stored in columns.
type RowHash = [u64; 4];

fn row_hash<T: RowType>(row: &T) -> Result<RowHash, RowError> {
    let hash = ContentHash::of(row)?;
    let (words, _) = hash.as_bytes().as_chunks::<8>();
    Ok(std::array::from_fn(|word| u64::from_be_bytes(words[word])))
}

impl<T: RowType> Work for DistinctWork<'_, T> {
    fn rows_in(&self) -> Result<u64> {
        self.input.rows()
    }

    /// Equal rows come together when rows are sorted by their hashes; the first of each is kept, and what is
    /// kept is put in its old order again.
    fn compute(&self, at: &mut Computation<'_>) -> Result<u64> {
        let key = |(): &mut (), row: &T| row_hash(row);
        let task = KeyTask { input: self.input, schema: self.schema, setup: || Ok(()), key };
        let mut by_hash = sort(&task, at)?;
        let mut by_number = at.sorter(self.schema, "by number")?;
        let mut last = None;
        while let Some(Chunk { keys, rows }) = by_hash.next_chunk()? {
            let is_first: Vec<bool> =
                keys.iter().map(|(hash, _)| last.replace(*hash) != Some(*hash)).collect();
            let numbers = keys.iter().zip(&is_first).filter(|(_, first)| **first);
            let numbers = numbers.map(|((_, number), _)| (*number, *number)).collect();
            let rows =
                filter_record_batch(&rows, &BooleanArray::from(is_first)).map_err(CommitError::from)?;
            by_number.add(rows, numbers)?;
        }
        at.store(by_number.finish()?)
    }

    fn hash_rows(&self, table: &Table, step: &str, digests: Digests) -> Result<ContentHash> {
        hash_rows::<T>(table, self.schema, step, digests)
    }
}

/// Computes the key of each row that is not filtered out, and encodes the row.
struct KeyTask<'a, T, Setup, F> {
    input: &'a dyn Input<T>,
    schema: &'a RowSchema,
    setup: Setup,
    key: F,
}

/// Rows of a range with the key and the number of each.
struct KeyBatch<K> {
    keys: Vec<(K, u64)>,
    rows: RecordBatch,
}

impl<'t, T, K, State, Setup, F> Task for KeyTask<'t, T, Setup, F>
where
    T: RowType,
    K: SortKey,
    Setup: Fn() -> Result<State, RowError> + Sync,
    F: Fn(&mut State, &T) -> Result<K, RowError> + Sync,
{
    type Worker = (Box<dyn Reader<T> + 't>, State);
    type Row = Option<(K, T)>;
    type Batch = KeyBatch<K>;
    type Error = RowError;

    fn setup(&self) -> Result<Self::Worker, RowError> {
        Ok((self.input.reader()?, (self.setup)()?))
    }

    fn open<'a>(
        &'a self,
        (reader, state): &'a mut Self::Worker,
        range: Range<u64>,
    ) -> Result<impl Iterator<Item = Result<Computed<Self::Row>, RowError>> + 'a, RowError> {
        let rows = reader.read(RowRange::from(range))?;
        Ok(rows.map(|row| {
            let keyed = row?.map(|row| Ok::<_, RowError>(((self.key)(state, &row)?, row)));
            Ok(Computed::from(keyed.transpose()?))
        }))
    }

    fn pack(&self, range: Range<u64>, rows: Vec<Self::Row>) -> Result<Self::Batch, RowError> {
        let kept = range.zip(rows).filter_map(|(number, row)| row.map(|(key, row)| ((key, number), row)));
        let (keys, rows): (Vec<_>, Vec<_>) = kept.unzip();
        Ok(KeyBatch { keys, rows: self.schema.encode(&rows)? })
    }

    fn is_of_the_row(&self, error: &RowError) -> bool {
        error.is_of_the_row()
    }
}

/// Reads all rows and sorts them.
fn sort<'t, T, K, State, Setup, F>(task: &KeyTask<'t, T, Setup, F>, at: &Computation<'_>) -> Result<Sorted<K>>
where
    T: RowType,
    K: SortKey,
    Setup: Fn() -> Result<State, RowError> + Sync,
    F: Fn(&mut State, &T) -> Result<K, RowError> + Sync,
{
    let mut gathered = ToSorter { input: task.input, sorter: at.sorter(task.schema, "by key")? };
    let all = RowRange::new(0, task.input.rows()?).into();
    at.workers.gather(&all, task, &mut gathered, at.workers.options_in_bulk())?;
    Ok(gathered.sorter.finish()?)
}

struct ToSorter<'a, T, K> {
    input: &'a dyn Input<T>,
    sorter: Sorter<K>,
}

impl<T, K: SortKey> Gather for ToSorter<'_, T, K> {
    type Batch = KeyBatch<K>;

    fn append(&mut self, KeyBatch { keys, rows }: KeyBatch<K>) -> Result<u64, CommitError> {
        self.input.verify()?;
        let rows_out = rows.num_rows() as u64;
        self.sorter.add(rows, keys)?;
        Ok(rows_out)
    }
}
