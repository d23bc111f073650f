//! What a Rust developer writes today: SQLite in WAL mode, a table of results with a mark of what is done,
//! transactions of a thousand rows, and a `LEFT JOIN` to go on after a crash.
//!
//! `synchronous` is left at SQLite's default, so each transaction is durable.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use rusqlite::{Connection, Row};

use crate::Answer;
use crate::rows::{Review, Sample as _};
use crate::side::{At, Done};

const TRANSACTION_ROWS: usize = 1000;

const COLUMNS: &str = "id INTEGER PRIMARY KEY, author INTEGER, stars REAL, unix_time_ms INTEGER, text TEXT";

fn open(path: &Path) -> Answer<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    Ok(connection)
}

fn database(folder: &Path) -> PathBuf {
    folder.join("rows.sqlite")
}

/// Writes the rows of a case.
pub(crate) fn prepare(at: &At) -> Answer {
    let mut connection = open(&database(&at.shared))?;
    connection.execute_batch(&format!("CREATE TABLE reviews ({COLUMNS});"))?;
    connection.execute_batch(&format!("CREATE TABLE results ({COLUMNS}, done INTEGER NOT NULL);"))?;
    let transaction = connection.transaction()?;
    let mut insert = transaction.prepare("INSERT INTO reviews VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for Review { id, author, stars, unix_time_ms, text } in (0..at.rows).map(Review::make) {
        insert.execute((id as i64, author, stars, unix_time_ms, text))?;
    }
    drop(insert);
    Ok(transaction.commit()?)
}

/// Gives a round a database of its own.
pub(crate) fn ready(at: &At) -> Answer {
    std::fs::copy(database(&at.shared), database(&at.round))?;
    Ok(())
}

/// Computes what is missing.
pub(crate) fn map(at: &At) -> Answer<Done> {
    let connection = open(&database(&at.round))?;
    let mut insert = connection.prepare("INSERT OR REPLACE INTO results VALUES (?1, ?2, ?3, ?4, ?5, 1)")?;
    // Rows are read on a connection of their own: a cursor sees what was there when it began.
    let source = open(&database(&at.round))?;
    let mut missing = source.prepare(
        "SELECT reviews.* FROM reviews LEFT JOIN results ON results.id = reviews.id AND results.done \
         WHERE results.id IS NULL ORDER BY reviews.id",
    )?;
    let mut missing = missing.query_map((), review)?;
    loop {
        let rows = missing.by_ref().take(TRANSACTION_ROWS).collect::<Result<Vec<_>, _>>()?;
        if rows.is_empty() {
            break;
        }
        let computed: Vec<Review> = rows.par_iter().map(Review::computed).collect();
        let transaction = connection.unchecked_transaction()?;
        for Review { id, author, stars, unix_time_ms, text } in computed {
            insert.execute((id as i64, author, stars, unix_time_ms, text))?;
        }
        transaction.commit()?;
    }
    let rows: i64 = connection.query_row("SELECT count(*) FROM results WHERE done", (), |row| row.get(0))?;
    Ok(Done::rows(rows as u64))
}

fn review(row: &Row<'_>) -> rusqlite::Result<Review> {
    Ok(Review {
        id: row.get::<_, i64>(0)? as u64,
        author: row.get(1)?,
        stars: row.get(2)?,
        unix_time_ms: row.get(3)?,
        text: row.get(4)?,
    })
}
