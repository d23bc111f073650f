//! Checkpoints, from creation to promotion or removal.

#![expect(clippy::cloned_ref_to_slice_refs, reason = "a list of one reads as the longer lists beside it")]

use std::sync::Barrier;
use std::thread;

use super::sample::{KINDS, at, finished, hash, partial};
use super::{Check, Expected, assert_error};
use crate::{
    CheckpointKind, CheckpointStatus, CodeRows, Error, JobId, Metastore, NAME_BYTES_MAX, RECORD_BYTES_MAX,
};

pub(super) const CHECKS: &[Check] = &[
    a_checkpoint_is_kept_as_it_is,
    the_active_one_wins,
    two_threads_create_one,
    expired_and_deleted_ones_are_not_found_and_give_way,
    the_first_job_in_order_is_found,
    all_jobs_are_searched_newest_first,
    both_kinds_are_found_by_the_partial_hash,
    lists_are_in_the_order_of_creation,
    removal_is_not_an_error_twice,
    expiry_goes_by_time,
    promotion_replaces_the_partial_one,
    promotion_twice_changes_nothing,
    promotion_of_nothing_is_an_error,
    promotion_is_seen_whole,
    bounds_are_kept,
    long_records_are_kept_changed_and_removed,
];

fn a_checkpoint_is_kept_as_it_is(store: &dyn Metastore) {
    let job = JobId::new();
    for checkpoint in [partial(job, "classify"), finished(job, "classify", "v1")] {
        let created = store.get_or_create_checkpoint(checkpoint.clone()).expected();
        assert_eq!(created, checkpoint);
        let found = store.find_checkpoint(job, checkpoint.hash, checkpoint.kind).expected();
        assert_eq!(found, Some(checkpoint));
    }
}

fn the_active_one_wins(store: &dyn Metastore) {
    let first = partial(JobId::new(), "classify");
    let mut second = first.clone();
    second.created_at = at(9_000);
    second.table = "another".to_owned();
    store.get_or_create_checkpoint(first.clone()).expected();
    assert_eq!(store.get_or_create_checkpoint(second).expected(), first);
    assert_eq!(store.list_checkpoints(first.job).expected(), [first]);
}

fn two_threads_create_one(store: &dyn Metastore) {
    const THREADS: usize = 4;
    let job = JobId::new();
    for round in 0..8 {
        let barrier = Barrier::new(THREADS);
        let step = format!("step {round}");
        let answers: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let mut checkpoint = partial(job, &step);
                    checkpoint.table = format!("table of thread {thread}");
                    let barrier = &barrier;
                    scope.spawn(move || {
                        barrier.wait();
                        store.get_or_create_checkpoint(checkpoint).expected()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("the thread ended")).collect()
        });
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    }
    assert_eq!(store.list_checkpoints(job).expected().len(), 8);
}

fn expired_and_deleted_ones_are_not_found_and_give_way(store: &dyn Metastore) {
    let checkpoint = finished(JobId::new(), "classify", "v1");
    let (job, hash, kind) = (checkpoint.job, checkpoint.hash, checkpoint.kind);
    let mut next = checkpoint.clone();
    next.created_at = at(2_000);
    store.get_or_create_checkpoint(checkpoint.clone()).expected();
    for status in [CheckpointStatus::Expired, CheckpointStatus::Deleted] {
        assert!(store.set_checkpoint_status(job, hash, kind, status).expected());
        assert!(store.set_checkpoint_status(job, hash, kind, status).expected());
        assert_eq!(store.find_checkpoint(job, hash, kind).expected(), None);
        assert_eq!(store.find_in(&[job], hash, kind).expected(), None);
        assert_eq!(store.find_anywhere(hash, kind).expected(), []);
        assert_eq!(store.find_by_partial(checkpoint.hash_partial).expected(), []);
        assert_eq!(store.get_last_checkpoint(job).expected(), None);
        let listed = store.list_checkpoints(job).expected();
        assert_eq!(listed.iter().map(|checkpoint| checkpoint.status).collect::<Vec<_>>(), [status]);

        assert_eq!(store.get_or_create_checkpoint(next.clone()).expected(), next);
        assert_eq!(store.list_checkpoints(job).expected(), [next.clone()]);
        assert_eq!(store.find_anywhere(hash, kind).expected(), [next.clone()]);
        assert_eq!(store.find_by_partial(checkpoint.hash_partial).expected(), [next.clone()]);
    }
    assert!(!store.set_checkpoint_status(JobId::new(), hash, kind, CheckpointStatus::Active).expected());
}

fn the_first_job_in_order_is_found(store: &dyn Metastore) {
    let jobs: Vec<JobId> = (0..6).map(|_| JobId::new()).collect();
    let holders = [1, 3, 4];
    for index in holders {
        for checkpoint in [partial(jobs[index], "classify"), finished(jobs[index], "classify", "v1")] {
            store.get_or_create_checkpoint(checkpoint).expected();
        }
    }
    for kind in KINDS {
        let wanted = match kind {
            CheckpointKind::Partial => partial(jobs[0], "classify").hash,
            CheckpointKind::Final => finished(jobs[0], "classify", "v1").hash,
        };
        for (order, expected) in [
            (vec![0, 1, 3], Some(1)),
            (vec![4, 3, 1], Some(4)),
            (vec![5, 3, 0, 1], Some(3)),
            (vec![0, 2], None),
        ] {
            let order: Vec<JobId> = order.into_iter().map(|index| jobs[index]).collect();
            let found = store.find_in(&order, wanted, kind).expected();
            assert_eq!(found.map(|checkpoint| checkpoint.job), expected.map(|index| jobs[index]));
        }
        assert_eq!(store.find_in(&[], wanted, kind).expected(), None);
        assert_eq!(store.find_in(&jobs, hash("another"), kind).expected(), None);
    }
}

fn all_jobs_are_searched_newest_first(store: &dyn Metastore) {
    let mut jobs: Vec<JobId> = (0..10).map(|_| JobId::new()).collect();
    jobs.reverse(); // so that the order of ids is not that of creation
    let wanted = finished(jobs[0], "classify", "v1").hash;
    for &job in &jobs {
        store.get_or_create_checkpoint(finished(job, "classify", "v1")).expected();
        store.get_or_create_checkpoint(finished(job, "classify", "v2")).expected();
    }
    let found = store.find_anywhere(wanted, CheckpointKind::Final).expected();
    jobs.reverse();
    assert_eq!(found.iter().map(|checkpoint| checkpoint.job).collect::<Vec<_>>(), jobs);
    assert!(found.iter().all(|checkpoint| checkpoint.hash == wanted));
    assert_eq!(store.find_anywhere(wanted, CheckpointKind::Partial).expected(), []);
}

fn both_kinds_are_found_by_the_partial_hash(store: &dyn Metastore) {
    let (first, second) = (JobId::new(), JobId::new());
    let checkpoints = [
        finished(second, "classify", "v1"),
        partial(first, "classify"),
        finished(first, "classify", "v2"),
        partial(second, "classify"),
    ];
    for checkpoint in &checkpoints {
        store.get_or_create_checkpoint(checkpoint.clone()).expected();
        store.get_or_create_checkpoint(partial(checkpoint.job, "another")).expected();
    }
    let found = store.find_by_partial(checkpoints[1].hash).expected();
    let newest_first: Vec<_> = checkpoints.into_iter().rev().collect();
    assert_eq!(found, newest_first);
    assert_eq!(store.find_by_partial(hash("another")).expected(), []);
}

fn lists_are_in_the_order_of_creation(store: &dyn Metastore) {
    let (job, other) = (JobId::new(), JobId::new());
    assert_eq!(store.list_checkpoints(job).expected(), []);
    assert_eq!(store.get_last_checkpoint(job).expected(), None);
    let mut expected = Vec::new();
    for index in 0..40_u64 {
        let mut checkpoint = partial(job, &format!("step {index}"));
        checkpoint.created_at = at(1_000 - index); // a clock that is set back does not change the order
        store.get_or_create_checkpoint(checkpoint.clone()).expected();
        store.get_or_create_checkpoint(partial(other, &format!("step {index}"))).expected();
        assert_eq!(store.get_last_checkpoint(job).expected().as_ref(), Some(&checkpoint));
        expected.push(checkpoint);
    }
    assert_eq!(store.list_checkpoints(job).expected(), expected);
}

fn removal_is_not_an_error_twice(store: &dyn Metastore) {
    let job = JobId::new();
    let (kept, removed) = (partial(job, "kept"), partial(job, "removed"));
    store.get_or_create_checkpoint(kept.clone()).expected();
    store.get_or_create_checkpoint(removed.clone()).expected();
    assert!(!store.remove_checkpoint(job, removed.hash, CheckpointKind::Final).expected());
    assert!(!store.remove_checkpoint(JobId::new(), removed.hash, removed.kind).expected());
    assert!(store.remove_checkpoint(job, removed.hash, removed.kind).expected());
    assert!(!store.remove_checkpoint(job, removed.hash, removed.kind).expected());
    assert_eq!(store.find_anywhere(removed.hash, removed.kind).expected(), []);
    assert_eq!(store.find_by_partial(removed.hash).expected(), []);
    assert_eq!(store.list_checkpoints(job).expected(), [kept.clone()]);
    assert_eq!(store.get_last_checkpoint(job).expected(), Some(kept));
}

fn expiry_goes_by_time(store: &dyn Metastore) {
    let mut expected = Vec::new();
    for (index, millis) in [(0, 3_000), (1, 1_000), (2, 2_000), (3, 2_001), (4, 500)] {
        let mut checkpoint = partial(JobId::new(), &format!("step {index}"));
        checkpoint.created_at = at(millis);
        store.get_or_create_checkpoint(checkpoint.clone()).expected();
        checkpoint.status = CheckpointStatus::Expired;
        if millis < 2_000 {
            expected.push(checkpoint);
        }
    }
    assert_eq!(store.expire(at(2_000)).expected(), expected);
    assert_eq!(store.expire(at(2_000)).expected(), []);
    for checkpoint in expected {
        assert_eq!(store.list_checkpoints(checkpoint.job).expected(), [checkpoint.clone()]);
        assert_eq!(store.find_anywhere(checkpoint.hash, checkpoint.kind).expected(), []);
    }
    assert_eq!(store.expire(at(u64::MAX)).expected().len(), 3);
}

fn promotion_replaces_the_partial_one(store: &dyn Metastore) {
    let job = JobId::new();
    let (partial, checkpoint) = (partial(job, "classify"), finished(job, "classify", "v1"));
    store.get_or_create_checkpoint(partial.clone()).expected();
    let promoted = store.promote(job, partial.hash, checkpoint.clone()).expected();
    assert_eq!(promoted, checkpoint);
    assert_eq!(store.find_checkpoint(job, partial.hash, partial.kind).expected(), None);
    assert_eq!(store.list_checkpoints(job).expected(), [checkpoint.clone()]);
    assert_eq!(store.find_by_partial(partial.hash).expected(), [checkpoint.clone()]);
    assert_eq!(store.get_last_checkpoint(job).expected(), Some(checkpoint));
}

fn promotion_twice_changes_nothing(store: &dyn Metastore) {
    let job = JobId::new();
    let (partial, first) = (partial(job, "classify"), finished(job, "classify", "v1"));
    let mut second = first.clone();
    second.created_at = at(9_000);
    store.get_or_create_checkpoint(partial.clone()).expected();
    store.promote(job, partial.hash, first.clone()).expected();
    assert_eq!(store.promote(job, partial.hash, second.clone()).expected(), first);

    // A final one that is there already stays, and the partial one goes.
    store.get_or_create_checkpoint(partial.clone()).expected();
    assert_eq!(store.promote(job, partial.hash, second).expected(), first);
    assert_eq!(store.list_checkpoints(job).expected(), [first]);
}

fn promotion_of_nothing_is_an_error(store: &dyn Metastore) {
    let job = JobId::new();
    let (partial, checkpoint) = (partial(job, "classify"), finished(job, "classify", "v1"));
    let answer = store.promote(job, partial.hash, checkpoint.clone());
    assert_error!(answer, Error::NoSuchCheckpoint { job: named, hash } if *named == job && *hash == partial.hash);

    store.get_or_create_checkpoint(partial.clone()).expected();
    let mut expired = checkpoint.clone();
    expired.status = CheckpointStatus::Expired;
    for (job, hash_partial, wrong) in [
        (job, partial.hash, finished(job, "another", "v1")),
        (job, partial.hash, finished(JobId::new(), "classify", "v1")),
        (job, partial.hash, partial.clone()),
        (job, partial.hash, expired),
        (job, checkpoint.hash, checkpoint),
    ] {
        assert_error!(store.promote(job, hash_partial, wrong), Error::Invalid { .. });
    }
    assert_eq!(store.list_checkpoints(job).expected(), [partial]);
}

fn promotion_is_seen_whole(store: &dyn Metastore) {
    let job = JobId::new();
    for round in 0..8 {
        let step = format!("step {round}");
        let (partial, checkpoint) = (partial(job, &step), finished(job, &step, "v1"));
        store.get_or_create_checkpoint(partial.clone()).expected();
        let barrier = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                barrier.wait();
                store.promote(job, partial.hash, checkpoint.clone()).expected();
            });
            barrier.wait();
            loop {
                let found = store.find_by_partial(partial.hash).expected();
                assert_eq!(found.len(), 1, "there is the partial one or the final one");
                if found[0].kind == CheckpointKind::Final {
                    break;
                }
            }
        });
    }
}

fn bounds_are_kept(store: &dyn Metastore) {
    let job = JobId::new();
    let good = finished(job, "classify", "v1");
    let long = "n".repeat(NAME_BYTES_MAX + 1);
    let mut wrong = vec![good.clone(); 5];
    wrong[0].step = String::new();
    wrong[1].step = long.clone();
    wrong[2].table = long;
    wrong[3].kind = CheckpointKind::Partial;
    wrong[4].codes = vec![CodeRows { code: hash("code"), rows: 1 }; RECORD_BYTES_MAX / 33];
    for checkpoint in wrong {
        let answer = store.get_or_create_checkpoint(checkpoint);
        assert_error!(answer, Error::Invalid { .. } | Error::TooLong { .. });
    }
    assert_eq!(store.list_checkpoints(job).expected(), []);
}

fn long_records_are_kept_changed_and_removed(store: &dyn Metastore) {
    let job = JobId::new();
    let mut promoted = finished(job, "classify", "v1");
    promoted.codes = vec![CodeRows { code: hash("code"), rows: u64::MAX }; 20_000];
    let mut long = partial(job, "classify");
    long.codes = vec![CodeRows { code: hash("code"), rows: 1 }; 25_000];
    let neighbour = partial(job, "neighbour");
    store.get_or_create_checkpoint(neighbour.clone()).expected();

    store.get_or_create_checkpoint(long.clone()).expected();
    assert_eq!(store.find_checkpoint(job, long.hash, long.kind).expected().as_ref(), Some(&long));
    store.promote(job, long.hash, promoted.clone()).expected();
    assert_eq!(store.list_checkpoints(job).expected(), [neighbour.clone(), promoted.clone()]);

    // Something shorter takes the place of something longer.
    assert!(
        store.set_checkpoint_status(job, promoted.hash, promoted.kind, CheckpointStatus::Expired).expected()
    );
    promoted.codes.truncate(1);
    store.get_or_create_checkpoint(promoted.clone()).expected();
    assert_eq!(store.list_checkpoints(job).expected(), [neighbour.clone(), promoted.clone()]);
    assert!(store.remove_checkpoint(job, promoted.hash, promoted.kind).expected());
    assert_eq!(store.list_checkpoints(job).expected(), [neighbour]);
}
