//! A folder of tables: finding, making, renaming, copying and dropping them as a whole.
//!
//! Each of these is all or nothing, also when the process dies half way: a table is put together
//! (or taken apart) under a name that no table has, and gets (or loses) its own name with one
//! `rename(2)`. Names that begin with a dot are left over from a crash and are never read.

mod appender;
mod batches;
mod disk;
mod format;
mod open;
mod segment;
mod writer;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use rowmark_os::{Os, System};
use rowmark_rows::RowSchema;

use crate::writer::check_record;
use crate::{Compression, Error, Seal, Table, TableFilter, TableName, TableWriter, Warehouse};
use batches::SegmentBatches;
use disk::{Disk, is_unfinished};
use format::footer::Footer;
use open::{FOOTER_FILE, Opened, segment_file, segment_number};
use writer::{FileWriter, write_footer};

pub(crate) use format::batch::check_columns;
pub(crate) use format::needs::Needs;
pub use format::{BATCH_BYTES_MAX, RECORD_BYTES_MAX};
pub use segment::DroppedTail;

const NEW_PREFIX: &str = ".new-";
const DROPPED_PREFIX: &str = ".drop-";

/// A folder of tables; cheap to clone, and shared by threads.
///
/// ```
/// use rowmark_rows::RowSchema;
/// use rowmark_warehouse::{DatasetName, FileWarehouse, TableFilter, TableName, Warehouse};
///
/// # let folder = tempfile::tempdir()?;
/// let warehouse = FileWarehouse::open(folder.path())?;
/// let name = TableName::dataset(DatasetName::new("cats")?, 1);
/// warehouse.create(&name, &RowSchema::of::<u64>()?, b"")?;
///
/// let again = FileWarehouse::open(folder.path())?;
/// assert_eq!(again.list(&TableFilter::Datasets)?, [name]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct FileWarehouse {
    shared: Arc<Shared>,
    compression: Compression,
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    disk: Disk,
    /// The tables that somebody in this process is writing, making or moving.
    busy: Mutex<BTreeSet<TableName>>,
}

impl FileWarehouse {
    /// Opens the tables in a folder, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when the folder cannot be made.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_on(Arc::new(System), folder)
    }

    /// Opens the tables in a folder of another machine than the one that the program runs on.
    ///
    /// # Errors
    ///
    /// As [`FileWarehouse::open`].
    pub fn open_on(os: Arc<dyn Os>, folder: impl AsRef<Path>) -> Result<Self, Error> {
        let (folder, disk) = (folder.as_ref().to_owned(), Disk::new(os));
        disk.create_folders(&folder)?;
        // A process that was killed may have given names and never synced them.
        disk.sync_folder(&folder)?;
        let shared = Arc::new(Shared { folder, disk, busy: Mutex::default() });
        Ok(Self { shared, compression: Compression::None })
    }

    /// The same tables, of which new batches are stored in this way.
    #[must_use]
    pub fn with_compression(self, compression: Compression) -> Self {
        Self { compression, ..self }
    }

    fn copy_files(&self, from: &TableName, to: &TableName, footer: CopiedFooter<'_>) -> Result<(), Error> {
        self.refuse_if_exists(to)?;
        self.refuse_if_missing(from)?;
        let _busy = self.occupy(to)?;
        // The source may be read by others, and copied by others at the same time.
        if self.busy().contains(from) {
            return Err(Error::BeingWritten { table: from.clone() });
        }
        let disk = self.disk();
        let source = self.table_folder(from);
        let files = disk.list(&source)?.ok_or_else(|| Error::TableMissing { table: from.clone() })?;
        let new_footer = match footer {
            CopiedFooter::WithRecord(record) => Some(self.footer_with_record(from, record)?),
            CopiedFooter::Same => None,
        };
        let is_sealed = files.iter().any(|file| file == FOOTER_FILE);
        self.put_together(to, |folder| {
            for file in &files {
                let is_segment = segment_number(file).is_some();
                if is_segment && !is_sealed {
                    self.make_durable(from, &source.join(file))?;
                }
                if is_segment || (file == FOOTER_FILE && footer == CopiedFooter::Same) {
                    disk.link_or_copy(&source.join(file), &folder.join(file))?;
                }
            }
            new_footer.map_or(Ok(()), |footer| write_footer(disk, to, folder, &footer))
        })
    }

    /// As in [`Warehouse::resume`]: what a table without a seal holds may never have been synced.
    fn make_durable(&self, table: &TableName, segment: &Path) -> Result<(), Error> {
        let Some(file) = self.disk().open_file(segment)? else { return Ok(()) };
        if file.is_being_written() {
            return Err(Error::BeingWritten { table: table.clone() });
        }
        file.sync()
    }

    fn footer_with_record(&self, name: &TableName, record: &[u8]) -> Result<Footer, Error> {
        check_record(name, record)?;
        let opened = self.open_existing(name)?;
        let seal = opened.table.seal().ok_or_else(|| Error::TableNotSealed { table: name.clone() })?;
        opened.footer(Seal { record: record.to_vec(), ..seal.clone() })
    }

    fn open_files(&self, name: &TableName) -> Result<Option<Opened>, Error> {
        let opened = open::open_table(self.disk(), name, &self.table_folder(name))?;
        if let Some(dropped) = opened.as_ref().and_then(|opened| opened.table.dropped_tail()) {
            tracing::warn!(table = %name, "{dropped}; it was not committed and is left out");
        }
        Ok(opened)
    }

    fn open_existing(&self, name: &TableName) -> Result<Opened, Error> {
        self.open_files(name)?.ok_or_else(|| Error::TableMissing { table: name.clone() })
    }

    /// Puts a table together in a folder without a table's name, and then gives it its name.
    fn put_together<T>(
        &self,
        name: &TableName,
        fill: impl FnOnce(&Path) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let Shared { disk, folder: parent, .. } = &*self.shared;
        let folder = parent.join(format!("{NEW_PREFIX}{name}"));
        disk.remove_folder_if_there(&folder)?;
        disk.create_folder(&folder)?;
        let filled = fill(&folder).and_then(|filled| {
            disk.sync_folder(&folder)?;
            disk.rename(&folder, &self.table_folder(name))?;
            Ok(filled)
        });
        if filled.is_err() {
            // The first error is the one to tell; what stays behind is swept another time.
            let _ = disk.remove_folder_if_there(&folder);
        }
        let filled = filled?;
        disk.sync_folder(parent)?;
        Ok(filled)
    }

    fn create_table(
        &self,
        name: &TableName,
        schema: &RowSchema,
        record: &[u8],
        keeps_inputs: bool,
    ) -> Result<Box<dyn TableWriter>, Error> {
        check_columns(schema)?;
        let busy = self.occupy(name)?;
        self.refuse_if_exists(name)?;
        let mut writer = self.put_together(name, |folder| {
            FileWriter::create(self.clone(), busy, folder.to_owned(), schema, record, keeps_inputs)
        })?;
        writer.set_folder(self.table_folder(name));
        Ok(Box::new(writer))
    }

    fn table_folder(&self, name: &TableName) -> PathBuf {
        self.shared.folder.join(name.to_string())
    }

    fn refuse_if_exists(&self, name: &TableName) -> Result<(), Error> {
        if self.disk().exists(&self.table_folder(name))? {
            return Err(Error::TableExists { table: name.clone() });
        }
        Ok(())
    }

    fn refuse_if_missing(&self, name: &TableName) -> Result<(), Error> {
        if !self.disk().exists(&self.table_folder(name))? {
            return Err(Error::TableMissing { table: name.clone() });
        }
        Ok(())
    }

    fn disk(&self) -> &Disk {
        &self.shared.disk
    }

    /// Reserves a table for one writer of this process.
    fn occupy(&self, name: &TableName) -> Result<Busy, Error> {
        if !self.busy().insert(name.clone()) {
            return Err(Error::BeingWritten { table: name.clone() });
        }
        Ok(Busy { warehouse: self.clone(), table: name.clone() })
    }

    fn busy(&self) -> MutexGuard<'_, BTreeSet<TableName>> {
        self.shared.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Warehouse for FileWarehouse {
    fn create(
        &self,
        name: &TableName,
        schema: &RowSchema,
        record: &[u8],
    ) -> Result<Box<dyn TableWriter>, Error> {
        self.create_table(name, schema, record, false)
    }

    fn create_with_inputs(
        &self,
        name: &TableName,
        schema: &RowSchema,
        record: &[u8],
    ) -> Result<Box<dyn TableWriter>, Error> {
        self.create_table(name, schema, record, true)
    }

    fn resume(&self, name: &TableName) -> Result<Box<dyn TableWriter>, Error> {
        let busy = self.occupy(name)?;
        let opened = self.open_existing(name)?;
        if opened.table.seal().is_some() {
            return Err(Error::TableSealed { table: name.clone() });
        }
        // A writer of another process holds the newest segment.
        if opened.segments.last().is_some_and(|segment| segment.file.is_being_written()) {
            return Err(Error::BeingWritten { table: name.clone() });
        }
        // As its rows and their names are since it was opened, so is its own name durable before it is relied on.
        self.disk().sync_folder(&self.shared.folder)?;
        Ok(Box::new(FileWriter::resume(self.clone(), busy, self.table_folder(name), &opened)?))
    }

    fn open_table(&self, name: &TableName) -> Result<Option<Table>, Error> {
        Ok(self.open_files(name)?.map(|opened| opened.table))
    }

    fn rename(&self, from: &TableName, to: &TableName) -> Result<(), Error> {
        self.refuse_if_exists(to)?;
        self.refuse_if_missing(from)?;
        let _busy = (self.occupy(from)?, self.occupy(to)?);
        // Who sees the new name may count on what is in the table, on its seal above all.
        self.disk().sync_folder(&self.table_folder(from))?;
        self.disk().rename(&self.table_folder(from), &self.table_folder(to))?;
        self.disk().sync_folder(&self.shared.folder)
    }

    fn copy(&self, from: &TableName, to: &TableName) -> Result<(), Error> {
        self.copy_files(from, to, CopiedFooter::Same)
    }

    fn copy_with_record(&self, from: &TableName, to: &TableName, record: &[u8]) -> Result<(), Error> {
        self.copy_files(from, to, CopiedFooter::WithRecord(record))
    }

    fn resume_copy(
        &self,
        from: &Table,
        to: &TableName,
        record: &[u8],
    ) -> Result<Box<dyn TableWriter>, Error> {
        let batches = from.batches().downcast_ref::<SegmentBatches>();
        let batches = batches.expect("a table is gone on with in the store that it is in");
        self.refuse_if_exists(to)?;
        self.refuse_if_missing(from.name())?;
        let busy = self.occupy(to)?;
        if self.busy().contains(from.name()) {
            return Err(Error::BeingWritten { table: from.name().clone() });
        }
        let source = self.table_folder(from.name());
        // A writer that added nothing has left a segment of its own: they must not add up.
        let last = from.frames().iter().map(|frame| frame.place.segment as usize + 1).max();
        let segments = &batches.segments[..last.unwrap_or(0)];
        let mut writer = self.put_together(to, |folder| {
            for segment in segments {
                let file = segment_file(segment.number);
                if from.seal().is_none() {
                    self.make_durable(from.name(), &source.join(&file))?;
                }
                self.disk().link_or_copy(&source.join(&file), &folder.join(&file))?;
            }
            let folder = folder.to_owned();
            FileWriter::resume_copy(self.clone(), busy, folder, from, (segments, batches.needs), record)
        })?;
        writer.set_folder(self.table_folder(to));
        Ok(Box::new(writer))
    }

    fn drop(&self, name: &TableName) -> Result<bool, Error> {
        let _busy = self.occupy(name)?;
        let folder = self.table_folder(name);
        let disk = self.disk();
        if !disk.exists(&folder)? {
            return Ok(false);
        }
        let dropped = self.shared.folder.join(format!("{DROPPED_PREFIX}{name}"));
        disk.remove_folder_if_there(&dropped)?;
        disk.rename(&folder, &dropped)?;
        disk.sync_folder(&self.shared.folder)?;
        disk.remove_folder_if_there(&dropped)?;
        Ok(true)
    }

    fn list(&self, filter: &TableFilter) -> Result<Vec<TableName>, Error> {
        let names = self.disk().list(&self.shared.folder)?.unwrap_or_default();
        let tables = names.iter().filter_map(|name| name.parse().ok());
        Ok(tables.filter(|table| filter.matches(table)).collect())
    }

    fn is_sealed(&self, name: &TableName) -> Result<bool, Error> {
        self.disk().exists(&self.table_folder(name).join(FOOTER_FILE))
    }

    fn size_bytes(&self, name: &TableName) -> Result<Option<u64>, Error> {
        let folder = self.table_folder(name);
        let Some(files) = self.disk().list(&folder)? else { return Ok(None) };
        let mut bytes = 0;
        for file in files {
            bytes += self.disk().file_bytes(&folder.join(file))?;
        }
        Ok(Some(bytes))
    }

    fn written_at(&self, name: &TableName) -> Result<Option<SystemTime>, Error> {
        let folder = self.table_folder(name);
        let mut newest = None;
        for file in self.disk().list(&folder)?.unwrap_or_default() {
            newest = newest.max(self.disk().modified(&folder.join(file))?);
        }
        Ok(newest)
    }

    fn remove_leftovers(&self) -> Result<usize, Error> {
        let disk = self.disk();
        let mut removed = 0;
        for name in disk.list(&self.shared.folder)?.unwrap_or_default() {
            let path = self.shared.folder.join(&name);
            let unread = name.strip_prefix(NEW_PREFIX).or_else(|| name.strip_prefix(DROPPED_PREFIX));
            let Ok(table) = unread.unwrap_or(&name).parse() else { continue };
            // What another thread is making right now is not left over.
            let Ok(_busy) = self.occupy(&table) else { continue };
            if unread.is_some() {
                disk.remove_folder_if_there(&path)?;
                removed += 1;
                continue;
            }
            // Whoever sealed a table has left nothing in it.
            let is_sealed = disk.exists(&path.join(FOOTER_FILE))?;
            let files = if is_sealed { None } else { disk.list(&path)? };
            for file in files.unwrap_or_default() {
                if is_unfinished(&file) {
                    disk.remove_file_if_there(&path.join(file))?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }
}

/// What becomes of a sealed table's footer in a copy.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CopiedFooter<'a> {
    Same,
    WithRecord(&'a [u8]),
}

/// The reservation of a table, which ends when it is dropped.
#[derive(Debug)]
struct Busy {
    warehouse: FileWarehouse,
    table: TableName,
}

impl Busy {
    fn table(&self) -> &TableName {
        &self.table
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.warehouse.busy().remove(&self.table);
    }
}
