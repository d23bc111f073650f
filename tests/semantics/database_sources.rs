//! s: rows of databases, SQLite's files and a real PostgreSQL server, which `.ci/postgres` starts.

use std::fs;
use std::path::Path;

use rowmark::prelude::*;
use rowmark::readers::Query;

#[cfg(feature = "postgres")]
#[path = "../../crates/readers/tests/postgres/server.rs"]
mod server;

#[cfg(feature = "postgres")]
mod postgres;

use crate::support::Folder;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Town {
    name: String,
    metres: Option<f64>,
}

#[test]
#[cfg(feature = "sqlite")]
fn s02_rows_are_not_stored_under_a_fingerprint_that_is_not_theirs() {
    let (folder, data) = (Folder::new(), tempfile::tempdir().unwrap());
    let path = data.path().join("towns.db");
    let put = |name: &str| {
        fs::copy(Path::new("crates/readers/tests/data").join(name), &path).unwrap();
    };
    let towns = |session: &Session| {
        let query =
            Query::new(format!("sqlite:{}", path.display()), "select name, metres from towns order by id");
        session.read_database::<Town>(query.fingerprint("select sum(metres) from towns")).unwrap()
    };
    let metres = |towns: Vec<Town>| towns[1].metres;
    put("towns.db");
    let chain = towns(&folder.session());
    put("towns_changed.db"); // after the chain was built, and before it runs
    assert_eq!(metres(chain.collect().unwrap()), Some(435.0));
    put("towns.db");
    assert_eq!(metres(chain.collect().unwrap()), Some(435.0), "a chain has the rows that it had");
    drop(chain);
    assert_eq!(metres(towns(&folder.session()).collect().unwrap()), Some(434.0), "what it is again");
}

#[test]
#[cfg(feature = "sqlite")]
fn s02_a_look_at_a_query_that_is_known_reads_no_rows() {
    let folder = Folder::new();
    let numbers = |session: &Session, sql: &str| {
        let query = Query::new("sqlite::memory:", sql).fingerprint("select 1");
        session.read_database::<Number>(query).unwrap()
    };
    let sql = "with recursive n(n) as (select 1 union all select n + 1 from n where n < 5) select n from n";
    assert!(!numbers(&folder.session(), sql).explain().unwrap().is_done());
    assert_eq!(numbers(&folder.session(), sql).count().unwrap(), 5);
    let told = numbers(&folder.session(), sql).explain().unwrap();
    assert!(told.is_done() && told.steps()[0].rows_in == Some(5), "{told}");
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Number {
    n: u64,
}
