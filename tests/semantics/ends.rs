//! What runs a chain: `first`, `count`, `iter` and the files that rows are written to.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rowmark::Error;
use rowmark::prelude::*;

use crate::support::{Calls, FailAt, Folder, builder, failed_row};

#[test]
fn an_iterator_that_is_dropped_early_frees_the_state_folder_at_once() {
    let folder = Folder::new();
    let session = folder.session();
    session.read_records((0..5000u64).collect()).save("numbers").unwrap();
    let slow = session.read_dataset::<u64>("numbers", None).unwrap().project(udf!("slow", |n: &u64| {
        std::thread::sleep(Duration::from_millis(2));
        *n
    }));
    let mut rows = slow.iter().unwrap();
    assert_eq!(rows.next().unwrap().unwrap(), 0);
    drop((rows, slow, session));
    folder.session(); // it is refused while a thread reads on
}

#[test]
fn first_reads_little_more_than_the_first_row() {
    static CALLS: Calls = Calls::new();
    let folder = Folder::new();
    let chain = folder.session().read_records((0..5000u64).collect()).project(udf!("counted", |n: &u64| {
        CALLS.count(*n);
        std::thread::sleep(Duration::from_micros(100));
        *n
    }));
    assert_eq!(chain.first().unwrap(), Some(0));
    let calls = CALLS.take_total();
    assert!(calls < 64, "{calls} rows were computed for the first");
    assert_eq!(chain.filter(udf!("none", |n: &u64| *n > 9000)).first().unwrap(), None);
    assert_eq!(chain.limit(0).first().unwrap(), None);
}

#[test]
fn a_panic_behind_the_last_stored_step_is_the_iterators_last_item_and_never_an_early_end() {
    static PANIC: FailAt = FailAt::never();
    let folder = Folder::new();
    let chain = folder.session().read_records((0..3000u64).collect()).project(udf!("delicate", |n: &u64| {
        assert!(PANIC.check(*n).is_ok(), "row {n} fell over");
        *n
    }));
    PANIC.set(2500);
    let rows: Vec<_> = chain.iter().unwrap().collect();
    let (error, rows) = rows.split_last().unwrap();
    assert!(rows.len() <= 2500 && rows.iter().all(Result::is_ok));
    let error = chain_of(error.as_ref().unwrap_err());
    assert!(error.contains("row 2500") && error.contains("row 2500 fell over"), "{error}");

    let file = folder.path().with_extension("csv");
    std::fs::write(&file, "the old file").unwrap();
    let error = chain_of(&chain.write_csv(&file).unwrap_err());
    assert!(error.contains("fell over"), "{error}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "the old file");
}

#[test]
fn an_iterator_ends_with_the_error_of_the_row_that_failed() {
    static FAIL_AT: FailAt = FailAt::never();
    let folder = Folder::new();
    let chain = folder
        .session()
        .read_records((0..3000u64).collect())
        .project(udf!("checked", |n: &u64| { FAIL_AT.check(*n).map(|()| *n) }));
    FAIL_AT.set(1500);
    let mut rows = chain.iter().unwrap();
    let read = rows.by_ref().take_while(Result::is_ok).count();
    assert!(read <= 1500);
    assert!(rows.next().is_none(), "it ends after the error");
    let error = chain.iter().unwrap().find_map(Result::err).unwrap();
    assert!(matches!(error, Error::Row { row: 1500, .. }), "{error:?}");
    assert!(chain_of(&error).contains("row 1500 is bad"), "{error:?}");
}

/// An error's text with that of all its causes.
fn chain_of(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

#[test]
fn counting_reads_only_what_a_filter_makes_it_read() {
    static CALLS: Calls = Calls::new();
    let folder = Folder::new();
    let numbers = folder.session().read_records((0..1000u64).collect());
    let counted = numbers.project(udf!("counted", |n: &u64| {
        CALLS.count(*n);
        *n
    }));
    assert_eq!((counted.count().unwrap(), CALLS.take_total()), (1000, 0));
    assert_eq!((counted.offset(10).limit(50).count().unwrap(), CALLS.take_total()), (50, 0));
    let even = counted.filter(udf!("even", |n: &u64| n.is_multiple_of(2)));
    assert_eq!((even.count().unwrap(), CALLS.take_total()), (500, 1000));
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Reading {
    id: u64,
    name: Option<String>,
    celsius: f64,
}

fn readings() -> Vec<Reading> {
    let reading = |id: u64| Reading {
        id,
        name: (!id.is_multiple_of(3)).then(|| format!("a \"quoted\", name\nof {id}")),
        celsius: id as f64 / 8.0 - 3.0,
    };
    (0..20_000).map(reading).collect()
}

#[test]
fn files_hold_the_rows_as_other_readers_see_them() {
    let folder = Folder::new();
    let chain = folder.session().read_records(readings());
    let file = |extension| folder.path().with_extension(extension);

    assert_eq!(chain.write_csv(file("csv")).unwrap(), 20_000);
    let rows: Vec<Reading> =
        csv::Reader::from_path(file("csv")).unwrap().deserialize().map(Result::unwrap).collect();
    assert!(rows == readings());

    assert_eq!(chain.write_jsonl(file("jsonl")).unwrap(), 20_000);
    let text = std::fs::read_to_string(file("jsonl")).unwrap();
    let rows: Vec<Reading> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(rows == readings());

    assert_eq!(chain.write_arrow(file("arrow")).unwrap(), 20_000);
    let schema = rowmark::rows::RowSchema::of::<Reading>().unwrap();
    let reader =
        arrow_ipc::reader::FileReader::try_new(std::fs::File::open(file("arrow")).unwrap(), None).unwrap();
    let rows: Vec<Reading> =
        reader.flat_map(|batch| schema.decode::<Reading>(&batch.unwrap()).unwrap()).collect();
    assert!(rows == readings());
}

#[test]
fn no_rows_make_a_file_with_a_header_and_nothing_below() {
    let folder = Folder::new();
    let chain = folder.session().read_values::<Reading>(&[]);
    let file = folder.path().with_extension("out");
    assert_eq!(chain.write_csv(&file).unwrap(), 0);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "id,name,celsius\n");
    assert_eq!(chain.write_jsonl(&file).unwrap(), 0);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "");
    assert_eq!(chain.write_arrow(&file).unwrap(), 0);
    let reader = arrow_ipc::reader::FileReader::try_new(std::fs::File::open(&file).unwrap(), None).unwrap();
    assert_eq!((reader.schema().fields().len(), reader.count()), (3, 0));
}

#[derive(Clone, Serialize, Deserialize)]
struct Lists {
    left: Vec<u64>,
    right: Vec<u64>,
}

#[test]
fn csv_refuses_rows_whose_fields_hold_more_than_one_value() {
    let folder = Folder::new();
    let file = folder.path().with_extension("csv");
    // As fields these would be `1,2` below `left,right`: a wrong file without an error.
    let session = folder.session();
    let chain = session.read_values(&[Lists { left: vec![1, 2], right: vec![] }]);
    let error = chain_of(&chain.write_csv(&file).unwrap_err());
    assert!(error.contains("left"), "{error}");
    assert!(!file.exists());
    session.read_values(&[vec![1u64]]).write_csv(&file).unwrap_err();
}

#[test]
fn an_error_leaves_the_old_file_and_nothing_beside_it() {
    static FAIL_AT: FailAt = FailAt::never();
    FAIL_AT.set(2000);
    let folder = Folder::new();
    let session = folder.session();
    let chain = session
        .read_records((0..3000u64).collect())
        .project(udf!("checked", |n: &u64| { FAIL_AT.check(*n).map(|()| *n) }));
    let out = folder.path().with_extension("d");
    std::fs::create_dir(&out).unwrap();
    let file = out.join("rows");
    std::fs::write(&file, "the old file").unwrap();
    for result in [chain.write_csv(&file), chain.write_jsonl(&file), chain.write_arrow(&file)] {
        assert!(matches!(result.unwrap_err(), Error::Row { row: 2000, .. }));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "the old file");
        assert_eq!(std::fs::read_dir(&out).unwrap().count(), 1, "what was not finished is removed");
    }
    let nowhere = out.join("not there").join("rows");
    let error = session.read_values(&[1u64]).write_csv(&nowhere).unwrap_err();
    assert!(matches!(&error, Error::Export { path, .. } if *path == nowhere), "{error:?}");
}

#[test]
fn two_threads_that_write_one_file_each_write_it_whole() {
    let folder = Folder::new();
    let session = folder.session();
    let file = folder.path().with_extension("csv");
    let finished = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for rows in [2000u64, 3000] {
            let (session, file, finished) = (&session, &file, &finished);
            scope.spawn(move || {
                for _ in 0..20 {
                    session.read_records((0..rows).collect()).write_csv(file).unwrap();
                    finished.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(finished.into_inner(), 40);
    let lines = std::fs::read_to_string(&file).unwrap().lines().count();
    assert!([2001, 3001].contains(&lines), "{lines} lines");
}

#[test]
fn a_collect_whose_filter_fails_names_the_row_whatever_the_policy() {
    let folder = Folder::new();
    for on_error in [OnError::Fail, OnError::Record { failures_max: 10 }] {
        let session = builder(&folder.path()).on_error(on_error).open().unwrap();
        let chain = session
            .read_values(&[2u64, 0, 1])
            .filter(udf!("divides", |n: &u64| 10u64.checked_div(*n).map(|part| part > 1).ok_or("by zero")));
        assert_eq!(failed_row(chain.collect()), (1, "by zero".to_owned()));
        assert_eq!(failed_row(chain.count()), (1, "by zero".to_owned()));
    }
}
