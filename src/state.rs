//! The state folder: what is where in it, its format, and the lock that gives it one writer.
//!
//! ```text
//! .rowmark/
//!   rowmark-state   "rowmark state 1": this is a state folder, of this format
//!   lock            locked by the process that writes
//!   holder          who that is, for the message to a second one
//!   meta/           the metastore's records
//!   tables/         the warehouse's tables
//!   file-hashes     content hashes of files that were read, so that unchanged ones are not read again
//!   closed          that the last session ended well, and what it left; gone while one is open, and after a death
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rowmark_hashing::ContentHash;
use rowmark_metastore::Timestamp;

use crate::error::at;

/// The format of the state folder that this version writes, and the newest that it reads.
const FORMAT: u32 = 1;

const MARKER: &str = "rowmark-state";
const MARKER_TEXT: &str = "rowmark state ";

/// A state folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// A file or folder in it could not be made, read or written.
    #[error("cannot {action} {}; check that the path is right and may be written", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The path is a file.
    #[error("the state folder {} is a file; name a folder, which need not be there yet", path.display())]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// The folder holds something else.
    #[error(
        "the folder {} is not a state folder but holds `{found}`; name an empty folder or one that is not there yet",
        path.display()
    )]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// What is in it.
        found: String,
    },
    /// The file that names the format does not.
    #[error(
        "{} does not say which format the state folder has; restore it, or write `rowmark state 1` and a line break into it if this version made the folder",
        path.display()
    )]
    UnreadableMarker {
        /// The file.
        path: PathBuf,
    },
    /// Another process, or another session of this one, writes to it.
    #[error("the state folder {} is in use by {holder}; wait until it has ended, or use another folder", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
        /// Who holds it, since when.
        holder: String,
    },
    /// A newer version of Rowmark made it.
    #[error(
        "the state folder {} has format {found} and this version knows formats up to {known}; use the newer version of rowmark that made it, or another folder",
        path.display()
    )]
    NewerFormat {
        /// The folder.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format that is known.
        known: u32,
    },
}

/// An open state folder, locked for as long as the value lives.
#[derive(Debug)]
pub(crate) struct StateFolder {
    path: PathBuf,
    /// Holds the lock; dying releases it.
    lock: File,
}

impl Drop for StateFolder {
    fn drop(&mut self) {
        // Closing the file is not enough: a child process that is just being spawned by another thread
        // still has it open, and the lock with it. Whatever goes wrong here, closing does the rest.
        let _ = self.lock.unlock();
    }
}

impl StateFolder {
    /// Opens the folder, making it if it is not there, and locks it for the job of this name.
    pub(crate) fn open(path: &Path, job_name: &str, now: Timestamp) -> Result<Self, StateError> {
        if path.is_file() {
            return Err(StateError::NotAFolder { path: path.to_owned() });
        }
        fs::create_dir_all(path).map_err(at("create the state folder", path))?;
        check_marker(path)?;
        let lock_path = path.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(at("open", &lock_path))?;
        let holder_path = path.join("holder");
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder =
                    fs::read_to_string(&holder_path).unwrap_or_else(|_| "another process".to_owned());
                return Err(StateError::InUse {
                    path: path.to_owned(),
                    holder: holder.trim_end().to_owned(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(at("lock", lock_path)(source)),
        }
        write_marker(path)?;
        let holder = format!("process {}, job `{job_name}`, since {now}\n", std::process::id());
        fs::write(&holder_path, holder).map_err(at("write", &holder_path))?;
        Ok(Self { path: path.to_owned(), lock })
    }

    /// Whether the last session closed the folder in good order, with these records, and the tables are those that it
    /// left. From here on it is open: if this process dies, the next is told `false`.
    pub(crate) fn take_closed(&self, records: Option<ContentHash>) -> Result<bool, StateError> {
        let closed = self.closed();
        let told = match fs::read_to_string(&closed) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            told => told.ok().and_then(|text| text.trim_end().parse::<ContentHash>().ok()),
        };
        let is_same = told.is_some() && told == self.left(records);
        fs::remove_file(&closed).map_err(at("remove", &closed))?;
        sync_names(&self.path)?;
        Ok(is_same)
    }

    /// Says that all is well as it is now. What goes wrong here only makes the next open look at everything.
    pub(crate) fn close(&self, records: Option<ContentHash>) {
        let Some(left) = self.left(records) else { return };
        if let Err(error) = fs::write(self.closed(), format!("{left}\n")) {
            tracing::debug!("the next open looks at every table: {error}");
        }
    }

    /// A hash of the records and of the state of the folder of tables: a name that is added there or taken away, by
    /// whomever, changes its times.
    fn left(&self, records: Option<ContentHash>) -> Option<ContentHash> {
        let tables = fs::metadata(self.tables()).ok()?;
        let modified = tables.modified().ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        #[cfg(unix)]
        let status = {
            use std::os::unix::fs::MetadataExt;
            [tables.dev().cast_signed(), tables.ino().cast_signed(), tables.ctime(), tables.ctime_nsec()]
        };
        #[cfg(not(unix))]
        let status = [0_i64; 4];
        let left = ("rowmark closed", records?, modified.as_secs(), modified.subsec_nanos(), status);
        ContentHash::of(&left).ok()
    }

    fn closed(&self) -> PathBuf {
        self.path.join("closed")
    }

    /// Where the metastore is.
    pub(crate) fn meta(&self) -> PathBuf {
        self.path.join("meta")
    }

    /// Where the warehouse is.
    pub(crate) fn tables(&self) -> PathBuf {
        self.path.join("tables")
    }

    /// Where hashes of files are remembered.
    pub(crate) fn file_hashes(&self) -> PathBuf {
        self.path.join("file-hashes")
    }

    /// Where it is noted which rows of a step are in work.
    pub(crate) fn notes(&self, hash_partial: ContentHash) -> PathBuf {
        self.path.join("in-work").join(hash_partial.to_string())
    }

    /// Moves the metastore's folder out of the way, under a dated name; answers the name.
    pub(crate) fn set_meta_aside(&self, now: Timestamp) -> Result<PathBuf, StateError> {
        let mut aside = self.path.join(format!("meta.damaged-{}", now.as_millis()));
        while aside.exists() {
            aside.as_mut_os_string().push("-2");
        }
        fs::rename(self.meta(), &aside).map_err(at("set aside", self.meta()))?;
        Ok(aside)
    }
}

/// Refuses a folder that is of a newer format, or that is not ours.
fn check_marker(path: &Path) -> Result<(), StateError> {
    let marker = path.join(MARKER);
    let text = match fs::read(&marker) {
        Ok(text) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // A folder is ours when it is empty, or was left by a death before the marker was written.
            for entry in fs::read_dir(path).map_err(at("read", path))? {
                let found = entry.map_err(at("read", path))?.file_name().to_string_lossy().into_owned();
                if !["lock", "holder", "rowmark-state.new"].contains(&found.as_str()) {
                    return Err(StateError::Foreign { path: path.to_owned(), found });
                }
            }
            return Ok(());
        }
        Err(source) => return Err(at("read", marker)(source)),
    };
    let format = text.strip_prefix(MARKER_TEXT).and_then(|format| format.trim_end().parse().ok());
    match format {
        Some(found) if found > FORMAT => {
            Err(StateError::NewerFormat { path: path.to_owned(), found, known: FORMAT })
        }
        Some(_) => Ok(()),
        None => Err(StateError::UnreadableMarker { path: marker }),
    }
}

/// Writes the marker if there is none, whole or not at all.
fn write_marker(path: &Path) -> Result<(), StateError> {
    let marker = path.join(MARKER);
    if marker.exists() {
        return Ok(());
    }
    let new = path.join("rowmark-state.new");
    let mut file = File::create(&new).map_err(at("create", &new))?;
    writeln!(file, "{MARKER_TEXT}{FORMAT}").and_then(|()| file.sync_all()).map_err(at("write", &new))?;
    fs::rename(&new, &marker).map_err(at("write", &marker))?;
    sync_names(path)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    sync_names(parent.unwrap_or(Path::new(".")))
}

/// Makes the names in a folder durable, where a folder can be opened for that.
fn sync_names(folder: &Path) -> Result<(), StateError> {
    if cfg!(unix) {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(at("sync", folder))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path) -> Result<StateFolder, StateError> {
        StateFolder::open(path, "nightly", Timestamp::from_millis(0))
    }

    #[test]
    fn the_second_is_told_who_holds_the_folder_and_a_dead_holder_does_not_block() {
        let folder = tempfile::tempdir().unwrap();
        let first = open(folder.path()).unwrap();
        let error = open(folder.path()).unwrap_err().to_string();
        let holder = format!("in use by process {}, job `nightly`, since 1970-01-01T", std::process::id());
        assert!(error.contains(&holder), "{error}");
        drop(first);
        assert!(folder.path().join("holder").exists(), "what a death leaves behind");
        open(folder.path()).unwrap();
    }

    #[test]
    fn what_is_no_state_folder_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("notes.txt");
        fs::write(&file, "mine").unwrap();
        assert!(matches!(open(&file), Err(StateError::NotAFolder { .. })));
        assert!(
            matches!(open(folder.path()), Err(StateError::Foreign { found, .. }) if found == "notes.txt")
        );
        assert!(matches!(open(&file.join("below")), Err(StateError::Io { .. })));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_newer_or_unreadable_format_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        drop(open(folder.path()).unwrap());
        let marker = folder.path().join(MARKER);
        fs::write(&marker, "rowmark state 2\n").unwrap();
        assert!(matches!(open(folder.path()), Err(StateError::NewerFormat { found: 2, known: 1, .. })));
        fs::write(&marker, b"\xff\x00").unwrap();
        assert!(matches!(open(folder.path()), Err(StateError::UnreadableMarker { .. })));
    }
}
