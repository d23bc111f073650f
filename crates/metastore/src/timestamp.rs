//! Moments in time, as they stand in records.
//!
//! A [`Timestamp`] is a count of milliseconds since the Unix epoch, UTC, without leap seconds. There is no
//! `now()`: the clock is the caller's, and a test that hands in its own moments gets the same records twice.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A moment: milliseconds since 1970-01-01T00:00:00Z.
///
/// It prints as RFC 3339 in UTC.
///
/// ```
/// use rowmark_metastore::Timestamp;
///
/// let leap_day = Timestamp::from_millis(951_782_400_123);
/// assert_eq!(leap_day.to_string(), "2000-02-29T00:00:00.123Z");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Makes a moment from milliseconds since the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Returns the milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Returns the moment that lies `duration` before this one, or the epoch if that is later.
    ///
    /// ```
    /// use std::time::Duration;
    /// use rowmark_metastore::Timestamp;
    ///
    /// let limit = Timestamp::from_millis(90_000).saturating_sub(Duration::from_secs(60));
    /// assert_eq!(limit, Timestamp::from_millis(30_000));
    /// ```
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(millis))
    }
}

impl From<SystemTime> for Timestamp {
    /// Converts a reading of the system clock; one before the epoch becomes the epoch.
    fn from(time: SystemTime) -> Self {
        let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0 % 1000;
        let seconds = self.0 / 1000;
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        let (year, month, day) = civil_from_days(seconds / 86_400);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

/// The Gregorian date of a day counted from 1970-01-01 (Howard Hinnant, `chrono`-compatible low-level
/// date algorithms, `civil_from_days`, for days that are not negative).
const fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // from 0000-03-01
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + (month <= 2) as u64;
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates_print_as_rfc_3339() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Timestamp::from_millis(millis).to_string(), text);
        }
    }

    #[test]
    fn days_advance_by_one_through_four_centuries() {
        let mut previous = civil_from_days(0);
        for day in 1..150_000 {
            let next = civil_from_days(day);
            let divides = |divisor: u64| previous.0.is_multiple_of(divisor);
            let leap = divides(4) && (!divides(100) || divides(400));
            let length = match previous.1 {
                2 if leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            let expected = match previous {
                (year, 12, 31) => (year + 1, 1, 1),
                (year, month, day) if day == length => (year, month + 1, 1),
                (year, month, day) => (year, month, day + 1),
            };
            assert_eq!(next, expected);
            previous = next;
        }
    }

    #[test]
    fn the_last_moment_prints_without_overflow() {
        assert!(Timestamp::from_millis(u64::MAX).to_string().ends_with("Z"));
    }
}
