//! Two processes on one state folder: the second is told who holds it and since when, and a dead one holds nothing.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use rowmark::{Error, StateError};

use crate::calls;
use crate::folder::{self, Folder};
use crate::work;

/// What a child says when it has the folder.
const OPEN: &str = "the folder is open";

#[test]
fn child_that_holds_the_folder() {
    let Some((state, _)) = folder::child() else { return };
    let _session = work::builder().job_name("nightly").state_folder(state).open().unwrap();
    println!("\n{OPEN}");
    // It is killed long before.
    std::thread::sleep(std::time::Duration::from_secs(600));
}

#[test]
fn j05_a_process_is_refused_while_another_lives_and_not_when_it_is_dead() {
    let folder = Folder::new(calls::new_log());
    for _ in 0..3 {
        let mut child = folder
            .command("two_processes::child_that_holds_the_folder")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == OPEN), "the child could not open the folder");

        let holder = std::fs::read_to_string(folder.state().join("holder")).unwrap();
        let error = folder.session().unwrap_err();
        child.kill().unwrap();
        child.wait().unwrap();

        assert!(matches!(error, Error::State(StateError::InUse { .. })), "{error:?}");
        let text = error.to_string();
        let told = format!("is in use by process {}, job `nightly`, since 20", child.id());
        assert!(text.contains(&told) && text.contains(holder.trim_end()), "{text}");
        assert!(text.contains(&*folder.state().to_string_lossy()) && text.contains("wait until"), "{text}");
        // What the dead one wrote is still there, and holds nothing.
        assert_eq!(std::fs::read_to_string(folder.state().join("holder")).unwrap(), holder);
        folder.run(9).unwrap();
    }
}
