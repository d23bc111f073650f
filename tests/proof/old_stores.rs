//! Stores that were made by earlier versions are opened and gone on with: `tests/fixtures/format_v1`.
//!
//! A fixture is never made again, and the functions here are never edited: that what an old version stored is read, and
//! found by the identities that old versions gave, is what is proven. Where a later version changes a format, a
//! generator is written beside the one here, for a folder beside the old ones, and run once:
//! `cargo test --test proof make_format_v1 -- --ignored`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rowmark::metastore::{CheckpointKind, JobStatus};
use rowmark::prelude::*;
use rowmark::{Decision, Result};

/// The rows that are to fail, and those that were computed. A static is no part of a UDF's identity.
static FAILING: Mutex<Vec<u64>> = Mutex::new(Vec::new());
static COMPUTED: Mutex<Vec<u64>> = Mutex::new(Vec::new());

fn compute(n: u64) -> std::result::Result<u64, String> {
    if FAILING.lock().unwrap().contains(&n) {
        return Err(format!("{n} is to fail"));
    }
    COMPUTED.lock().unwrap().push(n);
    Ok(n)
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Tree {
    name: String,
    height: Option<f64>,
    rings: Vec<u32>,
}

/// Two steps over ten numbers, both saved. The numbers of the second are those from 100 on.
fn plant(session: &Session) -> Result<(Saved, Saved)> {
    let trees = session.read_records((0..10u64).collect()).map(udf!("tree", |n: &u64| {
        compute(*n)?;
        let height = (!n.is_multiple_of(4)).then(|| *n as f64 / 2.0);
        Ok::<_, String>(Tree { name: format!("tree {n}"), height, rings: (0..*n as u32).collect() })
    }));
    let rings = trees.flat_map(udf!("rings", |tree: &Tree| {
        compute(100 + tree.rings.len() as u64)?;
        Ok::<_, String>(tree.rings.clone())
    }));
    Ok((trees.save("trees")?, rings.save("rings")?))
}

/// Another job, of which one row fails and is recorded: the numbers from 200 on.
fn halve(session: &Session) -> Result<Saved> {
    let halves = session.read_records((0..5u64).collect()).map(udf!("half", |n: &u64| {
        compute(200 + n)?;
        Ok::<_, String>(n / 2)
    }));
    halves.save("halves")
}

fn session(state: &Path, job_name: &str) -> Session {
    Session::builder()
        .state_folder(state)
        .job_name(job_name)
        .threads(1)
        .durability(Durability::EveryRow)
        .on_error(if job_name == "halve" { OnError::Record { failures_max: 3 } } else { OnError::Fail })
        .progress(ProgressDisplay::Off)
        .open()
        .unwrap()
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Finished steps, saved rows, a recorded failure, and a step of which six rows of ten are done.
#[test]
#[ignore = "it was run once; a fixture is never made again"]
fn make_format_v1() {
    let folder = tempfile::tempdir().unwrap();
    let to = fixture("format_v1");
    assert!(!to.exists(), "a fixture is never made again");
    *FAILING.lock().unwrap() = vec![106, 203];
    plant(&session(folder.path(), "plant")).unwrap_err();
    halve(&session(folder.path(), "halve")).unwrap();
    copy_folder(folder.path(), &to);
}

#[test]
fn j06_a_store_of_the_first_format_is_opened_and_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&fixture("format_v1"), folder.path());

    let plants = session(folder.path(), "plant");
    let jobs = plants.metastore().list_jobs().unwrap();
    let told: Vec<_> = jobs.iter().map(|job| (job.name.as_str(), job.status)).collect();
    assert_eq!(told, [("plant", JobStatus::Failed), ("halve", JobStatus::Complete)]);
    assert!(jobs[0].error.as_ref().unwrap().contains("106 is to fail"));
    let records = plants.metastore().list_checkpoints(jobs[0].id).unwrap();
    let told: Vec<_> = records.iter().map(|record| (record.step.as_str(), record.kind)).collect();
    assert_eq!(told, [("tree", CheckpointKind::Final), ("rings", CheckpointKind::Partial)]);
    let trees = plants.read_dataset::<Tree>("trees", Some(1)).unwrap().collect().unwrap();
    assert_eq!(trees[3], Tree { name: "tree 3".into(), height: Some(1.5), rings: vec![0, 1, 2] });
    assert_eq!((trees.len(), trees[4].height), (10, None));

    let (trees, rings) = plant(&plants).unwrap();
    assert_eq!((trees.version(), trees.is_new()), (1, false));
    let step = rings.report().step("rings").unwrap();
    assert_eq!((step.decision, step.rows_reused, step.rows_computed), (Decision::Continued, 6, 4));
    assert_eq!(*COMPUTED.lock().unwrap(), [106, 107, 108, 109]);
    let rows = plants.read_dataset::<u32>("rings", None).unwrap().collect().unwrap();
    assert!(rows.into_iter().eq((0..10).flat_map(|n| 0..n)));
    drop(plants);

    let halves = session(folder.path(), "halve");
    let failed: Vec<_> = halves.failures("half").unwrap().into_iter().map(|failed| failed.row).collect();
    assert_eq!((failed, halve(&halves).unwrap().rows()), (vec![3], 4));
    assert_eq!(COMPUTED.lock().unwrap().len(), 4, "nothing else was computed");
}
