//! s: datasets of the Hugging Face hub, from a server on loopback that speaks its protocol.

#[path = "../../crates/readers/tests/hub_server/mod.rs"]
mod hub_server;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hub_server::Hub;
use rowmark::prelude::*;
use rowmark::readers::HfOptions;

use crate::support::{Calls, Folder, builder};

const NAME: &str = "swiss/towns";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Town {
    id: u64,
    name: String,
}

/// The Parquet file of three towns, the second with this name.
fn parquet(second: &str) -> Vec<u8> {
    let folder = Folder::new();
    let path = folder.path().with_file_name("towns.parquet");
    let town = |(id, name): (u64, &str)| Town { id, name: name.to_owned() };
    let towns: Vec<Town> = (0..).zip(["Bern", second, "Oz"]).map(town).collect();
    folder.session().read_records(towns).write_parquet(&path).unwrap();
    std::fs::read(path).unwrap()
}

fn commit(hub: &Hub, readme: &str, second: &str) -> String {
    let files =
        [("README.md", readme.as_bytes().to_vec()), ("data/train-00000-of-00001.parquet", parquet(second))];
    hub.commit(NAME, "main", &files)
}

/// A state folder, a cache, and a hub's address.
struct Place {
    folder: Folder,
    cache: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: Folder::new(), cache: tempfile::tempdir().unwrap() }
    }

    fn computed(&self, options: HfOptions) -> u64 {
        computed(&self.folder.path(), options.cache_folder(self.cache.path()))
    }
}

fn options(url: &str) -> HfOptions {
    HfOptions::new().endpoint(url).retry(2, Duration::from_millis(1))
}

/// Runs a chain over the dataset in a new job, and answers how many rows were computed: a call for each.
fn computed(state: &Path, options: HfOptions) -> u64 {
    static CALLS: Calls = Calls::new();
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    // It is the source as a whole that is to be known.
    let session = builder(state).row_reuse(false).open().unwrap();
    let chain =
        session.read_hf_with::<Town>(NAME, "train", options).unwrap().map(udf!("letters", |town: &Town| {
            CALLS.count(town.id);
            town.name.len() as u64
        }));
    chain.collect().unwrap();
    CALLS.take_total()
}

/// Runs a test again in another process, with its arguments in a variable, and answers what the test made there.
fn in_another_process(test: &str, variable: &str, arguments: &[&Path]) {
    let arguments: Vec<String> = arguments.iter().map(|path| path.display().to_string()).collect();
    let child = Command::new(std::env::current_exe().unwrap())
        .args([&format!("sources_hub::{test}"), "--exact"])
        .env(variable, arguments.join("\n"))
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
}

#[test]
fn s01_s05_a_dataset_of_the_hub_is_known_in_another_process_online_and_offline() {
    const TEST: &str = "s01_s05_a_dataset_of_the_hub_is_known_in_another_process_online_and_offline";
    const ARGUMENTS: &str = "ROWMARK_TEST_S05_HUB";
    if let Ok(arguments) = std::env::var(ARGUMENTS) {
        let [state, cache, url] = arguments.split('\n').collect::<Vec<_>>()[..] else {
            panic!("{arguments}")
        };
        let options = options(url).cache_folder(cache).offline(url.is_empty());
        assert_eq!(computed(Path::new(state), options), 0, "another process computed what is stored");
        return;
    }
    let (place, hub) = (Place::new(), Hub::start());
    commit(&hub, "# Towns", "Biel");
    assert_eq!(place.computed(options(hub.url())), 3);
    let (state, cache, url) = (place.folder.path(), place.cache.path(), PathBuf::from(hub.url()));
    in_another_process(TEST, ARGUMENTS, &[&state, cache, &url]);

    commit(&hub, "# Towns, told of in other words", "Biel");
    assert_eq!(place.computed(options(hub.url())), 0, "its rows are what they were");
    let before = commit(&hub, "# Towns", "Bial");
    assert_eq!(place.computed(options(hub.url())), 3, "one byte is another");
    commit(&hub, "# Towns", "Biel");
    assert_eq!(place.computed(options(hub.url())), 0, "it is what it was");
    drop(hub);
    in_another_process(TEST, ARGUMENTS, &[&state, cache, Path::new("")]);
    assert_eq!(place.computed(options("").offline(true).revision(before)), 0, "each commit is in the cache");
}

#[test]
fn s06_what_is_wrong_with_a_dataset_is_told_with_its_name() {
    let (place, hub) = (Place::new(), Hub::start());
    commit(&hub, "# Towns", "Biel");
    let read = |split: &str, options: HfOptions| {
        let session = place.folder.session();
        let error =
            session.read_hf_with::<Town>(NAME, split, options.cache_folder(place.cache.path())).unwrap_err();
        error.to_string()
    };
    let told = read("test", options(hub.url()));
    assert!(told.contains("dataset swiss/towns: there is no split `test`; there is `train`"), "{told}");
    let told = read("train", options(hub.url()).offline(true));
    assert!(told.contains("revision `main` is not in the cache"), "{told}");

    #[derive(Debug, Serialize, Deserialize)]
    struct Village {
        id: u64,
        metres: f64,
    }
    let options = options(hub.url()).cache_folder(place.cache.path());
    let other = place.folder.session().read_hf_with::<Village>(NAME, "train", options.clone()).unwrap_err();
    assert!(other.to_string().contains("column `metres` is missing"), "{other}");

    let mut broken = parquet("Biel");
    let end = broken.len();
    broken.truncate(end - 20);
    hub.commit(NAME, "main", &[("train.parquet", broken)]);
    let error = place.folder.session().read_hf_with::<Town>(NAME, "train", options).unwrap_err();
    assert!(error.to_string().contains("train.parquet: it is damaged"), "{error}");
}

#[test]
fn s07_what_is_read_of_a_dataset_is_a_part_of_its_identity() {
    let (place, hub) = (Place::new(), Hub::start());
    commit(&hub, "# Towns", "Biel");
    let all = || options(hub.url());
    assert_eq!(place.computed(all()), 3);
    assert_eq!(place.computed(all().rows_max(2)), 2);
    assert_eq!(place.computed(all().columns(["name", "id"])), 3);
    assert_eq!(place.computed(all().rows_max(2)), 0);

    let some = all().columns(["name"]).cache_folder(place.cache.path());
    let rows = place.folder.session().read_hf_with::<Row>(NAME, "train", some).unwrap().collect().unwrap();
    assert_eq!(rows[1].to_string(), "{name: \"Biel\"}");
}
