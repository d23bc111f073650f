//! u: what is stored is found again.

use rowmark::metastore::{Job, JobId, JobStatus, RunGroupId, Timestamp};
use rowmark::prelude::*;

use crate::support::{Calls, Folder, builder, told};

#[test]
fn u01_a_third_run_calls_nothing_and_finds_its_version() {
    static CALLS: Calls = Calls::new();
    let folder = Folder::new();
    for run in 1..=3 {
        let session = folder.session();
        let saved = session
            .read_records((0..100u64).collect())
            .map(udf!("same", |n: &u64| {
                CALLS.count(*n);
                *n
            }))
            .save("numbers")
            .unwrap();
        assert_eq!(CALLS.take_total(), if run == 1 { 100 } else { 0 });
        assert_eq!((saved.version(), saved.is_new()), (1, run == 1));
        let events = session.metastore().list_events(session.job().unwrap().id).unwrap();
        let kinds: Vec<String> = events.iter().map(|event| format!("{:?}", event.kind)).collect();
        assert_eq!(kinds, if run == 1 { ["Run", "SaveNew"] } else { ["Skip", "SaveFound"] });
    }
}

#[test]
fn u02_a_chain_that_is_used_twice_in_a_job_is_computed_once() {
    static CALLS: Calls = Calls::new();
    let folder = Folder::new();
    let session = folder.session();
    let chain = || {
        session.read_records((0..100u64).collect()).map(udf!("same", |n: &u64| {
            CALLS.count(*n);
            *n
        }))
    };
    let rows = chain().collect().unwrap();
    assert_eq!(chain().save("numbers").unwrap().rows(), rows.len() as u64);
    chain().collect().unwrap();
    assert_eq!(CALLS.take_total(), 100);
    assert_eq!(told(&session.report(), "same"), "skipped 100 = 100 + 0");
}

#[test]
fn u02_threads_that_need_the_same_step_wait_for_one_computation() {
    static CALLS: Calls = Calls::new();
    let folder = Folder::new();
    let session = folder.session();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let chain = session.read_records((0..1000u64).collect()).map(udf!("same", |n: &u64| {
                    CALLS.count(*n);
                    *n
                }));
                assert_eq!(chain.collect().unwrap().len(), 1000);
                assert_eq!(chain.save("numbers").unwrap().version(), 1);
            });
        }
    });
    assert_eq!(CALLS.take_total(), 1000);
}

#[test]
fn u03_a_result_of_an_unrelated_job_is_reused_unless_that_is_off() {
    static CALLS: Calls = Calls::new();
    let folder = Folder::new();
    let run = |job: &str, reuse: Reuse| {
        let session = builder(&folder.path()).job_name(job).reuse(reuse).open().unwrap();
        let chain = session.read_records((0..10u64).collect()).map(udf!("same", |n: &u64| {
            CALLS.count(*n);
            *n
        }));
        chain.collect().unwrap();
        CALLS.take_total()
    };
    assert_eq!(run("one", Reuse::Global), 10);
    assert_eq!(run("two", Reuse::Lineage), 10);
    assert_eq!(run("three", Reuse::Global), 0);
}

#[test]
fn u04_ancestors_at_any_depth_are_found_nearest_first() {
    static CALLS: Calls = Calls::new();
    let folder = Folder::new();
    let run = || {
        let session = builder(&folder.path()).reuse(Reuse::Lineage).open().unwrap();
        let chain = session.read_records((0..10u64).collect()).map(udf!("same", |n: &u64| {
            CALLS.count(*n);
            *n
        }));
        chain.collect().unwrap();
        (session.job().unwrap(), session.report().step("same").unwrap().reused_from)
    };
    let (first, _) = run();
    assert_eq!(CALLS.take_total(), 10);
    let mut predecessor = first.id;
    for _ in 0..30 {
        let (job, reused_from) = run();
        assert_eq!((job.predecessor, job.run_group), (Some(predecessor), first.run_group));
        assert_eq!(reused_from, Some(first.id));
        predecessor = job.id;
    }
    assert_eq!(CALLS.take_total(), 0);
}

/// Adds a job of this name to a store, with a predecessor.
fn add_job(session: &Session, id: JobId, predecessor: JobId) {
    let job = Job {
        id,
        name: "test".into(),
        predecessor: Some(predecessor),
        run_group: RunGroupId::new(),
        status: JobStatus::Complete,
        started_at: Timestamp::from_millis(0),
        finished_at: None,
        error: None,
        process: 1,
        build: None,
    };
    session.metastore().create_job(&job).unwrap();
}

#[test]
fn u04_a_missing_parent_is_an_error_that_names_the_job() {
    let (folder, missing) = (Folder::new(), JobId::new());
    let session = folder.session();
    add_job(&session, JobId::new(), missing);
    let error = session.read_values(&[1u64]).map(udf!("same", |n: &u64| *n)).collect().unwrap_err();
    assert!(error.to_string().contains(&missing.to_string()), "{error}");
}

#[test]
fn u04_a_cycle_is_an_error_that_names_the_job() {
    let (folder, [one, two]) = (Folder::new(), [JobId::new(), JobId::new()]);
    let session = folder.session();
    add_job(&session, one, two);
    add_job(&session, two, one);
    let error = session.read_values(&[1u64]).map(udf!("same", |n: &u64| *n)).collect().unwrap_err();
    let named = [one, two].iter().filter(|job| error.to_string().contains(&job.to_string())).count();
    assert_eq!(named, 1, "{error}");
}

#[test]
fn u06_with_the_same_job_name_another_program_continues() {
    let folder = Folder::new();
    let run = |name: &str| {
        let session = builder(&folder.path()).job_name(name).reuse(Reuse::Lineage).open().unwrap();
        session.read_values(&[1u64, 2]).map(udf!("same", |n: &u64| *n)).collect().unwrap();
        told(&session.report(), "same")
    };
    assert_eq!(run("nightly"), "run 2 = 0 + 2");
    assert_eq!(run("nightly"), "skipped 2 = 2 + 0");
    assert_eq!(run("weekly"), "run 2 = 0 + 2");
}

#[test]
fn u07_two_chains_saved_under_one_name_each_find_their_version() {
    let folder = Folder::new();
    for _ in 0..2 {
        let session = folder.session();
        let rows = session.read_values(&[1u64, 2]);
        assert_eq!(rows.map(udf!("one", |n: &u64| n + 1)).save("both").unwrap().version(), 1);
        assert_eq!(rows.map(udf!("two", |n: &u64| n + 2)).save("both").unwrap().version(), 2);
    }
}

#[test]
fn s04_a_dataset_is_read_by_name_and_version() {
    let folder = Folder::new();
    let session = folder.session();
    session.read_values(&[1u64, 2]).save("numbers").unwrap();
    session.read_values(&[3u64]).save("numbers").unwrap();
    let read = |version| session.read_dataset::<u64>("numbers", version).and_then(|chain| chain.collect());
    assert_eq!(
        (read(Some(1)).unwrap(), read(Some(2)).unwrap(), read(None).unwrap()),
        (vec![1, 2], vec![3], vec![3])
    );
    assert!(matches!(read(Some(3)), Err(rowmark::Error::NoDataset { version: Some(3), .. })));
    let error = session.read_dataset::<String>("numbers", None).unwrap_err().to_string();
    assert!(error.contains("u64") && error.contains("string"), "{error}");
}

#[test]
fn a_table_that_is_gone_is_computed_again_with_a_warning() {
    static CALLS: Calls = Calls::new();
    let folder = Folder::new();
    let run = || {
        let session = folder.session();
        let chain = session.read_records((0..10u64).collect()).map(udf!("same", |n: &u64| {
            CALLS.count(*n);
            *n
        }));
        assert_eq!(chain.collect().unwrap().len(), 10);
        (CALLS.take_total(), session)
    };
    let (calls, session) = run();
    assert_eq!(calls, 10);
    drop(session);
    let tables = folder.path().join("tables");
    for table in std::fs::read_dir(&tables).unwrap() {
        for file in std::fs::read_dir(table.unwrap().path()).unwrap() {
            std::fs::write(file.unwrap().path(), "rubbish").unwrap();
        }
    }
    let (calls, session) = run();
    assert_eq!(calls, 10);
    let events = session.metastore().list_events(session.job().unwrap().id).unwrap();
    assert!(events.iter().any(|event| event.reason.contains("cannot be used")), "{events:?}");
}

#[test]
fn j07_a_table_with_a_flipped_byte_is_never_read_as_data_and_computed_again_by_the_next_run() {
    static CALLS: Calls = Calls::new();
    let folder = Folder::new();
    let run = || {
        let session = folder.session();
        let chain = session.read_records((0..1000u64).collect()).map(udf!("same", |n: &u64| {
            CALLS.count(*n);
            *n
        }));
        (chain.collect(), CALLS.take_total())
    };
    run().0.unwrap();
    for table in std::fs::read_dir(folder.path().join("tables")).unwrap() {
        for file in std::fs::read_dir(table.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let mut bytes = std::fs::read(&path).unwrap();
            if bytes.len() > 4000 {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                std::fs::write(&path, bytes).unwrap();
            }
        }
    }
    let (result, calls) = run();
    let mut error: &dyn std::error::Error = &result.unwrap_err();
    while let Some(source) = error.source() {
        error = source;
    }
    assert_eq!(calls, 0, "{error}");
    let (result, calls) = run();
    assert_eq!((result.unwrap(), calls), ((0..1000).collect(), 1000));
}

#[test]
fn j07_a_dataset_with_a_flipped_byte_is_saved_anew() {
    let folder = Folder::new();
    let run = || {
        let session = folder.session();
        let chain = session.read_records((0..1000u64).collect()).map(udf!("same", |n: &u64| *n));
        let version = chain.save("numbers").unwrap().version();
        (version, session.read_dataset::<u64>("numbers", None).unwrap().collect())
    };
    run().1.unwrap();
    let table = folder.path().join("tables/ds_numbers_1");
    for file in std::fs::read_dir(table).unwrap() {
        let path = file.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        if bytes.len() > 4000 {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1; // in place, so in the step's table as well
            std::fs::write(&path, bytes).unwrap();
        }
    }
    let (version, rows) = run();
    assert_eq!(version, 1);
    rows.unwrap_err();
    let (version, rows) = run();
    assert_eq!((version, rows.unwrap()), (2, (0..1000).collect::<Vec<u64>>()));
}

#[test]
fn the_report_names_the_first_thing_that_changed() {
    #[derive(Serialize, Deserialize)]
    struct Town {
        metres: u64,
    }
    let (folder, files) = (Folder::new(), tempfile::tempdir().unwrap());
    let towns = files.path().join("towns.csv");
    let run = |content: &str, limit: u64| {
        std::fs::write(&towns, content).unwrap();
        let session = folder.session();
        let low = session.read_csv::<Town>(&towns).unwrap().filter(udf!(
            "below",
            captures(limit),
            |town: &Town| town.metres < limit
        ));
        low.map(udf!("metres", |town: &Town| town.metres)).save("low").unwrap();
        session.report().step("metres").unwrap().reason.clone()
    };
    assert_eq!(run("metres\n540\n", 600), "first run");
    assert!(run("metres\n540\n", 600).starts_with("done by job"), "only the time stamp is new");
    // Before it stands whose rows are used.
    let run = |content: &str, limit: u64| run(content, limit).split("; ").last().unwrap().to_owned();
    assert_eq!(run("metres\n540\n", 700), "filter below captured limit: 600 → 700");
    let reason = run("metres\n541\n", 700);
    let hashes = reason.strip_prefix("source towns.csv: content ").unwrap().strip_suffix("…, 11 B").unwrap();
    assert_eq!(hashes.split("… → ").map(str::len).collect::<Vec<_>>(), [8, 8], "{reason}");
}
