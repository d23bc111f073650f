//! The simulated machine: it behaves as the real one does, and loses what POSIX permits it to lose.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rowmark_os::{Fault, Loss, Os, Simulated, System};

fn write(os: &dyn Os, path: &Path, bytes: &[u8]) {
    let mut file = os.create_file(path).unwrap();
    file.append(bytes).unwrap();
    file.sync().unwrap();
}

fn read(os: &dyn Os, path: &Path) -> Vec<u8> {
    let file = os.open_file(path).unwrap();
    let mut bytes = vec![0; file.bytes().unwrap() as usize];
    file.read_at(&mut bytes, 0).unwrap();
    bytes
}

/// What both machines answer, as text that can be compared.
fn history(os: &dyn Os, root: &Path) -> Vec<String> {
    let mut answers = Vec::new();
    let mut note = |what: &str, answer: Result<String, std::io::Error>| {
        answers.push(format!("{what}: {:?}", answer.map_err(|error| error.kind())));
    };
    let path = |name: &str| root.join(name);
    let list = |name: &str| os.list(&root.join(name)).map(|names| names.join(" "));
    let done = |answer: std::io::Result<()>| answer.map(|()| "done".to_owned());

    note("a folder", done(os.create_folder(&path("f"))));
    note("again", done(os.create_folder(&path("f"))));
    note("without a parent", done(os.create_folder(&path("x/y"))));
    let mut file = os.create_file(&path("f/a")).unwrap();
    note("a file again", os.create_file(&path("f/a")).map(|_| String::new()));
    note("a file without a folder", os.create_file(&path("x/a")).map(|_| String::new()));
    file.append(b"one").unwrap();
    let reader = os.open_file(&path("f/a")).unwrap();
    note("locked", Ok(reader.is_being_written().to_string()));
    file.append(b" two").unwrap();
    file.sync().unwrap();
    drop(file);
    note("unlocked", Ok(reader.is_being_written().to_string()));
    note("bytes", reader.bytes().map(|bytes| bytes.to_string()));
    note("too many", reader.read_at(&mut [0; 8], 0).map(|()| String::new()));
    note("beyond", reader.read_at(&mut [0; 1], 70).map(|()| String::new()));
    note("no file", os.open_file(&path("f/b")).map(|_| String::new()));
    note("a link", done(os.hard_link(&path("f/a"), &path("f/b"))));
    note("a link over it", done(os.hard_link(&path("f/a"), &path("f/b"))));
    note("a copy", done(os.copy(&path("f/a"), &path("f/c"))));
    note("a copy of nothing", done(os.copy(&path("f/x"), &path("f/y"))));
    note("names", list("f"));
    note("no names", list("x"));
    note("names of a file", list("f/a"));
    note("a rename", done(os.rename(&path("f/c"), &path("f/d"))));
    note("a rename over a file", done(os.rename(&path("f/d"), &path("f/b"))));
    note("a rename of nothing", done(os.rename(&path("f/x"), &path("f/y"))));
    os.create_folder(&path("g")).unwrap();
    note("a folder over a full one", done(os.rename(&path("g"), &path("f"))));
    note("a folder over a file", done(os.rename(&path("g"), &path("f/a"))));
    note("a file over a folder", done(os.rename(&path("f/a"), &path("g"))));
    note("a folder over an empty one", done(os.rename(&path("f"), &path("g"))));
    note("names", list(""));
    note("names", list("g"));
    note("size", os.file_bytes(&path("g/a")).map(|bytes| bytes.to_string()));
    note("is there", os.exists(&path("f")).map(|exists| exists.to_string()));
    note("sync", done(os.sync_folder(&path("g"))));
    note("sync of nothing", done(os.sync_folder(&path("f"))));
    note("remove", done(os.remove_file(&path("g/a"))));
    note("remove again", done(os.remove_file(&path("g/a"))));
    let mut bytes = [0; 7];
    note(
        "still readable",
        reader.read_at(&mut bytes, 0).map(|()| String::from_utf8_lossy(&bytes).into_owned()),
    );
    note("remove the folder", done(os.remove_folder(&path("g"))));
    note("remove it again", done(os.remove_folder(&path("g"))));
    note("names", list(""));
    answers
}

#[test]
fn the_simulated_machine_answers_as_the_real_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let simulated = history(&Simulated::new(), Path::new(""));
    assert_eq!(history(&System, folder.path()), simulated);
    assert!(simulated.len() > 35);
}

#[test]
fn bytes_are_durable_after_the_sync_of_the_file_and_a_name_after_that_of_its_folder() {
    for (sync_file, sync_folder) in [(false, false), (false, true), (true, false), (true, true)] {
        let machine = Simulated::new();
        let mut file = machine.create_file(Path::new("a")).unwrap();
        file.append(b"bytes").unwrap();
        if sync_file {
            file.sync().unwrap();
        }
        if sync_folder {
            machine.sync_folder(Path::new("")).unwrap();
        }
        machine.crash(Loss::AllUnsynced);
        assert_eq!(machine.exists(Path::new("a")).unwrap(), sync_folder);
        if sync_folder {
            assert_eq!(read(&machine, Path::new("a")), if sync_file { &b"bytes"[..] } else { b"" });
        }
    }
}

#[test]
fn a_folder_is_lost_with_all_that_is_synced_in_it_until_its_own_name_is_durable() {
    let machine = Simulated::new();
    machine.create_folder(Path::new("f")).unwrap();
    write(&machine, Path::new("f/a"), b"bytes");
    machine.sync_folder(Path::new("f")).unwrap();
    machine.crash(Loss::AllUnsynced);
    assert_eq!(machine.list(Path::new("")).unwrap(), [""; 0]);
}

#[test]
fn a_kill_loses_nothing_but_locks_and_open_files() {
    let machine = Simulated::new();
    let mut file = machine.create_file(Path::new("a")).unwrap();
    file.append(b"bytes").unwrap();
    machine.crash(Loss::Nothing);
    assert!(file.append(b"more").is_err());
    let reader = machine.open_file(Path::new("a")).unwrap();
    assert!(!reader.is_being_written());
    // A dead writer's handle does not end the lock of a new one.
    let mut again = machine.create_file(Path::new("b")).unwrap();
    drop(file);
    again.append(b"x").unwrap();
    assert!(machine.open_file(Path::new("b")).unwrap().is_being_written());
    assert_eq!(read(&machine, Path::new("a")), b"bytes");
    // It has made nothing durable either.
    machine.crash(Loss::AllUnsynced);
    assert_eq!(machine.list(Path::new("")).unwrap(), [""; 0]);
}

#[test]
fn a_random_loss_tears_the_last_append_and_never_what_was_synced() {
    let (mut lengths, mut zeros) = (BTreeSet::new(), 0);
    for seed in 0..400 {
        let machine = Simulated::new();
        let mut file = machine.create_file(Path::new("a")).unwrap();
        machine.sync_folder(Path::new("")).unwrap();
        file.append(&[1; 1000]).unwrap();
        file.sync().unwrap();
        file.append(&[2; 1000]).unwrap();
        file.append(&[3; 3000]).unwrap();
        machine.crash(Loss::Random(seed));
        let bytes = read(&machine, Path::new("a"));
        assert!((1000..=5000).contains(&bytes.len()) && bytes[..1000] == [1; 1000]);
        if bytes.len() > 2000 {
            assert_eq!(bytes[1000..2000], [2; 1000], "only the last append is torn");
        }
        zeros += usize::from(bytes.contains(&0));
        lengths.insert(bytes.len());
    }
    assert!(lengths.contains(&5000) && lengths.len() > 100 && zeros > 20, "{} {zeros}", lengths.len());
}

#[test]
fn each_folder_keeps_the_first_part_of_its_changes() {
    let mut found = BTreeSet::new();
    for seed in 0..200 {
        let machine = Simulated::new();
        for folder in ["f", "g"] {
            machine.create_folder(Path::new(folder)).unwrap();
        }
        machine.sync_folder(Path::new("")).unwrap();
        for name in ["1", "2", "3"] {
            for folder in ["f", "g"] {
                drop(machine.create_file(&Path::new(folder).join(name)).unwrap());
            }
        }
        machine.crash(Loss::Random(seed));
        let names = ["f", "g"].map(|folder| machine.list(Path::new(folder)).unwrap());
        for names in &names {
            assert_eq!(names[..], ["1", "2", "3"][..names.len()]);
        }
        found.insert(names.map(|names| names.len()));
    }
    assert_eq!(found.len(), 4 * 4, "every pair of first parts is met");
}

#[test]
fn a_rename_is_whole_or_not_there_also_between_folders() {
    let mut found = BTreeSet::new();
    for seed in 0..100 {
        let machine = Simulated::new();
        for folder in ["f", "g"] {
            machine.create_folder(Path::new(folder)).unwrap();
        }
        machine.sync_folder(Path::new("")).unwrap();
        write(&machine, Path::new("f/a"), b"bytes");
        machine.sync_folder(Path::new("f")).unwrap();
        machine.rename(Path::new("f/a"), Path::new("g/b")).unwrap();
        drop(machine.create_file(Path::new("f/c")).unwrap());
        if seed % 2 == 0 {
            // It makes the rename durable in both folders.
            machine.sync_folder(Path::new("g")).unwrap();
        }
        machine.crash(Loss::Random(seed));
        let is_there = |name| machine.exists(Path::new(name)).unwrap();
        let state = [is_there("f/a"), is_there("g/b"), is_there("f/c")];
        assert_ne!(state[0], state[1]);
        assert!(!state[2] || state[1], "the rename was before it in its folder");
        assert!(seed % 2 == 1 || state[1]);
        found.insert(state);
    }
    assert_eq!(found.len(), 3);
}

#[test]
fn the_operation_that_fails_is_the_one_that_was_named() {
    let faults = [Fault::Die, Fault::DieHalfWay, Fault::NoSpace, Fault::ShortWrite, Fault::Io];
    for fault in faults {
        for at in 1..=5 {
            let machine = Simulated::new();
            machine.fail_at(at, fault);
            let run = || -> std::io::Result<()> {
                machine.create_folder(Path::new("f"))?;
                let mut file = machine.create_file(Path::new("f/a"))?;
                file.append(&[7; 10])?;
                file.sync()?;
                machine.sync_folder(Path::new("f"))
            };
            let error = run().unwrap_err();
            let is_full = matches!(fault, Fault::NoSpace | Fault::ShortWrite);
            assert_eq!(error.kind() == ErrorKind::StorageFull, is_full);
            assert_eq!(machine.operations(), at);
            let is_dead = matches!(fault, Fault::Die | Fault::DieHalfWay);
            assert_eq!(machine.create_folder(Path::new("g")).is_err(), is_dead);
            machine.crash(Loss::Nothing);
            let kept = machine.file_bytes(Path::new("f/a"));
            match (at, fault) {
                (1 | 2, _) => assert!(kept.is_err()),
                (3, Fault::DieHalfWay | Fault::ShortWrite) => assert_eq!(kept.unwrap(), 5),
                (3, _) => assert_eq!(kept.unwrap(), 0),
                _ => assert_eq!(kept.unwrap(), 10),
            }
            machine.create_folder(Path::new("h")).unwrap();
        }
    }
}

#[test]
fn a_folder_is_removed_name_by_name() {
    for at in 1..=4 {
        let machine = Simulated::new();
        machine.create_folder(Path::new("f")).unwrap();
        for name in ["f/1", "f/2", "f/3"] {
            drop(machine.create_file(Path::new(name)).unwrap());
        }
        machine.fail_at(4 + at, Fault::Io);
        machine.remove_folder(Path::new("f")).unwrap_err();
        assert_eq!(machine.list(Path::new("f")).unwrap().len() as u64, 4 - at);
        machine.remove_folder(Path::new("f")).unwrap();
    }
}

#[test]
fn links_share_their_bytes_until_they_are_refused() {
    let machine = Simulated::new();
    write(&machine, Path::new("a"), b"bytes");
    machine.hard_link(Path::new("a"), Path::new("b")).unwrap();
    assert_eq!(machine.bytes_on_disk(), 5);
    machine.refuse_links();
    assert!(machine.hard_link(Path::new("a"), Path::new("c")).is_err());
    machine.copy(Path::new("a"), Path::new("c")).unwrap();
    assert_eq!(machine.bytes_on_disk(), 10);
    machine.remove_file(Path::new("a")).unwrap();
    assert_eq!((read(&machine, Path::new("b")), machine.bytes_on_disk()), (b"bytes".to_vec(), 10));
}

#[test]
fn time_passes_when_it_is_told_to() {
    let machine = Simulated::new();
    assert_eq!(machine.now(), SystemTime::UNIX_EPOCH);
    machine.advance(Duration::from_secs(60));
    assert_eq!(machine.clone().now(), SystemTime::UNIX_EPOCH + Duration::from_secs(60));
    assert!(System.now() > machine.now());
}
