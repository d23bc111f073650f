//! Rows that hold enums, wherever these stand, come back from every step as they were.

use rowmark::hashing::hash_rows;
use rowmark::prelude::*;

use crate::support::{Folder, builder};

#[derive(Clone, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
enum Verdict {
    Unknown,
    Score(f32),
    Named { name: String, rank: Option<u8> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Judged {
    id: u64,
    verdict: Verdict,
    earlier: Vec<Verdict>,
    inner: Inner,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Inner {
    verdict: Verdict,
    pair: (Verdict, bool),
    maybe: Option<(u64, Verdict)>,
}

fn verdict(n: u64) -> Verdict {
    match n % 3 {
        0 => Verdict::Unknown,
        1 => Verdict::Score(n as f32),
        _ => Verdict::Named { name: n.to_string(), rank: n.is_multiple_of(2).then_some(n as u8) },
    }
}

fn judged(id: u64) -> Judged {
    let pair = (verdict(id + 1), id.is_multiple_of(2));
    let maybe = (id % 4 == 1).then(|| (id, verdict(id)));
    let inner = Inner { verdict: verdict(id + 2), pair, maybe };
    Judged { id, verdict: verdict(id), earlier: (0..id % 4).map(verdict).collect(), inner }
}

const ROWS: u64 = 40;

fn all() -> Vec<Judged> {
    (0..ROWS).map(judged).collect()
}

/// Rows of a chain, by way of a dataset; they are stored, and hashed, as they are.
#[track_caller]
fn saved(session: &Session, chain: &Chain<Judged>) -> Vec<Judged> {
    let saved = chain.save("saved").unwrap();
    let rows = session.read_dataset::<Judged>("saved", None).unwrap().collect().unwrap();
    assert_eq!(saved.content_hash(), hash_rows(&rows).unwrap());
    assert_eq!(chain.collect().unwrap(), rows);
    rows
}

#[test]
fn enums_come_back_from_every_step() {
    let folder = Folder::new();
    // So little memory that what is sorted is spilled and merged.
    let session = builder(&folder.path()).batch_rows_max(7).sort_bytes_max(1).open().unwrap();
    let ids = session.read_records((0..ROWS).collect::<Vec<u64>>());
    let rows = ids.map(udf!("judged", |id: &u64| judged(*id)));
    assert_eq!(saved(&session, &rows), all());
    let again = ids.flat_map(udf!("judged again", |id: &u64| vec![judged(*id); 2]));
    assert_eq!(saved(&session, &again).len() as u64, 2 * ROWS);
    assert_eq!(saved(&session, &again.distinct()), all());
    let down = rows.order_by(udf!("down", |row: &Judged| std::cmp::Reverse(row.id)));
    assert_eq!(saved(&session, &down), all().into_iter().rev().collect::<Vec<_>>());
    let few = rows.filter(udf!("odd", |row: &Judged| row.id % 2 == 1)).limit(5);
    assert_eq!(
        saved(&session, &few),
        all().into_iter().filter(|row| row.id % 2 == 1).take(5).collect::<Vec<_>>()
    );
    assert_eq!(saved(&session, &few.union(&rows))[5..], all());
    let groups = rows.agg(
        udf!("kind", |row: &Judged| row.id % 3),
        udf!("last of a kind", |group: &Group<u64, Judged>| group.rows().last().unwrap()),
    );
    assert_eq!(saved(&session, &groups), [judged(39), judged(37), judged(38)]);
}

#[test]
fn enums_are_rows_by_themselves_and_in_tuples() {
    let folder = Folder::new();
    let session = folder.session();
    let ids = session.read_records((0..ROWS).collect::<Vec<u64>>());
    let verdicts = ids.map(udf!("verdict", |id: &u64| verdict(*id)));
    assert_eq!(verdicts.collect().unwrap(), (0..ROWS).map(verdict).collect::<Vec<_>>());
    let pairs = ids.map(udf!("pair", |id: &u64| (*id, verdict(*id), vec![verdict(id + 1)])));
    let down = pairs.order_by(udf!("down", |row: &(u64, Verdict, Vec<Verdict>)| std::cmp::Reverse(row.0)));
    let expected = (0..ROWS).rev().map(|id| (id, verdict(id), vec![verdict(id + 1)]));
    assert_eq!(down.collect().unwrap(), expected.collect::<Vec<_>>());
    let options = ids.map(udf!("option", |id: &u64| (id % 2 == 1).then(|| (verdict(*id), *id))));
    let expected = (0..ROWS).map(|id| (id % 2 == 1).then(|| (verdict(id), id)));
    assert_eq!(options.collect().unwrap(), expected.collect::<Vec<_>>());
}
