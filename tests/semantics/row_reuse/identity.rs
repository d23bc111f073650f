//! Whose rows are used: of which steps, runs and codes.

use std::collections::BTreeMap;

use rowmark::prelude::*;

use super::{Done, called, done, numbers};
use crate::support::{Calls, FailAt, Folder, builder};

#[test]
fn u08_each_step_of_a_chain_reuses_its_rows() {
    static FIRST: Calls = Calls::new();
    static SECOND: Calls = Calls::new();
    let folder = Folder::new();
    let run = |rows: &[u64]| {
        let session = builder(&folder.path()).batch_rows_max(4).open().unwrap();
        let done = done(&session, &SECOND, "second", |session| {
            let first = session.read_values(rows).map(udf!("first", |n: &u64| {
                FIRST.count(*n);
                n / 2
            }));
            first.map(udf!("second", |n: &u64| {
                SECOND.count(*n);
                n + 1
            }))
        });
        (FIRST.take().into_keys().collect::<Vec<_>>(), called(&done), done.rows)
    };
    run(&[0, 2, 4, 6, 8, 10]);
    // 5 / 2 is 2, of which there is one; 100 / 2 is new.
    let (first, second, rows) = run(&[0, 2, 4, 100, 5, 6, 8, 10]);
    assert_eq!((first, second, rows), (vec![5, 100], vec![2, 50], vec![1, 2, 3, 51, 3, 4, 5, 6]));
}

#[test]
fn u08_finished_rows_of_an_unfinished_run_are_reused_and_a_run_that_breaks_off_goes_on() {
    static CALLS: Calls = Calls::new();
    static FAIL_AT: FailAt = FailAt::never();
    let chain = |session: &Session, rows: &[u64]| {
        session.read_values(rows).map(udf!("same", |n: &u64| {
            FAIL_AT.check(*n)?;
            CALLS.count(*n);
            Ok::<_, String>(*n)
        }))
    };
    for rows_max in [1, 4, 8192] {
        let folder = Folder::new();
        let open = || builder(&folder.path()).threads(1).batch_rows_max(rows_max).open().unwrap();
        FAIL_AT.set(12);
        chain(&open(), &numbers(20)).collect().unwrap_err();
        assert_eq!(CALLS.take().into_keys().collect::<Vec<_>>(), numbers(12));

        // What was finished over the old input is, and the run breaks off again, twice.
        let mut rows: Vec<u64> = (0..20).rev().collect();
        rows.splice(9..9, [100, 3, 101]);
        FAIL_AT.set(15);
        chain(&open(), &rows).collect().unwrap_err();
        let mut calls = CALLS.take();
        for bad in [101, 3] {
            FAIL_AT.set(bad);
            chain(&open(), &rows).collect().unwrap_err();
            CALLS.take().into_iter().for_each(|(row, times)| *calls.entry(row).or_default() += times);
        }
        FAIL_AT.set(None);
        let session = open();
        let done = done(&session, &CALLS, "same", |session| chain(session, &rows));
        assert!(done.told.starts_with("continued 23 = "), "{}", done.told);
        done.calls.iter().for_each(|(row, times)| *calls.entry(*row).or_default() += times);
        // The second 3 is a new row.
        let expected: BTreeMap<u64, u64> =
            [3, 12, 13, 14, 15, 16, 17, 18, 19, 100, 101].map(|row| (row, 1)).into();
        assert_eq!((calls, done.rows), (expected, rows));
    }
}

mod old {
    #[rowmark::udf]
    pub fn scaled(n: &u64) -> Result<u64, String> {
        super::SCALED.count(*n);
        super::SCALED_FAIL_AT.check(*n)?;
        Ok(n * 10)
    }
}

mod new {
    #[rowmark::udf]
    pub fn scaled(n: &u64) -> Result<u64, String> {
        super::SCALED.count(*n);
        super::SCALED_FAIL_AT.check(*n)?;
        Ok(n * 100)
    }
}

static SCALED: Calls = Calls::new();
static SCALED_FAIL_AT: FailAt = FailAt::never();

#[test]
fn u08_rows_of_other_code_are_never_reused() {
    let folder = Folder::new();
    let open = || builder(&folder.path()).threads(1).batch_rows_max(2).open().unwrap();
    let rows = |more: u64| (0..10).chain(100..100 + more).collect::<Vec<u64>>();
    // Rows 0 to 5 are of the old code, the others of the new one.
    SCALED_FAIL_AT.set(6);
    open().read_values(&rows(0)).map(old::scaled).collect().unwrap_err();
    SCALED_FAIL_AT.set(None);
    SCALED.take();
    open().read_values(&rows(0)).map(new::scaled).collect().unwrap();
    assert_eq!(SCALED.take().into_keys().collect::<Vec<_>>(), [6, 7, 8, 9]);

    let session = open();
    let done = done(&session, &SCALED, "scaled", |session| session.read_values(&rows(1)).map(new::scaled));
    assert_eq!(called(&done), [0, 1, 2, 3, 4, 5, 100]);
    assert_eq!(done.rows, rows(1).iter().map(|n| n * 100).collect::<Vec<_>>());
    drop(session);

    let session = open();
    let back = done_of_old(&session, &rows(2));
    assert!(
        back.calls.len() == 12
            && back.rows.iter().eq(rows(2).iter().map(|n| n * 10).collect::<Vec<_>>().iter())
    );
}

fn done_of_old(session: &Session, rows: &[u64]) -> Done<u64> {
    done(session, &SCALED, "scaled", |session| session.read_values(rows).map(old::scaled))
}

/// The same tokens over rows of one type and of another.
macro_rules! sizes {
    ($module:ident, $row:ty) => {
        mod $module {
            use super::*;

            type Row = $row;

            pub(super) fn sizes(session: &Session, rows: &[Row]) -> Chain<u64> {
                session.read_values(rows).map(udf!("sizes", |n: &Row| {
                    SIZES.count(1);
                    size_of_val(n) as u64
                }))
            }
        }
    };
}

static SIZES: Calls = Calls::new();
sizes!(narrow, u32);
sizes!(wide, u64);

#[test]
fn u08_rows_of_another_type_are_other_rows() {
    let folder = Folder::new();
    assert_eq!(narrow::sizes(&folder.session(), &[1, 2]).collect().unwrap(), [4, 4]);
    assert_eq!(wide::sizes(&folder.session(), &[1, 2, 3]).collect().unwrap(), [8, 8, 8]);
    assert_eq!(SIZES.take_total(), 5);
    assert_eq!(wide::sizes(&folder.session(), &[1, 3]).collect().unwrap(), [8, 8]);
    assert_eq!(SIZES.take_total(), 0);
}

#[test]
fn u08_another_parameter_is_another_function() {
    static CALLS: Calls = Calls::new();
    let folder = Folder::new();
    let run = |factor: u64, rows: &[u64]| {
        let chain = folder.session().read_values(rows).map(udf!("times", captures(factor), |n: &u64| {
            CALLS.count(*n);
            n * factor
        }));
        (chain.collect().unwrap(), CALLS.take_total())
    };
    run(2, &[1, 2]);
    assert_eq!(run(3, &[1, 2, 3]), (vec![3, 6, 9], 3));
    assert_eq!(run(2, &[1, 2, 3]), (vec![2, 4, 6], 1));
}
