//! Files as rows: those of a folder, a bucket or a server.
//!
//! What a listing told is the source: paths, sizes, and for each file a tag that tells its content. It is kept in memory, in
//! order, and is never asked for again. A file is opened on the condition that it still has that tag, so that rows and what is
//! read from them are of one moment, or an error.

mod address;
mod file;
mod listing;
mod local;
mod options;
#[cfg(feature = "storage")]
mod remote;
mod time;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;
use rowmark_hashing::{ContentHash, ContentHasher, Fingerprint};
use rowmark_rows::RowRange;

pub use file::{File, FileReader};
pub use options::StorageOptions;

use crate::files::{self, FileHashes, Files, Stamp};
use crate::{Error, RowIter, Source};
use address::{Address, Kind, LOCAL};
use file::CONTENT;
use listing::Listing;

/// Rows that are hashed together.
const ROWS_AT_ONCE: usize = 8192;

/// The files that addresses mean, in the order of their addresses: one [`File`] for each.
///
/// An address is a path of this machine, or `file://`, `s3://bucket/…`, `gs://bucket/…`, `az://container/…`, `abfss://…`, `http://…`,
/// `https://…` (all but local files with the feature `storage`). It means
/// - a file, if there is one;
/// - everything below a folder, but names that begin with a dot (in a server, a folder's address ends with `/`);
/// - what a pattern matches: `*`, `?` and `[a-z]` within a name, `**` any folders.
///
/// The identity is that of the rows: the addresses, sizes and tags of all files. The order in which a store lists them does not
/// count, nor do times, nor how the store is reached.
pub struct StorageSource {
    shown: String,
    listing: Listing,
    /// The states of the local files, in their order.
    stamps: Vec<Stamp>,
    hashes: Option<Arc<FileHashes>>,
    /// The content hashes of the local files.
    contents: Mutex<Option<Arc<[ContentHash]>>>,
    rows_hash: Mutex<Option<ContentHash>>,
    readings: Mutex<Readings>,
}

/// Which local files may have been opened since the source was last verified: the rows of each reading so far, and whether
/// it goes on.
#[derive(Debug, Default)]
struct Readings {
    next: u64,
    rows: BTreeMap<u64, (RowRange, bool)>,
}

impl StorageSource {
    /// Lists the files that are meant by an address or a list of them.
    ///
    /// The options are remembered for each store, for files that are opened later in this process; those given last count.
    ///
    /// # Errors
    /// An address cannot be understood, means no file, or its store cannot be reached or refuses.
    pub fn open(files: impl Into<Files>, options: StorageOptions) -> Result<Self, Error> {
        let (mut listing, mut stamps, mut shown) = (Listing::default(), Vec::new(), Vec::new());
        for given in files.into().given() {
            let address = Address::parse(local::text_of(given)?)?;
            listing.begin(&address.source);
            let before = listing.len();
            match address.kind {
                Kind::Local => {
                    stamps.extend(local::list(&address.path, options.with_modified, &mut listing)?);
                }
                #[cfg(feature = "storage")]
                _ => listing = remote::list(&address, &options, listing)?,
                #[cfg(not(feature = "storage"))]
                _ => return Err(not_built(&address.shown())),
            }
            if listing.len() == before {
                let advice =
                    "it means no file; check the address, or that the folder is not empty".to_owned();
                return Err(Error::NoFiles { what: address.shown(), advice });
            }
            shown.push(address.shown());
        }
        if let Some(changed) = listing.sort() {
            return Err(Error::changed(changed.uri()));
        }
        stamps.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        stamps.dedup_by(|(later, _), (kept, _)| later == kept);
        let stamps = stamps.into_iter().map(|(_, stamp)| stamp).collect();
        let shown = match &shown[..] {
            [] => return Err(Error::NoFiles { what: "an empty list".into(), advice: "name a file".into() }),
            [only] => only.clone(),
            [first, more @ ..] => format!("{first} and {} more", more.len()),
        };
        let (contents, rows_hash, readings) = Default::default();
        Ok(Self { shown, listing, stamps, hashes: None, contents, rows_hash, readings })
    }

    /// Looks up the hashes of local files among those that are remembered, and remembers them there.
    #[must_use]
    pub fn remember(mut self, hashes: &Arc<FileHashes>) -> Self {
        self.hashes = Some(Arc::clone(hashes));
        self
    }

    /// The rows that are local files.
    fn local_rows(&self) -> std::ops::Range<usize> {
        self.listing.of_source(LOCAL)
    }

    fn local(&self, row: usize) -> (&Path, &Stamp) {
        (Path::new(self.listing.path(row)), &self.stamps[row - self.local_rows().start])
    }

    fn contents(&self) -> Result<Arc<[ContentHash]>, Error> {
        let mut known = lock(&self.contents);
        if let Some(contents) = &*known {
            return Ok(Arc::clone(contents));
        }
        let files: Vec<(&Path, &Stamp)> = self.local_rows().map(|row| self.local(row)).collect();
        let contents = files::contents(&files, self.hashes.as_deref(), None)?;
        Ok(Arc::clone(known.insert(contents.into())))
    }

    fn verify_rows(&self, rows: RowRange) -> Result<(), Error> {
        let local = self.local_rows();
        let rows = local.start.max(rows.start() as usize)..local.end.min(rows.end() as usize);
        rows.map(|row| self.local(row)).try_for_each(|(path, stamp)| stamp.verify(path))
    }

    fn files(&self, rows: std::ops::Range<usize>) -> Result<impl Iterator<Item = File> + '_, Error> {
        let (contents, local) = (self.contents()?, self.local_rows());
        Ok(rows.map(move |row| {
            let mut file = self.listing.file(row);
            if local.contains(&row) {
                file.etag = format!("{CONTENT}{}", contents[row - local.start]);
            }
            file
        }))
    }
}

/// That a store cannot be asked by this program.
#[cfg(not(feature = "storage"))]
fn not_built(uri: &str) -> Error {
    let reason = "this program was built for local files only; build it with the feature `storage`";
    Error::Address { address: uri.to_owned(), reason: reason.to_owned() }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for StorageSource {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("StorageSource")
            .field("files", &self.shown)
            .field("rows", &self.listing.len())
            .finish_non_exhaustive()
    }
}

impl Source for StorageSource {
    type Row = File;

    fn name(&self) -> String {
        self.shown.clone()
    }

    fn fingerprint(&self) -> Result<Fingerprint, Error> {
        let local = self.local_rows().into_par_iter().map(|row| self.local(row));
        local.try_for_each(|(path, stamp)| stamp.verify(path))?;
        let known = *lock(&self.rows_hash);
        let hash = match known {
            Some(hash) => hash,
            None => {
                let mut hasher = ContentHasher::new();
                for start in (0..self.listing.len()).step_by(ROWS_AT_ONCE) {
                    let end = self.listing.len().min(start + ROWS_AT_ONCE);
                    hasher.par_update(&self.files(start..end)?.collect::<Vec<File>>())?;
                }
                *lock(&self.rows_hash).insert(hasher.finish())
            }
        };
        let (files, bytes) = (self.listing.len(), self.listing.bytes());
        let shown = format_args!("{} {} ({files} files, {bytes} bytes)", self.shown, hash.short());
        Ok(Fingerprint::new("rowmark.source.files").with_hash("files", hash, shown))
    }

    fn rows(&self) -> Result<u64, Error> {
        Ok(self.listing.len() as u64)
    }

    fn read(&self, range: RowRange) -> Result<RowIter<'_, File>, Error> {
        let files = self.files(range.start() as usize..range.end() as usize)?;
        let mut readings = lock(&self.readings);
        let id = readings.next;
        readings.next += 1;
        readings.rows.insert(id, (RowRange::new(range.start(), range.start()), true));
        Ok(Box::new(Reading { source: self, id, files }))
    }

    /// A file of a store needs no look: it is opened only as it was listed.
    fn verify(&self) -> Result<(), Error> {
        let so_far = lock(&self.readings).rows.clone();
        so_far.values().try_for_each(|(rows, _)| self.verify_rows(*rows))?;
        // What went on then may have given out more since.
        let had_ended = |id: &u64| so_far.get(id).is_some_and(|(_, goes_on)| !goes_on);
        lock(&self.readings).rows.retain(|id, _| !had_ended(id));
        Ok(())
    }
}

/// Files of a range of rows, noted as they are given out.
struct Reading<'a, I> {
    source: &'a StorageSource,
    id: u64,
    files: I,
}

impl<I: Iterator<Item = File>> Iterator for Reading<'_, I> {
    type Item = Result<File, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let file = self.files.next()?;
        if let Some((rows, _)) = lock(&self.source.readings).rows.get_mut(&self.id) {
            *rows = RowRange::new(rows.start(), rows.end() + 1);
        }
        Some(Ok(file))
    }
}

impl<I> Drop for Reading<'_, I> {
    fn drop(&mut self) {
        if let Some((_, goes_on)) = lock(&self.source.readings).rows.get_mut(&self.id) {
            *goes_on = false;
        }
    }
}
