//! The seam: what a store may ask of the machine.

use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::time::SystemTime;

/// Files, folders and the clock.
///
/// What is done is visible to everybody at once and *durable* later: a file's bytes after its own sync, a name in a
/// folder after [`Os::sync_folder`]. Errors are those of the system, without the path: the caller knows it.
pub trait Os: Debug + Send + Sync {
    /// Makes a folder in one that is there.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::AlreadyExists`], [`io::ErrorKind::NotFound`] without a parent, and any other.
    fn create_folder(&self, path: &Path) -> io::Result<()>;

    /// Whether there is a file or folder.
    ///
    /// # Errors
    ///
    /// When that cannot be found out.
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// The names in a folder, in alphabetical order; those that are no text are left out.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`], and any other.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;

    /// Makes a file that is not there yet. The writer holds its lock until the answer is dropped.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::AlreadyExists`], and any other.
    fn create_file(&self, path: &Path) -> io::Result<Box<dyn AppendFile>>;

    /// Opens a file for reading; it stays readable when it is renamed or removed.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`], and any other.
    fn open_file(&self, path: &Path) -> io::Result<Box<dyn ReadFile>>;

    /// The length of a file in bytes.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`], and any other.
    fn file_bytes(&self, path: &Path) -> io::Result<u64>;

    /// When bytes were last added to a file.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`], [`io::ErrorKind::Unsupported`] where that is not kept, and any other.
    fn modified(&self, path: &Path) -> io::Result<SystemTime>;

    /// Gives a file or folder another name, at once; a file of that name gives way.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`], [`io::ErrorKind::DirectoryNotEmpty`], and any other.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file a second name.
    ///
    /// # Errors
    ///
    /// Also where the file system knows no links.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Makes a file with the bytes of another one; they are not synced.
    ///
    /// # Errors
    ///
    /// Any, after which a part of the copy may be there.
    fn copy(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a name of a file.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`], and any other.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes a folder with all that is in it.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`], and any other, after which a part of it may be gone.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    ///
    /// Any.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;

    /// The time.
    fn now(&self) -> SystemTime;
}

/// A file that one writer appends to.
pub trait AppendFile: Debug + Send + Sync {
    /// Adds bytes at the end.
    ///
    /// # Errors
    ///
    /// Any, after which a part of the bytes may be there.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes what was appended durable.
    ///
    /// # Errors
    ///
    /// Any, after which it is not known what is durable.
    fn sync(&self) -> io::Result<()>;
}

/// A file that any number of threads read at once.
pub trait ReadFile: Debug + Send + Sync {
    /// The length of the file in bytes.
    ///
    /// # Errors
    ///
    /// Any.
    fn bytes(&self) -> io::Result<u64>;

    /// Fills the buffer with the bytes at a place.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::UnexpectedEof`] when there are not as many, and any other.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Makes durable what others wrote to the file.
    ///
    /// # Errors
    ///
    /// Any.
    fn sync(&self) -> io::Result<()>;

    /// Whether a writer holds the file's lock; `false` where locks are not supported.
    fn is_being_written(&self) -> bool;
}
