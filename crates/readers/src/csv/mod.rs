//! Rows of a CSV file (RFC 4180, as the `csv` crate reads it), identified by the file's content.
//!
//! The file is read where it lies and never copied. Its rows are found again by a sparse index of byte
//! positions, made in one pass when rows are first needed; a chain that has nothing left to do never makes it.

mod index;
mod options;
mod rows;

use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use csv::ByteRecord;
use rowmark_hashing::{ContentHash, Fingerprint, par_hash_reader};
use rowmark_rows::RowRange;
use serde::de::DeserializeOwned;

use crate::stamp::Stamp;
use crate::{Error, RowIter, Source};
use index::Index;
pub use options::CsvOptions;
use rows::Rows;

/// A CSV file as a source of rows of type `T`, matched to its columns by name.
///
/// Columns that `T` has no field for are passed over.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("towns.csv");
/// use rowmark_readers::{CsvOptions, CsvSource, Source};
/// use rowmark_rows::RowRange;
///
/// #[derive(serde::Deserialize, Debug, PartialEq)]
/// struct Town { name: String, metres: Option<f64> }
///
/// std::fs::write(&path, "name,metres\nBern,540\nOz,\n")?;
/// let towns = CsvSource::<Town>::open(&path, CsvOptions::new())?;
/// assert_eq!(towns.rows()?, 2);
/// let second: Vec<Town> = towns.read(RowRange::new(1, 2))?.collect::<Result<_, _>>()?;
/// assert_eq!(second, [Town { name: "Oz".into(), metres: None }]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct CsvSource<T> {
    path: PathBuf,
    options: CsvOptions,
    /// The first record: the columns' names, or where there are none a row. Every other has as many cells.
    first: ByteRecord,
    /// The state of the file when it was opened; in any other it is refused.
    stamp: Stamp,
    content: Mutex<Option<ContentHash>>,
    index: Mutex<Option<Arc<Index>>>,
    row: PhantomData<fn() -> T>,
}

impl<T> CsvSource<T> {
    /// Opens a file and reads its first record.
    ///
    /// # Errors
    /// The file cannot be opened, or has no header although the options say that it has one.
    pub fn open(path: impl AsRef<Path>, options: CsvOptions) -> Result<Self, Error> {
        let path = path.as_ref().to_owned();
        let (file, stamp) = Stamp::open(&path)?;
        let mut first = ByteRecord::new();
        let is_there = options
            .reader(file, false)
            .read_byte_record(&mut first)
            .map_err(|error| Error::Read { path: path.clone(), source: error.into() })?;
        if options.has_headers && !is_there {
            return Err(Error::NoHeader { path });
        }
        let (content, index) = Default::default();
        Ok(Self { path, options, first, stamp, content, index, row: PhantomData })
    }

    /// The columns' names, where the file has them.
    fn headers(&self) -> Option<&ByteRecord> {
        self.options.has_headers.then_some(&self.first)
    }

    fn content(&self) -> Result<ContentHash, Error> {
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(content) = *content {
            self.verify_stamp()?;
            return Ok(content);
        }
        let file = self.stamp.reopen(&self.path)?;
        let hash = par_hash_reader(file).map_err(|source| Error::Read { path: self.path.clone(), source })?;
        self.verify_stamp()?;
        Ok(*content.insert(hash))
    }

    fn index(&self) -> Result<Arc<Index>, Error> {
        let mut known = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = &*known {
            self.verify_stamp()?;
            return Ok(Arc::clone(index));
        }
        let file = self.stamp.reopen(&self.path)?;
        let index = Index::read(file, &self.options)
            .map_err(|error| Error::Read { path: self.path.clone(), source: error.into() })?;
        self.verify_stamp()?;
        Ok(Arc::clone(known.insert(Arc::new(index))))
    }

    fn verify_stamp(&self) -> Result<(), Error> {
        self.stamp.reopen(&self.path).map(drop)
    }
}

impl<T> fmt::Debug for CsvSource<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CsvSource").field("path", &self.path).field("options", &self.options).finish()
    }
}

impl<T: DeserializeOwned> Source for CsvSource<T> {
    type Row = T;

    fn name(&self) -> String {
        self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned()
    }

    fn fingerprint(&self) -> Result<Fingerprint, Error> {
        let (content, options) = (self.content()?, &self.options);
        let shown = format_args!("{} {} ({} bytes)", self.name(), content.short(), self.stamp.bytes);
        Ok(Fingerprint::new("rowmark.source.csv")
            .with_hash("content", content, shown)
            .with("delimiter", &(options.delimiter as char))?
            .with("has_headers", &options.has_headers)?
            .with("null", &options.null)?)
    }

    fn rows(&self) -> Result<u64, Error> {
        Ok(self.index()?.rows)
    }

    fn read(&self, range: RowRange) -> Result<RowIter<'_, T>, Error> {
        let Some(start) = self.index()?.start_before(range.start()) else {
            return Ok(Box::new(std::iter::empty()));
        };
        let mut file = self.stamp.reopen(&self.path)?;
        let start =
            start.seek(&mut file).map_err(|source| Error::Read { path: self.path.clone(), source })?;
        let mut rows = Rows::new(self, file, start);
        rows.pass_over(range.start() % index::STRIDE)?;
        Ok(Box::new(rows.take(usize::try_from(range.len()).unwrap_or(usize::MAX))))
    }

    fn verify(&self) -> Result<(), Error> {
        self.verify_stamp()
    }
}
