//! Tables from their first batch to their seal, and what is refused on the way.

mod support;

use rowmark_rows::RowRanges;
use rowmark_warehouse::{
    Error, FileWarehouse, RECORD_BYTES_MAX, TableFilter, TableName, UdfTable, Warehouse,
};
use support::{batch_of, code, dataset, files_of, open, range, read_all, rows_of_range, schema, seal, write};
use uuid::Uuid;

#[test]
fn a_table_is_resumed_where_it_was_left() {
    let (folder, warehouse) = open();
    let name = dataset("a");
    write(&warehouse, &name, &[range(0, 5)]);
    for round in 1..5 {
        let mut writer = warehouse.resume(&name).unwrap();
        assert_eq!(*writer.processed(), RowRanges::from(range(0, 5 * round)));
        assert_eq!(writer.rows_out(), rows_of_range(range(0, 5 * round)).len() as u64);
        writer
            .append(range(5 * round, 5 * round + 5), code(2), &batch_of(range(5 * round, 5 * round + 5)))
            .unwrap();
        writer.commit().unwrap();
    }
    assert_eq!(files_of(folder.path(), &name).len(), 5);
    let table = warehouse.resume(&name).unwrap().seal(seal(25)).unwrap();
    assert_eq!(read_all(&table), rows_of_range(range(0, 25)));
    let rows = |start, end| rows_of_range(range(start, end)).len() as u64;
    assert_eq!(table.codes().iter().collect::<Vec<_>>(), [(&code(1), &rows(0, 5)), (&code(2), &rows(5, 25))]);
}

#[test]
fn resuming_without_progress_leaves_no_file() {
    let (folder, warehouse) = open();
    let name = dataset("a");
    write(&warehouse, &name, &[range(0, 5)]);
    let before = (files_of(folder.path(), &name), warehouse.size_bytes(&name).unwrap());
    for _ in 0..10 {
        warehouse.resume(&name).unwrap().commit().unwrap();
    }
    assert_eq!((files_of(folder.path(), &name), warehouse.size_bytes(&name).unwrap()), before);
}

#[test]
fn a_table_has_one_writer() {
    let (folder, warehouse) = open();
    let (name, other) = (dataset("a"), dataset("b"));
    let mut writer = warehouse.create(&name, &schema(), b"").unwrap();
    writer.append(range(0, 2), code(1), &batch_of(range(0, 2))).unwrap();
    writer.commit().unwrap();
    // The second warehouse stands for another process: it knows of the writer by its lock only.
    for warehouse in [warehouse.clone(), FileWarehouse::open(folder.path()).unwrap()] {
        assert!(matches!(warehouse.resume(&name), Err(Error::BeingWritten { .. })));
        assert!(matches!(warehouse.copy(&name, &other), Err(Error::BeingWritten { .. })));
    }
    assert!(matches!(warehouse.rename(&name, &other), Err(Error::BeingWritten { .. })));
    assert!(matches!(warehouse.drop(&name), Err(Error::BeingWritten { .. })));
    assert!(matches!(warehouse.create(&name, &schema(), b""), Err(Error::BeingWritten { .. })));
    assert_eq!(warehouse.list(&TableFilter::All).unwrap(), std::slice::from_ref(&name));
    drop(writer);
    assert!(warehouse.resume(&name).is_ok());
    assert!(matches!(warehouse.create(&name, &schema(), b""), Err(Error::TableExists { .. })));
}

#[test]
fn two_writers_that_do_not_know_each_other_do_not_share_a_segment() {
    let (folder, warehouse) = open();
    let name = dataset("a");
    write(&warehouse, &name, &[range(0, 2)]);
    let stranger = FileWarehouse::open(folder.path()).unwrap();
    let mut first = warehouse.resume(&name).unwrap();
    let mut second = stranger.resume(&name).unwrap();
    first.append(range(2, 5), code(1), &batch_of(range(2, 5))).unwrap();
    first.commit().unwrap();
    let error = second.append(range(2, 3), code(1), &batch_of(range(2, 3))).unwrap_err();
    assert!(matches!(error, Error::BeingWritten { .. }), "{error}");
    let error = second.append(range(2, 3), code(1), &batch_of(range(2, 3))).unwrap_err();
    assert!(matches!(error, Error::WriterFailed { .. }), "{error}");
    assert_eq!(warehouse.open_table(&name).unwrap().unwrap().processed().to_string(), "0..5");
}

#[test]
fn tables_are_listed_measured_and_dropped() {
    let (folder, warehouse) = open();
    let job = Uuid::from_u128(7);
    let udf = TableName::udf(job, code(3).hash(), UdfTable::OutputPartial);
    for name in [dataset("b"), dataset("a"), udf.clone()] {
        write(&warehouse, &name, &[range(0, 5)]);
    }
    std::fs::create_dir(folder.path().join("something else")).unwrap();
    std::fs::write(folder.path().join("ds_x"), b"").unwrap();
    assert_eq!(warehouse.list(&TableFilter::All).unwrap(), [dataset("a"), dataset("b"), udf.clone()]);
    assert_eq!(warehouse.list(&TableFilter::Job(job)).unwrap(), std::slice::from_ref(&udf));
    assert_eq!(warehouse.list(&TableFilter::Job(Uuid::nil())).unwrap(), []);
    assert_eq!(warehouse.list(&TableFilter::Datasets).unwrap(), [dataset("a"), dataset("b")]);

    let bytes = files_of(folder.path(), &udf).iter().map(|file| file.metadata().unwrap().len()).sum();
    assert_eq!(warehouse.size_bytes(&udf).unwrap(), Some(bytes));
    assert!(warehouse.drop(&udf).unwrap());
    assert!(!warehouse.drop(&udf).unwrap());
    assert_eq!(warehouse.size_bytes(&udf).unwrap(), None);
    assert!(warehouse.open_table(&udf).unwrap().is_none());
    assert!(matches!(warehouse.resume(&udf), Err(Error::TableMissing { .. })));
}

#[test]
fn records_are_kept_with_the_newest_segment() {
    let (folder, warehouse) = open();
    let name = dataset("a");
    write(&warehouse, &name, &[range(0, 5)]);
    let mut writer = warehouse.resume(&name).unwrap();
    writer.set_record(b"second").unwrap();
    writer.append(range(5, 6), code(1), &batch_of(range(5, 6))).unwrap();
    writer.set_record(b"third").unwrap();
    writer.set_record(b"third").unwrap();
    writer.append(range(6, 7), code(1), &batch_of(range(6, 7))).unwrap();
    writer.commit().unwrap();
    drop(writer);
    assert_eq!(files_of(folder.path(), &name).len(), 3);
    let table = warehouse.open_table(&name).unwrap().unwrap();
    assert_eq!((table.record(), table.processed().to_string().as_str()), (&b"third"[..], "0..7"));

    let long = vec![0; RECORD_BYTES_MAX as usize + 1];
    assert!(matches!(warehouse.create(&dataset("b"), &schema(), &long), Err(Error::TooLarge { .. })));
    assert!(warehouse.create(&dataset("b"), &schema(), &long[1..]).is_ok());
    assert_eq!(warehouse.open_table(&dataset("b")).unwrap().unwrap().record().len(), long.len() - 1);
}

#[test]
fn a_folder_that_cannot_be_one_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, b"").unwrap();
    let error = FileWarehouse::open(&path).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot create the folder {}", path.display()));
    assert!(std::error::Error::source(&error).is_some());
}
