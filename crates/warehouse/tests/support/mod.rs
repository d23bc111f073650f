//! What the tests of tables share: small rows, and writing and reading whole tables.

#![allow(dead_code, reason = "not every test file uses every helper")]
#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as tests do")]

pub(crate) mod history;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use arrow_array::RecordBatch;
use rowmark_hashing::{ContentHash, RowHash};
use rowmark_rows::{RowRange, RowRanges, RowSchema};
use rowmark_warehouse::{
    BatchDigests, CodeId, DatasetName, Error, FileWarehouse, InputRow, Seal, Table, TableName, TableWriter,
    Warehouse,
};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) input: u64,
    pub(crate) emission: u32,
    pub(crate) text: String,
}

/// An input row yields 0, 1 or 2 rows.
pub(crate) fn rows_of(input: u64) -> Vec<Row> {
    (0..(input % 3) as u32)
        .map(|emission| Row {
            input,
            emission,
            text: format!("{input}/{emission} {}", "x".repeat(input as usize % 7)),
        })
        .collect()
}

pub(crate) fn rows_of_range(range: RowRange) -> Vec<Row> {
    (range.start()..range.end()).flat_map(rows_of).collect()
}

pub(crate) fn schema() -> RowSchema {
    // Finding out a schema takes longer than all that most tests do with it.
    static SCHEMA: LazyLock<RowSchema> = LazyLock::new(|| RowSchema::of::<Row>().unwrap());
    SCHEMA.clone()
}

pub(crate) fn batch_of(range: RowRange) -> RecordBatch {
    schema().encode(&rows_of_range(range)).unwrap()
}

/// What is told of the inputs of a range; one in seven was left out.
pub(crate) fn inputs_of(range: RowRange) -> Vec<InputRow> {
    let input = |input: u64| InputRow {
        hash: (input % 7 != 6).then(|| RowHash::from_bytes([input as u8 + 1; 24])),
        outputs: rows_of(input).len() as u32,
    };
    (range.start()..range.end()).map(input).collect()
}

/// Digests that a batch of a range could have; of each second one with one of its inputs.
pub(crate) fn digests_of(range: RowRange) -> BatchDigests {
    BatchDigests {
        inputs: range.start().is_multiple_of(4).then(|| ContentHash::from_bytes([range.end() as u8; 32])),
        rows_before: range.start() as u16,
        chunks: Vec::new(),
    }
}

/// Appends the rows of a range; with what is told of its inputs if it begins at an even number.
pub(crate) fn append(writer: &mut dyn TableWriter, range: RowRange, code: CodeId) -> Result<(), Error> {
    if range.start().is_multiple_of(2) {
        writer.append_with_inputs(range, code, &batch_of(range), &inputs_of(range), &digests_of(range))
    } else {
        writer.append(range, code, &batch_of(range))
    }
}

/// Checks that a table tells of its inputs what was told to it by [`append`].
pub(crate) fn check_inputs(table: &Table) -> Result<(), Error> {
    for frame in table.frames() {
        let range = frame.range();
        let is_told = range.start().is_multiple_of(2);
        assert_eq!(table.inputs(frame)?, is_told.then(|| inputs_of(range)), "{range}");
        assert_eq!(table.digests(frame)?, is_told.then(|| digests_of(range)), "{range}");
    }
    Ok(())
}

pub(crate) fn range(start: u64, end: u64) -> RowRange {
    RowRange::new(start, end)
}

pub(crate) fn code(number: u8) -> CodeId {
    CodeId::new(ContentHash::from_bytes([number; 32]))
}

pub(crate) fn dataset(name: &str) -> TableName {
    TableName::dataset(DatasetName::new(name).unwrap(), 1)
}

pub(crate) fn seal(rows_in: u64) -> Seal {
    Seal {
        rows_in,
        failed: RowRanges::new(),
        content_hash: ContentHash::from_bytes([9; 32]),
        record: b"sealed".to_vec(),
    }
}

pub(crate) fn open() -> (TempDir, FileWarehouse) {
    let folder = tempfile::tempdir().unwrap();
    let warehouse = FileWarehouse::open(folder.path()).unwrap();
    (folder, warehouse)
}

pub(crate) fn read_all(table: &Table) -> Vec<Row> {
    table.scan().flat_map(|batch| schema().decode::<Row>(&batch.unwrap()).unwrap()).collect()
}

/// Writes ranges, one commit each.
pub(crate) fn write(warehouse: &dyn Warehouse, name: &TableName, ranges: &[RowRange]) {
    let mut writer = warehouse.create(name, &schema(), b"record").unwrap();
    for range in ranges {
        writer.append(*range, code(1), &batch_of(*range)).unwrap();
        writer.commit().unwrap();
    }
}

pub(crate) fn files_of(folder: &Path, table: &TableName) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder.join(table.to_string()))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

/// The tables of a fixture, in a folder that may be written.
pub(crate) fn fixture(name: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    for table in std::fs::read_dir(fixture).unwrap().map(Result::unwrap) {
        let target = folder.path().join(table.file_name());
        std::fs::create_dir(&target).unwrap();
        for file in std::fs::read_dir(table.path()).unwrap().map(Result::unwrap) {
            std::fs::copy(file.path(), target.join(file.file_name())).unwrap();
        }
    }
    folder
}
