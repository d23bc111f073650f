//! Tables that older versions wrote are read and continued.
//!
//! The fixtures are never written again: a change that cannot read them is a change of the format.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as tests do")]

mod support;

use rowmark_rows::RowRanges;
use rowmark_warehouse::{FileWarehouse, Seal, TableName, Warehouse};
use support::{batch_of, code, dataset, range, read_all, rows_of_range, seal};

fn open(fixture: &str) -> (tempfile::TempDir, FileWarehouse) {
    let folder = support::fixture(fixture);
    let warehouse = FileWarehouse::open(folder.path()).unwrap();
    (folder, warehouse)
}

fn finish(warehouse: &dyn Warehouse, name: &TableName) {
    let mut writer = warehouse.resume(name).unwrap();
    assert_eq!(writer.processed().to_string(), "0..5, 6..9");
    writer.append(range(5, 6), code(3), &batch_of(range(5, 6))).unwrap();
    let table = writer.seal(seal(9)).unwrap();
    assert_eq!(read_all(&table), rows_of_range(range(0, 9)));
    assert_eq!(table.codes().keys().copied().collect::<Vec<_>>(), [code(1), code(2), code(3)]);
}

#[test]
fn tables_of_version_1_are_read_and_continued() {
    let (_folder, warehouse) = open("format_v1");
    let sealed = warehouse.open_table(&dataset("sealed")).unwrap().unwrap();
    assert_eq!((sealed.seal(), sealed.record()), (Some(&seal(9)), &b"sealed"[..]));
    assert_eq!(read_all(&sealed), rows_of_range(range(0, 9)));
    assert_eq!(*sealed.schema(), support::schema());

    let partial = warehouse.open_table(&dataset("partial")).unwrap().unwrap();
    assert_eq!((partial.seal(), partial.record(), partial.dropped_tail()), (None, &b"second"[..], None));
    warehouse.copy(&dataset("partial"), &dataset("copy")).unwrap();
    finish(&warehouse, &dataset("copy"));
    finish(&warehouse, &dataset("partial"));
}

#[test]
fn sealed_tables_with_holes_of_version_2_are_read() {
    let (_folder, warehouse) = open("format_v2");
    let table = warehouse.open_table(&dataset("holes")).unwrap().unwrap();
    let failed = RowRanges::from_iter([range(0, 1), range(5, 6), range(9, 12)]);
    assert_eq!(table.seal(), Some(&Seal { failed, ..seal(12) }));
    assert_eq!(read_all(&table), [rows_of_range(range(1, 5)), rows_of_range(range(6, 9))].concat());
}

#[test]
fn tables_with_inputs_of_version_3_are_read() {
    let (_folder, warehouse) = open("format_v3");
    let sealed = warehouse.open_table(&dataset("inputs")).unwrap().unwrap();
    assert_eq!(read_all(&sealed), rows_of_range(range(0, 9)));
    support::check_inputs(&sealed).unwrap();
    assert_eq!(sealed.frames().iter().filter(|frame| sealed.inputs(frame).unwrap().is_some()).count(), 2);
}

/// `docs/read_table.py` is compared with this file where pyarrow is there.
#[test]
fn the_rows_that_other_readers_are_compared_with_are_those_of_the_fixtures() {
    let expected: String = rows_of_range(range(0, 40))
        .iter()
        .map(|support::Row { input, emission, text }| {
            format!("{{\"input\": {input}, \"emission\": {emission}, \"text\": \"{text}\"}}\n")
        })
        .collect();
    assert_eq!(include_str!("fixtures/rows.jsonl"), expected);
}
