//! Poison rows: whatever takes the process down is found, and nothing else is blamed for it.
#![cfg(unix)]

use std::path::PathBuf;
use std::process::{Command, Output};

use rowmark::prelude::*;

use crate::support::{Folder, builder};

const ROWS: u64 = 40;
const POISON: u64 = 17;

fn child(folder: &Folder, test: &str) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env("ROWMARK_TEST_CHILD", folder.path())
        .output()
        .unwrap()
}

fn session_of_child() -> Option<Session> {
    let state = std::env::var_os("ROWMARK_TEST_CHILD").map(PathBuf::from)?;
    Some(builder(&state).poison_rows(2).durability(Durability::EveryRow).open().unwrap())
}

#[track_caller]
fn check(test: &str, step: &str) {
    let folder = Folder::new();
    for death in 1..=2 {
        assert!(!child(&folder, test).status.success(), "death {death}");
    }
    let Output { status, stderr, .. } = child(&folder, test);
    let session = builder(&folder.path()).open().unwrap();
    let failures: Vec<u64> = session.failures(step).unwrap().iter().map(|failed| failed.row).collect();
    assert!(status.success(), "recorded are {failures:?}\n{}", String::from_utf8_lossy(&stderr));
    assert_eq!(failures, [POISON]);
}

#[test]
#[ignore = "a child"]
fn child_whose_filter_aborts() {
    let Some(session) = session_of_child() else { return };
    let chain = session.read_records((0..ROWS).collect()).filter(udf!("deadly", |n: &u64| {
        if *n == POISON {
            std::process::abort();
        }
        true
    }));
    let saved = chain.map(udf!("same", |n: &u64| *n)).save("same").unwrap();
    assert_eq!(saved.rows(), ROWS - 1);
}

#[test]
fn a_row_whose_filter_takes_the_process_down_is_recorded() {
    check("deadly_rows::child_whose_filter_aborts", "same");
}

#[test]
#[ignore = "a child"]
fn child_whose_slice_aborts() {
    let Some(session) = session_of_child() else { return };
    let chain = session.read_records((0..ROWS).collect());
    let chain = chain.map_batch(
        16,
        udf!("slices", |rows: &[u64]| {
            if rows.contains(&POISON) {
                std::process::abort();
            }
            rows.to_vec()
        }),
    );
    assert_eq!(chain.save("slices").unwrap().rows(), ROWS - 1);
}

#[test]
fn of_a_slice_that_takes_the_process_down_only_the_deadly_row_is_recorded() {
    check("deadly_rows::child_whose_slice_aborts", "slices");
}
