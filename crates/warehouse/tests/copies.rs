//! Copies share what they were made from, and go on alone.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as tests do")]

mod support;

use std::fs;
use std::sync::Arc;

use rowmark_os::{Loss, Simulated};
use rowmark_warehouse::{Error, FileWarehouse, Seal, TableFilter, Warehouse};
use support::{batch_of, code, dataset, files_of, open, range, read_all, rows_of_range, seal, write};

#[test]
fn a_copy_continues_without_touching_its_parent() {
    let (folder, warehouse) = open();
    let (parent, child) = (dataset("a"), dataset("b"));
    write(&warehouse, &parent, &[range(0, 5), range(8, 9)]);
    let before = fs::read(&files_of(folder.path(), &parent)[0]).unwrap();
    warehouse.copy(&parent, &child).unwrap();

    let mut writer = warehouse.resume(&child).unwrap();
    assert_eq!(writer.processed().to_string(), "0..5, 8..9");
    writer.append(range(5, 8), code(2), &batch_of(range(5, 8))).unwrap();
    let table = writer.seal(seal(9)).unwrap();
    assert_eq!(read_all(&table), rows_of_range(range(0, 9)));

    assert_eq!(files_of(folder.path(), &parent).len(), 1);
    assert_eq!(fs::read(&files_of(folder.path(), &parent)[0]).unwrap(), before);
    let mut writer = warehouse.resume(&parent).unwrap();
    assert_eq!(writer.processed().to_string(), "0..5, 8..9");
    writer.append(range(5, 6), code(3), &batch_of(range(5, 6))).unwrap();
    writer.commit().unwrap();
    drop(writer);
    assert!(warehouse.drop(&parent).unwrap());
    assert_eq!(read_all(&warehouse.open_table(&child).unwrap().unwrap()), rows_of_range(range(0, 9)));
}

#[cfg(unix)]
#[test]
fn a_copy_takes_no_space_of_its_own() {
    use std::os::unix::fs::MetadataExt;
    let (folder, warehouse) = open();
    write(&warehouse, &dataset("a"), &[range(0, 500)]);
    warehouse.resume(&dataset("a")).unwrap().seal(seal(500)).unwrap();
    warehouse.copy(&dataset("a"), &dataset("b")).unwrap();
    let inodes = |name| -> Vec<u64> {
        files_of(folder.path(), &dataset(name)).iter().map(|file| file.metadata().unwrap().ino()).collect()
    };
    assert_eq!(inodes("a"), inodes("b"));
    let (a, b) = ["a", "b"].map(|name| warehouse.open_table(&dataset(name)).unwrap().unwrap()).into();
    assert_eq!((read_all(&a), a.seal()), (read_all(&b), b.seal()));
}

#[test]
fn generations_of_copies_without_progress_do_not_grow() {
    let (folder, warehouse) = open();
    write(&warehouse, &dataset("g0"), &[range(0, 5)]);
    for generation in 1..20 {
        let (from, to) = (dataset(&format!("g{}", generation - 1)), dataset(&format!("g{generation}")));
        warehouse.copy(&from, &to).unwrap();
        assert_eq!(warehouse.resume(&to).unwrap().processed().to_string(), "0..5");
        assert!(warehouse.drop(&from).unwrap());
        assert_eq!(files_of(folder.path(), &to).len(), 1);
    }
}

#[test]
fn a_failed_copy_leaves_nothing() {
    let (folder, warehouse) = open();
    let (from, to) = (dataset("a"), dataset("b"));
    assert!(matches!(warehouse.copy(&from, &to), Err(Error::TableMissing { .. })));
    write(&warehouse, &from, &[range(0, 5)]);
    warehouse.resume(&from).unwrap().seal(seal(5)).unwrap();
    // A folder in the place of a segment can be neither linked nor copied.
    fs::create_dir(folder.path().join(from.to_string()).join("000002.seg")).unwrap();
    assert!(warehouse.copy(&from, &to).is_err());
    let names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, [from.to_string().as_str()]);
}

#[test]
fn what_crashes_left_behind_is_removed_and_nothing_else() {
    let (folder, warehouse) = open();
    write(&warehouse, &dataset("a"), &[range(0, 5)]);
    for leftover in [".new-ds_b_1", ".drop-ds_c_1"] {
        fs::create_dir(folder.path().join(leftover)).unwrap();
        fs::write(folder.path().join(leftover).join("000001.seg"), b"half").unwrap();
    }
    for foreign in [".git", ".new-", ".new-x", "ds_a_1.bak"] {
        fs::create_dir(folder.path().join(foreign)).unwrap();
    }
    // Neither of the two is in the way of the table that it was to be, or was.
    write(&warehouse, &dataset("b"), &[range(0, 1)]);
    fs::create_dir(folder.path().join(".new-ds_b_1")).unwrap();
    assert_eq!(warehouse.list(&TableFilter::All).unwrap(), [dataset("a"), dataset("b")]);
    assert_eq!(warehouse.remove_leftovers().unwrap(), 2);
    assert_eq!(warehouse.remove_leftovers().unwrap(), 0);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2 + 4);
    assert_eq!(read_all(&warehouse.open_table(&dataset("a")).unwrap().unwrap()), rows_of_range(range(0, 5)));
}

#[test]
fn half_a_segment_or_footer_is_not_in_the_way() {
    let (folder, warehouse) = open();
    let name = dataset("a");
    write(&warehouse, &name, &[range(0, 5)]);
    let table_folder = folder.path().join(name.to_string());
    fs::write(table_folder.join("000002.new"), b"half a header").unwrap();
    fs::write(table_folder.join("footer.new"), b"half a footer").unwrap();
    let mut writer = warehouse.resume(&name).unwrap();
    writer.append(range(5, 7), code(1), &batch_of(range(5, 7))).unwrap();
    let table = writer.seal(seal(7)).unwrap();
    assert_eq!(read_all(&table), rows_of_range(range(0, 7)));
    assert_eq!(files_of(folder.path(), &name).len(), 3);
}

#[test]
fn where_links_are_refused_files_are_copied() {
    let machine = Simulated::new();
    machine.refuse_links();
    let warehouse = FileWarehouse::open_on(Arc::new(machine.clone()), "tables").unwrap();
    write(&warehouse, &dataset("a"), &[range(0, 5)]);
    let bytes = machine.bytes_on_disk();
    warehouse.copy(&dataset("a"), &dataset("b")).unwrap();
    assert_eq!(machine.bytes_on_disk(), 2 * bytes);
    assert!(warehouse.drop(&dataset("a")).unwrap());
    // The copy is as durable as a link.
    machine.crash(Loss::AllUnsynced);
    let warehouse = FileWarehouse::open_on(Arc::new(machine), "tables").unwrap();
    assert_eq!(read_all(&warehouse.open_table(&dataset("b")).unwrap().unwrap()), rows_of_range(range(0, 5)));
}

#[test]
fn copies_that_nothing_is_added_to_do_not_grow() {
    let (folder, warehouse) = open();
    for rows in [0, 4] {
        let mut name = dataset(&format!("a{rows}"));
        let ranges = [range(0, rows)];
        write(&warehouse, &name, if rows == 0 { &[] } else { &ranges });
        for copy in 0..5 {
            let table = warehouse.open_table(&name).unwrap().unwrap();
            name = dataset(&format!("a{rows}.{copy}"));
            drop(warehouse.resume_copy(&table, &name, b"record").unwrap());
        }
        assert_eq!(files_of(folder.path(), &name).len(), if rows == 0 { 1 } else { 2 });
        let table = warehouse.open_table(&name).unwrap().unwrap();
        assert_eq!(read_all(&table), rows_of_range(range(0, rows)));
    }
}

#[test]
fn a_sealed_table_with_failed_rows_is_gone_on_with_in_a_copy() {
    let (_folder, warehouse) = open();
    let (from, to) = (dataset("a"), dataset("b"));
    write(&warehouse, &from, &[range(0, 4)]);
    let holes = Seal { failed: range(4, 6).into(), ..seal(6) };
    warehouse.resume(&from).unwrap().seal(holes).unwrap();

    let table = warehouse.open_table(&from).unwrap().unwrap();
    let mut writer = warehouse.resume_copy(&table, &to, b"record").unwrap();
    assert_eq!(writer.processed().to_string(), "0..4");
    writer.append(range(4, 6), code(2), &batch_of(range(4, 6))).unwrap();
    assert_eq!(read_all(&writer.seal(seal(6)).unwrap()), rows_of_range(range(0, 6)));
    assert_eq!(read_all(&warehouse.open_table(&from).unwrap().unwrap()), rows_of_range(range(0, 4)));
}
