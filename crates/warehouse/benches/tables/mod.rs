//! Batches of reviews, and tables of them.

use std::error::Error;

use arrow_array::RecordBatch;
use rowmark_hashing::ContentHash;
use rowmark_rows::{RowRange, RowRanges, RowSchema};
use rowmark_warehouse::{CodeId, DatasetName, Seal, Table, TableName, TableWriter};
use serde::{Deserialize, Serialize};

pub(crate) const BATCH_ROWS: u64 = 4_096;

pub(crate) type Answer<T = ()> = Result<T, Box<dyn Error>>;

#[derive(Serialize, Deserialize)]
pub(crate) struct Review {
    id: u64,
    stars: f32,
    score: Option<f64>,
    label: String,
    text: String,
}

/// Encodes reviews with these numbers.
pub(crate) fn encode(schema: &RowSchema, rows: RowRange) -> Answer<RecordBatch> {
    let rows: Vec<Review> = (rows.start()..rows.end())
        .map(|id| Review {
            id,
            stars: (id % 5) as f32,
            score: (id % 3 > 0).then_some(id as f64 / 7.0),
            label: ["positive", "negative", "neutral"][(id % 3) as usize].to_owned(),
            text: format!("{id}: the quick brown fox jumps over the lazy dog, and says so in a review"),
        })
        .collect();
    Ok(schema.encode(&rows)?)
}

pub(crate) fn dataset(name: &str) -> Answer<TableName> {
    Ok(TableName::dataset(DatasetName::new(name)?, 1))
}

/// Appends batches to an empty table, and commits each.
pub(crate) fn append_commit<'a>(
    writer: &mut dyn TableWriter,
    batches: impl IntoIterator<Item = &'a RecordBatch>,
) -> Answer {
    let mut start = 0;
    for batch in batches {
        let end = start + batch.num_rows() as u64;
        writer.append(RowRange::new(start, end), code(), batch)?;
        writer.commit()?;
        start = end;
    }
    Ok(())
}

fn code() -> CodeId {
    CodeId::new(ContentHash::from_bytes([1; 32]))
}

pub(crate) fn seal(writer: Box<dyn TableWriter>) -> Answer<Table> {
    let (rows_in, failed) = (writer.processed().rows(), RowRanges::new());
    let (content_hash, record) = (ContentHash::from_bytes([0; 32]), Vec::new());
    Ok(writer.seal(Seal { rows_in, failed, content_hash, record })?)
}
