//! Rows that are read one after the other.

use std::time::{Duration, Instant};

use rowmark::prelude::*;

use crate::support::Folder;

#[test]
fn the_folder_is_free_when_an_iterator_and_its_session_are_dropped() {
    let folder = Folder::new();
    let session = folder.session();
    let chain = session.read_records((0..5000u64).collect()).map(udf!("m", |n: &u64| *n));
    let slow = chain.project(udf!("slow", |n: &u64| {
        if *n > 1500 {
            std::thread::sleep(Duration::from_millis(10));
        }
        *n
    }));
    assert_eq!(slow.first().unwrap(), Some(0));
    drop((chain, slow, session));
    folder.session();
}

#[test]
fn the_first_row_does_not_wait_for_a_thousand() {
    let folder = Folder::new();
    let session = folder.session();
    let slow = session.read_records((0..5000u64).collect()).project(udf!("slow", |n: &u64| {
        std::thread::sleep(Duration::from_millis(10));
        *n
    }));
    let begun = Instant::now();
    assert_eq!(slow.first().unwrap(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}
