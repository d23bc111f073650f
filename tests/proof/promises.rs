//! A warehouse that remembers what its writers promised: the rows whose commit was answered, whatever becomes of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use arrow_array::RecordBatch;
use rowmark::hashing::ContentHash;
use rowmark::rows::{RowRange, RowRanges, RowSchema};
use rowmark::warehouse::{
    BatchDigests, CodeId, Error, Frame, InputRow, Seal, Table, TableFilter, TableName, TableWriter, Warehouse,
};

/// The rows that were committed, by the hash in the names of their tables; it outlives the processes.
pub(crate) type Promises = Arc<Mutex<BTreeMap<ContentHash, RowRanges>>>;

/// Passes everything on, and takes note of what is promised.
#[derive(Debug)]
pub(crate) struct Promising<W> {
    warehouse: W,
    promises: Promises,
}

impl<W: Warehouse> Promising<W> {
    pub(crate) fn new(warehouse: W, promises: Promises) -> Self {
        Self { warehouse, promises }
    }

    fn writer(&self, writer: Box<dyn TableWriter>) -> Box<dyn TableWriter> {
        let writer = Writer { writer, promises: self.promises.clone() };
        writer.promise();
        Box::new(writer)
    }
}

impl<W: Warehouse> Warehouse for Promising<W> {
    fn create(
        &self,
        name: &TableName,
        schema: &RowSchema,
        record: &[u8],
    ) -> Result<Box<dyn TableWriter>, Error> {
        Ok(self.writer(self.warehouse.create(name, schema, record)?))
    }

    fn create_with_inputs(
        &self,
        name: &TableName,
        schema: &RowSchema,
        record: &[u8],
    ) -> Result<Box<dyn TableWriter>, Error> {
        Ok(self.writer(self.warehouse.create_with_inputs(name, schema, record)?))
    }

    fn resume(&self, name: &TableName) -> Result<Box<dyn TableWriter>, Error> {
        Ok(self.writer(self.warehouse.resume(name)?))
    }

    fn open_table(&self, name: &TableName) -> Result<Option<Table>, Error> {
        self.warehouse.open_table(name)
    }

    fn rename(&self, from: &TableName, to: &TableName) -> Result<(), Error> {
        self.warehouse.rename(from, to)
    }

    fn copy(&self, from: &TableName, to: &TableName) -> Result<(), Error> {
        self.warehouse.copy(from, to)
    }

    fn copy_with_record(&self, from: &TableName, to: &TableName, record: &[u8]) -> Result<(), Error> {
        self.warehouse.copy_with_record(from, to, record)
    }

    fn resume_copy(
        &self,
        from: &Table,
        to: &TableName,
        record: &[u8],
    ) -> Result<Box<dyn TableWriter>, Error> {
        Ok(self.writer(self.warehouse.resume_copy(from, to, record)?))
    }

    fn drop(&self, name: &TableName) -> Result<bool, Error> {
        self.warehouse.drop(name)
    }

    fn list(&self, filter: &TableFilter) -> Result<Vec<TableName>, Error> {
        self.warehouse.list(filter)
    }

    fn is_sealed(&self, name: &TableName) -> Result<bool, Error> {
        self.warehouse.is_sealed(name)
    }

    fn size_bytes(&self, name: &TableName) -> Result<Option<u64>, Error> {
        self.warehouse.size_bytes(name)
    }

    fn written_at(&self, name: &TableName) -> Result<Option<SystemTime>, Error> {
        self.warehouse.written_at(name)
    }

    fn remove_leftovers(&self) -> Result<usize, Error> {
        self.warehouse.remove_leftovers()
    }
}

#[derive(Debug)]
struct Writer {
    writer: Box<dyn TableWriter>,
    promises: Promises,
}

impl Writer {
    fn promise(&self) {
        if let TableName::Udf { hash, .. } = self.name() {
            self.promises.lock().unwrap().entry(*hash).or_default().extend(self.processed());
        }
    }
}

impl TableWriter for Writer {
    fn name(&self) -> &TableName {
        self.writer.name()
    }

    fn schema(&self) -> &RowSchema {
        self.writer.schema()
    }

    fn processed(&self) -> &RowRanges {
        self.writer.processed()
    }

    fn rows_out(&self) -> u64 {
        self.writer.rows_out()
    }

    fn frames(&self) -> &[Frame] {
        self.writer.frames()
    }

    fn append(&mut self, range: RowRange, code: CodeId, batch: &RecordBatch) -> Result<(), Error> {
        self.writer.append(range, code, batch)
    }

    fn append_with_inputs(
        &mut self,
        range: RowRange,
        code: CodeId,
        batch: &RecordBatch,
        inputs: &[InputRow],
        digests: &BatchDigests,
    ) -> Result<(), Error> {
        self.writer.append_with_inputs(range, code, batch, inputs, digests)
    }

    fn commit(&mut self) -> Result<(), Error> {
        self.writer.commit()?;
        self.promise();
        Ok(())
    }

    fn written(&mut self) -> Result<Table, Error> {
        let written = self.writer.written()?;
        self.promise();
        Ok(written)
    }

    fn set_record(&mut self, record: &[u8]) -> Result<(), Error> {
        self.writer.set_record(record)
    }

    fn seal(self: Box<Self>, seal: Seal) -> Result<Table, Error> {
        self.writer.seal(seal)
    }
}
