//! Values that Rust has no plain type for, as texts: with all of their digits, times in ISO 8601 as all readers tell them.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::decode::take;

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// Days from the 1st of March of the year 0 to the 1st of January 2000, from which PostgreSQL counts.
const EPOCH_DAYS: i64 = 730_425;

/// The digits of a number, as many behind the point as it was given.
pub(super) fn numeric(bytes: &mut &[u8]) -> Option<String> {
    let mut word = || take(bytes).map(u16::from_be_bytes);
    let (count, weight, sign, scale) = (word()?, i32::from(word()? as i16), word()?, usize::from(word()?));
    // Four decimal digits in each.
    let digits = (0..count).map(|_| word().filter(|digit| *digit < 10_000)).collect::<Option<Vec<u16>>>()?;
    let mut text = match sign {
        0x0000 => String::new(),
        0x4000 => "-".to_owned(),
        0xC000 => return Some("NaN".to_owned()),
        0xD000 => return Some("Infinity".to_owned()),
        0xF000 => return Some("-Infinity".to_owned()),
        _ => return None,
    };
    // The digits of 10000 to this power.
    let of = |power: i32| {
        usize::try_from(weight - power).ok().and_then(|index| digits.get(index)).copied().unwrap_or(0)
    };
    let _ = write!(text, "{}", of(weight.max(0)));
    for power in (0..weight).rev() {
        let _ = write!(text, "{:04}", of(power));
    }
    if scale > 0 {
        text.push('.');
        let end = text.len() + scale;
        for power in 1..=scale.div_ceil(4) as i32 {
            let _ = write!(text, "{:04}", of(-power));
        }
        text.truncate(end);
    }
    Some(text)
}

/// A day, from its number counted from the 1st of January 2000.
pub(super) fn date(days: i32) -> String {
    match days {
        i32::MAX => "infinity".to_owned(),
        i32::MIN => "-infinity".to_owned(),
        days => day(days.into()),
    }
}

/// A day as ISO 8601 has it, before the year 0 and after 9999 with a sign.
///
/// After Howard Hinnant's `civil_from_days`: years begin in March, so that the leap day is the last.
fn day(days: i64) -> String {
    const DAYS_OF_400_YEARS: i64 = 146_097;
    let days = days + EPOCH_DAYS;
    let (era, day) = (days.div_euclid(DAYS_OF_400_YEARS), days.rem_euclid(DAYS_OF_400_YEARS));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = (year + 400 * era + month / 10, if month < 10 { month + 3 } else { month - 9 });
    if (0..10_000).contains(&year) {
        format!("{year:04}-{month:02}-{day:02}")
    } else {
        format!("{year:+05}-{month:02}-{day:02}")
    }
}

/// A time of day, which may be 24:00, from its microseconds.
pub(super) fn time(micros: i64) -> Option<String> {
    if !(0..=MICROS_PER_DAY).contains(&micros) {
        return None;
    }
    let (seconds, micros) = (micros / MICROS_PER_SECOND, micros % MICROS_PER_SECOND);
    let mut text = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if micros % 1000 != 0 {
        let _ = write!(text, ".{micros:06}");
    } else if micros != 0 {
        let _ = write!(text, ".{:03}", micros / 1000);
    }
    Some(text)
}

/// A zone, from the seconds by which it is west of Greenwich.
pub(super) fn zone(west: i32) -> String {
    if west == 0 {
        return "Z".to_owned();
    }
    let (sign, seconds) = (if west > 0 { '-' } else { '+' }, west.unsigned_abs());
    let mut text = format!("{sign}{:02}:{:02}", seconds / 3600, seconds / 60 % 60);
    if !seconds.is_multiple_of(60) {
        let _ = write!(text, ":{:02}", seconds % 60);
    }
    text
}

/// A day and a time, from its microseconds counted from the beginning of 2000.
pub(super) fn timestamp(micros: i64, zone: &str) -> String {
    match micros {
        i64::MAX => "infinity".to_owned(),
        i64::MIN => "-infinity".to_owned(),
        micros => {
            let time = time(micros.rem_euclid(MICROS_PER_DAY)).unwrap_or_default();
            format!("{}T{time}{zone}", day(micros.div_euclid(MICROS_PER_DAY)))
        }
    }
}

/// A length of time as ISO 8601 has it, each part with its own sign as the server's style `iso_8601` has it.
pub(super) fn interval(months: i32, days: i32, micros: i64) -> String {
    match (months, days, micros) {
        (i32::MAX, i32::MAX, i64::MAX) => return "infinity".to_owned(),
        (i32::MIN, i32::MIN, i64::MIN) => return "-infinity".to_owned(),
        (0, 0, 0) => return "PT0S".to_owned(),
        _ => {}
    }
    let mut text = "P".to_owned();
    let mut put = |number: i64, unit: &str| {
        if number != 0 {
            let _ = write!(text, "{number}{unit}");
        }
    };
    put((months / 12).into(), "Y");
    put((months % 12).into(), "M");
    put(days.into(), "D");
    if micros != 0 {
        let seconds = micros / MICROS_PER_SECOND;
        text.push('T');
        let mut put = |number: i64, unit: &str| {
            if number != 0 {
                let _ = write!(text, "{number}{unit}");
            }
        };
        put(seconds / 3600, "H");
        put(seconds / 60 % 60, "M");
        let (seconds, rest) = (seconds % 60, micros % MICROS_PER_SECOND);
        if (seconds, rest) != (0, 0) {
            let sign = if seconds < 0 || rest < 0 { "-" } else { "" };
            let fraction = format!(".{:06}", rest.unsigned_abs());
            let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
            let _ = write!(text, "{sign}{}{fraction}S", seconds.unsigned_abs());
        }
    }
    text
}

pub(super) fn uuid(bytes: [u8; 16]) -> String {
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// An address, with the bits of its network unless it is that of one host.
pub(super) fn inet(bytes: &mut &[u8]) -> Option<String> {
    let [family, bits, is_network, length] = take(bytes)?;
    let (address, bits_all) = match (family, length) {
        (2, 4) => (Ipv4Addr::from(take::<4>(bytes)?).to_string(), 32),
        (3, 16) => (Ipv6Addr::from(take::<16>(bytes)?).to_string(), 128),
        _ => return None,
    };
    Some(if bits == bits_all && is_network == 0 { address } else { format!("{address}/{bits}") })
}
