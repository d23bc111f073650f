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
    let query = Query::new("postgres://ada:s3cret@host:5432/db?password=s3cret", "select 1").param("s3cret");
    for text in [format!("{query:?}"), QueryRows::<Row>::open(query).unwrap_err().to_string()] {
        assert!(text.contains("postgres://host:5432/db") && !text.contains("s3cret"), "{text}");
    }
    let query = towns("select id from towns where name = ?")
        .param("s3cret")
        .fingerprint("select count(*) from towns");
    let identity = format!("{:?}", query.identity().unwrap().unwrap());
    assert!(identity.contains("1 values") && !identity.contains("s3cret"), "{identity}");
}

#[test]
fn the_identity_is_that_of_the_fingerprint_query() {
    let hash =
        |query: Query| query.fingerprint("select count(*) from towns").identity().unwrap().unwrap().hash();
    let query = || towns("select id from towns where id < ?");
    assert_eq!(hash(query().param(1)), hash(query().param(1)));
    assert_ne!(hash(query().param(1)), hash(query().param(2)));
    assert_ne!(hash(query().param(1)), hash(towns("select id from towns where id <= ?").param(1)));
    assert!(query().identity().unwrap().is_none());
    assert_eq!(Value::from(None::<i64>), Value::Null);
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
