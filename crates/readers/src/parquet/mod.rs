//! Rows of Parquet files. Reading begins at the row group in which the first row is, and reads the columns that are asked
//! for.

mod pages;

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::file::metadata::ParquetMetaData;
use rowmark_hashing::Fingerprint;
use rowmark_rows::{RowSchema, RowType};

use crate::columnar::{
    BatchCursor, ColumnarOptions, Parts, Plan, check_not_packed, damaged, guarded, malformed,
};
use crate::file_source::{FileSource, Format};
use crate::files::{DataFile, Files};
use crate::{Error, Place};

/// Endings of the names of Parquet files in a folder.
const EXTENSIONS: [&str; 2] = ["parquet", "pq"];

/// Rows that are read at a time, and their bytes as far as the file says how large rows are.
const BATCH_ROWS_MAX: u64 = 4096;
const BATCH_BYTES: u64 = 8 * 1024 * 1024;

/// What the rows of a batch could hold if all of them were the one value of the largest dictionary.
const REPEATED_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// A Parquet file, or many, as a source of rows of type `T`, matched to columns by name.
///
/// A conversion that could lose something is refused before the first row; times, dates and decimals come as texts. With
/// [`Row`](rowmark_rows::Row) in the place of a type the schema is the first file's.
pub type ParquetSource<T> = FileSource<Parquet<T>>;

/// Parquet as a [`Format`]; see [`ParquetSource`].
pub struct Parquet<T> {
    options: ColumnarOptions,
    schema: RowSchema,
    files: Vec<Opened>,
    row: PhantomData<fn() -> T>,
}

/// Where the row groups of a file begin.
#[derive(Debug)]
pub struct ParquetIndex(Parts);

/// What is known of one file.
struct Opened {
    metadata: ArrowReaderMetadata,
    projection: ProjectionMask,
    plan: Arc<Plan>,
    /// The size of the largest dictionary, once its pages were looked at.
    dictionary_bytes_max: Mutex<Option<u64>>,
}

impl<T: RowType> FileSource<Parquet<T>> {
    /// Opens files and reads what they say of their columns and row groups.
    ///
    /// # Errors
    /// A file cannot be opened, is no Parquet file, or has other columns than `T` or than the first file.
    pub fn open(files: impl Into<Files>, options: ColumnarOptions) -> Result<Self, Error> {
        let paths = files.into().find(&EXTENSIONS)?;
        let files: Vec<DataFile> = paths.iter().map(|path| DataFile::open(path)).collect::<Result<_, _>>()?;
        let mut schema = None;
        let mut opened = Vec::with_capacity(files.len());
        for file in &files {
            opened.push(guarded(file.path(), || Opened::new::<T>(file, &options, &mut schema))?);
        }
        let schema = schema.ok_or_else(|| malformed(files[0].path(), "it has no columns"))?;
        let rows_max = options.selection.rows_max;
        Ok(Self::new(files, Parquet { options, schema, files: opened, row: PhantomData }, rows_max))
    }
}

impl Opened {
    fn new<T: RowType>(
        file: &DataFile,
        options: &ColumnarOptions,
        schema: &mut Option<RowSchema>,
    ) -> Result<Self, Error> {
        check_not_packed(file)?;
        let path = file.path();
        let metadata = ArrowReaderMetadata::load(&file.file()?, ArrowReaderOptions::new())
            .map_err(|error| damaged(path, error))?;
        check_sizes(file, metadata.metadata())?;
        let (what, found) = (path.display().to_string(), metadata.schema());
        let plan = match schema {
            Some(schema) => Plan::matching(&what, found, schema, &options.selection)?,
            None => Plan::new::<T>(&what, found, &options.selection)?,
        };
        schema.get_or_insert_with(|| plan.schema().clone());
        let projection = ProjectionMask::roots(metadata.parquet_schema(), plan.columns().iter().copied());
        let plan = Arc::new(plan.projected());
        Ok(Self { metadata, projection, plan, dictionary_bytes_max: Mutex::default() })
    }

    /// Looks at the pages of all columns that are read, the first time. Answers the size of the largest dictionary.
    fn check_pages(&self, file: &DataFile) -> Result<u64, Error> {
        let mut known = self.dictionary_bytes_max.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = *known {
            return Ok(bytes);
        }
        let mut bytes_max = 0;
        for (number, group) in self.metadata.metadata().row_groups().iter().enumerate() {
            let columns = group.columns().iter().enumerate();
            let read = columns.filter(|(leaf, _)| self.projection.leaf_included(*leaf));
            bytes_max = bytes_max.max(pages::check(file, number, read.map(|(_, column)| column))?);
        }
        Ok(*known.insert(bytes_max))
    }

    fn groups(&self) -> usize {
        self.metadata.metadata().num_row_groups()
    }

    fn batch_rows(&self, dictionary_bytes_max: u64) -> usize {
        let groups = self.metadata.metadata().row_groups();
        let (bytes, rows) = groups.iter().fold((0, 1), |(bytes, rows), group| {
            (
                group.total_byte_size().unsigned_abs().saturating_add(bytes),
                group.num_rows().unsigned_abs() + rows,
            )
        });
        let repeated = REPEATED_BYTES_MAX / dictionary_bytes_max.max(1);
        (BATCH_BYTES / (bytes / rows).max(1)).min(repeated).clamp(1, BATCH_ROWS_MAX) as usize
    }
}

/// Makes sure that what a file says of its parts can be: what is read on its word is then no larger than the file.
fn check_sizes(file: &DataFile, metadata: &ParquetMetaData) -> Result<(), Error> {
    let lies = |what: String| Err(malformed(file.path(), format!("it is damaged: {what}")));
    let mut rows: u64 = 0;
    for (number, group) in metadata.row_groups().iter().enumerate() {
        let Ok(group_rows) = u64::try_from(group.num_rows()) else {
            return lies(format!("row group {number} says that it has {} rows", group.num_rows()));
        };
        rows = rows.saturating_add(group_rows);
        for column in group.columns() {
            let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
            let end = start.checked_add(column.compressed_size());
            let end = end.filter(|end| start >= 0 && *end >= start).and_then(|end| u64::try_from(end).ok());
            if end.is_none_or(|end| end > file.stamp.bytes) {
                let column = column.column_path().string();
                return lies(format!("column `{column}` of row group {number} lies outside of the file"));
            }
            let is_flat = column.column_descr().max_rep_level() == 0;
            if is_flat && u64::try_from(column.num_values()) != Ok(group_rows) {
                let (column, values) = (column.column_path().string(), column.num_values());
                return lies(format!(
                    "column `{column}` of row group {number} says that it has {values} values for {group_rows} rows"
                ));
            }
        }
    }
    if u64::try_from(metadata.file_metadata().num_rows()) != Ok(rows) {
        let said = metadata.file_metadata().num_rows();
        return lies(format!("it says that it has {said} rows, and its row groups say {rows}"));
    }
    Ok(())
}

impl<T> fmt::Debug for Parquet<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Parquet").field("options", &self.options).finish_non_exhaustive()
    }
}

impl<T: RowType> Format for Parquet<T> {
    type Row = T;
    type Index = ParquetIndex;
    type Cursor = BatchCursor<T>;

    const DOMAIN: &'static str = "rowmark.source.parquet";

    fn identify(&self, fingerprint: Fingerprint) -> Result<Fingerprint, Error> {
        self.options.selection.identify(fingerprint)
    }

    fn schema(&self) -> Result<RowSchema, Error> {
        Ok(self.schema.clone())
    }

    fn index(&self, number: usize, _file: &DataFile) -> Result<(u64, ParquetIndex), Error> {
        let mut rows = 0;
        let mut rows_before = Vec::new();
        for group in self.files[number].metadata.metadata().row_groups() {
            rows_before.push(rows);
            rows += group.num_rows().unsigned_abs();
        }
        let place = |group, row| Place::RowGroup { group, row };
        Ok((rows, ParquetIndex(Parts { rows_before: rows_before.into(), place })))
    }

    fn begins_at(&self, index: &ParquetIndex, row: u64) -> u64 {
        index.0.begins_at(row)
    }

    fn open(
        &self,
        number: usize,
        file: &DataFile,
        index: &ParquetIndex,
        row: u64,
    ) -> Result<BatchCursor<T>, Error> {
        let opened = &self.files[number];
        let path = file.path().to_owned();
        let dictionary_bytes_max = opened.check_pages(file)?;
        let batches = guarded(&path, || {
            ParquetRecordBatchReaderBuilder::new_with_metadata(file.file()?, opened.metadata.clone())
                .with_row_groups((index.0.of(row)..opened.groups()).collect())
                .with_projection(opened.projection.clone())
                .with_batch_size(opened.batch_rows(dictionary_bytes_max))
                .build()
                .map_err(|error| damaged(&path, error))
        })?;
        let at = path.clone();
        let batches = batches.map(move |batch| batch.map_err(|error| damaged(&at, error)));
        Ok(BatchCursor::new(file, &opened.plan, &index.0, row, Box::new(batches)))
    }
}
