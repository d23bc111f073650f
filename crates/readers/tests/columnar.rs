//! Parquet, Arrow files and batches in memory: types, ranges, identity, and files that lie.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampSecondArray, UInt64Array,
};
use rowmark_hashing::hash_rows;
use rowmark_readers::{
    ArrowIpcSource, ArrowSource, ColumnarOptions, Error, MemorySource, ParquetSource, Source,
};
use rowmark_rows::{Row, RowRange, RowType};
use serde::{Deserialize, Serialize};

fn data(name: &str) -> String {
    format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn rows_of<S: Source>(source: &S) -> Vec<S::Row> {
    let rows = source.read(RowRange::new(0, source.rows().unwrap())).unwrap().collect::<Result<_, _>>();
    rows.unwrap()
}

fn open<T: RowType>(name: &str, options: ColumnarOptions) -> Result<Box<dyn Source<Row = T>>, Error> {
    Ok(if name.ends_with("parquet") {
        Box::new(ParquetSource::<T>::open(data(name), options)?)
    } else {
        Box::new(ArrowIpcSource::<T>::open(data(name), options)?)
    })
}

fn all<T: RowType>(name: &str, options: ColumnarOptions) -> Vec<T> {
    let source = open::<T>(name, options).unwrap();
    let rows = source.read(RowRange::new(0, source.rows().unwrap())).unwrap().collect::<Result<_, _>>();
    rows.unwrap()
}

const PYARROW: [&str; 3] = ["pyarrow.parquet", "pyarrow.arrow", "pyarrow.arrows"];

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Place {
    latitude: f64,
    name: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Made {
    id: u64,
    small: Option<i16>,
    single: Option<f64>,
    score: Option<f64>,
    text: Option<String>,
    category: Option<String>,
    good: Option<bool>,
    blob: Option<Vec<u8>>,
    day: Option<String>,
    at: Option<String>,
    local: Option<String>,
    price: Option<String>,
    tags: Option<Vec<Option<String>>>,
    place: Option<Place>,
    counts: Option<BTreeMap<String, i64>>,
    corner: Option<[i32; 2]>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Some3 {
    text: Option<String>,
    id: i64,
    price: Option<String>,
}

#[test]
fn pyarrow_wrote_the_same_rows_in_three_forms() {
    let mut hashes = Vec::new();
    for name in PYARROW {
        let rows: Vec<Row> = all(name, ColumnarOptions::new());
        assert_eq!(rows.len(), 500, "{name}");
        assert_eq!(
            rows[2].to_string(),
            "{id: 2, small: 2, single: 0.5, score: 0.25, text: \"row 2\", category: \"red\", good: true, \
             blob: 2 bytes, day: \"2024-03-02\", at: \"2024-07-01T12:30:00.123456Z\", local: \"2024-01-03T12:00:00.005\", \
             price: \"-12343.60\", tags: [\"a\", null, \"2\"], place: {latitude: 46.5, name: \"place 2\"}, \
             counts: {\"x\": 2, \"y\": 2}, corner: [2, -2]}",
            "{name}"
        );
        assert!(rows[1].values()[1..].iter().all(rowmark_rows::Value::is_null), "{name}");
        hashes.push(hash_rows(&rows).unwrap());
    }
    assert!(hashes.iter().all(|hash| *hash == hashes[0]));
}

#[test]
fn rows_of_a_type_are_widened_and_never_narrowed_unseen() {
    let options = || ColumnarOptions::new().skip_extra_columns();
    for name in PYARROW {
        let rows: Vec<Some3> = all(name, options());
        let expected = Some3 { text: Some("row 499".into()), id: 499, price: Some("-11846.60".into()) };
        assert_eq!((rows.len(), &rows[499]), (500, &expected), "{name}");
    }
    for name in PYARROW {
        let rows: Vec<Made> = all(name, ColumnarOptions::new());
        let text = |text: &str| Some(text.to_owned());
        let expected = Made {
            id: 2,
            small: Some(2),
            single: Some(0.5),
            score: Some(0.25),
            text: text("row 2"),
            category: text("red"),
            good: Some(true),
            blob: Some(vec![2, 0]),
            day: text("2024-03-02"),
            at: text("2024-07-01T12:30:00.123456Z"),
            local: text("2024-01-03T12:00:00.005"),
            price: text("-12343.60"),
            tags: Some(vec![text("a"), None, text("2")]),
            place: Some(Place { latitude: 46.5, name: "place 2".to_owned() }),
            counts: Some([("x".to_owned(), 2), ("y".to_owned(), 2)].into()),
            corner: Some([2, -2]),
        };
        assert_eq!((rows.len(), &rows[2], &rows[1].blob), (500, &expected, &None), "{name}");
    }

    #[derive(Debug, Serialize, Deserialize)]
    struct Narrow {
        id: u8,
    }
    for name in PYARROW {
        let source = open::<Narrow>(name, options()).unwrap();
        let rows: Vec<_> = source.read(RowRange::new(0, 500)).unwrap().collect();
        assert_eq!(rows.iter().filter(|row| row.is_ok()).count(), 256);
        let told = rows[300].as_ref().unwrap_err().to_string();
        let place = match name {
            "pyarrow.parquet" => "row group 1, row 100",
            "pyarrow.arrow" => "record batch 1, row 100",
            _ => "record batch 4, row 20",
        };
        let expected = format!(
            "{name}: {place}, column `id`, found \"300\": Cast error: Can't cast value 300 to type UInt8"
        );
        assert!(told.ends_with(&expected), "{told}");
    }

    #[derive(Debug, Serialize, Deserialize)]
    struct NotMissing {
        text: String,
    }
    let source = open::<NotMissing>("pyarrow.parquet", options()).unwrap();
    let told = source.read(RowRange::new(0, 2)).unwrap().nth(1).unwrap().unwrap_err().to_string();
    assert!(told.ends_with("row group 0, row 1, column `text`, found \"null\": a value is missing, and the field is not an `Option`"), "{told}");

    #[derive(Debug, Serialize, Deserialize)]
    struct Lossy {
        at: Option<i64>,
    }
    let told = open::<Lossy>("pyarrow.parquet", options()).unwrap_err().to_string();
    assert!(
        told.contains(
            "is timestamp[us, Europe/Zurich]? and cannot be read as i64? without loss; read it as a `String`"
        ),
        "{told}"
    );
    assert!(told.contains("expected {at: i64?}, found {id: i32, small: u8?"), "{told}");
    let told = open::<Narrow>("pyarrow.parquet", ColumnarOptions::new()).unwrap_err().to_string();
    assert!(told.contains("column `small` is in no field"), "{told}");
}

#[test]
fn duckdb_wrote_parquet() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Made {
        id: i32,
        text: Option<String>,
        score: Option<f64>,
        good: Option<bool>,
        day: Option<String>,
        price: Option<String>,
        pair: Option<Vec<Option<i64>>>,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct WithoutId {
        day: Option<String>,
        price: Option<String>,
        pair: Option<Vec<Option<i64>>>,
    }
    let rows: Vec<Made> = all("duckdb.parquet", ColumnarOptions::new());
    assert_eq!(rows.len(), 300);
    assert_eq!(
        rows[7],
        Made {
            id: 7,
            text: Some("row 7".into()),
            score: Some(0.875),
            good: Some(false),
            day: Some("2024-03-06".into()),
            price: Some("8.75".into()),
            pair: Some(vec![Some(7), Some(8)])
        }
    );
    let rows: Vec<WithoutId> =
        all("duckdb.parquet", ColumnarOptions::new().columns(["pair", "day", "price"]));
    assert_eq!((rows[5].day.clone(), rows[5].price.as_deref()), (None, Some("6.25")));
}

#[test]
fn any_range_is_read_by_many_threads() {
    for name in PYARROW {
        let source = open::<Some3>(name, ColumnarOptions::new().skip_extra_columns()).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..3u64 {
                let source = &source;
                scope.spawn(move || {
                    for start in (thread * 13..500).step_by(39).chain((0..500).rev().step_by(97)) {
                        let end = (start + 13).min(500);
                        let ids: Vec<u64> = source
                            .read(RowRange::new(start, end))
                            .unwrap()
                            .map(|row| row.unwrap().id as u64)
                            .collect();
                        assert_eq!(ids, (start..end).collect::<Vec<_>>(), "{name}");
                    }
                });
            }
        });
    }
}

#[test]
fn content_and_options_are_the_identity() {
    let hash = |name, options| open::<Row>(name, options).unwrap().fingerprint().unwrap().hash();
    for name in PYARROW {
        let whole = hash(name, ColumnarOptions::new());
        assert_eq!(whole, hash(name, ColumnarOptions::new().skip_extra_columns()));
        assert_ne!(whole, hash(name, ColumnarOptions::new().columns(["id"])));
        assert_ne!(whole, hash(name, ColumnarOptions::new().rows_max(3)));
        assert_eq!(
            all::<Row>(name, ColumnarOptions::new().rows_max(3).columns(["good", "id"]))[2].to_string(),
            "{good: true, id: 2}"
        );
    }
}

/// Rows as a struct and as batches that another library could have made.
fn towns(names: &[&str]) -> (Vec<Town>, Vec<RecordBatch>) {
    let towns = (0..).zip(names).map(|(id, name)| Town {
        name: (*name).to_owned(),
        id,
        half: (id % 2 == 0).then_some(id as f64 / 2.0),
    });
    let towns: Vec<Town> = towns.collect();
    let batches = towns.chunks(7).map(|towns| {
        let names = StringArray::from_iter_values(towns.iter().map(|town| &town.name));
        let ids = Int64Array::from_iter_values(towns.iter().map(|town| town.id as i64));
        let halves = Float64Array::from_iter(towns.iter().map(|town| town.half));
        RecordBatch::try_from_iter_with_nullable([
            ("id", Arc::new(ids) as ArrayRef, true),
            ("half", Arc::new(halves) as _, true),
            ("name", Arc::new(names) as _, true),
        ])
        .unwrap()
    });
    let batches = batches.collect();
    (towns, batches)
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Town {
    name: String,
    id: u64,
    half: Option<f64>,
}

#[test]
fn batches_are_the_same_source_as_the_structs_that_they_are_read_as() {
    let names: Vec<String> = (0..5000).map(|id| format!("town {id}")).collect();
    let (towns, batches) = towns(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let source = ArrowSource::<Town>::new(batches.clone()).unwrap();
    assert_eq!(source.fingerprint().unwrap(), MemorySource::new(towns.clone()).fingerprint().unwrap());
    assert_eq!(rows_of(&source), towns);
    for (start, end) in [(0, 0), (6, 8), (4999, 5000), (1023, 2050)] {
        let read: Vec<Town> = source.read(RowRange::new(start, end)).unwrap().map(Result::unwrap).collect();
        assert_eq!(read, towns[start as usize..end as usize]);
    }
    let mut whole = batches.clone();
    whole[3] = whole[3].slice(0, 6);
    assert_ne!(
        ArrowSource::<Town>::new(whole).unwrap().fingerprint().unwrap(),
        source.fingerprint().unwrap()
    );

    let rows = ArrowSource::<Row>::new(batches).unwrap();
    assert_eq!(rows.schema().unwrap().to_string(), "id: i64?, half: f64?, name: string?");
    assert_eq!(rows_of(&rows)[4].to_string(), "{id: 4, half: 2, name: \"town 4\"}");
    assert_eq!(ArrowSource::<Town>::new(Vec::new()).unwrap().rows().unwrap(), 0);
    assert_eq!(ArrowSource::<Row>::new(Vec::new()).unwrap().rows().unwrap(), 0);
}

#[test]
fn batches_that_do_not_fit_are_refused() {
    let (_, mut batches) = towns(&["Bern"; 9]);
    let other: ArrayRef = Arc::new(UInt64Array::from(vec![1]));
    batches.push(RecordBatch::try_from_iter([("id", other)]).unwrap());
    let told = ArrowSource::<Town>::new(batches).unwrap_err().to_string();
    assert_eq!(
        told,
        "record batches: batch 2 has other columns than batch 0; expected {id: i64?, half: f64?, name: small_string?}, found {id: u64}"
    );
    let negative: ArrayRef = Arc::new(Int64Array::from(vec![1, -1]));
    #[derive(Debug, Serialize, Deserialize)]
    struct Id {
        id: u64,
    }
    let source =
        ArrowSource::<Id>::new(vec![RecordBatch::try_from_iter([("id", negative)]).unwrap()]).unwrap();
    let told = source.fingerprint().unwrap_err().to_string();
    assert!(told.starts_with("record batches: record batch 0, row 1, column `id`, found \"-1\""), "{told}");
}

#[test]
fn an_instant_is_the_same_text_in_every_zone() {
    let at = |zone: Option<&str>| {
        let times =
            TimestampSecondArray::from(vec![1_719_829_800]).with_timezone_opt(zone.map(str::to_owned));
        let batch = RecordBatch::try_from_iter([("at", Arc::new(times) as ArrayRef)]).unwrap();
        let rows = rows_of(&ArrowSource::<Row>::new(vec![batch]).unwrap());
        rows[0]["at"].as_str().unwrap().to_owned()
    };
    for zone in ["UTC", "Europe/Zurich", "+02:00", "no zone at all"] {
        assert_eq!(at(Some(zone)), "2024-07-01T10:30:00Z");
    }
    assert_eq!(at(None), "2024-07-01T10:30:00");
}

/// Reads all that can be read of a damaged file; no damage may do more than be an error.
fn read_all(path: &std::path::Path) -> Result<usize, Error> {
    let read = |source: &dyn Source<Row = Row>| {
        let rows = source.rows()?;
        source.fingerprint()?;
        Ok(source.read(RowRange::new(0, rows.min(2000)))?.map_while(Result::ok).count())
    };
    if path.extension().unwrap() == "parquet" {
        read(&ParquetSource::<Row>::open(path, ColumnarOptions::new())?)
    } else {
        read(&ArrowIpcSource::<Row>::open(path, ColumnarOptions::new())?)
    }
}

#[test]
fn files_that_are_cut_off_or_lie_are_errors_in_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["pyarrow.arrow", "pyarrow.arrows", "duckdb.parquet"] {
        let path = folder.path().join(name);
        let whole = std::fs::read(data(name)).unwrap();
        for len in (0..whole.len() - 1).step_by(whole.len() / 40) {
            std::fs::write(&path, &whole[..len]).unwrap();
            let read = read_all(&path);
            assert!(read.is_err() || name == "pyarrow.arrows", "{name} cut at {len}: {read:?}");
        }
        // Every byte of the metadata, which are at the end of Parquet and at the beginning of Arrow.
        let parquet = name == "duckdb.parquet";
        let metadata = if parquet { whole.len() - 1400..whole.len() } else { 0..6000 };
        for (turn, byte) in metadata.step_by(if parquet { 2 } else { 23 }).enumerate() {
            let mut lying = whole.clone();
            lying[byte] = [0xff, 0x7f, whole[byte] ^ 0x80][turn % 3];
            std::fs::write(&path, &lying).unwrap();
            let _ = read_all(&path);
        }
    }
    let peak = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = peak
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    // The tests beside this one are in the same process; a length that is believed would be gigabytes.
    assert!(peak.is_none_or(|kib| kib < 512 * 1024), "{peak:?} KiB of memory for files of 100 kB");
}

#[test]
fn what_is_no_such_file_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("n.parquet");
    for (bytes, told) in [
        (&b"id,name\n1,Bern\n"[..], "it is damaged, cut off, or not of this format"),
        (b"", "it is damaged, cut off, or not of this format"),
        (&[0x1f, 0x8b, 8, 0], "cannot read"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let error = ParquetSource::<Row>::open(&path, ColumnarOptions::new()).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
    std::fs::write(&path, b"id,name\n1,Bern\n").unwrap();
    let error = ArrowIpcSource::<Row>::open(&path, ColumnarOptions::new()).unwrap_err().to_string();
    assert!(error.ends_with("it is no Arrow IPC file, or one of a version before 0.15"), "{error}");
}
