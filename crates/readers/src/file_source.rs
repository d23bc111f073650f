//! [`FileSource`]: the rows of one or many files of a [`Format`], as one source.
//!
//! Files are read where they lie and never copied. A reader that has ended is kept for a while: whoever reads on from
//! near its row goes on with it, which is what makes files that cannot be read from the middle (compressed ones, large
//! row groups) as quick to read in many ranges as in one.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;
use rowmark_hashing::{ContentHash, Fingerprint};
use rowmark_rows::{RowRange, RowSchema, RowType};

use crate::files::{self, Check, DataFile, FileHashes, Stamp};
use crate::{Error, RowIter, Source};

/// Readers that are kept at a time.
const PARKED_MAX: usize = 16;

/// How the rows of one file are found and read; what files there are is for [`FileSource`].
pub trait Format: fmt::Debug + Send + Sync {
    /// What a row is.
    type Row: RowType;
    /// Where the rows of a file are.
    type Index: Send + Sync;
    /// Reads rows of a file in their order.
    type Cursor: Cursor<Row = Self::Row>;

    /// The domain of the fingerprints of such sources.
    const DOMAIN: &'static str;

    /// Adds to a fingerprint every option that shapes the rows.
    ///
    /// # Errors
    /// An option cannot be hashed.
    fn identify(&self, fingerprint: Fingerprint) -> Result<Fingerprint, Error>;

    /// The schema of the rows.
    ///
    /// # Errors
    /// The rows cannot be stored.
    fn schema(&self) -> Result<RowSchema, Error>;

    /// Finds the rows of the file with this number in the list of all: how many there are, and where.
    ///
    /// # Errors
    /// The file cannot be read, or is not of this format.
    fn index(&self, number: usize, file: &DataFile) -> Result<(u64, Self::Index), Error>;

    /// The row from which a cursor begins that is to read `row`: the nearest before it from which it can.
    fn begins_at(&self, index: &Self::Index, row: u64) -> u64;

    /// Opens a cursor at a row that [`begins_at`](Self::begins_at) answered.
    ///
    /// # Errors
    /// The file cannot be read.
    fn open(
        &self,
        number: usize,
        file: &DataFile,
        index: &Self::Index,
        row: u64,
    ) -> Result<Self::Cursor, Error>;
}

/// Reads rows of one file in their order.
pub trait Cursor: Send + 'static {
    /// What a row is.
    type Row;

    /// Passes over the next row, as quickly as the format allows.
    ///
    /// # Errors
    /// The file cannot be read.
    fn pass_over(&mut self) -> Result<(), Error>;

    /// Reads the next row; nothing at the end of the file. After an error about one row it goes on with the next.
    fn next(&mut self) -> Option<Result<Self::Row, Error>>;
}

/// The rows of one or many files of one format, in the order of the files.
pub struct FileSource<F: Format> {
    files: Vec<DataFile>,
    format: F,
    rows_max: Option<u64>,
    /// What people call it; nothing for the names of the files.
    name: Option<String>,
    /// What a file is to be, where that is known from elsewhere.
    check: Option<Arc<Check>>,
    hashes: Option<Arc<FileHashes>>,
    contents: Mutex<Option<Vec<ContentHash>>>,
    index: Mutex<Option<Arc<Index<F::Index>>>>,
    parked: Mutex<Vec<Parked<F::Cursor>>>,
    /// How many read each file, for those that are being read or were since they were last verified.
    in_use: Mutex<BTreeMap<usize, u32>>,
}

/// The rows of all files.
struct Index<I> {
    files: Vec<FileIndex<I>>,
    rows: u64,
}

struct FileIndex<I> {
    /// Rows of the files before it.
    rows_before: u64,
    rows: u64,
    index: I,
}

/// A cursor, and the row of its file that it reads next.
struct Parked<C> {
    file: usize,
    row: u64,
    cursor: C,
}

impl<F: Format> FileSource<F> {
    pub(crate) fn new(files: Vec<DataFile>, format: F, rows_max: Option<u64>) -> Self {
        let (contents, index, parked, in_use) = Default::default();
        let (name, check, hashes) = (None, None, None);
        Self { files, format, rows_max, name, check, hashes, contents, index, parked, in_use }
    }

    /// Gives the files a name that tells more than theirs, and a check that each file is to pass before its content is an
    /// identity; of a file whose content is remembered it is known that it did.
    #[cfg(feature = "hf")]
    pub(crate) fn known_as(mut self, name: String, check: Arc<Check>) -> Self {
        (self.name, self.check) = (Some(name), Some(check));
        self
    }

    /// Looks up the files' hashes among those that are remembered, and remembers them there.
    #[must_use]
    pub fn remember(mut self, hashes: &Arc<FileHashes>) -> Self {
        self.hashes = Some(Arc::clone(hashes));
        self
    }

    /// The files, in their order.
    #[must_use]
    pub fn files(&self) -> &[DataFile] {
        &self.files
    }

    /// The content hash of each file.
    fn contents(&self) -> Result<Vec<ContentHash>, Error> {
        let mut known = lock(&self.contents);
        if let Some(contents) = &*known {
            self.files.par_iter().try_for_each(DataFile::verify)?;
            return Ok(contents.clone());
        }
        let files: Vec<(&Path, &Stamp)> = self.files.iter().map(|file| (file.path(), &file.stamp)).collect();
        let contents = files::contents(&files, self.hashes.as_deref(), self.check.as_deref())?;
        Ok(known.insert(contents).clone())
    }

    fn index(&self) -> Result<Arc<Index<F::Index>>, Error> {
        let mut known = lock(&self.index);
        if let Some(index) = &*known {
            return Ok(Arc::clone(index));
        }
        let of_file = |(number, file): (usize, &DataFile)| {
            let index = self.format.index(number, file);
            file.verify()?;
            index
        };
        let found: Vec<(u64, F::Index)> =
            self.files.par_iter().enumerate().map(of_file).collect::<Result<_, Error>>()?;
        let mut rows_before = 0;
        let mut files = Vec::new();
        for (rows, index) in found {
            files.push(FileIndex { rows_before, rows, index });
            rows_before += rows;
        }
        let rows = rows_before.min(self.rows_max.unwrap_or(u64::MAX));
        Ok(Arc::clone(known.insert(Arc::new(Index { files, rows }))))
    }

    /// A cursor that stands at a row of a file: one that was kept, if that is not behind where a new one begins.
    fn cursor(&self, index: &Index<F::Index>, number: usize, row: u64) -> Result<F::Cursor, Error> {
        let (file, FileIndex { index, .. }) = (&self.files[number], &index.files[number]);
        let begins_at = self.format.begins_at(index, row);
        // In a file that must be unpacked from its beginning, any cursor has a lead.
        let useful_from = if file.can_seek() { begins_at } else { 0 };
        let mut found = match self.take_parked(number, useful_from..=row) {
            Some(parked) => parked,
            None => {
                let cursor = self.format.open(number, file, index, begins_at)?;
                Parked { file: number, row: begins_at, cursor }
            }
        };
        for _ in found.row..row {
            found.cursor.pass_over()?;
        }
        Ok(found.cursor)
    }

    /// The kept cursor of a file that stands nearest to the end of these rows.
    fn take_parked(&self, file: usize, rows: std::ops::RangeInclusive<u64>) -> Option<Parked<F::Cursor>> {
        let mut parked = lock(&self.parked);
        let is_fit = |kept: &&(usize, &Parked<F::Cursor>)| kept.1.file == file && rows.contains(&kept.1.row);
        let nearest =
            parked.iter().enumerate().filter(|kept| is_fit(&kept)).max_by_key(|(_, kept)| kept.row)?.0;
        Some(parked.remove(nearest))
    }

    fn park(&self, parked: Parked<F::Cursor>) {
        let mut all = lock(&self.parked);
        if all.len() == PARKED_MAX {
            all.remove(0);
        }
        all.push(parked);
    }
}

/// A size as people say it: `2.1 MB`.
fn text_of_bytes(bytes: u64) -> String {
    let units = ["kB", "MB", "GB", "TB", "PB", "EB"];
    let size = units.iter().scan(bytes as f64, |size, unit| {
        *size /= 1000.0;
        Some((*size, unit))
    });
    match size.take_while(|(size, _)| *size >= 1.0).last() {
        Some((size, unit)) => format!("{size:.1} {unit}"),
        None => format!("{bytes} B"),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<F: Format> fmt::Debug for FileSource<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FileSource")
            .field("files", &self.files)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

impl<F: Format> Source for FileSource<F> {
    type Row = F::Row;

    fn name(&self) -> String {
        if let Some(name) = &self.name {
            return name.clone();
        }
        let first = self.files[0].path();
        let first = first.file_name().unwrap_or(first.as_os_str()).to_string_lossy();
        match self.files.len() - 1 {
            0 => first.into_owned(),
            1 => format!("{first} and 1 more file"),
            more => format!("{first} and {more} more files"),
        }
    }

    fn schema(&self) -> Result<RowSchema, Error> {
        self.format.schema()
    }

    fn fingerprint(&self) -> Result<Fingerprint, Error> {
        let contents = self.contents()?;
        let content = match &contents[..] {
            [only] => *only,
            all => ContentHash::of(all)?,
        };
        let bytes: u64 = self.files.iter().map(|file| file.stamp.bytes).sum();
        let shown = format_args!("{}, {}…, {}", self.name(), content.short(), text_of_bytes(bytes));
        let fingerprint = Fingerprint::new(F::DOMAIN).with_hash("content", content, shown);
        let fingerprint = self.format.identify(fingerprint)?;
        Ok(match self.rows_max {
            Some(rows_max) => fingerprint.with("rows_max", &rows_max)?,
            None => fingerprint,
        })
    }

    fn rows(&self) -> Result<u64, Error> {
        let index = self.index()?;
        self.files.par_iter().try_for_each(DataFile::verify)?;
        Ok(index.rows)
    }

    fn read(&self, range: RowRange) -> Result<RowIter<'_, F::Row>, Error> {
        let index = self.index()?;
        Ok(Box::new(Reading { source: self, index, row: range.start(), end: range.end(), current: None }))
    }

    fn verify(&self) -> Result<(), Error> {
        // Only what was read since the last time: there may be many files.
        let mut in_use = lock(&self.in_use);
        in_use.keys().try_for_each(|file| self.files[*file].verify())?;
        in_use.retain(|_, readers| *readers > 0);
        Ok(())
    }
}

/// Rows of a range, over the borders of files.
struct Reading<'a, F: Format> {
    source: &'a FileSource<F>,
    index: Arc<Index<F::Index>>,
    row: u64,
    end: u64,
    current: Option<Parked<F::Cursor>>,
}

impl<F: Format> Reading<'_, F> {
    /// The cursor that stands at the next row.
    fn cursor(&mut self) -> Result<&mut Parked<F::Cursor>, Error> {
        let is_done = |current: &Parked<F::Cursor>| current.row == self.index.files[current.file].rows;
        if self.current.as_ref().is_none_or(is_done) {
            self.leave();
            let file = self.index.files.partition_point(|file| file.rows_before + file.rows <= self.row);
            let row = self.row - self.index.files[file].rows_before;
            *lock(&self.source.in_use).entry(file).or_default() += 1;
            let cursor = self.source.cursor(&self.index, file, row).inspect_err(|_| self.release(file))?;
            self.current = Some(Parked { file, row, cursor });
        }
        Ok(self.current.as_mut().expect("it was just opened"))
    }

    fn next_row(&mut self) -> Result<F::Row, Error> {
        let current = self.cursor()?;
        current.row += 1;
        let file = current.file;
        let row = current.cursor.next();
        let row = match row {
            Some(Ok(row)) => return Ok(row),
            row => row,
        };
        // A file that has changed makes errors of all kinds; this is the true one.
        self.source.files[file].verify()?;
        row.unwrap_or_else(|| {
            let path = self.source.files[file].path().to_owned();
            let reason = format!("it ends before row {}, which it says that it has", self.row);
            Err(Error::Malformed { path, place: None, reason, source: None })
        })
    }

    fn release(&self, file: usize) {
        if let Some(readers) = lock(&self.source.in_use).get_mut(&file) {
            *readers = readers.saturating_sub(1);
        }
    }

    /// Ends reading of the current file.
    fn leave(&mut self) {
        let Some(current) = self.current.take() else { return };
        self.release(current.file);
        if current.row < self.index.files[current.file].rows {
            self.source.park(current);
        }
    }
}

impl<F: Format> Iterator for Reading<'_, F> {
    type Item = Result<F::Row, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.row >= self.end.min(self.index.rows) {
            return None;
        }
        let row = self.next_row();
        self.row += 1;
        Some(row)
    }
}

impl<F: Format> Drop for Reading<'_, F> {
    fn drop(&mut self) {
        self.leave();
    }
}
