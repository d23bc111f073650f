//! Events.

use std::thread;

use super::sample::at;
use super::{Check, Expected, assert_error};
use crate::{Error, Event, EventKind, JobId, Metastore, NAME_BYTES_MAX, TEXT_BYTES_MAX};

pub(super) const CHECKS: &[Check] =
    &[events_are_numbered_and_listed_by_job, threads_get_different_numbers, a_long_reason_is_cut];

fn event(job: JobId, step: &str) -> Event {
    Event {
        rows_in: 5,
        rows_reused: 1,
        rows_computed: 3,
        rows_failed: 1,
        rows_out: u64::MAX,
        reused_from: Some(JobId::new()),
        reason: "progress of an earlier run was found".to_owned(),
        ..Event::new(job, at(1_000), step, EventKind::Continue)
    }
}

fn events_are_numbered_and_listed_by_job(store: &dyn Metastore) {
    let jobs = [JobId::new(), JobId::new()];
    let mut expected = [Vec::new(), Vec::new()];
    let kinds = [
        EventKind::Skip,
        EventKind::Continue,
        EventKind::Run,
        EventKind::SaveFound,
        EventKind::SaveNew,
        EventKind::Repaired,
        EventKind::Removed,
        EventKind::Warning,
    ];
    for index in 0..300_usize {
        let job = index % 3 / 2;
        let mut event = event(jobs[job], &format!("step {index}"));
        event.kind = kinds[index % kinds.len()];
        event.number = 99; // the store's is the one that counts
        let number = store.record_event(event.clone()).expected();
        event.number = expected[job].len() as u64 + 1;
        assert_eq!(number, event.number);
        expected[job].push(event);
    }
    for (job, expected) in jobs.into_iter().zip(expected) {
        assert_eq!(store.list_events(job).expected(), expected);
    }
    assert_eq!(store.list_events(JobId::new()).expected(), []);
    store.flush().expected();
}

fn threads_get_different_numbers(store: &dyn Metastore) {
    let job = JobId::new();
    let mut numbers: Vec<u64> = thread::scope(|scope| {
        let record =
            || -> Vec<u64> { (0..50).map(|_| store.record_event(event(job, "s")).expected()).collect() };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(record)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("the thread ended")).collect()
    });
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=200).collect::<Vec<_>>());
    let listed: Vec<u64> = store.list_events(job).expected().iter().map(|event| event.number).collect();
    assert_eq!(listed, numbers);
}

fn a_long_reason_is_cut(store: &dyn Metastore) {
    let job = JobId::new();
    let mut long = event(job, "");
    long.reason = "ä".repeat(TEXT_BYTES_MAX);
    assert_eq!(store.record_event(long).expected(), 1);
    let reason = store.list_events(job).expected().remove(0).reason;
    assert!(reason.len() <= TEXT_BYTES_MAX && reason.starts_with("ää") && reason.ends_with('…'), "{reason}");

    let answer = store.record_event(event(job, &"s".repeat(NAME_BYTES_MAX + 1)));
    assert_error!(answer, Error::TooLong { .. });
    assert_eq!(store.record_event(event(job, "")).expected(), 2);
}
