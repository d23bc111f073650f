//! Jobs and their ancestors.

use super::sample::{at, job};
use super::{Check, Expected, assert_error};
use crate::{Error, JobId, JobStatus, Metastore, NAME_BYTES_MAX, TEXT_BYTES_MAX};

pub(super) const CHECKS: &[Check] = &[
    a_job_is_kept_as_it_is,
    an_id_is_taken_once,
    a_job_ends_with_an_outcome,
    the_last_job_of_a_name_is_the_one_created_last,
    jobs_are_listed_in_the_order_of_creation,
    ancestors_come_nearest_first,
    a_chain_that_leads_nowhere_or_to_itself_is_named,
    a_long_chain_is_walked_to_its_end,
    bounds_are_kept,
];

fn a_job_is_kept_as_it_is(store: &dyn Metastore) {
    let mut job = job("nightly", Some(JobId::new()));
    job.status = JobStatus::Failed;
    job.finished_at = Some(at(u64::MAX));
    job.error = Some("disk on fire 🔥".to_owned());
    store.create_job(&job).expected();
    assert_eq!(store.get_job(job.id).expected(), Some(job));
    assert_eq!(store.get_job(JobId::new()).expected(), None);
}

fn an_id_is_taken_once(store: &dyn Metastore) {
    let first = job("nightly", None);
    store.create_job(&first).expected();
    let mut second = job("weekly", None);
    second.id = first.id;
    assert_error!(store.create_job(&second), Error::JobExists { job } if *job == first.id);
    assert_eq!(store.get_job(first.id).expected(), Some(first));
    assert_eq!(store.find_last_job("weekly").expected(), None);
}

fn a_job_ends_with_an_outcome(store: &dyn Metastore) {
    let mut job = job("nightly", None);
    store.create_job(&job).expected();
    let outcomes = [
        (JobStatus::Failed, Some("row 7: no such host")),
        (JobStatus::Interrupted, None),
        (JobStatus::Cancelled, None),
        (JobStatus::Complete, None),
    ];
    for (index, (status, error)) in (2_000..).zip(outcomes) {
        store.finish_job(job.id, status, at(index), error).expected();
        job.status = status;
        job.finished_at = Some(at(index));
        job.error = error.map(str::to_owned);
        assert_eq!(store.get_job(job.id).expected().as_ref(), Some(&job));
        assert_eq!(store.find_last_job("nightly").expected().as_ref(), Some(&job));
    }
    assert_error!(store.finish_job(job.id, JobStatus::Running, at(1), None), Error::Invalid { .. });
    let unknown = JobId::new();
    let answer = store.finish_job(unknown, JobStatus::Complete, at(1), None);
    assert_error!(answer, Error::NoSuchJob { job } if *job == unknown);
    assert_eq!(store.get_job(job.id).expected(), Some(job));
}

fn the_last_job_of_a_name_is_the_one_created_last(store: &dyn Metastore) {
    assert_eq!(store.find_last_job("a").expected(), None);
    let mut jobs = Vec::new();
    for (name, started_at) in [("a", 5_000), ("b", 4_000), ("ab", 3_000), ("a", 2_000), ("b", 1_000)] {
        let mut job = job(name, None);
        job.started_at = at(started_at); // a clock that is set back does not change what is last
        store.create_job(&job).expected();
        jobs.push(job);
    }
    for (name, index) in [("a", 3), ("b", 4), ("ab", 2)] {
        assert_eq!(store.find_last_job(name).expected().as_ref(), Some(&jobs[index]));
    }
    for name in ["", "c", "a\0", "a\0b", "A"] {
        assert_eq!(store.find_last_job(name).expected(), None, "{name:?}");
    }
}

fn jobs_are_listed_in_the_order_of_creation(store: &dyn Metastore) {
    assert_eq!(store.list_jobs().expected(), []);
    let mut jobs: Vec<_> = (0..20).map(|_| job("nightly", None)).collect();
    jobs.reverse(); // so that the order of ids is not that of creation
    for job in &jobs {
        store.create_job(job).expected();
    }
    store.finish_job(jobs[3].id, JobStatus::Complete, at(1), None).expected();
    let listed: Vec<JobId> = store.list_jobs().expected().iter().map(|job| job.id).collect();
    assert_eq!(listed, jobs.iter().map(|job| job.id).collect::<Vec<_>>());
}

fn ancestors_come_nearest_first(store: &dyn Metastore) {
    let first = job("nightly", None);
    let second = job("nightly", Some(first.id));
    let third = job("nightly", Some(second.id));
    let other = job("nightly", Some(first.id));
    for job in [&third, &other, &first, &second] {
        store.create_job(job).expected();
    }
    for (job, ancestors) in [(&first, vec![]), (&third, vec![second.id, first.id]), (&other, vec![first.id])]
    {
        assert_eq!(store.get_ancestor_job_ids(job.id).expected(), ancestors);
    }
}

fn a_chain_that_leads_nowhere_or_to_itself_is_named(store: &dyn Metastore) {
    let unknown = JobId::new();
    assert_error!(store.get_ancestor_job_ids(unknown), Error::NoSuchJob { job } if *job == unknown);

    let orphan = job("nightly", Some(unknown));
    let child = job("nightly", Some(orphan.id));
    let mut itself = job("nightly", None);
    itself.predecessor = Some(itself.id);
    let mut left = job("nightly", None);
    let right = job("nightly", Some(left.id));
    left.predecessor = Some(right.id);
    let entry = job("nightly", Some(left.id));
    for job in [&orphan, &child, &itself, &left, &right, &entry] {
        store.create_job(job).expected();
    }
    for start in [orphan.id, child.id] {
        let answer = store.get_ancestor_job_ids(start);
        assert_error!(answer, Error::MissingPredecessor { job, predecessor }
            if *job == orphan.id && *predecessor == unknown);
    }
    for (start, met_again) in [(&itself, &itself), (&left, &left), (&right, &right), (&entry, &left)] {
        let answer = store.get_ancestor_job_ids(start.id);
        assert_error!(answer, Error::PredecessorCycle { job } if *job == met_again.id);
    }
}

fn a_long_chain_is_walked_to_its_end(store: &dyn Metastore) {
    let mut ids = Vec::new();
    for _ in 0..300 {
        let job = job("nightly", ids.last().copied());
        store.create_job(&job).expected();
        ids.push(job.id);
    }
    let last = ids.pop().expect("there are jobs");
    ids.reverse();
    assert_eq!(store.get_ancestor_job_ids(last).expected(), ids);
}

fn bounds_are_kept(store: &dyn Metastore) {
    for name in ["", "a\0b", &"n".repeat(NAME_BYTES_MAX + 1)] {
        let job = job(name, None);
        assert_error!(store.create_job(&job), Error::Invalid { .. } | Error::TooLong { .. });
        assert_eq!(store.get_job(job.id).expected(), None);
    }
    let mut job = job(&"n".repeat(NAME_BYTES_MAX), None);
    job.error = Some("e".repeat(TEXT_BYTES_MAX + 1));
    assert_error!(store.create_job(&job), Error::TooLong { .. });
    job.error = None;
    store.create_job(&job).expected();
    assert_eq!(store.find_last_job(&job.name).expected().as_ref(), Some(&job));

    let long = "ä".repeat(TEXT_BYTES_MAX);
    store.finish_job(job.id, JobStatus::Failed, at(1), Some(&long)).expected();
    let error = store.get_job(job.id).expected().and_then(|job| job.error).expect("the error was recorded");
    assert!(error.len() <= TEXT_BYTES_MAX && error.starts_with("ää") && error.ends_with('…'), "{error}");
}
