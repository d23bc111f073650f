//! The file `closed`: that the store was closed in good order, and the state in which its files were left.
//!
//! It holds one hash: of the tree's [`State`] and of what the file system says of every file (name, length, times and,
//! on Unix, device, number and time of last status change). A store that is opened in just this state was checked
//! before, and nothing has happened to it since; reading all of it once more would find nothing. It is removed before
//! anything can change, so that a death leaves none; one that is out of date fits nothing.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rowmark_hashing::ContentHash;

use super::state::State;

const CLOSED: &str = "closed";

/// Files that say nothing of the records.
const LEFT_OUT: [&str; 2] = ["lock", CLOSED];

/// What the file system says of one file: its name, length, time of modification, and status.
type FileState = (String, u64, Option<(bool, u64, u32)>, [i64; 4]);

/// What was found when a store was opened.
#[derive(Debug)]
pub(super) struct Found {
    told: Option<ContentHash>,
    files: Vec<FileState>,
}

impl Found {
    /// Reads the file, and removes it for good.
    pub(super) fn take(path: &Path) -> io::Result<Self> {
        let files = files(path)?;
        let closed = path.join(CLOSED);
        let told = match fs::read_to_string(&closed) {
            Ok(text) => text.trim_end().parse().ok(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self { told: None, files }),
            Err(_) => None,
        };
        fs::remove_file(closed)?;
        if cfg!(unix) {
            File::open(path)?.sync_all()?;
        }
        Ok(Self { told, files })
    }

    /// Whether the store was closed with the tree in this state.
    pub(super) fn is(&self, state: State) -> bool {
        self.told.is_some() && self.told == hash(state, &self.files)
    }
}

/// Writes the file when it is dropped, which is to be after sled has closed its own.
#[derive(Debug)]
pub(super) struct Closing {
    path: PathBuf,
    state: Option<State>,
}

impl Closing {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), state: None }
    }

    /// Says that all is well, and the tree is in this state.
    pub(super) fn set(&mut self, state: State) {
        self.state = Some(state);
    }

    fn write(&self, state: State) -> io::Result<()> {
        let hash = hash(state, &files(&self.path)?).ok_or(io::ErrorKind::InvalidData)?;
        // Nothing is lost with it, so it need not be durable, nor whole.
        fs::write(self.path.join(CLOSED), format!("{hash}\n"))
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.state.map(|state| self.write(state)) {
            tracing::debug!(path = %self.path.display(), %error, "the next opening checks the whole store");
        }
    }
}

fn hash(state: State, files: &[FileState]) -> Option<ContentHash> {
    ContentHash::of(&("rowmark closed store", state.to_bytes(), files)).ok()
}

fn files(path: &Path) -> io::Result<Vec<FileState>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !LEFT_OUT.contains(&name.as_str()) {
            let metadata = entry.metadata()?;
            files.push((name, metadata.len(), modified(&metadata), status(&metadata)));
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// Whether it is after 1970, and how far from it.
fn modified(metadata: &Metadata) -> Option<(bool, u64, u32)> {
    let modified = metadata.modified().ok()?;
    let (is_after, distance) = match modified.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => (true, after),
        Err(before) => (false, before.duration()),
    };
    Some((is_after, distance.as_secs(), distance.subsec_nanos()))
}

#[cfg(unix)]
fn status(metadata: &Metadata) -> [i64; 4] {
    use std::os::unix::fs::MetadataExt;
    [metadata.dev().cast_signed(), metadata.ino().cast_signed(), metadata.ctime(), metadata.ctime_nsec()]
}

#[cfg(not(unix))]
fn status(_: &Metadata) -> [i64; 4] {
    [0; 4]
}
