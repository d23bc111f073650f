//! i: what makes one UDF another.

use std::sync::Mutex;

use rowmark::prelude::*;

use crate::support::{Calls, FailAt, Folder, failed_row, told};

/// What a second job, on the state of a first, does with a step: as [`told`].
fn rerun<T: rowmark::rows::RowType>(
    first: impl Fn(&Chain<u64>) -> Chain<T>,
    second: impl Fn(&Chain<u64>) -> Chain<T>,
    step: &str,
) -> String {
    let folder = Folder::new();
    for (run, chain) in [&first as &dyn Fn(&Chain<u64>) -> Chain<T>, &second].into_iter().enumerate() {
        let session = folder.session();
        let numbers = session.read_records((0..10u64).collect());
        chain(&numbers).save("rows").unwrap();
        if run == 1 {
            return told(&session.report(), step);
        }
    }
    unreachable!("there are two runs")
}

const SKIPPED: &str = "skipped 10 = 10 + 0";
const RUN: &str = "run 10 = 0 + 10";

mod one {
    pub(super) const FACTOR: u64 = 3;

    #[rowmark::udf(helper)]
    pub fn scale(n: u64) -> u64 {
        n * 2
    }

    /// A doc comment.
    #[rowmark::udf]
    pub fn edited(n: &u64) -> u64 {
        // A comment.
        n + 1
    }

    #[rowmark::udf(uses(scale))]
    pub fn with_helper(n: &u64) -> u64 {
        scale(*n)
    }

    #[rowmark::udf(uses(FACTOR))]
    pub fn with_constant(n: &u64) -> u64 {
        n * FACTOR
    }

    #[rowmark::udf(version = 1)]
    pub fn versioned(n: &u64) -> u64 {
        n + 1
    }

    #[rowmark::udf]
    pub fn typed(n: &u64) -> u64 {
        *n
    }
}

/// The same code in other dress.
mod dressed {
    #[rowmark::udf]
    pub fn edited(n: &u64) -> u64 {
        /* another comment */
        n + 1
    }
}

mod two {
    pub(super) const FACTOR: u64 = 4;

    #[rowmark::udf(helper)]
    pub fn scale(n: u64) -> u64 {
        n * 3
    }

    #[rowmark::udf]
    pub fn edited(n: &u64) -> u64 {
        n + 2
    }

    #[rowmark::udf(uses(scale))]
    pub fn with_helper(n: &u64) -> u64 {
        scale(*n)
    }

    #[rowmark::udf(uses(FACTOR))]
    pub fn with_constant(n: &u64) -> u64 {
        n * FACTOR
    }

    #[rowmark::udf(version = 1)]
    pub fn versioned(n: &u64) -> u64 {
        1 + n
    }

    #[rowmark::udf]
    pub fn typed(n: &u64) -> u32 {
        *n as u32
    }
}

mod three {
    #[rowmark::udf(version = 2)]
    pub fn versioned(n: &u64) -> u64 {
        1 + n
    }
}

#[test]
fn i01_an_edited_body_is_recomputed_and_an_edited_comment_is_not() {
    assert_eq!(rerun(|rows| rows.map(one::edited), |rows| rows.map(two::edited), "edited"), RUN);
    assert_eq!(rerun(|rows| rows.map(one::edited), |rows| rows.map(dressed::edited), "edited"), SKIPPED);
}

#[test]
fn i01_an_edit_after_completion_does_not_revive_older_progress() {
    static FAIL_AT: FailAt = FailAt::never();
    let folder = Folder::new();
    FAIL_AT.set(5);
    let failing = |session: &Session| {
        session.read_records((0..10u64).collect()).map(udf!("f", |n: &u64| FAIL_AT.check(*n).map(|()| *n)))
    };
    failed_row(failing(&folder.session()).collect());
    FAIL_AT.set(None);
    failing(&folder.session()).collect().unwrap();
    let session = folder.session();
    session.read_records((0..10u64).collect()).map(udf!("f", |n: &u64| n + 1)).collect().unwrap();
    assert_eq!(told(&session.report(), "f"), RUN);
}

#[test]
fn i01_a_reverted_and_then_edited_function_does_not_revive_the_progress_between() {
    static FAIL_AT: FailAt = FailAt::never();
    let folder = Folder::new();
    let run = |code: u8| {
        let session = folder.session();
        let rows = session.read_records((0..100u64).collect());
        let result = match code {
            b'a' => rows.map(udf!("f", |n: &u64| *n)).collect(),
            b'b' => rows.map(udf!("f", |n: &u64| FAIL_AT.check(*n).map(|()| n + 1000))).collect(),
            _ => rows.map(udf!("f", |n: &u64| n + 7)).collect(),
        };
        result.map(|rows| (rows, told(&session.report(), "f")))
    };
    run(b'a').unwrap();
    FAIL_AT.set(50);
    run(b'b').unwrap_err();
    assert_eq!(run(b'a').unwrap().1, "skipped 100 = 100 + 0");
    let (rows, told) = run(b'c').unwrap();
    assert_eq!((rows, told.as_str()), ((7..107).collect(), "run 100 = 0 + 100"));
}

static I02_FAIL_AT: FailAt = FailAt::never();
/// The two tests that fail at it take turns.
static I02_TURN: Mutex<()> = Mutex::new(());

mod before {
    #[rowmark::udf]
    pub fn plus(n: &u64) -> Result<u64, String> {
        super::I02_FAIL_AT.check(*n)?;
        Ok(n + 1)
    }
}

mod after {
    #[rowmark::udf]
    pub fn plus(n: &u64) -> Result<u64, String> {
        Ok(n + 1_000)
    }
}

#[test]
fn i02_a_body_edited_after_a_failure_continues_and_the_result_says_who_made_what() {
    let _turn = I02_TURN.lock();
    let folder = Folder::new();
    let numbers: Vec<u64> = (0..1000).collect();
    I02_FAIL_AT.set(600);
    let failed = folder.session().read_values(&numbers).map(before::plus).save("sums");
    assert_eq!(failed_row(failed).0, 600);

    let session = folder.session();
    let chain = session.read_values(&numbers).map(after::plus);
    let saved = chain.save("sums").unwrap();
    let step = saved.report().step("plus").unwrap();
    assert_eq!(step.codes.len(), 2, "{step:?}");
    assert_eq!(step.codes.iter().map(|made| made.rows).sum::<u64>(), 1000);
    let new = after::plus.identity().code_fingerprint().unwrap().hash();
    let by_new = step.codes.iter().find(|made| made.code == new).unwrap().rows;
    assert_eq!(by_new, step.rows_computed);
    let rows = chain.collect().unwrap();
    assert_eq!(
        rows.iter().filter(|row| **row >= 1_000).count() as u64,
        by_new + u64::from(rows[999] == 1000)
    );
    assert_eq!(saved.dataset().codes, step.codes);
    drop((session, chain));

    // A result of both codes is found again by its own lineage, and by nobody else.
    assert!(!folder.session().read_values(&numbers).map(after::plus).save("sums").unwrap().is_new());
    let stranger = crate::support::builder(&folder.path()).job_name("stranger").open().unwrap();
    stranger.read_values(&numbers).map(after::plus).collect().unwrap();
    assert_eq!(told(&stranger.report(), "plus"), "run 1000 = 0 + 1000");
}

#[test]
fn i02_what_is_computed_from_a_mixed_result_is_not_taken_for_that_of_a_pure_one() {
    static CALLS: Calls = Calls::new();
    let _turn = I02_TURN.lock();
    let folder = Folder::new();
    I02_FAIL_AT.set(6);
    let numbers: Vec<u64> = (0..10).collect();
    let negated = |chain: Chain<u64>| {
        chain
            .map(udf!("negate", |n: &u64| {
                CALLS.count(*n);
                -(*n as i64)
            }))
            .collect()
            .unwrap()
    };
    folder.session().read_values(&numbers).map(before::plus).collect().unwrap_err();
    let mixed = negated(folder.session().read_values(&numbers).map(after::plus));
    assert!(mixed.iter().any(|n| *n > -1000));
    let session = crate::support::builder(&folder.path()).job_name("stranger").open().unwrap();
    let pure = negated(session.read_values(&numbers).map(after::plus));
    assert!(pure.iter().all(|n| *n <= -1000), "{pure:?}");
}

mod later {
    #[rowmark::udf]
    pub fn plus(n: &u64) -> Result<u64, String> {
        super::I02_FAIL_AT.check(*n)?;
        Ok(n + 1_000)
    }
}

#[test]
fn i03_rows_of_earlier_code_are_kept_recomputed_or_refused() {
    let _turn = I02_TURN.lock();
    let numbers: Vec<u64> = (0..1000).collect();
    let run = |policy| {
        let folder = Folder::new();
        I02_FAIL_AT.set(600);
        let failed = folder.session_in_order().read_values(&numbers).map(before::plus).collect();
        assert_eq!(failed_row(failed).0, 600);
        let builder = || crate::support::builder(&folder.path()).mixed_code(policy);
        // A first attempt of the new code gets somewhere, too.
        I02_FAIL_AT.set(800);
        let second = builder().threads(1).open().unwrap().read_values(&numbers).map(later::plus).collect();
        I02_FAIL_AT.set(None);
        let session = builder().open().unwrap();
        let third = session.read_values(&numbers).map(later::plus).collect();
        (second, third, session.report())
    };
    let (second, rows, report) = run(MixedCode::KeepRows);
    assert_eq!(failed_row(second).0, 800);
    assert!(rows.unwrap().iter().any(|row| *row < 1000));
    assert_eq!(report.step("plus").unwrap().codes.len(), 2);

    let (_, rows, report) = run(MixedCode::RecomputeStale);
    assert!(rows.unwrap().into_iter().eq(1000..2000), "all rows are of the new code");
    let step = report.step("plus").unwrap();
    assert_eq!(step.codes.len(), 1);
    assert_eq!(told(&report, "plus"), "continued 1000 = 800 + 200", "rows of the new code are kept");

    let (second, third, _) = run(MixedCode::Fail);
    for refused in [second, third] {
        let error = refused.unwrap_err();
        assert!(matches!(&error, rowmark::Error::MixedCode { step } if step == "plus"), "{error}");
    }
}

#[test]
fn i04_another_output_type_or_name_does_not_use_the_progress() {
    static FAIL_AT: FailAt = FailAt::never();
    let report_after_failure = |second: &dyn Fn(Chain<u64>) -> rowmark::Result<()>| {
        let folder = Folder::new();
        FAIL_AT.set(5);
        let first = folder.session().read_records((0..10u64).collect());
        let failing = first.map(udf!("convert", |n: &u64| FAIL_AT.check(*n).map(|()| *n)));
        drop(first);
        failing.collect().unwrap_err();
        drop(failing);
        let session = folder.session();
        second(session.read_records((0..10u64).collect())).unwrap();
        session.report().steps()[0].clone()
    };
    let step =
        report_after_failure(&|rows| rows.map(udf!("convert", |n: &u64| *n as u32)).collect().map(drop));
    assert_eq!((step.rows_reused, step.rows_computed), (0, 10));
    assert!(step.reason.contains("output schema"), "{}", step.reason);
    let step = report_after_failure(&|rows| rows.map(udf!("change", |n: &u64| *n)).collect().map(drop));
    assert_eq!((step.rows_reused, step.rows_computed), (0, 10));
    // The control: with the same name and type it is used.
    let step = report_after_failure(&|rows| rows.map(udf!("convert", |n: &u64| *n)).collect().map(drop));
    assert!(step.rows_reused > 0);
}

#[derive(Serialize)]
struct Scale {
    factor: u64,
}

#[rowmark::udf]
impl Scale {
    fn call(&self, n: &u64) -> u64 {
        n * self.factor
    }
}

#[test]
fn i05_a_literal_constant_helper_capture_or_field_that_changed_is_recomputed() {
    let literal = |literal: bool| {
        move |rows: &Chain<u64>| {
            if literal { rows.map(udf!("f", |n: &u64| n + 1)) } else { rows.map(udf!("f", |n: &u64| n + 2)) }
        }
    };
    assert_eq!(rerun(literal(true), literal(false), "f"), RUN);
    let with = |rows: &Chain<u64>| rows.map(one::with_constant);
    assert_eq!(rerun(with, |rows| rows.map(two::with_constant), "with_constant"), RUN);
    assert_eq!(rerun(with, with, "with_constant"), SKIPPED);
    let with = |rows: &Chain<u64>| rows.map(one::with_helper);
    assert_eq!(rerun(with, |rows| rows.map(two::with_helper), "with_helper"), RUN);
    assert_eq!(rerun(with, with, "with_helper"), SKIPPED);
    let capture =
        |bias: u64| move |rows: &Chain<u64>| rows.map(udf!("f", captures(bias), |n: &u64| n + bias));
    assert_eq!(rerun(capture(1), capture(2), "f"), RUN);
    assert_eq!(rerun(capture(1), capture(1), "f"), SKIPPED);
    let field = |factor: u64| move |rows: &Chain<u64>| rows.map(Scale { factor });
    assert_eq!(rerun(field(1), field(2), "Scale"), RUN);
    assert_eq!(rerun(field(1), field(1), "Scale"), SKIPPED);
}

#[test]
fn i05_a_filter_counts_with_its_code_and_its_captures() {
    let below = |limit: u64| {
        move |rows: &Chain<u64>| {
            let few = rows.filter(udf!("below", captures(limit), |n: &u64| *n < limit));
            few.map(udf!("same", |n: &u64| *n))
        }
    };
    let told = rerun(below(5), below(6), "same");
    assert!(told.starts_with("reused by row 10 = "), "{told}: the rows are not those that were");
    assert_eq!(rerun(below(5), below(5), "same"), SKIPPED);
}

#[test]
fn i06_a_declared_version_replaces_the_code() {
    let versioned = |rows: &Chain<u64>| rows.map(one::versioned);
    assert_eq!(rerun(versioned, |rows| rows.map(two::versioned), "versioned"), SKIPPED);
    assert_eq!(rerun(versioned, |rows| rows.map(three::versioned), "versioned"), RUN);
}

#[test]
fn i09_what_has_no_identity_does_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/*.rs");
}

#[test]
fn i09_a_value_that_cannot_be_hashed_is_an_error_before_a_row_is_computed() {
    /// A map whose keys meet when they are serialised.
    #[derive(Clone)]
    struct Twice;
    impl Serialize for Twice {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map([("key", 1), ("key", 2)])
        }
    }
    static CALLS: Calls = Calls::new();
    let twice = Twice;
    let folder = Folder::new();
    let chain = folder.session().read_values(&[1u64]).map(udf!("f", captures(twice), |n: &u64| {
        let Twice = twice;
        CALLS.count(*n);
        *n
    }));
    let error = chain.collect().unwrap_err().to_string();
    assert!(
        error.starts_with("`captured twice` is part of the identity of the UDF `f` and cannot be hashed: "),
        "{error}"
    );
    assert_eq!(CALLS.take_total(), 0);
}

#[test]
fn i10_two_values_of_one_type_are_two_udfs() {
    let folder = Folder::new();
    let session = folder.session();
    let rows = session.read_values(&[1u64, 2]);
    assert_eq!(rows.map(Scale { factor: 2 }).collect().unwrap(), [2, 4]);
    assert_eq!(rows.map(Scale { factor: 3 }).collect().unwrap(), [3, 6]);
}

#[test]
fn two_functions_of_one_name_in_one_job_are_refused() {
    let folder = Folder::new();
    let session = folder.session();
    let rows = session.read_values(&[1u64, 2]);
    rows.map(one::edited).collect().unwrap();
    let error = rows.map(two::edited).collect().unwrap_err();
    assert!(matches!(&error, rowmark::Error::SameName { step } if step == "edited"), "{error}");
}
