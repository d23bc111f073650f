//! The limit: the same work by a bare program, without checkpoints, hashes or names.
//!
//! Rows are read from an Arrow IPC file, decoded, computed on all cores, encoded, and written to another such file,
//! with one sync at the end. One window of batches is computed while the one before it is written.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_ipc::reader::FileReader;
use arrow_ipc::writer::FileWriter;
use rayon::prelude::*;
use rowmark::rows::{RowSchema, RowType};

use crate::Answer;
use crate::rows::Sample;
use crate::side::{At, Done};

pub(crate) const BATCH_ROWS: u64 = 8192;

/// Batches that are in memory twice: as they were read, and computed.
const WINDOW: usize = 16;

/// The file of a case's rows.
fn input(at: &At) -> std::path::PathBuf {
    at.shared.join("rows.arrow")
}

/// Writes the rows of a case.
pub(crate) fn prepare<T: Sample>(at: &At) -> Answer {
    let mut output = Output::create::<T>(&input(at))?;
    for first in (0..at.rows).step_by(BATCH_ROWS as usize) {
        let rows: Vec<T> = (first..at.rows.min(first + BATCH_ROWS)).map(T::make).collect();
        output.write(&[output.encode(&rows)?])?;
    }
    output.finish()?;
    Ok(())
}

/// The trivial UDF.
pub(crate) fn map<T: Sample>(at: &At) -> Answer<Done> {
    run(at, |rows: Vec<T>| rows.iter().map(T::computed).collect::<Vec<T>>())
}

/// Three rows from each.
pub(crate) fn flat_map<T: Sample>(at: &At) -> Answer<Done> {
    run(at, |rows: Vec<T>| {
        rows.iter().flat_map(|row| [row.clone(), row.computed(), row.clone()]).collect::<Vec<T>>()
    })
}

fn run<In: RowType, Out: RowType>(at: &At, compute: impl Fn(Vec<In>) -> Vec<Out> + Sync) -> Answer<Done> {
    let mut batches = FileReader::try_new(BufReader::new(File::open(input(at))?), None)?;
    let mut output = Output::create::<Out>(&at.round.join("computed.arrow"))?;
    let schema = output.schema.clone();
    let one = |batch: &RecordBatch| -> Answer<RecordBatch> {
        encode(&schema, &compute(serde_arrow::from_record_batch(batch)?))
    };
    let mut computed = Vec::new();
    loop {
        let next = || -> Answer<Vec<RecordBatch>> {
            let window = batches.by_ref().take(WINDOW).collect::<Result<Vec<_>, _>>()?;
            window.par_iter().map(one).collect()
        };
        let (written, next) = rayon::join(|| output.write(&computed), next);
        written?;
        computed = next?;
        if computed.is_empty() {
            return Ok(Done::rows(output.finish()?));
        }
    }
}

fn encode<T: RowType>(schema: &RowSchema, rows: &[T]) -> Answer<RecordBatch> {
    Ok(serde_arrow::to_record_batch(schema.arrow().fields(), &rows)?)
}

/// An Arrow IPC file that is being written.
pub(crate) struct Output {
    schema: RowSchema,
    writer: FileWriter<BufWriter<File>>,
    rows: u64,
}

impl Output {
    pub(crate) fn create<T: RowType>(path: &Path) -> Answer<Self> {
        let schema = RowSchema::of::<T>()?;
        let writer = FileWriter::try_new(BufWriter::new(File::create(path)?), schema.arrow())?;
        Ok(Self { schema, writer, rows: 0 })
    }

    pub(crate) fn encode<T: RowType>(&self, rows: &[T]) -> Answer<RecordBatch> {
        encode(&self.schema, rows)
    }

    pub(crate) fn write(&mut self, batches: &[RecordBatch]) -> Answer {
        for batch in batches {
            self.writer.write(batch)?;
            self.rows += batch.num_rows() as u64;
        }
        Ok(())
    }

    /// Ends the file, makes it durable, and answers how many rows it has.
    pub(crate) fn finish(self) -> Answer<u64> {
        let file = { self.writer }.into_inner()?.into_inner()?;
        file.sync_all()?;
        Ok(self.rows)
    }
}
