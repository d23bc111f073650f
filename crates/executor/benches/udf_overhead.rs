//! What is paid for a run, for each row of it, and for each row that is committed alone, where the function and the
//! sink cost nothing.
//!
//! ```text
//! cargo bench -p rowmark-executor --bench udf_overhead
//! ```
#![expect(clippy::unwrap_used, reason = "a benchmark")]

mod sum;

use std::convert::Infallible;
use std::hint::black_box;
use std::iter::once;

use criterion::{Criterion, Throughput};
use rowmark_executor::{Durability, Executor, Options, Progress, per_row};
use sum::Sum;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let executor = Executor::new(0).unwrap();
    let run = |rows: u64, options: &Options| {
        let (task, mut sum) = (per_row(|row| Ok::<_, Infallible>(black_box(row))), Sum(0));
        executor.run(once(0..rows), &task, &mut sum, &Progress::new(rows, 0), options).unwrap();
        assert_eq!(sum.0, rows * (rows - 1) / 2);
    };
    let (grouped, alone) = (Options::default(), Options::default().durability(Durability::EveryRow));
    let mut group = criterion.benchmark_group("udf_overhead");
    group.bench_function("a run of one row", |bencher| bencher.iter(|| run(1, &grouped)));
    group.throughput(Throughput::Elements(1_000_000));
    group.bench_function("rows", |bencher| bencher.iter(|| run(1_000_000, &grouped)));
    group.throughput(Throughput::Elements(10_000));
    group.bench_function("rows committed alone", |bencher| bencher.iter(|| run(10_000, &alone)));
    group.finish();
    criterion.final_summary();
}
