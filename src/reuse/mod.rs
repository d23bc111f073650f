//! Row reuse: the rows of a changed input that an earlier run computed over another input are found again by their
//! content, so that only new and changed rows are computed.
//!
//! Each batch of a step that computes rows one by one holds, for each input row of its range, the hash of the row as
//! the function saw it and the number of rows that it gave. Tables of the same step over another input are the
//! **donors**. The rows that are missing are read and hashed once ([`scan`]), in the order of the input, and compared
//! with the donors:
//!
//! - batches of the nearest donor whose rows all stand where they stood are kept as they are ([`in_place`]);
//! - all else goes through an external sort by hash ([`join`]), and the outputs of rows that meet are put in the order
//!   of the new input ([`outputs`]), where the run finds them when it comes to those rows.
//!
//! Invariants: a stored row serves one row at the most, so that of n equal rows no more are reused than one donor has
//! of them; the hash of a row is compared once more by the worker that is about to use what was found for it, so a
//! source that changed since gets nothing that is not its; nothing is held in memory but one batch of each donor, what
//! the sort is allowed, and a bit for each row.

use rowmark_hashing::{ContentHash, RowHash};
use rowmark_metastore::JobId;
use rowmark_rows::{RowRanges, RowSchema};
use rowmark_warehouse::{CodeId, Frame, InputRow, Table};
use uuid::Uuid;

use crate::error::CommitError;
use crate::poison::Notes;
use crate::sort::{Scratch, SortKey, Sorter};
use crate::step::work::Workers;
use crate::{Result, store};

mod hashes;
mod in_place;
mod join;
mod outputs;
mod pairs;
mod scan;
mod sieve;

pub(crate) use outputs::{Found, FoundRows};
pub(crate) use scan::find;

/// Sorts that are under way at one time share the memory of one.
const SORTERS_MAX: u64 = 8;

/// A table of the same step over another input.
#[derive(Clone)]
pub(crate) struct Donor {
    pub(crate) job: JobId,
    pub(crate) table: Table,
}

/// Where and for what rows are looked for.
pub(crate) struct Search<'a> {
    pub(crate) workers: Workers<'a>,
    pub(crate) job: Uuid,
    /// The step's identity, for the names of scratch tables.
    pub(crate) hash: ContentHash,
    /// Only what this code made is used.
    pub(crate) code: CodeId,
    /// Nearest first; at least one.
    pub(crate) donors: &'a [Donor],
    /// What is done of this input.
    pub(crate) own: Option<&'a Donor>,
    pub(crate) rows_in: u64,
    /// The rows that something is to be found for.
    pub(crate) missing: &'a RowRanges,
    pub(crate) notes: Option<&'a Notes>,
}

impl Search<'_> {
    /// The rows that are read: not those that were in work when the process died, which wait for their turn alone.
    fn read(&self) -> RowRanges {
        let suspects = self.notes.map(Notes::suspects).unwrap_or_default();
        self.missing.iter().flat_map(|range| suspects.missing_in(range)).collect()
    }

    fn sorter<K: SortKey>(&self, rows: &RowSchema, purpose: &str) -> Result<Sorter<K>, CommitError> {
        let session = self.workers.session;
        Sorter::new(rows, self.scratch(purpose)?, session.settings().sort_bytes_max / SORTERS_MAX)
    }

    fn scratch(&self, purpose: &str) -> Result<Scratch, CommitError> {
        let hash = ContentHash::of(&("rowmark.reuse", self.hash, purpose))?;
        Ok(Scratch::new(self.workers.session, self.job, hash))
    }

    /// Says that a donor is of no use, or no more.
    fn pass_over(&self, donor: &Donor, error: &rowmark_warehouse::Error) {
        let told = format!("rows of {} are not reused: {error}", donor.table.name());
        // The run goes on without them, whether it can be recorded or not.
        if let Err(error) = self.workers.session.warn(self.workers.step, told) {
            tracing::warn!(step = self.workers.step, "a warning could not be recorded: {error}");
        }
    }
}

/// What was found for the rows of an input.
#[derive(Default)]
pub(crate) struct Matches {
    /// Batches of the nearest donor that can be kept as they are.
    pub(crate) kept: Vec<Frame>,
    /// What stands for single rows.
    pub(crate) found: Option<Found>,
    /// The position of the donor of most of the rows, if there are any.
    pub(crate) most_of: Option<usize>,
}

/// A row of the new input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum NewRow {
    FilteredOut,
    Hashed(RowHash),
    /// It could not be read or hashed, or is not to be read now: it is like no other.
    Unknown,
}

impl NewRow {
    /// Whether an earlier row was the same.
    fn is(self, old: &InputRow) -> bool {
        match (self, old.hash) {
            (Self::Hashed(new), Some(old)) => new == old,
            (Self::FilteredOut, None) => old.outputs == 0,
            _ => false,
        }
    }
}

/// The input rows of a table that are known by their content, in order; in memory are those of one batch.
struct Cursor<'a> {
    donor: &'a Donor,
    /// The code whose rows count; without one, those of any.
    code: Option<CodeId>,
    /// The position of the next batch.
    next: usize,
    batch: Option<OldBatch>,
    /// Why a batch, the first of those that were passed over, cannot be used.
    damage: Option<rowmark_warehouse::Error>,
}

/// A batch with what is known of its input rows.
struct OldBatch {
    frame: Frame,
    rows: Vec<InputRow>,
}

impl OldBatch {
    fn get(&self, row: u64) -> Option<&InputRow> {
        let index = row.checked_sub(self.frame.range().start())?;
        self.rows.get(index as usize)
    }
}

impl<'a> Cursor<'a> {
    fn new(donor: &'a Donor, code: Option<CodeId>) -> Self {
        Self { donor, code, next: 0, batch: None, damage: None }
    }

    /// The next batch that can be used.
    fn next_batch(&mut self) -> Result<Option<OldBatch>, CommitError> {
        let Donor { table, .. } = self.donor;
        while let Some(&frame) = table.frames().get(self.next) {
            self.next += 1;
            if self.code.is_some_and(|code| code != frame.code()) {
                continue;
            }
            match table.inputs(&frame) {
                Ok(Some(rows)) => return Ok(Some(OldBatch { frame, rows })),
                Ok(None) => {}
                Err(error) if store::is_lost(&error) => {
                    self.damage.get_or_insert(error);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    /// Says that some of the donor's rows are of no use.
    fn tell_of_damage(&self, search: &Search<'_>) {
        if let Some(damage) = &self.damage {
            search.pass_over(self.donor, damage);
        }
    }

    /// An input row, if it is known; rows are asked for in their order.
    fn at(&mut self, row: u64) -> Result<Option<InputRow>, CommitError> {
        while self.batch.as_ref().is_none_or(|batch| batch.frame.range().end() <= row) {
            // What lies before it is not read.
            let frames = self.donor.table.frames();
            self.next = self.next.max(frames.partition_point(|frame| frame.range().end() <= row));
            self.batch = self.next_batch()?;
            if self.batch.is_none() {
                return Ok(None);
            }
        }
        Ok(self.batch.as_ref().and_then(|batch| batch.get(row)).copied())
    }
}
