//! What the file system says of a file's state, to notice a change without reading it.

use std::fs::{File, Metadata};
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::Error;

/// A file's size, times and, on Unix, its device, number and time of last status change (which,
/// unlike the modification time, a program cannot set back).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) bytes: u64,
    pub(crate) modified: Option<SystemTime>,
    #[cfg(unix)]
    pub(super) status: [i64; 4],
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            bytes: metadata.len(),
            modified: metadata.modified().ok(),
            #[cfg(unix)]
            status: {
                use std::os::unix::fs::MetadataExt;
                [metadata.dev() as i64, metadata.ino() as i64, metadata.ctime(), metadata.ctime_nsec()]
            },
        }
    }

    /// Opens a file and takes its stamp.
    pub(crate) fn open(path: &Path) -> Result<(File, Self), Error> {
        let open_error = |source| Error::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(open_error)?;
        let metadata = file.metadata().map_err(open_error)?;
        if metadata.is_dir() {
            return Err(open_error(std::io::ErrorKind::IsADirectory.into()));
        }
        Ok((file, Self::of(&metadata)))
    }

    /// Opens a file that must still have this stamp.
    pub(crate) fn reopen(&self, path: &Path) -> Result<File, Error> {
        let (file, stamp) = Self::open(path)?;
        if stamp == *self { Ok(file) } else { Err(Error::Changed { path: path.to_owned() }) }
    }

    /// Makes sure that a file still has this stamp.
    pub(crate) fn verify(&self, path: &Path) -> Result<(), Error> {
        let metadata =
            std::fs::metadata(path).map_err(|source| Error::Open { path: path.to_owned(), source })?;
        if Self::of(&metadata) == *self { Ok(()) } else { Err(Error::Changed { path: path.to_owned() }) }
    }

    /// Whether nothing had happened to the file for so long that a later change must show in its stamp: clocks of
    /// file systems are coarse.
    pub(super) fn is_settled(&self, now: SystemTime) -> bool {
        const SETTLED_AFTER: Duration = Duration::from_secs(2);
        let is_past = |time: Option<SystemTime>| {
            time.and_then(|time| now.duration_since(time).ok()).is_some_and(|age| age > SETTLED_AFTER)
        };
        #[cfg(unix)]
        if !is_past(SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(self.status[2].unsigned_abs()))) {
            return false;
        }
        is_past(self.modified)
    }
}
