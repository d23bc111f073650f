//! p: what a person sees while a step runs.

use std::sync::{Arc, Mutex};

use rowmark::Snapshot;
use rowmark::prelude::*;

use crate::support::{FailAt, Folder, builder};

/// The last counters that a callback was given.
type Last = Arc<Mutex<Option<(String, Snapshot)>>>;

fn session(folder: &Folder) -> (Session, Last) {
    let last = Last::default();
    let seen = Arc::clone(&last);
    let display = ProgressDisplay::callback(move |step, now| {
        *seen.lock().unwrap() = Some((step.to_owned(), *now));
    });
    (builder(&folder.path()).threads(1).progress(display).open().unwrap(), last)
}

#[test]
fn p01_the_counters_add_up_at_the_end_of_every_run() {
    static FAIL_AT: FailAt = FailAt::never();
    let folder = Folder::new();
    let mut reused_before = 0;
    for fail_at in [Some(300), Some(777), None] {
        FAIL_AT.set(fail_at);
        let (session, last) = session(&folder);
        let chain = session
            .read_records((0..1000u64).collect())
            .filter(udf!("even", |n: &u64| n.is_multiple_of(2) || *n == 777))
            .map(udf!("same", |n: &u64| FAIL_AT.check(*n).map(|()| *n)));
        let result = chain.save("even");
        let (step, now) = last.lock().unwrap().clone().unwrap();
        assert_eq!(step, "same");
        assert_eq!((now.rows_total, now.rows_reused), (1000, reused_before));
        assert_eq!(now.rows_failed, u64::from(fail_at.is_some()));
        assert_eq!(now.rows_reused + now.rows_done + now.rows_failed + now.rows_left(), 1000);
        assert_eq!(result.is_ok(), now.rows_failed + now.rows_left() == 0);
        let report = session.report();
        let report = report.step("same").unwrap();
        assert_eq!(
            (report.rows_in, report.rows_reused, report.rows_computed, report.rows_failed),
            (1000, now.rows_reused, now.rows_done, now.rows_failed)
        );
        if let Ok(saved) = result {
            assert_eq!((saved.rows(), report.rows_out), (501, 501));
        }
        let event = session.metastore().list_events(session.job().unwrap().id).unwrap().remove(0);
        assert_eq!(
            (event.rows_in, event.rows_reused, event.rows_computed, event.rows_failed),
            (1000, now.rows_reused, now.rows_done, now.rows_failed)
        );
        reused_before += now.rows_done;
    }
}

#[test]
fn p02_a_callback_is_told_of_every_step_and_nothing_is_shown_when_turned_off() {
    let folder = Folder::new();
    let (with_callback, last) = session(&folder);
    let chain = |session: &Session| session.read_values(&[1u64, 2, 3]).map(udf!("same", |n: &u64| *n));
    chain(&with_callback).collect().unwrap();
    let (step, now) = last.lock().unwrap().take().unwrap();
    assert_eq!((step.as_str(), now.rows_done), ("same", 3));
    chain(&with_callback).collect().unwrap();
    assert!(last.lock().unwrap().is_none(), "a step that is skipped shows nothing");
}

/// What the example prints on standard error, which is no terminal here.
fn lines(display: &str) -> String {
    let program = std::env::current_exe().unwrap();
    let output = std::process::Command::new(program)
        .args(["--exact", "progress::child_that_shows_progress", "--nocapture"])
        .env("ROWMARK_TEST_DISPLAY", display)
        .output()
        .unwrap();
    assert!(output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn p02_without_a_terminal_plain_lines_are_printed_and_when_off_nothing() {
    let shown = lines("auto");
    assert!(shown.contains("slow: 3 of 3 rows"), "{shown}");
    let shown = lines("off");
    assert!(!shown.contains("rows"), "{shown}");
}

/// What the example prints on a terminal.
fn on_a_terminal(display: &str) -> String {
    let output = std::process::Command::new("python3")
        .args(["-c", "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]))"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "progress::child_that_shows_progress", "--nocapture"])
        .env("ROWMARK_TEST_DISPLAY", display)
        .env("TERM", "xterm")
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{shown}");
    shown
}

#[test]
#[cfg(feature = "progress")]
fn p02_a_bar_is_drawn_on_a_terminal_only_and_lines_there_if_asked() {
    let bar = |shown: &str| shown.contains("slow [") && shown.contains('%');
    let shown = on_a_terminal("auto");
    assert!(bar(&shown) && shown.contains("3 of 3 rows"), "{shown:?}");
    let shown = on_a_terminal("lines");
    assert!(!bar(&shown) && shown.contains("slow: 3 of 3 rows"), "{shown:?}");
    let shown = on_a_terminal("off");
    assert!(!bar(&shown) && !shown.contains("rows"), "{shown:?}");
    let shown = lines("auto");
    assert!(!bar(&shown), "{shown:?}");
}

#[test]
fn p02_a_callback_that_panics_does_no_harm_to_the_run() {
    let folder = Folder::new();
    let display = ProgressDisplay::callback(|_, _| panic!("the callback fell over"));
    let session = builder(&folder.path()).progress(display).open().unwrap();
    let chain = session.read_values(&[1u64, 2, 3]).map(udf!("same", |n: &u64| *n));
    assert_eq!(chain.collect().unwrap(), [1, 2, 3]);
}

#[test]
fn child_that_shows_progress() {
    let Ok(display) = std::env::var("ROWMARK_TEST_DISPLAY") else { return };
    let display = match display.as_str() {
        "off" => ProgressDisplay::Off,
        "lines" => ProgressDisplay::Lines,
        _ => ProgressDisplay::Auto,
    };
    let folder = Folder::new();
    let session = builder(&folder.path()).progress(display).open().unwrap();
    session.read_values(&[1u64, 2, 3]).map(udf!("slow", |n: &u64| *n)).collect().unwrap();
}
