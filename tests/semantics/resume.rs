//! r: a run that ended early goes on where it ended.

use rowmark::prelude::*;

use crate::support::{Calls, FailAt, Folder, builder, bytes, failed_row, told};

static R01_CALLS: Calls = Calls::new();

mod broken {
    #[rowmark::udf]
    pub fn square(n: &u64) -> Result<u64, String> {
        if *n == 700 {
            return Err("700 is too much".into());
        }
        super::R01_CALLS.count(*n);
        Ok(n * n)
    }
}

mod mended {
    #[rowmark::udf]
    pub fn square(n: &u64) -> Result<u64, String> {
        super::R01_CALLS.count(*n);
        Ok(n * n)
    }
}

#[test]
fn r01_a_map_that_fails_goes_on_with_fixed_code() {
    let numbers: Vec<u64> = (0..1000).collect();

    let unbroken = Folder::new();
    let session = unbroken.session();
    let expected = session.read_values(&numbers).map(mended::square).save("squares").unwrap();
    let expected_rows = session.read_values(&numbers).map(mended::square).collect().unwrap();
    R01_CALLS.take();

    let folder = Folder::new();
    let failed = folder.session().read_values(&numbers).map(broken::square).save("squares");
    assert_eq!(failed_row(failed), (700, "700 is too much".to_owned()));
    let first = R01_CALLS.take();
    let session = folder.session();
    let saved = session.read_values(&numbers).map(mended::square).save("squares").unwrap();
    let second = R01_CALLS.take();
    for (row, calls) in &second {
        assert_eq!((*calls, first.get(row)), (1, None), "row {row} was finished before");
    }
    assert_eq!(first.len() + second.len(), 1000);
    assert_eq!(
        told(saved.report(), "square"),
        format!("continued 1000 = {} + {}", first.len(), second.len())
    );
    assert_eq!(saved.content_hash(), expected.content_hash());
    let rows = session.read_values(&numbers).map(mended::square).collect().unwrap();
    assert_eq!(bytes(&rows), bytes(&expected_rows));
}

#[test]
fn r04_several_failures_each_further_on() {
    static CALLS: Calls = Calls::new();
    static FAIL_AT: FailAt = FailAt::never();
    let folder = Folder::new();
    let numbers: Vec<u64> = (0..500).collect();
    let run = || {
        let chain = folder.session_in_order().read_values(&numbers).map(udf!("half", |n: &u64| {
            FAIL_AT.check(*n)?;
            CALLS.count(*n);
            Ok::<_, String>(n / 2)
        }));
        chain.collect()
    };
    for row in [0, 100, 101, 499] {
        FAIL_AT.set(row);
        assert_eq!(failed_row(run()).0, row);
    }
    FAIL_AT.set(None);
    assert_eq!(run().unwrap(), numbers.iter().map(|n| n / 2).collect::<Vec<_>>());
    assert!(CALLS.take().into_values().eq(std::iter::repeat_n(1, 500)), "each row was finished once");
}

#[test]
fn r05_the_first_of_two_udfs_is_skipped_on_every_rerun() {
    static FIRST: Calls = Calls::new();
    static SECOND: Calls = Calls::new();
    static FAIL_AT: FailAt = FailAt::never();
    let folder = Folder::new();
    let numbers: Vec<u64> = (0..100).collect();
    FAIL_AT.set(50);
    for run in 1..=10 {
        let session = folder.session();
        let chain = session
            .read_values(&numbers)
            .map(udf!("first", |n: &u64| {
                FIRST.count(*n);
                n + 1
            }))
            .map(udf!("second", |n: &u64| {
                FAIL_AT.check(*n)?;
                SECOND.count(*n);
                Ok::<_, String>(n * 2)
            }));
        assert_eq!(failed_row(chain.save("doubled")).0, 49, "row 49 holds 50");
        assert_eq!(FIRST.take_total(), if run == 1 { 100 } else { 0 }, "run {run}");
        let report = session.report();
        assert_eq!(report.step("second").unwrap().rows_failed, 1);
        if run > 1 {
            assert_eq!(told(&report, "first"), "skipped 100 = 100 + 0");
        }
    }
    assert!(SECOND.take().into_values().all(|calls| calls == 1), "finished rows of the second were kept");
}

#[test]
fn r06_the_same_job_tries_again() {
    static CALLS: Calls = Calls::new();
    static FAIL_AT: FailAt = FailAt::never();
    let folder = Folder::new();
    let session = folder.session_in_order();
    let chain = session.read_records((0..300u64).collect()).map(udf!("try", |n: &u64| {
        FAIL_AT.check(*n)?;
        CALLS.count(*n);
        Ok::<_, String>(*n)
    }));
    for row in [10, 200, 201] {
        FAIL_AT.set(row);
        failed_row(chain.save("tried"));
    }
    FAIL_AT.set(None);
    assert_eq!(chain.save("tried").unwrap().rows(), 300);
    assert!(CALLS.take().into_values().eq(std::iter::repeat_n(1, 300)));
}

#[test]
fn r07_failing_at_random_rows_every_output_comes_once_with_1_2_and_8_threads() {
    static CALLS: Calls = Calls::new();
    static FAIL_AT: FailAt = FailAt::never();
    for threads in [1, 2, 8] {
        let folder = Folder::new();
        let numbers: Vec<u64> = (0..2000).collect();
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        for attempt in 0.. {
            // xorshift64 (Marsaglia 2003): the same rows fail in every run of the test.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            FAIL_AT.set((attempt < 12).then_some(random % 2000));
            let session =
                builder(&folder.path()).threads(threads).batch_rows_max(1 + random % 64).open().unwrap();
            let chain = session.read_values(&numbers).map(udf!("triple", |n: &u64| {
                FAIL_AT.check(*n)?;
                CALLS.count(*n);
                Ok::<_, String>(n * 3)
            }));
            match chain.collect() {
                Ok(rows) => {
                    assert_eq!(rows, numbers.iter().map(|n| n * 3).collect::<Vec<_>>());
                    break;
                }
                Err(error) => assert!(attempt < 12, "{error:?}"),
            }
        }
        assert!(CALLS.take().into_values().eq(std::iter::repeat_n(1, 2000)), "{threads} threads");
    }
}

#[test]
fn r09_rows_come_out_in_the_order_of_the_input() {
    static FAIL_AT: FailAt = FailAt::never();
    let folder = Folder::new();
    // The values run against the row numbers, and late rows are quick: order cannot come by chance.
    let numbers: Vec<u64> = (0..300).rev().collect();
    let run = || {
        let chain = folder.session().read_values(&numbers).map(udf!("slow at first", |n: &u64| {
            FAIL_AT.check(*n)?;
            std::thread::sleep(std::time::Duration::from_micros(n * 2));
            Ok::<_, String>(format!("n{n}"))
        }));
        chain.collect()
    };
    let mut failures = 0;
    for row in [250, 120, 20] {
        FAIL_AT.set(row);
        // The other worker may be far ahead, and have finished the row that fails next.
        failures += u32::from(run().is_err());
    }
    assert!(failures > 0);
    FAIL_AT.set(None);
    assert_eq!(run().unwrap(), numbers.iter().map(|n| format!("n{n}")).collect::<Vec<_>>());
}

#[test]
fn r10_empty_input_one_row_and_a_batch_larger_than_the_input() {
    for rows in [0u64, 1, 7] {
        for batch_rows_max in [1, 7, 10_000] {
            let folder = Folder::new();
            let numbers: Vec<u64> = (0..rows).collect();
            for run in 1..=2 {
                let session = builder(&folder.path()).batch_rows_max(batch_rows_max).open().unwrap();
                let chain = session.read_values(&numbers).map(udf!("next", |n: &u64| n + 1));
                let saved = chain.save("next").unwrap();
                assert_eq!((saved.version(), saved.rows(), saved.is_new()), (1, rows, run == 1));
                assert_eq!(chain.collect().unwrap(), (1..=rows).collect::<Vec<_>>());
            }
        }
    }
}

#[test]
fn r11_a_udf_after_a_filter_resumes_as_well() {
    static CALLS: Calls = Calls::new();
    static FAIL_AT: FailAt = FailAt::never();
    let folder = Folder::new();
    let numbers: Vec<u64> = (0..1000).collect();
    let run = || {
        let chain = folder
            .session_in_order()
            .read_values(&numbers)
            .filter(udf!("even", |n: &u64| n.is_multiple_of(2)))
            .filter(udf!("not by ten", |n: &u64| !n.is_multiple_of(10)))
            .map(udf!("count", |n: &u64| {
                FAIL_AT.check(*n)?;
                CALLS.count(*n);
                Ok::<_, String>(*n)
            }));
        chain.collect()
    };
    for row in [4, 502, 998] {
        FAIL_AT.set(row);
        assert_eq!(failed_row(run()).0, row, "the number is that of the source's row");
    }
    FAIL_AT.set(None);
    let expected: Vec<u64> =
        numbers.iter().copied().filter(|n| n.is_multiple_of(2) && !n.is_multiple_of(10)).collect();
    assert_eq!(run().unwrap(), expected);
    assert_eq!(CALLS.take(), expected.into_iter().map(|n| (n, 1)).collect());
}

#[test]
fn r12_a_panic_is_an_error_with_the_rows_number_and_the_panics_text() {
    static CALLS: Calls = Calls::new();
    static PANIC: FailAt = FailAt::never();
    let folder = Folder::new();
    let numbers: Vec<u64> = (0..200).collect();
    let run = || {
        let chain = folder.session().read_values(&numbers).map(udf!("delicate", |n: &u64| {
            assert!(PANIC.check(*n).is_ok(), "row {n} fell over");
            CALLS.count(*n);
            *n
        }));
        chain.collect()
    };
    PANIC.set(150);
    let (row, text) = failed_row(run());
    assert_eq!((row, text.as_str()), (150, "panicked: row 150 fell over"));
    PANIC.set(None);
    assert_eq!(run().unwrap(), numbers);
    assert!(CALLS.take().into_values().eq(std::iter::repeat_n(1, 200)), "nothing was computed twice");
}

#[test]
fn a_row_that_a_filter_fails_at_is_named_with_the_filter() {
    let folder = Folder::new();
    let chain = folder
        .session()
        .read_values(&[1u64, 0])
        .filter(udf!("divides", |n: &u64| 10u64.checked_div(*n).map(|part| part > 1).ok_or("by zero")))
        .map(udf!("same", |n: &u64| *n));
    assert_eq!(failed_row(chain.save("never")), (1, "by zero".to_owned()));
}

#[test]
fn progress_that_is_reset_is_computed_again() {
    static CALLS: Calls = Calls::new();
    static FAIL_AT: FailAt = FailAt::never();
    let folder = Folder::new();
    let run = |reset| {
        let session = builder(&folder.path()).reset(reset).open().unwrap();
        let chain = session.read_records((0..100u64).collect()).map(udf!("same", |n: &u64| {
            FAIL_AT.check(*n)?;
            CALLS.count(*n);
            Ok::<_, String>(*n)
        }));
        chain.save("same")
    };
    FAIL_AT.set(99);
    run(false).unwrap_err();
    assert!(CALLS.take_total() > 0);
    FAIL_AT.set(None);
    let saved = run(true).unwrap();
    assert_eq!((CALLS.take_total(), told(saved.report(), "same")), (100, "run 100 = 0 + 100".to_owned()));
}

#[test]
fn with_checkpoints_ignored_everything_is_computed_again_also_twice_in_one_job() {
    static CALLS: Calls = Calls::new();
    let folder = Folder::new();
    let run = |session: &Session| {
        let chain = session.read_values(&[1u64, 2, 3]).map(udf!("same", |n: &u64| {
            CALLS.count(*n);
            *n
        }));
        assert_eq!(chain.collect().unwrap(), [1, 2, 3]);
        CALLS.take_total()
    };
    assert_eq!(run(&folder.session()), 3);
    let session = builder(&folder.path()).ignore_checkpoints(true).open().unwrap();
    assert_eq!((run(&session), run(&session)), (3, 3));
    drop(session);
    assert_eq!(run(&folder.session()), 0);
}
