//! Rows of a query.
//!
//! A result set can be read once and from its beginning only, so it is no [`Source`](crate::Source): it is an iterator, for
//! whoever stores rows. It is read by a thread of its own, a bounded number of rows ahead.
//!
//! Whatever is to go together is asked in one snapshot of the database: what the fingerprint query answers, and the rows.
//!
//! Where a database is may hold a password; it is shown, hashed and recorded without.

mod address;
mod columns;
#[cfg(feature = "postgres")]
mod postgres;
mod rows;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::fmt;

use rowmark_hashing::{ContentHash, ContentHasher, Fingerprint};
use rowmark_rows::Value;
use serde::{Serialize, Serializer, ser::Error as _};

use crate::Error;
use address::Address;
use columns::Column;
pub use rows::QueryRows;

/// A query of a database.
///
/// The order of rows is part of their identity, and a database is free to give them in another each time: say
/// `order by`.
///
/// | database | address | parameters |
/// |---|---|---|
/// | SQLite | `sqlite:` and the path of its file | `?` |
/// | PostgreSQL | `postgresql://user:password@host:port/database?…`, or `host=… user=… password=… dbname=…` | `$1`, `$2`, … |
///
/// Of PostgreSQL `sslmode` is `disable`, `prefer` or `require`; an encrypted connection, for which there is the feature
/// `postgres-tls`, is one to a server with a certificate that the machine trusts.
///
/// ```
/// # #[cfg(feature = "sqlite")] {
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
/// # }
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
    /// A query of the database at `url`.
    #[must_use]
    pub fn new(url: impl Into<String>, sql: impl Into<String>) -> Self {
        Self { url: url.into(), sql: sql.into(), params: Vec::new(), fingerprint: None }
    }

    /// Adds the value of the next parameter of the query: `?` of SQLite, `$1`, `$2`, … of PostgreSQL, which takes texts
    /// for whatever type it expects, and lists as arrays.
    ///
    /// No log, error or record has it in it. Where there is a [fingerprint query](Self::fingerprint), a hash of all
    /// parameters is recorded, since others are other rows; who has the records can try values until one has that hash.
    /// So a secret that could be guessed in some billions of attempts is to be no parameter of such a query. Without a
    /// fingerprint query nothing is kept of parameters.
    #[must_use]
    pub fn param(mut self, value: impl Into<Value>) -> Self {
        self.params.push(value.into());
        self
    }

    /// Sets a cheap query whose result changes whenever that of the query does, such as
    /// `select count(*), max(updated_at) from orders`: while it is what it was, the query is not run at all.
    ///
    /// It is asked in the snapshot in which the rows are read, if they are.
    #[must_use]
    pub fn fingerprint(mut self, sql: impl Into<String>) -> Self {
        self.fingerprint = Some(sql.into());
        self
    }

    /// Whether there is a [fingerprint query](Self::fingerprint).
    #[must_use]
    pub fn has_fingerprint(&self) -> bool {
        self.fingerprint.is_some()
    }

    /// Where the database is, without a user and a password.
    fn place(&self) -> String {
        Address::of(&self.url).place()
    }

    /// Opens the database, and looks at it in one snapshot.
    fn in_snapshot<R>(&self, look: impl FnOnce(&mut dyn Snapshot) -> Result<R, Error>) -> Result<R, Error> {
        match Address::of(&self.url) {
            #[cfg(feature = "sqlite")]
            Address::Sqlite(path) => sqlite::in_snapshot(self.place(), &path, look),
            #[cfg(feature = "postgres")]
            Address::Postgres(config) => postgres::in_snapshot(self.place(), *config, look),
            Address::Unknown { place, advice } => {
                let doing = "open the database".to_owned();
                Err(Error::Database { place, doing, source: Some(advice.into()) })
            }
        }
    }

    /// The identity of the rows as the fingerprint query tells it, if there is one: where the database is, the query, its
    /// parameters, and what the fingerprint query answers.
    fn identity(&self, snapshot: &mut dyn Snapshot) -> Result<Option<Fingerprint>, Error> {
        let Some(sql) = &self.fingerprint else { return Ok(None) };
        let (mut answer, mut first) = (ContentHasher::new(), None);
        snapshot.each_row(sql, &[], &mut |row| {
            answer.update(&Exact::all(&row))?;
            first.get_or_insert_with(|| Value::List(row).to_string());
            Ok(true)
        })?;
        let rows = answer.rows();
        let shown = match (first, rows) {
            (Some(row), 1) => row,
            (Some(row), _) => format!("{rows} rows, the first {row}"),
            (None, _) => "no row".to_owned(),
        };
        let fingerprint = Address::of(&self.url)
            .identify(Fingerprint::new("rowmark.source.query"))?
            .with("query", &self.sql)?
            .with("fingerprint query", sql)?;
        // Parameters may be secrets: their hash is kept, and no text of them.
        let params = ContentHash::of(&Exact::all(&self.params))?;
        Ok(Some(
            fingerprint
                .with_hash("parameters", params, format_args!("{} values", self.params.len()))
                .with_hash("fingerprint", answer.finish(), shown),
        ))
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

/// A database as it is at one moment: a transaction that only reads, and sees nothing of what is written meanwhile.
trait Snapshot {
    /// The columns of a query.
    fn columns(&mut self, sql: &str) -> Result<Vec<Column>, Error>;

    /// Gives each row of a query, until there are none or no more are wanted.
    fn each_row(
        &mut self,
        sql: &str,
        params: &[Value],
        take: &mut dyn FnMut(Vec<Value>) -> Result<bool, Error>,
    ) -> Result<(), Error>;
}

/// A value as it is hashed: all of it, where its text for people tells of bytes only how many there are.
struct Exact<'a>(&'a Value);

impl<'a> Exact<'a> {
    fn all(values: &'a [Value]) -> Vec<Self> {
        values.iter().map(Exact).collect()
    }
}

impl Serialize for Exact<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => serializer.serialize_none(),
            Value::Bool(bool) => serializer.serialize_bool(*bool),
            Value::I64(number) => serializer.serialize_i64(*number),
            Value::U64(number) => serializer.serialize_u64(*number),
            Value::F64(number) => serializer.serialize_f64(*number),
            Value::Text(text) => serializer.serialize_str(text),
            Value::Bytes(bytes) => serializer.serialize_bytes(bytes),
            Value::List(items) => serializer.collect_seq(items.iter().map(Exact)),
            Value::Map(entries) => {
                serializer.collect_map(entries.iter().map(|(key, value)| (Exact(key), Exact(value))))
            }
            Value::Struct(row) => row.serialize(serializer),
            other => Err(S::Error::custom(format_args!("{other} is of an unknown kind"))),
        }
    }
}
