//! Chains: a source, steps, and an end. Building one reads no row and runs nothing.

use std::fmt;
use std::sync::Arc;

use rowmark_rows::{RowRange, RowType};

use crate::function::{FlatMap, Function, Map, MapBatch, MapWith, WithInput};
use crate::group::Group;
use crate::session::Session;
use crate::sort::SortKey;
use crate::stage::{
    AggregateStage, CutStage, DistinctStage, FilterStage, FoldStage, ProjectStage, RowsStage, SortStage,
    Stage, UnionStage,
};
use crate::udf::{FoldUdf, Udf};

/// Rows on their way from a source through steps; lazily built, run by its ends: [`save`](Self::save),
/// [`collect`](Self::collect), [`iter`](Self::iter), [`count`](Self::count), [`first`](Self::first) and the
/// `write_…` methods.
///
/// | step | gives | is stored |
/// |---|---|---|
/// | [`map`](Self::map), [`map_with`](Self::map_with), [`map_batch`](Self::map_batch) | one row for each | row by row, as they finish |
/// | [`flat_map`](Self::flat_map) | any number of rows for each | all of a row's together |
/// | [`agg`](Self::agg), [`flat_agg`](Self::flat_agg) | rows for each group | all of a group's together |
/// | [`fold`](Self::fold) | one row | the state, as it goes |
/// | [`filter`](Self::filter), [`project`](Self::project), [`union`](Self::union) | the rows, seen through it | not at all |
/// | [`order_by`](Self::order_by), [`distinct`](Self::distinct) | the rows | when all are there |
/// | [`limit`](Self::limit), [`offset`](Self::offset) | some of the rows | only behind a filter |
///
/// Clones share what they are built from.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let session = rowmark::Session::open(folder.path().join("state"))?;
/// use rowmark::prelude::*;
///
/// let words = session.read_values(&["map", "filter", "save"].map(String::from));
/// let long = words
///     .filter(udf!("long", |word: &String| word.len() > 3))
///     .map(udf!("length", |word: &String| word.len() as u64));
/// assert_eq!(long.collect()?, [6, 4]);
/// assert_eq!(long.save("lengths")?.version(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Chain<T> {
    pub(crate) session: Session,
    pub(crate) stage: Arc<dyn Stage<T>>,
    pub(crate) retries_failed: bool,
}

impl<T> Clone for Chain<T> {
    fn clone(&self) -> Self {
        self.behind(Arc::clone(&self.stage))
    }
}

impl<T> fmt::Debug for Chain<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain").field("stage", &self.stage.name()).finish_non_exhaustive()
    }
}

impl<T> Chain<T> {
    pub(crate) fn new(session: &Session, stage: impl Stage<T> + 'static) -> Self {
        Self { session: session.clone(), stage: Arc::new(stage), retries_failed: false }
    }

    /// The chain that goes on behind this one with another stage.
    fn behind<Out>(&self, stage: Arc<dyn Stage<Out>>) -> Chain<Out> {
        Chain { session: self.session.clone(), stage, retries_failed: self.retries_failed }
    }
}

impl<T: RowType> Chain<T> {
    /// Keeps the rows for which the predicate answers `true`.
    ///
    /// It is evaluated on the way, by the worker that computes the next step; nothing is stored.
    #[must_use]
    pub fn filter<U: Udf<T, Output = bool>>(&self, predicate: U) -> Self {
        self.behind(Arc::new(FilterStage { before: Arc::clone(&self.stage), predicate: Arc::new(predicate) }))
    }

    /// Makes another row of each on the way, as a cheap `map` that stores nothing.
    ///
    /// It is evaluated again wherever its rows are read; changed code makes everything behind it anew.
    #[must_use]
    pub fn project<U: Udf<T, Output: RowType>>(&self, udf: U) -> Chain<U::Output> {
        self.behind(Arc::new(ProjectStage { before: Arc::clone(&self.stage), udf: Arc::new(udf) }))
    }

    /// Puts the rows of another chain behind these. Nothing is stored.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let session = rowmark::Session::open(folder.path().join("state"))?;
    /// let (even, odd) = (session.read_values(&[2, 4]), session.read_values(&[1, 3]));
    /// assert_eq!(even.union(&odd).collect()?, [2, 4, 1, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.behind(Arc::new(UnionStage([Arc::clone(&self.stage), Arc::clone(&other.stage)])))
    }

    /// Keeps the first so many rows.
    ///
    /// Behind a filter they are found in order and stored; elsewhere nothing is.
    #[must_use]
    pub fn limit(&self, rows: u64) -> Self {
        self.cut(RowRange::new(0, rows))
    }

    /// Leaves the first so many rows out.
    ///
    /// Behind a filter what remains is stored; elsewhere nothing is.
    #[must_use]
    pub fn offset(&self, rows: u64) -> Self {
        self.cut(RowRange::new(rows, u64::MAX))
    }

    fn cut(&self, kept: RowRange) -> Self {
        self.behind(Arc::new(CutStage { before: Arc::clone(&self.stage), kept }))
    }

    /// Puts the rows in the order of a key; rows with equal keys stay in the order that they had.
    ///
    /// A row whose key fails ends the run, whatever the policy: it has no place in the order. All rows are stored in
    /// their new order. What is held in memory meanwhile is bounded
    /// ([`sort_bytes_max`](crate::SessionBuilder::sort_bytes_max)); more is sorted on disk. For a descending order the
    /// key is wrapped in [`std::cmp::Reverse`].
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let session = rowmark::Session::open(folder.path().join("state"))?;
    /// use std::cmp::Reverse;
    /// use rowmark::prelude::*;
    ///
    /// let words = session.read_values(&["elm", "alder", "oak"].map(String::from));
    /// let longest_first = words.order_by(udf!("length", |word: &String| Reverse(word.len() as u64)));
    /// assert_eq!(longest_first.collect()?, ["alder", "elm", "oak"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn order_by<U: Udf<T, Output: SortKey>>(&self, key: U) -> Self {
        self.behind(Arc::new(SortStage { before: Arc::clone(&self.stage), key: Arc::new(key) }))
    }

    /// Leaves out rows that are equal to an earlier one: those with the same content hash.
    #[must_use]
    pub fn distinct(&self) -> Self {
        self.behind(Arc::new(DistinctStage { before: Arc::clone(&self.stage) }))
    }

    fn rows<F: Function<T>>(&self, function: F) -> Chain<F::Out> {
        self.behind(Arc::new(RowsStage { before: Arc::clone(&self.stage), function }))
    }

    /// Computes one row from each. Every finished row is saved as it finishes.
    #[must_use]
    pub fn map<U: Udf<T, Output: RowType>>(&self, udf: U) -> Chain<U::Output> {
        self.rows(Map(udf))
    }

    /// Computes one row from each and keeps the input beside it.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let session = rowmark::Session::open(folder.path().join("state"))?;
    /// use rowmark::prelude::*;
    ///
    /// let chain = session.read_values(&[3, 4]).map_with(udf!("square", |n: &i64| n * n));
    /// let rows = chain.collect()?;
    /// assert_eq!((rows[1].input, rows[1].output), (4, 16));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn map_with<U: Udf<T, Output: RowType>>(&self, udf: U) -> Chain<WithInput<T, U::Output>> {
        self.rows(MapWith(udf))
    }

    /// Computes any number of rows from each: whatever the UDF answers that can be iterated over.
    ///
    /// The rows of one input are saved together or not at all, and are held in memory until then.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let session = rowmark::Session::open(folder.path().join("state"))?;
    /// use rowmark::prelude::*;
    ///
    /// let lines = session.read_values(&["to be", "", "or not"].map(String::from));
    /// let words = lines.flat_map(udf!("words", |line: &String| {
    ///     line.split_whitespace().map(String::from).collect::<Vec<_>>()
    /// }));
    /// assert_eq!(words.collect()?, ["to", "be", "or", "not"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn flat_map<U>(&self, udf: U) -> Chain<<U::Output as IntoIterator>::Item>
    where
        U: Udf<T, Output: IntoIterator<Item: RowType>>,
    {
        self.rows(FlatMap(udf))
    }

    /// Computes rows many at a time: the UDF is given a slice of at most `rows_max` of them and answers one row for
    /// each, for models that like batches.
    ///
    /// How rows are divided into slices must not matter to the result: a run that continues divides them otherwise,
    /// and so does one behind another filter. When a slice fails, it is divided until the row that fails is alone.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let session = rowmark::Session::open(folder.path().join("state"))?;
    /// use rowmark::prelude::*;
    ///
    /// let texts = session.read_values(&["a", "bb", "ccc"].map(String::from));
    /// let lengths = texts.map_batch(64, udf!("lengths", |texts: &[String]| {
    ///     texts.iter().map(|text| text.len() as u64).collect::<Vec<_>>()
    /// }));
    /// assert_eq!(lengths.collect()?, [1, 2, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    /// When `rows_max` is 0.
    #[must_use]
    pub fn map_batch<U, Out>(&self, rows_max: usize, udf: U) -> Chain<Out>
    where
        U: Udf<[T], Output: IntoIterator<Item = Out>>,
        Out: RowType,
    {
        assert!(rows_max > 0, "a batch has at least one row");
        self.rows(MapBatch { udf, rows_max })
    }

    /// Computes one row from each group of rows with equal keys, in the order of the keys.
    ///
    /// The rows are first stored in the order of their keys (as by [`order_by`](Self::order_by), in bounded memory), so
    /// that a [`Group`] is streamed and may be larger than memory. Each finished group is saved as it finishes.
    #[must_use]
    pub fn agg<K, Key, U>(&self, key: Key, udf: U) -> Chain<U::Output>
    where
        K: SortKey,
        Key: Udf<T, Output = K>,
        U: Udf<Group<K, T>, Output: RowType>,
    {
        let (before, key, udf) = (Arc::clone(&self.stage), Arc::new(key), Arc::new(udf));
        self.behind(Arc::new(AggregateStage::one(before, key, udf)))
    }

    /// Computes any number of rows from each group, as [`flat_map`](Self::flat_map) does from each row.
    #[must_use]
    pub fn flat_agg<K, Key, U>(&self, key: Key, udf: U) -> Chain<<U::Output as IntoIterator>::Item>
    where
        K: SortKey,
        Key: Udf<T, Output = K>,
        U: Udf<Group<K, T>, Output: IntoIterator<Item: RowType>>,
    {
        let (before, key, udf) = (Arc::clone(&self.stage), Arc::new(key), Arc::new(udf));
        self.behind(Arc::new(AggregateStage::many(before, key, udf)))
    }

    /// Takes the rows one after the other into a state, and gives the last state as the only row.
    ///
    /// The state is saved as it goes, as often as rows are [made durable](crate::SessionBuilder::durability); a run
    /// that continues goes on from the last one. It is computed by one worker, and a row that fails ends the run
    /// whatever the policy.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let session = rowmark::Session::open(folder.path().join("state"))?;
    /// use rowmark::prelude::*;
    ///
    /// let numbers = session.read_values(&[3, 1, 4, 1, 5]);
    /// let sum = numbers.fold(0, udf!("sum", |sum: &mut i64, n: &i64| *sum += n));
    /// assert_eq!(sum.collect()?, [14]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn fold<S, U>(&self, initial: S, udf: U) -> Chain<S>
    where
        S: RowType + Clone,
        U: FoldUdf<S, T>,
    {
        self.behind(Arc::new(FoldStage { before: Arc::clone(&self.stage), initial, udf }))
    }

    /// The same chain, whose next run tries the rows again that failed and were recorded, and only those.
    ///
    /// Without it a step that finished with recorded failures is skipped as any other. It may be used after the UDF
    /// was mended: the rows that were done by the code before are kept.
    /// A step behind one whose failed rows are done now reads other rows, and computes all of them.
    #[must_use]
    pub fn retry_failed(&self) -> Self {
        Self { retries_failed: true, ..self.clone() }
    }
}
