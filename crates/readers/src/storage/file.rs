//! [`File`]: a file as a row.

use std::fmt;
use std::io::{self, Read};

use rowmark_hashing::{BytesHasher, ContentHash};
use serde::{Deserialize, Serialize};

#[cfg(feature = "storage")]
use super::remote;
use super::{address, address::LOCAL, local};
use crate::Error;

/// What an etag begins with that is a content hash.
pub(super) const CONTENT: &str = "content:";

/// Memory that is reserved for a file before any of it was read: a server may say any size.
const RESERVED_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// A file of a folder, a bucket or a server, as [`StorageSource`](super::StorageSource) lists it: a row, which is stored and hashed as any
/// other.
///
/// It says what the file held when it was listed. What [`open`](Self::open), [`read`](Self::read) and [`text`](Self::text) give is that and
/// nothing else: if the file has changed since, they answer [`Error::Changed`]. A row that was stored can be read from
/// in any later process: where the file is stands in it, and how to get there (credentials, an endpoint) is what
/// [`StorageSource::open`](super::StorageSource::open) was last told in that process, or what its environment says.
///
/// ```
/// use rowmark_readers::{Source, StorageOptions, StorageSource};
/// use rowmark_rows::RowRange;
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
///
/// std::fs::write(folder.join("a.txt"), "good")?;
/// let files = StorageSource::open(folder.join("*.txt"), StorageOptions::new())?;
/// let file = files.read(RowRange::new(0, 1))?.next().unwrap()?;
/// assert_eq!((file.name(), file.size, file.text()?.as_str()), ("a.txt", 4, "good"));
///
/// std::fs::write(folder.join("a.txt"), "evil")?;
/// assert!(file.text().unwrap_err().to_string().contains("a.txt changed"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct File {
    /// The folder tree, bucket or server: `file://`, `s3://bucket`, `https://host`.
    pub source: String,
    /// The path in it, with `/` between names. That of a local file is the path by which it was reached.
    pub path: String,
    /// Its length in bytes.
    pub size: u64,
    /// What tells its content: the store's entity tag; for a local file, and where a server gives no tag, `content:` and
    /// the hash of its bytes.
    pub etag: String,
    /// The store's version of it, if that was asked for
    /// ([`with_version`](super::StorageOptions::with_version)) and the store keeps versions.
    pub version: Option<String>,
    /// When it was last written (RFC 3339, UTC), if that was asked for
    /// ([`with_modified`](super::StorageOptions::with_modified)).
    pub modified: Option<String>,
}

impl File {
    /// Its name: the last part of its path.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.rsplit_once('/').map_or(&self.path, |(_, name)| name)
    }

    /// Its address, by which it can be listed alone.
    #[must_use]
    pub fn uri(&self) -> String {
        address::uri(&self.source, &self.path)
    }

    /// Opens it, to be read as it comes: memory is that of a few blocks.
    ///
    /// That the content is the one that was listed is known at the latest when the reader is at its end; a change that
    /// shows only there is an error of that last read.
    ///
    /// # Errors
    /// The file has changed, is gone, or its store cannot be reached.
    pub fn open(&self) -> Result<FileReader, Error> {
        let body: Box<dyn Read + Send> = match self.source.as_str() {
            LOCAL => Box::new(local::open(self)?),
            #[cfg(feature = "storage")]
            _ => Box::new(remote::Remote::of(&self.source)?.get(self)?),
            #[cfg(not(feature = "storage"))]
            _ => return Err(super::not_built(&self.uri())),
        };
        let content = match self.etag.strip_prefix(CONTENT) {
            Some(hash) => match hash.parse() {
                Ok(hash) => Some((BytesHasher::new(), hash)),
                Err(_) => return Err(Error::changed(self.uri())),
            },
            None => None,
        };
        Ok(FileReader { uri: self.uri(), body, bytes_left: self.size, content, is_verified: false })
    }

    /// Reads all of it.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn read(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::with_capacity(self.size.min(RESERVED_BYTES_MAX) as usize);
        self.open()?.read_to_end(&mut bytes).map_err(|error| Error::of_file(self.uri(), error))?;
        Ok(bytes)
    }

    /// Reads all of it as text.
    ///
    /// # Errors
    /// As [`open`](Self::open), and that it is not UTF-8.
    pub fn text(&self) -> Result<String, Error> {
        String::from_utf8(self.read()?).map_err(|error| Error::Malformed {
            path: self.uri().into(),
            place: None,
            reason: "it is no text in UTF-8; read its bytes instead".to_owned(),
            source: Some(Box::new(error.utf8_error())),
        })
    }
}

/// The bytes of a [`File`] as they come, checked to be those that were listed.
pub struct FileReader {
    uri: String,
    body: Box<dyn Read + Send>,
    bytes_left: u64,
    /// What was read so far and what its hash must be in the end, where no tag of the store tells the content.
    content: Option<(BytesHasher, ContentHash)>,
    is_verified: bool,
}

impl FileReader {
    fn changed(&self) -> io::Error {
        io::Error::other(Error::changed(self.uri.clone()))
    }
}

impl Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || self.is_verified {
            return Ok(0);
        }
        let len = self.body.read(buffer)?;
        self.bytes_left = self.bytes_left.checked_sub(len as u64).ok_or_else(|| self.changed())?;
        if let Some((hasher, _)) = &mut self.content {
            hasher.update(&buffer[..len]);
        }
        if len == 0 {
            let is_other = |(hasher, hash): &(BytesHasher, ContentHash)| hasher.clone().finish() != *hash;
            if self.bytes_left > 0 || self.content.as_ref().is_some_and(is_other) {
                return Err(self.changed());
            }
            self.is_verified = true;
        }
        Ok(len)
    }
}

impl fmt::Debug for FileReader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FileReader")
            .field("uri", &self.uri)
            .field("bytes_left", &self.bytes_left)
            .finish_non_exhaustive()
    }
}
