//! j02, j03, u05: what is removed, and what stays.

use std::time::Duration;

use rowmark::metastore::{CheckpointKind, Job, JobId};
use rowmark::prelude::*;
use rowmark::{Cleanup, Reason};

use crate::support::{Calls, FailAt, Folder, builder, told};

/// The names of the steps that a cleanup removes, in the order of their creation.
fn cleaned(session: &Session, cleanup: Cleanup) -> Vec<String> {
    let removed = session.cleanup(cleanup).unwrap();
    removed.into_iter().map(|removed| format!("{}: {}", removed.checkpoint.step, removed.reason)).collect()
}

/// The tables of a session's store.
fn tables(session: &Session) -> usize {
    session.warehouse().list(&rowmark::warehouse::TableFilter::All).unwrap().len()
}

fn step(session: &Session, name: &'static str) -> Job {
    let chain = session.read_values(&[1_u64, 2, 3]);
    match name {
        "saved" => drop(
            chain.map(udf!("first", |n: &u64| n + 1)).map(udf!("saved", |n: &u64| n * 2)).save("d").unwrap(),
        ),
        "loose" => drop(chain.map(udf!("loose", |n: &u64| n + 7)).collect().unwrap()),
        other => panic!("{other}"),
    }
    session.job().unwrap()
}

#[test]
fn j02_cleanup_removes_old_checkpoints_and_nothing_that_is_needed() {
    let folder = Folder::new();
    let saved = step(&folder.session(), "saved");
    let other = step(&builder(&folder.path()).job_name("other").open().unwrap(), "loose");

    let session = folder.session();
    assert_eq!(cleaned(&session, Cleanup::new()), [""; 0], "nothing expires unless it is asked for");
    assert_eq!(cleaned(&session, Cleanup::new().older_than(Duration::from_secs(3600))), [""; 0]);
    let all = Cleanup::new().older_than(Duration::ZERO);
    let loose = ["loose: it is older than was asked for"];
    assert_eq!(cleaned(&session, all.dry_run()), loose, "a dataset needs the others");
    assert_eq!(cleaned(&session, all.job(saved.id)), [""; 0]);
    assert_eq!(tables(&session), 4);
    assert_eq!(cleaned(&session, all.job(other.id)), loose);
    assert_eq!(tables(&session), 3);
    step(&session, "saved");
    assert_eq!(told(&session.report(), "saved"), "skipped 3 = 3 + 0");

    assert!(session.remove_dataset("d", 1).unwrap());
    assert!(!session.remove_dataset("d", 1).unwrap());
    assert_eq!(
        cleaned(&session, all),
        [""; 0],
        "this session's job runs, and is a rerun of the one that made it"
    );
    drop(session);
    let session = folder.session();
    assert_eq!(cleaned(&session, all).len(), 2);
    assert_eq!(tables(&session), 0);
    step(&session, "saved");
    assert_eq!(told(&session.report(), "saved"), "run 3 = 0 + 3");
}

#[test]
fn j02_what_a_running_job_uses_of_another_stays() {
    let folder = Folder::new();
    let other = step(&builder(&folder.path()).job_name("other").open().unwrap(), "saved");
    let session = folder.session();
    assert!(session.remove_dataset("d", 1).unwrap());
    let all = Cleanup::new().older_than(Duration::ZERO);
    assert_eq!(cleaned(&session, all.dry_run()).len(), 2, "nobody uses it");
    let first = session.read_values(&[1_u64, 2, 3]).map(udf!("first", |n: &u64| n + 1));
    let second = first.map(udf!("saved", |n: &u64| n * 2));
    assert_eq!(second.collect().unwrap(), [4, 6, 8]);
    assert_eq!(session.report().step("saved").unwrap().reused_from, Some(other.id));
    assert_eq!(
        cleaned(&session, all),
        [""; 0],
        "of its second step, and of the first that this was made from"
    );
    assert_eq!(cleaned(&session, Cleanup::new().job(other.id)), [""; 0]);
    drop((first, second, session));
    assert_eq!(cleaned(&folder.session(), all).len(), 2, "nobody uses it any more");
}

#[test]
fn j02_what_a_running_job_builds_on_stays_before_its_own_step_is_done() {
    static FAIL: FailAt = FailAt::never();
    let folder = Folder::new();
    drop(step(&builder(&folder.path()).job_name("other").open().unwrap(), "loose"));
    let session = folder.session();
    FAIL.set(9);
    let loose = session.read_values(&[1_u64, 2, 3]).map(udf!("loose", |n: &u64| n + 7));
    loose.map(udf!("failing", |n: &u64| FAIL.check(*n).map(|()| *n))).collect().unwrap_err();
    assert_eq!(cleaned(&session, Cleanup::new().older_than(Duration::ZERO)), [""; 0]);
}

#[test]
fn j02_a_job_alone_is_enough() {
    let folder = Folder::new();
    let job = step(&folder.session(), "loose");
    let session = folder.session();
    let removed = session.cleanup(Cleanup::new().job(job.id)).unwrap();
    assert_eq!(removed.len(), 1);
    assert!(removed[0].bytes > 100, "{removed:?}");
    assert_eq!(removed[0].reason, Reason::Job);
    assert_eq!(tables(&session), 0);
}

#[test]
fn j02_a_damaged_result_is_of_no_use() {
    let folder = Folder::new();
    let session = folder.session();
    let job = step(&session, "loose");
    let checkpoint = session.metastore().list_checkpoints(job.id).unwrap().remove(0);
    let expired = rowmark::metastore::CheckpointStatus::Expired;
    session
        .metastore()
        .set_checkpoint_status(job.id, checkpoint.hash, CheckpointKind::Final, expired)
        .unwrap();
    drop(session);
    assert_eq!(cleaned(&folder.session(), Cleanup::new()), ["loose: it is not used any more"]);
}

#[test]
fn j03_a_checkpoint_is_removed_by_job_and_hash() {
    static CALLS: Calls = Calls::new();
    static FAIL_AT: FailAt = FailAt::never();
    let folder = Folder::new();
    let run = |session: &Session| {
        let chain = session.read_values(&[1_u64, 2, 3]);
        chain
            .map(udf!("counted", |n: &u64| {
                FAIL_AT.check(*n)?;
                CALLS.count(*n);
                Ok::<_, String>(*n)
            }))
            .collect()
    };
    for (fail_at, calls) in [(Some(3), 2), (None, 3)] {
        FAIL_AT.set(fail_at);
        let session = folder.session_in_order();
        assert_eq!(run(&session).is_err(), fail_at.is_some());
        assert_eq!(CALLS.take_total(), calls);
        let job = session.job().unwrap().id;
        let checkpoint = session.metastore().list_checkpoints(job).unwrap().remove(0);
        assert!(session.remove_checkpoint(job, checkpoint.hash).unwrap());
        assert!(!session.remove_checkpoint(job, checkpoint.hash).unwrap(), "it is not an error");
        assert!(!session.remove_checkpoint(JobId::new(), checkpoint.hash).unwrap());
        assert_eq!(tables(&session), 0);
    }
}

#[test]
fn u05_a_version_that_is_made_again_with_other_rows_is_another() {
    let folder = Folder::new();
    let doubled = |rows: &[u64]| {
        let session = folder.session();
        let made = session.read_values(rows).save("numbers").unwrap();
        let chain =
            session.read_dataset::<u64>("numbers", None).unwrap().map(udf!("double", |n: &u64| n * 2));
        let rows = chain.collect().unwrap();
        assert!(session.remove_dataset("numbers", made.version()).unwrap());
        (rows, told(&session.report(), "double"))
    };
    assert_eq!(doubled(&[1, 2]), (vec![2, 4], "run 2 = 0 + 2".to_owned()));
    assert_eq!(doubled(&[1, 3]), (vec![2, 6], "reused by row 2 = 1 + 1".to_owned()));
    assert_eq!(doubled(&[1, 2]), (vec![2, 4], "skipped 2 = 2 + 0".to_owned()));
}

#[test]
fn usage_is_told_by_job_dataset_and_checkpoint() {
    let folder = Folder::new();
    let session = folder.session();
    let job = step(&session, "saved");
    let usage = session.usage().unwrap();
    assert_eq!(usage.checkpoints.len(), 2);
    let of_checkpoints: u64 = usage.checkpoints.iter().map(|(_, bytes)| bytes).sum();
    assert_eq!(usage.jobs[&job.id], of_checkpoints);
    assert_eq!(usage.datasets.len(), 1);
    assert!(usage.datasets.values().all(|bytes| *bytes > 100));
}
