//! What a run would do is said before it does it, and is what it then does.

use rowmark::prelude::*;

use crate::support::{Calls, FailAt, Folder, failed_row, told};

static CALLS: Calls = Calls::new();
static FAIL_AT: FailAt = FailAt::never();

mod before {
    #[rowmark::udf]
    pub fn square(n: &u64) -> Result<u64, String> {
        super::FAIL_AT.check(*n)?;
        super::CALLS.count(*n);
        Ok(n * n)
    }
}

mod after {
    #[rowmark::udf]
    pub fn square(n: &u64) -> Result<u64, String> {
        super::CALLS.count(*n);
        Ok(n.pow(2))
    }
}

fn chain<U: rowmark::udf::Udf<u64, Output = u64>>(session: &Session, udf: U) -> Chain<u64> {
    let rows: Vec<u64> = (0..100).collect();
    session.read_values(&rows).map(udf).map(udf!("half", |n: &u64| n / 2))
}

#[test]
fn a_plan_says_what_a_run_then_does_and_does_nothing() {
    let folder = Folder::new();
    let session = folder.session_in_order();
    let plan = chain(&session, before::square).explain().unwrap();
    assert_eq!(plan.to_string(), "map square: run, 100 rows (first run)\nmap half: run (first run)");
    assert!(session.job().is_none(), "a plan begins no job");
    assert_eq!(session.metastore().list_jobs().unwrap(), []);
    FAIL_AT.set(40);
    assert_eq!(failed_row(chain(&session, before::square).collect()).0, 40);
    let job = session.job().unwrap().id;
    let plan = chain(&session, before::square).explain().unwrap();
    assert!(
        plan.to_string().starts_with("map square: continue, 40 of 100 rows done (progress of this job)\n")
    );
    drop(session);

    let session = folder.session();
    let plan = chain(&session, after::square).explain().unwrap();
    let expected =
        format!("map square: continue, 40 of 100 rows done (progress of job {job}, by other code)\n");
    assert!(plan.to_string().starts_with(&expected), "{plan}");
    assert_eq!(CALLS.take_total(), 40);
    chain(&session, after::square).collect().unwrap();
    assert_eq!(CALLS.take_total(), 60);
    assert!(chain(&session, after::square).explain().unwrap().is_done());
    drop(session);

    FAIL_AT.set(None);
    let session = folder.session();
    let plan = chain(&session, before::square).explain().unwrap();
    let [square, half] = plan.steps() else { panic!("{plan}") };
    assert!(square.reason.starts_with("changed: udf body: "), "{plan}");
    assert_eq!((half.rows_in, half.kind), (None, "map"), "its input is not known yet");
    let json: serde_json::Value = serde_json::to_value(&plan).unwrap();
    assert_eq!(json["steps"][0]["step"], "square");
    let saved = chain(&session, before::square).save("halves").unwrap();
    assert_eq!(told(saved.report(), "square"), "run 100 = 0 + 100");
    assert_eq!(saved.report().step("square").unwrap().reason, square.reason);
}
