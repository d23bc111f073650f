//! The cases, with what they must reach.

use crate::rows::{Long, Nested, Review, Sample, Sparse, Wide};
use crate::side::Target::{AtMost, Calls, Faster, Ideal, Peak, PeakBytes, RowsPerSecond, Seconds};
use crate::side::{At, Case, Done, Side};
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
        Case::new(
            "map_1m",
            "map with a trivial UDF over a saved dataset, default durability, saved",
            [
                map("rowmark", of(MILLION)),
                bare::<Review>(of(MILLION)),
                Side::new("by_hand", of(MILLION), by_hand::map)
                    .prepared(by_hand::prepare)
                    .ready(by_hand::ready),
                chained("datachain", of(DATACHAIN_ROWS.0), datachain::best),
                chained("datachain_default", of(DATACHAIN_ROWS.1), datachain::default),
            ],
        )
        .reaching([
            AtMost(1.6, "limit"),
            Faster(4.0, "by_hand"),
            Faster(40.0, "datachain"),
            Faster(300.0, "datachain_default"),
        ]),
        Case::new(
            "map_10m",
            "the same over ten times as many rows, beside fewer",
            [
                map("rowmark", of(10 * MILLION)),
                bare::<Review>(of(10 * MILLION)),
                map("map_1m", of(MILLION)),
                map("map_100k", of(MILLION / 10)),
            ],
        )
        .reaching([AtMost(11.0, "map_1m"), Peak(1.2, "map_1m"), PeakBytes(300_000_000)]),
        Case::new(
            "flat_map_1m",
            "flat_map from each row of a saved dataset to three",
            [
                over_dataset::<Review>("rowmark", of(MILLION), ours::flat_map),
                Side::new("limit", of(MILLION), limit::flat_map::<Review>).prepared(limit::prepare::<Review>),
            ],
        )
        .reaching([AtMost(1.8, "limit")]),
        Case::new(
            "agg_1m",
            "agg into groups of 100 rows that lie far apart",
            [over_dataset::<Review>("rowmark", of(MILLION), ours::agg)],
        )
        .reaching([RowsPerSecond(1e6)]),
        Case::new(
            "resume_half",
            "the process dies when half of the rows are computed; the run after that",
            [
                Side::new("rowmark", of(MILLION), ours::counted)
                    .prepared(ours::prepare::<Review>)
                    .crashed(ours::crash_half_way),
                full_run(of(MILLION)),
            ],
        )
        .reaching([AtMost(0.55, "full_run")]),
        nothing(
            "nothing_dataset",
            "the third run over a dataset, process start to exit",
            0.05,
            Side::new("rowmark", of(MILLION), ours::counted).prepared(|at| {
                ours::prepare::<Review>(at)?;
                ours::run_twice(at, ours::counted)
            }),
        ),
        nothing(
            "nothing_csv",
            "the third run over an unchanged file, process start to exit",
            0.05,
            Side::new("rowmark", of(MILLION), ours::counted_csv).prepared(|at| {
                ours::write_csv(at)?;
                ours::run_twice(at, ours::counted_csv)
            }),
        ),
        nothing(
            "nothing_values",
            "the third run over values in memory, process start to exit, beside a process that only makes them",
            0.15,
            Side::new("rowmark", of(MILLION), ours::counted_values)
                .prepared(|at| ours::run_twice(at, ours::counted_values)),
        )
        .beside(Side::new("values_alone", of(MILLION), ours::values_alone).whole_process()),
        waiting("udf_10ms", "a UDF of 10 ms, every row durable", of(2000), 10, |at| ours::wait(at, 10), 1.02),
        waiting("udf_200ms", "a UDF of 200 ms, every row durable", of(50), 200, |at| ours::wait(at, 200), 1.05),
        Case::new(
            "flights_csv",
            "read CSV, filter, map, save",
            [
                Side::new("rowmark", of(FLIGHTS), flights::ours).prepared(flights::prepare),
                Side::new("limit", of(FLIGHTS), flights::limit).prepared(flights::prepare),
            ],
        )
        .reaching([AtMost(1.5, "limit")]),
        grown("append_1pct", "a dataset computed once, then again with 1 % of rows behind it", of(MILLION), |at| {
            ours::prepare_without(at, at.rows - new_rows(at.rows)..at.rows)
        })
        .reaching([AtMost(0.25, "full_run")]),
        grown("insert_1pct", "the same with the new rows in the middle", of(MILLION), |at| {
            ours::prepare_without(at, at.rows / 2..at.rows / 2 + new_rows(at.rows))
        }),
        Case::new(
            "open_10k_jobs",
            "open a store with 10,000 jobs and 100,000 checkpoints, beside smaller ones (rows are checkpoints)",
            [
                Side::new("rowmark", of(100_000), many_jobs::open).prepared(many_jobs::prepare),
                Side::new("a_tenth", of(10_000), many_jobs::open).prepared(many_jobs::prepare),
                Side::new("jobs_alone", of(10_000), many_jobs::open_jobs).prepared(many_jobs::prepare_jobs),
                Side::new("after_a_death", of(100_000), many_jobs::open)
                    .prepared(many_jobs::prepare)
                    .ready(many_jobs::die),
            ],
        )
        .reaching([Seconds(0.5)]),
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

fn full_run(rows: u64) -> Side {
    over_dataset::<Review>("full_run", rows, ours::counted)
}

fn bare<T: Sample>(rows: u64) -> Side {
    Side::new("limit", rows, limit::map::<T>).prepared(limit::prepare::<T>)
}

fn chained(name: &'static str, rows: u64, run: fn(&At) -> Answer<Done>) -> Side {
    Side::new(name, rows, run).prepared(datachain::prepare).ready(datachain::ready).per_row()
}

/// A run that has nothing left to do.
fn nothing(name: &'static str, about: &'static str, seconds: f64, side: Side) -> Case {
    Case::new(name, about, [side.ready(ours::ready).whole_process()]).reaching([Seconds(seconds), Calls(0)])
}

/// Rows that wait, beside the time that the waiting alone takes.
fn waiting(
    name: &'static str,
    about: &'static str,
    rows: u64,
    row_ms: u64,
    run: fn(&At) -> Answer<Done>,
    at_most: f64,
) -> Case {
    let workers = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let ideal = (rows.div_ceil(workers) * row_ms) as f64 / 1e3;
    Case::new(name, about, [Side::new("rowmark", rows, run)]).reaching([Ideal(at_most, ideal)])
}

/// How many of a dataset's rows are new: one for each hundred old ones.
fn new_rows(rows: u64) -> u64 {
    rows / 101
}

/// A dataset that has grown by a hundredth since its rows were computed.
fn grown(name: &'static str, about: &'static str, rows_before: u64, prepare: fn(&At) -> Answer) -> Case {
    let rows = rows_before + rows_before / 100;
    let ours = Side::new("rowmark", rows, ours::counted).prepared(prepare).ready(ours::ready);
    Case::new(name, about, [ours, full_run(rows)]).reaching([Calls(new_rows(rows))])
}

/// The trivial UDF over rows of another shape; no target.
fn shape<T: Sample>(name: &'static str, about: &'static str, rows: u64) -> Case {
    Case::new(name, about, [over_dataset::<T>("rowmark", rows, ours::map::<T>), bare::<T>(rows)])
}
