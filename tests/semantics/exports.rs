//! Files that chains are written to.

use rowmark::prelude::*;

use crate::support::Folder;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Lists {
    first: Vec<u64>,
    second: Vec<u64>,
}

#[test]
fn csv_of_rows_with_lists_is_refused_whatever_their_lengths() {
    let folder = Folder::new();
    let session = folder.session();
    let file = folder.path().with_extension("csv");
    let rows = session.read_values(&[Lists { first: vec![1, 2], second: vec![] }]);
    let written = rows.write_csv(&file);
    assert!(written.is_err(), "{}", std::fs::read_to_string(&file).unwrap());
    assert!(!file.exists());
}

#[test]
fn two_threads_that_write_one_file_leave_the_rows_of_one_of_them() {
    let folder = Folder::new();
    let session = folder.session();
    let file = folder.path().with_extension("jsonl");
    for _ in 0..20 {
        std::thread::scope(|scope| {
            for fill in [11_111_111_u64, 22] {
                let (session, file) = (session.clone(), &file);
                scope.spawn(move || session.read_values(&vec![fill; 50_000]).write_jsonl(file).unwrap());
            }
        });
        let text = std::fs::read_to_string(&file).unwrap();
        let first = text.lines().next().unwrap();
        assert_eq!(text.lines().count(), 50_000);
        assert!(text.lines().all(|line| line == first), "the rows of both");
    }
}

#[cfg(unix)]
#[test]
fn a_link_is_written_through_and_the_permissions_of_a_file_stay() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new();
    let session = folder.session();
    let file = folder.path().with_extension("jsonl");
    let link = folder.path().with_extension("link");
    std::fs::write(&file, "").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    session.read_values(&[1]).write_jsonl(&link).unwrap();
    assert!(link.is_symlink());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "1\n");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}
