//! Tables as values of a type: plain loading and plain reading.

use std::iter::FusedIterator;
use std::num::NonZeroUsize;
use std::vec;

use rowmark_hashing::ContentHash;
use rowmark_rows::{RowRange, RowSchema, RowType};

use crate::{CodeId, Error, Scan, Table, TableName, TableWriter, Warehouse};

/// Adds rows to a table, behind those that are there; makes the table if it does not exist.
///
/// Each `batch_rows` rows are one durable batch, after which `on_commit` is told how many rows are in. An input row
/// is the row itself, so that a load which was interrupted goes on behind the rows that are there. The table is not
/// sealed. Answers how many rows it holds.
///
/// ```
/// use std::num::NonZeroUsize;
///
/// use rowmark_warehouse::{DatasetName, MemoryWarehouse, TableName, Warehouse, insert_rows};
///
/// let warehouse = MemoryWarehouse::new();
/// let name = TableName::dataset(DatasetName::new("squares")?, 1);
/// let batch_rows = NonZeroUsize::new(400).expect("it is not 0");
///
/// let squares = (0..1_000_u64).map(|number| number * number);
/// let rows = insert_rows(&warehouse, &name, squares, batch_rows, |rows| println!("{rows} rows"))?;
/// assert_eq!(rows, 1_000);
///
/// let table = warehouse.open_table(&name)?.expect("it was made");
/// let last = table.rows::<u64>()?.last().expect("there are rows")?;
/// assert_eq!(last, 999 * 999);
/// # Ok::<(), rowmark_warehouse::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Rows`] when values of `T` cannot be stored, which names the field; [`Error::SchemaMismatch`] when the
/// table holds other rows; and those of [`Warehouse::create`], [`Warehouse::resume`] and [`TableWriter::commit`].
/// What was committed stays.
pub fn insert_rows<T: RowType>(
    warehouse: &dyn Warehouse,
    table: &TableName,
    rows: impl IntoIterator<Item = T>,
    batch_rows: NonZeroUsize,
    mut on_commit: impl FnMut(u64),
) -> Result<u64, Error> {
    let wrong = |source| wrong(table, source);
    let schema = RowSchema::of::<T>().map_err(wrong)?;
    let code = CodeId::new(ContentHash::of("rowmark insert_rows").expect("text always has a hash"));
    let mut writer: Box<dyn TableWriter> = match warehouse.resume(table) {
        Err(Error::TableMissing { .. }) => warehouse.create(table, &schema, b"")?,
        resumed => resumed?,
    };
    let mut rows = rows.into_iter();
    loop {
        let batch: Vec<T> = rows.by_ref().take(batch_rows.get()).collect();
        if batch.is_empty() {
            return Ok(writer.rows_out());
        }
        let start = writer.processed().span().map_or(0, RowRange::end);
        let range = RowRange::new(start, start + batch.len() as u64);
        writer.append(range, code, &schema.encode(&batch).map_err(wrong)?)?;
        writer.commit()?;
        on_commit(writer.rows_out());
    }
}

impl Table {
    /// Reads all rows as values of a type, in their order. Memory holds one batch at a time.
    ///
    /// # Errors
    ///
    /// [`Error::OtherRows`] when the table's columns are not those of `T`, with the first difference; [`Error::Rows`]
    /// when `T` cannot be stored at all.
    pub fn rows<T: RowType>(&self) -> Result<Rows<T>, Error> {
        let table = || self.name().clone();
        let schema = RowSchema::of::<T>().map_err(|source| wrong(self.name(), source))?;
        match schema.first_difference(self.schema()) {
            Some(difference) => Err(Error::OtherRows { table: table(), difference: Box::new(difference) }),
            None => Ok(Rows { table: table(), schema, scan: self.scan(), batch: Vec::new().into_iter() }),
        }
    }
}

/// Reads a table's rows as values; made by [`Table::rows`]. It ends after the first error.
#[derive(Debug)]
pub struct Rows<T> {
    table: TableName,
    schema: RowSchema,
    scan: Scan,
    batch: vec::IntoIter<T>,
}

impl<T: RowType> Iterator for Rows<T> {
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.batch.next() {
                return Some(Ok(row));
            }
            let decoded = self
                .scan
                .next()?
                .and_then(|batch| self.schema.decode(&batch).map_err(|source| wrong(&self.table, source)));
            match decoded {
                Ok(rows) => self.batch = rows.into_iter(),
                Err(error) => {
                    self.scan.end();
                    return Some(Err(error));
                }
            }
        }
    }
}

impl<T: RowType> FusedIterator for Rows<T> {}

fn wrong(table: &TableName, source: rowmark_rows::Error) -> Error {
    Error::Rows { table: table.clone(), source: Box::new(source) }
}
