//! A process that writes a table is killed, or finds the disk full, again and again.
//!
//! The process is this test binary, which runs one of its ignored tests as a child.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as tests do")]

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use rowmark_warehouse::{Error, FileWarehouse, Warehouse};
use support::{batch_of, code, dataset, range, read_all, rows_of_range, schema, seal};

const FOLDER: &str = "ROWMARK_TEST_FOLDER";
const ROUNDS: u64 = 20;
const BATCH_ROWS: u64 = 50;

fn child(test: &str, folder: &std::path::Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]).env(FOLDER, folder).stdout(Stdio::piped());
    command
}

/// Continues the table for ever, and says which row it has committed up to.
#[test]
#[ignore = "it is run, and killed, by another test"]
fn write_until_killed() {
    let warehouse = FileWarehouse::open(std::env::var(FOLDER).unwrap()).unwrap();
    let name = dataset("a");
    let mut writer = match warehouse.resume(&name) {
        Err(Error::TableMissing { .. }) => warehouse.create(&name, &schema(), b"record").unwrap(),
        resumed => resumed.unwrap(),
    };
    let mut next = writer.processed().rows();
    loop {
        // Two batches in each commit, the second one first.
        for start in [next + BATCH_ROWS, next] {
            let range = range(start, start + BATCH_ROWS);
            writer.append(range, code(1), &batch_of(range)).unwrap();
        }
        writer.commit().unwrap();
        next += 2 * BATCH_ROWS;
        println!("committed {next}");
    }
}

#[test]
fn nothing_committed_is_lost_when_the_writer_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let warehouse = FileWarehouse::open(folder.path()).unwrap();
    let name = dataset("a");
    let mut committed = 0;
    for round in 0..ROUNDS {
        let mut child = child("write_until_killed", folder.path()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged = || {
            let line = lines.by_ref().map_while(Result::ok).find(|line| line.contains("committed "))?;
            line.rsplit(' ').next()?.parse::<u64>().ok()
        };
        // Some rounds die early, some after a while.
        for _ in 0..round {
            committed = acknowledged().unwrap();
        }
        std::thread::sleep(Duration::from_micros(700 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        while let Some(more) = acknowledged() {
            committed = more;
        }

        let Some(table) = warehouse.open_table(&name).unwrap() else {
            assert_eq!(committed, 0);
            continue;
        };
        assert!(table.processed().covers(range(0, committed)), "{} {committed}", table.processed());
        let kept: Vec<support::Row> = table.processed().iter().flat_map(rows_of_range).collect();
        assert_eq!(read_all(&table), kept);
        // The next writer counts on a table without gaps.
        let mut writer = warehouse.resume(&name).unwrap();
        let rows =
            writer.processed().span().map_or(0, rowmark_rows::RowRange::end).next_multiple_of(2 * BATCH_ROWS);
        for missing in writer.processed().missing_in(range(0, rows)) {
            writer.append(missing, code(2), &batch_of(missing)).unwrap();
        }
        writer.commit().unwrap();
    }
    assert!(committed >= ROUNDS * BATCH_ROWS, "{committed}");
    let writer = warehouse.resume(&name).unwrap();
    let rows = writer.processed().rows();
    let table = writer.seal(seal(rows)).unwrap();
    assert_eq!(read_all(&table), rows_of_range(range(0, rows)));
    assert_eq!(warehouse.remove_leftovers().unwrap(), 0);
}

/// Writes until the file may not grow any more, which is what a full disk looks like.
#[test]
#[ignore = "it is run by another test, with a bound on the size of files"]
fn write_until_full() {
    let warehouse = FileWarehouse::open(std::env::var(FOLDER).unwrap()).unwrap();
    let mut writer = warehouse.resume(&dataset("a")).unwrap();
    let mut next = writer.processed().rows();
    let error = loop {
        let range = range(next, next + BATCH_ROWS);
        writer.append(range, code(1), &batch_of(range)).unwrap();
        if let Err(error) = writer.commit() {
            break error;
        }
        next += BATCH_ROWS;
    };
    assert!(matches!(error, Error::Io { action: "write to", .. }), "{error}");
    assert!(error.to_string().ends_with(".seg"), "{error}");
    assert!(matches!(writer.commit(), Err(Error::WriterFailed { .. })));
    let range = range(next + BATCH_ROWS, next + 2 * BATCH_ROWS);
    let again = writer.append(range, code(1), &batch_of(range));
    assert!(matches!(again, Err(Error::WriterFailed { .. })));
    assert!(matches!(writer.seal(seal(next)), Err(Error::WriterFailed { .. })));
    println!("committed {next}");
}

#[test]
fn nothing_committed_is_lost_when_the_disk_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let warehouse = FileWarehouse::open(folder.path()).unwrap();
    let name = dataset("a");
    drop(warehouse.create(&name, &schema(), b"record").unwrap());
    for round in 1..=4 {
        let child = child("write_until_full", folder.path());
        // The signal is ignored, so that the write itself fails, after a part of it was done.
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' XFSZ; ulimit -f 100; exec \"$0\" \"$@\""]);
        shell.arg(child.get_program()).args(child.get_args()).env(FOLDER, folder.path());
        let output = shell.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        let line = text.lines().find(|line| line.contains("committed ")).unwrap();
        let committed: u64 = line.rsplit(' ').next().unwrap().parse().unwrap();

        let table = warehouse.open_table(&name).unwrap().unwrap();
        assert_eq!(*table.processed(), range(0, committed).into());
        assert_eq!(read_all(&table), rows_of_range(range(0, committed)));
        assert!(table.dropped_tail().is_some());
        assert_eq!(support::files_of(folder.path(), &name).len(), 1 + round);
    }
}
