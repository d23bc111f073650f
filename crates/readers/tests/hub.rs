//! Datasets of the Hugging Face hub, from a server on loopback that speaks its protocol.

#![expect(clippy::unwrap_used, reason = "a test")]

mod hub_server;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hub_server::{Faults, Hub};
use parquet::arrow::ArrowWriter;
use rowmark_readers::{
    ColumnarOptions, Error, FileHashes, HfDataset, HfOptions, HfProblem, ParquetSource, Source,
};
use rowmark_rows::{Row, RowRange, RowSchema, RowType};
use serde::{Deserialize, Serialize};

const NAME: &str = "swiss/towns";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Town {
    id: u64,
    name: String,
}

fn towns(ids: std::ops::Range<u64>) -> Vec<Town> {
    ids.map(|id| Town { id, name: format!("town {id}") }).collect()
}

fn parquet(rows: &[Town]) -> Vec<u8> {
    let schema = RowSchema::of::<Town>().unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema.arrow().clone(), None).unwrap();
    writer.write(&schema.encode(rows).unwrap()).unwrap();
    writer.into_inner().unwrap()
}

/// A hub with one dataset, in two files of a thousand rows, and a cache beside it.
struct Place {
    hub: Hub,
    cache: tempfile::TempDir,
    commit: String,
}

impl Place {
    fn new() -> Self {
        let hub = Hub::start();
        let commit = hub.commit(NAME, "main", &files("# Towns\n", 0));
        Self { hub, cache: tempfile::tempdir().unwrap(), commit }
    }

    fn options(&self) -> HfOptions {
        let quick = HfOptions::new().retry(3, Duration::from_millis(1));
        quick.endpoint(self.hub.url()).cache_folder(self.cache.path())
    }

    fn open(&self) -> Result<HfDataset, Error> {
        HfDataset::open(NAME, "train", self.options())
    }

    fn told(&self, split: &str, options: HfOptions) -> String {
        HfDataset::open(NAME, split, options).unwrap_err().to_string()
    }

    fn in_cache(&self, path: &str) -> PathBuf {
        self.cache.path().join("datasets--swiss--towns").join(path)
    }

    fn blobs(&self) -> Vec<PathBuf> {
        let mut blobs: Vec<_> =
            fs::read_dir(self.in_cache("blobs")).unwrap().map(|entry| entry.unwrap().path()).collect();
        blobs.sort();
        blobs
    }
}

/// Two shards, the second beginning at another id.
fn files(readme: &str, shift: u64) -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("README.md", readme.into()),
        ("data/train-00000-of-00002.parquet", parquet(&towns(0..1000))),
        ("data/train-00001-of-00002.parquet", parquet(&towns(1000 + shift..2000))),
    ]
}

fn rows<T: RowType>(dataset: &HfDataset) -> Vec<T> {
    let source = dataset.source::<T>().unwrap();
    let rows = source.read(RowRange::new(0, source.rows().unwrap())).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

fn hash(dataset: &HfDataset) -> String {
    dataset.source::<Town>().unwrap().fingerprint().unwrap().hash().to_string()
}

#[test]
fn a_split_is_downloaded_once_and_then_read_from_the_cache() {
    let place = Place::new();
    let dataset = place.open().unwrap();
    assert_eq!(rows::<Town>(&dataset), towns(0..2000));
    assert_eq!(rows::<Row>(&dataset)[7].to_string(), "{id: 7, name: \"town 7\"}");
    assert_eq!(dataset.commit(), place.commit);
    let source = dataset.source::<Town>().unwrap();
    assert_eq!(source.name(), format!("{NAME} train at {}", &place.commit[..12]));
    let first = place.hub.requests();
    assert_eq!(first.iter().filter(|request| request.is_cdn).count(), 2);

    assert_eq!(hash(&place.open().unwrap()), hash(&dataset));
    let again: Vec<String> = place.hub.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(again, ["/api/datasets/swiss/towns/revision/main"], "only what `main` means is asked");
    let pinned = HfDataset::open(NAME, "train", place.options().revision(&place.commit)).unwrap();
    assert_eq!(hash(&pinned), hash(&dataset));
    assert_eq!(place.hub.requests().len(), 0, "a commit is what it is");
}

#[test]
fn the_cache_has_the_layout_of_the_hubs_clients() {
    let place = Place::new();
    let dataset = place.open().unwrap();
    assert_eq!(fs::read_to_string(place.in_cache("refs/main")).unwrap(), place.commit);
    let snapshot = place.in_cache("snapshots").join(&place.commit);
    assert_eq!(dataset.files()[1], snapshot.join("data/train-00001-of-00002.parquet"));
    let tree = fs::read(place.in_cache("trees").join(format!("{}.json", place.commit))).unwrap();
    let tree: serde_json::Value = serde_json::from_slice(&tree).unwrap();
    assert_eq!(tree["format_version"], 1);
    let entry = &tree["files"]["data/train-00001-of-00002.parquet"];
    let sha256 = entry["lfs_sha256"].as_str().unwrap();
    assert_eq!(entry["size"], fs::metadata(place.in_cache("blobs").join(sha256)).unwrap().len());
    #[cfg(unix)]
    {
        let link = fs::read_link(&dataset.files()[1]).unwrap();
        assert_eq!(link, Path::new("../../../blobs").join(sha256));
        let readme = tree["files"]["README.md"]["blob_id"].as_str().unwrap();
        assert_eq!(fs::read_link(snapshot.join("README.md")).unwrap(), Path::new("../../blobs").join(readme));
    }
    assert_eq!(place.blobs().len(), 3, "and nothing else is left");
}

#[test]
fn offline_nothing_is_sent_and_what_is_missing_is_told() {
    let place = Place::new();
    let offline = || place.options().offline(true);
    let told = place.told("train", offline());
    let cache = place.cache.path().display();
    assert_eq!(
        told,
        format!(
            "dataset {NAME}: revision `main` is not in the cache at {cache}, and the hub is not asked (HF_HUB_OFFLINE or \
             `offline`); read it once online"
        )
    );
    let online = place.open().unwrap();
    place.hub.requests();
    let read = HfDataset::open(NAME, "train", offline()).unwrap();
    assert_eq!((rows::<Town>(&read), hash(&read)), (towns(0..2000), hash(&online)));

    fs::remove_file(&read.files()[1]).unwrap();
    let told = place.told("train", offline());
    assert!(told.contains("the file data/train-00001-of-00002.parquet of commit"), "{told}");
    // A cache that has no list of files, as older clients leave it: names tell that a shard is missing.
    fs::remove_dir_all(place.in_cache("trees")).unwrap();
    let told = place.told("train", offline());
    assert!(told.contains("a part of the split (1 of its files, as their names say)"), "{told}");
    assert_eq!(place.hub.requests().len(), 0);

    assert_eq!(rows::<Town>(&place.open().unwrap()).len(), 2000);
    assert_eq!(place.hub.requests().iter().filter(|request| request.is_cdn).count(), 0, "its blob is there");
    fs::remove_dir_all(place.in_cache("trees")).unwrap();
    assert_eq!(rows::<Town>(&HfDataset::open(NAME, "train", offline()).unwrap()).len(), 2000);
}

#[test]
fn a_dataset_is_known_by_what_its_files_hold() {
    let place = Place::new();
    let first = hash(&place.open().unwrap());
    place.hub.commit(NAME, "main", &files("# Towns, told of in other words\n", 0));
    let renamed = place.open().unwrap();
    assert_ne!(renamed.commit(), place.commit);
    assert_eq!(hash(&renamed), first, "the rows are the same");
    let plain = ParquetSource::<Town>::open(renamed.files().to_vec(), ColumnarOptions::new()).unwrap();
    assert_eq!(plain.fingerprint().unwrap().hash().to_string(), first);

    place.hub.commit(NAME, "main", &files("# Towns\n", 1));
    let changed = place.open().unwrap();
    assert_ne!(hash(&changed), first);
    assert_eq!(rows::<Town>(&changed).len(), 1999);
    let before = HfDataset::open(NAME, "train", place.options().revision(&place.commit)).unwrap();
    assert_eq!(hash(&before), first);

    for options in [place.options().columns(["id", "name"]), place.options().rows_max(5)] {
        let some = HfDataset::open(NAME, "train", options.revision(&place.commit)).unwrap();
        assert_ne!(hash(&some), first, "what is read of it is a part of what it is");
    }
    let some = HfDataset::open(NAME, "train", place.options().columns(["name"]).rows_max(2)).unwrap();
    let told: Vec<String> = rows::<Row>(&some).iter().map(ToString::to_string).collect();
    assert_eq!(told, ["{name: \"town 0\"}", "{name: \"town 1\"}"]);
}

#[test]
fn what_is_not_there_is_told_with_what_there_is() {
    let place = Place::new();
    assert_eq!(
        place.told("test", place.options()),
        format!("dataset {NAME}: there is no split `test`; there is `train`")
    );
    let told = place.told("train", place.options().config("en"));
    assert_eq!(told, format!("dataset {NAME}: there is no configuration `en`; there is `data`"));
    let told = place.told("train", place.options().revision("v9"));
    assert!(told.contains("there is no revision `v9`; check its branches"), "{told}");
    for name in ["swiss/villages", "../towns"] {
        let told = HfDataset::open(name, "train", place.options()).unwrap_err().to_string();
        assert!(told.starts_with(&format!("dataset {name}: ")), "{told}");
        assert!(told.contains("no such dataset") || told.contains("that is no name of a dataset"), "{told}");
    }
    let told = place.told("train", HfOptions::new());
    assert!(told.contains("there is no folder to keep files in; set `cache_folder`"), "{told}");
    place.hub.commit(NAME, "main", &[("README.md", "# Towns"), ("towns.csv", "id\n1\n")]);
    let told = place.told("train", place.options());
    assert!(told.contains("it has no Parquet files, neither of its own nor converted"), "{told}");
    place.hub.commit(NAME, "refs/convert/parquet", &[("default/partial-train/0000.parquet", b"-")]);
    let told = place.told("train", place.options());
    assert!(told.contains("converted only the first part of split `train`"), "{told}");
}

#[test]
fn configurations_are_found_in_the_header_of_the_readme_and_in_what_the_hub_converted() {
    let place = Place::new();
    let header = "---\nconfigs:\n- config_name: de\n  data_files:\n  - split: train\n    path: some/*\n\
                  - config_name: fr\n  data_dir: french\n---\n# Towns\n";
    let (german, french) = (parquet(&towns(0..3)), parquet(&towns(5..9)));
    let files: [(&str, &[u8]); 3] = [
        ("README.md", header.as_bytes()),
        ("french/train.parquet", &french),
        ("some/a b ü#%.parquet", &german),
    ];
    place.hub.commit(NAME, "main", &files);
    let read = |config: &str| HfDataset::open(NAME, "train", place.options().config(config)).unwrap();
    assert_eq!(rows::<Town>(&read("de")), towns(0..3));
    assert_eq!(rows::<Town>(&read("fr")), towns(5..9));
    let told = place.told("train", place.options());
    assert!(told.contains("several configurations; choose one with `config`: `de`, `fr`"), "{told}");

    place.hub.commit(NAME, "main", &[("README.md", "# Towns"), ("towns.csv", "id\n1\n")]);
    let converted = [("default/train/0000.parquet", &german), ("default/train/0001.parquet", &french)];
    let commit = place.hub.commit(NAME, "refs/convert/parquet", &converted);
    let dataset = place.open().unwrap();
    assert_eq!((dataset.commit(), rows::<Town>(&dataset).len()), (&*commit, 7));
    for offline in [place.options(), place.options().revision("refs/convert/parquet")] {
        let dataset = HfDataset::open(NAME, "train", offline.offline(true)).unwrap();
        assert_eq!((dataset.commit(), rows::<Town>(&dataset).len()), (&*commit, 7));
    }
}

#[test]
fn the_token_goes_to_the_hub_alone_and_into_no_text() {
    const SECRET: &str = "hf_thisIsVerySecret";
    let place = Place::new();
    place.hub.keep_private(NAME, SECRET);
    let told = place.told("train", place.options());
    assert!(told.contains("or it is private; check the name, or set a token"), "{told}");
    let told = place.told("train", place.options().token("hf_another"));
    assert!(told.contains("the one that is set may not"), "{told}");
    place.hub.requests();

    let file = place.cache.path().join("token");
    fs::write(&file, format!("{SECRET}\n")).unwrap();
    let options = place.options().token_file(&file);
    let dataset = HfDataset::open(NAME, "train", options.clone()).unwrap();
    assert_eq!(rows::<Town>(&dataset).len(), 2000);
    for request in place.hub.requests() {
        assert_eq!(request.token.is_some(), !request.is_cdn, "{request:?}");
    }
    let set = place.options().token(SECRET);
    let fingerprint = dataset.source::<Town>().unwrap().fingerprint().unwrap();
    for shown in [format!("{set:?}"), format!("{dataset:?}"), format!("{fingerprint:?}")] {
        assert!(!shown.contains(SECRET), "{shown}");
    }
    let told = place.told("train", place.options().token("hf_bad\u{7}token"));
    assert!(told.contains("characters that no token has") && !told.contains("hf_bad"), "{told}");

    place.hub.gate(NAME, "hf_accepted");
    place.hub.commit(NAME, "main", &files("# Towns, gated\n", 0));
    let told = place.told("train", options);
    assert!(
        told.contains(&format!("ask for it at {}/datasets/{NAME}, and use a token", place.hub.url())),
        "{told}"
    );
    let endpoint = place.hub.url().replace("http://", "http://me:password@");
    place.hub.misbehave(Faults { busy: Some((9, 503)), ..Faults::default() });
    let told = place.told("train", place.options().endpoint(endpoint));
    assert!(!told.contains("password"), "{told}");
}

#[test]
fn what_passes_is_tried_again_and_what_does_not_is_told() {
    let place = Place::new();
    let busy = |times| place.hub.misbehave(Faults { busy: Some((times, 503)), ..Faults::default() });
    busy(2);
    place.open().unwrap();
    busy(3);
    let told = place.open().unwrap_err();
    let url = place.hub.url();
    assert_eq!(
        told.to_string(),
        format!(
            "dataset {NAME}: {url} answered with status 503, 3 times in a row; try again later, or read what is in the \
             cache with HF_HUB_OFFLINE=1"
        )
    );
    let gone = place.options().endpoint("http://127.0.0.1:9");
    let error = HfDataset::open(NAME, "train", gone).unwrap_err();
    assert!(error.to_string().contains("http://127.0.0.1:9 could not be reached, 3 times"), "{error}");
    assert!(std::error::Error::source(&error).is_some());
    let told = place.told("train", place.options().endpoint("no address"));
    assert!(told.contains("its address is malformed") || told.contains("could not be reached"), "{told}");
}

#[test]
fn a_download_that_was_cut_off_goes_on_and_is_never_used_half() {
    let place = Place::new();
    place.hub.misbehave(Faults { cut: Some((2, 700)), ..Faults::default() });
    assert_eq!(rows::<Town>(&place.open().unwrap()), towns(0..2000));
    let ranges: Vec<u64> = place
        .hub
        .requests()
        .into_iter()
        .filter(|request| request.is_cdn)
        .filter_map(|request| request.range)
        .collect();
    assert!(!ranges.is_empty() && ranges.iter().all(|from| from % 700 == 0), "{ranges:?}");

    for no_ranges in [false, true] {
        let place = Place::new();
        place.hub.misbehave(Faults { cut: Some((1000, 700)), no_ranges, ..Faults::default() });
        // A server that gives no parts never gets further than 700 bytes; one that does gets there in the end.
        match place.open() {
            Ok(dataset) => assert!(!no_ranges && rows::<Town>(&dataset) == towns(0..2000)),
            Err(error) => assert!(no_ranges && error.to_string().contains("broke off its answer"), "{error}"),
        }
        assert!(no_ranges || place.blobs().iter().all(|blob| blob.extension().is_none()));
        place.hub.misbehave(Faults { no_ranges, ..Faults::default() });
        assert_eq!(rows::<Town>(&place.open().unwrap()), towns(0..2000));
        assert!(place.blobs().iter().all(|blob| blob.extension().is_none()));
    }
}

#[test]
fn a_file_that_is_not_what_the_hub_says_is_an_error_and_is_not_kept() {
    for faults in [
        Faults { corrupt: true, ..Faults::default() },
        Faults { overlong: true, ..Faults::default() },
        Faults { redirect: Some("ftp://elsewhere/x".to_owned()), ..Faults::default() },
    ] {
        let place = Place::new();
        let is_corrupt = faults.corrupt;
        place.hub.misbehave(faults);
        let error = place.open().unwrap_err();
        let Error::Hub { problem, .. } = &error else { panic!("{error}") };
        assert_eq!(matches!(**problem, HfProblem::Mismatch { .. }), is_corrupt, "{error}");
        assert!(is_corrupt || error.to_string().contains("answered unexpectedly"), "{error}");
        place.hub.misbehave(Faults::default());
        assert_eq!(rows::<Town>(&place.open().unwrap()), towns(0..2000));
    }
    // What an earlier process left half done may be anything.
    let place = Place::new();
    let sha256 = place.open().unwrap().files()[0].canonicalize().unwrap();
    let whole = fs::read(&sha256).unwrap();
    fs::remove_dir_all(place.in_cache("")).unwrap();
    fs::create_dir_all(place.in_cache("blobs")).unwrap();
    for left in [vec![0; 500], vec![0; whole.len()], vec![0; whole.len() + 9], whole[..300].to_vec()] {
        fs::write(sha256.with_extension("incomplete"), left).unwrap();
        assert_eq!(rows::<Town>(&place.open().unwrap()), towns(0..2000));
        fs::remove_dir_all(place.in_cache("")).unwrap();
        fs::create_dir_all(place.in_cache("blobs")).unwrap();
    }
}

#[test]
fn a_file_that_changed_in_the_cache_is_an_error() {
    let place = Place::new();
    let dataset = place.open().unwrap();
    let first = hash(&dataset);
    let blob = dataset.files()[1].canonicalize().unwrap();
    let mut bytes = fs::read(&blob).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&blob, &bytes).unwrap();
    for options in [place.options(), place.options().offline(true)] {
        let source = HfDataset::open(NAME, "train", options).unwrap().source::<Town>().unwrap();
        let told = source.fingerprint().unwrap_err().to_string();
        assert!(told.contains("does not have the hash"), "{told}");
        assert!(told.contains(blob.to_str().unwrap()) && told.contains("remove it and run again"), "{told}");
    }
    fs::remove_file(&blob).unwrap();
    assert_eq!(hash(&place.open().unwrap()), first);
}

#[test]
fn a_hostile_hub_writes_nowhere_else() {
    let place = Place::new();
    for path in ["../../../evil.parquet", "/tmp/evil.parquet", "data/../../evil.parquet"] {
        let header = format!("---\nconfigs:\n- config_name: a\n  data_files: '{path}'\n---\n");
        place.hub.commit(NAME, "main", &[("README.md", header)]);
        place.hub.misbehave(Faults { extra_path: Some(path.to_owned()), ..Faults::default() });
        let told = place.told("train", place.options());
        assert!(
            told.contains("answered unexpectedly: a file with the path") || told.contains("no Parquet"),
            "{told}"
        );
    }
    assert!(!place.cache.path().parent().unwrap().join("evil.parquet").exists());
}

#[test]
fn a_renamed_dataset_is_found_under_its_old_name() {
    let place = Place::new();
    place.hub.rename("towns", NAME);
    let dataset = HfDataset::open("towns", "train", place.options()).unwrap();
    assert_eq!(rows::<Town>(&dataset).len(), 2000);
}

#[test]
fn many_at_a_time_download_each_file_once() {
    let place = Place::new();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| assert_eq!(rows::<Town>(&place.open().unwrap()).len(), 2000));
        }
    });
    assert_eq!(place.hub.requests().iter().filter(|request| request.is_cdn).count(), 2);
    assert_eq!(place.blobs().len(), 3);
}

#[test]
fn hashes_of_files_are_remembered_from_revision_to_revision() {
    let place = Place::new();
    let later = || SystemTime::now() + Duration::from_secs(60);
    let hashes = Arc::new(FileHashes::open(place.cache.path().join("hashes"), later));
    let hash = |dataset: HfDataset| {
        dataset.source::<Town>().unwrap().remember(&hashes).fingerprint().unwrap().hash()
    };
    let first = hash(place.open().unwrap());
    let lines = || fs::read_to_string(place.cache.path().join("hashes")).unwrap().lines().count();
    assert_eq!(lines(), 3);
    place.hub.commit(NAME, "main", &files("# Other words\n", 0));
    assert_eq!(hash(place.open().unwrap()), first);
    assert_eq!(lines(), 3, "the files are the same in both revisions");
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Image {
    bytes: Option<Vec<u8>>,
    path: Option<String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Labelled {
    image: Image,
    label: u8,
    scores: Vec<f64>,
    answers: Vec<Answer>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Answer {
    text: String,
    start: i32,
}

#[test]
fn features_of_the_hub_are_plain_columns() {
    let file = fs::read(format!("{}/tests/data/hub.parquet", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let place = Place::new();
    place.hub.commit(NAME, "main", &[("train.parquet", file)]);
    let dataset = place.open().unwrap();
    let expected = |id: u8| Labelled {
        image: Image { bytes: Some(vec![137, 80, 78, 71, id]), path: Some(format!("{id}.png")) },
        label: id % 2,
        scores: vec![f64::from(id), 0.5],
        answers: vec![Answer { text: format!("answer {id}"), start: id.into() }],
    };
    assert_eq!(rows::<Labelled>(&dataset), [expected(0), expected(1), expected(2)]);
    assert_eq!(
        rows::<Row>(&dataset)[1].to_string(),
        "{image: {bytes: 5 bytes, path: \"1.png\"}, label: 1, scores: [1, 0.5], answers: [{text: \"answer 1\", \
         start: 1}]}"
    );
}
