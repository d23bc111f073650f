//! A step that was sealed and could not be renamed is rolled forward by the next attempt of the same process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use rowmark::metastore::MemoryMetastore;
use rowmark::prelude::*;
use rowmark::rows::RowSchema;
use rowmark::warehouse::{Error, MemoryWarehouse, Table, TableFilter, TableName, TableWriter, Warehouse};

use crate::support::Calls;

/// A warehouse on a disk whose next renaming fails.
#[derive(Debug, Default)]
struct RenamesLater {
    tables: MemoryWarehouse,
    has_failed: AtomicBool,
}

impl Warehouse for RenamesLater {
    fn create(
        &self,
        name: &TableName,
        schema: &RowSchema,
        record: &[u8],
    ) -> Result<Box<dyn TableWriter>, Error> {
        self.tables.create(name, schema, record)
    }
    fn resume(&self, name: &TableName) -> Result<Box<dyn TableWriter>, Error> {
        self.tables.resume(name)
    }
    fn open_table(&self, name: &TableName) -> Result<Option<Table>, Error> {
        self.tables.open_table(name)
    }
    fn rename(&self, from: &TableName, to: &TableName) -> Result<(), Error> {
        if !self.has_failed.swap(true, Ordering::SeqCst) {
            return Err(Error::WriterFailed { table: from.clone() });
        }
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
        self.tables.resume_copy(from, to, record)
    }
    fn drop(&self, name: &TableName) -> Result<bool, Error> {
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
fn a_step_whose_table_was_sealed_and_not_renamed_is_finished_by_the_next_attempt() {
    static CALLS: Calls = Calls::new();
    let session = Session::builder()
        .stores(Box::new(MemoryMetastore::new()), Arc::new(RenamesLater::default()))
        .progress(ProgressDisplay::Off)
        .open()
        .unwrap();
    let chain = session.read_records((0..100u64).collect()).map(udf!("again", |n: &u64| {
        CALLS.count(*n);
        *n
    }));
    chain.collect().unwrap_err();
    assert_eq!(chain.collect().unwrap().len(), 100);
    assert_eq!(CALLS.take_total(), 100);
}
