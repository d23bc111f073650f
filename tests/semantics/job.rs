//! j: jobs, the state folder, and what is done about damage.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use rowmark::metastore::{Checkpoint, CheckpointKind, Event, EventKind, Job, JobId, JobStatus, Timestamp};
use rowmark::prelude::*;
use rowmark::warehouse::{TableFilter, TableName, UdfTable};
use rowmark::{Error, StateError};

use crate::support::{Calls, FailAt, Folder, builder, failed_row, told};

#[test]
fn j01_jobs_know_their_predecessor_run_group_and_outcome() {
    static FAIL_AT: FailAt = FailAt::never();
    let folder = Folder::new();
    let run = |fail_at: Option<u64>| {
        FAIL_AT.set(fail_at);
        let session = folder.session();
        let chain =
            session.read_values(&[1u64, 2]).map(udf!("same", |n: &u64| FAIL_AT.check(*n).map(|()| *n)));
        let _ = chain.collect();
        session.job().unwrap()
    };
    let (first, second) = (run(Some(2)), run(None));
    assert_eq!((second.predecessor, second.run_group), (Some(first.id), first.run_group));
    let session = folder.session();
    let read = |id| session.metastore().get_job(id).unwrap().unwrap();
    let (first, second) = (read(first.id), read(second.id));
    assert_eq!((first.status, second.status), (JobStatus::Failed, JobStatus::Complete));
    assert!(first.error.unwrap().contains("row 2 is bad"));
    assert!(second.finished_at.unwrap() >= second.started_at);
    assert!(session.job().is_none(), "a session that runs nothing is no job");
}

#[test]
fn j01_a_run_that_is_cancelled_says_so_and_continues() {
    let folder = Folder::new();
    let cancel = CancelToken::new();
    let from_inside = cancel.clone();
    let run = |cancel: CancelToken| {
        let session = builder(&folder.path()).threads(1).cancel(cancel).open().unwrap();
        static STOP: Mutex<Option<CancelToken>> = Mutex::new(None);
        *STOP.lock().unwrap() = Some(from_inside.clone());
        let chain = session.read_records((0..100u64).collect()).map(udf!("same", |n: &u64| {
            if let (20, Some(stop)) = (*n, &*STOP.lock().unwrap()) {
                stop.cancel();
            }
            *n
        }));
        let result = chain.save("same");
        (session.job().unwrap().id, result, session)
    };
    let (job, result, session) = run(cancel);
    assert!(result.unwrap_err().to_string().contains("stopped"));
    drop(session);
    let (_, result, session) = run(CancelToken::new());
    assert_eq!(session.metastore().get_job(job).unwrap().unwrap().status, JobStatus::Cancelled);
    assert_eq!(told(result.unwrap().report(), "same"), "continued 100 = 21 + 79");
}

#[test]
fn child_that_is_killed_behind_row_5() {
    let Some(folder) = std::env::var_os("ROWMARK_TEST_KILLED") else { return };
    let session = builder(Path::new(&folder)).threads(1).durability(Durability::EveryRow).open().unwrap();
    let rows = session.read_records((0..10u64).collect());
    let _ = rows
        .map(udf!("slow", |n: &u64| {
            std::thread::sleep(Duration::from_millis(30));
            if *n == 5 {
                std::process::abort();
            }
            *n
        }))
        .collect();
}

#[test]
fn j01_a_killed_job_is_found_with_the_time_of_its_last_commit() {
    let folder = Folder::new();
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "job::child_that_is_killed_behind_row_5", "--nocapture"])
        .env("ROWMARK_TEST_KILLED", folder.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let died_at = Timestamp::from(SystemTime::now());
    std::thread::sleep(Duration::from_millis(50));

    let session = folder.session();
    let job = session.metastore().list_jobs().unwrap().remove(0);
    assert_eq!((job.status, &job.error), (JobStatus::Interrupted, &None));
    let last_commit = job.finished_at.unwrap();
    // Five rows of 30 ms were committed one by one, and the sixth was not.
    let worked = Duration::from_millis(100);
    assert!(last_commit.saturating_sub(worked) > job.started_at, "{last_commit} {job:?}");
    assert!(last_commit <= died_at, "{last_commit} {died_at}");
    drop(session);
    let again = folder.session().metastore().get_job(job.id).unwrap().unwrap();
    assert_eq!(again, job, "it is recorded once");

    // Where the records are lost, the tables tell the same.
    fs::remove_dir_all(folder.path().join("meta")).unwrap();
    let restored = folder.session().metastore().get_job(job.id).unwrap().unwrap();
    assert_eq!(restored, job);
}

#[test]
fn j04_tables_that_are_not_ours_are_never_touched() {
    let folder = Folder::new();
    drop(folder.session());
    let foreign = folder.path().join("tables/my notes");
    fs::create_dir_all(&foreign).unwrap();
    fs::write(foreign.join("note.txt"), "mine").unwrap();
    folder.session().read_values(&[1u64]).save("one").unwrap();
    drop(folder.session());
    assert_eq!(fs::read_to_string(foreign.join("note.txt")).unwrap(), "mine");
}

/// A finished run, then one of the states that a death can leave, then a run again: it calls nothing, and
/// the two stores agree afterwards.
fn nothing_is_lost_after(death: impl Fn(&Session, &Checkpoint)) {
    static CALLS: Calls = Calls::new();
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock();
    let folder = Folder::new();
    let run = || {
        let session = folder.session();
        let chain = session.read_records((0..100u64).collect()).map(udf!("same", |n: &u64| {
            CALLS.count(*n);
            *n
        }));
        let saved = chain.save("same").unwrap();
        (session, saved)
    };
    let (session, first) = run();
    assert_eq!(CALLS.take_total(), 100);
    let job = session.job().unwrap().id;
    death(&session, &session.metastore().list_checkpoints(job).unwrap()[0]);
    drop(session);
    // Whoever dies does not say that all is well.
    fs::remove_file(folder.path().join("closed")).unwrap();
    let (session, second) = run();
    assert_eq!((CALLS.take_total(), second.version(), second.is_new()), (0, 1, false));
    assert_eq!(second.content_hash(), first.content_hash());
    let mut tables: Vec<String> = vec![second.dataset().table.clone()];
    tables.extend(session.metastore().list_checkpoints(job).unwrap().into_iter().map(|record| record.table));
    let found = session.warehouse().list(&TableFilter::All).unwrap();
    assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), tables);
}

/// Puts a finished step back to where it was before its table was renamed, with its partial record or without.
fn before_the_rename(session: &Session, record: &Checkpoint, with_record: bool) {
    let job = *record.job.as_uuid();
    let partial = TableName::udf(job, record.hash_partial, UdfTable::OutputPartial);
    session.warehouse().rename(&record.table.parse().unwrap(), &partial).unwrap();
    session.metastore().remove_checkpoint(record.job, record.hash, record.kind).unwrap();
    if with_record {
        let record = Checkpoint {
            hash: record.hash_partial,
            kind: CheckpointKind::Partial,
            table: partial.to_string(),
            ..record.clone()
        };
        session.metastore().get_or_create_checkpoint(record).unwrap();
    }
}

#[test]
fn j04_a_death_between_the_seal_and_the_rename_is_rolled_forward() {
    nothing_is_lost_after(|session, record| before_the_rename(session, record, true));
    nothing_is_lost_after(|session, record| before_the_rename(session, record, false));
}

#[test]
fn j04_a_death_between_the_rename_and_the_promotion_is_rolled_forward() {
    nothing_is_lost_after(|session, record| {
        let final_name: TableName = record.table.parse().unwrap();
        before_the_rename(session, record, true);
        let partial = TableName::udf(*record.job.as_uuid(), record.hash_partial, UdfTable::OutputPartial);
        session.warehouse().rename(&partial, &final_name).unwrap();
    });
}

#[test]
fn j04_a_death_before_a_dataset_had_its_record_is_rolled_forward() {
    nothing_is_lost_after(|session, _| assert!(session.metastore().remove_dataset("same", 1).unwrap()));
}

#[test]
fn j04_a_record_whose_table_is_gone_is_removed_and_its_step_computed_again() {
    static CALLS: Calls = Calls::new();
    let folder = Folder::new();
    let run = || {
        let session = folder.session();
        let chain = session.read_values(&[1u64, 2]).map(udf!("same", |n: &u64| {
            CALLS.count(*n);
            *n
        }));
        chain.collect().unwrap();
        (CALLS.take_total(), session.job().unwrap().id, session)
    };
    let (_, first, session) = run();
    let record = session.metastore().list_checkpoints(first).unwrap().remove(0);
    drop(session);
    // By hand, and after a session that ended well.
    assert!(folder.path().join("closed").exists());
    fs::remove_dir_all(folder.path().join("tables").join(record.table)).unwrap();
    let (calls, _, session) = run();
    assert_eq!((calls, session.metastore().list_checkpoints(first).unwrap()), (2, Vec::new()));
}

#[test]
fn j04_a_folder_is_said_to_be_well_only_by_who_left_it_so() {
    static FAIL_AT: FailAt = FailAt::never();
    let folder = Folder::new();
    let closed = || folder.path().join("closed").exists();
    let run = |session: &Session| {
        let udf = udf!("same", |n: &u64| FAIL_AT.check(*n).map(|()| *n));
        session.read_records((0..100u64).collect::<Vec<_>>()).map(udf).save("same")
    };
    for fail_at in [Some(50), None, None] {
        let session = folder.session();
        assert!(!closed(), "a folder that is open is not said to be well");
        FAIL_AT.set(fail_at);
        assert_eq!(run(&session).is_err(), fail_at.is_some());
        drop(session);
        assert!(closed(), "a row that fails leaves its step in order");
    }
    // What cannot be told from a store that failed half way.
    let session = folder.session();
    fs::remove_dir_all(folder.path().join("tables")).unwrap();
    assert!(session.read_values(&[1u64]).save("one").is_err());
    drop(session);
    assert!(!closed());
}

#[test]
fn j05_a_second_session_is_refused_with_who_holds_the_folder() {
    let folder = Folder::new();
    let first = builder(&folder.path()).job_name("nightly").open().unwrap();
    let error = builder(&folder.path()).open().unwrap_err();
    assert!(matches!(error, Error::State(StateError::InUse { .. })));
    let text = error.to_string();
    let holder = format!("in use by process {}, job `nightly`, since 2", std::process::id());
    assert!(text.contains(&holder), "{text}");
    drop(first);
    builder(&folder.path()).open().unwrap();
}

#[test]
fn j05_a_second_process_is_refused() {
    let folder = Folder::new();
    let _first = folder.session();
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "job::child_that_opens_a_folder", "--nocapture"])
        .env("ROWMARK_TEST_FOLDER", folder.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains(&format!("is in use by process {}", std::process::id())), "{told}");
}

#[test]
fn child_that_opens_a_folder() {
    let Some(folder) = std::env::var_os("ROWMARK_TEST_FOLDER") else { return };
    match builder(Path::new(&folder)).open() {
        Ok(_) => println!("it is free"),
        Err(error) => println!("{error}"),
    }
}

#[test]
fn j06_a_folder_of_a_newer_format_is_refused() {
    let folder = Folder::new();
    drop(folder.session());
    fs::write(folder.path().join("rowmark-state"), "rowmark state 99\n").unwrap();
    let error = builder(&folder.path()).open().unwrap_err();
    assert!(matches!(error, Error::State(StateError::NewerFormat { found: 99, .. })), "{error}");
}

#[test]
fn a_folder_that_is_a_file_or_holds_other_things_is_refused_and_left_alone() {
    let folder = Folder::new();
    fs::write(folder.path(), "a file").unwrap();
    let error = builder(&folder.path()).open().unwrap_err().to_string();
    assert!(error.contains("is a file; name a folder"), "{error}");
    assert_eq!(fs::read_to_string(folder.path()).unwrap(), "a file");

    let folder = Folder::new();
    fs::create_dir(folder.path()).unwrap();
    fs::write(folder.path().join("thesis.tex"), "mine").unwrap();
    let error = builder(&folder.path()).open().unwrap_err().to_string();
    assert!(error.contains("holds `thesis.tex`; name an empty folder"), "{error}");
}

/// The records are lost in one of the ways that sled can lose them; no finished row is.
fn records_are_made_again_after(damage: impl Fn(&Path)) {
    static CALLS: Calls = Calls::new();
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    static FAIL_AT: FailAt = FailAt::never();
    let _guard = ONE_AT_A_TIME.lock();
    CALLS.take();
    let folder = Folder::new();
    let run = || {
        let session = folder.session();
        let chain = session
            .read_records((0..100u64).collect())
            .map(udf!("first", |n: &u64| {
                CALLS.count(*n);
                *n
            }))
            .map(udf!("second", |n: &u64| {
                FAIL_AT.check(*n)?;
                CALLS.count(1000 + n);
                Ok::<_, String>(*n)
            }));
        let saved = chain.save("numbers");
        let other = session.read_values(&[7u64]).save("seven");
        (saved, other.unwrap(), session)
    };
    FAIL_AT.set(60);
    for _ in 0..3 {
        assert_eq!(failed_row(run().0).0, 60);
    }
    let finished = CALLS.take();
    damage(&folder.path().join("meta"));
    FAIL_AT.set(None);
    let (saved, seven, session) = run();
    assert_eq!((saved.unwrap().rows(), seven.is_new()), (100, false));
    assert_eq!(told(&session.report(), "first"), "skipped 100 = 100 + 0");
    let computed = CALLS.take();
    assert!(computed.keys().all(|row| !finished.contains_key(row)), "a finished row was computed again");
    assert_eq!(finished.len() + computed.len(), 200);
    drop(session);
    assert!(!run().0.unwrap().is_new());
}

#[test]
fn j07_records_whose_folder_is_gone_are_made_again_from_the_tables() {
    records_are_made_again_after(|meta| fs::remove_dir_all(meta).unwrap());
}

#[test]
fn j07_records_whose_folder_was_emptied_are_made_again_from_the_tables() {
    records_are_made_again_after(|meta| {
        fs::remove_dir_all(meta).unwrap();
        fs::create_dir(meta).unwrap();
    });
}

#[test]
fn j07_records_that_are_rubbish_are_set_aside_and_made_again_from_the_tables() {
    records_are_made_again_after(|meta| {
        for entry in fs::read_dir(meta).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let len = fs::metadata(&path).unwrap().len() as usize;
                fs::write(path, vec![0xa5; len]).unwrap();
            }
        }
    });
}

#[test]
fn j07_records_whose_file_was_cut_are_made_again_from_the_tables() {
    for keep in [0, 1, 4096, 16_384] {
        records_are_made_again_after(|meta| {
            let file = fs::OpenOptions::new().write(true).open(meta.join("db")).unwrap();
            let len = file.metadata().unwrap().len();
            file.set_len(keep.min(len)).unwrap();
        });
    }
}

#[test]
fn j08_run_number_1_000_of_an_unchanged_program_works_and_skips_what_the_first_computed() {
    let folder = Folder::new();
    let run = |session: &Session| {
        session.read_values(&[1u64, 2]).map(udf!("same", |n: &u64| *n)).save("same").unwrap()
    };
    let session = folder.session();
    assert!(run(&session).is_new());
    let first = session.job().unwrap();
    // 998 runs that did what the second would have: a job, and an event that says what was skipped.
    let mut last = first.clone();
    for _ in 0..998 {
        last = Job { id: JobId::new(), predecessor: Some(last.id), status: JobStatus::Complete, ..last };
        session.metastore().create_job(&last).unwrap();
        let skip = Event::new(last.id, first.started_at, "same", EventKind::Skip);
        session.metastore().record_event(Event { reused_from: Some(first.id), ..skip }).unwrap();
    }
    drop(session);
    let session = folder.session();
    let saved = run(&session);
    let job = session.job().unwrap();
    assert_eq!(session.metastore().get_ancestor_job_ids(job.id).unwrap().len(), 999);
    assert_eq!((saved.version(), saved.is_new()), (1, false));
    let step = saved.report().step("same").unwrap();
    assert_eq!((step.rows_computed, step.reused_from), (0, Some(first.id)));
}

#[test]
fn j09_a_hundred_unchanged_runs_leave_what_one_left() {
    let folder = Folder::new();
    let tables = || {
        let mut names: Vec<_> = fs::read_dir(folder.path().join("tables"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    let run =
        || folder.session().read_values(&[1u64, 2]).map(udf!("same", |n: &u64| *n)).save("same").unwrap();
    run();
    let first = tables();
    for _ in 0..100 {
        assert!(!run().is_new());
    }
    assert_eq!(tables(), first);
}

#[test]
fn j09_a_hundred_failed_runs_without_progress_leave_one_table() {
    let folder = Folder::new();
    for _ in 0..100 {
        let chain = folder.session().read_values(&[1u64]).map(udf!("bad", |_: &u64| Err::<u64, _>("no")));
        chain.save("never").unwrap_err();
    }
    let files = |folder: fs::DirEntry| fs::read_dir(folder.path()).unwrap().count();
    let files: usize =
        fs::read_dir(folder.path().join("tables")).unwrap().map(|entry| files(entry.unwrap())).sum();
    assert_eq!(files, 1, "one segment");
    let tables = || fs::read_dir(folder.path().join("tables")).unwrap().count();
    assert_eq!(tables(), 1);
    folder.session().cleanup(rowmark::Cleanup::new().older_than(Duration::ZERO)).unwrap();
    assert_eq!(tables(), 0, "the space is given back");
}
