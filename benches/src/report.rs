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
    missed: Vec<String>,
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
        let peak = |rival| figures.iter().find(|(name, _)| *name == rival).map(|(_, rival)| rival.peak_bytes);
        for target in &case.targets {
            if let Target::Ideal(_, seconds) = target {
                ratios.insert("ideal", Some(ours.seconds / seconds));
            }
        }
        let is_missed = |target: &&Target| match **target {
            Target::AtMost(most, rival) => ratios[rival].is_some_and(|ratio| ratio > most),
            Target::Faster(least, rival) => {
                ratios.get(rival).copied().flatten().is_some_and(|ratio| ratio > 1.0 / least)
            }
            Target::Ideal(most, _) => ratios["ideal"].is_some_and(|ratio| ratio > most),
            Target::Seconds(most) => ours.seconds > most,
            Target::RowsPerSecond(least) => ours.rows_per_second() < least,
            Target::PeakBytes(most) => ours.peak_bytes > most,
            Target::Peak(most, rival) => {
                peak(rival).is_some_and(|peak| ours.peak_bytes as f64 > most * peak as f64)
            }
        };
        let missed = case.targets.iter().filter(is_missed).map(ToString::to_string).collect();
        let targets: Vec<String> = case.targets.iter().map(ToString::to_string).collect();
        Self {
            case: case.name,
            rows: ours.rows,
            seconds: ours.seconds,
            rows_per_second: ours.rows_per_second(),
            peak_bytes: ours.peak_bytes,
            target: targets.join("; "),
            calls: ours.calls,
            missed,
            ratios,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(most, rival) => write!(f, "≤ {most} × {rival}"),
            Self::Faster(least, rival) => write!(f, "≥ {least} × as fast as {rival}"),
            Self::Ideal(most, _) => write!(f, "≤ {most} × ideal"),
            Self::Seconds(most) => write!(f, "≤ {most} s"),
            Self::RowsPerSecond(least) => write!(f, "≥ {least} rows/s"),
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
        let Self { case, rows, seconds, rows_per_second, peak_bytes, target, ratios, calls, missed } = self;
        let known = ratios.iter().filter_map(|(rival, ratio)| Some(format!("{rival} {}", digits((*ratio)?))));
        let (ratios, calls) =
            (known.collect::<Vec<_>>().join(", "), calls.map_or(String::new(), |n| n.to_string()));
        let reached = match (target.as_str(), missed.as_slice()) {
            ("", _) => String::new(),
            (_, []) => "yes".to_owned(),
            (_, missed) => format!("not {}", missed.join("; ")),
        };
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
