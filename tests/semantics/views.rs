//! Steps that have rows in view and compute none: filter, project, union, limit, offset, order_by, distinct.

use std::cmp::Reverse;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rowmark::prelude::*;

use crate::support::{Calls, FailAt, Folder, builder, failed_row, told};

/// The two tests that share what follows take turns.
static R11_TURN: Mutex<()> = Mutex::new(());
static R11_CALLS: Calls = Calls::new();
static R11_FAIL_AT: FailAt = FailAt::never();

#[rowmark::udf]
fn expensive(n: &u64) -> Result<u64, String> {
    R11_FAIL_AT.check(*n)?;
    R11_CALLS.count(*n);
    Ok(n + 1000)
}

/// Runs a chain with a UDF in the middle that fails on the way, and again until it is done.
#[track_caller]
fn resumes(view: impl Fn(&Session) -> Chain<u64>, expected: &[u64]) {
    let folder = Folder::new();
    R11_CALLS.take();
    let run = || view(&folder.session_in_order()).map(expensive).collect();
    for position in [0, expected.len() / 2, expected.len() - 1] {
        R11_FAIL_AT.set(expected[position]);
        assert_eq!(failed_row(run()).1, format!("row {} is bad", expected[position]));
    }
    R11_FAIL_AT.set(None);
    let rows = run().unwrap();
    assert_eq!(rows, expected.iter().map(|n| n + 1000).collect::<Vec<_>>());
    assert_eq!(R11_CALLS.take(), expected.iter().map(|n| (*n, 1)).collect(), "each row once");
    assert_eq!((run().unwrap(), R11_CALLS.take_total()), (rows, 0));
}

#[test]
fn r11_a_udf_after_every_kind_of_view_resumes() {
    let _turn = R11_TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let numbers = |session: &Session, rows: std::ops::Range<u64>| session.read_records(rows.collect());
    let even = || udf!("even", |n: &u64| n.is_multiple_of(2));
    resumes(
        |session| numbers(session, 0..20).union(&numbers(session, 50..60)),
        &Vec::from_iter((0..20).chain(50..60)),
    );
    resumes(|session| numbers(session, 0..100).limit(30), &Vec::from_iter(0..30));
    resumes(|session| numbers(session, 0..100).offset(90), &Vec::from_iter(90..100));
    resumes(|session| numbers(session, 0..100).filter(even()).limit(10), &Vec::from_iter((0..20).step_by(2)));
    resumes(
        |session| numbers(session, 0..100).filter(even()).offset(40),
        &Vec::from_iter((80..100).step_by(2)),
    );
    resumes(|session| numbers(session, 0..30).project(udf!("plus", |n: &u64| n + 5)), &Vec::from_iter(5..35));
    resumes(
        |session| numbers(session, 0..30).order_by(udf!("back", |n: &u64| Reverse(*n))),
        &Vec::from_iter((0..30).rev()),
    );
    resumes(
        |session| numbers(session, 0..90).project(udf!("thirds", |n: &u64| n / 3)).distinct(),
        &Vec::from_iter(0..30),
    );
    resumes(
        |session| {
            numbers(session, 0..90).agg(
                udf!("tens", |n: &u64| n / 10),
                udf!("greatest", |group: &Group<u64, u64>| group.rows().max().unwrap_or_default()),
            )
        },
        &Vec::from_iter((9..90).step_by(10)),
    );
    resumes(
        |session| {
            let union = numbers(session, 0..40)
                .filter(even())
                .union(&numbers(session, 100..140).limit(20).filter(even()));
            union.order_by(udf!("back", |n: &u64| Reverse(*n))).offset(5).limit(20)
        },
        &Vec::from_iter((0..120).rev().filter(|n| n % 2 == 0 && !(40..100).contains(n)).skip(5).take(20)),
    );
}

/// As [`resumes`], with the view behind the UDF that fails.
#[track_caller]
fn resumes_before(view: impl Fn(Chain<u64>) -> Chain<u64>, expected: &[u64]) {
    let folder = Folder::new();
    R11_CALLS.take();
    let run = || view(folder.session_in_order().read_records((0..50u64).collect()).map(expensive)).collect();
    for row in [0, 20, 49] {
        R11_FAIL_AT.set(row);
        assert_eq!(failed_row(run()).0, row);
    }
    R11_FAIL_AT.set(None);
    assert_eq!(run().unwrap(), expected);
    assert_eq!(R11_CALLS.take(), (0..50).map(|n| (n, 1)).collect(), "each row once");
    assert_eq!(run().unwrap(), expected);
    assert_eq!(R11_CALLS.take_total(), 0);
}

#[test]
fn r11_a_udf_before_every_kind_of_view_resumes() {
    let _turn = R11_TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let even = || udf!("even", |n: &u64| n.is_multiple_of(2));
    resumes_before(|chain| chain.filter(even()), &Vec::from_iter((1000..1050).step_by(2)));
    resumes_before(|chain| chain.filter(even()).limit(3), &[1000, 1002, 1004]);
    resumes_before(|chain| chain.offset(48), &[1048, 1049]);
    resumes_before(|chain| chain.union(&chain).limit(51).offset(49), &[1049, 1000]);
    resumes_before(|chain| chain.project(udf!("less", |n: &u64| n - 1000)), &Vec::from_iter(0..50));
    resumes_before(
        |chain| chain.project(udf!("tens", |n: &u64| n / 10)).distinct(),
        &Vec::from_iter(100..105),
    );
    resumes_before(
        |chain| chain.order_by(udf!("back", |n: &u64| Reverse(*n))),
        &Vec::from_iter((1000..1050).rev()),
    );
    resumes_before(
        |chain| {
            chain.agg(
                udf!("tens", |n: &u64| n / 10),
                udf!("sum", |group: &Group<u64, u64>| group.rows().sum::<u64>()),
            )
        },
        &[10045, 10145, 10245, 10345, 10445],
    );
}

#[test]
fn limits_and_offsets_beyond_the_ends() {
    let folder = Folder::new();
    let numbers = folder.session().read_records((0..10u64).collect());
    let filtered = numbers.filter(udf!("all", |_: &u64| true));
    let stored = numbers.map(udf!("same", |n: &u64| *n));
    for chain in [numbers, filtered, stored] {
        let cases: [(Chain<u64>, Vec<u64>); 9] = [
            (chain.limit(0), vec![]),
            (chain.limit(10), (0..10).collect()),
            (chain.limit(u64::MAX), (0..10).collect()),
            (chain.offset(0), (0..10).collect()),
            (chain.offset(10), vec![]),
            (chain.offset(u64::MAX), vec![]),
            (chain.offset(8).limit(5), vec![8, 9]),
            (chain.limit(5).offset(8), vec![]),
            (chain.offset(2).offset(3).limit(4).limit(2), vec![5, 6]),
        ];
        for (cut, expected) in cases {
            assert_eq!(cut.collect().unwrap(), expected, "{cut:?}");
            assert_eq!(cut.count().unwrap(), expected.len() as u64, "{cut:?}");
            assert_eq!(cut.first().unwrap(), expected.first().copied(), "{cut:?}");
            assert_eq!(cut.save("cut").unwrap().rows(), expected.len() as u64, "{cut:?}");
            assert_eq!(cut.map(udf!("again", |n: &u64| *n)).collect().unwrap(), expected, "{cut:?}");
        }
    }
}

#[test]
fn a_limit_is_not_disturbed_by_rows_behind_it() {
    let folder = Folder::new();
    // The other worker meets bad rows long before the first worker has found enough.
    let chain = builder(&folder.path()).threads(2).open().unwrap().read_records((0..1000u64).collect());
    let checked = chain.filter(udf!("slow, and bad from 20", |n: &u64| {
        if *n >= 20 {
            return Err("bad");
        }
        std::thread::sleep(Duration::from_millis(if *n == 5 { 300 } else { 0 }));
        Ok(true)
    }));
    assert_eq!(checked.limit(10).collect().unwrap(), Vec::from_iter(0..10));
    assert_eq!(failed_row(checked.limit(21).collect()), (20, "bad".to_owned()));
}

#[test]
fn a_limit_behind_a_filter_reads_little_more_than_it_gives() {
    static CALLS: Calls = Calls::new();
    let folder = Folder::new();
    let run = || {
        let chain =
            folder.session().read_records((0..100_000u64).collect()).filter(udf!("slow", |n: &u64| {
                CALLS.count(*n);
                std::thread::sleep(Duration::from_micros(100));
                true
            }));
        chain.limit(10).collect().unwrap()
    };
    assert_eq!(run(), Vec::from_iter(0..10));
    let calls = CALLS.take_total();
    assert!(calls < 10_000, "{calls} rows were looked at");
    assert_eq!((run(), CALLS.take_total()), (Vec::from_iter(0..10), 0), "what it gave was stored");
}

#[test]
fn a_union_of_many_chains_has_all_their_rows_in_order() {
    static CALLS: Calls = Calls::new();
    for chains in [50u64, 300] {
        let folder = Folder::new();
        let expected: Vec<u64> =
            (0..chains).flat_map(|chain| (0..chain % 4).map(move |n| chain * 10 + n)).collect();
        for run in 0..2 {
            let session = folder.session();
            let parts = (0..chains)
                .map(|chain| session.read_records((0..chain % 4).map(|n| chain * 10 + n).collect()));
            let all = parts.reduce(|all, part| all.union(&part)).unwrap();
            let counted = all.map(udf!("counted", |n: &u64| {
                CALLS.count(*n);
                *n
            }));
            assert_eq!(counted.collect().unwrap(), expected);
            assert_eq!(
                CALLS.take_total(),
                if run == 0 { expected.len() as u64 } else { 0 },
                "{chains} chains"
            );
        }
    }
}

#[test]
fn unions_are_nested_as_they_are_written() {
    let folder = Folder::new();
    let session = folder.session();
    let part = |rows: &[u64]| session.read_values(rows);
    let (a, b, c) = (part(&[1, 2]), part(&[]), part(&[3]));
    let odd = || udf!("odd", |n: &u64| !n.is_multiple_of(2));
    assert_eq!(a.union(&b).union(&c).union(&a).collect().unwrap(), [1, 2, 3, 1, 2]);
    assert_eq!(a.union(&b.union(&c.union(&a))).collect().unwrap(), [1, 2, 3, 1, 2]);
    assert_eq!(a.filter(odd()).union(&c).union(&a.union(&a).filter(odd())).collect().unwrap(), [1, 3, 1, 1]);
    let doubled = a.map(udf!("double", |n: &u64| n * 2));
    assert_eq!(doubled.union(&a).union(&doubled).collect().unwrap(), [2, 4, 1, 2, 2, 4]);
    assert_eq!(told(&session.report(), "double"), "skipped 2 = 2 + 0", "it is computed once");
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Place {
    country: Option<String>,
    number: i32,
}

#[test]
fn rows_with_equal_keys_stay_in_their_order_also_when_they_are_sorted_on_disk() {
    for sort_bytes_max in [1, 4096, 128 << 20] {
        let folder = Folder::new();
        let session =
            builder(&folder.path()).sort_bytes_max(sort_bytes_max).batch_rows_max(100).open().unwrap();
        let rows: Vec<(u64, u64)> = (0..3000).map(|n| (n * 7919 % 13, n)).collect();
        let sorted = session.read_values(&rows).order_by(udf!("first", |row: &(u64, u64)| row.0));
        let mut expected = rows.clone();
        expected.sort_by_key(|row| row.0); // stable
        assert!(sorted.collect().unwrap() == expected, "within {sort_bytes_max} bytes");
        let sorted =
            session.read_values(&rows).order_by(udf!("first, back", |row: &(u64, u64)| Reverse(row.0)));
        expected = rows;
        expected.sort_by_key(|row| Reverse(row.0));
        assert!(sorted.collect().unwrap() == expected, "within {sort_bytes_max} bytes");
        let tables = session.warehouse().list(&rowmark::warehouse::TableFilter::All).unwrap();
        assert!(tables.iter().all(|table| !table.to_string().contains("partition")), "{tables:?}");
    }
}

#[test]
fn keys_are_structs_options_tuples_and_the_unit() {
    let folder = Folder::new();
    let session = folder.session();
    let place = |country: Option<&str>, number| Place { country: country.map(String::from), number };
    let rows = [place(Some("nl"), 2), place(None, 5), place(Some("be"), -1), place(Some("nl"), -7)];
    let mut expected = rows.to_vec();
    expected.sort();
    let places = session.read_values(&rows);
    assert_eq!(places.order_by(udf!("whole", |place: &Place| place.clone())).collect().unwrap(), expected);
    expected.sort_by_key(|place| (Reverse(place.number), place.country.clone()));
    let key = udf!("tuple", |place: &Place| (Reverse(place.number), place.country.clone()));
    assert_eq!(places.order_by(key).collect().unwrap(), expected);
    let all = places.agg(
        udf!("all", |_: &Place| ()),
        udf!("sum", |group: &Group<(), Place>| group.rows().map(|place| place.number).sum::<i32>()),
    );
    assert_eq!(all.collect().unwrap(), [-1], "one group of all rows");
}

#[test]
fn distinct_keeps_the_first_of_equal_rows() {
    let folder = Folder::new();
    let session = builder(&folder.path()).sort_bytes_max(1000).batch_rows_max(64).open().unwrap();
    let numbers: Vec<u64> = (0..5000).map(|n| n * 7919 % 501).collect();
    let mut expected: Vec<u64> = Vec::new();
    numbers.iter().for_each(|n| {
        if !expected.contains(n) {
            expected.push(*n);
        }
    });
    assert_eq!(session.read_values(&numbers).distinct().collect().unwrap(), expected);
    assert_eq!(session.read_values(&numbers).distinct().distinct().collect().unwrap(), expected);

    let floats = [f64::NAN, 0.0, -f64::NAN, 1.5, 0.0, f64::INFINITY, 1.5];
    let distinct = session.read_values(&floats).distinct().collect().unwrap();
    assert_eq!(format!("{distinct:?}"), "[NaN, 0.0, 1.5, inf]", "one NaN is as another");
    let options = [Some("a"), None, Some(""), None, Some("a")].map(|text| text.map(String::from));
    let distinct = session.read_values(&options).distinct().collect().unwrap();
    assert_eq!(distinct, [Some("a".to_owned()), None, Some(String::new())]);
    let place = |country: Option<&str>, number| Place { country: country.map(String::from), number };
    let places = [place(None, 1), place(Some("nl"), 1), place(None, 1), place(None, 2)];
    let distinct = session.read_values(&places).distinct().collect().unwrap();
    assert_eq!(distinct, [place(None, 1), place(Some("nl"), 1), place(None, 2)]);
    assert!(session.read_values::<u64>(&[]).distinct().collect().unwrap().is_empty());
}
