//! How the rows of a step come to be stored.

use std::iter::once;
use std::ops::Range;

use arrow_array::RecordBatch;
use rayon::current_num_threads;
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
use rowmark_executor::{Durability, FailedRow, OnError, Options, Progress, Sink, Task};
use rowmark_hashing::{ContentHash, ContentHasher};
use rowmark_rows::{RowRange, RowRanges, RowSchema, RowType};
use rowmark_warehouse::{CodeId, Frame, Table, TableWriter};
use uuid::Uuid;

use super::failures::Failures;
use crate::digests::{Digests, Part};
use crate::error::{CommitError, RowError};
use crate::input::{DECODED_ROWS_MAX, row_ends};
use crate::poison::Notes;
use crate::reuse::{Found, Matches, Search};
use crate::session::Session;
use crate::sort::{Chunk, Scratch, SortKey, Sorted, Sorter};
use crate::{Error, Result};

/// Pieces that are read back and hashed at a time, for each core.
const PIECES_PER_THREAD: usize = 4;

/// What computes and stores the rows of a step.
pub(crate) trait Work {
    /// The number of rows that are read, those that are filtered out included.
    fn rows_in(&self) -> Result<u64>;

    /// Whether rows that an earlier run stored can be built on; otherwise an unfinished table is made anew.
    fn is_resumable(&self) -> bool {
        false
    }

    /// Computes what is missing. Answers how many rows the table numbers in the end: for each of them there is a
    /// batch, or it failed and was recorded.
    fn compute(&self, at: &mut Computation<'_>) -> Result<u64>;

    /// Whether each batch builds on the ones before it.
    fn is_cumulative(&self) -> bool {
        false
    }

    /// Whether rows are computed on their own, so that one can be left out and told about.
    fn is_row_by_row(&self) -> bool {
        false
    }

    /// Whether rows are known by their content, so that those of another input may be used.
    fn is_keyed(&self) -> bool {
        false
    }

    /// The digest of input rows, where it is known without reading them.
    fn digest(&self, _rows: RowRange) -> Option<ContentHash> {
        None
    }

    /// Finds rows that were done over another input.
    fn find(&self, _search: &Search<'_>) -> Result<Matches> {
        Ok(Matches::default())
    }

    /// An input row as JSON, if it can be read and shown; no UDF is called for it.
    fn shown(&self, _row: u64) -> Option<String> {
        None
    }

    /// The one batch that is left of a table when the step is finished, if not all of them are.
    fn remains(&self, _table: &Table) -> Result<Option<RecordBatch>> {
        Ok(None)
    }

    /// The content hash of the rows that come out; those of which `digests` tells are not read.
    fn hash_rows(&self, table: &Table, step: &str, digests: Digests) -> Result<ContentHash>;
}

/// Where and how a step is computed.
pub(crate) struct Computation<'a> {
    pub(crate) workers: Workers<'a>,
    pub(crate) job: Uuid,
    /// The step's identity, for the names of scratch tables.
    pub(crate) hash: ContentHash,
    pub(crate) code: CodeId,
    pub(crate) writer: &'a mut dyn TableWriter,
    pub(crate) failures: &'a mut Failures,
    /// The rows that no earlier run did.
    pub(crate) missing: RowRanges,
    /// What was done of them over another input.
    pub(crate) found: Option<&'a Found>,
    /// Where rows in work are noted, if they are.
    pub(crate) notes: Option<&'a Notes>,
    /// What is known of the rows' content hash when they have been computed.
    pub(crate) digests: Digests,
}

impl Computation<'_> {
    /// A sorter of the step's own; `purpose` tells it from others of the step.
    pub(crate) fn sorter<K: SortKey>(&self, rows: &RowSchema, purpose: &str) -> Result<Sorter<K>> {
        let session = self.workers.session;
        let scratch = Scratch::new(session, self.job, ContentHash::of(&(self.hash, purpose))?);
        Ok(Sorter::new(rows, scratch, session.settings().sort_bytes_max)?)
    }

    /// Stores all that a sort gives.
    pub(crate) fn store<K: SortKey>(&mut self, mut sorted: Sorted<K>) -> Result<u64> {
        let mut rows_out = 0;
        while let Some(Chunk { rows, .. }) = sorted.next_chunk()? {
            let range = RowRange::new(rows_out, rows_out + rows.num_rows() as u64);
            self.writer.append(range, self.code, &rows)?;
            rows_out = range.end();
        }
        self.writer.commit()?;
        Ok(rows_out)
    }
}

/// The session's workers, as one step has them.
#[derive(Clone, Copy)]
pub(crate) struct Workers<'a> {
    pub(crate) session: &'a Session,
    pub(crate) step: &'a str,
    pub(crate) progress: &'a Progress,
}

impl Workers<'_> {
    /// The options that the session was opened with.
    pub(crate) fn options(&self) -> Options {
        self.session.settings().options.clone()
    }

    /// The same where nothing is continued from what is gathered: rows of which each was to be durable on its own
    /// would come one by one.
    pub(crate) fn options_in_bulk(&self) -> Options {
        self.options().durability(Durability::default())
    }

    /// Runs a task over ranges of rows.
    pub(crate) fn run<T, S>(
        &self,
        ranges: &RowRanges,
        task: &T,
        sink: &mut S,
        options: &Options,
    ) -> Result<()>
    where
        T: Task<Error = RowError>,
        S: Sink<Batch = T::Batch, Failure = RowError, Error = CommitError>,
    {
        let ranges: Vec<Range<u64>> = ranges.iter().map(Range::from).collect();
        let ended = self.session.executor().run(ranges, task, sink, self.progress, options);
        ended.map_err(|source| Error::Step { step: self.step.to_owned(), source: Box::new(source) })
    }

    /// Runs a task over ranges of rows of which none may be left out: the first that fails ends the run, whatever
    /// the policy.
    pub(crate) fn gather<T, G>(
        &self,
        ranges: &RowRanges,
        task: &T,
        gather: &mut G,
        options: Options,
    ) -> Result<()>
    where
        T: Task<Error = RowError>,
        G: Gather<Batch = T::Batch>,
    {
        self.run(ranges, task, &mut Gathered(gather), &options.on_error(OnError::Fail))
    }
}

/// What takes rows of which none may be left out: where they are sorted, counted or cut.
pub(crate) trait Gather {
    type Batch;

    /// Takes a batch; answers how many rows it holds.
    fn append(&mut self, batch: Self::Batch) -> Result<u64, CommitError>;

    /// Makes what was taken durable.
    fn commit(&mut self) -> Result<(), CommitError> {
        Ok(())
    }
}

/// A [`Gather`] as the executor sees it.
struct Gathered<'a, G>(&'a mut G);

impl<G: Gather> Sink for Gathered<'_, G> {
    type Batch = G::Batch;
    type Failure = RowError;
    type Error = CommitError;

    fn append(&mut self, batch: G::Batch) -> Result<u64, CommitError> {
        self.0.append(batch)
    }

    fn record(&mut self, failed: FailedRow<RowError>) -> Result<(), CommitError> {
        unreachable!("under `OnError::Fail` no failure is recorded: {failed:?}")
    }

    fn commit(&mut self) -> Result<(), CommitError> {
        self.0.commit()
    }
}

/// The content hash of a table's rows, in their order; those of which neither `digests` nor the table tell are read back,
/// on all cores.
pub(crate) fn hash_rows<T: RowType>(
    table: &Table,
    schema: &RowSchema,
    step: &str,
    digests: Digests,
) -> Result<ContentHash> {
    let decode = |piece: &Piece| -> Result<Vec<T>, RowError> {
        Ok(match piece {
            Piece::Batch(frame, rows) => {
                schema.decode(&table.read(frame)?.slice(rows.start, rows.end - rows.start))?
            }
            Piece::Part(rows) => schema.decode(rows)?,
        })
    };
    let not_read = |source| Error::ReadBack { step: step.to_owned(), source: Box::new(source) };
    let ends = row_ends(table);
    let digests = digests.with_stored(table)?;
    let mut hasher = ContentHasher::new();
    for part in digests.parts(table.rows_out()) {
        let rows = match part {
            Part::Digest(digest) => {
                hasher.update_chunk(digest);
                continue;
            }
            Part::Rows(rows) => rows,
        };
        let mut pieces = pieces(table, &ends, rows).peekable();
        while pieces.peek().is_some() {
            let together = pieces.by_ref().take(PIECES_PER_THREAD * current_num_threads());
            let together =
                together.collect::<Result<Vec<Piece>, _>>().map_err(|error| not_read(error.into()))?;
            let rows = together.par_iter().map(decode).collect::<Result<Vec<_>, _>>().map_err(not_read)?;
            hasher.par_update(&rows.into_iter().flatten().collect::<Vec<T>>())?;
        }
    }
    Ok(hasher.finish())
}

/// Rows of a table that are small in memory when they are decoded.
enum Piece {
    /// Rows of a batch.
    Batch(Frame, Range<usize>),
    /// A part of a long batch, which is read once for all of them.
    Part(RecordBatch),
}

type Pieces<'a> = Box<dyn Iterator<Item = Result<Piece, rowmark_warehouse::Error>> + 'a>;

/// The rows of a range; `ends` are those of [`row_ends`].
fn pieces<'a>(
    table: &'a Table,
    ends: &'a [u64],
    rows: RowRange,
) -> impl Iterator<Item = Result<Piece, rowmark_warehouse::Error>> + 'a {
    let first = ends.partition_point(|&end| end <= rows.start());
    let batches = table.frames().iter().zip(ends).skip(first);
    let batches = batches.take_while(move |(frame, end)| *end - frame.rows() < rows.end());
    batches.filter(|(frame, _)| frame.rows() > 0).flat_map(move |(frame, &end)| {
        let start = end - frame.rows();
        let within = rows.start().saturating_sub(start) as usize..(rows.end().min(end) - start) as usize;
        if within.len() as u64 <= DECODED_ROWS_MAX {
            return Box::new(once(Ok(Piece::Batch(*frame, within)))) as Pieces<'_>;
        }
        match table.read(frame) {
            Err(error) => Box::new(once(Err(error))),
            Ok(batch) => Box::new(within.clone().step_by(DECODED_ROWS_MAX as usize).map(move |start| {
                let rows = (within.end - start).min(DECODED_ROWS_MAX as usize);
                Ok(Piece::Part(batch.slice(start, rows)))
            })),
        }
    })
}
