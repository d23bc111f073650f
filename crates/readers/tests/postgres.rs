//! Queries of a real PostgreSQL server: `.ci/postgres run cargo test …` starts one. Without it these tests say that they
//! were left out.
//!
//! What a value's text has to be is asked of the server itself wherever it can tell.

#![expect(clippy::unwrap_used, reason = "a test")]

#[cfg(feature = "postgres-tls")]
#[path = "postgres/encrypted.rs"]
mod encrypted;
#[path = "postgres/secrets.rs"]
mod secrets;
#[path = "postgres/server.rs"]
mod server;
#[path = "postgres/snapshots.rs"]
mod snapshots;
#[path = "postgres/types.rs"]
mod types;

use rowmark_readers::{Error, Query, QueryRows};
use rowmark_rows::{Row, RowType};
use serde::{Deserialize, Serialize};
use server::{Server, told};

fn all<T: RowType>(query: Query) -> Result<Vec<T>, Error> {
    QueryRows::open(query)?.collect()
}

#[track_caller]
fn check_error<T: RowType + std::fmt::Debug>(query: Query, expected: &str) {
    let told = told(&all::<T>(query).unwrap_err());
    assert!(told.contains(expected), "{told}");
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Town {
    id: u8,
    name: String,
    metres: Option<f64>,
    open: bool,
}

const TOWNS: &str =
    "(values (1, 'Bern', 540.5::float8, true), (2, 'Biel', 434, false), (3, 'Oz', null, true))
    as towns (id, name, metres, open)";

#[test]
fn rows_have_the_type_that_is_asked_for() {
    let Some(server) = Server::of_tests() else { return };
    let query = format!("select name, id, open, metres from {TOWNS} where id < $1 order by id desc");
    let rows: Vec<Town> = all(server.query(query).param(3)).unwrap();
    let town = |id, name: &str, metres, open| Town { id, name: name.into(), metres: Some(metres), open };
    assert_eq!(rows, [town(2, "Biel", 434.0, false), town(1, "Bern", 540.5, true)]);

    let rows = QueryRows::<Row>::open(server.query(format!("select * from {TOWNS} order by id"))).unwrap();
    assert_eq!(rows.schema().to_string(), "id: i32?, name: string?, metres: f64?, open: bool?");
    let rows: Vec<String> = rows.map(|row| row.unwrap().to_string()).collect();
    assert_eq!(rows[2], "{id: 3, name: \"Oz\", metres: null, open: true}");
    let none = QueryRows::<Row>::open(server.query(format!("select * from {TOWNS} where id > 9"))).unwrap();
    assert_eq!(
        (none.schema().to_string().as_str(), none.count()),
        ("id: i32?, name: string?, metres: f64?, open: bool?", 0)
    );
}

#[test]
fn errors_say_what_and_where() {
    let Some(server) = Server::of_tests() else { return };
    let towns = |columns: &str| server.query(format!("select {columns} from {TOWNS} order by id"));
    check_error::<Town>(
        towns("id, name, metres"),
        "column `open` is missing; expected {id: u8, name: string, metres: f64?, open: bool}, found {id: int4, name: text, metres: float8}",
    );
    check_error::<Town>(
        towns("id, name, metres::numeric as metres, open"),
        "column `metres` is numeric and cannot be read as f64? without loss; cast it in the query, or change the field",
    );
    check_error::<Town>(
        towns("id * 1000 as id, name, metres, open"),
        "row 0 of the query: column `id`, found 1000: invalid value: integer `1000`, expected u8",
    );
    check_error::<Town>(
        towns("id, nullif(name, 'Oz') as name, metres, open"),
        "row 2 of the query: column `name`, found null: invalid type: unit value, expected a string",
    );
    check_error::<Row>(
        towns("id, int4range(1, 2) as span"),
        "cannot read the column `span`, which is of the type int4range; cast it in the query, to text as in `span::text`",
    );
    check_error::<Row>(towns("id, id"), "two columns are named `id`");
    check_error::<Row>(towns("id, nmae"), "cannot prepare the query at postgresql://127.0.0.1:");
    check_error::<Row>(
        towns("id, nmae"),
        "column \"nmae\" does not exist (42703), at character 12 of the query; ",
    );
    check_error::<Row>(server.query("selec 1"), "syntax error at or near \"selec\" (42601), at character 1");
    check_error::<Row>(server.query("select 1; select 2"), "cannot insert multiple commands");
    check_error::<Row>(server.query("select $1::int as n"), "expected 1 parameters but got 0");
    let divided = "select 1 / (3 - n) as n from generate_series(1, 9) as n";
    check_error::<Row>(server.query(divided), "cannot read row 2 of the query at postgresql://127.0.0.1:");
    check_error::<Row>(server.query(divided), "division by zero (22012)");
    check_error::<Row>(server.query("create table never (n int)"), "the query gives no rows");
    server.run("create table if not exists victims (n int)");
    check_error::<Row>(
        server.query("delete from victims returning n"),
        "cannot execute DELETE in a read-only transaction (25006)",
    );
}

#[test]
fn a_server_that_cannot_be_reached_is_named() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let query = Query::new(format!("postgresql://ada:s3cret@{nobody}/db"), "select 1 as n");
    check_error::<Row>(
        query.clone(),
        &format!("cannot connect to the database at postgresql://{nobody}/db: "),
    );
    check_error::<Row>(query, "Connection refused (os error 111); check that the server runs there");
    #[cfg(not(feature = "postgres-tls"))]
    check_error::<Row>(
        Query::new(format!("postgresql://{nobody}/db?sslmode=require"), "select 1 as n"),
        "it is to be encrypted (`sslmode=require`), for which the feature `postgres-tls` is to be turned on",
    );
    let Some(server) = Server::of_tests() else { return };
    check_error::<Row>(
        Query::new(server.url().replace("/postgres?", "/nowhere?"), "select 1 as n"),
        "database \"nowhere\" does not exist (3D000); check the address",
    );
}

#[test]
fn a_connection_that_is_lost_is_an_error_of_a_row_and_those_before_it_are_given() {
    let Some(server) = Server::of_tests() else { return };
    let url = format!("{}&application_name=lost", server.url());
    let query = Query::new(url, "select n, repeat('x', 1000) as text from generate_series(0, 999999) as n");
    let mut rows = QueryRows::<Row>::open(query).unwrap();
    assert_eq!(rows.next().unwrap().unwrap()["n"].as_i64(), Some(0));
    server.run("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'lost'");
    let mut next = 1;
    let error = loop {
        match rows.next().expect("an end that was not reached") {
            Ok(row) => assert_eq!(row["n"].as_i64(), Some(next)),
            Err(error) => break error,
        }
        next += 1;
    };
    let told = told(&error);
    assert!(
        told.starts_with(&format!("cannot read row {next} of the query at postgresql://127.0.0.1:")),
        "{told}"
    );
    assert!(told.contains("run again, what is finished is kept"), "{told}");
    assert!(rows.next().is_none());
}

#[test]
fn who_stops_early_does_not_wait_for_the_rest() {
    let Some(server) = Server::of_tests() else { return };
    let endless = "with recursive n(n) as (select 0 union all select n + 1 from n) select n, repeat('x', 10000) as x from n";
    let rows = QueryRows::<Row>::open(server.query(endless)).unwrap();
    assert_eq!(rows.take(3000).count(), 3000);
    drop(QueryRows::<Row>::open(server.query(endless).fingerprint("select 1 as n")).unwrap().fingerprint());
}
