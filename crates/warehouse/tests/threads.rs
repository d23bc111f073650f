//! One writer and many readers at the same time.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as tests do")]

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rowmark_warehouse::{FileWarehouse, Warehouse};
use support::{batch_of, code, dataset, open, range, read_all, rows_of_range, schema, seal, write};

const COMMITS: u64 = 200;
const BATCH_ROWS: u64 = 25;

#[test]
fn readers_see_whole_batches_while_the_table_is_written() {
    let (folder, warehouse) = open();
    let name = dataset("a");
    drop(warehouse.create(&name, &schema(), b"").unwrap());
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            // Another warehouse, as another process would have it.
            let reader = FileWarehouse::open(folder.path()).unwrap();
            let (name, is_done) = (&name, &is_done);
            scope.spawn(move || {
                let (mut rows_before, mut looks) = (0, 0);
                while !is_done.load(Ordering::Acquire) {
                    let table = reader.open_table(name).unwrap().unwrap();
                    let rows = table.processed().rows();
                    assert_eq!(*table.processed(), range(0, rows).into());
                    assert!(rows >= rows_before && rows.is_multiple_of(BATCH_ROWS));
                    assert_eq!(table.dropped_tail(), None);
                    assert_eq!(read_all(&table), rows_of_range(range(0, rows)));
                    (rows_before, looks) = (rows, looks + 1);
                }
                assert!(looks > 1);
            });
        }
        let mut writer = warehouse.resume(&name).unwrap();
        for commit in 0..COMMITS {
            let range = range(commit * BATCH_ROWS, (commit + 1) * BATCH_ROWS);
            writer.append(range, code(1), &batch_of(range)).unwrap();
            writer.commit().unwrap();
        }
        writer.seal(seal(COMMITS * BATCH_ROWS)).unwrap();
        is_done.store(true, Ordering::Release);
    });
}

#[test]
fn many_threads_read_one_table() {
    let (_folder, warehouse) = open();
    let ranges: Vec<_> = (0..50).map(|batch| range(batch * 20, batch * 20 + 20)).collect();
    write(&warehouse, &dataset("a"), &ranges);
    let table = warehouse.resume(&dataset("a")).unwrap().seal(seal(1000)).unwrap();
    thread::scope(|scope| {
        for offset in 0..4_usize {
            let table = table.clone();
            scope.spawn(move || {
                for index in 0..table.frames().len() {
                    let frame = table.frames()[(index * 7 + offset) % table.frames().len()];
                    let rows: Vec<support::Row> = schema().decode(&table.read(&frame).unwrap()).unwrap();
                    assert_eq!(rows, rows_of_range(frame.range()));
                }
            });
        }
    });
}

#[test]
fn two_threads_copy_one_table_and_one_creates_it() {
    let (_folder, warehouse) = open();
    write(&warehouse, &dataset("a"), &[range(0, 5)]);
    thread::scope(|scope| {
        for copy in ["b", "c", "d", "e"] {
            let warehouse = warehouse.clone();
            scope.spawn(move || warehouse.copy(&dataset("a"), &dataset(copy)).unwrap());
        }
    });
    let created: usize = thread::scope(|scope| {
        let create = || {
            warehouse.create(&dataset("f"), &schema(), b"").is_ok_and(|writer| {
                thread::sleep(std::time::Duration::from_millis(20));
                drop(writer);
                true
            })
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(create)).collect();
        threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum()
    });
    assert_eq!(created, 1);
}
