//! Files in buckets and on servers, over real connections to a server of this machine.

#![expect(clippy::unwrap_used, reason = "a test")]

mod server;

use std::io::Read as _;

use rowmark_readers::{Error, File, Files, Source, StorageOptions, StorageSource};
use rowmark_rows::{RowRange, RowSchema};
use server::{Fault, Server, Tags};

/// Options for a server of this machine.
fn options(server: &Server) -> StorageOptions {
    StorageOptions::new()
        .endpoint(server.url())
        .allow_http()
        .retries_max(3)
        .option("aws_access_key_id", "AKIDME")
        .option("aws_secret_access_key", "hunter2")
}

fn open(files: impl Into<Files>, options: StorageOptions) -> Vec<File> {
    rows(&StorageSource::open(files, options).unwrap())
}

fn rows(source: &StorageSource) -> Vec<File> {
    let rows = source.rows().unwrap();
    source.read(RowRange::new(0, rows)).unwrap().collect::<Result<_, _>>().unwrap()
}

fn paths(files: &[File]) -> Vec<&str> {
    files.iter().map(|file| file.path.as_str()).collect()
}

fn hash(source: &StorageSource) -> String {
    source.fingerprint().unwrap().hash().to_string()
}

/// An error with all its causes.
fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
    causes.collect::<Vec<_>>().join(": ")
}

#[test]
fn a_bucket_is_listed_in_pages_by_file_folder_or_pattern() {
    let server = Server::start();
    for key in
        ["a.txt", "images/1.jpg", "images/2 & <3>.jpg", "images/deep/4.jpg", "images/.hidden.jpg", "z/5.jpg"]
    {
        server.put(&format!("lists/{key}"), key);
    }
    // Markers of folders, as consoles make them, and a file without bytes.
    server.put("lists/images/", "");
    server.put("lists/images/deep/", "");
    server.put("lists/images/empty", "");
    server.set_page_keys(2);
    for (address, expected) in [
        ("s3://lists/a.txt", &["a.txt"][..]),
        ("s3://lists/images/", &["images/1.jpg", "images/2 & <3>.jpg", "images/deep/4.jpg", "images/empty"]),
        ("s3://lists/images", &["images/1.jpg", "images/2 & <3>.jpg", "images/deep/4.jpg", "images/empty"]),
        ("s3://lists/images/*.jpg", &["images/1.jpg", "images/2 & <3>.jpg"]),
        ("s3://lists/**/*.jpg", &["images/1.jpg", "images/2 & <3>.jpg", "images/deep/4.jpg", "z/5.jpg"]),
        ("s3://lists/images/?.jpg", &["images/1.jpg"]),
        ("s3://lists/[iz]*/[45].jpg", &["z/5.jpg"]),
        ("s3://lists/images/.h*", &["images/.hidden.jpg"]),
    ] {
        assert_eq!(paths(&open(address, options(&server))), expected, "{address}");
    }
    let all = server.take_requests();
    let pages = |request: &&server::Request| request.query.contains_key("continuation-token");
    assert!(all.iter().filter(pages).count() > 10, "it is listed two keys at a time");
    assert!(all.iter().all(|request| request.headers["authorization"].contains("Credential=AKIDME/")));

    let both = ["s3://lists/images/*.jpg", "s3://lists/images/1*"];
    assert_eq!(open(both, options(&server)).len(), 2, "each file is there once");
    let none = StorageSource::open("s3://lists/*.png", options(&server)).unwrap_err();
    assert!(told(&none).starts_with("there is no file to read in s3://lists/*.png"), "{}", told(&none));
}

#[test]
fn files_are_read_and_their_rows_can_be_stored() {
    let server = Server::start();
    let long: Vec<u8> = (0..3_000_000u32).map(|number| (number % 251) as u8).collect();
    server.put("reads/long", &long[..]);
    server.put("reads/text.txt", "grüezi");
    server.put("reads/empty", "");
    let files = open("s3://reads/", options(&server));
    let schema = RowSchema::of::<File>().unwrap();
    let files: Vec<File> = schema.decode(&schema.encode(&files).unwrap()).unwrap();
    let [empty, long_file, text] = &files[..] else { panic!("{files:?}") };
    assert_eq!(empty.read().unwrap(), b"");
    assert_eq!(text.text().unwrap(), "grüezi");
    assert_eq!((text.uri().as_str(), text.name(), text.size), ("s3://reads/text.txt", "text.txt", 7));
    assert!(long_file.read().unwrap() == long);
    // A reader that is left early ends its request.
    let mut some = [0; 1000];
    long_file.open().unwrap().read_exact(&mut some).unwrap();
    assert_eq!(some, long[..1000]);
    assert!(told(&long_file.text().unwrap_err()).contains("s3://reads/long: it is no text in UTF-8"));
    let conditions = server.take_requests();
    let reads = conditions.iter().filter(|request| request.method == "GET" && request.query.is_empty());
    assert!(
        reads.clone().count() == 5 && reads.clone().all(|request| request.headers.contains_key("if-match"))
    );
}

#[test]
fn the_identity_is_of_paths_sizes_and_tags_and_not_of_times_orders_or_ways() {
    let (one, other) = (Server::start(), Server::start());
    for name in ["a", "b", "c"] {
        one.put(&format!("same/{name}"), name);
    }
    for name in ["c", "b", "a"] {
        other.put(&format!("same/{name}"), name);
    }
    other.set_page_keys(1);
    let open = |server: &Server, address: &str| StorageSource::open(address, options(server)).unwrap();
    let first = hash(&open(&one, "s3://same/"));
    assert_eq!(first, hash(&open(&other, "s3://same/*")));
    one.put("same/a", "a");
    assert_eq!(first, hash(&open(&one, "s3://same/")), "it was only written again");
    let timed = |server| hash(&StorageSource::open("s3://same/", options(server).with_modified()).unwrap());
    assert_ne!(timed(&one), timed(&other), "times count where they are asked for");
    let file = &rows(&StorageSource::open("s3://same/c", options(&one).with_modified()).unwrap())[0];
    assert_eq!(file.modified.as_deref(), Some("2024-03-06T12:00:03Z"));

    one.put("same/b", "B");
    let changed = hash(&open(&one, "s3://same/"));
    one.put("same/b", "b");
    one.put("same/d", "d");
    let added = hash(&open(&one, "s3://same/"));
    one.remove("same/d");
    assert_eq!(first, hash(&open(&one, "s3://same/")));
    one.remove("same/c");
    let removed = hash(&open(&one, "s3://same/"));
    let all = [first, changed, added, removed];
    assert!((0..4).all(|at| !all[at + 1..].contains(&all[at])), "{all:?}");
}

#[test]
fn a_file_that_changes_is_an_error_and_never_a_mixture() {
    let server = Server::start();
    let bytes = vec![7; 200_000];
    for name in ["before", "during", "gone"] {
        server.put(&format!("changes/{name}"), &bytes[..]);
    }
    let files = open("s3://changes/", options(&server));
    let [before, during, gone] = &files[..] else { panic!("{files:?}") };
    server.put("changes/before", vec![8; 200_000]);
    assert!(
        matches!(before.read(), Err(Error::Changed { path }) if path.to_str() == Some("s3://changes/before"))
    );
    server.fail("during", Fault::Overwrite(100_000), 1);
    assert!(matches!(during.read(), Err(Error::Changed { .. })));
    server.put("changes/during", &bytes[..]);
    assert!(during.read().unwrap() == bytes, "it is again what it was");
    server.remove("changes/gone");
    let gone = told(&gone.read().unwrap_err());
    assert!(gone.starts_with("cannot read s3://changes/gone: it is not there"), "{gone}");
}

/// Runs a test of this program in a process of its own, which has no other variables than these.
fn in_a_process(test: &str, variables: &[(&str, &str)]) {
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact"])
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && told.contains("1 passed"), "{told}");
}

#[test]
fn a_row_finds_its_store_again_by_what_the_environment_says() {
    const ROW: &str = "ROWMARK_TEST_ROW";
    if let Ok(row) = std::env::var(ROW) {
        let file: File = serde_json::from_str(&row).unwrap();
        assert_eq!(file.text().unwrap(), "hello");
        return;
    }
    let server = Server::start();
    server.put("environment/file", "hello");
    let file = &open("s3://environment/file", options(&server))[0];
    server.take_requests();
    in_a_process(
        "a_row_finds_its_store_again_by_what_the_environment_says",
        &[
            (ROW, &serde_json::to_string(file).unwrap()),
            ("AWS_ENDPOINT_URL", server.url()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ACCESS_KEY_ID", "OTHERKEY"),
            ("AWS_SECRET_ACCESS_KEY", "hunter3"),
        ],
    );
    let requests = server.take_requests();
    assert!(requests[0].headers["authorization"].contains("Credential=OTHERKEY/"), "{requests:?}");
}

#[test]
fn a_store_without_credentials_says_how_to_give_them() {
    const URL: &str = "ROWMARK_TEST_NO_CREDENTIALS";
    if let Ok(url) = std::env::var(URL) {
        let options = StorageOptions::new().endpoint(&url).allow_http().retries_max(0);
        // Where machines in the cloud find credentials, there is nobody.
        let options = options.option("aws_metadata_endpoint", "http://127.0.0.1:9");
        let error = told(&StorageSource::open("s3://none/*", options).unwrap_err());
        assert!(
            error.starts_with("cannot list s3://none/*: no credentials were found; give them as options"),
            "{error}"
        );
        return;
    }
    let server = Server::start();
    in_a_process("a_store_without_credentials_says_how_to_give_them", &[(URL, server.url())]);
}

#[test]
fn a_version_that_was_asked_for_is_read_whatever_was_written_since() {
    let server = Server::start();
    server.keep_versions();
    server.put("versions/a", "one");
    server.put("versions/b", "one");
    let open = |options| StorageSource::open("s3://versions/*", options).unwrap();
    let (plain, versioned) = (open(options(&server)), open(options(&server).with_version()));
    let version = |source: &StorageSource| rows(source)[1].version.clone();
    assert_eq!((version(&plain), version(&versioned)), (None, Some("2".to_owned())));
    server.put("versions/a", "two");
    assert_eq!(rows(&versioned)[0].text().unwrap(), "one");
    assert!(matches!(rows(&plain)[0].text(), Err(Error::Changed { .. })));
    server.put("versions/a", "one");
    assert_eq!(hash(&open(options(&server))), hash(&plain));
    assert_ne!(
        hash(&open(options(&server).with_version())),
        hash(&versioned),
        "another version is another row"
    );
}

#[test]
fn failures_on_the_way_are_tried_again_and_a_cut_body_is_resumed() {
    let server = Server::start();
    let bytes: Vec<u8> = (0..500_000u32).map(|number| (number % 241) as u8).collect();
    server.put("faults/file", &bytes[..]);
    server.fail("/faults", Fault::Status(500), 1);
    let file = &open("s3://faults/*", options(&server))[0];
    server.fail("file", Fault::Status(503), 1);
    server.fail("file", Fault::Cut(300_000), 1);
    server.take_requests();
    assert!(file.read().unwrap() == bytes);
    let ranges: Vec<_> =
        server.take_requests().iter().map(|request| request.headers.contains_key("range")).collect();
    assert_eq!(ranges, [false, false, true], "refused, cut, resumed");

    server.fail("file", Fault::Status(500), 100);
    let error = told(&file.read().unwrap_err());
    assert!(error.contains("after 3 retries") && error.contains("Status500"), "{error}");
}

#[test]
fn a_store_that_refuses_is_told_with_what_to_do() {
    let server = Server::start();
    server.put("refuses/file", "");
    server.fail("refuses", Fault::Status(403), 100);
    let error = told(&StorageSource::open("s3://refuses/*", options(&server)).unwrap_err());
    assert!(
        error.starts_with("cannot list s3://refuses/*: the store refuses; check the credentials"),
        "{error}"
    );
    assert!(error.contains("Status403: this server answers 403"), "{error}");
    let error = told(&StorageSource::open("s3://no-such-bucket/*", options(&server)).unwrap_err());
    assert!(error.starts_with("cannot list s3://no-such-bucket/*: it is not there"), "{error}");
    let open = |options| told(&StorageSource::open("s3://refuses/*", options).unwrap_err());
    let error = open(StorageOptions::new().endpoint(server.url()));
    assert!(error.contains("is not encrypted; if that is right, say `allow_http`"), "{error}");
    let error = open(options(&server).option("aws_sekret", "hunter2"));
    assert!(error.contains("its store has no option `aws_sekret`") && !error.contains("hunter2"), "{error}");
}

#[test]
fn files_of_a_plain_server_are_named_one_by_one_or_listed_by_webdav() {
    let server = Server::start();
    server.put("data/a file.txt", "one");
    server.put("data/b.txt", "two");
    let (url, plain) = (server.url(), StorageOptions::new().retries_max(0));
    let both = [format!("{url}/data/b.txt"), format!("{url}/data/a%20file.txt")];
    let files = open(both, plain.clone());
    assert_eq!(paths(&files), ["data/a file.txt", "data/b.txt"]);
    assert_eq!(files[0].uri(), format!("{url}/data/a%20file.txt"));
    assert_eq!((files[0].text().unwrap().as_str(), files[1].text().unwrap().as_str()), ("one", "two"));

    let error = told(&StorageSource::open(format!("{url}/data/*.txt"), plain.clone()).unwrap_err());
    assert!(error.contains("list by WebDAV, which few servers speak (name the files one by one)"), "{error}");
    let error = told(&StorageSource::open(format!("{url}/none.txt"), plain.clone()).unwrap_err());
    assert!(error.starts_with("there is no file to read in http://"), "{error}");
    server.speak_webdav();
    assert_eq!(open(format!("{url}/data/*.txt"), plain), files);
}

#[test]
fn a_server_without_tags_is_known_by_the_bytes_of_its_files() {
    let server = Server::start();
    for tags in [Tags::Weak, Tags::None] {
        server.put("file", "hello");
        server.set_tags(tags);
        let address = format!("{}/file", server.url());
        let open = || StorageSource::open(address.as_str(), StorageOptions::new()).unwrap();
        let source = open();
        let file = &rows(&source)[0];
        assert_eq!(file.etag.starts_with("content:"), tags == Tags::None, "{file:?}");
        assert_eq!(file.text().unwrap(), "hello");
        server.put("file", "hello");
        assert_eq!(hash(&open()), hash(&source));
        server.put("file", "hallo");
        assert!(matches!(file.text(), Err(Error::Changed { .. })));
        assert_ne!(hash(&open()), hash(&source));
    }
}

#[test]
fn a_program_that_runs_on_tokio_itself_may_wait() {
    let server = Server::start();
    server.put("waits/file", vec![1; 3_000_000]);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let options = options(&server);
    let task =
        runtime.spawn(async move { open("s3://waits/file", options)[0].read().map(|bytes| bytes.len()) });
    let (sender, receiver) = std::sync::mpsc::channel();
    runtime.spawn(async move { sender.send(task.await) });
    assert_eq!(receiver.recv().unwrap().unwrap().unwrap(), 3_000_000);
}

#[test]
fn the_same_files_in_any_store_are_the_same_but_for_where_they_are() {
    let server = Server::start();
    for name in ["a.txt", "b.txt", "c.txt", "d.png"] {
        server.put(&format!("stores/texts/{name}"), name);
    }
    server.set_page_keys(2);
    let anonymous = StorageOptions::new().endpoint(server.url()).allow_http().retries_max(0).anonymous();
    let azure = anonymous.clone().option("azure_storage_account_name", "account");
    let lists = [
        open("s3://stores/texts/*.txt", options(&server)),
        open("gs://stores/texts/*.txt", anonymous),
        open("az://stores/texts/*.txt", azure),
    ];
    for (files, source) in lists.iter().zip(["s3://stores", "gs://stores", "az://stores"]) {
        assert_eq!(paths(files), ["texts/a.txt", "texts/b.txt", "texts/c.txt"]);
        for (file, of_s3) in files.iter().zip(&lists[0]) {
            assert_eq!(file.source, source);
            assert_eq!((&file.etag, file.size), (&of_s3.etag, of_s3.size));
            assert_eq!(file.text().unwrap(), file.name());
        }
    }
    server.put("stores/texts/a.txt", "A.txt");
    for files in lists {
        assert!(matches!(files[0].text(), Err(Error::Changed { .. })), "{:?}", files[0]);
    }
}

#[test]
fn an_address_of_https_is_spoken_to_in_tls() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("https://{}/file", listener.local_addr().unwrap());
    let first = std::thread::spawn(move || {
        let mut first = [0; 6];
        listener.accept().unwrap().0.read_exact(&mut first).unwrap();
        first
    });
    let error =
        told(&StorageSource::open(address.as_str(), StorageOptions::new().retries_max(0)).unwrap_err());
    let [kind, major, _, _, _, message] = first.join().unwrap();
    assert_eq!(
        (kind, major, message),
        (22, 3, 1),
        "a handshake that begins with a client's hello (RFC 8446, 5.1)"
    );
    assert!(error.starts_with(&format!("cannot look at {address}: the store did not answer")), "{error}");
}

/// Memory that this process had at most, in KiB.
#[cfg(target_os = "linux")]
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn a_listing_of_many_files_needs_little_more_memory_than_their_names() {
    const URL: &str = "ROWMARK_TEST_MANY_FILES";
    const FILES: u64 = 100_000;
    let of = |url: &str| StorageOptions::new().endpoint(url).allow_http().anonymous();
    if let Ok(url) = std::env::var(URL) {
        open("s3://many/few/", of(&url));
        let before = peak_kib();
        let source = StorageSource::open("s3://many/files/**/*.jpg", of(&url)).unwrap();
        let bytes = (peak_kib() - before) * 1024 / FILES;
        assert_eq!(source.rows().unwrap(), FILES);
        // 40 bytes, a path of 32, a tag of 18; twice that while the list grows; and some pages of the listing.
        assert!(bytes < 300, "{bytes} bytes for each file");
        return;
    }
    let server = Server::start();
    server.put("many/few/file", "");
    for number in 0..FILES {
        server.put(&format!("many/files/{:03}/image-{number:012}.jpg", number % 100), "x");
    }
    in_a_process("a_listing_of_many_files_needs_little_more_memory_than_their_names", &[(URL, server.url())]);
}
