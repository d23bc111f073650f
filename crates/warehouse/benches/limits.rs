//! Tables against plain files: ratios to the same Arrow IPC bytes, written and read in the same run.
//!
//! ```text
//! cargo bench -p rowmark-warehouse --bench limits [--features lz4,zstd]
//! ```
//!
//! Each figure with a bound is followed by it. The plain rivals are Arrow's own stream writer and reader, with as many
//! syncs; bytes that were encoded before, which cost a file system and nothing else, are the limit below them.
//! With `--test` it runs once and on little.

mod tables;

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use rowmark_hashing::ContentHash;
use rowmark_rows::{RowRange, RowSchema};
use rowmark_warehouse::{CodeId, Compression, FileWarehouse, Table, Warehouse as _};
use tables::{Answer, BATCH_ROWS, Review, append_commit, dataset, encode, seal};

fn main() -> Answer {
    let (batches, rows_many, rounds) = if is_trial() { (2, 100_000, 1) } else { (245, 10_000_000, 5) };
    // Beside the build and not in the system's folder for temporary files, which may be memory.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let schema = RowSchema::of::<Review>()?;
    // It is first, so that no memory that was freed before hides what it takes.
    many_rows(folder.path(), &schema, rows_many)?;
    let batches: Vec<RecordBatch> = (0..batches)
        .map(|batch| encode(&schema, RowRange::new(batch * BATCH_ROWS, (batch + 1) * BATCH_ROWS)))
        .collect::<Answer<_>>()?;
    against_plain_files(folder.path(), &schema, &batches, rounds)?;
    compressed(folder.path(), &schema, &batches)
}

/// Whether this was not started as a benchmark, or with `--test`.
fn is_trial() -> bool {
    let has = |name: &str| std::env::args().any(|argument| argument == name);
    has("--test") || !has("--bench")
}

fn against_plain_files(folder: &Path, schema: &RowSchema, batches: &[RecordBatch], rounds: usize) -> Answer {
    let warehouse = FileWarehouse::open(folder.join("tables"))?;
    let (name, plain) = (dataset("bench")?, folder.join("plain.arrows"));
    let rows = batches.len() as u64 * BATCH_ROWS;
    let encoded = encoded_batches(schema, batches)?;
    let (mut tables, mut files, mut bytes_only) = (Vec::new(), Vec::new(), Vec::new());
    let (mut scans, mut reads, mut verified) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        warehouse.drop(&name)?;
        tables.push(timed(|| append_commit(&mut *warehouse.create(&name, schema, b"")?, batches))?);
        files.push(timed(|| write_stream(&plain, schema, batches))?);
        bytes_only.push(timed(|| write_bytes(&folder.join("bytes"), &encoded))?);
        verified.push(timed(|| Ok(warehouse.open_table(&name)?))?);
        let table = seal(warehouse.resume(&name)?)?;
        scans.push(timed(|| all(rows, scan(&table)?))?);
        reads.push(timed(|| all(rows, read_stream(&plain)?))?);
    }

    let mebibytes = std::fs::metadata(&plain)?.len() >> 20;
    println!(
        "{rows} rows, batches of {BATCH_ROWS}, {mebibytes} MiB of Arrow IPC, medians of {rounds} rounds"
    );
    let (table, file, bytes) = (median(tables), median(files), median(bytes_only));
    let line = |what: &str, time: Duration| {
        println!("  {what}: {time:.1?}, {:.2} million rows/s", rows as f64 / time.as_secs_f64() / 1e6);
    };
    line("append, commit each batch", table);
    line("Arrow stream writer, sync each batch", file);
    line("the same bytes, encoded before, sync each batch", bytes);
    println!("  append and commit = {:.2} x stream writer (bound 1.50)", ratio(table, file));
    println!("                    = {:.2} x bytes alone", ratio(table, bytes));
    let (scanned, read) = (median(scans), median(reads));
    line("scan of a sealed table", scanned);
    line("Arrow stream reader of the plain file", read);
    println!("  scan = {:.2} x stream reader (bound 1.30)", ratio(scanned, read));
    line("opening the table unsealed: all is verified", median(verified));
    Ok(())
}

/// Sizes and times of compressed tables, as ratios to the plain table.
fn compressed(folder: &Path, schema: &RowSchema, batches: &[RecordBatch]) -> Answer {
    let kinds: &[(&str, Compression)] = &[
        ("plain", Compression::None),
        #[cfg(feature = "lz4")]
        ("lz4", Compression::Lz4),
        #[cfg(feature = "zstd")]
        ("zstd", Compression::Zstd),
    ];
    let mut plain = None;
    for (kind, compression) in kinds {
        let warehouse = FileWarehouse::open(folder.join(kind))?.with_compression(*compression);
        let name = dataset("bench")?;
        let written = timed(|| append_commit(&mut *warehouse.create(&name, schema, b"")?, batches))?;
        let table = seal(warehouse.resume(&name)?)?;
        let scanned = timed(|| scan(&table))?;
        let bytes = warehouse.size_bytes(&name)?.unwrap_or(0);
        let (written_plain, scanned_plain, bytes_plain) = *plain.get_or_insert((written, scanned, bytes));
        println!(
            "{kind}: {:.2} x the bytes, {:.2} x the time to write, {:.2} x the time to scan of the plain table",
            bytes as f64 / bytes_plain as f64,
            ratio(written, written_plain),
            ratio(scanned, scanned_plain),
        );
    }
    Ok(())
}

/// Writes, scans, renames and copies a large table, and measures its memory.
fn many_rows(folder: &Path, schema: &RowSchema, rows: u64) -> Answer {
    let warehouse = FileWarehouse::open(folder.join("many"))?;
    let (name, renamed) = (dataset("many")?, dataset("renamed")?);
    let batch = encode(schema, RowRange::new(0, BATCH_ROWS))?;
    let before = resident_kib();
    let mut writer = warehouse.create(&name, schema, b"")?;
    let code = CodeId::new(ContentHash::from_bytes([1; 32]));
    let (mut next, mut peak) = (0, before);
    while next < rows {
        let end = (next + BATCH_ROWS).min(rows);
        writer.append(RowRange::new(next, end), code, &batch.slice(0, (end - next) as usize))?;
        if (next / BATCH_ROWS).is_multiple_of(64) {
            writer.commit()?;
        }
        next = end;
        peak = peak.max(resident_kib());
    }
    let table = seal(writer)?;
    println!("{rows} rows, {} MiB", warehouse.size_bytes(&name)?.unwrap_or(0) >> 20);
    println!("  memory above the start: {} MiB while writing (bound 64)", (peak - before) >> 10);
    assert!(peak - before <= 64 << 10, "memory while writing is bounded");
    peak = before;
    for batch in table.scan() {
        drop(batch?);
        peak = peak.max(resident_kib());
    }
    println!("  memory above the start: {} MiB while scanning (bound 64)", (peak - before) >> 10);
    assert!(peak - before <= 64 << 10, "memory while scanning is bounded");
    println!("  rename: {:?} (bound 10 ms)", timed(|| Ok(warehouse.rename(&name, &renamed)?))?);
    println!("  copy: {:?} (bound 10 ms)", timed(|| Ok(warehouse.copy(&renamed, &name)?))?);
    println!("  open: {:?}", timed(|| Ok(warehouse.open_table(&name)?))?);
    Ok(())
}

fn scan(table: &Table) -> Answer<u64> {
    let rows: usize = table.scan().map(|batch| batch.map(|batch| batch.num_rows())).sum::<Result<_, _>>()?;
    Ok(rows as u64)
}

fn read_stream(path: &Path) -> Answer<u64> {
    let reader = StreamReader::try_new(BufReader::with_capacity(1 << 16, File::open(path)?), None)?;
    let rows: usize = reader.map(|batch| batch.map(|batch| batch.num_rows())).sum::<Result<_, _>>()?;
    Ok(rows as u64)
}

fn write_stream(path: &Path, schema: &RowSchema, batches: &[RecordBatch]) -> Answer {
    let file = File::create(path)?;
    let mut writer =
        StreamWriter::try_new_with_options(std::io::BufWriter::new(&file), schema.arrow(), options()?)?;
    for batch in batches {
        writer.write(batch)?;
        writer.flush()?;
        file.sync_data()?;
    }
    writer.finish()?;
    Ok(())
}

fn encoded_batches(schema: &RowSchema, batches: &[RecordBatch]) -> Answer<Vec<Vec<u8>>> {
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), schema.arrow(), options()?)?;
    let mut encoded = Vec::new();
    for batch in batches {
        writer.write(batch)?;
        encoded.push(std::mem::take(writer.get_mut()));
    }
    Ok(encoded)
}

fn write_bytes(path: &Path, encoded: &[Vec<u8>]) -> Answer {
    let mut file = File::create(path)?;
    for bytes in encoded {
        file.write_all(bytes)?;
        file.sync_data()?;
    }
    Ok(())
}

fn options() -> Answer<IpcWriteOptions> {
    Ok(IpcWriteOptions::try_new(8, false, arrow_ipc::MetadataVersion::V5)?)
}

fn timed<T>(run: impl FnOnce() -> Answer<T>) -> Answer<Duration> {
    let start = Instant::now();
    run()?;
    Ok(start.elapsed())
}

fn all(rows: u64, read: u64) -> Answer {
    assert_eq!(read, rows, "all rows are read");
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn ratio(time: Duration, other: Duration) -> f64 {
    time.as_secs_f64() / other.as_secs_f64()
}

/// The memory that the process holds, where the system tells it.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
