//! Tables that change while they are used.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::SystemTime;

use rowmark::metastore::MemoryMetastore;
use rowmark::prelude::*;
use rowmark::rows::{RowRange, RowSchema};
use rowmark::warehouse::{
    BatchDigests, Error, MemoryWarehouse, Table, TableFilter, TableName, TableWriter, Warehouse,
};

use super::numbers;
use crate::support::FailAt;

/// A warehouse in which a table is written on before it is copied, and whose next step after that fails.
#[derive(Debug, Default)]
struct WrittenOn {
    tables: MemoryWarehouse,
    /// Nothing is to happen, is to, has.
    state: AtomicU8,
}

impl WrittenOn {
    fn fail(&self, table: &TableName) -> Result<(), Error> {
        match self.state.compare_exchange(2, 3, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => Err(Error::WriterFailed { table: table.clone() }),
            Err(_) => Ok(()),
        }
    }
}

impl Warehouse for WrittenOn {
    fn create(
        &self,
        name: &TableName,
        schema: &RowSchema,
        record: &[u8],
    ) -> Result<Box<dyn TableWriter>, Error> {
        self.tables.create(name, schema, record)
    }
    fn resume(&self, name: &TableName) -> Result<Box<dyn TableWriter>, Error> {
        self.fail(name)?;
        self.tables.resume(name)
    }
    fn open_table(&self, name: &TableName) -> Result<Option<Table>, Error> {
        self.fail(name)?;
        self.tables.open_table(name)
    }
    fn rename(&self, from: &TableName, to: &TableName) -> Result<(), Error> {
        self.fail(from)?;
        self.tables.rename(from, to)
    }
    fn copy(&self, from: &TableName, to: &TableName) -> Result<(), Error> {
        self.tables.copy(from, to)
    }
    fn copy_with_record(&self, from: &TableName, to: &TableName, record: &[u8]) -> Result<(), Error> {
        self.tables.copy_with_record(from, to, record)
    }
    fn resume_copy(
        &self,
        from: &Table,
        to: &TableName,
        record: &[u8],
    ) -> Result<Box<dyn TableWriter>, Error> {
        if self.state.compare_exchange(1, 2, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            let table = self.tables.open_table(from.name())?.unwrap();
            let last = table.frames().last().unwrap();
            let range = RowRange::new(last.range().end(), last.range().end() + last.range().len());
            let (rows, inputs) = (table.read(last)?, table.inputs(last)?.unwrap());
            let mut writer = self.tables.resume(from.name())?;
            writer.append_with_inputs(range, last.code(), &rows, &inputs, &BatchDigests::default())?;
            writer.commit()?;
        }
        self.tables.resume_copy(from, to, record)
    }
    fn drop(&self, name: &TableName) -> Result<bool, Error> {
        self.fail(name)?;
        self.tables.drop(name)
    }
    fn list(&self, filter: &TableFilter) -> Result<Vec<TableName>, Error> {
        self.tables.list(filter)
    }
    fn is_sealed(&self, name: &TableName) -> Result<bool, Error> {
        self.tables.is_sealed(name)
    }
    fn size_bytes(&self, name: &TableName) -> Result<Option<u64>, Error> {
        self.tables.size_bytes(name)
    }
    fn written_at(&self, name: &TableName) -> Result<Option<SystemTime>, Error> {
        self.tables.written_at(name)
    }
    fn remove_leftovers(&self) -> Result<usize, Error> {
        self.tables.remove_leftovers()
    }
}

#[test]
fn u08_rows_that_came_after_the_comparison_are_not_taken_over_by_a_run_that_breaks_off() {
    static FAIL_AT: FailAt = FailAt::never();
    let warehouse = Arc::new(WrittenOn::default());
    let session = Session::builder()
        .stores(Box::new(MemoryMetastore::new()), Arc::<WrittenOn>::clone(&warehouse))
        .progress(ProgressDisplay::Off)
        .threads(1)
        .durability(Durability::EveryRow)
        .open()
        .unwrap();
    let squares = |rows: &[u64]| {
        session.read_values(rows).map(udf!("square", |n: &u64| {
            FAIL_AT.check(*n)?;
            Ok::<_, String>(n * n)
        }))
    };
    FAIL_AT.set(5);
    squares(&numbers(10)).collect().unwrap_err();
    FAIL_AT.set(None);
    warehouse.state.store(1, Ordering::SeqCst);
    let other: Vec<u64> = (0..5).chain(100..110).collect();
    squares(&other).collect().ok();
    assert_eq!(warehouse.state.load(Ordering::SeqCst), 3, "it was copied, and what came then failed");
    let expected: Vec<u64> = other.iter().map(|n| n * n).collect();
    assert_eq!(squares(&other).collect().unwrap(), expected);
}
