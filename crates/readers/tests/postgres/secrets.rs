//! Neither a password nor a parameter is in anything that can be read.

use std::fmt::Write as _;
use std::sync::Mutex;

use rowmark_readers::{Query, QueryRows};
use rowmark_rows::Row;

use super::server::Server;

static LOGGED: Mutex<String> = Mutex::new(String::new());

/// Keeps all that is logged, by the client too.
struct Logger;

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let mut logged = LOGGED.lock().unwrap();
        writeln!(logged, "{} {}", record.target(), record.args()).unwrap();
    }

    fn flush(&self) {}
}

/// Opens a query, reads its fingerprint and its rows, and answers everything that was told meanwhile.
fn told(query: &Query) -> String {
    let mut told = format!("{query:?}\n");
    let read = QueryRows::<Row>::open(query.clone()).and_then(|mut rows| {
        writeln!(told, "{rows:?} {:?}", rows.fingerprint()?).unwrap();
        rows.try_for_each(|row| row.map(drop))
    });
    if let Err(error) = read {
        let mut cause = Some(&error as &dyn std::error::Error);
        while let Some(error) = cause {
            writeln!(told, "{error}\n{error:?}").unwrap();
            cause = error.source();
        }
    }
    told
}

#[test]
fn no_secret_is_told() {
    let Some(server) = Server::of_tests() else { return };
    log::set_logger(&Logger).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    server.run(
        "create or replace function tell(secret text) returns text language plpgsql as
            $$begin raise notice 'told %', secret; raise warning 'warned %', secret; return 'told'; end$$;
        create or replace function fail(secret text) returns text language plpgsql as
            $$begin raise exception 'failed %', secret using detail = secret, hint = secret; end$$",
    );
    let (server_address, s) = (server.url().split_once('@').unwrap().1, "S3cret-in-Tests");
    let with = |sql: &str| server.query(sql).param(s).fingerprint("select 1 as n");
    let password = server.url().split(['@', ':']).nth(2).unwrap();
    for (query, expected) in [
        (with("select length($1) as n"), "1 values"),
        (with("select tell($1) as n"), "1 values"),
        (with("select $1::int as n"), "invalid input syntax for type integer: \"…\" (22P02)"),
        (with("select ($1 || 'x')::int as n"), "invalid input syntax for type integer: \"…\" (22P02)"),
        (with("select upper($1)::date as n"), "invalid input syntax for type date: \"…\" (22007)"),
        (with("select fail($1) as n"), "failed … (P0001); …; …"),
        (with("select fail($1) as n from generate_series(1, 9)"), "failed …"),
        (with("select $1 || $2 as n"), "expected 2 parameters but got 1"),
        (with("select $1 as n from nowhere"), "\"nowhere\" does not exist"),
        (
            Query::new(format!("postgresql://tester:{s}@{server_address}"), "select 1 as n"),
            "password authentication failed",
        ),
        (
            Query::new(format!("postgresql://{s}:{s}@{s}:{s}/{s}"), "select 1 as n"),
            "an address is `postgresql://",
        ),
        (
            Query::new(format!("postgresql://tester:{s}@{s}@{server_address}"), "select 1 as n"),
            "an address is",
        ),
        (
            Query::new(format!("postgresql://tester:a@{s}/{s}@{server_address}"), "select 1 as n"),
            "an address is",
        ),
        (
            Query::new(format!("postgresql://tester:{s}@{server_address}&{s}={s}"), "select 1 as n"),
            "an address is",
        ),
        (
            Query::new(format!("host=127.0.0.1 user=tester password={s} {s}=1"), "select 1 as n"),
            "an address is",
        ),
        (Query::new(format!("password='{s} host=127.0.0.1"), "select 1 as n"), "an address is"),
        (
            Query::new(format!("host=127.0.0.1 port=1 user=tester password={s}"), "select 1 as n"),
            "127.0.0.1:1",
        ),
    ] {
        let told = told(&query);
        assert!(told.contains(expected), "{expected}: {told}");
        let lower = told.to_lowercase();
        assert!(!lower.contains(&s.to_lowercase()) && !lower.contains(password), "{told}");
    }
    let logged = LOGGED.lock().unwrap().to_lowercase();
    assert!(
        logged.contains("preparing query") && logged.contains("tokio_postgres"),
        "the client logs: {logged}"
    );
    assert!(!logged.contains(&s.to_lowercase()) && !logged.contains(password), "{logged}");
}
