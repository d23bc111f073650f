//! The cases, with what they must reach.

use crate::rows::{Long, Nested, Review, Sample, Sparse, Wide};
use crate::side::Target::{AtMost, Faster, Ideal, Peak, PeakBytes, RowsPerSecond, Seconds};
use crate::side::{At, Case, Done, Side, Target};
use crate::{Answer, by_hand, datachain, flights, limit, many_jobs, ours};

const MILLION: u64 = 1_000_000;

/// Rows of `flights.csv`.
const FLIGHTS: u64 = 336_776;

/// Rows that DataChain is given with `prefetch=0`, and in its default configuration.
const DATACHAIN_ROWS: (u64, u64) = (100_000, 20_000);

/// All cases, with as many rows as they are to have divided by a number.
pub(crate) fn all(divisor: u64) -> Vec<Case> {
    let of = |rows: u64| (rows / divisor).max(1);
    vec![
        Case {
            name: "map_1m",
            about: "map with a trivial UDF over a saved dataset, default durability, saved",
            sides: vec![
                map("rowmark", of(MILLION)),
                bare("limit", of(MILLION)),
                Side::new("by_hand", of(MILLION), by_hand::map)
                    .prepared(by_hand::prepare)
                    .ready(by_hand::ready),
                chained("datachain", of(DATACHAIN_ROWS.0), datachain::best),
                chained("datachain_default", of(DATACHAIN_ROWS.1), datachain::default),
            ],
            targets: vec![
                AtMost(1.6, "limit"),
                Faster(4.0, "by_hand"),
                Faster(40.0, "datachain"),
                Faster(300.0, "datachain_default"),
            ],
        },
        Case {
            name: "map_10m",
            about: "the same over ten times as many rows",
            sides: vec![
                map("rowmark", of(10 * MILLION)),
                bare("limit", of(10 * MILLION)),
                map("map_1m", of(MILLION)),
            ],
            targets: vec![AtMost(11.0, "map_1m"), Peak(1.2, "map_1m"), PeakBytes(300_000_000)],
        },
        Case {
            name: "flat_map_1m",
            about: "flat_map from each row of a saved dataset to three",
            sides: vec![
                over_dataset::<Review>("rowmark", of(MILLION), ours::flat_map),
                Side::new("limit", of(MILLION), limit::flat_map::<Review>).prepared(limit::prepare::<Review>),
            ],
            targets: vec![AtMost(1.8, "limit")],
        },
        Case {
            name: "agg_1m",
            about: "agg into groups of 100 rows that lie far apart",
            sides: vec![over_dataset::<Review>("rowmark", of(MILLION), ours::agg)],
            targets: vec![RowsPerSecond(1e6)],
        },
        Case {
            name: "resume_half",
            about: "the process dies when half of the rows are computed; the run after that",
            sides: vec![
                Side::new("rowmark", of(MILLION), ours::map_unless_dead)
                    .prepared(ours::prepare::<Review>)
                    .crashed(ours::crash_half_way),
                over_dataset::<Review>("full_run", of(MILLION), ours::map_unless_dead),
            ],
            targets: vec![AtMost(0.55, "full_run")],
        },
        nothing("nothing_dataset", "the third run over a dataset, process start to exit", 0.05, |rows| {
            let prepare: fn(&At) -> Answer = |at| {
                ours::prepare::<Review>(at)?;
                ours::run_twice(at, ours::map::<Review>)
            };
            Side::new("rowmark", rows, ours::map::<Review>).prepared(prepare)
        })(of(MILLION)),
        nothing("nothing_csv", "the third run over an unchanged file, process start to exit", 0.05, |rows| {
            let prepare: fn(&At) -> Answer = |at| {
                ours::write_csv(at)?;
                ours::run_twice(at, ours::map_csv)
            };
            Side::new("rowmark", rows, ours::map_csv).prepared(prepare)
        })(of(MILLION)),
        nothing(
            "nothing_values",
            "the third run over values in memory, process start to exit",
            0.15,
            |rows| {
                Side::new("rowmark", rows, ours::map_values)
                    .prepared(|at| ours::run_twice(at, ours::map_values))
            },
        )(of(MILLION)),
        waiting("udf_10ms", "a UDF of 10 ms, every row durable", of(2000), 1.02, 10, |at| ours::wait(at, 10)),
        waiting("udf_200ms", "a UDF of 200 ms, every row durable", of(50), 1.05, 200, |at| {
            ours::wait(at, 200)
        }),
        Case {
            name: "flights_csv",
            about: "read CSV, filter, map, save",
            sides: vec![
                Side::new("rowmark", of(FLIGHTS), flights::ours).prepared(flights::prepare),
                Side::new("limit", of(FLIGHTS), flights::limit).prepared(flights::prepare),
            ],
            targets: vec![AtMost(1.5, "limit")],
        },
        Case {
            name: "append_1pct",
            about: "a dataset computed once, then again with 1 % of rows behind it",
            sides: vec![
                Side::new("rowmark", of(MILLION + ours::appended(MILLION)), ours::map::<Review>)
                    .prepared(ours::prepare_appended)
                    .ready(ours::ready),
                map("full_run", of(MILLION + ours::appended(MILLION))),
            ],
            targets: vec![AtMost(0.25, "full_run")],
        },
        Case {
            name: "open_10k_jobs",
            about: "open a store with 10,000 jobs and 100,000 checkpoints (rows are checkpoints)",
            sides: vec![
                Side::new("rowmark", of(100_000).max(10), many_jobs::open).prepared(many_jobs::prepare),
            ],
            targets: vec![Seconds(0.5)],
        },
        shape::<Wide>("wide_100k", "map over rows of 50 fields", of(100_000)),
        shape::<Long>("long_20k", "map over rows with texts of 10 KB", of(20_000)),
        shape::<Nested>("nested_300k", "map over rows with lists of lists", of(300_000)),
        shape::<Sparse>("optional_1m", "map over rows whose fields may be missing", of(MILLION)),
    ]
}

/// Work over a saved dataset of its own.
fn over_dataset<T: Sample>(name: &'static str, rows: u64, run: fn(&At) -> Answer<Done>) -> Side {
    Side::new(name, rows, run).prepared(ours::prepare::<T>).ready(ours::ready)
}

fn map(name: &'static str, rows: u64) -> Side {
    over_dataset::<Review>(name, rows, ours::map::<Review>)
}

fn bare(name: &'static str, rows: u64) -> Side {
    Side::new(name, rows, limit::map::<Review>).prepared(limit::prepare::<Review>)
}

fn chained(name: &'static str, rows: u64, run: fn(&At) -> Answer<Done>) -> Side {
    Side::new(name, rows, run).prepared(datachain::prepare).ready(datachain::ready).per_row()
}

/// A run that has nothing left to do.
fn nothing(
    name: &'static str,
    about: &'static str,
    seconds: f64,
    side: fn(u64) -> Side,
) -> impl Fn(u64) -> Case {
    move |rows| Case {
        name,
        about,
        sides: vec![side(rows).ready(ours::ready).whole_process()],
        targets: vec![Seconds(seconds)],
    }
}

fn waiting(
    name: &'static str,
    about: &'static str,
    rows: u64,
    at_most: f64,
    row_ms: u64,
    run: fn(&At) -> Answer<Done>,
) -> Case {
    let workers = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let ideal = (rows.div_ceil(workers) * row_ms) as f64 / 1e3;
    Case { name, about, sides: vec![Side::new("rowmark", rows, run)], targets: vec![Ideal(at_most, ideal)] }
}

/// The trivial UDF over rows of another shape; no target.
fn shape<T: Sample>(name: &'static str, about: &'static str, rows: u64) -> Case {
    let targets: Vec<Target> = Vec::new();
    let limit = Side::new("limit", rows, limit::map::<T>).prepared(limit::prepare::<T>);
    Case { name, about, sides: vec![over_dataset::<T>("rowmark", rows, ours::map::<T>), limit], targets }
}
