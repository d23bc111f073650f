//! SQLite, from its file.

use rowmark_rows::Value;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, ToSql, Transaction, params_from_iter};

use super::Snapshot;
use super::columns::{Column, Shape};
use crate::Error;

/// A transaction of an open database.
struct Sqlite<'a> {
    place: String,
    transaction: Transaction<'a>,
}

/// Opens a file to read it; it is not made if it is not there.
pub(super) fn in_snapshot<R>(
    place: String,
    path: &str,
    look: impl FnOnce(&mut dyn Snapshot) -> Result<R, Error>,
) -> Result<R, Error> {
    let failed = |source| {
        let (place, doing) = (place.clone(), "open the database".to_owned());
        Error::Database { place, doing, source: Some(Box::new(source)) }
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    let transaction = connection.transaction().map_err(failed)?;
    look(&mut Sqlite { place: place.clone(), transaction })
}

impl Snapshot for Sqlite<'_> {
    /// The names of the columns; SQLite lets any value be in any.
    fn columns(&mut self, sql: &str) -> Result<Vec<Column>, Error> {
        let statement =
            self.transaction.prepare(sql).map_err(|source| self.error("prepare the query", source))?;
        let column = |name: &str| Column { name: name.to_owned(), type_name: None, shape: Shape::Any };
        Ok(statement.column_names().map(column).collect())
    }

    fn each_row(
        &mut self,
        sql: &str,
        params: &[Value],
        take: &mut dyn FnMut(Vec<Value>) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let failed = |source| self.error("run the query", source);
        let mut statement = self.transaction.prepare(sql).map_err(failed)?;
        let columns = statement.column_count();
        let params: Vec<Box<dyn ToSql>> = params
            .iter()
            .zip(1..)
            .map(|(value, number)| self.param(value, number))
            .collect::<Result<_, _>>()?;
        let mut rows = statement.query(params_from_iter(params)).map_err(failed)?;
        let mut row_number: u64 = 0;
        loop {
            let failed = |source| self.error(&format!("read row {row_number} of the query"), source);
            let Some(row) = rows.next().map_err(failed)? else { return Ok(()) };
            let value =
                |column| row.get_ref(column).map_err(failed).and_then(|cell| self.value(column, cell));
            if !take((0..columns).map(value).collect::<Result<_, _>>()?)? {
                return Ok(());
            }
            row_number += 1;
        }
    }
}

impl Sqlite<'_> {
    fn error(&self, doing: &str, source: rusqlite::Error) -> Error {
        Error::Database { place: self.place.clone(), doing: doing.to_owned(), source: Some(Box::new(source)) }
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

    fn param(&self, value: &Value, number: usize) -> Result<Box<dyn ToSql>, Error> {
        Ok(match value {
            Value::Null => Box::new(rusqlite::types::Null),
            Value::Bool(bool) => Box::new(*bool),
            Value::I64(value) => Box::new(*value),
            Value::U64(value) => match i64::try_from(*value) {
                Ok(value) => Box::new(value),
                Err(source) => {
                    let doing = format!("pass parameter {number}, which is beyond SQLite's whole numbers,");
                    return Err(Error::Database {
                        place: self.place.clone(),
                        doing,
                        source: Some(Box::new(source)),
                    });
                }
            },
            Value::F64(value) => Box::new(*value),
            Value::Bytes(bytes) => Box::new(bytes.clone()),
            Value::Text(text) => Box::new(text.clone()),
            other => Box::new(other.to_string()),
        })
    }
}
