//! What a step's questions to a store of 1,000 jobs in a row and 10,000 checkpoints cost, in sled and in memory.
//!
//! ```text
//! cargo bench -p rowmark-metastore --bench lookup
//! ```
#![expect(clippy::unwrap_used, reason = "a benchmark")]

mod records;

use criterion::Criterion;
use records::{checkpoint, fill};
use rowmark_metastore::{CheckpointKind, JobId, MemoryMetastore, Metastore, SledMetastore};

const JOBS: usize = 1_000;
const CHECKPOINTS: usize = 10_000;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    lookup(&mut criterion, "sled", &SledMetastore::open(folder.path().join("records")).unwrap());
    lookup(&mut criterion, "memory", &MemoryMetastore::default());
    criterion.final_summary();
}

fn lookup(criterion: &mut Criterion, name: &str, store: &dyn Metastore) {
    let jobs = fill(store, JOBS, CHECKPOINTS).unwrap();
    let last = jobs[JOBS - 1];
    let ancestors: Vec<JobId> = store.get_ancestor_job_ids(last).unwrap();
    assert_eq!(ancestors.len(), JOBS - 1);
    let hash = |index: usize| checkpoint(last, index).unwrap().hash;
    // Those of the nearest ancestor, of the furthest, and of none.
    let (near, far, none) = (hash(JOBS - 2), hash(0), hash(CHECKPOINTS));
    let find = |hash| store.find_in(&ancestors, hash, CheckpointKind::Final).unwrap().map(|found| found.job);
    assert_eq!([find(near), find(far), find(none)], [Some(jobs[JOBS - 2]), Some(jobs[0]), None]);

    let mut group = criterion.benchmark_group(format!("lookup, {name}"));
    group.bench_function("the last job of a name", |bencher| {
        bencher.iter(|| store.find_last_job("nightly").unwrap());
    });
    group.bench_function("all ancestors of a job", |bencher| {
        bencher.iter(|| store.get_ancestor_job_ids(last).unwrap());
    });
    for (whose, hash) in [("the nearest", near), ("the furthest", far), ("no", none)] {
        group.bench_function(format!("a checkpoint of {whose} ancestor"), |bencher| {
            bencher.iter(|| find(hash));
        });
    }
    group.bench_function("a checkpoint of any job", |bencher| {
        bencher.iter(|| store.find_anywhere(far, CheckpointKind::Final).unwrap());
    });
    group.finish();
}
