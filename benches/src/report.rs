//! What is printed, and what is written as JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::measure::Figures;
use crate::side::{Case, Target};

/// The ratios that each case has in the JSON, known or not.
const RIVALS: [&str; 3] = ["limit", "by_hand", "datachain"];

/// One case, as it is written.
#[derive(Serialize)]
pub(crate) struct Line {
    case: &'static str,
    rows: u64,
    seconds: f64,
    rows_per_second: f64,
    peak_bytes: u64,
    target: String,
    /// Our time as a multiple of another's: of the three rivals, and of what else the case is compared with.
    ratios: BTreeMap<&'static str, Option<f64>>,
    #[serde(skip)]
    calls: Option<u64>,
    #[serde(skip)]
    reached: String,
}

impl Line {
    pub(crate) fn new(case: &Case, figures: &[(&'static str, Figures)]) -> Self {
        let (_, ours) = figures[0];
        let mut ratios: BTreeMap<_, _> = RIVALS.into_iter().map(|rival| (rival, None)).collect();
        for (name, rival) in &figures[1..] {
            let is_per_row = case.sides.iter().any(|side| side.name == *name && side.is_per_row);
            let rows = if is_per_row { rival.rows as f64 / ours.rows as f64 } else { 1.0 };
            ratios.insert(name, Some(ours.seconds / rival.seconds * rows));
        }
        for target in &case.targets {
            if let Target::Ideal(_, seconds) = target {
                ratios.insert("ideal", Some(ours.seconds / seconds));
            }
        }
        let ratio = |rival: &str| ratios.get(rival).copied().flatten();
        let peak = |rival| figures.iter().find(|(name, _)| *name == rival).map(|(_, rival)| rival.peak_bytes);
        // Nothing is known of a target whose rival was left out.
        let is_reached = |target: &Target| match *target {
            Target::AtMost(most, rival) => Some(ratio(rival)? <= most),
            Target::Faster(least, rival) => Some(ratio(rival)? <= 1.0 / least),
            Target::Ideal(most, _) => Some(ratio("ideal")? <= most),
            Target::Seconds(most) => Some(ours.seconds <= most),
            Target::RowsPerSecond(least) => Some(ours.rows_per_second() >= least),
            Target::PeakBytes(most) => Some(ours.peak_bytes <= most),
            Target::Peak(most, rival) => Some(ours.peak_bytes as f64 <= most * peak(rival)? as f64),
            Target::Calls(calls) => Some(ours.calls == Some(calls)),
        };
        let those = |reached: Option<bool>| joined(case.targets.iter().filter(|&t| is_reached(t) == reached));
        let (missed, unknown) = (those(Some(false)), those(None));
        let reached = match (missed.as_str(), unknown.as_str()) {
            ("", "") if case.targets.is_empty() => String::new(),
            ("", "") => "yes".to_owned(),
            ("", unknown) => format!("not known: {unknown}"),
            (missed, "") => format!("not {missed}"),
            (missed, unknown) => format!("not {missed}; not known: {unknown}"),
        };
        Self {
            case: case.name,
            rows: ours.rows,
            seconds: ours.seconds,
            rows_per_second: ours.rows_per_second(),
            peak_bytes: ours.peak_bytes,
            target: joined(&case.targets),
            calls: ours.calls,
            reached,
            ratios,
        }
    }
}

fn joined<'a>(targets: impl IntoIterator<Item = &'a Target>) -> String {
    targets.into_iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(most, rival) => write!(f, "≤ {most} × {rival}"),
            Self::Faster(least, rival) => write!(f, "≥ {least} × as fast as {rival}"),
            Self::Ideal(most, _) => write!(f, "≤ {most} × ideal"),
            Self::Seconds(most) => write!(f, "≤ {most} s"),
            Self::RowsPerSecond(least) => write!(f, "≥ {least} rows/s"),
            Self::Calls(calls) => write!(f, "{calls} calls"),
            Self::PeakBytes(most) => write!(f, "peak ≤ {} MB", most / 1_000_000),
            Self::Peak(most, rival) => write!(f, "peak ≤ {most} × {rival}"),
        }
    }
}

/// The head of the table.
pub(crate) const HEAD: &str = "\
| case | rows | calls | seconds | rows/s | peak MB | ÷ rivals' time | target | reached |
|---|---:|---:|---:|---:|---:|---|---|---|";

/// A row of the table.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { case, rows, seconds, rows_per_second, peak_bytes, target, ratios, calls, reached } = self;
        let known = ratios.iter().filter_map(|(rival, ratio)| Some(format!("{rival} {}", digits((*ratio)?))));
        let (ratios, calls) =
            (known.collect::<Vec<_>>().join(", "), calls.map_or(String::new(), |n| n.to_string()));
        let (seconds, peak) = (digits(*seconds), *peak_bytes as f64 / 1e6);
        write!(
            f,
            "| {case} | {rows} | {calls} | {seconds} | {rows_per_second:.0} | {peak:.0} | {ratios} | {target} | {reached} |"
        )
    }
}

/// A number with three digits that count.
fn digits(number: f64) -> String {
    let decimals = (2 - number.abs().max(1e-9).log10().floor() as i32).max(0) as usize;
    format!("{number:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::side::{Done, Side};

    fn figures(rows: u64, seconds: f64) -> Figures {
        Figures { rows, stored: rows, calls: None, seconds, peak_bytes: 1 << 20 }
    }

    fn side(name: &'static str) -> Side {
        Side::new(name, 0, |_| Ok(Done::default()))
    }

    #[test]
    fn a_line_tells_ratios_of_time_and_what_was_reached() {
        let case = Case::new("map", "", [side("rowmark"), side("limit"), side("datachain").per_row()])
            .reaching([
                Target::AtMost(1.6, "limit"),
                Target::Faster(40.0, "datachain"),
                Target::Faster(4.0, "by_hand"),
            ]);
        let measured =
            [("rowmark", figures(128, 4.0)), ("limit", figures(128, 2.0)), ("datachain", figures(16, 64.0))];
        let line = Line::new(&case, &measured);
        let json = serde_json::json!({
            "case": "map",
            "rows": 128,
            "seconds": 4.0,
            "rows_per_second": 32.0,
            "peak_bytes": 1 << 20,
            "target": "≤ 1.6 × limit; ≥ 40 × as fast as datachain; ≥ 4 × as fast as by_hand",
            // An eighth of the rows in sixteen times the time.
            "ratios": { "limit": 2.0, "by_hand": null, "datachain": 1.0 / 128.0 },
        });
        assert_eq!(serde_json::to_value(&line).unwrap(), json);
        assert_eq!(line.reached, "not ≤ 1.6 × limit; not known: ≥ 4 × as fast as by_hand");
    }

    #[test]
    fn numbers_have_three_digits_that_count() {
        assert_eq!([1234.4, 12.34, 0.012_34].map(digits), ["1234", "12.3", "0.0123"]);
    }
}
