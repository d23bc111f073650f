//! PostgreSQL, from its server.
//!
//! Values come in the server's binary form, which no setting of server, database or role changes. What a query itself may
//! turn into text, or texts into, does depend on settings, so these are pinned.
//!
//! Rows come a bounded number of bytes at a time, from a portal: whoever ends early waits for no more than these.

mod decode;
mod error;
mod params;
mod text;
#[cfg(feature = "postgres-tls")]
mod tls;
mod types;

use std::time::Duration;

use postgres::config::{Config, SslMode};
use postgres::error::Error as ClientError;
use postgres::fallible_iterator::FallibleIterator as _;
use postgres::types::{FromSql, ToSql, Type};
use postgres::{Client, IsolationLevel, NoTls, Transaction};
use rowmark_rows::Value;

use super::Snapshot;
use super::columns::Column;
use crate::Error;
use error::Cause;
use params::Param;
use types::Kind;

/// Rows that are asked for at a time: few at first, then as many as seem to weigh this much.
const FETCH_ROWS_FIRST: i32 = 64;
const FETCH_ROWS_MAX: usize = 8192;
const FETCH_BYTES: usize = 4 * 1024 * 1024;

/// For how long a server may take to answer at all, where the address does not say.
const CONNECT_SECONDS_MAX: u64 = 30;

/// What decides how values become texts and texts values, and in which order a table without one is read.
const SETTINGS: &str = "set local timezone = 'UTC'; set local datestyle = 'ISO, YMD'; \
    set local intervalstyle = 'iso_8601'; set local extra_float_digits = 3; set local bytea_output = 'hex'; \
    set local lc_monetary = 'C'; set local lc_numeric = 'C'; set local lc_time = 'C'; \
    set local standard_conforming_strings = on; set local synchronize_seqscans = off";

/// A transaction of a connection.
struct Postgres<'a> {
    place: String,
    transaction: Transaction<'a>,
}

/// Connects, and begins a transaction that only reads and sees one state of the database.
pub(super) fn in_snapshot<R>(
    place: String,
    mut config: Config,
    look: impl FnOnce(&mut dyn Snapshot) -> Result<R, Error>,
) -> Result<R, Error> {
    let failed = |doing: &str, cause: Cause| cause.into_error(&place, doing.to_owned());
    if config.get_application_name().is_none() {
        config.application_name("rowmark");
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(Duration::from_secs(CONNECT_SECONDS_MAX));
    }
    // Notices can have parameters in them, and the client would log them.
    config.notice_callback(|_| {});
    let mut client = connect(&config).map_err(|cause| failed("connect to the database", cause))?;
    let begun = |error: ClientError| failed("begin to read the database", Cause::of(&error, &[]));
    let mut transaction = client
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .map_err(begun)?;
    transaction.batch_execute(SETTINGS).map_err(begun)?;
    look(&mut Postgres { place: place.clone(), transaction })
}

#[cfg(feature = "postgres-tls")]
fn connect(config: &Config) -> Result<Client, Cause> {
    let connected = match config.get_ssl_mode() {
        SslMode::Disable => config.connect(NoTls),
        _ => config.connect(tls::connector().map_err(|error| Cause::of_tls(&error))?),
    };
    connected.map_err(|error| Cause::of_connecting(&error))
}

#[cfg(not(feature = "postgres-tls"))]
fn connect(config: &Config) -> Result<Client, Cause> {
    match config.get_ssl_mode() {
        SslMode::Require => Err(Cause::no_tls()),
        _ => config.connect(NoTls).map_err(|error| Cause::of_connecting(&error)),
    }
}

impl Snapshot for Postgres<'_> {
    fn columns(&mut self, sql: &str) -> Result<Vec<Column>, Error> {
        let statement = self.prepare(sql)?;
        let column = |column: &postgres::Column| {
            let (name, type_of) = (column.name().to_owned(), column.type_());
            let shape = self.kind(&name, type_of)?.shape();
            Ok(Column { name, type_name: Some(types::name(type_of)), shape })
        };
        statement.columns().iter().map(column).collect()
    }

    fn each_row(
        &mut self,
        sql: &str,
        params: &[Value],
        take: &mut dyn FnMut(Vec<Value>) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let statement = self.prepare(sql)?;
        let names: Vec<&str> = statement.columns().iter().map(postgres::Column::name).collect();
        let kinds = statement
            .columns()
            .iter()
            .map(|column| self.kind(column.name(), column.type_()))
            .collect::<Result<Vec<_>, _>>()?;
        let Self { place, transaction } = self;
        let failed = |doing: String, error: &ClientError| Cause::of(error, params).into_error(place, doing);
        let given: Vec<Param<'_>> = params.iter().map(Param).collect();
        let given: Vec<&(dyn ToSql + Sync)> = given.iter().map(|param| param as _).collect();
        let portal = transaction
            .bind(&statement, &given)
            .map_err(|error| failed("begin the query".to_owned(), &error))?;
        let (mut row_number, mut fetch_rows): (u64, i32) = (0, FETCH_ROWS_FIRST);
        loop {
            let read = |row: u64, error: &ClientError| failed(format!("read row {row} of the query"), error);
            let mut rows = transaction
                .query_portal_raw(&portal, fetch_rows)
                .map_err(|error| read(row_number, &error))?;
            let (mut fetched, mut bytes) = (0, 0);
            while let Some(row) = rows.next().map_err(|error| read(row_number, &error))? {
                let cell = |(index, kind): (usize, &Kind)| {
                    let Raw(cell) = row.try_get(index).map_err(|error| read(row_number, &error))?;
                    let Some(cell) = cell else { return Ok(Value::Null) };
                    bytes += cell.len();
                    decode::value(kind, cell).map_err(|reason| Error::QueryRow {
                        place: place.clone(),
                        row: row_number,
                        reason: format!("column `{}` {reason}", names[index]),
                        source: None,
                    })
                };
                if !take(kinds.iter().enumerate().map(cell).collect::<Result<_, _>>()?)? {
                    return Ok(());
                }
                fetched += 1;
                row_number += 1;
            }
            if fetched < fetch_rows {
                return Ok(());
            }
            let row_bytes = (bytes / fetched as usize).max(1);
            fetch_rows = (FETCH_BYTES / row_bytes).clamp(1, FETCH_ROWS_MAX) as i32;
        }
    }
}

impl Postgres<'_> {
    fn prepare(&mut self, sql: &str) -> Result<postgres::Statement, Error> {
        let failed = |error| Cause::of(&error, &[]).into_error(&self.place, "prepare the query".to_owned());
        self.transaction.prepare(sql).map_err(failed)
    }

    fn kind(&self, column: &str, type_of: &Type) -> Result<Kind, Error> {
        Kind::of(type_of).ok_or_else(|| {
            let doing = format!(
                "read the column `{column}`, which is of the type {}; cast it in the query, to text as in \
                 `{column}::text` for example,",
                types::name(type_of)
            );
            Error::Database { place: self.place.clone(), doing, source: None }
        })
    }
}

/// The bytes of a cell of any type, or nothing of one without a value.
struct Raw<'a>(Option<&'a [u8]>);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(Some(raw)))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
