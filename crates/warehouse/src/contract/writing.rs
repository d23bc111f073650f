//! From a table's first batch to its seal, and what is refused on the way.

use rowmark_hashing::{ContentHash, RowHash};
use rowmark_rows::{RowRange, RowRanges, RowSchema};

use super::sample::{append, batch_of, code, dataset, open, range, read_all, rows_of, schema, seal, write};
use super::{Check, Expected, assert_error};
use crate::{BatchDigests, Error, InputRow, RECORD_BYTES_MAX, Seal, TableWriter, Warehouse};

pub(super) const CHECKS: &[Check] = &[
    a_table_is_resumed_where_it_was_left,
    what_was_not_committed_is_lost_and_nothing_else,
    a_writer_shows_what_is_written,
    a_batch_that_does_not_fit_is_refused_and_the_writer_goes_on,
    a_seal_tells_everything_and_is_for_good,
    a_table_with_missing_or_surplus_rows_is_not_sealed,
    a_table_is_sealed_with_the_input_rows_that_failed,
    a_table_without_rows_can_be_sealed,
    a_table_has_one_writer,
    records_are_kept,
    inputs_are_kept_with_their_batches,
];

fn a_table_is_resumed_where_it_was_left(warehouse: &dyn Warehouse) {
    let name = dataset("a");
    write(warehouse, &name, &[range(5, 9), range(0, 5)]);
    let mut writer = warehouse.resume(&name).expected();
    assert_eq!((writer.name(), writer.schema()), (&name, &schema()));
    assert_eq!(*writer.processed(), RowRanges::from(range(0, 9)));
    assert_eq!(writer.rows_out(), rows_of(range(0, 9)).len() as u64);
    append(&mut *writer, range(20, 30), 2);
    append(&mut *writer, range(9, 20), 2);
    assert_eq!(*writer.processed(), RowRanges::from(range(0, 30)));
    assert_eq!(writer.rows_out(), rows_of(range(0, 30)).len() as u64);
    let ranges: Vec<_> = writer.frames().iter().map(crate::Frame::range).collect();
    assert_eq!(ranges, [range(0, 5), range(5, 9), range(20, 30), range(9, 20)]);
    writer.commit().expected();
    drop(writer);
    let table = open(warehouse, &name);
    assert_eq!(read_all(&table), rows_of(range(0, 30)));
    let rows = |start, end| rows_of(range(start, end)).len() as u64;
    let codes: Vec<_> = table.codes().iter().map(|(code, rows)| (*code, *rows)).collect();
    assert_eq!(codes, [(code(1), rows(0, 9)), (code(2), rows(9, 30))]);
}

fn what_was_not_committed_is_lost_and_nothing_else(warehouse: &dyn Warehouse) {
    let name = dataset("a");
    let mut writer = warehouse.create(&name, &schema(), b"").expected();
    append(&mut *writer, range(0, 5), 1);
    writer.commit().expected();
    writer.commit().expected();
    append(&mut *writer, range(5, 9), 1);
    drop(writer);
    assert_eq!(*open(warehouse, &name).processed(), range(0, 5).into());
    assert_eq!(*warehouse.resume(&name).expected().processed(), range(0, 5).into());
}

fn a_writer_shows_what_is_written(warehouse: &dyn Warehouse) {
    let name = dataset("a");
    write(warehouse, &name, &[range(5, 9)]);
    let mut writer = warehouse.resume(&name).expected();
    assert_eq!(read_all(&writer.written().expected()), rows_of(range(5, 9)));
    append(&mut *writer, range(0, 5), 2);
    let written = writer.written().expected();
    append(&mut *writer, range(9, 12), 2);
    drop(writer);
    let again = open(warehouse, &name);
    for table in [&written, &again] {
        assert_eq!((table.name(), table.seal(), table.record()), (&name, None, &b"record"[..]));
        assert_eq!(read_all(table), rows_of(range(0, 9)));
        assert_eq!(table.processed().to_string(), "0..9");
    }
    assert_eq!((written.frames(), written.codes()), (again.frames(), again.codes()));
}

fn a_batch_that_does_not_fit_is_refused_and_the_writer_goes_on(warehouse: &dyn Warehouse) {
    let name = dataset("a");
    let mut writer = warehouse.create(&name, &schema(), b"").expected();
    append(&mut *writer, range(2, 6), 1);
    let overlapping = writer.append(range(5, 8), code(1), &batch_of(range(5, 8)));
    assert_error!(overlapping, Error::Overlap { range: added, other, .. } if (*added, *other) == (range(5, 8), range(5, 6)));
    let empty = writer.append(range(8, 8), code(1), &batch_of(range(8, 8)));
    assert_error!(empty, Error::EmptyRange { .. });
    let other = RowSchema::of::<(u64, String)>().expect("it can be stored");
    let other = other.encode(&[(1_u64, "a".to_owned())]).expect("it has the schema");
    assert_error!(writer.append(range(8, 9), code(1), &other), Error::SchemaMismatch { .. });
    append(&mut *writer, range(0, 2), 1);
    assert_eq!(read_all(&writer.seal(seal(6)).expected()), rows_of(range(0, 6)));
}

fn a_seal_tells_everything_and_is_for_good(warehouse: &dyn Warehouse) {
    let name = dataset("a");
    write(warehouse, &name, &[range(0, 4)]);
    assert!(!warehouse.is_sealed(&name).expected());
    assert_eq!(open(warehouse, &name).seal(), None);
    let mut writer = warehouse.resume(&name).expected();
    append(&mut *writer, range(4, 9), 2);
    let sealed = writer.seal(seal(9)).expected();
    let again = open(warehouse, &name);
    for table in [&sealed, &again] {
        assert_eq!((table.seal(), table.record()), (Some(&seal(9)), &b"sealed"[..]));
        assert_eq!(read_all(table), rows_of(range(0, 9)));
    }
    assert_eq!((again.frames(), again.processed()), (sealed.frames(), sealed.processed()));
    assert!(warehouse.is_sealed(&name).expected());
    assert_error!(warehouse.resume(&name), Error::TableSealed { .. });
    assert_error!(warehouse.create(&name, &schema(), b""), Error::TableExists { .. });
}

fn a_table_with_missing_or_surplus_rows_is_not_sealed(warehouse: &dyn Warehouse) {
    let name = dataset("a");
    write(warehouse, &name, &[range(0, 4), range(6, 9)]);
    let refused = |rows_in| warehouse.resume(&name).expected().seal(seal(rows_in));
    assert_error!(refused(10), Error::Incomplete { missing, surplus, .. }
        if missing.to_string() == "4..6, 9..10" && surplus.is_empty());
    assert_error!(refused(3), Error::Incomplete { missing, surplus, .. }
        if missing.is_empty() && surplus.to_string() == "3..4, 6..9");
    assert_eq!(open(warehouse, &name).seal(), None);
}

fn a_table_is_sealed_with_the_input_rows_that_failed(warehouse: &dyn Warehouse) {
    let name = dataset("a");
    write(warehouse, &name, &[range(1, 4), range(6, 9)]);
    let failed = RowRanges::from_iter([range(0, 1), range(4, 6), range(9, 10)]);
    let with_failed = |rows_in, failed: &RowRanges| Seal { failed: failed.clone(), ..seal(rows_in) };
    let refused = |seal| warehouse.resume(&name).expected().seal(seal);
    assert_error!(refused(with_failed(11, &failed)), Error::Incomplete { missing, .. } if *missing == range(10, 11).into());
    assert_error!(refused(with_failed(9, &failed)), Error::Incomplete { surplus, .. } if *surplus == range(9, 10).into());
    assert_error!(refused(with_failed(10, &range(3, 6).into())), Error::Overlap { other, .. } if *other == range(3, 4));

    let sealed = warehouse.resume(&name).expected().seal(with_failed(10, &failed)).expected();
    for table in [sealed, open(warehouse, &name)] {
        assert_eq!(table.seal(), Some(&with_failed(10, &failed)));
        assert_eq!(table.processed().to_string(), "1..4, 6..9");
        assert_eq!(read_all(&table), [rows_of(range(1, 4)), rows_of(range(6, 9))].concat());
    }
    warehouse.copy_with_record(&name, &dataset("b"), b"mine").expected();
    assert_eq!(open(warehouse, &dataset("b")).seal().expected().failed, failed);
}

fn a_table_without_rows_can_be_sealed(warehouse: &dyn Warehouse) {
    let create = |name| warehouse.create(&dataset(name), &schema(), b"").expected();
    let empty = create("a").seal(seal(0)).expected();
    assert_eq!((empty.rows_out(), empty.processed().is_empty(), empty.scan().count()), (0, true, 0));
    let failed = create("b").seal(Seal { failed: range(0, 5).into(), ..seal(5) }).expected();
    assert_eq!((failed.rows_out(), failed.seal().expected().failed.rows()), (0, 5));
}

fn a_table_has_one_writer(warehouse: &dyn Warehouse) {
    let (name, other) = (dataset("a"), dataset("b"));
    let mut writer = warehouse.create(&name, &schema(), b"").expected();
    append(&mut *writer, range(0, 2), 1);
    writer.commit().expected();
    assert_error!(warehouse.resume(&name), Error::BeingWritten { .. });
    assert_error!(warehouse.create(&name, &schema(), b""), Error::BeingWritten { .. });
    assert_error!(warehouse.copy(&name, &other), Error::BeingWritten { .. });
    assert_error!(warehouse.rename(&name, &other), Error::BeingWritten { .. });
    assert_error!(warehouse.drop(&name), Error::BeingWritten { .. });
    assert_eq!(read_all(&open(warehouse, &name)), rows_of(range(0, 2)));
    assert!(warehouse.open_table(&other).expected().is_none());
    drop(writer);
    drop(warehouse.resume(&name).expected());
    assert!(warehouse.drop(&name).expected());
}

fn records_are_kept(warehouse: &dyn Warehouse) {
    let name = dataset("a");
    write(warehouse, &name, &[range(0, 5)]);
    assert_eq!(open(warehouse, &name).record(), b"record");
    let mut writer = warehouse.resume(&name).expected();
    for (record, start) in [(b"second", 5), (b"third!", 6), (b"third!", 7)] {
        writer.set_record(record).expected();
        append(&mut *writer, range(start, start + 1), 1);
    }
    writer.commit().expected();
    drop(writer);
    let table = open(warehouse, &name);
    assert_eq!((table.record(), *table.processed() == range(0, 8).into()), (&b"third!"[..], true));

    let long = vec![7; RECORD_BYTES_MAX as usize + 1];
    assert_error!(warehouse.create(&dataset("b"), &schema(), &long), Error::TooLarge { .. });
    assert_error!(warehouse.resume(&name).expected().set_record(&long), Error::TooLarge { .. });
    let sealed = warehouse.resume(&name).expected().seal(Seal { record: long.clone(), ..seal(8) });
    assert_error!(sealed, Error::TooLarge { .. });
    drop(warehouse.create(&dataset("b"), &schema(), &long[1..]).expected());
    assert_eq!(open(warehouse, &dataset("b")).record(), &long[1..]);
}

fn inputs_are_kept_with_their_batches(warehouse: &dyn Warehouse) {
    let inputs_of = |range: RowRange| -> Vec<InputRow> {
        let input = |input: u64| InputRow {
            hash: (input != 3).then(|| RowHash::from_bytes([input as u8 + 1; 24])),
            outputs: (input % 3) as u32,
        };
        (range.start()..range.end()).map(input).collect()
    };
    let digests_of = |range: RowRange| BatchDigests {
        inputs: range.start().is_multiple_of(2).then(|| ContentHash::from_bytes([range.start() as u8; 32])),
        ..BatchDigests::default()
    };
    let add = |writer: &mut dyn TableWriter, range: RowRange| {
        let (inputs, digests) = (inputs_of(range), digests_of(range));
        writer.append_with_inputs(range, code(1), &batch_of(range), &inputs, &digests).expected();
    };
    for (name, is_made_for_them) in [(dataset("a"), true), (dataset("b"), false)] {
        let mut writer = if is_made_for_them {
            warehouse.create_with_inputs(&name, &schema(), b"").expected()
        } else {
            warehouse.create(&name, &schema(), b"").expected()
        };
        append(&mut *writer, range(9, 12), 1);
        add(&mut *writer, range(2, 7));
        add(&mut *writer, range(0, 1));
        append(&mut *writer, range(1, 2), 1);
        let (batch, inputs) = (batch_of(range(6, 8)), inputs_of(range(6, 8)));
        let refused =
            writer.append_with_inputs(range(6, 8), code(1), &batch, &inputs, &BatchDigests::default());
        assert_error!(refused, Error::Overlap { .. });
        writer.commit().expected();
        drop(writer);
        let mut writer = warehouse.resume(&name).expected();
        add(&mut *writer, range(7, 9));
        let copy = dataset("copy");
        let sealed = writer.seal(seal(12)).expected();
        drop(warehouse.resume_copy(&sealed, &copy, b"").expected());
        for table in [sealed, open(warehouse, &name), open(warehouse, &copy)] {
            assert_eq!(read_all(&table), rows_of(range(0, 12)));
            let told = |frame| (table.inputs(frame).expected(), table.digests(frame).expected());
            let told: Vec<_> = table.frames().iter().map(|frame| (frame.range(), told(frame))).collect();
            let expected = [(0, 1, true), (1, 2, false), (2, 7, true), (7, 9, true), (9, 12, false)].map(
                |(start, end, is_told)| {
                    let range = range(start, end);
                    (range, is_told.then(|| (inputs_of(range), digests_of(range))).unzip())
                },
            );
            assert_eq!(told, expected);
        }
        warehouse.drop(&copy).expected();
    }
}
