//! A folder of tables: finding, making, renaming, copying and dropping them as a whole.
//!
//! Each of these is all or nothing, also when the process dies half way: a table is put together
//! (or taken apart) under a name that no table has, and gets (or loses) its own name with one
//! `rename(2)`. Names that begin with a dot are left over from a crash and are never read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rowmark_rows::RowSchema;

use crate::disk::Disk;
use crate::format::batch::first_unsupported;
use crate::format::footer::Footer;
use crate::open::{self, FOOTER_FILE, segment_number};
use crate::writer::{TableWriter, write_footer};
use crate::{Error, Table, TableFilter, TableName};

const NEW_PREFIX: &str = ".new-";
const DROPPED_PREFIX: &str = ".drop-";

/// A folder of tables; cheap to clone, and shared by threads.
///
/// ```
/// use rowmark_hashing::ContentHash;
/// use rowmark_rows::{RowRange, RowSchema};
/// use rowmark_warehouse::{CodeId, DatasetName, Seal, TableName, Warehouse};
///
/// # let folder = tempfile::tempdir()?;
/// let warehouse = Warehouse::open(folder.path())?;
/// let name = TableName::dataset(DatasetName::new("squares")?, 1);
/// let schema = RowSchema::of::<u64>()?;
/// let code = CodeId::new(ContentHash::of(&"x * x")?);
///
/// let mut writer = warehouse.create(&name, &schema, b"")?;
/// writer.append(RowRange::new(0, 3), code, &schema.encode(&[0_u64, 1, 4])?)?;
/// writer.commit()?;                       // from here on, no crash can lose these rows
/// drop(writer);
///
/// let mut writer = warehouse.resume(&name)?;
/// assert_eq!(writer.processed().to_string(), "0..3");
/// writer.append(RowRange::new(3, 4), code, &schema.encode(&[9_u64])?)?;
/// let content_hash = ContentHash::of(&[0_u64, 1, 4, 9])?;
/// let table = writer.seal(Seal { rows_in: 4, content_hash, record: Vec::new() })?;
///
/// let mut rows = Vec::new();
/// for batch in table.scan() {
///     rows.extend(schema.decode::<u64>(&batch?)?);
/// }
/// assert_eq!(rows, [0, 1, 4, 9]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Warehouse {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    disk: Disk,
    /// The tables that somebody in this process is writing, making or moving.
    busy: Mutex<BTreeSet<TableName>>,
}

impl Warehouse {
    /// Opens the tables in a folder, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when the folder cannot be made.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_on(folder.as_ref(), Disk::default())
    }

    fn open_on(folder: &Path, disk: Disk) -> Result<Self, Error> {
        let folder = folder.to_owned();
        disk.create_folders(&folder)?;
        Ok(Self { shared: Arc::new(Shared { folder, disk, busy: Mutex::default() }) })
    }

    /// Makes a table, which is empty and durable when this answers.
    ///
    /// `record` is kept with the table for the caller and may hold up to
    /// [`RECORD_BYTES_MAX`](crate::RECORD_BYTES_MAX) bytes.
    ///
    /// # Errors
    ///
    /// [`Error::TableExists`], [`Error::BeingWritten`], [`Error::UnsupportedColumn`],
    /// [`Error::TooLarge`], or [`Error::Io`].
    pub fn create(&self, name: &TableName, schema: &RowSchema, record: &[u8]) -> Result<TableWriter, Error> {
        if let Some((field, data_type)) = first_unsupported("", schema.arrow().fields()) {
            return Err(Error::UnsupportedColumn { field, data_type });
        }
        let busy = self.occupy(name)?;
        self.refuse_if_exists(name)?;
        let mut writer = self.put_together(name, |folder| {
            TableWriter::create(self.clone(), busy, folder.to_owned(), schema, record)
        })?;
        writer.set_folder(self.table_folder(name));
        Ok(writer)
    }

    /// Goes on with a table that is not sealed: what it holds is verified and made durable.
    ///
    /// The writer begins a new segment at its first append; those that are there stay as they are.
    ///
    /// # Errors
    ///
    /// [`Error::TableMissing`], [`Error::TableSealed`], [`Error::BeingWritten`],
    /// [`Error::Damaged`], [`Error::NewerFormat`], or [`Error::Io`].
    pub fn resume(&self, name: &TableName) -> Result<TableWriter, Error> {
        let busy = self.occupy(name)?;
        let table = self.open_existing(name)?;
        if table.seal().is_some() {
            return Err(Error::TableSealed { table: name.clone() });
        }
        refuse_if_written(&table)?;
        // A process that was killed may have written frames and never synced them. They are about
        // to be relied on, so they become durable first.
        for segment in &table.contents().segments {
            segment.file.sync()?;
        }
        TableWriter::resume(self.clone(), busy, self.table_folder(name), &table)
    }

    /// Opens a table for reading, or answers `None` when there is none of that name.
    ///
    /// A sealed table opens without a look at its rows; of another, every batch is verified.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`], [`Error::NewerFormat`], or [`Error::Io`].
    pub fn open_table(&self, name: &TableName) -> Result<Option<Table>, Error> {
        let table = open::open_table(&self.shared.disk, name, &self.table_folder(name))?;
        if let Some(dropped) = table.as_ref().and_then(Table::dropped_tail) {
            tracing::warn!(table = %name, "{dropped}; it was not committed and is left out");
        }
        Ok(table)
    }

    /// Gives a table another name, durably.
    ///
    /// # Errors
    ///
    /// [`Error::TableMissing`], [`Error::TableExists`], [`Error::BeingWritten`], or [`Error::Io`].
    pub fn rename(&self, from: &TableName, to: &TableName) -> Result<(), Error> {
        self.refuse_if_exists(to)?;
        self.refuse_if_missing(from)?;
        let _busy = (self.occupy(from)?, self.occupy(to)?);
        self.shared.disk.rename(&self.table_folder(from), &self.table_folder(to))?;
        self.shared.disk.sync_folder(&self.shared.folder)
    }

    /// Makes a second table of the same rows, in time that does not depend on their number.
    ///
    /// Both share their segment files by hard links, and go on from there on their own; where the
    /// file system refuses links, the files are copied.
    ///
    /// # Errors
    ///
    /// [`Error::TableMissing`], [`Error::TableExists`], [`Error::BeingWritten`], or [`Error::Io`].
    pub fn copy(&self, from: &TableName, to: &TableName) -> Result<(), Error> {
        self.copy_files(from, to, None)
    }

    /// Copies a sealed table, as [`Warehouse::copy`] does, and stores another record with it.
    ///
    /// # Errors
    ///
    /// As [`Warehouse::copy`]; also [`Error::TableNotSealed`], [`Error::TooLarge`], and
    /// [`Error::Damaged`] when the footer is.
    pub fn copy_with_record(&self, from: &TableName, to: &TableName, record: &[u8]) -> Result<(), Error> {
        self.copy_files(from, to, Some(record))
    }

    /// Removes a table; answers whether it was there.
    ///
    /// # Errors
    ///
    /// [`Error::BeingWritten`], or [`Error::Io`].
    pub fn drop(&self, name: &TableName) -> Result<bool, Error> {
        let _busy = self.occupy(name)?;
        let folder = self.table_folder(name);
        let disk = &self.shared.disk;
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

    /// The names of tables, in alphabetical order.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn list(&self, filter: &TableFilter) -> Result<Vec<TableName>, Error> {
        let names = self.shared.disk.list(&self.shared.folder)?.unwrap_or_default();
        let tables = names.iter().filter_map(|name| name.parse().ok());
        Ok(tables.filter(|table| filter.matches(table)).collect())
    }

    /// Whether a table is there and sealed; its rows are not looked at.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn is_sealed(&self, name: &TableName) -> Result<bool, Error> {
        self.shared.disk.exists(&self.table_folder(name).join(FOOTER_FILE))
    }

    /// The size of a table's files, or `None` when there is no such table.
    ///
    /// Files that it shares with a copy count for both.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn size_bytes(&self, name: &TableName) -> Result<Option<u64>, Error> {
        let folder = self.table_folder(name);
        let Some(files) = self.shared.disk.list(&folder)? else { return Ok(None) };
        let mut bytes = 0;
        for file in files {
            bytes += self.shared.disk.file_bytes(&folder.join(file))?;
        }
        Ok(Some(bytes))
    }

    /// Removes what crashes left behind: tables that were not whole yet, or not whole any more.
    ///
    /// It is for the one process that writes the store; answers how many were removed.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn remove_leftovers(&self) -> Result<usize, Error> {
        let mut removed = 0;
        for name in self.shared.disk.list(&self.shared.folder)?.unwrap_or_default() {
            let table = name.strip_prefix(NEW_PREFIX).or_else(|| name.strip_prefix(DROPPED_PREFIX));
            let Some(Ok(table)) = table.map(str::parse) else { continue };
            // What another thread is making right now is not left over.
            let Ok(_busy) = self.occupy(&table) else { continue };
            self.shared.disk.remove_folder_if_there(&self.shared.folder.join(&name))?;
            removed += 1;
        }
        Ok(removed)
    }

    fn copy_files(&self, from: &TableName, to: &TableName, record: Option<&[u8]>) -> Result<(), Error> {
        self.refuse_if_exists(to)?;
        self.refuse_if_missing(from)?;
        let _busy = self.occupy(to)?;
        // The source may be read by others, and copied by others at the same time.
        if self.busy().contains(from) {
            return Err(Error::BeingWritten { table: from.clone() });
        }
        let disk = &self.shared.disk;
        let source = self.table_folder(from);
        let files = disk.list(&source)?.ok_or_else(|| Error::TableMissing { table: from.clone() })?;
        let footer = match record {
            Some(record) => Some(self.footer_with_record(from, record)?),
            None => None,
        };
        let is_sealed = files.iter().any(|file| file == FOOTER_FILE);
        self.put_together(to, |folder| {
            for file in &files {
                let is_segment = segment_number(file).is_some();
                if is_segment && !is_sealed {
                    self.make_durable(from, &source.join(file))?;
                }
                if is_segment || (file == FOOTER_FILE && footer.is_none()) {
                    disk.link_or_copy(&source.join(file), &folder.join(file))?;
                }
            }
            footer.map_or(Ok(()), |footer| write_footer(disk, folder, &footer))
        })
    }

    /// As in [`Warehouse::resume`]: what a table without a seal holds may never have been synced.
    fn make_durable(&self, table: &TableName, segment: &Path) -> Result<(), Error> {
        let Some(file) = self.shared.disk.open_file(segment)? else { return Ok(()) };
        if file.is_being_written() {
            return Err(Error::BeingWritten { table: table.clone() });
        }
        file.sync()
    }

    fn footer_with_record(&self, name: &TableName, record: &[u8]) -> Result<Footer, Error> {
        crate::writer::check_record(name, record)?;
        let table = self.open_existing(name)?;
        let seal = table.seal().ok_or_else(|| Error::TableNotSealed { table: name.clone() })?.clone();
        Footer::of_table(&table, crate::Seal { record: record.to_vec(), ..seal })
    }

    fn open_existing(&self, name: &TableName) -> Result<Table, Error> {
        self.open_table(name)?.ok_or_else(|| Error::TableMissing { table: name.clone() })
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

    fn table_folder(&self, name: &TableName) -> PathBuf {
        self.shared.folder.join(name.to_string())
    }

    fn refuse_if_exists(&self, name: &TableName) -> Result<(), Error> {
        if self.shared.disk.exists(&self.table_folder(name))? {
            return Err(Error::TableExists { table: name.clone() });
        }
        Ok(())
    }

    fn refuse_if_missing(&self, name: &TableName) -> Result<(), Error> {
        if !self.shared.disk.exists(&self.table_folder(name))? {
            return Err(Error::TableMissing { table: name.clone() });
        }
        Ok(())
    }

    pub(crate) fn disk(&self) -> &Disk {
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

/// The reservation of a table, which ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Busy {
    warehouse: Warehouse,
    table: TableName,
}

impl Busy {
    pub(crate) fn table(&self) -> &TableName {
        &self.table
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.warehouse.busy().remove(&self.table);
    }
}

/// Refuses a table whose newest segment a writer of another process holds.
fn refuse_if_written(table: &Table) -> Result<(), Error> {
    let newest = table.contents().segments.last();
    if newest.is_some_and(|segment| segment.file.is_being_written()) {
        return Err(Error::BeingWritten { table: table.name().clone() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rowmark_hashing::ContentHash;
    use rowmark_rows::RowRange;

    use super::*;
    use crate::{CodeId, DatasetName};

    fn dataset(name: &str) -> TableName {
        TableName::dataset(DatasetName::new(name).unwrap(), 1)
    }

    #[test]
    fn where_links_are_refused_files_are_copied() {
        let folder = tempfile::tempdir().unwrap();
        let warehouse = Warehouse::open_on(folder.path(), Disk { is_linking_refused: true }).unwrap();
        let schema = RowSchema::of::<u64>().unwrap();
        let code = CodeId::new(ContentHash::from_bytes([1; 32]));
        let mut writer = warehouse.create(&dataset("a"), &schema, b"").unwrap();
        writer.append(RowRange::new(0, 2), code, &schema.encode(&[7_u64, 8]).unwrap()).unwrap();
        writer.commit().unwrap();
        drop(writer);
        warehouse.copy(&dataset("a"), &dataset("b")).unwrap();

        let file = |name: &str| warehouse.table_folder(&dataset(name)).join("000001.seg");
        let before = std::fs::read(file("a")).unwrap();
        std::fs::write(file("a"), b"").unwrap();
        assert_eq!(std::fs::read(file("b")).unwrap(), before);
        let table = warehouse.open_table(&dataset("b")).unwrap().unwrap();
        let batch = table.scan().next().unwrap().unwrap();
        assert_eq!(schema.decode::<u64>(&batch).unwrap(), [7, 8]);
    }
}
