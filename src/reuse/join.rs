//! Pairs the rows that are looked for with stored ones of the same hash, one to one.
//!
//! Among rows of one hash the k-th of the new input, by number, gets the k-th of the nearest donor that has so many of
//! them. So what is paired depends on the two inputs alone, not on how much of it was done when a run broke off, and of
//! rows that several donors have (one reused them from the other) no more are given out than one of them has.

use rowmark_rows::RowRange;

use super::hashes::Hashes;
use super::in_place::NewApart;
use super::sieve::Bits;
use super::{Cursor, Search};
use crate::error::CommitError;

/// The mark of a row that is looked for; others only count.
pub(super) const WANTED: u8 = 1;

/// The mark of a row that counts for this donor.
fn donor_mark(donor: usize) -> u8 {
    1 << donor
}

/// The rows that do not stand where they stood, as far as they may meet.
pub(super) struct Apart {
    /// Of the new input, [`WANTED`] or not.
    rows: Hashes,
    /// Of the new input, those that have theirs already, marked with the donors whose rows they count for.
    settled: Hashes,
    /// Of each donor.
    left: Vec<Hashes>,
}

impl Apart {
    /// Collects what donors have for rows of the new input, unless nothing is looked for; `in_place` are those that
    /// have the row of the same number.
    pub(super) fn new(
        search: &Search<'_>,
        new: NewApart,
        in_place: &Bits,
    ) -> Result<Option<Self>, CommitError> {
        let Some(wanted) = new.wanted else { return Ok(None) };
        let left = (0..search.donors.len()).map(|donor| Hashes::new(search, &format!("left {donor}")));
        let settled = Hashes::new(search, "settled")?;
        let mut apart = Self { rows: new.rows, settled, left: left.collect::<Result<_, _>>()? };
        let mut cursors: Vec<Cursor<'_>> =
            search.donors.iter().map(|donor| Cursor::new(donor, Some(search.code))).collect();
        let ends = search.donors.iter().filter_map(|donor| donor.table.processed().span());
        let is_alone = search.donors.len() == 1;
        for row in 0..ends.map(RowRange::end).max().unwrap_or(0) {
            if is_alone && in_place.contains(row) {
                continue; // it is the one that stands there, and there is no other
            }
            let (mut mark, mut nearest) = (0, None);
            for (donor, cursor) in cursors.iter_mut().enumerate() {
                let hash = cursor.at(row)?.and_then(|old| old.hash);
                if donor == 0 {
                    nearest = hash.filter(|_| in_place.contains(row));
                }
                if hash.is_some() && hash == nearest {
                    continue; // it is the one that stands there
                }
                mark |= donor_mark(donor);
                if let Some(hash) = hash.filter(|hash| wanted.contains(*hash)) {
                    apart.left[donor].add(hash, row, 0)?;
                }
            }
            if let Some(hash) = nearest.filter(|hash| mark != 0 && wanted.contains(*hash)) {
                apart.settled.add(hash, row, mark)?;
            }
        }
        if new.stored.is_none() {
            // Of the nearest it was told when rows were compared in place.
            cursors[1..].iter().for_each(|cursor| cursor.tell_of_damage(search));
        }
        Ok(Some(apart))
    }

    /// Tells of each pair: the donor's position, its row, and the new row.
    pub(super) fn join(
        self,
        mut pair: impl FnMut(usize, u64, u64) -> Result<(), CommitError>,
    ) -> Result<(), CommitError> {
        let (mut rows, mut settled) = (self.rows.finish()?, self.settled.finish()?);
        let mut left = self.left.into_iter().map(Hashes::finish).collect::<Result<Vec<_>, _>>()?;
        let mut last = None;
        while let Some(row) = rows.next()? {
            if last.replace(row.hash) != Some(row.hash) {
                left.iter_mut().try_for_each(|left| left.skip_to(row.hash))?;
                settled.skip_to(row.hash)?;
                while let Some(settled) = settled.next_of(row.hash)? {
                    for (donor, left) in left.iter_mut().enumerate() {
                        if settled.mark & donor_mark(donor) != 0 {
                            left.next_of(row.hash)?;
                        }
                    }
                }
            }
            let mut found = None;
            for (donor, left) in left.iter_mut().enumerate() {
                if let Some(old) = left.next_of(row.hash)? {
                    found = found.or(Some((donor, old.row)));
                }
            }
            if let Some((donor, old)) = found
                && row.mark == WANTED
            {
                pair(donor, old, row.row)?;
            }
        }
        Ok(())
    }
}
