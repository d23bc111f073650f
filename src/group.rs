//! Groups: the rows of one key, streamed to a UDF from the table that they were sorted into.

use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;
use std::vec::IntoIter;

use rowmark_executor::Computed;
use rowmark_hashing::{ContentHash, ContentHasher, RowHash, RowHasher};
use rowmark_rows::{RowRange, RowSchema, RowType};
use serde::{Deserialize, Serialize};

use crate::error::RowError;
use crate::function::{Function, HashRow, Hasher, Items, type_text};
use crate::input::{Rows, StoredRows, TableInput};
use crate::udf::{Identity, Udf};

/// A group as it is stored: its key, and where its rows lie in the sorted table.
#[derive(Serialize, Deserialize)]
pub(crate) struct GroupRow<K> {
    pub(crate) key: K,
    pub(crate) first_row: u64,
    pub(crate) rows: u64,
}

/// The rows of one key, which the UDF of [`agg`](crate::Chain::agg) is given.
///
/// Its rows are read from disk as they are asked for, in the order of the input, so a group may be larger than
/// memory; they can be read several times.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let session = rowmark::Session::open(folder.path().join("state"))?;
/// use rowmark::Group;
/// use rowmark::prelude::*;
///
/// let longest: Vec<(char, String)> = session
///     .read_values(&["cedar", "ash", "birch", "alder"].map(String::from))
///     .agg(
///         udf!("initial", |tree: &String| tree.chars().next().unwrap_or('?')),
///         udf!("longest", |trees: &Group<char, String>| {
///             (*trees.key(), trees.rows().max_by_key(String::len).unwrap_or_default())
///         }),
///     )
///     .collect()?;
/// assert_eq!(longest, [('a', "alder".into()), ('b', "birch".into()), ('c', "cedar".into())]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Group<K, T> {
    key: K,
    rows: RowRange,
    stored: Rc<RefCell<StoredRows>>,
    /// What ended a reading of the rows before their end; the group's outcome is then not used.
    error: RefCell<Option<RowError>>,
    row: PhantomData<fn() -> T>,
}

impl<K, T> Group<K, T> {
    /// What the rows have in common.
    pub fn key(&self) -> &K {
        &self.key
    }

    /// The number of rows; at least one.
    #[expect(clippy::len_without_is_empty, reason = "a group is never empty")]
    pub fn len(&self) -> u64 {
        self.rows.len()
    }

    /// Reads the rows, in the order in which they had in the input.
    ///
    /// If they cannot be read to their end, the iterator ends early and whatever the UDF then answers is
    /// dropped: the run ends with the error.
    pub fn rows(&self) -> GroupRows<'_, K, T> {
        GroupRows { group: self, left: self.rows, decoded: Vec::new().into_iter() }
    }
}

impl<K: fmt::Debug, T> fmt::Debug for Group<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("key", &self.key)
            .field("rows", &self.rows.len())
            .finish_non_exhaustive()
    }
}

/// The rows of a [`Group`], in the order that they had in the input.
pub struct GroupRows<'a, K, T> {
    group: &'a Group<K, T>,
    left: RowRange,
    decoded: IntoIter<T>,
}

impl<K, T: RowType> Iterator for GroupRows<'_, K, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        if self.decoded.len() == 0 && !self.left.is_empty() {
            match self.group.stored.borrow_mut().decode(self.left) {
                Ok(rows) => {
                    self.left = RowRange::new(self.left.start() + rows.len() as u64, self.left.end());
                    self.decoded = rows.into_iter();
                }
                Err(error) => {
                    self.left = RowRange::new(self.left.end(), self.left.end());
                    *self.group.error.borrow_mut() = Some(error);
                }
            }
        }
        self.decoded.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let rows = self.decoded.len() + self.left.len() as usize;
        (self.decoded.len(), Some(rows))
    }
}

impl<K: fmt::Debug, T> fmt::Debug for GroupRows<'_, K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupRows")
            .field("group", self.group)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

/// A UDF over groups, and the table that their rows are in.
pub(crate) struct Aggregate<U, T> {
    pub(crate) udf: Arc<U>,
    pub(crate) sorted: TableInput,
    pub(crate) row: PhantomData<fn() -> T>,
}

/// Tells a group by its key and its rows in their order, wherever they lie.
struct GroupHasher<'a, T> {
    sorted: &'a TableInput,
    stored: StoredRows,
    groups: RowHasher,
    row: PhantomData<fn() -> T>,
}

impl<K: RowType, T: RowType> HashRow<GroupRow<K>> for GroupHasher<'_, T> {
    fn hash(&mut self, group: &GroupRow<K>) -> Result<Option<RowHash>, RowError> {
        let mut content = ContentHasher::new();
        for row in self.stored.iter::<T>(RowRange::new(group.first_row, group.first_row + group.rows)) {
            let row = row.inspect_err(|error| self.sorted.distrust(error))?;
            if content.update(&row).is_err() {
                return Ok(None);
            }
        }
        Ok(self.groups.hash(&(&group.key, content.finish())).ok())
    }
}

impl<U, T: RowType> Aggregate<U, T> {
    fn hasher<K: RowType>(&self, groups: &RowSchema) -> Result<Option<Hasher<'_, GroupRow<K>>>, RowError> {
        let sorted = &self.sorted;
        let rows = (type_text::<K>(), groups.content_hash(), type_text::<T>(), sorted.schema.content_hash());
        Ok(Some(Box::new(GroupHasher {
            sorted,
            stored: StoredRows::new(&sorted.table, &sorted.schema),
            groups: RowHasher::new(ContentHash::of(&("rowmark.group", rows))?),
            row: PhantomData::<fn() -> T>,
        })))
    }
}

impl<U, T> Aggregate<U, T> {
    fn worker<State>(&self, state: State) -> (State, Rc<RefCell<StoredRows>>) {
        (state, Rc::new(RefCell::new(StoredRows::new(&self.sorted.table, &self.sorted.schema))))
    }

    /// Calls the UDF for each group; `shape` makes the outputs of its answer.
    fn each<'a, K: 'a, Outputs: Default + 'a>(
        &'a self,
        (state, stored): &'a mut (U::State, Rc<RefCell<StoredRows>>),
        groups: Rows<'a, GroupRow<K>>,
        shape: impl Fn(U::Output) -> Outputs + 'a,
    ) -> Items<'a, Outputs>
    where
        U: Udf<Group<K, T>>,
    {
        Box::new(groups.map(move |group| {
            let Some(GroupRow { key, first_row, rows }) = group? else {
                return Ok(Computed::from(Outputs::default()));
            };
            let rows = RowRange::new(first_row, first_row + rows);
            let (stored, error, row) = (Rc::clone(stored), RefCell::default(), PhantomData);
            let group = Group { key, rows, stored, error, row };
            let outputs = self.udf.call(state, &group).map(&shape);
            match group.error.into_inner() {
                Some(error) => {
                    self.sorted.distrust(&error);
                    Err(error)
                }
                None => outputs
                    .map(Computed::from)
                    .map_err(|source| RowError::of_udf(self.udf.identity().name(), source)),
            }
        }))
    }
}

impl<K, T, U> Function<GroupRow<K>> for Aggregate<U, T>
where
    K: RowType,
    T: RowType,
    U: Udf<Group<K, T>, Output: RowType>,
{
    type Out = U::Output;
    type Outputs = Option<U::Output>;
    type Worker = (U::State, Rc<RefCell<StoredRows>>);

    const KIND: &'static str = "agg";
    const IS_KEYED: bool = true;

    fn identity(&self) -> Identity {
        self.udf.identity()
    }

    fn setup(&self) -> Result<Self::Worker, RowError> {
        Ok(self.worker(RowError::setup(&*self.udf)?))
    }

    fn hasher(&self, schema: &RowSchema) -> Result<Option<Hasher<'_, GroupRow<K>>>, RowError> {
        self.hasher(schema)
    }

    fn apply<'a>(
        &'a self,
        worker: &'a mut Self::Worker,
        rows: Rows<'a, GroupRow<K>>,
    ) -> Items<'a, Self::Outputs> {
        self.each(worker, rows, Some)
    }
}

/// A UDF over groups that gives any number of rows for each.
pub(crate) struct FlatAggregate<U, T>(pub(crate) Aggregate<U, T>);

impl<K, T, U> Function<GroupRow<K>> for FlatAggregate<U, T>
where
    K: RowType,
    T: RowType,
    U: Udf<Group<K, T>, Output: IntoIterator<Item: RowType>>,
{
    type Out = <U::Output as IntoIterator>::Item;
    type Outputs = Vec<Self::Out>;
    type Worker = (U::State, Rc<RefCell<StoredRows>>);

    const KIND: &'static str = "flat_agg";
    const IS_KEYED: bool = true;

    fn identity(&self) -> Identity {
        self.0.udf.identity()
    }

    fn setup(&self) -> Result<Self::Worker, RowError> {
        Ok(self.0.worker(RowError::setup(&*self.0.udf)?))
    }

    fn hasher(&self, schema: &RowSchema) -> Result<Option<Hasher<'_, GroupRow<K>>>, RowError> {
        self.0.hasher(schema)
    }

    fn apply<'a>(
        &'a self,
        worker: &'a mut Self::Worker,
        rows: Rows<'a, GroupRow<K>>,
    ) -> Items<'a, Self::Outputs> {
        self.0.each(worker, rows, |outputs| outputs.into_iter().collect())
    }
}
