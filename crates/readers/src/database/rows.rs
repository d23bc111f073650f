//! [`QueryRows`]: the rows of a query, read ahead by a thread of their own.
//!
//! All that is asked of a database is asked on threads of its own: a client may keep an async runtime, and such a one may
//! neither be entered nor be left on a thread that is in another.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use rowmark_hashing::Fingerprint;
use rowmark_rows::{Columns, Row, RowSchema, RowType, Value};

use super::columns::{self, Column};
use super::{Query, Snapshot};
use crate::{Error, RowIter};

/// Rows that are sent together, and what they weigh at most but for the last of them.
const BATCH_ROWS_MAX: usize = 256;
const BATCH_BYTES: usize = 1024 * 1024;

/// Batches that may wait.
const BATCHES_AHEAD: usize = 4;

/// The rows of a query, read as they are asked for.
///
/// A clone reads them from the beginning, in a snapshot of its own.
pub struct QueryRows<T> {
    query: Arc<Query>,
    place: String,
    schema: RowSchema,
    row_columns: Option<Arc<Columns>>,
    found: Arc<[Column]>,
    row: u64,
    state: State,
    type_of_rows: PhantomData<fn() -> T>,
}

enum State {
    Ready,
    /// A snapshot is there, and waits for the word to read.
    Waiting(Reading, SyncSender<()>),
    Reading(Reading, std::vec::IntoIter<Vec<Value>>),
    Ended,
}

/// Batches of rows; the last is `None`.
type Reading = Receiver<Result<Option<Vec<Vec<Value>>>, Error>>;

impl<T: RowType> QueryRows<T> {
    /// Prepares a query and compares its columns with the fields of `T`. For [`Row`] the columns have the types that the
    /// database tells; what it does not tell (of SQLite all of it, of PostgreSQL what is in a `json` and how deep an array
    /// is) is guessed from the first 1,000 rows.
    ///
    /// # Errors
    /// The database cannot be opened, the query is malformed, or its columns are not those of `T`.
    pub fn open(query: Query) -> Result<Self, Error> {
        let (place, query) = (query.place(), Arc::new(query));
        let (asked, at) = (Arc::clone(&query), place.clone());
        let described = on_a_thread(&place, move || {
            asked.in_snapshot(|snapshot| {
                let found = snapshot.columns(&asked.sql)?;
                columns::check_names(&at, &found)?;
                let schema = RowSchema::of_or::<T, Error>(|| columns::schema(snapshot, &asked, &found))?;
                Ok((found, schema))
            })
        })?;
        let (found, schema) = described.join().unwrap_or_else(|_| Err(died(&place)))?;
        columns::check(&place, &found, &schema)?;
        let row_columns = if Row::is::<T>() { Some(Columns::of(&schema)?) } else { None };
        let (found, state) = (found.into(), State::Ready);
        Ok(Self { query, place, schema, row_columns, found, row: 0, state, type_of_rows: PhantomData })
    }

    /// The columns of the rows.
    #[must_use]
    pub fn schema(&self) -> &RowSchema {
        &self.schema
    }

    /// The identity of the rows as the [fingerprint query](Query::fingerprint) tells it, if there is one. The rows are then
    /// read in the snapshot in which it was asked: they are those that it spoke of, whatever is written meanwhile.
    ///
    /// The snapshot, which costs a connection, is there until the rows are read or this is dropped.
    ///
    /// # Errors
    /// The database cannot be opened, or the fingerprint query fails.
    ///
    /// # Panics
    /// When rows were read already.
    pub fn fingerprint(&mut self) -> Result<Option<Fingerprint>, Error> {
        assert!(matches!(self.state, State::Ready | State::Waiting(..)), "rows were read already");
        if !self.query.has_fingerprint() {
            return Ok(None);
        }
        let (query, found) = (Arc::clone(&self.query), Arc::clone(&self.found));
        let ((answer, answered), (word, go), (rows, reading)) =
            (sync_channel(1), sync_channel(1), sync_channel(BATCHES_AHEAD));
        on_a_thread(&self.place, move || {
            let looked = query.in_snapshot(|snapshot| {
                let identity = query.identity(snapshot);
                let is_told = identity.is_ok();
                if answer.send(identity).is_ok() && is_told && go.recv().is_ok() {
                    send_rows(&query, &found, snapshot, &rows);
                }
                Ok(())
            });
            // An error here is one of the opening: those of the queries were sent.
            looked.unwrap_or_else(|error| drop(answer.send(Err(error))));
        })?;
        let identity = answered.recv().unwrap_or_else(|_| Err(died(&self.place)))?;
        self.state = State::Waiting(reading, word);
        Ok(identity)
    }

    /// The rows as an iterator that has no type of its own.
    pub fn boxed(self) -> RowIter<'static, T> {
        Box::new(self)
    }

    fn begin(&self) -> Result<Reading, Error> {
        let (query, found) = (Arc::clone(&self.query), Arc::clone(&self.found));
        let (rows, reading) = sync_channel(BATCHES_AHEAD);
        on_a_thread(&self.place, move || {
            let looked = query.in_snapshot(|snapshot| {
                send_rows(&query, &found, snapshot, &rows);
                Ok(())
            });
            looked.unwrap_or_else(|error| drop(rows.send(Err(error))));
        })?;
        Ok(reading)
    }

    fn read(&self, values: Vec<Value>) -> Result<T, Error> {
        let row_error = |reason: String, source| Error::QueryRow {
            place: self.place.clone(),
            row: self.row,
            reason,
            source,
        };
        if let Some(row_columns) = &self.row_columns {
            let row =
                row_columns.row_of(values).map_err(|error| columns::misfit(&self.place, self.row, error))?;
            return Ok(row.cast().expect("rows without a type are read as such"));
        }
        let cells = self.found.iter().map(|column| Value::Text(column.name.clone())).zip(values);
        let cells = Value::Map(cells.collect());
        serde_path_to_error::deserialize(cells.clone()).map_err(|error| {
            let path = error.path().to_string();
            let column = path.split(['.', '[']).next().unwrap_or_default();
            let found = match cells {
                Value::Map(cells) => cells.into_iter().find(|(name, _)| name.as_str() == Some(column)),
                _ => None,
            };
            let found =
                found.map(|(_, value)| format!("column `{path}`, found {}: ", shortened(&value.to_string())));
            let error = error.into_inner();
            row_error(format!("{}{error}", found.unwrap_or_default()), Some(Box::new(error)))
        })
    }

    fn next_values(&mut self) -> Option<Result<Vec<Value>, Error>> {
        loop {
            match std::mem::replace(&mut self.state, State::Ended) {
                State::Ready => match self.begin() {
                    Ok(reading) => self.state = State::Reading(reading, Vec::new().into_iter()),
                    Err(error) => return Some(Err(error)),
                },
                State::Waiting(reading, word) => {
                    // Whoever does not take the word any more has sent why.
                    let _ = word.send(());
                    self.state = State::Reading(reading, Vec::new().into_iter());
                }
                State::Reading(reading, mut batch) => {
                    if let Some(values) = batch.next() {
                        self.state = State::Reading(reading, batch);
                        return Some(Ok(values));
                    }
                    match reading.recv() {
                        Ok(Ok(Some(rows))) => self.state = State::Reading(reading, rows.into_iter()),
                        Ok(Ok(None)) => return None,
                        Ok(Err(error)) => return Some(Err(error)),
                        // An end that was not sent is none: rows would be missing.
                        Err(_) => return Some(Err(died(&self.place))),
                    }
                }
                State::Ended => return None,
            }
        }
    }
}

impl<T: RowType> Iterator for QueryRows<T> {
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let values = self.next_values()?;
        let row = values.and_then(|values| self.read(values));
        self.row += 1;
        Some(row)
    }
}

impl<T> Clone for QueryRows<T> {
    fn clone(&self) -> Self {
        Self {
            query: Arc::clone(&self.query),
            place: self.place.clone(),
            schema: self.schema.clone(),
            row_columns: self.row_columns.clone(),
            found: Arc::clone(&self.found),
            row: 0,
            state: State::Ready,
            type_of_rows: PhantomData,
        }
    }
}

impl<T> fmt::Debug for QueryRows<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("QueryRows")
            .field("place", &self.place)
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

fn on_a_thread<R: Send + 'static>(
    place: &str,
    ask: impl FnOnce() -> R + Send + 'static,
) -> Result<thread::JoinHandle<R>, Error> {
    thread::Builder::new().name("rowmark-query".to_owned()).spawn(ask).map_err(|source| {
        let (place, doing) = (place.to_owned(), "start a thread that reads the database".to_owned());
        Error::Database { place, doing, source: Some(Box::new(source)) }
    })
}

/// The error of a thread that ended without a word.
fn died(place: &str) -> Error {
    let doing =
        "read the database to its end: the thread that read it panicked, which is an error of Rowmark,";
    Error::Database { place: place.to_owned(), doing: doing.to_owned(), source: None }
}

/// Runs a query and sends its rows, until all are sent or nobody takes them any more.
fn send_rows(
    query: &Query,
    expected: &[Column],
    snapshot: &mut dyn Snapshot,
    sender: &SyncSender<Result<Option<Vec<Vec<Value>>>, Error>>,
) {
    let (mut batch, mut batch_bytes) = (Vec::new(), 0);
    let sent = check_unchanged(query, expected, snapshot).and_then(|()| {
        snapshot.each_row(&query.sql, &query.params, &mut |row| {
            batch_bytes += row.iter().map(bytes).sum::<usize>();
            batch.push(row);
            if batch.len() < BATCH_ROWS_MAX && batch_bytes < BATCH_BYTES {
                return Ok(true);
            }
            batch_bytes = 0;
            Ok(sender.send(Ok(Some(std::mem::take(&mut batch)))).is_ok())
        })
    });
    // What came before an error is given before it, so that its row has a number.
    let _ = sender.send(Ok(Some(batch))).and_then(|()| sender.send(sent.map(|()| None)));
}

/// Makes sure that the columns are still those that the rows' type was compared with.
fn check_unchanged(query: &Query, expected: &[Column], snapshot: &mut dyn Snapshot) -> Result<(), Error> {
    let found = snapshot.columns(&query.sql)?;
    if found == expected {
        return Ok(());
    }
    Err(Error::Columns {
        what: query.place(),
        difference: "the columns of the query changed after the chain was built; run again".to_owned(),
        expected: columns::shown(expected),
        found: columns::shown(&found),
    })
}

/// About how much memory a value takes.
fn bytes(value: &Value) -> usize {
    let held = match value {
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(items) => items.iter().map(bytes).sum(),
        Value::Map(entries) => entries.iter().map(|(key, value)| bytes(key) + bytes(value)).sum(),
        _ => 0,
    };
    size_of::<Value>() + held
}

fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    text.chars().take(CHARS_MAX).collect()
}
