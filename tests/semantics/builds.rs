//! The build of the program: recorded with each job, told of where rows of another build are used, and part of the
//! identity where that is asked for. Another build is a copy of this test program with another id in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rowmark::metastore::Build;
use rowmark::prelude::*;

use crate::support::{Folder, builder};

const ROWS: u64 = 100;
const FAIL_AT: &str = "ROWMARK_TEST_FAIL_AT";

/// A UDF that uses something and does not list it.
#[rowmark::udf]
fn scaled(n: &u64) -> Result<u64, String> {
    let fail_at = std::env::var(FAIL_AT).ok().and_then(|row| row.parse().ok());
    if fail_at == Some(*n) { Err("it is to fail".to_owned()) } else { Ok(helper(*n)) }
}

fn helper(n: u64) -> u64 {
    n * 3
}

#[test]
fn child_that_runs_a_chain() {
    let Some(folder) = std::env::var_os("ROWMARK_TEST_BUILDS") else { return };
    let session = builder(Path::new(&folder)).threads(1).open().unwrap();
    let rows = session.read_records((0..ROWS).collect());
    let few = rows.filter(udf!("few", |n: &u64| *n < 90));
    let result = few.map(scaled).map(udf!("half", |n: &u64| n / 2)).save("halves");
    println!("{}", session.report());
    assert_eq!(result.is_err(), std::env::var_os(FAIL_AT).is_some());
}

/// This program, another build of it if there is a number, run on a state folder; what its report says.
fn run(folder: &Folder, build: Option<u8>, variables: &[(&str, &str)]) -> String {
    let program = match build {
        None => std::env::current_exe().unwrap(),
        Some(number) => another_build(folder, number),
    };
    run_program(&program, folder, variables)
}

fn run_program(program: &Path, folder: &Folder, variables: &[(&str, &str)]) -> String {
    let output = Command::new(program)
        .args(["--exact", "builds::child_that_runs_a_chain", "--nocapture"])
        .env("ROWMARK_TEST_BUILDS", folder.path())
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}");
    told
}

/// The builds that ran, in their order.
fn builds(folder: &Folder) -> Vec<Build> {
    let session = folder.session();
    session.metastore().list_jobs().unwrap().into_iter().map(|job| job.build.unwrap()).collect()
}

/// A copy of this program whose build id has another last byte. One that has no build id gets another content.
fn another_build(folder: &Folder, number: u8) -> PathBuf {
    let path = folder.path().with_file_name(format!("build-{number}"));
    if path.exists() {
        return path;
    }
    let mut program = fs::read(std::env::current_exe().unwrap()).unwrap();
    let mine = builds(folder).remove(0).executable;
    match mine.strip_prefix("build id ") {
        Some(id) => {
            let byte = |at| u8::from_str_radix(&id[at..at + 2], 16).unwrap();
            let id: Vec<u8> = (0..id.len()).step_by(2).map(byte).collect();
            let at = program.windows(id.len()).position(|window| window == id).unwrap();
            program[at + id.len() - 1] ^= number;
        }
        None => program.push(number),
    }
    fs::copy(std::env::current_exe().unwrap(), &path).unwrap(); // with its mode
    fs::write(&path, program).unwrap();
    path
}

const NEWS: &str = "the program was built anew since rows that were used here were computed: ";

#[test]
fn j01_a_job_knows_the_build_that_runs_it() {
    let folder = Folder::new();
    run(&folder, None, &[]);
    run(&folder, None, &[]);
    run(&folder, Some(1), &[]);
    let [first, second, third] = &builds(&folder)[..] else { panic!("three jobs ran") };
    assert!(first.compiler.starts_with("rustc 1."), "{first:?}");
    assert!(first.target.starts_with(std::env::consts::ARCH), "{first:?}");
    assert_eq!(first, second);
    assert_ne!(first.executable, third.executable);
}

#[test]
fn a_new_build_is_told_of_once_where_rows_of_another_are_used() {
    let folder = Folder::new();
    assert!(!run(&folder, None, &[]).contains(NEWS));
    assert!(!run(&folder, None, &[]).contains(NEWS), "the same build is no news");
    let told = run(&folder, Some(1), &[]);
    assert!(told.contains("skipped: done by job "), "{told}");
    assert!(told.contains(&format!("{NEWS}half, scaled\n")), "{told}");
    for _ in 0..2 {
        let told = run(&folder, Some(1), &[]);
        assert!(told.contains("skipped: done by job ") && !told.contains(NEWS), "{told}");
    }
    assert!(run(&folder, Some(2), &[]).contains(NEWS), "the next build is news again");
}

#[test]
fn progress_of_another_build_is_told_of() {
    let folder = Folder::new();
    run(&folder, None, &[(FAIL_AT, "50")]);
    let told = run(&folder, Some(1), &[]);
    assert!(told.contains("continued: progress of job "), "{told}");
    assert!(told.contains(&format!("{NEWS}scaled\n")), "{told}");
}

#[test]
fn where_the_build_is_strict_every_new_one_computes_finished_steps() {
    let strict = [("ROWMARK_STRICT_BUILD", "yes")];
    let folder = Folder::new();
    run(&folder, None, &strict);
    let told = run(&folder, None, &strict);
    assert!(told.contains("skipped") && !told.contains("run:"), "the same build is used: {told}");
    let told = run(&folder, Some(1), &strict);
    assert!(!told.contains("skipped") && !told.contains(NEWS), "{told}");
    assert!(told.contains("run: filter few build: \"build id ") || told.contains("content "), "{told}");
}

#[test]
fn progress_goes_on_where_the_build_is_strict() {
    let folder = Folder::new();
    let run = |build, fail_at| {
        let session = |strict| builder(&folder.path()).threads(1).strict_build(strict).open().unwrap();
        let session = session(build);
        let chain = session.read_records((0..ROWS).collect()).map(udf!("odd", |n: &u64| {
            let fail_at = FAIL.load(std::sync::atomic::Ordering::SeqCst);
            if fail_at == *n { Err("it is to fail".to_owned()) } else { Ok(n | 1) }
        }));
        FAIL.store(fail_at, std::sync::atomic::Ordering::SeqCst);
        let _ = chain.collect();
        let report = session.report();
        let step = report.step("odd").unwrap();
        (step.decision, step.rows_reused)
    };
    static FAIL: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(u64::MAX);
    run(false, 40);
    assert_eq!(run(true, u64::MAX), (rowmark::Decision::Continued, 40), "with the build it is other code");
    assert_eq!(run(false, u64::MAX), (rowmark::Decision::Run, 0), "and is not found without it");
}

#[test]
fn u06_a_program_that_was_moved_and_renamed_continues() {
    let folder = Folder::new();
    run(&folder, None, &[(FAIL_AT, "50")]);
    let moved = folder.path().with_file_name("moved").join("renamed");
    fs::create_dir(moved.parent().unwrap()).unwrap();
    fs::copy(std::env::current_exe().unwrap(), &moved).unwrap();
    let told = run_program(&moved, &folder, &[]);
    assert!(told.contains("continued: progress of job ") && !told.contains(NEWS), "{told}");
    let told = run_program(&moved, &folder, &[]);
    assert!(told.contains("skipped: done by job ") && !told.contains("run:"), "{told}");
}
