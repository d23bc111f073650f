//! A set of rows, held as the few contiguous ranges that it is made of.
//!
//! Progress over 100 million rows is a handful of ranges. Invariants: the ranges are sorted, not
//! empty, and neither overlap nor touch, so that equal sets are equal values. Ranges that arrive
//! in any order are welcome; those that arrive in row order cost O(1).

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::RowRange;

/// A set of rows as sorted, disjoint ranges that do not touch.
///
/// ```
/// use rowmark_rows::{RowRange, RowRanges};
///
/// let mut done = RowRanges::new();
/// done.insert(RowRange::new(0, 3));
/// done.insert(RowRange::new(5, 8));
/// assert_eq!(done.to_string(), "0..3, 5..8");
/// assert_eq!(done.missing_in(RowRange::new(0, 10)).to_string(), "3..5, 8..10");
///
/// done.insert(RowRange::new(3, 5));
/// assert_eq!(done.to_string(), "0..8");
/// assert_eq!(done.rows(), 8);
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct RowRanges {
    ranges: Vec<RowRange>,
}

impl RowRanges {
    /// Makes the empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the rows of `range`; rows that are there already stay there once.
    pub fn insert(&mut self, range: RowRange) {
        if range.is_empty() {
            return;
        }
        // Those that overlap or touch `range` become one with it.
        let first = self.ranges.partition_point(|other| other.end() < range.start());
        let after = first + self.ranges[first..].partition_point(|other| other.start() <= range.end());
        let merged = self.ranges[first..after].iter().fold(range, |merged, other| {
            RowRange::new(merged.start().min(other.start()), merged.end().max(other.end()))
        });
        self.ranges.splice(first..after, [merged]);
    }

    /// Whether `row` is in the set.
    #[must_use]
    pub fn contains(&self, row: u64) -> bool {
        self.first_ending_after(row).is_some_and(|range| range.contains(row))
    }

    /// Whether every row of `range` is in the set; an empty range is always covered.
    #[must_use]
    pub fn covers(&self, range: RowRange) -> bool {
        range.is_empty()
            || self
                .first_ending_after(range.start())
                .is_some_and(|other| other.start() <= range.start() && range.end() <= other.end())
    }

    /// The first rows that `range` and the set share, or `None` when they share none.
    #[must_use]
    pub fn overlap(&self, range: RowRange) -> Option<RowRange> {
        self.first_ending_after(range.start())?.intersect(range)
    }

    /// The rows of `range` that are not in the set.
    #[must_use]
    pub fn missing_in(&self, range: RowRange) -> Self {
        let mut missing = Vec::new();
        let mut next = range.start();
        let first = self.ranges.partition_point(|other| other.end() <= next);
        for other in self.ranges[first..].iter().take_while(|other| other.start() < range.end()) {
            if next < other.start() {
                missing.push(RowRange::new(next, other.start()));
            }
            next = other.end();
        }
        if next < range.end() {
            missing.push(RowRange::new(next, range.end()));
        }
        Self { ranges: missing }
    }

    /// How many rows the set holds.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.ranges.iter().map(|range| range.len()).sum()
    }

    /// Whether the set holds no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// How many ranges the set is made of.
    #[must_use]
    pub fn range_count(&self) -> usize {
        self.ranges.len()
    }

    /// From the first row of the set to its last one, or `None` when it is empty.
    #[must_use]
    pub fn span(&self) -> Option<RowRange> {
        let (first, last) = (self.ranges.first()?, self.ranges.last()?);
        Some(RowRange::new(first.start(), last.end()))
    }

    /// The ranges in row order.
    pub fn iter(&self) -> std::iter::Copied<std::slice::Iter<'_, RowRange>> {
        self.ranges.iter().copied()
    }

    fn first_ending_after(&self, row: u64) -> Option<RowRange> {
        let index = self.ranges.partition_point(|range| range.end() <= row);
        self.ranges.get(index).copied()
    }
}

impl fmt::Display for RowRanges {
    /// Writes `0..3, 5..8`, or `none` for the empty set.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return formatter.write_str("none");
        }
        for (index, range) in self.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(formatter, "{separator}{range}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for RowRanges {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(&self.ranges).finish()
    }
}

impl From<RowRange> for RowRanges {
    fn from(range: RowRange) -> Self {
        Self::from_iter([range])
    }
}

impl FromIterator<RowRange> for RowRanges {
    fn from_iter<I: IntoIterator<Item = RowRange>>(ranges: I) -> Self {
        let mut sorted: Vec<RowRange> = ranges.into_iter().collect();
        sorted.sort_unstable();
        let mut set = Self::new();
        for range in sorted {
            set.insert(range);
        }
        set
    }
}

impl Extend<RowRange> for RowRanges {
    fn extend<I: IntoIterator<Item = RowRange>>(&mut self, ranges: I) {
        for range in ranges {
            self.insert(range);
        }
    }
}

impl<'a> IntoIterator for &'a RowRanges {
    type Item = RowRange;
    type IntoIter = std::iter::Copied<std::slice::Iter<'a, RowRange>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for RowRanges {
    type Item = RowRange;
    type IntoIter = std::vec::IntoIter<RowRange>;

    fn into_iter(self) -> Self::IntoIter {
        self.ranges.into_iter()
    }
}

/// Reads any list of ranges; what was stored out of order or overlapping is put right.
impl<'de> Deserialize<'de> for RowRanges {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<RowRange>::deserialize(deserializer)?.into_iter().collect())
    }
}
