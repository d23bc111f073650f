//! Every operation on files and folders that this crate does, and nothing else.
//!
//! No other module names [`std::fs`]. Each failure says what was being done and to which path. What
//! a crash may lose is decided here: a file's bytes are durable after [`AppendFile::sync`], a name
//! in a folder after [`Disk::sync_folder`].

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::Error;

/// The file system.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk {
    /// Behaves as a file system without hard links does.
    pub(crate) is_linking_refused: bool,
}

impl Disk {
    /// Makes a folder and those that it is in, unless they are there.
    pub(crate) fn create_folders(&self, path: &Path) -> Result<(), Error> {
        fs::create_dir_all(path).map_err(|source| failed("create the folder", path, source))
    }

    pub(crate) fn create_folder(&self, path: &Path) -> Result<(), Error> {
        fs::create_dir(path).map_err(|source| failed("create the folder", path, source))
    }

    pub(crate) fn exists(&self, path: &Path) -> Result<bool, Error> {
        path.try_exists().map_err(|source| failed("look for", path, source))
    }

    /// The names in a folder in alphabetical order, or `None` when there is no such folder.
    pub(crate) fn list(&self, path: &Path) -> Result<Option<Vec<String>>, Error> {
        let listing = |source| failed("list the folder", path, source);
        let entries = match fs::read_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            entries => entries.map_err(listing)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            // A name that is not text is none that this crate wrote.
            names.extend(entry.map_err(listing)?.file_name().into_string().ok());
        }
        names.sort_unstable();
        Ok(Some(names))
    }

    /// Makes a file that is not there yet, for one writer, which holds its lock.
    pub(crate) fn create_file(&self, path: &Path) -> Result<AppendFile, Error> {
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(path)
            .map_err(|source| failed("create", path, source))?;
        // Where locks are not supported, one is not missed: the store as a whole has one writer.
        let _ = file.try_lock();
        Ok(AppendFile { file, path: path.to_owned() })
    }

    /// Opens a file, or answers `None` when there is none.
    pub(crate) fn open_file(&self, path: &Path) -> Result<Option<ReadFile>, Error> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(|source| failed("open", path, source))?,
        };
        let bytes = file.metadata().map_err(|source| failed("look at", path, source))?.len();
        Ok(Some(ReadFile { file, path: path.to_owned(), bytes }))
    }

    pub(crate) fn file_bytes(&self, path: &Path) -> Result<u64, Error> {
        Ok(fs::metadata(path).map_err(|source| failed("look at", path, source))?.len())
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> Result<(), Error> {
        fs::rename(from, to).map_err(|source| failed("rename", from, source))
    }

    /// Gives a file a second name; where that is refused, makes a durable copy of it.
    pub(crate) fn link_or_copy(&self, from: &Path, to: &Path) -> Result<(), Error> {
        if !self.is_linking_refused && fs::hard_link(from, to).is_ok() {
            return Ok(());
        }
        // What is wrong with the source or with the target, if anything is, shows up here again.
        fs::copy(from, to).map_err(|source| failed("copy", from, source))?;
        let copy = File::open(to).and_then(|file| file.sync_all());
        copy.map_err(|source| failed("sync", to, source))
    }

    /// Makes the names in a folder durable.
    pub(crate) fn sync_folder(&self, path: &Path) -> Result<(), Error> {
        if cfg!(unix) {
            let synced = File::open(path).and_then(|folder| folder.sync_all());
            synced.map_err(|source| failed("sync the folder", path, source))?;
        }
        Ok(())
    }

    pub(crate) fn remove_file_if_there(&self, path: &Path) -> Result<(), Error> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path, error)),
            _ => Ok(()),
        }
    }

    pub(crate) fn remove_folder_if_there(&self, path: &Path) -> Result<(), Error> {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("remove the folder", path, error))
            }
            _ => Ok(()),
        }
    }
}

/// A file that one writer appends to.
#[derive(Debug)]
pub(crate) struct AppendFile {
    file: File,
    path: PathBuf,
}

impl AppendFile {
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).map_err(|source| failed("write to", &self.path, source))
    }

    /// Takes note that the file has been renamed.
    pub(crate) fn set_path(&mut self, path: PathBuf) {
        self.path = path;
    }

    /// Makes what was appended durable, with one `fdatasync`.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        self.file.sync_data().map_err(|source| failed("sync", &self.path, source))
    }
}

/// A file that any number of threads read.
#[derive(Debug)]
pub(crate) struct ReadFile {
    file: File,
    path: PathBuf,
    bytes: u64,
}

impl ReadFile {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The length of the file when it was opened.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads at a place, without moving a cursor that others may use.
    pub(crate) fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), Error> {
        read_exact_at(&self.file, buffer, offset).map_err(|source| failed("read", &self.path, source))
    }

    /// Makes durable what others wrote to the file.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        self.file.sync_data().map_err(|source| failed("sync", &self.path, source))
    }

    /// Whether a writer holds the file.
    pub(crate) fn is_being_written(&self) -> bool {
        match self.file.try_lock_shared() {
            Ok(()) => {
                // The lock would end with the handle in any case.
                let _ = self.file.unlock();
                false
            }
            Err(TryLockError::WouldBlock) => true,
            Err(TryLockError::Error(_)) => false,
        }
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt;
    while !buffer.is_empty() {
        match file.seek_read(buffer, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                buffer = &mut buffer[read..];
                offset += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Io { action, path: path.to_owned(), source }
}
