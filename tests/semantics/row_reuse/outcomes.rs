//! What goes wrong, what is told, and what it takes.

use std::collections::BTreeMap;

use rowmark::SessionBuilder;
use rowmark::hashing::ContentHash;
use rowmark::prelude::*;

use super::{called, done, numbers};
use crate::support::{Calls, FailAt, Folder, builder};

#[test]
fn u08_settings_turn_it_off() {
    static CALLS: Calls = Calls::new();
    static FAIL_AT: FailAt = FailAt::never();
    let run = |folder: &Folder, set: fn(SessionBuilder) -> SessionBuilder, rows: u64| {
        let session =
            set(builder(&folder.path())).threads(1).durability(Durability::EveryRow).open().unwrap();
        let result = session.read_values(&numbers(rows)).map(udf!("same", |n: &u64| {
            FAIL_AT.check(*n)?;
            CALLS.count(*n);
            Ok::<_, String>(*n)
        }));
        let result = result.collect().map(|rows| rows.len() as u64).unwrap_or_default();
        (result, CALLS.take_total())
    };
    let off: fn(SessionBuilder) -> SessionBuilder = |builder| builder.row_reuse(false);
    let on: fn(SessionBuilder) -> SessionBuilder = |builder| builder;
    let folder = Folder::new();
    assert_eq!(run(&folder, on, 10), (10, 10));
    assert_eq!(run(&folder, off, 11), (11, 11), "not looked for");
    assert_eq!(
        run(&folder, on, 12),
        (12, 2),
        "what was stored before is there, what was stored without is not"
    );
    assert_eq!(run(&folder, |builder| builder.ignore_checkpoints(true), 13), (13, 13));
    FAIL_AT.set(20);
    assert_eq!(run(&folder, on, 30), (0, 7));
    FAIL_AT.set(None);
    assert_eq!(run(&folder, |builder| builder.reset(true), 31), (31, 18), "finished results alone");

    // Tables that were stored without, however many, do not stand before one that was stored with it.
    let folder = Folder::new();
    run(&folder, on, 10);
    (11..17).for_each(|rows| assert_eq!(run(&folder, off, rows), (rows, rows)));
    assert_eq!(run(&folder, on, 17), (17, 7));
}

#[test]
fn u08_a_damaged_table_is_warned_of_and_passed_over() {
    static CALLS: Calls = Calls::new();
    let run = |folder: &Folder, rows: &[u64]| {
        let session = builder(&folder.path()).threads(1).batch_rows_max(100).open().unwrap();
        let done = done(&session, &CALLS, "same", |session| {
            session.read_values(rows).map(udf!("same", |n: &u64| {
                CALLS.count(*n);
                *n
            }))
        });
        assert_eq!(done.rows, rows);
        let events = session.metastore().list_events(session.job().unwrap().id).unwrap();
        let warned = events.iter().any(|event| event.kind == rowmark::metastore::EventKind::Warning);
        (called(&done), warned)
    };
    let appended = numbers(1001);
    let inserted: Vec<u64> = [5000].into_iter().chain(0..1000).collect();
    for (rows, new) in [(appended, 1000), (inserted, 5000)] {
        // A flipped byte, in the rows or in what is known of them, and a table that is gone.
        for place in [Some(2), Some(3), Some(5), None] {
            let folder = Folder::new();
            run(&folder, &numbers(1000));
            for table in std::fs::read_dir(folder.path().join("tables")).unwrap() {
                let table = table.unwrap().path();
                if !table.to_string_lossy().ends_with("_output") {
                    std::fs::remove_dir_all(&table).unwrap();
                    continue;
                }
                for file in std::fs::read_dir(&table).unwrap() {
                    let path = file.unwrap().path();
                    let mut bytes = std::fs::read(&path).unwrap();
                    match place {
                        Some(part) if bytes.len() > 4000 => {
                            let at = bytes.len() * part / 7;
                            bytes[at] ^= 1;
                            std::fs::write(&path, bytes).unwrap();
                        }
                        Some(_) => {}
                        None => std::fs::write(&path, "rubbish").unwrap(),
                    }
                }
            }
            let (calls, warned) = run(&folder, &rows);
            assert!(calls.contains(&new) && calls.len() > 1 && warned, "{place:?}: {calls:?}");
            assert!(place.is_none() || calls.len() < 1000, "the other batches are used");
        }
    }
}

#[test]
fn u08_a_link_without_its_record_and_without_rows_of_its_own_is_no_progress() {
    use rowmark::warehouse::{FileWarehouse, TableFilter, TableName, UdfTable, Warehouse};
    static CALLS: Calls = Calls::new();
    let folder = Folder::new();
    let run = |rows: &[u64]| {
        let session = folder.session();
        done(&session, &CALLS, "same", |session| {
            session.read_values(rows).map(udf!("same", |n: &u64| {
                CALLS.count(*n);
                *n
            }))
        })
    };
    run(&[1, 2, 3]);
    // As it is when a process dies after it linked a table and its records are lost.
    let warehouse = FileWarehouse::open(folder.path().join("tables")).unwrap();
    let tables = warehouse.list(&TableFilter::All).unwrap();
    let stored = tables.iter().find(|table| matches!(table, TableName::Udf { .. })).unwrap();
    let TableName::Udf { job, .. } = stored else { unreachable!("it was just looked at") };
    let linked = TableName::udf(*job, ContentHash::of("another input").unwrap(), UdfTable::OutputPartial);
    let stored = warehouse.open_table(stored).unwrap().unwrap();
    drop(warehouse.resume_copy(&stored, &linked, stored.record()).unwrap());
    drop(folder.session());
    assert!(warehouse.open_table(&linked).unwrap().is_none());
    let again = run(&[1, 2, 3, 4]);
    assert_eq!((called(&again), again.rows), (vec![4], vec![1, 2, 3, 4]));
}

#[test]
fn u08_a_row_that_failed_is_tried_and_others_are_reused() {
    static CALLS: Calls = Calls::new();
    static FAIL_AT: FailAt = FailAt::never();
    let folder = Folder::new();
    let run = |rows: &[u64], retries: bool| {
        let session = builder(&folder.path())
            .batch_rows_max(3)
            .on_error(OnError::Record { failures_max: 5 })
            .open()
            .unwrap();
        let chain = session.read_values(rows).map(udf!("same", |n: &u64| {
            FAIL_AT.check(*n)?;
            CALLS.count(*n);
            Ok::<_, String>(*n)
        }));
        let chain = if retries { chain.retry_failed() } else { chain };
        (chain.collect().unwrap(), CALLS.take().into_keys().collect::<Vec<_>>())
    };
    FAIL_AT.set(4);
    run(&numbers(10), false);
    // The hole is nobody's output: 4 fails again, and 50 is new.
    let (rows, calls) = run(&[50, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9], false);
    assert_eq!((rows, calls), (vec![50, 0, 1, 2, 3, 5, 6, 7, 8, 9], vec![50]));
    FAIL_AT.set(None);
    let (rows, calls) = run(&[50, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9], true);
    assert_eq!((rows, calls), (vec![50, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9], vec![4]));
}

#[test]
fn u08_rows_that_cannot_be_read_are_told_as_ever() {
    static CALLS: Calls = Calls::new();
    #[derive(Serialize, Deserialize)]
    struct Town {
        metres: u64,
    }
    let (folder, files) = (Folder::new(), tempfile::tempdir().unwrap());
    let towns = files.path().join("towns.csv");
    let run = |content: &str, on_error: OnError| {
        std::fs::write(&towns, content).unwrap();
        let session = builder(&folder.path()).threads(1).batch_rows_max(2).on_error(on_error).open().unwrap();
        let chain = session.read_csv::<Town>(&towns).unwrap().filter(udf!("kept", |town: &Town| {
            assert!(town.metres != 13, "thirteen");
            town.metres != 4
        }));
        let result = chain.map(udf!("same", |town: &Town| {
            CALLS.count(town.metres);
            town.metres
        }));
        (result.collect(), CALLS.take().into_keys().collect::<Vec<_>>())
    };
    run("metres\n1\n2\n3\n4\n5\n", OnError::Fail).0.unwrap();
    let (result, calls) = run("metres\n9\n1\n2\nx\n13\n3\n4\n5\n", OnError::Record { failures_max: 2 });
    assert_eq!((result.unwrap(), calls), (vec![9, 1, 2, 3, 5], vec![9]));
    let (result, calls) = run("metres\n8\n1\n2\nx\n3\n4\n5\n", OnError::Fail);
    assert_eq!((crate::support::failed_row(result).0, calls), (3, vec![8]));
}

#[test]
fn u08_what_is_told_before_and_after() {
    let folder = Folder::new();
    let run = |rows: u64| {
        let session = folder.session();
        let chain = session.read_values(&numbers(rows)).map(udf!("same", |n: &u64| *n));
        let plan = chain.explain().unwrap();
        chain.collect().unwrap();
        let report = session.report().step("same").unwrap().clone();
        (session.job().unwrap().id, plan.to_string(), report)
    };
    let (first, plan, _) = run(20);
    assert!(plan.contains("map same: run, 20 rows"), "{plan}");
    let (_, plan, report) = run(21);
    assert!(plan.contains("map same: reuse by row, about 20 of 21"), "{plan}");
    assert!(plan.contains(&first.to_string()), "{plan}");
    assert_eq!((report.rows_reused, report.rows_computed, report.reused_from), (20, 1, Some(first)));
    assert!(report.reason.starts_with(&format!("rows of job {first}; ")), "{}", report.reason);
    assert!(report.reason.contains("content"), "{}", report.reason);
}

#[test]
fn u08_progress_adds_up() {
    use std::sync::{Arc, Mutex};
    let folder = Folder::new();
    let run = |rows: &[u64]| {
        let last = Arc::new(Mutex::new(BTreeMap::new()));
        let seen = Arc::clone(&last);
        let display = ProgressDisplay::callback(move |step, now| {
            seen.lock().unwrap().insert(step.to_owned(), (now.rows_total, now.rows_reused, now.rows_done));
        });
        let session = builder(&folder.path()).batch_rows_max(3).progress(display).open().unwrap();
        session.read_values(rows).map(udf!("same", |n: &u64| *n)).collect().unwrap();
        last.lock().unwrap().clone()
    };
    run(&numbers(20));
    let mut rows = numbers(20);
    rows.insert(10, 100);
    let last = run(&rows);
    assert_eq!(last["same"], (21, 20, 1));
    assert_eq!(last["same: rows done before"], (21, 0, 21));
}

/// Moves the rows of a table of two million and tells the most memory that the process ever had, in kB.
#[test]
fn child_that_reuses_rows_in_little_memory() {
    let Ok(rows) = std::env::var("ROWMARK_TEST_REUSED_ROWS") else { return };
    let rows: u64 = rows.parse().unwrap();
    let folder = Folder::new();
    let run = |first: u64| {
        let session = builder(&folder.path()).sort_bytes_max(4 << 20).open().unwrap();
        let input = session.read_records_iter((first..1).map(|_| u64::MAX).chain(0..rows)).unwrap();
        let report = input.map(udf!("same", |n: &u64| *n)).save("same").unwrap().report().clone();
        (report.rows_reused(), report.rows_computed())
    };
    assert_eq!(run(1), (0, rows));
    assert_eq!(run(0), (rows, 1), "one row before all others");
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("peak {}", peak.trim().trim_end_matches(" kB"));
}

#[test]
#[cfg(target_os = "linux")]
fn u08_memory_does_not_grow_with_the_rows() {
    let peak_kb = |rows: u64| -> u64 {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "row_reuse::outcomes::child_that_reuses_rows_in_little_memory", "--nocapture"])
            .env("ROWMARK_TEST_REUSED_ROWS", rows.to_string())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().find_map(|line| line.split("peak ").nth(1)).expect(&text).trim().parse().unwrap()
    };
    let (few, many) = (peak_kb(500_000), peak_kb(2_000_000));
    println!("500,000 rows: {few} kB at the most; 2,000,000: {many} kB");
    // The hashes alone of the rows that are more take 36 MB, on both sides.
    assert!(many < few + 25_000, "with four times the rows the memory {few} kB became {many} kB");
}
