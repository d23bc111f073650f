//! Compares the rows of a new input with those of the nearest donor that have the same numbers, in their order.

use rowmark_hashing::RowHash;
use rowmark_rows::RowRange;
use rowmark_warehouse::Frame;

use super::hashes::Hashes;
use super::join::WANTED;
use super::outputs::{Outputs, Taken};
use super::sieve::{Bits, Sieve};
use super::{Cursor, NewRow, OldBatch, Search};
use crate::error::CommitError;

/// New rows that are not worth a look at all hashes before them.
const FEW_ROWS: u64 = 65_536;

/// What is known so far of which rows stand where they stood.
pub(super) struct InPlace<'a> {
    search: &'a Search<'a>,
    own: Option<Cursor<'a>>,
    nearest: Cursor<'a>,
    /// Of the batch of the nearest donor: the rows that are wanted and stand where they stood.
    same: Vec<Taken>,
    /// How many of its rows stand where they stood and are not done yet.
    unchanged: u64,
    pub(super) kept: Vec<Frame>,
    pub(super) outputs: Outputs<'a>,
    /// The rows that stand where they stood.
    pub(super) rows: Bits,
    pub(super) apart: NewApart,
}

/// The rows of the new input that do not stand where they stood, and may be stored elsewhere.
pub(super) struct NewApart {
    /// [`WANTED`] or not.
    pub(super) rows: Hashes,
    /// Those that are wanted.
    pub(super) wanted: Option<Sieve>,
    /// All that is stored, unless there are few rows to be looked for.
    pub(super) stored: Option<Sieve>,
}

/// All hashes that donors have.
fn stored(search: &Search<'_>) -> Result<Sieve, CommitError> {
    let mut stored = Sieve::new();
    for donor in search.donors {
        let mut cursor = Cursor::new(donor, Some(search.code));
        while let Some(batch) = cursor.next_batch()? {
            batch.rows.iter().filter_map(|row| row.hash).for_each(|hash| stored.insert(hash));
        }
        cursor.tell_of_damage(search);
    }
    Ok(stored)
}

impl<'a> InPlace<'a> {
    /// Begins a comparison for which so many rows are read.
    pub(super) fn new(
        search: &'a Search<'a>,
        outputs: Outputs<'a>,
        rows_read: u64,
    ) -> Result<Self, CommitError> {
        let stored = if rows_read > FEW_ROWS { Some(stored(search)?) } else { None };
        let nearest = search.donors.first().expect("there is a donor at least");
        Ok(Self {
            search,
            own: search.own.map(|own| Cursor::new(own, None)),
            nearest: Cursor::new(nearest, Some(search.code)),
            same: Vec::new(),
            unchanged: 0,
            kept: Vec::new(),
            outputs,
            rows: Bits::default(),
            apart: NewApart { rows: Hashes::new(search, "rows")?, wanted: None, stored },
        })
    }

    /// Takes rows that were read; they come in their order.
    pub(super) fn take(&mut self, range: RowRange, rows: &[NewRow]) -> Result<(), CommitError> {
        for (number, row) in (range.start()..range.end()).zip(rows) {
            self.row(number, *row, true)?;
        }
        Ok(())
    }

    /// Takes rows that were not read.
    pub(super) fn pass(&mut self, range: RowRange) -> Result<(), CommitError> {
        for number in range.start()..range.end() {
            let own = self.own.as_mut().map_or(Ok(None), |own| own.at(number))?;
            let row = own.and_then(|own| own.hash).map_or(NewRow::Unknown, NewRow::Hashed);
            self.row(number, row, false)?;
        }
        Ok(())
    }

    /// Takes the rows of a batch of the nearest donor, which are the same.
    pub(super) fn keep(&mut self, frame: Frame) -> Result<(), CommitError> {
        self.settle_batch()?;
        self.kept.push(frame);
        (frame.range().start()..frame.range().end()).for_each(|row| self.rows.insert(row));
        Ok(())
    }

    fn row(&mut self, number: u64, row: NewRow, is_wanted: bool) -> Result<(), CommitError> {
        if self.nearest.batch.as_ref().is_some_and(|batch| batch.frame.range().end() <= number) {
            self.settle_batch()?;
        }
        let old = self.nearest.at(number)?;
        if old.is_some_and(|old| row.is(&old)) {
            self.unchanged += u64::from(is_wanted);
            self.rows.insert(number);
            if let (NewRow::Hashed(_), Some(batch), true) = (row, &self.nearest.batch, is_wanted) {
                let index = (number - batch.frame.range().start()) as usize;
                self.same.push(Taken { index, row: number });
            }
        } else if let NewRow::Hashed(hash) = row {
            self.apart.add(hash, number, is_wanted)?;
        }
        Ok(())
    }

    /// Decides whether the batch of the nearest donor that was gone through is kept as it is.
    fn settle_batch(&mut self) -> Result<(), CommitError> {
        let (same, unchanged) = (std::mem::take(&mut self.same), std::mem::take(&mut self.unchanged));
        let Some(OldBatch { frame, rows }) = self.nearest.batch.take() else { return Ok(()) };
        if unchanged == frame.range().len() {
            self.kept.push(frame);
            return Ok(());
        }
        self.outputs.add(0, &OldBatch { frame, rows }, &same)
    }

    /// Tells that all rows have come.
    pub(super) fn end(mut self) -> Result<Self, CommitError> {
        self.settle_batch()?;
        if self.apart.stored.is_none() {
            self.nearest.tell_of_damage(self.search);
        }
        Ok(self)
    }
}

impl NewApart {
    fn add(&mut self, hash: RowHash, number: u64, is_wanted: bool) -> Result<(), CommitError> {
        if self.stored.as_ref().is_some_and(|stored| !stored.contains(hash)) {
            return Ok(()); // a new row
        }
        if is_wanted {
            self.wanted.get_or_insert_with(Sieve::new).insert(hash);
        }
        self.rows.add(hash, number, if is_wanted { WANTED } else { 0 })
    }
}
