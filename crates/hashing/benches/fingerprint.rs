//! What it costs to name a step, a row, and a thousand rows.
//!
//! ```text
//! cargo bench -p rowmark-hashing --bench fingerprint
//! ```
#![expect(clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use rowmark_hashing::{ContentHash, Fingerprint, encode, hash_rows};
use serde::Serialize;

#[derive(Serialize)]
struct Review {
    id: u64,
    author: u32,
    stars: f32,
    unix_time_ms: i64,
    text: String,
}

fn review(id: u64) -> Review {
    Review {
        id,
        author: id as u32 * 7,
        stars: (id % 11) as f32 / 2.0,
        unix_time_ms: 1_700_000_000_000 + id as i64,
        text: format!("{id}: the slow room was warm and loud, but the staff was kind; would come again"),
    }
}

/// A step as a chain names it.
fn step(input: ContentHash, threshold: f64) -> ContentHash {
    let step = Fingerprint::new("udf step")
        .with_hash("input", input, "reviews.csv")
        .with("name", "classify")
        .and_then(|step| step.with("captured threshold", &threshold))
        .and_then(|step| step.with("output schema", "id: u64, label: utf8, score: f32"))
        .and_then(|step| step.with("code", "| review | classify ( review , threshold )"));
    step.unwrap().hash()
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let rows: Vec<Review> = (0..1000).map(review).collect();
    let mut group = criterion.benchmark_group("fingerprint");
    let input = ContentHash::of("the rows").unwrap();
    group.bench_function("step", |bencher| bencher.iter(|| step(black_box(input), black_box(0.5))));
    group.bench_function("row", |bencher| bencher.iter(|| ContentHash::of(black_box(&rows[0])).unwrap()));
    group.throughput(Throughput::Bytes(encode(&rows).unwrap().len() as u64));
    group.bench_function("1000 rows", |bencher| bencher.iter(|| hash_rows(black_box(&rows)).unwrap()));
    group.finish();
    criterion.final_summary();
}
