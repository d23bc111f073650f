//! The content hash of what is saved: that of its rows, however they came to be computed.

use rowmark::hashing::{ContentHash, hash_rows};
use rowmark::prelude::*;
use serde::{Deserialize, Serialize};

use crate::support::{FailAt, Folder, builder};

const ROWS: u64 = 9_000;

static FAIL_AT: FailAt = FailAt::never();

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Note {
    id: u64,
    text: Option<String>,
}

fn notes(row: u64) -> impl Iterator<Item = Note> {
    (0..row % 4).map(move |part| Note { id: row, text: (part > 0).then(|| format!("part {part}")) })
}

/// What a run of a chain saved, or why it ended.
type Outcome = rowmark::Result<ContentHash>;

fn kept(chain: rowmark::Result<Saved>) -> Outcome {
    chain.map(|saved| saved.content_hash())
}

fn squares(session: &Session) -> Outcome {
    let square = udf!("square", |row: &u64| FAIL_AT.check(*row).map(|()| row * row));
    kept(session.read_records((0..ROWS).collect::<Vec<u64>>()).map(square).save("squares"))
}

fn thirds(session: &Session) -> Outcome {
    let rows = session.read_records((0..ROWS).collect::<Vec<u64>>());
    let rows = rows.filter(udf!("third", |row: &u64| row.is_multiple_of(3)));
    kept(rows.map(udf!("same", |row: &u64| FAIL_AT.check(*row).map(|()| *row))).save("thirds"))
}

fn parts(session: &Session) -> Outcome {
    let parts = udf!("parts", |row: &u64| FAIL_AT.check(*row).map(|()| notes(*row).collect::<Vec<Note>>()));
    kept(session.read_records((0..ROWS).collect::<Vec<u64>>()).flat_map(parts).save("parts"))
}

#[test]
fn the_content_hash_is_that_of_the_rows_whatever_the_batches_threads_and_resumes() {
    let expected = [
        (squares as fn(&Session) -> Outcome, hash_rows((0..ROWS).map(|row| row * row)).unwrap()),
        (thirds, hash_rows((0..ROWS).filter(|row| row.is_multiple_of(3))).unwrap()),
        (parts, hash_rows((0..ROWS).flat_map(notes)).unwrap()),
    ];
    for (threads, batch_rows_max) in [(1, 8192), (2, 1000), (2, 1024), (4, 37)] {
        for (run, expected) in expected {
            let folder = Folder::new();
            let session =
                || builder(&folder.path()).threads(threads).batch_rows_max(batch_rows_max).open().unwrap();
            for fail_at in [1_500, 6_000] {
                FAIL_AT.set(fail_at);
                assert!(run(&session()).is_err(), "row {fail_at} fails");
            }
            FAIL_AT.set(None);
            assert_eq!(run(&session()).unwrap(), expected, "{threads} threads, batches of {batch_rows_max}");
        }
    }
}

/// A row that is read as another one than was written.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Halved {
    id: u64,
    #[serde(deserialize_with = "half")]
    value: f64,
}

fn half<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    f64::deserialize(deserializer).map(|value| value / 2.0)
}

#[test]
fn rows_that_are_read_as_others_have_the_hash_of_what_is_read() {
    let folder = Folder::new();
    let session = folder.session();
    let halved = udf!("halved", |row: &u64| Halved { id: *row, value: 8.0 });
    let rows: Vec<u64> = (0..ROWS).collect();
    let saved = session.read_records(rows).map(halved).save("halved").unwrap();
    let read: Vec<Halved> = session.read_dataset("halved", None).unwrap().collect().unwrap();
    assert_eq!((read[5].id, read[5].value.to_bits()), (5, 4.0_f64.to_bits()));
    assert_eq!(saved.content_hash(), hash_rows(read).unwrap());
}
