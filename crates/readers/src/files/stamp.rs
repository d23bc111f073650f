//! What the file system says of a file's state, to notice a change without reading it.

use std::fs::File;
use std::path::Path;
use std::time::SystemTime;

use crate::Error;

/// A file's size, times and, on Unix, its device, number and time of last status change (which,
/// unlike the modification time, a program cannot set back).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) bytes: u64,
    modified: Option<SystemTime>,
    #[cfg(unix)]
    status: [i64; 4],
}

impl Stamp {
    /// Opens a file and takes its stamp.
    pub(crate) fn open(path: &Path) -> Result<(File, Self), Error> {
        let open_error = |source| Error::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(open_error)?;
        let metadata = file.metadata().map_err(open_error)?;
        if metadata.is_dir() {
            return Err(open_error(std::io::ErrorKind::IsADirectory.into()));
        }
        let stamp = Self {
            bytes: metadata.len(),
            modified: metadata.modified().ok(),
            #[cfg(unix)]
            status: {
                use std::os::unix::fs::MetadataExt;
                [metadata.dev() as i64, metadata.ino() as i64, metadata.ctime(), metadata.ctime_nsec()]
            },
        };
        Ok((file, stamp))
    }

    /// Opens a file that must still have this stamp.
    pub(crate) fn reopen(&self, path: &Path) -> Result<File, Error> {
        let (file, stamp) = Self::open(path)?;
        if stamp == *self { Ok(file) } else { Err(Error::Changed { path: path.to_owned() }) }
    }
}
