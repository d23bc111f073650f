//! Appending and scanning as ratios to plain files with the same Arrow IPC bytes, in the same run.
//!
//! `cargo bench -p rowmark-warehouse` prints them, with the memory that 10 million rows take and the
//! time that renaming and copying that table takes.

use std::error::Error;
use std::fs::File;
use std::io::{BufReader, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use rowmark_hashing::ContentHash;
use rowmark_rows::{RowRange, RowRanges, RowSchema};
use rowmark_warehouse::{CodeId, DatasetName, FileWarehouse, Seal, TableName, Warehouse};
use serde::{Deserialize, Serialize};

const BATCH_ROWS: u64 = 4_096;
const BATCHES: u64 = 245;
const MANY_ROWS: u64 = 10_000_000;
const ROUNDS: usize = 5;

type Answer<T> = Result<T, Box<dyn Error>>;

#[derive(Serialize, Deserialize)]
struct Review {
    id: u64,
    stars: f32,
    score: Option<f64>,
    label: String,
    text: String,
}

fn main() -> Answer<()> {
    let folder = tempfile::tempdir()?;
    let schema = RowSchema::of::<Review>()?;
    let batches: Vec<RecordBatch> =
        (0..BATCHES).map(|batch| encode(&schema, batch)).collect::<Result<_, _>>()?;
    let rows = BATCHES * BATCH_ROWS;

    let (mut tables, mut files, mut bytes_only) = (Vec::new(), Vec::new(), Vec::new());
    let (mut scans, mut reads, mut verified) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let warehouse = FileWarehouse::open(folder.path().join("tables"))?;
        let name = dataset("bench")?;
        warehouse.drop(&name)?;
        tables.push(timed(|| write_table(&warehouse, &name, &schema, &batches))?);
        let plain = folder.path().join("plain.arrows");
        files.push(timed(|| write_stream(&plain, &schema, &batches))?);
        let encoded = encoded_batches(&schema, &batches)?;
        bytes_only.push(timed(|| write_bytes(&folder.path().join("bytes"), &encoded))?);
        drop(encoded);

        verified.push(timed(|| warehouse.open_table(&name))?);
        let writer = warehouse.resume(&name)?;
        let content_hash = ContentHash::from_bytes([0; 32]);
        let table = writer.seal(Seal {
            rows_in: rows,
            failed: RowRanges::new(),
            content_hash,
            record: Vec::new(),
        })?;
        scans.push(timed(|| {
            let scanned: usize =
                table.scan().map(|batch| batch.map(|batch| batch.num_rows())).sum::<Result<_, _>>()?;
            assert_eq!(scanned as u64, rows);
            Ok::<_, Box<dyn Error>>(())
        })?);
        reads.push(timed(|| {
            let reader = StreamReader::try_new(BufReader::with_capacity(1 << 16, File::open(&plain)?), None)?;
            let read: usize =
                reader.map(|batch| batch.map(|batch| batch.num_rows())).sum::<Result<_, _>>()?;
            assert_eq!(read as u64, rows);
            Ok::<_, Box<dyn Error>>(())
        })?);
    }

    let mebibytes = std::fs::metadata(folder.path().join("plain.arrows"))?.len() as f64 / f64::from(1 << 20);
    println!(
        "{rows} rows, batches of {BATCH_ROWS}, {mebibytes:.0} MiB of Arrow IPC, medians of {ROUNDS} rounds"
    );
    let (table, file, bytes) = (median(tables), median(files), median(bytes_only));
    line("append + commit of each batch", table, rows);
    line("Arrow stream writer + sync of each batch", file, rows);
    line("the same bytes, encoded before, + sync", bytes, rows);
    println!(
        "  append + commit = {:.2} x stream writer, {:.2} x bytes alone",
        ratio(table, file),
        ratio(table, bytes)
    );
    let (scan, read) = (median(scans), median(reads));
    line("scan of a sealed table", scan, rows);
    line("Arrow stream reader of the plain file", read, rows);
    println!("  scan = {:.2} x stream reader", ratio(scan, read));
    line("opening the table unsealed (all verified)", median(verified), rows);
    many_rows(folder.path(), &schema)
}

/// Writes, scans, renames and copies a large table, and measures its memory.
fn many_rows(folder: &Path, schema: &RowSchema) -> Answer<()> {
    let warehouse = FileWarehouse::open(folder.join("many"))?;
    let name = dataset("many")?;
    let batch = encode(schema, 0)?;
    let before = resident_kib();
    let mut writer = warehouse.create(&name, schema, b"")?;
    let (mut next, mut peak) = (0, before);
    while next < MANY_ROWS {
        let end = (next + BATCH_ROWS).min(MANY_ROWS);
        writer.append(RowRange::new(next, end), code(), &batch.slice(0, (end - next) as usize))?;
        if (next / BATCH_ROWS).is_multiple_of(64) {
            writer.commit()?;
        }
        next = end;
        peak = peak.max(resident_kib());
    }
    let content_hash = ContentHash::from_bytes([0; 32]);
    let table = writer.seal(Seal {
        rows_in: MANY_ROWS,
        failed: RowRanges::new(),
        content_hash,
        record: Vec::new(),
    })?;
    println!("{MANY_ROWS} rows, {} MiB", warehouse.size_bytes(&name)?.unwrap_or(0) >> 20);
    println!("  memory above the start: {} MiB while writing", (peak - before) >> 10);
    let mut peak = before;
    for batch in table.scan() {
        drop(batch?);
        peak = peak.max(resident_kib());
    }
    println!("  memory above the start: {} MiB while scanning", (peak - before) >> 10);
    println!(
        "  rename: {:?}",
        timed(|| warehouse.rename(&name, &dataset("renamed").unwrap_or(name.clone())))?
    );
    println!("  copy: {:?}", timed(|| warehouse.copy(&dataset("renamed").unwrap_or(name.clone()), &name))?);
    println!("  open: {:?}", timed(|| warehouse.open_table(&name))?);
    Ok(())
}

fn write_table(
    warehouse: &dyn Warehouse,
    name: &TableName,
    schema: &RowSchema,
    batches: &[RecordBatch],
) -> Result<(), rowmark_warehouse::Error> {
    let mut writer = warehouse.create(name, schema, b"")?;
    for (start, batch) in (0..).step_by(BATCH_ROWS as usize).zip(batches) {
        writer.append(RowRange::new(start, start + BATCH_ROWS), code(), batch)?;
        writer.commit()?;
    }
    Ok(())
}

fn write_stream(path: &Path, schema: &RowSchema, batches: &[RecordBatch]) -> Answer<()> {
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

fn write_bytes(path: &Path, encoded: &[Vec<u8>]) -> std::io::Result<()> {
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

fn encode(schema: &RowSchema, batch: u64) -> Result<RecordBatch, rowmark_rows::Error> {
    let rows: Vec<Review> = (batch * BATCH_ROWS..(batch + 1) * BATCH_ROWS)
        .map(|id| Review {
            id,
            stars: (id % 5) as f32,
            score: (id % 3 > 0).then_some(id as f64 / 7.0),
            label: ["positive", "negative", "neutral"][(id % 3) as usize].to_owned(),
            text: format!("{id}: the quick brown fox jumps over the lazy dog, and says so in a review"),
        })
        .collect();
    schema.encode(&rows)
}

fn dataset(name: &str) -> Result<TableName, rowmark_warehouse::Error> {
    Ok(TableName::dataset(DatasetName::new(name)?, 1))
}

fn code() -> CodeId {
    CodeId::new(ContentHash::from_bytes([1; 32]))
}

fn timed<T, E>(run: impl FnOnce() -> Result<T, E>) -> Result<Duration, E> {
    let start = Instant::now();
    run()?;
    Ok(start.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn ratio(time: Duration, other: Duration) -> f64 {
    time.as_secs_f64() / other.as_secs_f64()
}

fn line(what: &str, time: Duration, rows: u64) {
    println!("  {what}: {time:.1?}, {:.2} million rows/s", rows as f64 / time.as_secs_f64() / 1e6);
}

/// The memory that the process holds, where the system tells it.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
