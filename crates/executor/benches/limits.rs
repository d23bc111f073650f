//! What a run costs over the rows themselves: each figure is a ratio against a rival, or a bound, of the same run.
//!
//! ```text
//! cargo bench -p rowmark-executor --bench limits
//! ```
//!
//! With `--test` it runs once and on little, and checks what it checks.
#![expect(clippy::unwrap_used, reason = "a benchmark")]

mod sum;

use std::convert::Infallible;
use std::hint::black_box;
use std::iter::once;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rayon::prelude::*;
use rowmark_executor::{Executor, FailedRow, Options, Progress, Sink, per_row};
use sum::Sum;

const BATCH_ROWS: u64 = 8192;
const ROW_NS: f64 = 50.0;
const LARGE: usize = 1 << 20;

fn main() {
    let (rounds, cheap, large) = if is_trial() { (1, 100_000, 40) } else { (9, 10_000_000, 400) };
    let executor = Executor::new(0).unwrap();
    println!("{} workers, best of {rounds} rounds", executor.threads());
    cheap_rows(&executor, cheap, rounds);
    slow_rows();
    large_rows(large);
}

/// Whether this was not started as a benchmark, or with `--test`.
fn is_trial() -> bool {
    let has = |name: &str| std::env::args().any(|argument| argument == name);
    has("--test") || !has("--bench")
}

/// Rows of about 50 ns against a plain `rayon` loop with the same batches and the same sink.
fn cheap_rows(executor: &Executor, rows_total: u64, repeats: usize) {
    let rounds = (1..).find(|&rounds| row_ns(rounds) >= ROW_NS).unwrap();
    let row_ns = row_ns(rounds);
    let (mut plain, mut run) = (Vec::new(), Vec::new());
    for _ in 0..repeats {
        let begun = Instant::now();
        let sum = Mutex::new(Sum(0));
        executor.pool().install(|| {
            (0..rows_total.div_ceil(BATCH_ROWS)).into_par_iter().for_each(|batch| {
                let range = batch * BATCH_ROWS..rows_total.min((batch + 1) * BATCH_ROWS);
                let rows = range.clone().map(|row| mixed(row, rounds)).collect();
                sum.lock().unwrap().append((range, rows)).unwrap();
            });
        });
        plain.push(begun.elapsed());
        let begun = Instant::now();
        let mut by_run = Sum(0);
        executor
            .run(
                once(0..rows_total),
                &per_row(|row| Ok::<_, Infallible>(mixed(row, rounds))),
                &mut by_run,
                &Progress::new(rows_total, 0),
                &Options::default().batch_rows_max(BATCH_ROWS),
            )
            .unwrap();
        run.push(begun.elapsed());
        assert_eq!(sum.into_inner().unwrap().0, by_run.0);
    }
    let (plain, run) = (best(plain), best(run));
    println!(
        "{rows_total} rows of {row_ns:.0} ns: {run:.2?}, a plain rayon loop {plain:.2?}, ratio {:.2}",
        run.as_secs_f64() / plain.as_secs_f64()
    );
}

/// Fifty rows that wait 20 ms each against the time that they must take.
fn slow_rows() {
    const ROW: Duration = Duration::from_millis(20);
    for workers in [2, 8] {
        let executor = Executor::new(workers).unwrap();
        let task = per_row(|row| {
            std::thread::sleep(ROW);
            Ok::<_, Infallible>(row)
        });
        let begun = Instant::now();
        let mut sum = Sum(0);
        executor.run(once(0..50), &task, &mut sum, &Progress::new(50, 0), &Options::default()).unwrap();
        assert_eq!(sum.0, (0..50).sum());
        let (run, ideal) = (begun.elapsed(), ROW * 50u32.div_ceil(workers as u32));
        println!(
            "50 rows of 20 ms, {workers} workers: {run:.2?}, ideally {ideal:.2?}, ratio {:.2}",
            run.as_secs_f64() / ideal.as_secs_f64()
        );
    }
}

/// Rows of 1 MiB with a fast and a slow sink: the most bytes that were alive against the bound.
fn large_rows(rows: u64) {
    for pause in [Duration::ZERO, Duration::from_millis(20)] {
        let executor = Executor::new(2).unwrap();
        let (live, peak) = (AtomicU64::new(0), AtomicU64::new(0));
        let task = per_row(|_| Ok::<_, Infallible>(Large::new(&live, &peak))).row_bytes(|_| LARGE as u64);
        let options = Options::default();
        let mut sink = Slow(pause, PhantomData);
        executor.run(once(0..rows), &task, &mut sink, &Progress::new(rows, 0), &options).unwrap();
        let (peak, bound) = (peak.into_inner(), 2 * (2 + 2) * options.batch_bytes_max);
        assert!(live.into_inner() == 0 && peak <= bound, "{peak} bytes were alive at once");
        println!(
            "{rows} rows of 1 MiB, 2 workers, a batch takes the sink {pause:?}: peak {} MiB, bound {} MiB, ratio {:.2}",
            peak >> 20,
            bound >> 20,
            peak as f64 / bound as f64
        );
    }
}

/// Some work on four numbers at a time, as a hash function does.
fn mixed(row: u64, rounds: u32) -> u64 {
    let lanes = (0..rounds).fold([row, row + 1, row + 2, row + 3], |lanes, _| {
        lanes.map(|lane| (lane ^ (lane >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9))
    });
    lanes.into_iter().fold(0, |sum, lane| sum ^ lane)
}

/// What a row of so many rounds takes on one thread at best.
fn row_ns(rounds: u32) -> f64 {
    const SAMPLE: u64 = 100_000;
    let sample = |_| {
        let begun = Instant::now();
        (0..SAMPLE).for_each(|row| _ = black_box(mixed(row, rounds)));
        begun.elapsed()
    };
    best((0..20).map(sample).collect()).as_nanos() as f64 / SAMPLE as f64
}

fn best(times: Vec<Duration>) -> Duration {
    times.into_iter().min().unwrap()
}

/// A row of [`LARGE`] bytes that counts itself while it lives.
struct Large<'a> {
    live: &'a AtomicU64,
    bytes: Vec<u8>,
}

impl<'a> Large<'a> {
    fn new(live: &'a AtomicU64, peak: &AtomicU64) -> Self {
        let now = live.fetch_add(LARGE as u64, Ordering::Relaxed) + LARGE as u64;
        peak.fetch_max(now, Ordering::Relaxed);
        Self { live, bytes: black_box(vec![1; LARGE]) }
    }
}

impl Drop for Large<'_> {
    fn drop(&mut self) {
        self.live.fetch_sub(self.bytes.len() as u64, Ordering::Relaxed);
    }
}

/// Takes a while for each batch.
struct Slow<'a>(Duration, PhantomData<Large<'a>>);

impl<'a> Sink for Slow<'a> {
    type Batch = (Range<u64>, Vec<Large<'a>>);
    type Failure = Infallible;
    type Error = Infallible;

    fn append(&mut self, (_, rows): Self::Batch) -> Result<u64, Infallible> {
        std::thread::sleep(self.0);
        Ok(rows.len() as u64)
    }

    fn record(&mut self, failed: FailedRow<Infallible>) -> Result<(), Infallible> {
        panic!("{failed:?}")
    }

    fn commit(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
