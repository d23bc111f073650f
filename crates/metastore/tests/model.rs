//! Any sequence of calls, opening again included, is answered by both stores alike.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::fmt::Debug;
use std::path::Path;

use proptest::prelude::*;
use rowmark_metastore::{
    CheckpointKind, CheckpointStatus, CodeRows, JobStatus, MemoryMetastore, Metastore, Result, SledMetastore,
    Timestamp,
};

mod common;
use common::{checkpoint, contents, dataset, event, hash, job, job_id};

const JOBS: u32 = 4;

/// A call, with all that it is called with; few different values, so that calls meet each other's records.
#[derive(Clone, Debug)]
enum Call {
    CreateJob { job: u32, name: &'static str, predecessor: Option<u32> },
    FinishJob { job: u32, status: JobStatus },
    GetAncestors { job: u32 },
    GetOrCreate { at: At, created_at: u64, codes: usize },
    Find { at: At, jobs: Vec<u32> },
    SetStatus { at: At, status: CheckpointStatus },
    Remove { at: At },
    Expire { older_than: u64 },
    Promote { job: u32, step: &'static str, codes: usize },
    Save { dataset: &'static str, version: Option<u32>, chain: &'static str, schema: usize },
    FindDataset { dataset: &'static str, chain: &'static str },
    RemoveDataset { dataset: &'static str, version: u32 },
    Record { job: u32, reason: usize },
    Open,
}

/// Where a checkpoint is.
#[derive(Clone, Copy, Debug)]
struct At {
    job: u32,
    step: &'static str,
    kind: CheckpointKind,
}

fn call() -> impl Strategy<Value = Call> {
    let job = || 0..JOBS;
    let step = || prop::sample::select(vec!["a", "b", "c"]);
    let name = || prop::sample::select(vec!["x", "xy", "y"]);
    let kind = || prop::sample::select(vec![CheckpointKind::Partial, CheckpointKind::Final]);
    let at = move || (job(), step(), kind()).prop_map(|(job, step, kind)| At { job, step, kind });
    // One value, some, and more than one key of sled can hold.
    let codes = || prop::sample::select(vec![0, 3, 200, 600]);
    let status = prop::sample::select(vec![
        CheckpointStatus::Active,
        CheckpointStatus::Expired,
        CheckpointStatus::Deleted,
    ]);
    let outcome = prop::sample::select(vec![JobStatus::Running, JobStatus::Complete, JobStatus::Failed]);
    prop_oneof![
        1 => (job(), name(), prop::option::of(job()))
            .prop_map(|(job, name, predecessor)| Call::CreateJob { job, name, predecessor }),
        1 => (job(), outcome).prop_map(|(job, status)| Call::FinishJob { job, status }),
        1 => job().prop_map(|job| Call::GetAncestors { job }),
        3 => (at(), 0..5_u64, codes())
            .prop_map(|(at, created_at, codes)| Call::GetOrCreate { at, created_at, codes }),
        2 => (at(), prop::collection::vec(job(), 0..4)).prop_map(|(at, jobs)| Call::Find { at, jobs }),
        1 => (at(), status).prop_map(|(at, status)| Call::SetStatus { at, status }),
        1 => at().prop_map(|at| Call::Remove { at }),
        1 => (0..5_u64).prop_map(|older_than| Call::Expire { older_than }),
        2 => (job(), step(), codes()).prop_map(|(job, step, codes)| Call::Promote { job, step, codes }),
        2 => (name(), prop::option::of(0..4_u32), step(), prop::sample::select(vec![0, 20_000]))
            .prop_map(|(dataset, version, chain, schema)| Call::Save { dataset, version, chain, schema }),
        1 => (name(), step()).prop_map(|(dataset, chain)| Call::FindDataset { dataset, chain }),
        1 => (name(), 0..4_u32).prop_map(|(dataset, version)| Call::RemoveDataset { dataset, version }),
        1 => (job(), prop::sample::select(vec![0, 10, 5_000])).prop_map(|(job, reason)| Call::Record { job, reason }),
        1 => Just(Call::Open),
    ]
}

/// Makes a call, and answers with all that the store says to it.
fn answer(store: &dyn Metastore, call: &Call) -> String {
    let now = Timestamp::from_millis(7);
    match call.clone() {
        Call::CreateJob { job: number, name, predecessor } => {
            let mut job = job(number, predecessor);
            job.name = name.to_owned();
            text([text(store.create_job(&job)), text(store.find_last_job(name))])
        }
        Call::FinishJob { job, status } => text(store.finish_job(job_id(job), status, now, Some("error"))),
        Call::GetAncestors { job } => {
            text((text(store.get_ancestor_job_ids(job_id(job))), store.get_job(job_id(job)).ok()))
        }
        Call::GetOrCreate { at, created_at, codes } => {
            let mut checkpoint = checkpoint(at.job, at.step, at.kind);
            checkpoint.created_at = Timestamp::from_millis(created_at);
            checkpoint.codes = vec![CodeRows { code: hash("code"), rows: created_at }; codes];
            text(store.get_or_create_checkpoint(checkpoint))
        }
        Call::Find { at, jobs } => {
            let sought = checkpoint(at.job, at.step, at.kind);
            let jobs: Vec<_> = jobs.into_iter().map(job_id).collect();
            text((
                text(store.find_checkpoint(sought.job, sought.hash, at.kind)),
                text(store.find_in(&jobs, sought.hash, at.kind)),
                text(store.find_anywhere(sought.hash, at.kind)),
                text(store.find_by_partial(sought.hash_partial)),
                text(store.get_last_checkpoint(sought.job)),
            ))
        }
        Call::SetStatus { at, status } => {
            let sought = checkpoint(at.job, at.step, at.kind);
            text(store.set_checkpoint_status(sought.job, sought.hash, at.kind, status))
        }
        Call::Remove { at } => {
            let sought = checkpoint(at.job, at.step, at.kind);
            text(store.remove_checkpoint(sought.job, sought.hash, at.kind))
        }
        Call::Expire { older_than } => text(store.expire(Timestamp::from_millis(older_than))),
        Call::Promote { job, step, codes } => {
            let mut finished = checkpoint(job, step, CheckpointKind::Final);
            finished.codes = vec![CodeRows { code: hash("code"), rows: 1 }; codes];
            text(store.promote(finished.job, finished.hash_partial, finished))
        }
        Call::Save { dataset: name, version, chain, schema } => {
            let next = store.get_next_dataset_version(name).unwrap();
            let mut dataset = dataset(name, version.unwrap_or(next), chain);
            dataset.schema = "s".repeat(schema);
            text((next, text(store.save_dataset(&dataset))))
        }
        Call::FindDataset { dataset, chain } => text((
            text(store.find_dataset(dataset, hash(chain))),
            text(store.find_datasets_by_chain(hash(chain))),
            text(store.get_dataset(dataset, None)),
            text(store.get_dataset(dataset, Some(2))),
        )),
        Call::RemoveDataset { dataset, version } => text(store.remove_dataset(dataset, version)),
        Call::Record { job, reason } => {
            let mut event = event(job, "a");
            event.reason = "r".repeat(reason);
            text(store.record_event(event))
        }
        Call::Open => String::new(),
    }
}

fn text(answer: impl Debug) -> String {
    format!("{answer:?}")
}

fn open(path: &Path) -> SledMetastore {
    SledMetastore::open(path).unwrap()
}

fn everything(store: &dyn Metastore) -> Result<common::Contents> {
    contents(store, JOBS)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn both_stores_answer_alike(calls in prop::collection::vec(call(), 1..60)) {
        let folder = tempfile::tempdir().unwrap();
        let memory = MemoryMetastore::new();
        let mut sled = Some(open(folder.path()));
        for call in &calls {
            if matches!(call, Call::Open) {
                drop(sled.take());
            }
            let sled = sled.get_or_insert_with(|| open(folder.path()));
            prop_assert_eq!(answer(sled, call), answer(&memory, call), "{:?}", call);
        }
        drop(sled.take());
        let found = everything(&open(folder.path())).unwrap();
        prop_assert_eq!(found, everything(&memory).unwrap());
    }
}
