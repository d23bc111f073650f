//! p03: what becomes of rows that fail: the run ends, or they are recorded, or tried again.

use std::time::{Duration, Instant};

use rowmark::prelude::*;
use rowmark::{Error, FailedRow, SessionBuilder};

use crate::support::{Calls, FailAt, Folder, builder, failed_row};

/// A session that records failures, with one worker.
fn recording(folder: &Folder, failures_max: u64) -> SessionBuilder {
    builder(&folder.path()).threads(1).on_error(OnError::Record { failures_max })
}

fn rows_of(failures: &[FailedRow]) -> Vec<u64> {
    failures.iter().map(|failed| failed.row).collect()
}

fn numbers(session: &Session) -> Chain<u64> {
    session.read_records((0..100).collect())
}

/// Tests that use what follows take turns.
static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
static CALLS: Calls = Calls::new();
static DEATH: FailAt = FailAt::never();

/// Fails at each tenth row.
mod broken {
    #[rowmark::udf]
    pub fn parse(n: &u64) -> Result<u64, String> {
        super::CALLS.count(*n);
        if n % 10 == 3 { Err(format!("{n} ends in 3")) } else { Ok(*n) }
    }
}

/// Fails at one row of those.
mod better {
    #[rowmark::udf]
    pub fn parse(n: &u64) -> Result<u64, String> {
        super::CALLS.count(*n);
        if *n == 53 { Err("still bad".to_owned()) } else { Ok(*n) }
    }
}

mod mended {
    #[rowmark::udf]
    pub fn parse(n: &u64) -> Result<u64, String> {
        super::DEATH.check(*n)?;
        super::CALLS.count(*n);
        Ok(*n)
    }
}

/// Takes the turn.
fn turn() -> std::sync::MutexGuard<'static, ()> {
    let turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    CALLS.take();
    DEATH.set(None);
    turn
}

const THREES: [u64; 10] = [3, 13, 23, 33, 43, 53, 63, 73, 83, 93];

#[test]
fn p03_failures_are_recorded_with_all_that_a_person_needs() {
    let _turn = turn();
    let folder = Folder::new();
    let session =
        recording(&folder, 10).retry(Retry { attempts: 2, delay: Duration::ZERO, ..Retry::default() });
    let session = session.open().unwrap();
    let saved = numbers(&session).map(broken::parse).save("parsed").unwrap();
    let expected: Vec<u64> = (0..100).filter(|n| n % 10 != 3).collect();
    assert_eq!(session.read_dataset::<u64>("parsed", None).unwrap().collect().unwrap(), expected);
    let step = saved.report().step("parse").unwrap();
    assert_eq!((step.rows_in, step.rows_computed, step.rows_failed, step.rows_out), (100, 90, 10, 90));

    let failures = session.failures("parse").unwrap();
    assert_eq!(rows_of(&failures), THREES);
    let FailedRow { row, input, error, attempts, code, .. } = &failures[1];
    assert_eq!((*row, input.as_deref(), *attempts), (13, Some("13"), 2));
    assert!(error.contains("13 ends in 3"), "{error}");
    assert_eq!(*code, step.codes[0].code.to_string());
    assert_eq!(session.failures("no such step").unwrap(), []);

    drop(session);
    CALLS.take();
    let session = recording(&folder, 10).open().unwrap();
    assert_eq!(session.failures("parse").unwrap(), failures, "a later job sees them");
    let again = numbers(&session).map(broken::parse).save("parsed").unwrap();
    assert_eq!((CALLS.take_total(), again.is_new(), again.rows()), (0, false, 90));
    let step = again.report().step("parse").unwrap();
    assert_eq!((step.rows_in, step.rows_reused, step.rows_failed), (100, 90, 10), "{}", again.report());
    assert_eq!(session.failures("parse").unwrap(), failures);
}

#[test]
fn p03_a_retry_calls_just_the_rows_that_failed() {
    let _turn = turn();
    let folder = Folder::new();
    let first = numbers(&recording(&folder, 10).open().unwrap()).map(broken::parse).save("parsed").unwrap();
    CALLS.take();

    // With the same code, in a later job.
    let session = recording(&folder, 10).open().unwrap();
    let again = numbers(&session).map(broken::parse).retry_failed().save("parsed").unwrap();
    assert_eq!(CALLS.take().into_keys().collect::<Vec<_>>(), THREES);
    assert_eq!((again.version(), again.is_new()), (1, false), "nothing came of it");
    assert_eq!(rows_of(&session.failures("parse").unwrap()), THREES);
    drop(session);

    // With better code.
    let session = recording(&folder, 10).open().unwrap();
    let better = numbers(&session).map(better::parse).retry_failed().save("parsed").unwrap();
    assert_eq!(CALLS.take().into_keys().collect::<Vec<_>>(), THREES);
    assert_eq!((better.version(), better.rows()), (2, 99));
    let failures = session.failures("parse").unwrap();
    assert_eq!(rows_of(&failures), [53]);
    assert!(failures[0].error.contains("still bad"), "{failures:?}");
    drop(session);

    // With code that is right, twice in one job.
    let session = recording(&folder, 10).open().unwrap();
    let chain = numbers(&session).map(mended::parse).retry_failed();
    let mended = chain.save("parsed").unwrap();
    assert_eq!((mended.version(), mended.rows()), (3, 100));
    assert_eq!(CALLS.take().into_iter().collect::<Vec<_>>(), [(53, 1)]);
    assert_eq!(chain.collect().unwrap(), (0..100).collect::<Vec<_>>());
    assert_eq!((CALLS.take_total(), session.failures("parse").unwrap()), (0, vec![]));
    assert_eq!(mended.report().step("parse").unwrap().codes.len(), 3, "each row is known by its code");
    assert_ne!(first.content_hash(), mended.content_hash());
}

#[test]
fn p03_a_crash_in_the_middle_of_a_retry_loses_neither_rows_nor_failures() {
    let _turn = turn();
    let folder = Folder::new();
    numbers(&recording(&folder, 10).open().unwrap()).map(broken::parse).save("parsed").unwrap();
    CALLS.take();
    DEATH.set(43);
    let session = builder(&folder.path()).threads(1).open().unwrap();
    let retried = numbers(&session).map(mended::parse).retry_failed().save("parsed");
    assert_eq!(failed_row(retried).0, 43);
    assert_eq!(CALLS.take().into_keys().collect::<Vec<_>>(), THREES[..4]);
    assert_eq!(rows_of(&session.failures("parse").unwrap()), THREES[4..]);
    drop(session);

    DEATH.set(None);
    let session = recording(&folder, 10).open().unwrap();
    assert_eq!(rows_of(&session.failures("parse").unwrap()), THREES[4..]);
    let saved = numbers(&session).map(mended::parse).retry_failed().save("parsed").unwrap();
    assert_eq!((CALLS.take().into_keys().collect::<Vec<_>>(), saved.rows()), (THREES[4..].to_vec(), 100));
    assert_eq!(session.failures("parse").unwrap(), []);
}

#[test]
fn p03_rows_with_failures_are_never_taken_for_all_of_them() {
    let _turn = turn();
    let folder = Folder::new();
    let partial = numbers(&recording(&folder, 10).open().unwrap()).map(broken::parse).save("parsed").unwrap();
    assert_eq!((partial.rows(), CALLS.take_total()), (90, 100));

    // A job of another name finds no result to take, whatever its policy.
    let other = recording(&folder, 10).job_name("other").open().unwrap();
    let elsewhere = numbers(&other).map(broken::parse).save("elsewhere").unwrap();
    assert_eq!((CALLS.take_total(), elsewhere.is_new()), (100, true));
    drop(other);

    // The same job under the default policy tries the failed rows, and fails.
    let session = folder.session_in_order();
    assert_eq!(failed_row(numbers(&session).map(broken::parse).save("parsed")).0, 3);
    assert_eq!(CALLS.take().into_keys().collect::<Vec<_>>(), [3]);
    drop(session);

    // What is computed from them is another thing than what is computed from all.
    let doubled = |session: &Session| {
        numbers(session).map(broken::parse).map(udf!("double", |n: &u64| n * 2)).save("doubled").unwrap()
    };
    let of_some = doubled(&recording(&folder, 10).open().unwrap());
    assert_eq!(of_some.rows(), 90);
    let whole = |session: &Session| {
        numbers(session).map(mended::parse).map(udf!("double", |n: &u64| n * 2)).save("doubled").unwrap()
    };
    let of_all = whole(&folder.session());
    assert_eq!((of_all.rows(), of_all.is_new(), of_all.version()), (100, true, 2));
}

#[test]
fn p03_too_many_failures_end_the_run_and_a_higher_bound_goes_on() {
    let _turn = turn();
    let folder = Folder::new();
    let run = |failures_max| {
        let session = recording(&folder, failures_max).open().unwrap();
        let result = numbers(&session).map(broken::parse).save("parsed");
        (result, rows_of(&session.failures("parse").unwrap()))
    };
    let (result, recorded) = run(4);
    let Error::Step { source, .. } = result.unwrap_err() else { panic!("no step failed") };
    assert!(
        matches!(
            *source,
            rowmark::executor::Error::TooManyFailures { failures: 5, failures_max: 4, row: 43, .. }
        ),
        "{source:?}"
    );
    assert_eq!(recorded, THREES[..4]);
    CALLS.take();
    let (result, recorded) = run(10);
    assert_eq!((result.unwrap().rows(), recorded), (90, THREES.to_vec()));
    let calls = CALLS.take();
    assert!(calls.values().all(|calls| *calls == 1) && calls.keys().all(|row| *row >= 43), "{calls:?}");
}

#[test]
fn p03_mended_code_that_goes_on_tries_the_rows_again_at_which_the_code_before_failed() {
    let _turn = turn();
    let folder = Folder::new();
    let session = recording(&folder, 4).open().unwrap();
    numbers(&session).map(broken::parse).save("parsed").unwrap_err();
    drop(session);
    CALLS.take();
    let session = recording(&folder, 4).open().unwrap();
    assert_eq!(numbers(&session).map(mended::parse).collect().unwrap(), (0..100).collect::<Vec<_>>());
    let calls = CALLS.take();
    assert!(calls.values().all(|calls| *calls == 1));
    assert_eq!(calls.into_keys().take_while(|row| *row <= 43).collect::<Vec<_>>(), THREES[..5]);
    assert_eq!(session.failures("parse").unwrap(), []);
}

#[test]
fn p03_a_finished_result_with_more_failures_than_are_allowed_now_is_not_taken() {
    let _turn = turn();
    let folder = Folder::new();
    numbers(&recording(&folder, 10).open().unwrap()).map(broken::parse).save("parsed").unwrap();
    CALLS.take();
    let session = recording(&folder, 9).open().unwrap();
    numbers(&session).map(broken::parse).save("parsed").unwrap_err();
    assert!(CALLS.take_total() <= 10, "only rows that failed are tried");
}

#[test]
fn p03_a_panic_on_the_way_to_the_udf_is_recorded_as_any_failure() {
    let folder = Folder::new();
    let session = recording(&folder, 10).open().unwrap();
    let chain = numbers(&session)
        .project(udf!("delicate", |n: &u64| {
            assert!(*n != 7, "seven");
            *n
        }))
        .map(udf!("count", |n: &u64| if *n == 9 { Err("nine") } else { Ok(*n) }));
    assert_eq!(chain.save("counted").unwrap().rows(), 98);
    let failures = session.failures("count").unwrap();
    assert_eq!(rows_of(&failures), [7, 9]);
    assert!(failures[0].error.contains("panicked: seven"), "{failures:?}");
    assert_eq!((failures[0].input.as_deref(), failures[1].input.as_deref()), (Some("7"), Some("9")));
}

#[test]
fn p03_failures_of_a_flat_map_a_batch_and_groups_are_recorded_alone() {
    let folder = Folder::new();
    let session = recording(&folder, 10).open().unwrap();
    let copies =
        udf!("copies", |n: &u64| if *n == 3 { Err("three") } else { Ok(vec![*n; (*n % 3) as usize]) });
    let expected: Vec<u64> = (0..100).filter(|n| *n != 3).flat_map(|n| vec![n; (n % 3) as usize]).collect();
    assert_eq!(numbers(&session).flat_map(copies).collect().unwrap(), expected);
    assert_eq!(rows_of(&session.failures("copies").unwrap()), [3]);

    let lengths = udf!("batched", |rows: &[u64]| {
        if rows.contains(&30) { Err("thirty") } else { Ok(rows.iter().map(|n| n + 1).collect::<Vec<_>>()) }
    });
    let expected: Vec<u64> = (0..100).filter(|n| *n != 30).map(|n| n + 1).collect();
    assert_eq!(numbers(&session).map_batch(16, lengths).collect().unwrap(), expected);
    assert_eq!(rows_of(&session.failures("batched").unwrap()), [30]);

    let sums = numbers(&session).agg(
        udf!("tens", |n: &u64| n / 10),
        udf!("sums", |group: &Group<u64, u64>| {
            if *group.key() == 4 { Err("four") } else { Ok((*group.key(), group.rows().sum::<u64>())) }
        }),
    );
    let sums = sums.collect().unwrap();
    assert_eq!((sums.len(), sums[0], sums[4]), (9, (0, 45), (5, 545)));
    let failures = session.failures("sums").unwrap();
    assert_eq!(rows_of(&failures), [4], "a group counts as a row");
    assert!(failures[0].input.as_deref().unwrap().contains("\"key\":4"), "{failures:?}");
}

#[test]
fn p03_a_row_is_tried_again_after_growing_pauses() {
    static ATTEMPTS: Calls = Calls::new();
    let folder = Folder::new();
    let retry = Retry { attempts: 4, delay: Duration::from_millis(40), delay_max: Duration::from_millis(80) };
    let session = builder(&folder.path()).threads(1).retry(retry).open().unwrap();
    let flaky = udf!("flaky", |n: &u64| {
        ATTEMPTS.count(*n);
        let attempts = ATTEMPTS.so_far(*n);
        if *n == 5 && attempts < 4 || *n == 8 { Err(format!("attempt {attempts}")) } else { Ok(*n) }
    });
    let begun = Instant::now();
    let error = session.read_records((0..10u64).collect()).map(flaky).save("flaky").unwrap_err();
    let Error::Step { source, .. } = error else { panic!("{error:?}") };
    assert_eq!(source.to_string(), "row 8 failed after 4 attempts");
    let attempts = ATTEMPTS.take();
    assert_eq!((attempts[&4], attempts[&5], attempts[&8], attempts.get(&9)), (1, 4, 4, None));
    // Twice three pauses, of at least half of 40, 80 and 80 ms.
    assert!(begun.elapsed() >= Duration::from_millis(200), "{:?}", begun.elapsed());
}

#[test]
fn p03_without_a_policy_the_first_failure_ends_the_run_and_records_nothing() {
    let _turn = turn();
    let folder = Folder::new();
    let session = folder.session_in_order();
    assert_eq!(
        failed_row(numbers(&session).map(broken::parse).save("parsed")),
        (3, "3 ends in 3".to_owned())
    );
    assert_eq!(session.failures("parse").unwrap(), []);
    let report = session.report();
    let step = report.step("parse").unwrap();
    assert_eq!((step.rows_in, step.rows_computed, step.rows_failed), (100, 3, 1));
}

#[test]
fn p03_texts_of_failures_are_cut_and_shown_whatever_they_hold() {
    let folder = Folder::new();
    let session = recording(&folder, 10).open().unwrap();
    let texts = vec!["ä".repeat(200_000), "\u{0}\n\"".to_owned()];
    let chain = session
        .read_records(texts)
        .map(udf!("refuse", |text: &String| { if text.is_empty() { Ok(0u64) } else { Err(text.clone()) } }));
    assert!(chain.collect().unwrap().is_empty());
    let failures = session.failures("refuse").unwrap();
    let input = failures[0].input.as_ref().unwrap();
    assert!((65_000..=65_536).contains(&input.len()) && input.starts_with("\"ää"), "{}", input.len());
    assert!((16_000..=16_384).contains(&failures[0].error.len()), "{}", failures[0].error.len());
    assert_eq!(failures[1].input.as_deref(), Some("\"\\u0000\\n\\\"\""));
}

#[test]
fn p03_failures_of_a_step_that_was_not_finished_are_known_to_the_next_run() {
    let _turn = turn();
    let folder = Folder::new();
    let cancel = CancelToken::new();
    let session = recording(&folder, 10).cancel(cancel.clone()).open().unwrap();
    cancel.cancel();
    numbers(&session).map(broken::parse).save("parsed").unwrap_err();
    drop(session);
    let (result, calls) = (recording(&folder, 2).open().unwrap(), CALLS.take());
    assert!(calls.is_empty());
    numbers(&result).map(broken::parse).save("parsed").unwrap_err();
    assert_eq!(rows_of(&result.failures("parse").unwrap()), THREES[..2]);
    drop(result);
    CALLS.take();
    // Under the default policy they are tried again.
    assert_eq!(failed_row(numbers(&folder.session_in_order()).map(broken::parse).collect()).0, 3);
    assert_eq!(numbers(&folder.session_in_order()).map(mended::parse).collect().unwrap().len(), 100);
    let calls = CALLS.take();
    assert!(calls.iter().all(|(row, calls)| *calls <= if *row == 3 { 2 } else { 1 }), "{calls:?}");
}
