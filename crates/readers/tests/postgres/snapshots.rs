//! What the fingerprint query answers and the rows are of one moment.

use rowmark_readers::QueryRows;
use rowmark_rows::Row;

use super::server::Server;

fn numbers(rows: QueryRows<Row>) -> Vec<i64> {
    rows.map(|row| row.unwrap()["n"].as_i64().unwrap()).collect()
}

#[test]
fn rows_are_those_that_the_fingerprint_query_spoke_of() {
    let Some(server) = Server::of_tests() else { return };
    server.run("drop table if exists written; create table written (n int); insert into written values (1)");
    let query = server.query("select n from written order by n").fingerprint("select count(*) from written");
    let mut rows = QueryRows::<Row>::open(query).unwrap();
    let before = rows.fingerprint().unwrap().unwrap();
    server.run("insert into written values (2)");
    let mut later = rows.clone();
    assert_eq!(numbers(rows), [1], "what was there when it was asked");
    let after = later.fingerprint().unwrap().unwrap();
    assert_eq!(after.first_difference(&before).unwrap().to_string(), "fingerprint: [1] → [2]");
    assert_eq!(numbers(later), [1, 2]);
}

#[test]
fn the_snapshot_lasts_while_rows_are_read() {
    let Some(server) = Server::of_tests() else { return };
    server.run("drop table if exists long; create table long as select n, repeat('x', 100) as x from generate_series(1, 100000) as n");
    let mut rows = QueryRows::<Row>::open(server.query("select n from long order by n")).unwrap();
    rows.next().unwrap().unwrap();
    server.run("delete from long where n > 50");
    assert_eq!(rows.count(), 99_999);
}

#[test]
fn the_identity_is_that_of_the_fingerprint_query() {
    let Some(server) = Server::of_tests() else { return };
    let hash = |query: rowmark_readers::Query| {
        let query = query.fingerprint("select 1 as n");
        QueryRows::<Row>::open(query).unwrap().fingerprint().unwrap().unwrap().hash()
    };
    let query = || server.query("select $1::text as n");
    assert_eq!(hash(query().param("a")), hash(query().param("a")));
    assert_ne!(hash(query().param("a")), hash(query().param("b")));
    assert_ne!(hash(query().param("a")), hash(server.query("select $1::text as m").param("a")));
    // The same server asked by someone else, or of names that mean other tables.
    server.run("drop role if exists somebody; create role somebody login password 'somebody'");
    let place = server.url().split_once('@').unwrap().1;
    let of = |url: String| hash(rowmark_readers::Query::new(url, "select $1::text as n").param("a"));
    assert_ne!(of(format!("postgresql://somebody:somebody@{place}")), hash(query().param("a")));
    let elsewhere = "options=-c%20search_path%3Dpg_catalog";
    assert_ne!(of(format!("{}&{elsewhere}", server.url())), hash(query().param("a")));
    // The way in which an address is written is no part of it, nor is a password.
    server.run("drop role if exists twice; create role twice login password 'one'");
    let one = of(format!("postgresql://twice:one@{place}"));
    server.run("alter role twice password 'two'");
    let (host, port) = place.split_once('/').unwrap().0.split_once(':').unwrap();
    assert_eq!(
        of(format!("host={host} port={port} user=twice password=two dbname=postgres sslmode=disable")),
        one
    );
}
