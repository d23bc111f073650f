//! Tables from their first batch to their seal, and what is refused on the way.

mod support;

use rowmark_rows::{RowRange, RowRanges, RowSchema};
use rowmark_warehouse::{
    Error, FileWarehouse, RECORD_BYTES_MAX, Seal, TableFilter, TableName, UdfTable, Warehouse,
};
use support::{batch_of, code, dataset, files_of, open, range, read_all, rows_of_range, schema, seal, write};
use uuid::Uuid;

#[test]
fn rows_come_back_in_the_order_of_their_inputs() {
    let (_folder, warehouse) = open();
    let name = dataset("a");
    write(&warehouse, &name, &[range(10, 20), range(0, 7), range(7, 10), range(30, 31)]);
    let table = warehouse.open_table(&name).unwrap().unwrap();
    assert_eq!(table.processed().to_string(), "0..20, 30..31");
    assert_eq!(table.record(), b"record");
    assert_eq!(table.seal(), None);
    assert_eq!(table.dropped_tail(), None);
    assert_eq!(*table.schema(), schema());
    let mut expected = rows_of_range(range(0, 20));
    expected.extend(rows_of_range(range(30, 31)));
    assert_eq!(read_all(&table), expected);
    assert_eq!(table.rows_out(), expected.len() as u64);
    let ranges: Vec<RowRange> = table.frames().iter().map(rowmark_warehouse::Frame::range).collect();
    assert_eq!(ranges, [range(0, 7), range(7, 10), range(10, 20), range(30, 31)]);
}

#[test]
fn any_range_of_output_rows_can_be_read() {
    let (_folder, warehouse) = open();
    let name = dataset("a");
    write(&warehouse, &name, &[range(6, 11), range(0, 5), range(12, 13), range(5, 6)]);
    let table = warehouse.open_table(&name).unwrap().unwrap();
    let all = read_all(&table);
    let rows = all.len() as u64;
    for start in 0..=rows + 2 {
        for end in start..=rows + 2 {
            let read: Vec<support::Row> = table
                .scan_rows(range(start, end))
                .flat_map(|batch| schema().decode::<support::Row>(&batch.unwrap()).unwrap())
                .collect();
            let (start, end) = (start.min(rows) as usize, end.min(rows) as usize);
            assert_eq!(read, all[start..end]);
        }
    }
}

#[test]
fn inputs_that_yield_nothing_are_processed() {
    let (_folder, warehouse) = open();
    let name = dataset("a");
    // Inputs 0 and 3 yield no rows.
    write(&warehouse, &name, &[range(0, 1), range(3, 4)]);
    let table = warehouse.open_table(&name).unwrap().unwrap();
    assert_eq!(table.processed().to_string(), "0..1, 3..4");
    assert_eq!(table.rows_out(), 0);
    assert_eq!(table.scan().count(), 0);
    let empty = table.read(&table.frames()[1]).unwrap();
    assert_eq!((empty.num_rows(), empty.num_columns()), (0, 3));
}

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
fn what_was_not_committed_is_lost_and_nothing_else() {
    let (_folder, warehouse) = open();
    let name = dataset("a");
    let mut writer = warehouse.create(&name, &schema(), b"").unwrap();
    writer.append(range(0, 5), code(1), &batch_of(range(0, 5))).unwrap();
    writer.commit().unwrap();
    writer.append(range(5, 9), code(1), &batch_of(range(5, 9))).unwrap();
    assert_eq!(writer.processed().to_string(), "0..9");
    drop(writer);
    let table = warehouse.open_table(&name).unwrap().unwrap();
    assert_eq!(table.processed().to_string(), "0..5");
    assert_eq!(table.dropped_tail(), None);
}

#[test]
fn a_seal_tells_everything_and_is_for_good() {
    let (_folder, warehouse) = open();
    let name = dataset("a");
    write(&warehouse, &name, &[range(0, 4), range(4, 9)]);
    let table = warehouse.resume(&name).unwrap().seal(seal(9)).unwrap();
    assert_eq!(table.seal(), Some(&seal(9)));
    assert_eq!(table.record(), b"sealed");
    assert_eq!(read_all(&table), rows_of_range(range(0, 9)));
    let again = warehouse.open_table(&name).unwrap().unwrap();
    assert_eq!(again.seal(), table.seal());
    assert_eq!(again.frames(), table.frames());
    assert_eq!(again.processed(), table.processed());
    assert!(matches!(warehouse.resume(&name), Err(Error::TableSealed { .. })));
}

#[test]
fn an_empty_table_can_be_sealed() {
    let (_folder, warehouse) = open();
    let name = dataset("a");
    let table = warehouse.create(&name, &schema(), b"").unwrap().seal(seal(0)).unwrap();
    assert_eq!((table.rows_out(), table.processed().is_empty(), table.scan().count()), (0, true, 0));
}

#[test]
fn a_table_with_missing_or_surplus_rows_is_not_sealed() {
    let (_folder, warehouse) = open();
    let name = dataset("a");
    write(&warehouse, &name, &[range(0, 4), range(6, 9)]);
    let error = warehouse.resume(&name).unwrap().seal(seal(10)).unwrap_err();
    assert!(error.to_string().contains("4..6, 9..10 are missing and none are too many"), "{error}");
    let error = warehouse.resume(&name).unwrap().seal(seal(3)).unwrap_err();
    assert!(error.to_string().contains("none are missing and 3..4, 6..9 are too many"), "{error}");
    assert_eq!(warehouse.open_table(&name).unwrap().unwrap().seal(), None);
}

#[test]
fn a_batch_that_does_not_fit_is_refused_and_the_writer_goes_on() {
    let (_folder, warehouse) = open();
    let name = dataset("a");
    let mut writer = warehouse.create(&name, &schema(), b"").unwrap();
    writer.append(range(2, 6), code(1), &batch_of(range(2, 6))).unwrap();

    let error = writer.append(range(5, 8), code(1), &batch_of(range(5, 8))).unwrap_err();
    assert!(error.to_string().contains("rows 5..8 overlap with rows 5..6"), "{error}");
    let error = writer.append(range(8, 8), code(1), &batch_of(range(8, 8))).unwrap_err();
    assert!(matches!(error, Error::EmptyRange { .. }), "{error}");
    let other = RowSchema::of::<(u64, String)>().unwrap().encode(&[(1_u64, "a".to_owned())]).unwrap();
    let error = writer.append(range(8, 9), code(1), &other).unwrap_err();
    assert!(error.to_string().contains("field input (u64) is missing"), "{error}");

    writer.append(range(0, 2), code(1), &batch_of(range(0, 2))).unwrap();
    let table = writer.seal(seal(6)).unwrap();
    assert_eq!(read_all(&table), rows_of_range(range(0, 6)));
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
fn a_reader_keeps_what_it_opened() {
    let (_folder, warehouse) = open();
    let name = dataset("a");
    write(&warehouse, &name, &[range(0, 5), range(5, 9)]);
    let table = warehouse.open_table(&name).unwrap().unwrap();
    warehouse.rename(&name, &dataset("b")).unwrap();
    assert!(warehouse.drop(&dataset("b")).unwrap());
    assert_eq!(read_all(&table), rows_of_range(range(0, 9)));
    assert!(warehouse.open_table(&name).unwrap().is_none());
}

#[test]
fn a_renamed_table_is_the_same_table() {
    let (_folder, warehouse) = open();
    let (from, to) = (dataset("a"), dataset("b"));
    write(&warehouse, &from, &[range(0, 5)]);
    warehouse.rename(&from, &to).unwrap();
    assert!(warehouse.open_table(&from).unwrap().is_none());
    let mut writer = warehouse.resume(&to).unwrap();
    writer.append(range(5, 9), code(2), &batch_of(range(5, 9))).unwrap();
    assert_eq!(read_all(&writer.seal(seal(9)).unwrap()), rows_of_range(range(0, 9)));

    write(&warehouse, &from, &[range(0, 1)]);
    assert!(matches!(warehouse.rename(&from, &to), Err(Error::TableExists { .. })));
    assert!(matches!(warehouse.rename(&dataset("c"), &from), Err(Error::TableExists { .. })));
    assert!(matches!(warehouse.rename(&dataset("c"), &dataset("d")), Err(Error::TableMissing { .. })));
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
fn a_schema_with_a_dictionary_is_refused() {
    use arrow_schema::{DataType, Field, Schema};
    let (_folder, warehouse) = open();
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let inner = Field::new("b", dictionary, false);
    let column = Field::new("a", DataType::Struct(vec![inner].into()), false);
    let schema = RowSchema::from_arrow(std::sync::Arc::new(Schema::new(vec![column])));
    let error = warehouse.create(&dataset("a"), &schema, b"").unwrap_err();
    assert!(error.to_string().starts_with("field a.b is Dictionary(Int32, Utf8)"), "{error}");
    assert_eq!(warehouse.list(&TableFilter::All).unwrap(), []);
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

#[test]
fn a_table_is_sealed_with_the_input_rows_that_failed() {
    let (folder, warehouse) = open();
    let (name, copy) = (dataset("a"), dataset("b"));
    write(&warehouse, &name, &[range(1, 4), range(6, 9)]);
    let failed = RowRanges::from_iter([range(0, 1), range(4, 6), range(9, 10)]);
    let with_failed = |rows_in, failed: &RowRanges| Seal { failed: failed.clone(), ..seal(rows_in) };

    let refused = |seal| warehouse.resume(&name).unwrap().seal(seal).unwrap_err();
    let error = refused(with_failed(11, &failed));
    assert!(
        matches!(&error, Error::Incomplete { missing, .. } if missing.to_string() == "10..11"),
        "{error}"
    );
    let error = refused(with_failed(9, &failed));
    assert!(matches!(&error, Error::Incomplete { surplus, .. } if surplus.to_string() == "9..10"), "{error}");
    let error = refused(with_failed(10, &range(3, 6).into()));
    assert!(error.to_string().contains("rows 3..6 overlap with rows 3..4"), "{error}");

    let table = warehouse.resume(&name).unwrap().seal(with_failed(10, &failed)).unwrap();
    assert_eq!(table.seal(), Some(&with_failed(10, &failed)));
    assert_eq!(table.processed().to_string(), "1..4, 6..9");
    assert_eq!(read_all(&table), [rows_of_range(range(1, 4)), rows_of_range(range(6, 9))].concat());
    warehouse.copy_with_record(&name, &copy, b"mine").unwrap();
    let copied = warehouse.open_table(&copy).unwrap().unwrap();
    assert_eq!(copied.seal().unwrap().failed, failed);
    // A program that knows no holes refuses the footer, and not the segments.
    let files = files_of(folder.path(), &name);
    let versions: Vec<u8> = files.iter().map(|file| std::fs::read(file).unwrap()[8]).collect();
    assert_eq!(versions, [1, 2]);
}

#[test]
fn a_table_of_which_all_rows_failed_is_empty() {
    let (_folder, warehouse) = open();
    let writer = warehouse.create(&dataset("a"), &schema(), b"").unwrap();
    let table = writer.seal(Seal { failed: range(0, 5).into(), ..seal(5) }).unwrap();
    assert_eq!((table.rows_out(), table.seal().unwrap().failed.rows()), (0, 5));
}
