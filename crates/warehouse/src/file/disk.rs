//! The operations on files and folders that this crate does, with errors that say what was being done to what.
//!
//! No other module knows how files are reached. What a crash may lose is what [`Os`] says: a file's bytes are
//! durable after [`AppendFile::sync`], a name in a folder after [`Disk::sync_folder`].

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rowmark_os::Os;

use crate::Error;

/// Of a file that has not got its name yet.
const UNFINISHED_EXTENSION: &str = "new";

/// Whether a crash left a file of this name before it was whole.
pub(super) fn is_unfinished(file: &str) -> bool {
    Path::new(file).extension().is_some_and(|extension| extension == UNFINISHED_EXTENSION)
}

/// The file system.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    os: Arc<dyn Os>,
}

impl Disk {
    pub(super) fn new(os: Arc<dyn Os>) -> Self {
        Self { os }
    }

    /// Makes a folder and those that it is in, unless they are there; their names are durable then.
    pub(super) fn create_folders(&self, path: &Path) -> Result<(), Error> {
        let parent = path.parent().unwrap_or(Path::new(""));
        match self.os.create_folder(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && path != parent => {
                self.create_folders(parent)?;
                self.create_folder(path)?;
            }
            // A file of that name is found out here.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.os.list(path).map_err(failed("create the folder", path))?;
            }
            created => created.map_err(failed("create the folder", path))?,
        }
        self.sync_folder(parent)
    }

    pub(super) fn create_folder(&self, path: &Path) -> Result<(), Error> {
        self.os.create_folder(path).map_err(failed("create the folder", path))
    }

    pub(super) fn exists(&self, path: &Path) -> Result<bool, Error> {
        self.os.exists(path).map_err(failed("look for", path))
    }

    /// The names in a folder in alphabetical order, or `None` when there is no such folder.
    pub(super) fn list(&self, path: &Path) -> Result<Option<Vec<String>>, Error> {
        none_if_missing(self.os.list(path)).map_err(failed("list the folder", path))
    }

    /// Makes a file that begins with these bytes and has its name only when they are durable, for one writer, which
    /// holds its lock; or answers `None` when there is one of that name.
    pub(super) fn create_whole(&self, path: &Path, bytes: &[u8]) -> Result<Option<AppendFile>, Error> {
        let unfinished = path.with_extension(UNFINISHED_EXTENSION);
        self.remove_file_if_there(&unfinished)?;
        let file = self.os.create_file(&unfinished).map_err(failed("create", &unfinished))?;
        let mut file = AppendFile { file, path: unfinished };
        file.append(bytes)?;
        file.sync()?;
        if self.exists(path)? {
            return Ok(None);
        }
        self.rename(&file.path, path)?;
        file.set_path(path.to_owned());
        self.sync_folder(path.parent().unwrap_or(Path::new("")))?;
        Ok(Some(file))
    }

    /// Opens a file, or answers `None` when there is none.
    pub(super) fn open_file(&self, path: &Path) -> Result<Option<ReadFile>, Error> {
        let Some(file) = none_if_missing(self.os.open_file(path)).map_err(failed("open", path))? else {
            return Ok(None);
        };
        let bytes = file.bytes().map_err(failed("look at", path))?;
        Ok(Some(ReadFile { file, path: path.to_owned(), bytes }))
    }

    pub(super) fn file_bytes(&self, path: &Path) -> Result<u64, Error> {
        self.os.file_bytes(path).map_err(failed("look at", path))
    }

    /// When bytes were last added to a file, where that is kept.
    pub(super) fn modified(&self, path: &Path) -> Result<Option<SystemTime>, Error> {
        match self.os.modified(path) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(None),
            modified => modified.map(Some).map_err(failed("look at", path)),
        }
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> Result<(), Error> {
        self.os.rename(from, to).map_err(failed("rename", from))
    }

    /// Gives a file a second name; where that is refused, makes a durable copy of it.
    pub(super) fn link_or_copy(&self, from: &Path, to: &Path) -> Result<(), Error> {
        if self.os.hard_link(from, to).is_ok() {
            return Ok(());
        }
        // What is wrong with the source or with the target, if anything is, shows up here again.
        self.os.copy(from, to).map_err(failed("copy", from))?;
        self.os.open_file(to).and_then(|copy| copy.sync()).map_err(failed("sync", to))
    }

    /// Makes the names in a folder durable.
    pub(super) fn sync_folder(&self, path: &Path) -> Result<(), Error> {
        self.os.sync_folder(path).map_err(failed("sync the folder", path))
    }

    pub(super) fn remove_file_if_there(&self, path: &Path) -> Result<(), Error> {
        none_if_missing(self.os.remove_file(path)).map(drop).map_err(failed("remove", path))
    }

    pub(super) fn remove_folder_if_there(&self, path: &Path) -> Result<(), Error> {
        none_if_missing(self.os.remove_folder(path)).map(drop).map_err(failed("remove the folder", path))
    }
}

/// A file that one writer appends to.
#[derive(Debug)]
pub(super) struct AppendFile {
    file: Box<dyn rowmark_os::AppendFile>,
    path: PathBuf,
}

impl AppendFile {
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.append(bytes).map_err(failed("write to", &self.path))
    }

    /// Takes note that the file has been renamed.
    pub(super) fn set_path(&mut self, path: PathBuf) {
        self.path = path;
    }

    /// Makes what was appended durable, with one `fdatasync`.
    pub(super) fn sync(&self) -> Result<(), Error> {
        self.file.sync().map_err(failed("sync", &self.path))
    }
}

/// A file that any number of threads read.
#[derive(Debug)]
pub(super) struct ReadFile {
    file: Box<dyn rowmark_os::ReadFile>,
    path: PathBuf,
    bytes: u64,
}

impl ReadFile {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The length of the file when it was opened.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads at a place, without moving a cursor that others may use.
    pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), Error> {
        self.file.read_at(buffer, offset).map_err(failed("read", &self.path))
    }

    /// Makes durable what others wrote to the file.
    pub(super) fn sync(&self) -> Result<(), Error> {
        self.file.sync().map_err(failed("sync", &self.path))
    }

    /// Whether a writer holds the file.
    pub(super) fn is_being_written(&self) -> bool {
        self.file.is_being_written()
    }
}

fn none_if_missing<T>(answer: io::Result<T>) -> io::Result<Option<T>> {
    match answer {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        answer => answer.map(Some),
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    // The folder that a relative path of one name is in.
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path }.to_owned();
    move |source| Error::Io { action, path, source }
}
