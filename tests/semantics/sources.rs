//! s: where rows come from; the same rows are known again and others are not.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use rowmark::prelude::*;
use rowmark::readers::Error as ReadError;
use rowmark::rows::RowType;
use rowmark::{Error, RowError};

use crate::support::{Calls, FailAt, Folder, builder};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Town {
    name: String,
    metres: Option<f64>,
}

const CSV: &str = "name,metres\nBern,540\nBiel,434\nOz,\n";
const JSON: &str =
    "{\"name\":\"Bern\",\"metres\":540}\n{\"name\":\"Biel\",\"metres\":434}\n{\"name\":\"Oz\"}\n";

/// Runs a chain over rows in a new job, and answers how many of them were computed: a call for each.
pub(crate) fn computed<T: RowType>(folder: &Folder, source: impl FnOnce(&Session) -> Chain<T>) -> u64 {
    static CALLS: Calls = Calls::new();
    // Tests that run at the same time must not count each other's calls.
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    // It is the source as a whole that is to be known.
    let session = builder(&folder.path()).row_reuse(false).open().unwrap();
    let chain = source(&session).map(udf!("as text", |row: &T| {
        CALLS.count(0);
        format!("{}", serde_json::to_string(row).unwrap_or_default().len())
    }));
    chain.collect().unwrap();
    CALLS.take_total()
}

/// A folder of files beside the state folder.
fn data() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    (folder, path)
}

#[test]
fn s01_the_same_rows_are_known_in_another_process_and_others_are_not() {
    const STATE: &str = "ROWMARK_TEST_S01";
    let rows = || vec![("a".to_owned(), 1u64), ("b".to_owned(), 2), ("c".to_owned(), 3)];
    let run = |state: &Path, rows: Vec<(String, u64)>| {
        static CALLS: Calls = Calls::new();
        // It is the source as a whole that is to be known.
        let session = builder(state).row_reuse(false).open().unwrap();
        let chain = session.read_records(rows).map(udf!("twice", |row: &(String, u64)| {
            CALLS.count(row.1);
            row.1 * 2
        }));
        chain.collect().unwrap();
        CALLS.take_total()
    };
    if let Some(state) = std::env::var_os(STATE) {
        assert_eq!(run(Path::new(&state), rows()), 0, "another process computed what is stored");
        return;
    }
    let folder = Folder::new();
    assert_eq!(run(&folder.path(), rows()), 3);
    let test = "sources::s01_the_same_rows_are_known_in_another_process_and_others_are_not";
    let child = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact"])
        .env(STATE, folder.path())
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));

    let mut swapped = rows();
    swapped.swap(0, 1);
    let mut changed = rows();
    changed[2].1 = 4;
    let added = [rows(), rows()].concat();
    for other in [swapped, changed, rows()[..2].to_vec(), added] {
        let expected = other.len() as u64;
        assert_eq!(run(&folder.path(), other), expected);
    }
    assert_eq!(run(&folder.path(), rows()), 0);
}

#[test]
fn s02_an_iterator_is_hashed_while_it_is_stored_and_what_is_done_is_skipped() {
    let folder = Folder::new();
    let run = |rows: std::ops::Range<u64>| {
        computed(&folder, |session| session.read_records_iter(rows.map(|n| n.pow(2))).unwrap())
    };
    assert_eq!(run(0..30_000), 30_000);
    assert_eq!(run(0..30_000), 0);
    assert_eq!(run(0..29_999), 29_999);
    assert_eq!(run(1..30_001), 30_000);
    let left: Vec<String> = fs::read_dir(folder.path().join("tables"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with("partition"))
        .collect();
    assert_eq!(left, [""; 0], "what was stored of iterators is gone");
}

/// Memory that this process had at most, in MiB.
#[cfg(target_os = "linux")]
pub(crate) fn peak_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() / 1024
}

#[test]
#[cfg(target_os = "linux")]
fn s02_an_iterator_of_ten_million_rows_needs_little_memory() {
    const STATE: &str = "ROWMARK_TEST_S02";
    const ROWS: u64 = 10_000_000;
    if let Some(state) = std::env::var_os(STATE) {
        let session = builder(Path::new(&state)).open().unwrap();
        let before = peak_mib();
        let rows = session.read_records_iter(0..ROWS).unwrap();
        assert_eq!(rows.count().unwrap(), ROWS);
        let more = peak_mib() - before;
        assert!(more < 64, "{more} MiB for rows of {} MiB", (ROWS * 8) >> 20);
        return;
    }
    let folder = Folder::new();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["sources::s02_an_iterator_of_ten_million_rows_needs_little_memory", "--exact"])
        .env(STATE, folder.path())
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
}

#[test]
fn s02_a_step_over_an_iterator_continues_where_it_failed() {
    static CALLS: Calls = Calls::new();
    static FAIL_AT: FailAt = FailAt::never();
    let folder = Folder::new();
    let run = || {
        let session = folder.session_in_order();
        let rows = session.read_records_iter(0..1000u64).unwrap();
        let chain = rows.map(udf!("same", |n: &u64| {
            CALLS.count(*n);
            FAIL_AT.check(*n).map(|()| *n)
        }));
        chain.collect()
    };
    FAIL_AT.set(700);
    run().unwrap_err();
    assert_eq!(CALLS.take_total(), 701);
    FAIL_AT.set(None);
    assert_eq!(run().unwrap(), (0..1000).collect::<Vec<_>>());
    assert_eq!(CALLS.take_total(), 300);
}

#[test]
fn s02_an_iterator_is_read_once_however_often_its_rows_are_used() {
    let folder = Folder::new();
    let session = folder.session();
    let chain = session.read_records_iter(["a", "b"].map(String::from)).unwrap();
    assert!(chain.explain().unwrap().is_done() && session.job().is_none(), "looking begins no job");
    assert_eq!(chain.collect().unwrap(), ["a", "b"]);
    assert_eq!(chain.save("letters").unwrap().rows(), 2);
    assert_eq!(chain.count().unwrap(), 2);

    let failing = [Ok(1u64), Err("no more"), Ok(2)];
    let chain = session.read_fallible_iter(failing).unwrap();
    let told = |error: Error| {
        let error: Box<dyn std::error::Error> = error.into();
        format!("{error}: {}", error.source().map(ToString::to_string).unwrap_or_default())
    };
    assert_eq!(told(chain.collect().unwrap_err()), "cannot read records: no more");
    let again = told(chain.collect().unwrap_err());
    assert!(again.starts_with("the rows of records were read once, and not to their end"), "{again}");
}

#[test]
#[cfg(feature = "sqlite")]
fn s02_a_query_is_known_by_its_rows_or_by_a_cheaper_query() {
    use rowmark::readers::Query;
    let (folder, (_data, data)) = (Folder::new(), data());
    let path = data.join("towns.db");
    let put = |name: &str| {
        fs::copy(Path::new("crates/readers/tests/data").join(name), &path).unwrap();
    };
    let query =
        || Query::new(format!("sqlite:{}", path.display()), "select name, metres from towns order by id");
    let run = |query: Query| computed(&folder, |session| session.read_database::<Town>(query).unwrap());
    put("towns.db");
    assert_eq!(run(query()), 3);
    assert_eq!(run(query()), 0);
    put("towns_changed.db");
    assert_eq!(run(query()), 3, "one value is another");

    // The cheaper query answers the same for both files, so the second is never read.
    let cheap = || query().fingerprint("select count(*) from towns");
    assert_eq!(run(cheap()), 0, "the rows are those that were read without it");
    put("towns.db");
    assert_eq!(run(cheap()), 0);
    let rows = folder.session().read_database::<Town>(cheap()).unwrap().collect().unwrap();
    assert_eq!(rows[1].metres, Some(435.0), "as it was told");
    let sum = query().fingerprint("select sum(metres) from towns");
    assert_eq!(run(sum), 0, "it was read, and is what was read first");
}

#[test]
#[cfg(not(feature = "postgres"))]
#[ignore = "the tests of PostgreSQL: .ci/postgres run cargo test --workspace --all-features"]
fn s02_postgres() {
    panic!("they are not built without the feature `postgres`");
}

#[test]
fn s03_time_stamps_of_files_do_not_count_and_their_content_does() {
    let (folder, (_data, data)) = (Folder::new(), data());
    for (name, text) in [("towns.csv", CSV), ("towns.json", JSON)] {
        let path = data.join(name);
        let run = || {
            computed(&folder, |session| match name {
                "towns.csv" => session.read_csv::<Town>(&path).unwrap(),
                _ => session.read_json::<Town>(&path).unwrap(),
            })
        };
        fs::write(&path, text).unwrap();
        assert_eq!(run(), 3);
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
        assert_eq!(run(), 0);
        fs::write(&path, text.replace("434", "435")).unwrap();
        assert_eq!(run(), 3, "one byte was changed");
        fs::write(&path, text).unwrap();
        assert_eq!(run(), 0, "it is what it was");
    }
}

#[test]
fn s03_many_files_are_one_source_in_the_order_of_their_paths() {
    let (folder, (_data, data)) = (Folder::new(), data());
    let rows = |files: &Path| folder.session().read_csv::<Town>(files).unwrap().collect().unwrap();
    fs::write(data.join("b.csv"), CSV.replace("Bern", "Basel")).unwrap();
    fs::write(data.join("a.csv"), CSV).unwrap();
    let names: Vec<String> = rows(&data).into_iter().map(|town| town.name).collect();
    assert_eq!(names, ["Bern", "Biel", "Oz", "Basel", "Biel", "Oz"]);
    assert_eq!(rows(&data.join("*.csv")), rows(&data));
    assert_eq!(computed(&folder, |session| session.read_csv::<Town>(&*data).unwrap()), 6);
    fs::rename(data.join("b.csv"), data.join("c.csv")).unwrap();
    assert_eq!(computed(&folder, |session| session.read_csv::<Town>(&*data).unwrap()), 0);
    fs::rename(data.join("c.csv"), data.join("0.csv")).unwrap();
    assert_eq!(computed(&folder, |session| session.read_csv::<Town>(&*data).unwrap()), 6, "another order");
}

#[test]
fn s03_a_file_that_changes_while_it_is_read_is_an_error_and_nothing_of_it_is_kept() {
    let (folder, (_data, data)) = (Folder::new(), data());
    let path = data.join("towns.csv");
    fs::write(&path, CSV).unwrap();
    let session = folder.session_in_order();
    let (victim, new) = (path.to_string_lossy().into_owned(), CSV.replace("434", "435"));
    let chain = session.read_csv::<Town>(&path).unwrap().map(udf!(
        "rewrite",
        captures(victim, new),
        |town: &Town| {
            fs::write(&victim, &new).map_err(|error| error.to_string())?;
            Ok::<_, String>(town.name.clone())
        }
    ));
    let Err(Error::Step { source, .. }) = chain.collect() else { panic!("the file changed") };
    let told = std::iter::successors(Some(&*source as &dyn std::error::Error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ");
    assert!(told.contains("towns.csv changed while it was read"), "{told}");
    assert_eq!(session.report().step("rewrite").unwrap().rows_out, 0);
}

#[test]
fn s04_a_dataset_is_known_by_what_it_holds() {
    let folder = Folder::new();
    let save = |rows: Vec<u64>| folder.session().read_records(rows).save("numbers").unwrap().version();
    assert_eq!((save(vec![1, 2]), save(vec![3]), save(vec![1, 2])), (1, 2, 1));
    let read = |version| move |session: &Session| session.read_dataset::<u64>("numbers", version).unwrap();
    assert_eq!(computed(&folder, read(Some(1))), 2);
    assert_eq!(computed(&folder, read(Some(1))), 0);
    assert_eq!(computed(&folder, read(Some(2))), 1);
    assert_eq!(computed(&folder, read(None)), 0, "the latest is version 2");
}

#[test]
fn s04_a_table_of_another_store_is_read_where_it_lies() {
    use rowmark::warehouse::{FileWarehouse, TableFilter, Warehouse as _};
    let (theirs, ours) = (Folder::new(), Folder::new());
    let towns = vec![Town { name: "Bern".into(), metres: None }];
    theirs.session().read_records(towns).save("towns").unwrap();
    let warehouse = FileWarehouse::open(theirs.path().join("tables")).unwrap();
    let name = warehouse.list(&TableFilter::Datasets).unwrap().remove(0);
    let table = warehouse.open_table(&name).unwrap().unwrap();
    assert_eq!(computed(&ours, |session| session.read_table::<Town>(&table).unwrap()), 1);
    assert_eq!(computed(&ours, |session| session.read_table::<Town>(&table).unwrap()), 0);
    let rows = ours.session().read_table::<Row>(&table).unwrap().collect().unwrap();
    assert_eq!(rows[0].to_string(), "{name: \"Bern\", metres: null}");
    let told = ours.session().read_table::<u64>(&table).unwrap_err().to_string();
    assert!(told.contains("holds rows of another type: field value (u64) is missing"), "{told}");
}

#[test]
#[cfg(feature = "arrow")]
fn s05_record_batches_are_known_by_their_rows_and_as_structs_of_the_same_rows() {
    use rowmark::rows::RowSchema;
    let folder = Folder::new();
    let towns = |metres: f64| {
        vec![Town { name: "Bern".into(), metres: Some(metres) }, Town { name: "Oz".into(), metres: None }]
    };
    let batches = |metres: f64| {
        let schema = RowSchema::of::<Town>().unwrap();
        towns(metres).iter().map(|town| schema.encode(std::slice::from_ref(town)).unwrap()).collect()
    };
    assert_eq!(computed(&folder, |session| session.read_arrow::<Town>(batches(540.0)).unwrap()), 2);
    assert_eq!(computed(&folder, |session| session.read_arrow::<Town>(batches(540.0)).unwrap()), 0);
    assert_eq!(computed(&folder, |session| session.read_records(towns(540.0))), 0, "the same rows");
    assert_eq!(computed(&folder, |session| session.read_arrow::<Town>(batches(541.0)).unwrap()), 2);
}

#[test]
#[cfg(feature = "parquet")]
fn s03_s06_parquet_and_arrow_files_are_known_by_content_and_truncated_ones_are_errors() {
    let (folder, (_data, data)) = (Folder::new(), data());
    for name in ["pyarrow.parquet", "pyarrow.arrow", "pyarrow.arrows"] {
        let path = data.join(name);
        let original = Path::new("crates/readers/tests/data").join(name);
        let read = |session: &Session| match name {
            "pyarrow.parquet" => session.read_parquet::<Row>(&path),
            _ => session.read_arrow_ipc::<Row>(&path),
        };
        fs::copy(&original, &path).unwrap();
        assert_eq!(computed(&folder, |session| read(session).unwrap()), 500, "{name}");
        fs::remove_file(&path).unwrap();
        fs::copy(&original, &path).unwrap();
        assert_eq!(computed(&folder, |session| read(session).unwrap()), 0, "{name}");
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        let error = read(&folder.session()).and_then(|chain| chain.collect().map(drop)).unwrap_err();
        let told = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source())
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(": ");
        assert!(told.contains(name), "{told}");
    }
}

#[test]
fn s06_a_bad_row_is_named_by_file_line_and_column() {
    let (folder, (_data, data)) = (Folder::new(), data());
    let path = data.join("towns.csv");
    fs::write(&path, CSV.replace("434", "high")).unwrap();
    let mut rows = folder.session().read_csv::<Town>(&path).unwrap().iter().unwrap();
    let Some(Error::Row { row: 1, source }) = rows.find_map(Result::err) else { panic!("a row is bad") };
    let rowmark::Failure::Error(RowError::Source(error)) = *source else { panic!("{source:?}") };
    assert!(matches!(error, ReadError::Row { .. }));
    let told = error.to_string();
    assert!(
        told.ends_with("towns.csv: line 3, column `metres`, found \"high\": invalid float literal"),
        "{told}"
    );

    fs::write(&path, "title,metres\nBern,540\n").unwrap();
    let told = folder.session().read_csv::<Town>(&path).unwrap_err().to_string();
    assert!(told.contains("expected {name: string, metres: f64?}, found {title, metres}"), "{told}");
}

#[test]
fn s07_options_that_shape_rows_and_the_order_of_rows_are_part_of_the_identity() {
    let (folder, (_data, data)) = (Folder::new(), data());
    let path = data.join("towns.csv");
    fs::write(&path, CSV).unwrap();
    let run = |options: CsvOptions| {
        computed(&folder, |session| session.read_csv_with::<Row>(&path, options.clone()).unwrap())
    };
    assert_eq!(run(CsvOptions::new()), 3);
    assert_eq!(run(CsvOptions::new().rows_max(2)), 2);
    assert_eq!(run(CsvOptions::new().null("Oz")), 3);
    assert_eq!(run(CsvOptions::new().columns(["metres"])), 3);
    assert_eq!(run(CsvOptions::new().delimiter(b';')), 3);
    assert_eq!(run(CsvOptions::new().has_headers(false)), 4);
    assert_eq!(run(CsvOptions::new().skip_extra_columns()), 0, "it shapes no row");
    assert_eq!(run(CsvOptions::new()), 0);
    fs::write(&path, "name,metres\nBiel,434\nBern,540\nOz,\n").unwrap();
    assert_eq!(run(CsvOptions::new()), 3, "two rows were swapped");
}

#[test]
fn s07_rows_without_a_type_are_filtered_stored_and_read_again() {
    let (folder, (_data, data)) = (Folder::new(), data());
    let path = data.join("towns.json");
    fs::write(&path, JSON).unwrap();
    let run = || {
        let session = folder.session();
        let known = udf!("known", |town: &Row| !town["metres"].is_null());
        session.read_json::<Row>(&path).unwrap().filter(known).save("known").unwrap()
    };
    let saved = run();
    assert_eq!((saved.rows(), saved.is_new()), (2, true));
    assert!(!run().is_new());
    // Integers on their own: the same columns as a struct's, and the same content.
    let towns = folder.session().read_dataset::<Row>("known", None).unwrap().collect().unwrap();
    assert_eq!(towns[1].to_string(), "{name: \"Biel\", metres: 434}");
    #[derive(Clone, Serialize, Deserialize)]
    struct Known {
        name: Option<String>,
        metres: Option<i64>,
    }
    let known = folder.session().read_dataset::<Known>("known", None).unwrap().collect().unwrap();
    let again = folder.session().read_records(known).save("again").unwrap();
    assert_eq!(again.content_hash(), saved.content_hash());
}

#[test]
fn s07_rows_without_a_type_go_through_steps_that_have_all_rows_in_view() {
    let (folder, (_data, data)) = (Folder::new(), data());
    let (path, sorted) = (data.join("towns.csv"), data.join("sorted.csv"));
    fs::write(&path, CSV).unwrap();
    let session = folder.session();
    let towns = session.read_csv::<Row>(&path).unwrap();
    let name = udf!("name", |town: &Row| town["name"].as_str().unwrap_or_default().to_owned());
    let all = towns.union(&towns).distinct().order_by(name);
    let low =
        all.filter(udf!("low", |town: &Row| town["metres"].as_f64().is_none_or(|metres| metres < 500.0)));
    assert_eq!(low.limit(1).collect().unwrap()[0].to_string(), "{name: \"Biel\", metres: 434}");
    assert_eq!(low.write_csv(&sorted).unwrap(), 2);
    assert_eq!(fs::read_to_string(&sorted).unwrap(), "name,metres\nBiel,434\nOz,\n");

    fs::write(&sorted, "name\nBern\n").unwrap();
    let other = session.read_csv::<Row>(&sorted).unwrap();
    let told = towns.union(&other).collect().unwrap_err().to_string();
    assert!(told.contains("field metres (i64?) is missing"), "{told}");
}
