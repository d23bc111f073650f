//! What it costs to read a sealed table: all of it, one batch, and a few rows inside of one.
//!
//! ```text
//! cargo bench -p rowmark-warehouse --bench scan
//! ```
#![expect(clippy::unwrap_used, reason = "a benchmark")]

mod tables;

use criterion::{Criterion, Throughput};
use rowmark_rows::{RowRange, RowSchema};
use rowmark_warehouse::{FileWarehouse, Scan, Warehouse as _};
use tables::{BATCH_ROWS, Review, append_commit, dataset, encode, seal};

const BATCHES: u64 = 32;

/// Reads; answers how many rows there were.
fn rows_of(scan: Scan) -> u64 {
    scan.map(|batch| batch.unwrap().num_rows() as u64).sum()
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let warehouse = FileWarehouse::open(folder.path()).unwrap();
    let schema = RowSchema::of::<Review>().unwrap();
    let batches: Vec<_> = (0..BATCHES)
        .map(|batch| encode(&schema, RowRange::new(batch * BATCH_ROWS, (batch + 1) * BATCH_ROWS)).unwrap())
        .collect();
    let mut writer = warehouse.create(&dataset("reviews").unwrap(), &schema, b"").unwrap();
    append_commit(&mut *writer, &batches).unwrap();
    let table = seal(writer).unwrap();

    let mut group = criterion.benchmark_group("scan");
    group.throughput(Throughput::Elements(BATCHES * BATCH_ROWS));
    group.bench_function("a table", |bencher| {
        bencher.iter(|| assert_eq!(rows_of(table.scan()), BATCHES * BATCH_ROWS));
    });
    for rows in [BATCH_ROWS, 10] {
        let range = RowRange::new(7 * BATCH_ROWS, 7 * BATCH_ROWS + rows);
        group.throughput(Throughput::Elements(rows));
        group.bench_function(format!("{rows} rows inside"), |bencher| {
            bencher.iter(|| assert_eq!(rows_of(table.scan_rows(range)), rows));
        });
    }
    group.finish();
    criterion.final_summary();
}
