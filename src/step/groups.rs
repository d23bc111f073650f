//! Finds the groups in rows that are sorted by their key: one row for each, with where its rows lie.

use std::ops::Range;

use rowmark_executor::{Computed, Task};
use rowmark_hashing::ContentHash;
use rowmark_rows::{RowRange, RowSchema, RowType};
use rowmark_warehouse::{CodeId, Table, TableWriter};

use super::in_order::InOrder;
use super::work::{Computation, Gather, Work, hash_rows};
use crate::Result;
use crate::digests::Digests;
use crate::error::{CommitError, RowError};
use crate::group::GroupRow;
use crate::input::{Input, Reader};
use crate::sort::SortKey;
use crate::udf::Udf;

/// Groups that are written together.
const GROUPS_PER_BATCH: usize = 8192;

/// The groups of sorted rows.
pub(crate) struct GroupsWork<'a, T, U> {
    pub(crate) sorted: &'a dyn Input<T>,
    pub(crate) schema: &'a RowSchema,
    pub(crate) key: &'a U,
}

impl<T: RowType, U: Udf<T, Output: SortKey>> Work for GroupsWork<'_, T, U> {
    fn rows_in(&self) -> Result<u64> {
        self.sorted.rows()
    }

    fn compute(&self, at: &mut Computation<'_>) -> Result<u64> {
        let workers = at.workers;
        let mut joined = Joined {
            writer: &mut *at.writer,
            schema: self.schema,
            code: at.code,
            ranges: InOrder::new(),
            groups: Vec::new(),
            rows_out: 0,
        };
        let all = RowRange::new(0, self.sorted.rows()?).into();
        workers.gather(&all, self, &mut joined, workers.options_in_bulk())?;
        joined.write_all_but(0)?;
        joined.writer.commit().map_err(CommitError::from)?;
        Ok(joined.rows_out)
    }

    fn hash_rows(&self, table: &Table, step: &str, digests: Digests) -> Result<ContentHash> {
        hash_rows::<GroupRow<U::Output>>(table, self.schema, step, digests)
    }
}

impl<'t, T: RowType, U: Udf<T, Output: SortKey>> Task for GroupsWork<'t, T, U> {
    type Worker = (Box<dyn Reader<T> + 't>, U::State);
    type Row = Option<U::Output>;
    /// The groups of a range; those at its ends may go on beyond it.
    type Batch = (RowRange, Vec<GroupRow<U::Output>>);
    type Error = RowError;

    fn setup(&self) -> Result<Self::Worker, RowError> {
        Ok((self.sorted.reader()?, RowError::setup(self.key)?))
    }

    fn open<'a>(
        &'a self,
        (reader, state): &'a mut Self::Worker,
        range: Range<u64>,
    ) -> Result<impl Iterator<Item = Result<Computed<Self::Row>, RowError>> + 'a, RowError> {
        let rows = reader.read(RowRange::from(range))?;
        Ok(rows.map(|row| {
            let key = row?.map(|row| self.key.call(state, &row)).transpose();
            key.map(Computed::from).map_err(|source| RowError::of_udf(self.key.identity().name(), source))
        }))
    }

    fn pack(&self, range: Range<u64>, keys: Vec<Self::Row>) -> Result<Self::Batch, RowError> {
        let mut groups = Vec::new();
        for (row, key) in range.clone().zip(keys) {
            if let Some(key) = key {
                join(&mut groups, GroupRow { key, first_row: row, rows: 1 });
            }
        }
        Ok((RowRange::from(range), groups))
    }

    fn is_of_the_row(&self, error: &RowError) -> bool {
        error.is_of_the_row()
    }
}

/// Adds a group behind others: to the last, if it has the same key.
fn join<K: SortKey>(groups: &mut Vec<GroupRow<K>>, group: GroupRow<K>) {
    match groups.last_mut() {
        Some(last) if last.key == group.key => last.rows += group.rows,
        _ => groups.push(group),
    }
}

/// Groups as they come in order, on their way to the table.
struct Joined<'a, K> {
    writer: &'a mut dyn TableWriter,
    schema: &'a RowSchema,
    code: CodeId,
    ranges: InOrder<Vec<GroupRow<K>>>,
    /// Groups that are not written; the last may go on.
    groups: Vec<GroupRow<K>>,
    rows_out: u64,
}

impl<K: SortKey> Joined<'_, K> {
    /// Writes groups, but for so many at the end.
    fn write_all_but(&mut self, kept: usize) -> Result<(), CommitError> {
        let written = self.groups.len().saturating_sub(kept);
        for groups in self.groups[..written].chunks(GROUPS_PER_BATCH) {
            let range = RowRange::new(self.rows_out, self.rows_out + groups.len() as u64);
            self.writer.append(range, self.code, &self.schema.encode(groups)?)?;
            self.rows_out = range.end();
        }
        self.groups.drain(..written);
        Ok(())
    }
}

impl<K: SortKey> Gather for Joined<'_, K> {
    type Batch = (RowRange, Vec<GroupRow<K>>);

    fn append(&mut self, (range, groups): Self::Batch) -> Result<u64, CommitError> {
        self.ranges.push(range, groups);
        let before = self.rows_out;
        while let Some(groups) = self.ranges.pop() {
            groups.into_iter().for_each(|group| join(&mut self.groups, group));
        }
        if self.groups.len() > GROUPS_PER_BATCH {
            self.write_all_but(1)?;
        }
        Ok(self.rows_out - before)
    }
}
