//! Tables in memory: for tests of programs that keep tables, and to compare the other store with.
//!
//! It keeps no bytes, so nothing in it can be damaged. What was committed lives as long as the warehouse and its
//! clones do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use arrow_array::RecordBatch;
use rowmark_rows::{RowRange, RowRanges, RowSchema};

use crate::inputs::assert_told;
use crate::writer::{check_batch, check_complete, check_record};
use crate::{
    BatchDigests, Batches, CodeId, Contents, Error, Frame, InputRow, Seal, Table, TableFilter, TableName,
    TableWriter, Warehouse,
};

/// Tables in memory; clones share them.
///
/// ```
/// use rowmark_rows::RowSchema;
/// use rowmark_warehouse::{DatasetName, MemoryWarehouse, TableFilter, TableName, Warehouse};
///
/// let warehouse = MemoryWarehouse::new();
/// let name = TableName::dataset(DatasetName::new("cats")?, 1);
/// warehouse.create(&name, &RowSchema::of::<u64>()?, b"")?;
/// assert_eq!(warehouse.list(&TableFilter::Datasets)?, [name]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct MemoryWarehouse {
    tables: Arc<Mutex<BTreeMap<TableName, MemoryTable>>>,
}

#[derive(Debug, Clone)]
struct MemoryTable {
    schema: RowSchema,
    record: Vec<u8>,
    seal: Option<Seal>,
    batches: MemoryBatches,
    is_being_written: bool,
}

/// Batches by the first of their input rows.
#[derive(Debug, Clone, Default)]
struct MemoryBatches(BTreeMap<u64, MemoryBatch>);

#[derive(Debug, Clone)]
struct MemoryBatch {
    frame: Frame,
    rows: RecordBatch,
    told: Option<(Vec<InputRow>, BatchDigests)>,
}

impl Batches for MemoryBatches {
    fn read(&self, frame: &Frame) -> Result<RecordBatch, Error> {
        Ok(self.0[&frame.range().start()].rows.clone())
    }

    fn inputs(&self, frame: &Frame) -> Result<Option<Vec<InputRow>>, Error> {
        Ok(self.0[&frame.range().start()].told.as_ref().map(|(inputs, _)| inputs.clone()))
    }

    fn digests(&self, frame: &Frame) -> Result<Option<BatchDigests>, Error> {
        Ok(self.0[&frame.range().start()].told.as_ref().map(|(_, digests)| digests.clone()))
    }
}

impl MemoryWarehouse {
    /// Makes a warehouse without tables.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TableName, MemoryTable>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy of a table that is there, is not being written, and whose new name is free.
    fn take_over(
        tables: &BTreeMap<TableName, MemoryTable>,
        from: &TableName,
        to: &TableName,
    ) -> Result<MemoryTable, Error> {
        if tables.contains_key(to) {
            return Err(Error::TableExists { table: to.clone() });
        }
        match tables.get(from) {
            None => Err(Error::TableMissing { table: from.clone() }),
            Some(table) if table.is_being_written => Err(Error::BeingWritten { table: from.clone() }),
            Some(table) => Ok(table.clone()),
        }
    }

    fn writer(&self, name: &TableName, table: &MemoryTable) -> Box<dyn TableWriter> {
        let frames: Vec<Frame> = table.batches.0.values().map(|batch| batch.frame).collect();
        Box::new(MemoryWriter {
            warehouse: self.clone(),
            name: name.clone(),
            schema: table.schema.clone(),
            record: table.record.clone(),
            processed: frames.iter().map(Frame::range).collect(),
            rows_out: frames.iter().map(Frame::rows).sum(),
            frames,
            appended: MemoryBatches::default(),
        })
    }
}

impl Warehouse for MemoryWarehouse {
    fn create(
        &self,
        name: &TableName,
        schema: &RowSchema,
        record: &[u8],
    ) -> Result<Box<dyn TableWriter>, Error> {
        crate::file::check_columns(schema)?;
        check_record(name, record)?;
        let mut tables = self.lock();
        match tables.get(name) {
            Some(table) if table.is_being_written => return Err(Error::BeingWritten { table: name.clone() }),
            Some(_) => return Err(Error::TableExists { table: name.clone() }),
            None => {}
        }
        let (schema, record) = (schema.clone(), record.to_vec());
        let table = MemoryTable {
            schema,
            record,
            seal: None,
            batches: MemoryBatches::default(),
            is_being_written: true,
        };
        let writer = self.writer(name, &table);
        tables.insert(name.clone(), table);
        Ok(writer)
    }

    fn resume(&self, name: &TableName) -> Result<Box<dyn TableWriter>, Error> {
        match self.lock().get_mut(name) {
            None => Err(Error::TableMissing { table: name.clone() }),
            Some(table) if table.is_being_written => Err(Error::BeingWritten { table: name.clone() }),
            Some(table) if table.seal.is_some() => Err(Error::TableSealed { table: name.clone() }),
            Some(table) => {
                table.is_being_written = true;
                Ok(self.writer(name, table))
            }
        }
    }

    fn open_table(&self, name: &TableName) -> Result<Option<Table>, Error> {
        let tables = self.lock();
        let Some(table) = tables.get(name) else { return Ok(None) };
        Ok(Some(Table::new(Contents {
            name: name.clone(),
            schema: table.schema.clone(),
            record: table.seal.as_ref().map_or(&table.record, |seal| &seal.record).clone(),
            seal: table.seal.clone(),
            frames: table.batches.0.values().map(|batch| batch.frame).collect(),
            dropped_tail: None,
            batches: Box::new(table.batches.clone()),
        })))
    }

    fn rename(&self, from: &TableName, to: &TableName) -> Result<(), Error> {
        let mut tables = self.lock();
        let table = Self::take_over(&tables, from, to)?;
        tables.remove(from);
        tables.insert(to.clone(), table);
        Ok(())
    }

    fn copy(&self, from: &TableName, to: &TableName) -> Result<(), Error> {
        let mut tables = self.lock();
        let table = Self::take_over(&tables, from, to)?;
        tables.insert(to.clone(), table);
        Ok(())
    }

    fn copy_with_record(&self, from: &TableName, to: &TableName, record: &[u8]) -> Result<(), Error> {
        check_record(to, record)?;
        let mut tables = self.lock();
        let mut table = Self::take_over(&tables, from, to)?;
        let seal = table.seal.as_mut().ok_or_else(|| Error::TableNotSealed { table: from.clone() })?;
        seal.record = record.to_vec();
        tables.insert(to.clone(), table);
        Ok(())
    }

    fn resume_copy(
        &self,
        from: &Table,
        to: &TableName,
        record: &[u8],
    ) -> Result<Box<dyn TableWriter>, Error> {
        check_record(to, record)?;
        let batches = from.batches().downcast_ref::<MemoryBatches>();
        let batches = batches.expect("a table is gone on with in the store that it is in").clone();
        let mut tables = self.lock();
        let table = Self::take_over(&tables, from.name(), to)?;
        let (seal, record) = (None, record.to_vec());
        let table = MemoryTable { seal, record, batches, is_being_written: true, ..table };
        let writer = self.writer(to, &table);
        tables.insert(to.clone(), table);
        Ok(writer)
    }

    fn drop(&self, name: &TableName) -> Result<bool, Error> {
        let mut tables = self.lock();
        if tables.get(name).is_some_and(|table| table.is_being_written) {
            return Err(Error::BeingWritten { table: name.clone() });
        }
        Ok(tables.remove(name).is_some())
    }

    fn list(&self, filter: &TableFilter) -> Result<Vec<TableName>, Error> {
        let mut names: Vec<TableName> =
            self.lock().keys().filter(|name| filter.matches(name)).cloned().collect();
        names.sort_by_key(ToString::to_string);
        Ok(names)
    }

    fn is_sealed(&self, name: &TableName) -> Result<bool, Error> {
        Ok(self.lock().get(name).is_some_and(|table| table.seal.is_some()))
    }

    fn size_bytes(&self, name: &TableName) -> Result<Option<u64>, Error> {
        let bytes = |table: &MemoryTable| -> u64 {
            table.batches.0.values().map(|batch| batch.rows.get_array_memory_size() as u64).sum()
        };
        Ok(self.lock().get(name).map(bytes))
    }

    fn written_at(&self, _: &TableName) -> Result<Option<SystemTime>, Error> {
        Ok(None)
    }

    fn remove_leftovers(&self) -> Result<usize, Error> {
        Ok(0)
    }
}

#[derive(Debug)]
struct MemoryWriter {
    warehouse: MemoryWarehouse,
    name: TableName,
    schema: RowSchema,
    record: Vec<u8>,
    processed: RowRanges,
    rows_out: u64,
    frames: Vec<Frame>,
    appended: MemoryBatches,
}

impl MemoryWriter {
    fn append_batch(
        &mut self,
        range: RowRange,
        code: CodeId,
        batch: &RecordBatch,
        told: Option<(Vec<InputRow>, BatchDigests)>,
    ) -> Result<(), Error> {
        check_batch(self, range, batch)?;
        let frame = Frame::new(range, batch.num_rows() as u64, code);
        self.appended.0.insert(range.start(), MemoryBatch { frame, rows: batch.clone(), told });
        self.frames.push(frame);
        self.processed.insert(range);
        self.rows_out += frame.rows();
        Ok(())
    }

    fn change_table(&self, change: impl FnOnce(&mut MemoryTable)) {
        let mut tables = self.warehouse.lock();
        change(tables.get_mut(&self.name).expect("a table that is being written is not dropped or renamed"));
    }
}

impl TableWriter for MemoryWriter {
    fn name(&self) -> &TableName {
        &self.name
    }

    fn schema(&self) -> &RowSchema {
        &self.schema
    }

    fn processed(&self) -> &RowRanges {
        &self.processed
    }

    fn rows_out(&self) -> u64 {
        self.rows_out
    }

    fn frames(&self) -> &[Frame] {
        &self.frames
    }

    fn append(&mut self, range: RowRange, code: CodeId, batch: &RecordBatch) -> Result<(), Error> {
        self.append_batch(range, code, batch, None)
    }

    fn append_with_inputs(
        &mut self,
        range: RowRange,
        code: CodeId,
        batch: &RecordBatch,
        inputs: &[InputRow],
        digests: &BatchDigests,
    ) -> Result<(), Error> {
        assert_told(range, batch.num_rows(), inputs, digests);
        self.append_batch(range, code, batch, Some((inputs.to_vec(), digests.clone())))
    }

    fn commit(&mut self) -> Result<(), Error> {
        if self.appended.0.is_empty() {
            return Ok(());
        }
        let mut appended = std::mem::take(&mut self.appended.0);
        self.change_table(|table| {
            table.batches.0.append(&mut appended);
            table.record.clone_from(&self.record);
        });
        Ok(())
    }

    fn written(&mut self) -> Result<Table, Error> {
        self.commit()?;
        let table = self.warehouse.open_table(&self.name)?;
        Ok(table.expect("a table that is being written is not dropped or renamed"))
    }

    fn set_record(&mut self, record: &[u8]) -> Result<(), Error> {
        check_record(&self.name, record)?;
        if self.record != record {
            self.commit()?;
            self.record = record.to_vec();
        }
        Ok(())
    }

    fn seal(mut self: Box<Self>, seal: Seal) -> Result<Table, Error> {
        check_record(&self.name, &seal.record)?;
        self.commit()?;
        check_complete(&*self, &seal)?;
        self.change_table(|table| table.seal = Some(seal));
        self.written()
    }
}

impl Drop for MemoryWriter {
    fn drop(&mut self) {
        self.change_table(|table| table.is_being_written = false);
    }
}
