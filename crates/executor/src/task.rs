//! What computes rows.

use std::error::Error as StdError;
use std::ops::Range;

/// What computes rows: it opens a range of the input and yields what its rows give, in order.
///
/// A result per *range* would hide which row failed and force work to be repeated; a call per
/// *row* would make an input that is read in order (a file, a table) seek for each. So a task is
/// opened for a range and is then an iterator. It is opened on many threads at a time, each with a
/// [`Worker`](Self::Worker) of its own.
///
/// ```
/// use std::{convert::Infallible, ops::Range, rc::Rc};
/// use rowmark_executor::{Computed, Task};
///
/// /// Adds up numbers, up to 32 rows at once, with a model that each worker loads for itself.
/// struct Sums<'a>(&'a [u64]);
///
/// impl Task for Sums<'_> {
///     type Worker = Rc<fn(&[u64]) -> u64>; // need not be `Send`
///     type Row = u64;
///     type Batch = u64;
///     type Error = Infallible;
///     fn setup(&self) -> Result<Self::Worker, Infallible> {
///         Ok(Rc::new(|numbers| numbers.iter().sum()))
///     }
///     fn open<'a>(
///         &'a self,
///         model: &'a mut Self::Worker,
///         range: Range<u64>,
///     ) -> Result<impl Iterator<Item = Result<Computed<u64>, Infallible>> + 'a, Infallible> {
///         let numbers = &self.0[range.start as usize..range.end as usize];
///         Ok(numbers.chunks(32).map(|chunk| Ok(Computed { rows: chunk.len() as u64, row: model(chunk) })))
///     }
///     fn pack(&self, _: Range<u64>, sums: Vec<u64>) -> Result<u64, Infallible> {
///         Ok(sums.into_iter().sum())
///     }
///     fn rows_at_once(&self) -> u64 {
///         32
///     }
/// }
/// # let task = Sums(&[7; 100]);
/// # let mut model = task.setup().unwrap();
/// # let items = task.open(&mut model, 0..100).unwrap().map(Result::unwrap);
/// # assert_eq!(items.map(|item| (item.rows, item.row)).last(), Some((4, 28)));
/// ```
pub trait Task: Sync {
    /// What each worker keeps between rows: a loaded model, a connection, a buffer. It is made on the
    /// worker's thread and never leaves it.
    type Worker;
    /// What one item gives: output rows, or none.
    type Row: Send;
    /// Finished rows on their way to the sink, for instance encoded.
    type Batch: Send;
    /// What can go wrong while a row is read, computed or packed.
    type Error: StdError + Send + 'static;

    /// Makes a worker's state, before its first rows and again after a panic.
    ///
    /// # Errors
    /// Ends the run with [`Error::Setup`](crate::Error::Setup).
    fn setup(&self) -> Result<Self::Worker, Self::Error>;

    /// Begins to compute `range`: an iterator whose items cover its rows, in order and each once.
    ///
    /// After an error, which is that of the first row that is not covered yet, the iterator either
    /// ends, or goes on with the row after that one. If it ends, the rest of the range is opened anew.
    ///
    /// # Errors
    /// An error here is told as the failure of the range's first row.
    #[expect(clippy::type_complexity, reason = "an alias would hide what is to be answered")]
    fn open<'a>(
        &'a self,
        worker: &'a mut Self::Worker,
        range: Range<u64>,
    ) -> Result<impl Iterator<Item = Result<Computed<Self::Row>, Self::Error>> + 'a, Self::Error>;

    /// Packs the items that cover `range` (never empty) into a batch: on the worker's thread, or on the
    /// committing thread if the worker is held up in a row.
    ///
    /// # Errors
    /// Ends the run; the range counts as not done.
    fn pack(&self, range: Range<u64>, rows: Vec<Self::Row>) -> Result<Self::Batch, Self::Error>;

    /// The rough size of an item in memory, in bytes, by which batches are kept within
    /// [`batch_bytes_max`](crate::Options::batch_bytes_max). Asked for every 16th item, and the first of
    /// a range.
    fn row_bytes(&self, _row: &Self::Row) -> u64 {
        0
    }

    /// How many rows the task likes to compute at once, such as the batch size of a model: ranges are at
    /// least so long where so many rows are left.
    ///
    /// An error of an item that may have covered several rows is not blamed on the first of them: the rows
    /// are opened again in ever smaller parts, and the row that fails alone is the one that failed.
    fn rows_at_once(&self) -> u64 {
        1
    }

    /// Tells whether an error is a matter of its row alone. If not (the store is damaged, the service is
    /// gone) it ends the run, whatever [`OnError`](crate::OnError) and [`Retry`](crate::Retry) say.
    fn is_of_the_row(&self, _error: &Self::Error) -> bool {
        true
    }
}

/// What consecutive rows of the input gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Computed<R> {
    /// How many rows of the input it covers, at least 1.
    pub rows: u64,
    /// What they gave.
    pub row: R,
}

impl<R> From<R> for Computed<R> {
    /// What one row gave.
    fn from(row: R) -> Self {
        Self { rows: 1, row }
    }
}
