//! What readers see.

use super::sample::{append, dataset, open, range, read, read_all, rows_of, schema, seal, write};
use super::{Check, Expected};
use crate::Warehouse;

pub(super) const CHECKS: &[Check] = &[
    rows_come_back_in_the_order_of_their_inputs,
    any_range_of_output_rows_can_be_read,
    inputs_that_yield_nothing_are_processed,
    a_reader_sees_what_is_committed,
    a_reader_keeps_what_it_opened,
];

fn rows_come_back_in_the_order_of_their_inputs(warehouse: &dyn Warehouse) {
    let name = dataset("a");
    write(warehouse, &name, &[range(10, 20), range(0, 7), range(7, 10), range(30, 31)]);
    let table = open(warehouse, &name);
    assert_eq!((table.name(), table.schema(), table.dropped_tail()), (&name, &schema(), None));
    assert_eq!(table.processed().to_string(), "0..20, 30..31");
    let expected = [rows_of(range(0, 20)), rows_of(range(30, 31))].concat();
    assert_eq!(read_all(&table), expected);
    assert_eq!(table.rows_out(), expected.len() as u64);
    let ranges: Vec<_> = table.frames().iter().map(crate::Frame::range).collect();
    assert_eq!(ranges, [range(0, 7), range(7, 10), range(10, 20), range(30, 31)]);
}

fn any_range_of_output_rows_can_be_read(warehouse: &dyn Warehouse) {
    let name = dataset("a");
    write(warehouse, &name, &[range(6, 11), range(0, 5), range(12, 13), range(5, 6)]);
    let table = open(warehouse, &name);
    let all = read_all(&table);
    let rows = all.len() as u64;
    for start in 0..=rows + 2 {
        for end in start..=rows + 2 {
            let (first, after) = (start.min(rows) as usize, end.min(rows) as usize);
            assert_eq!(read(&table, range(start, end)), all[first..after]);
        }
    }
}

fn inputs_that_yield_nothing_are_processed(warehouse: &dyn Warehouse) {
    // Inputs 0 and 3 yield no rows.
    write(warehouse, &dataset("a"), &[range(0, 1), range(3, 4)]);
    let table = open(warehouse, &dataset("a"));
    assert_eq!(table.processed().to_string(), "0..1, 3..4");
    assert_eq!((table.rows_out(), table.scan().count()), (0, 0));
    let empty = table.read(&table.frames()[1]).expected();
    assert_eq!((empty.num_rows(), empty.num_columns()), (0, 3));
}

fn a_reader_sees_what_is_committed(warehouse: &dyn Warehouse) {
    let name = dataset("a");
    let mut writer = warehouse.create(&name, &schema(), b"").expected();
    for start in 0..5 {
        append(&mut *writer, range(start, start + 1), 1);
        assert_eq!(open(warehouse, &name).processed().rows(), start);
        writer.commit().expected();
        assert_eq!(open(warehouse, &name).processed().rows(), start + 1);
    }
    let before = open(warehouse, &name);
    writer.seal(seal(5)).expected();
    assert_eq!((before.seal(), read_all(&before)), (None, rows_of(range(0, 5))));
}

fn a_reader_keeps_what_it_opened(warehouse: &dyn Warehouse) {
    let name = dataset("a");
    write(warehouse, &name, &[range(0, 5), range(5, 9)]);
    let table = open(warehouse, &name);
    warehouse.rename(&name, &dataset("b")).expected();
    assert!(warehouse.drop(&dataset("b")).expected());
    assert_eq!(read_all(&table), rows_of(range(0, 9)));
    assert!(warehouse.open_table(&name).expected().is_none());
}
