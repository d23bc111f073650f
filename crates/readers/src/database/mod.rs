//! Rows of a query.
//!
//! A result set can be read once and from its beginning only, so it is no [`Source`](crate::Source): it is an iterator, for
//! whoever stores rows. It is read by a thread of its own, a bounded number of rows ahead.
//!
//! Where a database is may hold a password; it is shown, hashed and recorded without.

mod sqlite;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use rowmark_hashing::Fingerprint;
use rowmark_rows::{Columns, Row, RowSchema, RowType, SchemaGuess, Value};

use crate::selection::{FoundColumn, Selection};
use crate::{Error, RowIter};

/// Rows that are sent together, and how many of these may wait.
const BATCH_ROWS: usize = 256;
const BATCHES_AHEAD: usize = 4;

/// Rows from which types are guessed where none are told.
const GUESS_ROWS: usize = 1000;

/// A query of a database.
///
/// The order of rows is part of their identity, and a database is free to give them in another each time: say
/// `order by`.
///
/// ```
/// use rowmark_readers::{Query, QueryRows};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("towns.db");
/// # rusqlite::Connection::open(&path)?.execute_batch("create table towns (name text, metres integer);
/// #     insert into towns values ('Bern', 540), ('Biel', 434);")?;
/// let url = format!("sqlite:{}", path.display());
/// let query = Query::new(url, "select name, metres from towns where metres > ? order by name").param(500);
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Town { name: String, metres: u32 }
///
/// let towns: Vec<Town> = QueryRows::open(query)?.collect::<Result<_, _>>()?;
/// assert_eq!((towns.len(), towns[0].metres), (1, 540));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Query {
    url: String,
    sql: String,
    params: Vec<Value>,
    fingerprint: Option<String>,
}

impl Query {
    /// A query of the database at `url`: `sqlite:` and the path of its file.
    #[must_use]
    pub fn new(url: impl Into<String>, sql: impl Into<String>) -> Self {
        Self { url: url.into(), sql: sql.into(), params: Vec::new(), fingerprint: None }
    }

    /// Adds the value of the next parameter (`?`) of the query.
    #[must_use]
    pub fn param(mut self, value: impl Into<Value>) -> Self {
        self.params.push(value.into());
        self
    }

    /// Sets a cheap query whose result changes whenever that of the query does, such as
    /// `select count(*), max(updated_at) from orders`: while it is what it was, the query is not run at all.
    #[must_use]
    pub fn fingerprint(mut self, sql: impl Into<String>) -> Self {
        self.fingerprint = Some(sql.into());
        self
    }

    /// Where the database is, without a user and a password.
    fn place(&self) -> String {
        match self.url.split_once("://") {
            Some((scheme, rest)) => {
                let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
                let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
                let path = path.split('?').next().unwrap_or_default();
                format!("{scheme}://{host}/{path}")
            }
            None => self.url.clone(),
        }
    }

    fn open(&self) -> Result<sqlite::Sqlite, Error> {
        match self.url.strip_prefix("sqlite:") {
            Some(path) => sqlite::Sqlite::open(self, path.strip_prefix("//").unwrap_or(path)),
            None => Err(Error::Database {
                place: self.place(),
                doing: "open the database; its address begins with `sqlite:`".to_owned(),
                source: None,
            }),
        }
    }

    /// The identity of the rows as the fingerprint query tells it, if there is one: where the database is, the query, its
    /// parameters, and what the fingerprint query answers.
    ///
    /// # Errors
    /// The database cannot be opened, or the fingerprint query fails.
    pub fn identity(&self) -> Result<Option<Fingerprint>, Error> {
        let Some(sql) = &self.fingerprint else { return Ok(None) };
        let database = self.open()?;
        let mut answer = Vec::new();
        database.each_row(sql, &[], &mut |row| {
            answer.push(row);
            Ok(answer.len() < GUESS_ROWS)
        })?;
        let answer: Vec<String> = answer.iter().map(|row| Value::List(row.clone()).to_string()).collect();
        let params: Vec<String> = self.params.iter().map(ToString::to_string).collect();
        let fingerprint = Fingerprint::new("rowmark.source.query")
            .with("database", &self.place())?
            .with("query", &self.sql)?;
        // Parameters may be secrets: their hash is kept, and no text of them.
        let hash = rowmark_hashing::ContentHash::of(&params)?;
        let shown = format_args!("{} values", params.len());
        Ok(Some(fingerprint.with_hash("parameters", hash, shown).with("fingerprint", &answer)?))
    }
}

/// Shows neither a password nor the values of parameters.
impl fmt::Debug for Query {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Query")
            .field("database", &self.place())
            .field("sql", &self.sql)
            .finish_non_exhaustive()
    }
}

/// The rows of a query, read as they are asked for.
pub struct QueryRows<T> {
    place: String,
    schema: RowSchema,
    columns: Option<Arc<Columns>>,
    names: Vec<String>,
    row: u64,
    state: State,
    type_of_rows: PhantomData<fn() -> T>,
}

enum State {
    Ready(Box<Query>),
    Reading(Receiver<Result<Vec<Vec<Value>>, Error>>, std::vec::IntoIter<Vec<Value>>),
    Ended,
}

impl<T: RowType> QueryRows<T> {
    /// Prepares a query and compares its columns with the fields of `T`; for [`Row`] the types of columns are guessed from
    /// its first 1,000 rows.
    ///
    /// # Errors
    /// The database cannot be opened, the query is malformed, or its columns are not those of `T`.
    pub fn open(query: Query) -> Result<Self, Error> {
        let database = query.open()?;
        let (place, names) = (query.place(), database.columns(&query.sql)?);
        let schema = RowSchema::of_or::<T, Error>(|| guess(&database, &query, &names))?;
        let found: Vec<FoundColumn> =
            names.iter().map(|name| FoundColumn { name: name.clone(), misfit: None }).collect();
        Selection::default().check(&place, &schema, &found, &names.join(", "))?;
        let columns = if Row::is::<T>() { Some(Columns::of(&schema)?) } else { None };
        let state = State::Ready(Box::new(query));
        Ok(Self { place, schema, columns, names, row: 0, state, type_of_rows: PhantomData })
    }

    /// The columns of the rows.
    #[must_use]
    pub fn schema(&self) -> &RowSchema {
        &self.schema
    }

    /// The rows as an iterator that has no type of its own.
    pub fn boxed(self) -> RowIter<'static, T> {
        Box::new(self)
    }

    fn read(&self, values: Vec<Value>) -> Result<T, Error> {
        let row_error = |reason: String, source| Error::QueryRow {
            place: self.place.clone(),
            row: self.row,
            reason,
            source,
        };
        if let Some(columns) = &self.columns {
            let row = columns
                .row_of(values)
                .map_err(|error| row_error(error.to_string(), Some(Box::new(error) as _)))?;
            return Ok(row.cast().expect("rows without a type are read as such"));
        }
        let cells = self.names.iter().map(|name| Value::Text(name.clone())).zip(values);
        let cells = Value::Map(cells.collect());
        serde_path_to_error::deserialize(cells.clone()).map_err(|error| {
            let column = error.path().to_string();
            let found = match cells {
                Value::Map(cells) => cells.into_iter().find(|(name, _)| name.as_str() == Some(&column)),
                _ => None,
            };
            let found = found
                .map(|(_, value)| format!("column `{column}`, found {}: ", shortened(&value.to_string())));
            let error = error.into_inner();
            row_error(format!("{}{error}", found.unwrap_or_default()), Some(Box::new(error)))
        })
    }

    fn next_values(&mut self) -> Option<Result<Vec<Value>, Error>> {
        loop {
            match &mut self.state {
                State::Ready(_) => {
                    let State::Ready(query) = std::mem::replace(&mut self.state, State::Ended) else {
                        return None;
                    };
                    let (sender, receiver) = sync_channel(BATCHES_AHEAD);
                    let spawned = thread::Builder::new()
                        .name("rowmark-query".to_owned())
                        .spawn(move || send_rows(&query, &sender));
                    if let Err(source) = spawned {
                        let (place, doing) = (self.place.clone(), "start a thread that reads it".to_owned());
                        return Some(Err(Error::Database { place, doing, source: Some(Box::new(source)) }));
                    }
                    self.state = State::Reading(receiver, Vec::new().into_iter());
                }
                State::Reading(receiver, batch) => match batch.next() {
                    Some(values) => return Some(Ok(values)),
                    None => match receiver.recv() {
                        Ok(Ok(rows)) => *batch = rows.into_iter(),
                        Ok(Err(error)) => {
                            self.state = State::Ended;
                            return Some(Err(error));
                        }
                        Err(_) => self.state = State::Ended,
                    },
                },
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

impl<T> fmt::Debug for QueryRows<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("QueryRows")
            .field("place", &self.place)
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

/// Runs a query and sends its rows, until all are sent or nobody takes them any more.
fn send_rows(query: &Query, sender: &SyncSender<Result<Vec<Vec<Value>>, Error>>) {
    let mut batch = Vec::with_capacity(BATCH_ROWS);
    let sent = query.open().and_then(|database| {
        database.each_row(&query.sql, &query.params, &mut |row| {
            batch.push(row);
            Ok(batch.len() < BATCH_ROWS || sender.send(Ok(std::mem::take(&mut batch))).is_ok())
        })
    });
    let _ = sender.send(sent.map(|()| batch));
}

/// The schema that the first rows seem to have.
fn guess(database: &sqlite::Sqlite, query: &Query, names: &[String]) -> Result<RowSchema, Error> {
    let mut guess = SchemaGuess::new();
    let named = |values: Vec<Value>| {
        Value::Map(names.iter().map(|name| Value::Text(name.clone())).zip(values).collect())
    };
    // A column without a row is a column.
    guess.observe(&named(vec![Value::Null; names.len()]))?;
    let mut rows = 0;
    database.each_row(&query.sql, &query.params, &mut |row| {
        rows += 1;
        guess.observe(&named(row))?;
        Ok(rows < GUESS_ROWS)
    })?;
    Ok(guess.schema())
}

fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    text.chars().take(CHARS_MAX).collect()
}
