//! [`FileHashes`]: content hashes of files, remembered by the state in which the files were.
//!
//! The file is small, is replaced as a whole, and may be removed at any time: it only saves reading. Its first line has
//! its format version and the hash of all lines below it, each of which has a content hash, a stamp and a path.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rayon::prelude::*;
use rowmark_hashing::{ContentHash, hash_reader, par_hash_reader};

use super::Stamp;
use crate::Error;

const FIRST_LINE: &str = "rowmark file hashes 1 ";

/// Files that are remembered; beyond it those whose paths come last are forgotten.
const FILES_MAX: usize = 100_000;

/// Content hashes of files by path, size, times and, on Unix, device, number and time of status change, so that a file
/// that is as it was is not read again.
///
/// Nothing is remembered of a file that was changed in the two seconds before it was hashed: another change in the same
/// tick of the file system's clock would not show.
///
/// ```
/// use std::sync::Arc;
/// use std::time::SystemTime;
/// use rowmark_readers::{CsvOptions, CsvSource, FileHashes, Source};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("towns.csv");
/// # std::fs::write(&path, "name\nBern\n")?;
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Town { name: String }
///
/// let hashes = Arc::new(FileHashes::open(folder.path().join("file-hashes"), SystemTime::now));
/// let towns = CsvSource::<Town>::open(&path, CsvOptions::new())?.remember(&hashes);
/// towns.fingerprint()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FileHashes {
    path: PathBuf,
    clock: fn() -> SystemTime,
    known: Mutex<Option<Known>>,
}

type Known = BTreeMap<String, (String, ContentHash)>;

impl FileHashes {
    /// Remembers hashes in the file at `path`, which is read when it is first needed.
    #[must_use]
    pub fn open(path: impl Into<PathBuf>, clock: fn() -> SystemTime) -> Self {
        Self { path: path.into(), clock, known: Mutex::default() }
    }

    /// The content hash of a file, which is read only where it is not remembered in the state that it is in.
    ///
    /// # Errors
    /// The file cannot be read, or changes while it is.
    pub fn hash_file(&self, path: impl AsRef<Path>) -> Result<ContentHash, Error> {
        let path = path.as_ref();
        let (_, stamp) = Stamp::open(path)?;
        Ok(contents(&[(path, &stamp)], Some(self), None)?[0])
    }

    /// The hash of a file that is in a state in which it was hashed before.
    fn get(&self, path: &Path, stamp: &Stamp) -> Option<ContentHash> {
        let (path, stamp) = (key(path)?, text_of(stamp)?);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (remembered, hash) = known.get_or_insert_with(|| self.read()).get(&path)?;
        (*remembered == stamp).then_some(*hash)
    }

    /// Remembers hashes of files that were read since `begun`.
    fn put(&self, hashed: &[((&Path, &Stamp), ContentHash)], begun: SystemTime) {
        let entries: Vec<_> = hashed
            .iter()
            .filter(|((_, stamp), _)| stamp.is_settled(begun))
            .filter_map(|((path, stamp), hash)| Some((key(path)?, (text_of(stamp)?, *hash))))
            .collect();
        if entries.is_empty() {
            return;
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get_or_insert_with(|| self.read());
        known.extend(entries);
        while known.len() > FILES_MAX {
            known.pop_last();
        }
        if let Err(error) = self.write(known) {
            tracing::warn!(path = %self.path.display(), "hashes of files could not be kept: {error}");
        }
    }

    fn read(&self) -> Known {
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        parse(&text).unwrap_or_default()
    }

    fn write(&self, known: &Known) -> io::Result<()> {
        let mut lines = Vec::new();
        for (path, (stamp, hash)) in known {
            writeln!(lines, "{hash} {stamp} {path}")?;
        }
        let new = self.path.with_extension("new");
        let mut file = fs::File::create(&new)?;
        writeln!(file, "{FIRST_LINE}{}", hash_reader(&lines[..])?)?;
        file.write_all(&lines)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)
    }
}

/// Makes sure that a file is what it is to be, where that is known from elsewhere.
pub(crate) type Check = dyn Fn(&Path) -> Result<(), Error> + Send + Sync;

/// The content hash of each file, looked up among those that are remembered or else read, checked and remembered.
pub(crate) fn contents(
    files: &[(&Path, &Stamp)],
    hashes: Option<&FileHashes>,
    check: Option<&Check>,
) -> Result<Vec<ContentHash>, Error> {
    let remembered = |(path, stamp): &(&Path, &Stamp)| {
        stamp.verify(path)?;
        Ok(hashes.and_then(|hashes| hashes.get(path, stamp)))
    };
    let contents: Vec<Option<ContentHash>> =
        files.par_iter().map(remembered).collect::<Result<_, Error>>()?;
    let begun = hashes.map(|hashes| (hashes.clock)());
    let unknown = files.iter().zip(&contents).filter(|(_, hash)| hash.is_none()).map(|(file, _)| *file);
    let unknown: Vec<(&Path, &Stamp)> = unknown.collect();
    let hashed: Vec<((&Path, &Stamp), ContentHash)> = unknown
        .into_par_iter()
        .map(|(path, stamp)| Ok(((path, stamp), content(path, stamp, check)?)))
        .collect::<Result<_, Error>>()?;
    if let (Some(hashes), Some(begun)) = (hashes, begun) {
        hashes.put(&hashed, begun);
    }
    let mut hashed = hashed.into_iter();
    let hash = |known: Option<ContentHash>| known.or_else(|| hashed.next().map(|(_, hash)| hash));
    Ok(contents.into_iter().filter_map(hash).collect())
}

fn content(path: &Path, stamp: &Stamp, check: Option<&Check>) -> Result<ContentHash, Error> {
    let hash = par_hash_reader(stamp.reopen(path)?).map_err(|source| Error::read(path, source))?;
    check.map_or(Ok(()), |check| check(path))?;
    stamp.verify(path)?;
    Ok(hash)
}

/// The entries of a file that is whole; of any other nothing is believed.
fn parse(text: &str) -> Option<Known> {
    let (hash, lines) = text.strip_prefix(FIRST_LINE)?.split_once('\n')?;
    if hash_reader(lines.as_bytes()).ok()? != hash.parse().ok()? {
        return None;
    }
    let entry = |line: &str| {
        let mut parts = line.splitn(3, ' ');
        let (hash, stamp, path) = (parts.next()?, parts.next()?, parts.next()?);
        Some((path.to_owned(), (stamp.to_owned(), hash.parse().ok()?)))
    };
    lines.lines().map(entry).collect()
}

/// A path as it stands in a line, from any current folder and through any link; nothing for one that cannot stand there.
fn key(path: &Path) -> Option<String> {
    let path = path.canonicalize().ok()?.into_os_string().into_string().ok()?;
    (!path.contains(['\n', '\r'])).then_some(path)
}

fn text_of(stamp: &Stamp) -> Option<String> {
    let modified = stamp.modified?;
    let nanos = match modified.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i128::try_from(since.as_nanos()).ok()?,
        Err(before) => -i128::try_from(Duration::as_nanos(&before.duration())).ok()?,
    };
    #[cfg(unix)]
    let status = stamp.status.map(|number| number.to_string()).join(":");
    #[cfg(not(unix))]
    let status = "";
    Some(format!("{}:{nanos}:{status}", stamp.bytes))
}
