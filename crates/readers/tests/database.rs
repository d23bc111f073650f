//! Queries of SQLite files that Python's sqlite3 wrote: types, errors, secrets, and many rows in little memory.

#![expect(clippy::unwrap_used, reason = "a test")]

use rowmark_readers::{Error, Query, QueryRows};
use rowmark_rows::{Row, RowType, Value};
use serde::{Deserialize, Serialize};

fn towns(sql: &str) -> Query {
    Query::new(format!("sqlite:{}/tests/data/towns.db", env!("CARGO_MANIFEST_DIR")), sql)
}

fn all<T: RowType>(query: Query) -> Result<Vec<T>, Error> {
    QueryRows::open(query)?.collect()
}

#[track_caller]
fn check_error<T: RowType + std::fmt::Debug>(query: Query, expected: &str) {
    let error = all::<T>(query).unwrap_err();
    let told = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ");
    assert!(told.contains(expected), "{told}");
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Town {
    id: u8,
    name: String,
    metres: Option<f64>,
    open: bool,
}

#[test]
fn rows_have_the_type_that_is_asked_for() {
    let rows: Vec<Town> =
        all(towns("select name, id, open, metres from towns where id < ? order by id desc").param(3))
            .unwrap();
    let town = |id, name: &str, metres, open| Town { id, name: name.into(), metres: Some(metres), open };
    assert_eq!(rows, [town(2, "Biel", 434.0, false), town(1, "Bern", 540.5, true)]);

    let rows = QueryRows::<Row>::open(towns("select * from towns order by id")).unwrap();
    assert_eq!(rows.schema().to_string(), "id: i64?, name: string?, metres: f64?, open: i64?, seal: bytes?");
    let rows: Vec<String> = rows.map(|row| row.unwrap().to_string()).collect();
    assert_eq!(rows[0], "{id: 1, name: \"Bern\", metres: 540.5, open: 1, seal: 5 bytes}");
    assert_eq!(rows[2], "{id: 3, name: \"Oz\", metres: null, open: 1, seal: 0 bytes}");
    let none = QueryRows::<Row>::open(towns("select id, name from towns where id > 9")).unwrap();
    assert_eq!((none.schema().to_string(), none.count()), ("id: string?, name: string?".into(), 0));
}

#[test]
fn errors_say_what_and_where() {
    check_error::<Town>(
        towns("select id, name, metres from towns"),
        "towns.db: column `open` is missing; expected {id: u8, name: string, metres: f64?, open: bool}, found {id, name, metres}",
    );
    check_error::<Town>(
        towns("select * from towns"),
        "column `seal` is in no field; add one, or leave the column out of the query; expected {id: u8,",
    );
    check_error::<Town>(
        towns("select id * 1000 as id, name, metres, open from towns"),
        "towns.db: row 0 of the query: column `id`, found 1000: invalid value: integer `1000`, expected u8",
    );
    check_error::<Town>(
        towns("select id, name, metres, open + 1 as open from towns where id = 1"),
        "row 0 of the query: column `open`, found 2: invalid type: integer `2`, expected a boolean",
    );
    check_error::<Row>(towns("select * from odd"), "field n is i64 2, where string is expected");
    check_error::<Row>(towns("select * from villages"), "cannot prepare the query at sqlite:");
    check_error::<Row>(towns("select * from villages"), "no such table: villages");
    check_error::<Row>(
        Query::new("sqlite:/nowhere/at/all.db", "select 1"),
        "cannot open the database at sqlite:/nowhere/at/all.db",
    );
    check_error::<Row>(towns("select ? as n").param(u64::MAX), "beyond SQLite's whole numbers");
    check_error::<Row>(towns("delete from towns returning id"), "readonly database");
}

#[test]
fn no_secret_is_shown() {
    for url in [
        "mysql://ada:s3cret@host:3306/db?password=s3cret",
        "mysql://ada:s3/cret@s3cret:3306/db",
        "s3cret",
        "Password=s3cret; Server=host",
        "postgresql://ada:s3cret@host:s3cret/db",
        "password=s3cret s3cret",
    ] {
        let query = Query::new(url, "select 1").param("s3cret");
        let shown = format!("{query:?}");
        let error = QueryRows::<Row>::open(query).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        for text in [shown, error.to_string(), format!("{error:?}"), source] {
            assert!(!text.contains("s3cret") && !text.contains("ada"), "{text}");
        }
    }
    check_error::<Row>(
        Query::new("mysql://host/db", "select 1"),
        "cannot open the database at mysql:…: an address begins with `sqlite:` or `postgresql:`",
    );
    let query = towns("select id from towns where name = ?")
        .param("s3cret")
        .fingerprint("select count(*) from towns");
    let identity = format!("{:?}", QueryRows::<Row>::open(query).unwrap().fingerprint().unwrap().unwrap());
    assert!(identity.contains("1 values") && !identity.contains("s3cret"), "{identity}");
    let too_large = QueryRows::<Row>::open(towns("select ? as n").param(u64::MAX)).unwrap_err().to_string();
    assert!(!too_large.contains(&u64::MAX.to_string()), "{too_large}");
}

/// The identity by a query's fingerprint query.
fn identity(query: Query) -> Option<String> {
    let fingerprint = QueryRows::<Row>::open(query).unwrap().fingerprint().unwrap();
    fingerprint.map(|fingerprint| fingerprint.hash().to_string())
}

#[test]
fn the_identity_is_that_of_the_fingerprint_query() {
    let hash = |query: Query| identity(query.fingerprint("select count(*) from towns"));
    let query = || towns("select id from towns where id < ?");
    assert_eq!(hash(query().param(1)), hash(query().param(1)));
    assert_ne!(hash(query().param(1)), hash(query().param(2)));
    assert_ne!(hash(query().param(1)), hash(towns("select id from towns where id <= ?").param(1)));
    assert_ne!(hash(query().param(vec![1u8])), hash(query().param(vec![2u8])), "as many bytes, but others");
    assert_eq!(identity(query().param(1)), None);
    assert_eq!(Value::from(None::<i64>), Value::Null);
}

#[test]
fn all_that_a_fingerprint_query_answers_counts() {
    let asked = |sql: &str| identity(towns("select id from towns").fingerprint(sql));
    let digest = "select x'00ff' as digest";
    assert_eq!(asked(digest), asked(digest));
    // The text of the query is a part of the identity, so what differs has to come from elsewhere: the files.
    let in_file = |name: &str, sql: &str| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("towns.db");
        std::fs::copy(format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR")), &path).unwrap();
        let query = Query::new(format!("sqlite:{}", path.display()), "select id from towns").fingerprint(sql);
        let fingerprint = QueryRows::<Row>::open(query).unwrap().fingerprint().unwrap().unwrap();
        fingerprint.get("fingerprint").unwrap().hash
    };
    let bytes = "select cast(metres as blob) from towns order by id";
    assert_ne!(in_file("towns.db", bytes), in_file("towns_changed.db", bytes), "5 bytes each");
    let last = "with recursive n(n) as (select 0 union all select n + 1 from n where n < 1999)
        select n, (select case when n = 1999 then sum(metres) end from towns) from n";
    assert_ne!(in_file("towns.db", last), in_file("towns_changed.db", last), "row 1,999 is another");
    assert_eq!(in_file("towns.db", last), in_file("towns.db", last));
}

#[test]
fn rows_are_those_that_the_fingerprint_query_spoke_of() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("numbers.db");
    let writer = rusqlite::Connection::open(&path).unwrap();
    writer
        .execute_batch("pragma journal_mode = wal; create table t (n integer); insert into t values (1)")
        .unwrap();
    let query = Query::new(format!("sqlite:{}", path.display()), "select n from t")
        .fingerprint("select count(*) from t");
    let mut rows = QueryRows::<Number>::open(query).unwrap();
    let before = rows.fingerprint().unwrap().unwrap().hash();
    writer.execute_batch("insert into t values (2)").unwrap();
    let mut later = rows.clone();
    assert_eq!(rows.map(|row| row.unwrap().n).collect::<Vec<_>>(), [1], "what was there when it was asked");
    assert_ne!(later.fingerprint().unwrap().unwrap().hash(), before);
    assert_eq!(later.map(|row| row.unwrap().n).collect::<Vec<_>>(), [1, 2]);
}

#[derive(Debug, Serialize, Deserialize)]
struct Number {
    n: i64,
}

#[test]
fn columns_that_changed_after_they_were_looked_at_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("numbers.db");
    let writer = rusqlite::Connection::open(&path).unwrap();
    writer.execute_batch("create table t (a integer, b integer); insert into t values (1, 2)").unwrap();
    let rows = QueryRows::<Row>::open(Query::new(format!("sqlite:{}", path.display()), "select * from t"));
    let mut rows = rows.unwrap();
    writer
        .execute_batch("drop table t; create table t (b integer, a integer); insert into t values (2, 1)")
        .unwrap();
    let told = rows.next().unwrap().unwrap_err().to_string();
    assert!(told.contains("changed after the chain was built") && told.contains("found {b, a}"), "{told}");
    assert!(rows.next().is_none());
}

#[test]
fn columns_have_names_of_their_own() {
    check_error::<Row>(towns("select 1 as id, 2 as id"), "two columns are named `id`");
    check_error::<Row>(towns("create table t (n integer)"), "the query gives no rows");
}

#[test]
fn rows_before_one_that_cannot_be_read_are_given() {
    let rows = QueryRows::<Number>::open(towns(
        "select 7 as n union all select 8 union all select abs(-9223372036854775808)",
    ));
    let rows: Vec<Result<Number, Error>> = rows.unwrap().collect();
    assert_eq!(rows.iter().flatten().map(|row| row.n).collect::<Vec<_>>(), [7, 8]);
    let Err(error) = &rows[2] else { panic!("{rows:?}") };
    assert!(error.to_string().starts_with("cannot read row 2 of the query at sqlite:"), "{error}");
}

#[test]
fn many_rows_are_read_a_few_at_a_time() {
    let many =
        "with recursive n(n) as (select 0 union all select n + 1 from n where n < 199999) select n from n";
    let rows = QueryRows::<Row>::open(towns(many)).unwrap();
    let sum: i64 = rows.map(|row| row.unwrap()["n"].as_i64().unwrap()).sum();
    assert_eq!(sum, 199_999 * 200_000 / 2);
    // Who stops early does not wait for the rest.
    let endless = "with recursive n(n) as (select 0 union all select n + 1 from n) select n from n";
    assert_eq!(QueryRows::<Row>::open(towns(endless)).unwrap().take(3000).count(), 3000);
}
