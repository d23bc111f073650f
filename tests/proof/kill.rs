//! Real death: a child process on the real stores is killed with `SIGKILL` at random, again and again, until it is done.
//!
//! `ROWMARK_KILL_ROUNDS` sets how often (200).

use std::time::Duration;

use crate::calls;
use crate::folder::{self, Folder};
use crate::work;

/// Rows of a run: so many that a few kills are needed to get through.
const ROWS: u64 = 30;

const THREADS: &str = "ROWMARK_TEST_THREADS";

/// How long a child may live, in milliseconds: it dies while it opens, at work, or not at all.
const LIVES_MILLIS_MAX: [u64; 4] = [30, 100, 300, 600];

fn rounds() -> u64 {
    std::env::var("ROWMARK_KILL_ROUNDS").map_or(200, |rounds| rounds.parse().unwrap())
}

#[test]
fn child_that_is_killed() {
    let Some((state, log)) = folder::child() else { return };
    let threads = std::env::var(THREADS).unwrap().parse().unwrap();
    let session = work::builder().state_folder(state).threads(threads).open().unwrap();
    work::run(&session, ROWS, log).unwrap();
}

fn killed_again_and_again(threads: u64) {
    let log = calls::new_log();
    let unbroken = Folder::new(log).unbroken(ROWS);
    let mut random = u64::from(std::process::id()) | 1;
    let (mut kills, mut finished) = (0, 0);
    while kills < rounds() / 2 {
        let folder = Folder::new(log);
        let mut done = folder.done(&unbroken);
        for life in 1.. {
            let what = format!("{threads} threads, life {life}, {kills} kills before");
            let mut child = folder.command("kill::child_that_is_killed");
            let mut child = child.env(THREADS, threads.to_string()).spawn().unwrap();
            random ^= random << 13; // Xorshift (Marsaglia 2003)
            random ^= random >> 7;
            random ^= random << 17;
            let micros = random % (1000 * LIVES_MILLIS_MAX[life % LIVES_MILLIS_MAX.len()]);
            std::thread::sleep(Duration::from_micros(micros));
            let is_killed = child.try_wait().unwrap().is_none();
            child.kill().unwrap();
            let ended = child.wait_with_output().unwrap();
            let has_failed = ended.status.code().is_some_and(|code| code != 0);
            assert!(!has_failed, "{what}: {}", String::from_utf8_lossy(&ended.stderr));
            unbroken.check_broken_calls(&folder.take_calls(), &done, &what);
            done = folder.done(&unbroken);
            kills += u64::from(is_killed);
            if ended.status.success() {
                finished += 1;
                folder.check(&unbroken, &what);
                break;
            }
        }
    }
    println!("{threads} threads: {kills} kills, {finished} runs finished");
    assert!(finished > 0);
}

#[test]
fn r08_killed_again_and_again_with_one_thread() {
    killed_again_and_again(1);
}

#[test]
fn r08_killed_again_and_again_with_four_threads() {
    killed_again_and_again(4);
}
