//! Rows to check with.

use std::sync::LazyLock;

use arrow_array::RecordBatch;
use rowmark_hashing::ContentHash;
use rowmark_rows::{RowRange, RowRanges, RowSchema};
use serde::{Deserialize, Serialize};

use super::Expected;
use crate::{CodeId, DatasetName, Seal, Table, TableName, TableWriter, Warehouse};

#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub(super) struct Row {
    input: u64,
    emission: u32,
    text: Option<String>,
}

/// An input row yields 0, 1 or 2 rows.
pub(super) fn rows_of(range: RowRange) -> Vec<Row> {
    let row = |input, emission| Row { input, emission, text: (input % 5 > 0).then(|| input.to_string()) };
    (range.start()..range.end())
        .flat_map(|input| (0..(input % 3) as u32).map(move |emission| row(input, emission)))
        .collect()
}

pub(super) fn schema() -> RowSchema {
    static SCHEMA: LazyLock<RowSchema> =
        LazyLock::new(|| RowSchema::of::<Row>().expect("such rows can be stored"));
    SCHEMA.clone()
}

pub(super) fn batch_of(range: RowRange) -> RecordBatch {
    schema().encode(&rows_of(range)).expect("the rows have the schema")
}

pub(super) fn range(start: u64, end: u64) -> RowRange {
    RowRange::new(start, end)
}

pub(super) fn code(number: u8) -> CodeId {
    CodeId::new(ContentHash::from_bytes([number; 32]))
}

pub(super) fn dataset(name: &str) -> TableName {
    TableName::dataset(DatasetName::new(name).expected(), 1)
}

pub(super) fn seal(rows_in: u64) -> Seal {
    let (content_hash, record) = (ContentHash::from_bytes([9; 32]), b"sealed".to_vec());
    Seal { rows_in, failed: RowRanges::new(), content_hash, record }
}

/// Writes ranges, one commit each.
pub(super) fn write(warehouse: &dyn Warehouse, name: &TableName, ranges: &[RowRange]) {
    let mut writer = warehouse.create(name, &schema(), b"record").expected();
    for range in ranges {
        append(&mut *writer, *range, 1);
        writer.commit().expected();
    }
}

pub(super) fn append(writer: &mut dyn TableWriter, range: RowRange, made_by: u8) {
    writer.append(range, code(made_by), &batch_of(range)).expected();
}

pub(super) fn open(warehouse: &dyn Warehouse, name: &TableName) -> Table {
    warehouse.open_table(name).expected().expected()
}

pub(super) fn read(table: &Table, rows: RowRange) -> Vec<Row> {
    let decode = |batch| schema().decode::<Row>(&batch).expect("a batch has the table's schema");
    table.scan_rows(rows).flat_map(|batch| decode(batch.expected())).collect()
}

pub(super) fn read_all(table: &Table) -> Vec<Row> {
    read(table, range(0, u64::MAX))
}
