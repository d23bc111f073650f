//! One contiguous run of rows: the unit in which work is handed out and committed.
//!
//! Invariant: `start <= end`, also when the range was read from disk. Ranges are half-open, as
//! [`std::ops::Range`] is. What the rows are rows *of* is not known here.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// A half-open range of row numbers, `start..end`.
///
/// ```
/// use rowmark_rows::RowRange;
///
/// let range = RowRange::new(3, 7);
/// assert_eq!(range.len(), 4);
/// assert!(range.contains(3) && !range.contains(7));
/// assert_eq!(range.to_string(), "3..7");
/// assert_eq!(range.intersect(RowRange::new(5, 9)), Some(RowRange::new(5, 7)));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Bounds")]
pub struct RowRange {
    start: u64,
    end: u64,
}

impl RowRange {
    /// Makes the range `start..end`.
    ///
    /// # Panics
    ///
    /// When `start` is greater than `end`.
    #[must_use]
    pub fn new(start: u64, end: u64) -> Self {
        assert!(start <= end, "a row range cannot end before it starts: {start}..{end}");
        Self { start, end }
    }

    /// The first row of the range.
    #[must_use]
    pub fn start(self) -> u64 {
        self.start
    }

    /// The row after the last one of the range.
    #[must_use]
    pub fn end(self) -> u64 {
        self.end
    }

    /// How many rows the range holds.
    #[must_use]
    pub fn len(self) -> u64 {
        self.end - self.start
    }

    /// Whether the range holds no row.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Whether `row` is in the range.
    #[must_use]
    pub fn contains(self, row: u64) -> bool {
        self.start <= row && row < self.end
    }

    /// The rows that both ranges hold, or `None` when they share none.
    #[must_use]
    pub fn intersect(self, other: Self) -> Option<Self> {
        let start = self.start.max(other.start);
        let end = self.end.min(other.end);
        (start < end).then_some(Self { start, end })
    }
}

impl fmt::Display for RowRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}..{}", self.start, self.end)
    }
}

impl fmt::Debug for RowRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Takes the bounds of a standard range.
///
/// # Panics
///
/// When the range ends before it starts, as [`RowRange::new`] does.
impl From<Range<u64>> for RowRange {
    fn from(range: Range<u64>) -> Self {
        Self::new(range.start, range.end)
    }
}

impl From<RowRange> for Range<u64> {
    fn from(range: RowRange) -> Self {
        range.start..range.end
    }
}

/// The stored form of a range, before its bounds are checked.
#[derive(Deserialize)]
struct Bounds {
    start: u64,
    end: u64,
}

impl TryFrom<Bounds> for RowRange {
    type Error = String;

    fn try_from(bounds: Bounds) -> Result<Self, String> {
        let Bounds { start, end } = bounds;
        if start <= end {
            Ok(Self { start, end })
        } else {
            Err(format!("a row range cannot end before it starts: {start}..{end}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_ranges_share_nothing() {
        let empty = RowRange::new(4, 4);
        assert!(empty.is_empty());
        assert_eq!(empty.intersect(RowRange::new(0, 10)), None);
        assert_eq!(RowRange::new(0, 4).intersect(RowRange::new(4, 8)), None);
    }

    #[test]
    fn the_whole_of_u64_is_a_range() {
        let all = RowRange::new(0, u64::MAX);
        assert_eq!(all.len(), u64::MAX);
        assert!(all.contains(u64::MAX - 1) && !all.contains(u64::MAX));
    }

    #[test]
    #[should_panic(expected = "5..4")]
    fn a_reversed_range_is_a_broken_caller() {
        let _ = RowRange::new(5, 4);
    }

    #[test]
    fn a_reversed_range_from_disk_is_an_error() {
        let error = serde_json::from_str::<RowRange>(r#"{"start":5,"end":4}"#).unwrap_err();
        assert!(error.to_string().contains("5..4"), "{error}");
        let range: RowRange = serde_json::from_str(r#"{"start":4,"end":5}"#).unwrap();
        assert_eq!(Range::from(range), 4..5);
    }
}
