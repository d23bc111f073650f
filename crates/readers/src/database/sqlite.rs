//! SQLite, from its file.

use rowmark_rows::Value;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, ToSql, params_from_iter};

use super::Query;
use crate::Error;

/// An open database.
pub(super) struct Sqlite {
    place: String,
    connection: Connection,
}

impl Sqlite {
    /// Opens a file to read it; it is not made if it is not there.
    pub(super) fn open(query: &Query, path: &str) -> Result<Self, Error> {
        let place = query.place();
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        match Connection::open_with_flags(path, flags) {
            Ok(connection) => Ok(Self { place, connection }),
            Err(source) => {
                let doing = "open the database".to_owned();
                Err(Error::Database { place, doing, source: Some(Box::new(source)) })
            }
        }
    }

    fn error(&self, doing: &str, source: rusqlite::Error) -> Error {
        Error::Database { place: self.place.clone(), doing: doing.to_owned(), source: Some(Box::new(source)) }
    }

    /// The names of the columns of a query.
    pub(super) fn columns(&self, sql: &str) -> Result<Vec<String>, Error> {
        let statement =
            self.connection.prepare(sql).map_err(|source| self.error("prepare the query", source))?;
        Ok(statement.column_names().map(str::to_owned).collect())
    }

    /// Gives each row of a query, until there are none or no more are wanted.
    pub(super) fn each_row(
        &self,
        sql: &str,
        params: &[Value],
        take: &mut dyn FnMut(Vec<Value>) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let failed = |source| self.error("run the query", source);
        let mut statement = self.connection.prepare(sql).map_err(failed)?;
        let columns = statement.column_count();
        let params: Vec<Box<dyn ToSql>> =
            params.iter().map(|value| self.param(value)).collect::<Result<_, _>>()?;
        let mut rows = statement.query(params_from_iter(params)).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let value =
                |column| row.get_ref(column).map_err(failed).and_then(|cell| self.value(column, cell));
            if !take((0..columns).map(value).collect::<Result<_, _>>()?)? {
                break;
            }
        }
        Ok(())
    }

    fn value(&self, column: usize, cell: ValueRef<'_>) -> Result<Value, Error> {
        Ok(match cell {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(number) => Value::I64(number),
            ValueRef::Real(number) => Value::F64(number),
            ValueRef::Text(text) => match std::str::from_utf8(text) {
                Ok(text) => Value::Text(text.to_owned()),
                Err(source) => {
                    let doing = format!("read a text in column {} that is no UTF-8", column + 1);
                    return Err(Error::Database {
                        place: self.place.clone(),
                        doing,
                        source: Some(Box::new(source)),
                    });
                }
            },
            ValueRef::Blob(bytes) => Value::Bytes(bytes.to_owned()),
        })
    }

    fn param(&self, value: &Value) -> Result<Box<dyn ToSql>, Error> {
        Ok(match value {
            Value::Null => Box::new(rusqlite::types::Null),
            Value::Bool(bool) => Box::new(*bool),
            Value::I64(number) => Box::new(*number),
            Value::U64(number) => match i64::try_from(*number) {
                Ok(number) => Box::new(number),
                Err(source) => {
                    let doing =
                        format!("pass {number} as a parameter, which is beyond SQLite's whole numbers,");
                    return Err(Error::Database {
                        place: self.place.clone(),
                        doing,
                        source: Some(Box::new(source)),
                    });
                }
            },
            Value::F64(number) => Box::new(*number),
            Value::Bytes(bytes) => Box::new(bytes.clone()),
            Value::Text(text) => Box::new(text.clone()),
            other => Box::new(other.to_string()),
        })
    }
}
