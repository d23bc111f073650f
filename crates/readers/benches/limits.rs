//! Readers against bare loops of the parsers that they are made of, on one thread, and hashing of a large file against
//! plain SHA-256 on all cores. Both sides take turns; medians and their ratio are printed.
//!
//! ```text
//! cargo bench -p rowmark-readers --bench limits --features parquet
//! ```
//!
//! With `--test` it runs once and on little; that both sides read the same is checked all the same.

use std::error::Error;
use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use rowmark_readers::{CsvOptions, CsvSource, JsonOptions, JsonSource, Source};
use rowmark_rows::RowRange;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

const LEASE_ROWS: u64 = 8192;

/// How much is read, and how often.
struct Extent {
    rounds: usize,
    rows: u64,
    hashed_bytes: usize,
}

static EXTENT: LazyLock<Extent> = LazyLock::new(|| match is_trial() {
    true => Extent { rounds: 1, rows: 20_000, hashed_bytes: 1 << 22 },
    false => Extent { rounds: 5, rows: 500_000, hashed_bytes: 1 << 30 },
});

/// Whether this was not started as a benchmark, or with `--test`.
fn is_trial() -> bool {
    let has = |name: &str| std::env::args().any(|argument| argument == name);
    has("--test") || !has("--bench")
}

#[derive(Serialize, Deserialize)]
struct Review {
    id: u64,
    text: String,
    stars: f64,
    user: String,
    helpful: Option<i64>,
}

fn review(id: u64) -> Review {
    Review {
        id,
        text: format!("review number {id} says that the thing is as good as things are"),
        stars: id as f64 % 50.0 / 10.0,
        user: format!("user{}", id % 10_007),
        helpful: id.is_multiple_of(3).then_some(id as i64 % 100),
    }
}

/// Reads all rows in leases, as a chain does.
fn by_source(source: &impl Source<Row = Review>) -> Result<u64> {
    let rows = source.rows()?;
    let mut sum = 0;
    for start in (0..rows).step_by(LEASE_ROWS as usize) {
        for row in source.read(RowRange::new(start, rows.min(start + LEASE_ROWS)))? {
            sum += black_box(row?).id;
        }
    }
    Ok(sum)
}

fn time<T>(work: impl FnOnce() -> Result<T>) -> Result<(Duration, T)> {
    let begun = Instant::now();
    let done = work()?;
    Ok((begun.elapsed(), done))
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64()
}

/// Prints the medians of two ways to the same result.
fn compare<T: PartialEq + std::fmt::Debug>(
    name: &str,
    amount: (f64, &str),
    bare: impl Fn() -> Result<T>,
    ours: impl Fn() -> Result<T>,
) -> Result<()> {
    let (mut bare_times, mut our_times) = (Vec::new(), Vec::new());
    for _ in 0..EXTENT.rounds {
        let (bare_time, bare_result) = time(&bare)?;
        let (our_time, our_result) = time(&ours)?;
        assert_eq!(bare_result, our_result);
        bare_times.push(bare_time);
        our_times.push(our_time);
    }
    let (bare, ours) = (median(bare_times), median(our_times));
    let (amount, unit) = amount;
    println!(
        "{name:<16} bare {:>7.2} {unit}/s   source {:>7.2} {unit}/s   {:.2} of the bare loop's speed",
        amount / bare,
        amount / ours,
        bare / ours
    );
    Ok(())
}

fn csv_and_json(folder: &Path) -> Result<()> {
    let (csv_path, json_path) = (folder.join("reviews.csv"), folder.join("reviews.jsonl"));
    let mut csv_writer = csv::Writer::from_path(&csv_path)?;
    let mut json_writer = std::io::BufWriter::new(File::create(&json_path)?);
    for id in 0..EXTENT.rows {
        csv_writer.serialize(review(id))?;
        serde_json::to_writer(&mut json_writer, &review(id))?;
        json_writer.write_all(b"\n")?;
    }
    csv_writer.flush()?;
    json_writer.flush()?;
    let million_rows = (EXTENT.rows as f64 / 1e6, "M rows");
    let bare_csv = || {
        let mut sum = 0;
        for row in csv::Reader::from_path(&csv_path)?.deserialize() {
            let row: Review = row?;
            sum += black_box(row).id;
        }
        Ok(sum)
    };
    compare("CSV", million_rows, bare_csv, || by_source(&CsvSource::open(&csv_path, CsvOptions::new())?))?;
    let bare_json = || {
        let mut sum = 0;
        for line in BufReader::new(File::open(&json_path)?).lines() {
            let row: Review = serde_json::from_str(&line?)?;
            sum += black_box(row).id;
        }
        Ok(sum)
    };
    compare("JSON lines", million_rows, bare_json, || {
        by_source(&JsonSource::open(&json_path, JsonOptions::new())?)
    })
}

#[cfg(feature = "parquet")]
fn parquet(folder: &Path) -> Result<()> {
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use rowmark_readers::{ColumnarOptions, ParquetSource};
    use rowmark_rows::RowSchema;

    let path = folder.join("reviews.parquet");
    let schema = RowSchema::of::<Review>()?;
    let mut writer = ArrowWriter::try_new(File::create(&path)?, schema.arrow().clone(), None)?;
    for start in (0..EXTENT.rows).step_by(50_000) {
        let rows: Vec<Review> = (start..EXTENT.rows.min(start + 50_000)).map(review).collect();
        writer.write(&schema.encode(&rows)?)?;
    }
    writer.close()?;
    let bare = || {
        let mut sum = 0;
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path)?)?.build()?;
        for batch in reader {
            for row in schema.decode::<Review>(&batch?)? {
                sum += black_box(row).id;
            }
        }
        Ok(sum)
    };
    compare("Parquet", (EXTENT.rows as f64 / 1e6, "M rows"), bare, || {
        by_source(&ParquetSource::open(&path, ColumnarOptions::new())?)
    })
}

#[cfg(not(feature = "parquet"))]
fn parquet(_folder: &Path) -> Result<()> {
    println!("Parquet: not built; add `--features parquet`");
    Ok(())
}

/// A file that is in memory already, so that what is measured is hashing and not the disk.
fn hashing(folder: &Path) -> Result<()> {
    let path = folder.join("large.csv");
    let mut file = File::create(&path)?;
    file.write_all(b"n\n")?;
    let block: Vec<u8> = (0u32..1 << 18).flat_map(|n| format!("{n:07}\n").into_bytes()).collect();
    for _ in 0..EXTENT.hashed_bytes / block.len() {
        file.write_all(&block)?;
    }
    drop(file);
    #[derive(Serialize, Deserialize)]
    struct Number {
        n: u64,
    }
    let gigabytes = (EXTENT.hashed_bytes as f64 / 1e9, "GB");
    let bare = || {
        // Parts of a file that do not depend on each other, each hashed by its thread.
        let threads = rayon::current_num_threads() as u64;
        let part = (EXTENT.hashed_bytes as u64).div_ceil(threads);
        let hash = |thread: u64| -> std::io::Result<()> {
            let mut file = File::open(&path)?;
            std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(thread * part))?;
            let (mut sha, mut buffer, mut left) = (Sha256::new(), vec![0; 1 << 20], part as usize);
            while left > 0 {
                let wanted = left.min(buffer.len());
                let len = file.read(&mut buffer[..wanted])?;
                if len == 0 {
                    break;
                }
                sha.update(&buffer[..len]);
                left -= len;
            }
            black_box(sha.finalize());
            Ok(())
        };
        (0..threads).into_par_iter().map(hash).collect::<std::io::Result<Vec<()>>>()?;
        Ok(())
    };
    compare("hash of a file", gigabytes, bare, || {
        black_box(CsvSource::<Number>::open(&path, CsvOptions::new())?.fingerprint()?);
        Ok(())
    })
}

fn main() -> Result<()> {
    let folder = tempfile::tempdir()?;
    csv_and_json(folder.path())?;
    parquet(folder.path())?;
    hashing(folder.path())
}
