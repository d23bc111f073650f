//! Rows to files of other formats. A file is there whole, or is as it was before.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_ipc::writer::FileWriter;
use rowmark_rows::{Row, RowSchema, RowType};

use crate::chain::Chain;
use crate::{BoxError, Error, Result};

/// Rows that are encoded together.
const BATCH_ROWS: usize = 8192;

/// Rows on their way to a file.
type ToFile<'a, T> = &'a mut dyn Iterator<Item = Result<T>>;

impl<T: RowType> Chain<T> {
    /// Runs the chain and writes its rows as CSV, with the names of their fields in the first line. Answers how many
    /// rows there are.
    ///
    /// A field holds one value: rows with lists, structs or tuples in them are refused. A missing value is empty.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let session = rowmark::Session::open(folder.path().join("state"))?;
    /// let file = folder.path().join("primes.csv");
    /// session.read_values(&[2, 3, 5]).write_csv(&file)?;
    /// assert_eq!(std::fs::read_to_string(file)?, "value\n2\n3\n5\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`collect`](Self::collect); also when the file cannot be written, which leaves it as it was.
    pub fn write_csv(&self, path: impl AsRef<Path>) -> Result<u64> {
        let path = path.as_ref();
        // Asked before anything is computed, but for rows whose columns are known only then.
        if !Row::is::<T>() {
            check_plain(&RowSchema::of::<T>()?)
                .map_err(|source| Error::Export { path: path.to_owned(), source })?;
        }
        self.export(path, |file, schema, rows| {
            check_plain(schema)?;
            let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(file);
            writer.write_record(schema.arrow().fields().iter().map(|field| field.name()))?;
            for row in rows {
                writer.serialize(row?)?;
            }
            Ok(writer.into_inner().map_err(csv::IntoInnerError::into_error)?)
        })
    }

    /// Runs the chain and writes each row as a line of JSON. Answers how many there are.
    ///
    /// # Errors
    /// As [`write_csv`](Self::write_csv).
    pub fn write_jsonl(&self, path: impl AsRef<Path>) -> Result<u64> {
        self.export(path.as_ref(), |mut file, _, rows| {
            for row in rows {
                serde_json::to_writer(&mut file, &row?)?;
                file.write_all(b"\n")?;
            }
            Ok(file)
        })
    }

    /// Runs the chain and writes its rows as an Arrow IPC file (Feather 2). Answers how many there are.
    ///
    /// # Errors
    /// As [`write_csv`](Self::write_csv).
    pub fn write_arrow(&self, path: impl AsRef<Path>) -> Result<u64> {
        self.export(path.as_ref(), |file, schema, rows| {
            let mut writer = FileWriter::try_new(file, schema.arrow())?;
            each_batch(rows, |batch| Ok(writer.write(&schema.encode(batch)?)?))?;
            writer.finish()?;
            Ok(writer.into_inner()?)
        })
    }

    /// Runs the chain and writes its rows as a Parquet file, compressed with Snappy. Answers how many there are.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let session = rowmark::Session::open(folder.path().join("state"))?;
    /// let file = folder.path().join("primes.parquet");
    /// assert_eq!(session.read_values(&[(2_u64, "two".to_owned()), (3, "three".to_owned())]).write_parquet(&file)?, 2);
    /// assert_eq!(session.read_parquet::<(u64, String)>(file)?.collect()?[1], (3, "three".to_owned()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`write_csv`](Self::write_csv).
    #[cfg(feature = "parquet")]
    pub fn write_parquet(&self, path: impl AsRef<Path>) -> Result<u64> {
        use parquet::basic::Compression;
        use parquet::file::properties::WriterProperties;

        self.export(path.as_ref(), |file, schema, rows| {
            let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
            let schema_ref = schema.arrow().clone();
            let mut writer = parquet::arrow::ArrowWriter::try_new(file, schema_ref, Some(properties))?;
            each_batch(rows, |batch| Ok(writer.write(&schema.encode(batch)?)?))?;
            Ok(writer.into_inner()?)
        })
    }

    /// Writes a file beside the one that is meant, and puts it in its place when it is whole and durable.
    fn export(
        &self,
        path: &Path,
        write: impl FnOnce(BufWriter<File>, &RowSchema, ToFile<'_, T>) -> Result<BufWriter<File>, BoxError>,
    ) -> Result<u64> {
        let rows = self.iter()?;
        let schema = rows.schema.clone();
        let mut count = 0;
        let mut rows = rows.inspect(|row| count += u64::from(row.is_ok()));
        let written = Unfinished::beside(path).map_err(BoxError::from).and_then(|(unfinished, file)| {
            let file = write(BufWriter::new(file), &schema, &mut rows)?;
            file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
            Ok(unfinished.put_in_place()?)
        });
        let written = written.map_err(<dyn std::error::Error + Send + Sync>::downcast::<Error>);
        self.session.ended(match written {
            Ok(()) => Ok(count),
            Err(Ok(of_chain)) => Err(*of_chain),
            Err(Err(source)) => Err(Error::Export { path: path.to_owned(), source }),
        })
    }
}

/// Refuses fields that hold more than one value: they would take the places of those behind them.
fn check_plain(schema: &RowSchema) -> Result<(), BoxError> {
    let Some(nested) = schema.arrow().fields().iter().find(|field| field.data_type().is_nested()) else {
        return Ok(());
    };
    let name = nested.name();
    Err(format!(
        "the field `{name}` holds more than one value, which CSV has no form for; `project` the rows to plain fields, or use another format"
    )
    .into())
}

/// Gives the rows in batches; the last may be smaller.
fn each_batch<T>(
    rows: ToFile<'_, T>,
    mut write: impl FnMut(&[T]) -> Result<(), BoxError>,
) -> Result<(), BoxError> {
    let mut batch = Vec::with_capacity(BATCH_ROWS);
    for row in rows {
        batch.push(row?);
        if batch.len() == BATCH_ROWS {
            write(&batch)?;
            batch.clear();
        }
    }
    if batch.is_empty() { Ok(()) } else { write(&batch) }
}

/// A file that is not whole yet. What is left of it is removed.
struct Unfinished {
    path: PathBuf,
    /// Where it belongs.
    place: PathBuf,
}

/// Tells files apart that this process writes at one time.
static NUMBER: AtomicU64 = AtomicU64::new(0);

impl Unfinished {
    /// Makes a file beside the one that is meant: where a link leads, if it is one, and with its permissions.
    fn beside(path: &Path) -> io::Result<(Self, File)> {
        let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        // Relaxed: only the number counts, and each is given once.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = place.with_file_name(format!(".{name}.{}-{number}", std::process::id()));
        let file = File::create(&path)?;
        let unfinished = Self { path, place };
        if let Ok(replaced) = fs::metadata(&unfinished.place) {
            file.set_permissions(replaced.permissions())?;
        }
        Ok((unfinished, file))
    }

    fn put_in_place(&self) -> io::Result<()> {
        fs::rename(&self.path, &self.place)?;
        match self.place.parent() {
            // The new name is durable with its folder; where a folder cannot be opened, it need not be synced.
            Some(folder) if cfg!(unix) => {
                File::open(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })?.sync_all()
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // After the renaming there is nothing of this name.
        let _ = fs::remove_file(&self.path);
    }
}
