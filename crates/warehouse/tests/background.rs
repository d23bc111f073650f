//! Tables of which more is written at a time than is kept in memory: the disk is left to a thread.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as tests do")]

mod support;

use std::path::Path;
use std::sync::Arc;

use rowmark_os::{Fault, Loss, Simulated};
use rowmark_rows::{RowRange, RowSchema};
use rowmark_warehouse::{Error, FileWarehouse, Table, TableName, TableWriter, Warehouse};
use support::{code, dataset, open, range, seal};

/// About a third of a piece that is written at a time.
const ROW_BYTES: usize = 350_000;

const ROWS: u64 = 20;

fn row(number: u64) -> String {
    char::from(b'a' + (number % 26) as u8).to_string().repeat(ROW_BYTES)
}

fn append(writer: &mut dyn TableWriter, rows: RowRange) -> Result<(), Error> {
    let schema = RowSchema::of::<String>().unwrap();
    for number in rows.start()..rows.end() {
        let batch = schema.encode(&[row(number)]).unwrap();
        writer.append(range(number, number + 1), code(1), &batch)?;
        // Some are asked for, some are waited for, and most are left to the writer.
        match number {
            4 | 13 => writer.begin_commit()?,
            9 => writer.commit()?,
            _ => {}
        }
    }
    Ok(())
}

fn numbers(table: &Table) -> Vec<u64> {
    let rows: Vec<String> = table.rows().unwrap().map(Result::unwrap).collect();
    let processed = table.processed().iter().flat_map(|range| range.start()..range.end());
    processed
        .zip(rows)
        .inspect(|(number, read)| assert!(*read == row(*number)))
        .map(|(number, _)| number)
        .collect()
}

fn create(warehouse: &FileWarehouse, name: &TableName) -> Result<Box<dyn TableWriter>, Error> {
    warehouse.create(name, &RowSchema::of::<String>().unwrap(), b"")
}

#[test]
fn what_was_written_is_read_whether_it_was_committed_or_not() {
    let (_folder, warehouse) = open();
    let name = dataset("a");
    let mut writer = create(&warehouse, &name).unwrap();
    append(&mut *writer, range(0, ROWS)).unwrap();
    drop(writer);
    // The last rows were not enough to be written.
    let left = numbers(&warehouse.open_table(&name).unwrap().unwrap());
    assert!(left.len() >= 18 && left.iter().copied().eq(0..left.len() as u64), "{left:?}");

    let mut writer = warehouse.resume(&name).unwrap();
    append(&mut *writer, range(left.len() as u64, ROWS)).unwrap();
    assert_eq!(numbers(&writer.written().unwrap()), (0..ROWS).collect::<Vec<_>>());
    let sealed = writer.seal(seal(ROWS)).unwrap();
    assert_eq!(numbers(&sealed), (0..ROWS).collect::<Vec<_>>());
}

/// Appends all rows; answers how many were committed when it ended, and how.
fn write(machine: &Simulated, name: &TableName) -> (u64, Result<Table, Error>) {
    let mut committed = 0;
    let mut run = || {
        let warehouse = FileWarehouse::open_on(Arc::new(machine.clone()), Path::new("tables"))?;
        let mut writer = create(&warehouse, name)?;
        for (start, end) in [(0, 10), (10, ROWS)] {
            let appended = append(&mut *writer, range(start, end)).and_then(|()| writer.commit());
            if appended.is_err() {
                let again = writer.commit();
                assert!(
                    matches!(again, Err(Error::WriterFailed { .. })),
                    "a writer that failed has ended: {again:?}"
                );
            }
            appended?;
            committed = end;
        }
        writer.seal(seal(ROWS))
    };
    let outcome = run();
    (committed, outcome)
}

#[test]
fn every_fault_on_the_way_is_told_and_takes_nothing_that_was_committed() {
    let name = dataset("a");
    let whole = Simulated::new();
    write(&whole, &name).1.unwrap();
    let operations = whole.operations();
    assert!(operations > 20, "{operations} operations");
    for operation in 1..=operations {
        for fault in [Fault::NoSpace, Fault::ShortWrite, Fault::Io, Fault::Die, Fault::DieHalfWay] {
            let machine = Simulated::new();
            machine.fail_at(operation, fault);
            let (committed, outcome) = write(&machine, &name);
            assert!(outcome.is_err(), "{fault:?} at {operation} is told");
            drop(outcome);
            machine.crash(Loss::AllUnsynced);
            let warehouse = FileWarehouse::open_on(Arc::new(machine), Path::new("tables")).unwrap();
            let kept = warehouse.open_table(&name).unwrap().map_or_else(Vec::new, |table| numbers(&table));
            let is_kept = (0..committed).all(|number| kept.contains(&number));
            assert!(is_kept, "{fault:?} at {operation}: {committed} rows were committed, {kept:?} are there");
        }
    }
}
