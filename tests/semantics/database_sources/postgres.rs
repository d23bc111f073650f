//! PostgreSQL.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rowmark::prelude::*;
use rowmark::readers::Query;
use rowmark::{CancelToken, Durability, Error};

use super::server::{Server, told};
use crate::sources::computed;
use crate::support::{Calls, Folder, builder};

/// Runs one of these tests in a process of its own, which finds the state folder in `variable`.
fn in_another_process(test: &str, variable: &str, state: &Path) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args([&format!("database_sources::postgres::{test}"), "--exact", "--nocapture"])
        .env(variable, state)
        .output()
        .unwrap()
}

#[track_caller]
fn check_success(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Town {
    id: i64,
    name: Option<String>,
    metres: Option<f64>,
    since: Option<String>,
    tags: Option<Vec<Option<String>>>,
}

fn make_towns(server: &Server, table: &str) {
    server.run(&format!(
        "drop table if exists {table};
        create table {table} (id bigint, name text, metres float8, since timestamptz, tags text[]);
        insert into {table} values (1, 'Bern', 540.5, '1191-01-01 00:00Z', '{{capital, null}}'), (2, 'Biel', 434, null, '{{}}'),
            (3, null, null, '2024-07-01 12:00+02', null)"
    ));
}

#[test]
fn s02_postgres_rows_are_known_again_by_another_process_and_others_are_not() {
    const STATE: &str = "ROWMARK_TEST_S02_POSTGRES";
    let Some(server) = Server::of_tests() else { return };
    let rows = || server.query("select * from s02_towns where id > $1 order by id").param(0);
    let cheap = || rows().fingerprint("select count(*), max(metres) from s02_towns");
    let run = |state: &Path, query: Query| {
        static CALLS: Calls = Calls::new();
        // It is the source as a whole that is to be known.
        let session = builder(state).row_reuse(false).open().unwrap();
        let chain = session.read_database::<Town>(query).unwrap();
        chain
            .map(udf!("name", |town: &Town| {
                CALLS.count(town.id as u64);
                town.name.clone()
            }))
            .collect()
            .unwrap();
        CALLS.take_total()
    };
    if let Some(state) = std::env::var_os(STATE) {
        assert_eq!(run(Path::new(&state), rows()), 0, "another process computed what is stored");
        assert_eq!(run(Path::new(&state), cheap()), 0, "another process computed what is stored");
        return;
    }
    make_towns(&server, "s02_towns");
    let folder = Folder::new();
    let test = "s02_postgres_rows_are_known_again_by_another_process_and_others_are_not";
    assert_eq!(run(&folder.path(), rows()), 3);
    assert_eq!(run(&folder.path(), cheap()), 0, "the same rows");
    check_success(&in_another_process(test, STATE, &folder.path()));
    server.run("update s02_towns set metres = 435 where id = 2");
    assert_eq!(run(&folder.path(), rows()), 3, "one value is another");
    assert_eq!(run(&folder.path(), cheap()), 0, "the fingerprint query does not see it, and is believed");
    server.run("update s02_towns set metres = 541 where id = 1");
    assert_eq!(run(&folder.path(), cheap()), 3);
    assert_eq!(run(&folder.path(), rows()), 0);
    check_success(&in_another_process(test, STATE, &folder.path()));
    server.run("update s02_towns set tags[1] = null where id = 1");
    assert_eq!(run(&folder.path(), rows()), 3, "a missing value is another");
    server.run("update s02_towns set tags = null where id = 2");
    assert_eq!(run(&folder.path(), rows()), 3, "and no list is not an empty one");
}

#[test]
fn s02_postgres_rows_are_not_stored_under_a_fingerprint_that_is_not_theirs() {
    let Some(server) = Server::of_tests() else { return };
    let folder = Folder::new();
    server.run(
        "drop table if exists s02_race; create table s02_race as select n from generate_series(1, 3) as n",
    );
    let open = || {
        let query =
            server.query("select n from s02_race order by n").fingerprint("select count(*) from s02_race");
        folder.session().read_database::<Row>(query).unwrap()
    };
    let numbers = |rows: Vec<Row>| rows.iter().map(|row| row["n"].as_i64().unwrap()).collect::<Vec<_>>();
    let chain = open();
    server.run("insert into s02_race values (4)"); // after the chain was built, and before it runs
    assert_eq!(numbers(chain.collect().unwrap()), [1, 2, 3, 4]);
    drop(chain);
    server.run("delete from s02_race where n = 4");
    assert_eq!(numbers(open().collect().unwrap()), [1, 2, 3]);
    server.run("insert into s02_race values (5)");
    assert_eq!(
        numbers(open().collect().unwrap()),
        [1, 2, 3, 4],
        "what the fingerprint query takes for known"
    );
}

/// A number whose serialisation ends the run at some time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Number {
    #[serde(serialize_with = "counted")]
    n: i64,
}

static WRITTEN: AtomicU64 = AtomicU64::new(0);
static WRITTEN_MAX: AtomicU64 = AtomicU64::new(u64::MAX);
static CANCEL: Mutex<Option<CancelToken>> = Mutex::new(None);

fn counted<S: serde::Serializer>(n: &i64, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    if WRITTEN.fetch_add(1, Ordering::SeqCst) == WRITTEN_MAX.load(Ordering::SeqCst) {
        CANCEL.lock().unwrap().iter().for_each(CancelToken::cancel);
    }
    serializer.serialize_i64(*n)
}

#[test]
fn s02_postgres_rows_of_two_readings_are_not_put_together() {
    const ROWS: i64 = 1000;
    let Some(server) = Server::of_tests() else { return };
    let folder = Folder::new();
    let fill = |order: &str| {
        server.run(&format!(
            "drop table if exists s02_order; create table s02_order as
                select n::bigint from generate_series(1, {ROWS}) as n order by n {order}"
        ));
    };
    let run = |cancel: CancelToken| {
        let session = builder(&folder.path())
            .threads(1)
            .durability(Durability::EveryRow)
            .batch_rows_max(10)
            .cancel(cancel)
            .open()
            .unwrap();
        let query = server.query("select n from s02_order").fingerprint("select count(*) from s02_order");
        let chain = session.read_database::<Number>(query).unwrap();
        WRITTEN.store(0, Ordering::SeqCst);
        chain.collect().map(|rows| rows.iter().map(|row| row.n).collect::<Vec<_>>())
    };
    // Each row is written to be hashed, to be stored as it comes, and to be stored for good.
    fill("asc");
    let cancel = CancelToken::new();
    *CANCEL.lock().unwrap() = Some(cancel.clone());
    WRITTEN_MAX.store(2 * ROWS as u64 + 500, Ordering::SeqCst);
    run(cancel).unwrap_err();
    WRITTEN_MAX.store(u64::MAX, Ordering::SeqCst);
    fill("desc");
    assert_eq!(run(CancelToken::new()).unwrap(), (1..=ROWS).rev().collect::<Vec<_>>());
}

#[test]
#[cfg(target_os = "linux")]
fn s02_postgres_a_million_rows_need_little_memory() {
    use crate::sources::peak_mib;
    const STATE: &str = "ROWMARK_TEST_S02_POSTGRES_MEMORY";
    const ROWS: u64 = 1_000_000;
    const ROW_BYTES: u64 = 8 + 400;
    let Some(server) = Server::of_tests() else { return };
    if let Some(state) = std::env::var_os(STATE) {
        let sql = format!("select n::bigint, repeat('x', 400) as text from generate_series(1, {ROWS}) as n");
        let session = builder(Path::new(&state)).open().unwrap();
        let before = peak_mib();
        assert_eq!(session.read_database::<Row>(server.query(sql)).unwrap().count().unwrap(), ROWS);
        let (more, all) = (peak_mib() - before, (ROWS * ROW_BYTES) >> 20);
        println!("{more} MiB more for rows of {all} MiB");
        assert!(more * 5 < all, "{more} MiB more for rows of {all} MiB");
        return;
    }
    let output =
        in_another_process("s02_postgres_a_million_rows_need_little_memory", STATE, &Folder::new().path());
    check_success(&output);
    println!("{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn s06_postgres_a_query_that_fails_is_told_and_runs_again() {
    let Some(server) = Server::of_tests() else { return };
    let folder = Folder::new();
    let open = |sql: &str| folder.session().read_database::<Row>(server.query(sql));
    let said = told(&open("select nothing from pg_class").unwrap_err());
    assert!(said.contains("cannot prepare the query at postgresql://127.0.0.1:"), "{said}");
    assert!(
        said.contains("column \"nothing\" does not exist (42703), at character 8 of the query"),
        "{said}"
    );

    server.run("drop sequence if exists s06_times; create sequence s06_times");
    // The server ends the connection at row 700 or soon after, the first time.
    let dies = "select n, case when n = 700 and (select last_value = 1 and not is_called from s06_times)
        then pg_terminate_backend(pg_backend_pid()) end as dies from generate_series(0, 999) as n";
    let run = || computed(&folder, |session| session.read_database::<Row>(server.query(dies)).unwrap());
    let error = open(dies).unwrap().collect().unwrap_err();
    let said = told(&error);
    assert!(matches!(error, Error::Source(_)), "{error:?}");
    // How many of the rows before that arrive, and whether the server's last word does, is up to the network.
    assert!(
        said.starts_with("cannot read row ") && said.contains(" of the query at postgresql://127.0.0.1:"),
        "{said}"
    );
    assert!(said.contains("run again, what is finished is kept"), "{said}");
    server.run("select nextval('s06_times')");
    assert_eq!(run(), 1000);
    assert_eq!(run(), 0);
}

#[test]
fn s07_postgres_order_columns_and_parameters_are_part_of_the_identity() {
    let Some(server) = Server::of_tests() else { return };
    make_towns(&server, "s07_towns");
    let folder = Folder::new();
    let run = |sql: &str, from: i32| {
        let query = server.query(sql).param(from);
        let rows = computed(&folder, |session| session.read_database::<Row>(query.clone()).unwrap());
        // With a fingerprint query rows are known by their content all the same.
        let query = query.fingerprint("select count(*) from s07_towns");
        assert_eq!(computed(&folder, |session| session.read_database::<Row>(query).unwrap()), 0);
        rows
    };
    assert_eq!(run("select id, name from s07_towns where id > $1 order by id", 0), 3);
    assert_eq!(run("select id, name from s07_towns where id > $1 order by id desc", 0), 3);
    assert_eq!(run("select name, id from s07_towns where id > $1 order by id", 0), 3);
    assert_eq!(run("select id, name from s07_towns where id > $1 order by id", 1), 2);
    assert_eq!(run("select id::int, name from s07_towns where id > $1 order by id", 0), 3, "of another type");
    assert_eq!(
        run("select id, name from s07_towns where id > $1 order by name nulls last", 0),
        0,
        "as at first"
    );
}

/// Everything that is told.
static TOLD: Mutex<String> = Mutex::new(String::new());

struct Listener;

struct Fields<'a>(&'a mut String);

impl tracing::field::Visit for Fields<'_> {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl tracing::Subscriber for Listener {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        attributes.record(&mut Fields(&mut TOLD.lock().unwrap()));
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, record: &tracing::span::Record<'_>) {
        record.record(&mut Fields(&mut TOLD.lock().unwrap()));
    }

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut Fields(&mut TOLD.lock().unwrap()));
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

/// The bytes of all files in a folder.
fn all_bytes(folder: &Path) -> Vec<u8> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { all_bytes(&path) } else { std::fs::read(path).unwrap() })
        .collect()
}

#[test]
fn s02_postgres_no_secret_is_in_a_state_folder_a_log_or_a_report() {
    const STATE: &str = "ROWMARK_TEST_S02_POSTGRES_SECRETS";
    const PARAMETER: &str = "s3cret-Parameter";
    let Some(server) = Server::of_tests() else { return };
    if let Some(state) = std::env::var_os(STATE) {
        tracing::subscriber::set_global_default(Listener).unwrap();
        let mut said = String::new();
        for sql in [
            "select length($1) as n",
            "select 1 / (length($1) - 16) as n",
            "select $1::int as n",
            "select nothing",
        ] {
            for query in [
                server.query(sql).param(PARAMETER),
                server.query(sql).param(PARAMETER).fingerprint("select 1 as n"),
            ] {
                let session = builder(Path::new(&state)).progress(ProgressDisplay::Lines).open().unwrap();
                let length = udf!("length", |row: &Row| row["n"].as_i64());
                let ran = session.read_database::<Row>(query).and_then(|rows| {
                    let chain = rows.map(length);
                    said += &format!("{}", chain.explain()?);
                    chain.save("lengths")
                });
                match ran {
                    Ok(saved) => said += &format!("{}", saved.report()),
                    Err(error) => said += &format!("{error:?} {}", told(&error)),
                }
            }
        }
        println!("{said} {}", TOLD.lock().unwrap());
        return;
    }
    let folder = Folder::new();
    let output = in_another_process(
        "s02_postgres_no_secret_is_in_a_state_folder_a_log_or_a_report",
        STATE,
        &folder.path(),
    );
    check_success(&output);
    let password = server.url().split(['@', ':']).nth(2).unwrap();
    let written = all_bytes(&folder.path());
    let contains =
        |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(
        contains(&written, "127.0.0.1:") && contains(&written, "select length($1) as n"),
        "records name the database"
    );
    assert!(
        contains(&output.stdout, "division by zero") && contains(&output.stdout, "rows stored"),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    for bytes in [&written, &output.stdout, &output.stderr] {
        for secret in [PARAMETER, password] {
            assert!(!contains(bytes, secret), "{secret} is in {}", String::from_utf8_lossy(bytes));
        }
    }
}
