//! Recorded failures between jobs: what was done by a retry stays done, and a damaged record of failures ends no run.

use rowmark::prelude::*;
use rowmark::warehouse::{TableFilter, TableName, UdfTable};

use crate::support::{Calls, FailAt, Folder, builder};

fn recording(folder: &Folder) -> Session {
    builder(&folder.path()).threads(1).on_error(OnError::Record { failures_max: 99 }).open().unwrap()
}

#[test]
fn rows_that_a_retry_did_before_it_was_stopped_are_not_done_again() {
    static CALLS: Calls = Calls::new();
    static FAIL: [FailAt; 2] = [FailAt::never(), FailAt::never()];
    let folder = Folder::new();
    let chain = |session: &Session| {
        session.read_records((0..50u64).collect()).map(udf!("flaky", |n: &u64| {
            CALLS.count(*n);
            FAIL.iter().try_for_each(|fail| fail.check(*n))?;
            Ok::<_, String>(*n)
        }))
    };
    FAIL[0].set(5);
    FAIL[1].set(9);
    assert_eq!(chain(&recording(&folder)).collect().unwrap().len(), 48);

    // The service is back for row 5; this run does not record failures and ends at row 9.
    FAIL[0].set(None);
    chain(&folder.session_in_order()).retry_failed().collect().unwrap_err();
    CALLS.take();

    let session = recording(&folder);
    let rows = chain(&session).collect().unwrap();
    assert!(rows.contains(&5), "row 5 was done and saved");
    assert_eq!(session.failures("flaky").unwrap().len(), 1);
    assert_eq!(CALLS.take().get(&5), None);
}

#[test]
fn a_damaged_record_of_failures_does_not_end_the_next_job() {
    static FAIL_AT: FailAt = FailAt::never();
    let folder = Folder::new();
    let chain = |session: &Session| {
        session.read_records((0..50u64).collect()).map(udf!("some", |n: &u64| {
            FAIL_AT.check(*n)?;
            Ok::<_, String>(*n)
        }))
    };
    FAIL_AT.set(7);
    chain(&recording(&folder)).collect().unwrap();

    let tables = rowmark::warehouse::FileWarehouse::open(folder.path().join("tables")).unwrap();
    let all = rowmark::warehouse::Warehouse::list(&tables, &TableFilter::All).unwrap();
    let is_failures = |name: &&TableName| matches!(name, TableName::Udf { kind: UdfTable::Failures, .. });
    let name = all.iter().find(is_failures).unwrap();
    for file in std::fs::read_dir(folder.path().join("tables").join(name.to_string())).unwrap() {
        let path = file.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[20] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    }

    FAIL_AT.set(None);
    let rows = chain(&recording(&folder)).retry_failed().collect().unwrap();
    assert_eq!(rows.len(), 50);
}

#[test]
fn the_failures_of_a_result_stay_when_a_retry_of_it_is_given_up() {
    static FAIL_AT: FailAt = FailAt::never();
    let folder = Folder::new();
    let chain = |session: &Session| {
        session.read_records((0..50u64).collect()).map(udf!("given up", |n: &u64| {
            FAIL_AT.check(*n)?;
            Ok::<_, String>(*n)
        }))
    };
    FAIL_AT.set(7);
    let session = recording(&folder);
    chain(&session).collect().unwrap();
    drop(session);
    // In the same job as the result that it goes on with: a retry that ends early.
    let cancel = CancelToken::new();
    let session = builder(&folder.path())
        .threads(1)
        .on_error(OnError::Record { failures_max: 99 })
        .cancel(cancel.clone())
        .ignore_checkpoints(true)
        .open()
        .unwrap();
    chain(&session).collect().unwrap();
    cancel.cancel();
    chain(&session).retry_failed().collect().unwrap_err();
    drop(session);

    let session =
        builder(&folder.path()).on_error(OnError::Record { failures_max: 99 }).reset(true).open().unwrap();
    assert_eq!(chain(&session).collect().unwrap().len(), 49);
    assert_eq!(session.failures("given up").unwrap().len(), 1);
}
