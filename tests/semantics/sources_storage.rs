//! s: files as rows, of a folder, of a bucket and of a server; each is read in two processes.

use std::fs;
use std::path::Path;
#[cfg(feature = "storage")]
use std::process::Command;

use rowmark::Error;
use rowmark::prelude::*;
use rowmark::readers::{Error as ReadError, File};

use crate::support::{Calls, Folder, builder};

static CALLS: Calls = Calls::new();

/// Tests that run at the same time must not count each other's calls.
static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());

#[rowmark::udf]
fn shout(file: &File) -> Result<String, ReadError> {
    CALLS.count(file.size);
    Ok(file.text()?.to_uppercase())
}

/// Reads and computes all files in a new job: how many calls it took, and what came out.
fn run(state: &Path, address: &str, options: StorageOptions) -> (u64, Vec<String>) {
    // It is the source as a whole that is to be known.
    let session = builder(state).row_reuse(false).open().unwrap();
    let texts = session.read_storage_with(address, options).unwrap().map(shout).collect().unwrap();
    (CALLS.take_total(), texts)
}

fn causes(error: &Error) -> String {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[test]
fn s03_storage_of_a_folder_is_known_by_content_and_not_by_times() {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let (folder, data) = (Folder::new(), tempfile::tempdir().unwrap());
    let pattern = data.path().join("**/*.txt").to_string_lossy().into_owned();
    fs::create_dir(data.path().join("b")).unwrap();
    fs::write(data.path().join("a.txt"), "one").unwrap();
    fs::write(data.path().join("b/c.txt"), "two").unwrap();
    let run = || run(&folder.path(), &pattern, StorageOptions::new());
    assert_eq!(run(), (2, vec!["ONE".to_owned(), "TWO".to_owned()]));
    assert_eq!(run().0, 0);
    let file = fs::File::options().write(true).open(data.path().join("a.txt")).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(run().0, 0, "only its time is another");
    fs::write(data.path().join("b/c.txt"), "tWo").unwrap();
    assert_eq!(run(), (2, vec!["ONE".to_owned(), "TWO".to_owned()]), "one byte was changed");
    fs::rename(data.path().join("a.txt"), data.path().join("z.txt")).unwrap();
    assert_eq!(run(), (2, vec!["TWO".to_owned(), "ONE".to_owned()]), "paths are part of rows");
}

#[test]
fn s03_storage_of_a_file_that_changes_while_it_is_read_is_an_error_and_nothing_of_it_is_kept() {
    let (folder, data) = (Folder::new(), tempfile::tempdir().unwrap());
    let path = data.path().join("a.txt");
    fs::write(&path, "one").unwrap();
    let session = folder.session_in_order();
    let victim = path.to_string_lossy().into_owned();
    // It is read as it was listed, and changed before its row is committed.
    let chain = session.read_storage(&path).unwrap().map(udf!("rewrite", captures(victim), |file: &File| {
        let text = file.text()?;
        fs::write(&victim, "two")
            .map_err(|source| ReadError::Read { path: victim.clone().into(), source })?;
        Ok::<_, ReadError>(text)
    }));
    let told = causes(&chain.collect().unwrap_err());
    assert!(told.contains("a.txt changed while it was read"), "{told}");
    assert_eq!(session.report().step("rewrite").unwrap().rows_out, 0);
}

#[test]
fn s04_storage_rows_of_a_saved_dataset_find_their_files_again() {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let (folder, data) = (Folder::new(), tempfile::tempdir().unwrap());
    fs::write(data.path().join("a.txt"), "one").unwrap();
    folder.session().read_storage(data.path()).unwrap().save("files").unwrap();
    let read = || folder.session().read_dataset::<File>("files", None).unwrap().map(shout).collect();
    assert_eq!(read().unwrap(), ["ONE"]);
    CALLS.take();
    fs::write(data.path().join("a.txt"), "two").unwrap();
    assert_eq!(read().unwrap(), ["ONE"], "it is what was saved, and nothing is read again");
    assert_eq!(CALLS.take_total(), 0);
    let name = udf!("text again", |file: &File| file.text());
    let told = folder.session().read_dataset::<File>("files", None).unwrap().map(name).collect().unwrap_err();
    assert!(causes(&told).contains("a.txt changed"), "{}", causes(&told));
}

#[test]
#[cfg(feature = "storage")]
fn s03_storage_of_a_bucket_and_of_a_server_is_known_in_another_process() {
    use crate::server::Server;
    const STATE: &str = "ROWMARK_TEST_S03_STORAGE";
    const URL: &str = "ROWMARK_TEST_S03_STORAGE_URL";
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let bucket = |url: &str| {
        StorageOptions::new()
            .endpoint(url)
            .allow_http()
            .option("aws_access_key_id", "me")
            .option("aws_secret_access_key", "hunter2")
    };
    let run_both = |state: &Path, url: &str| {
        let (calls, texts) = run(state, "s3://texts/**/*.txt", bucket(url));
        let (more_calls, more_texts) = run(state, &format!("{url}/web/page.txt"), StorageOptions::new());
        (calls + more_calls, [texts, more_texts].concat())
    };
    if let Some(state) = std::env::var_os(STATE) {
        let url = std::env::var(URL).unwrap();
        let (calls, texts) = run_both(Path::new(&state), &url);
        assert_eq!(texts.len(), 4);
        println!("calls: {calls}.");
        return;
    }
    let server = Server::start();
    server.set_page_keys(2);
    for (path, text) in
        [("texts/a.txt", "one"), ("texts/b/c.txt", "two"), ("texts/d.txt", "three"), ("web/page.txt", "four")]
    {
        server.put(path, text);
    }
    let folder = Folder::new();
    let in_other_process = || {
        let child = Command::new(std::env::current_exe().unwrap())
            .args([
                "sources_storage::s03_storage_of_a_bucket_and_of_a_server_is_known_in_another_process",
                "--exact",
                "--nocapture",
            ])
            .env(STATE, folder.path())
            .env(URL, server.url())
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success(), "{told}{}", String::from_utf8_lossy(&child.stderr));
        let (_, calls) = told.split_once("calls: ").unwrap();
        calls.split_once('.').unwrap().0.parse::<u64>().unwrap()
    };
    let (calls, texts) = run_both(&folder.path(), server.url());
    assert_eq!((calls, texts), (4, ["ONE", "TWO", "THREE", "FOUR"].map(String::from).to_vec()));
    assert_eq!(in_other_process(), 0);
    server.put("texts/a.txt", "one");
    server.put("web/page.txt", "four");
    assert_eq!(in_other_process(), 0, "they were only written again");
    server.put("texts/b/c.txt", "twO");
    assert_eq!(in_other_process(), 3, "one byte in the bucket was changed");
    assert_eq!(in_other_process(), 0);
    server.put("web/page.txt", "fouR");
    assert_eq!(in_other_process(), 1, "one byte on the server was changed");

    // Whatever was kept, the secret is not in it.
    let mut files = vec![folder.path()];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let bytes = fs::read(&path).unwrap();
            assert!(!bytes.windows(7).any(|bytes| bytes == b"hunter2"), "{}", path.display());
        }
    }
}

#[test]
#[cfg(feature = "storage")]
fn s06_storage_of_a_bucket_that_cannot_be_read_says_which_and_why() {
    use crate::server::{Fault, Server};
    let server = Server::start();
    server.put("bad/a.txt", b"\xff".to_vec());
    server.put("bad/b.txt", "two");
    let options = StorageOptions::new().endpoint(server.url()).allow_http().anonymous().retries_max(1);
    let folder = Folder::new();
    let chain = |session: &Session| {
        let text = udf!("text", |file: &File| file.text());
        session.read_storage_with("s3://bad/*", options.clone()).unwrap().map(text)
    };
    let told = causes(&chain(&folder.session()).collect().unwrap_err());
    assert!(told.contains("s3://bad/a.txt: it is no text in UTF-8"), "{told}");
    // Recorded, the bad row is no obstacle.
    let session = builder(&folder.path()).on_error(OnError::Record { failures_max: 1 }).open().unwrap();
    assert_eq!(chain(&session).collect().unwrap(), ["two"]);
    drop(session);
    server.fail("bad", Fault::Status(403), 100);
    let error = folder.session().read_storage_with("s3://bad/*", options.clone()).unwrap_err();
    assert!(causes(&error).starts_with("cannot list s3://bad/*: the store refuses"), "{}", causes(&error));
}

#[test]
fn s07_storage_options_that_shape_rows_are_part_of_the_identity() {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let (folder, data) = (Folder::new(), tempfile::tempdir().unwrap());
    fs::write(data.path().join("a.txt"), "one").unwrap();
    let address = data.path().to_str().unwrap();
    let run = |options: StorageOptions| run(&folder.path(), address, options).0;
    assert_eq!(run(StorageOptions::new()), 1);
    assert_eq!(run(StorageOptions::new().with_modified()), 1, "rows have times now");
    assert_eq!(run(StorageOptions::new().with_modified()), 0);
    assert_eq!(
        run(StorageOptions::new().retries_max(5).region("eu-1").option("timeout", "9s")),
        0,
        "only the way"
    );
    let file = fs::File::options().write(true).open(data.path().join("a.txt")).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(run(StorageOptions::new()), 0);
    assert_eq!(
        run(StorageOptions::new().with_modified()),
        1,
        "another time is another row where times are rows"
    );
}
