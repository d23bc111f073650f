//! What it costs to append rows and make them durable, by how many are committed together.
//!
//! ```text
//! cargo bench -p rowmark-warehouse --bench append_commit
//! ```
#![expect(clippy::unwrap_used, reason = "a benchmark")]

mod tables;

use std::iter::repeat_n;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use rowmark_rows::{RowRange, RowSchema};
use rowmark_warehouse::{FileWarehouse, Warehouse as _};
use tables::{BATCH_ROWS, Review, append_commit, dataset, encode, seal};

fn main() {
    let mut criterion = Criterion::default().configure_from_args().measurement_time(Duration::from_secs(2));
    // Beside the build and not in the system's folder for temporary files, which may be memory.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let warehouse = FileWarehouse::open(folder.path()).unwrap();
    let (schema, name) = (RowSchema::of::<Review>().unwrap(), dataset("reviews").unwrap());
    let mut group = criterion.benchmark_group("append_commit");
    for rows in [1, 100, BATCH_ROWS] {
        let batch = encode(&schema, RowRange::new(0, rows)).unwrap();
        group.throughput(Throughput::Elements(rows));
        group.bench_function(format!("{rows} rows"), |bencher| {
            bencher.iter_custom(|commits| {
                let mut writer = warehouse.create(&name, &schema, b"").unwrap();
                let begun = Instant::now();
                append_commit(&mut *writer, repeat_n(&batch, commits as usize)).unwrap();
                let took = begun.elapsed();
                assert_eq!(seal(writer).unwrap().rows_out(), commits * rows);
                warehouse.drop(&name).unwrap();
                took
            });
        });
    }
    group.finish();
    criterion.final_summary();
}
