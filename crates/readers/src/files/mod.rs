//! Files on disk: which ones, what state they are in, and their bytes, unpacked where they are compressed.

mod content;
mod find;
mod limit;
mod stamp;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

pub use content::FileHashes;
pub(crate) use content::{Check, contents};
pub use find::Files;
pub(crate) use find::{below, matching};
pub use limit::Limit;
pub(crate) use limit::Metered;
pub(crate) use stamp::Stamp;

use crate::Error;

/// Compressed bytes that are read at a time.
const COMPRESSED_BYTES: usize = 64 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A file as it was when it was opened; in any other state it is refused.
#[derive(Clone, Debug)]
pub struct DataFile {
    path: PathBuf,
    pub(crate) stamp: Stamp,
    compression: Compression,
    /// Bytes of a byte order mark at the beginning.
    mark_bytes: u64,
}

/// How a file's bytes are packed, as its first bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    fn of(beginning: &[u8]) -> Self {
        match beginning {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::None,
        }
    }
}

impl DataFile {
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let (mut file, stamp) = Stamp::open(path)?;
        let read_error = |source| Error::read(path, source);
        let compression = Compression::of(&beginning(&mut file).map_err(read_error)?);
        let mut opened = Self { path: path.to_owned(), stamp, compression, mark_bytes: 0 };
        let mut text = opened.reader()?;
        match &beginning(&mut text).map_err(read_error)?[..] {
            text if text.starts_with(BYTE_ORDER_MARK) => opened.mark_bytes = BYTE_ORDER_MARK.len() as u64,
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
                let (path, place, source) = (path.to_owned(), None, None);
                let reason = "it is a text in UTF-16, and only UTF-8 is read; convert it".to_owned();
                return Err(Error::Malformed { path, place, reason, source });
            }
            _ => {}
        }
        Ok(opened)
    }

    /// The file's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's bytes as they lie on disk.
    ///
    /// # Errors
    /// The file has changed since it was opened, or is gone.
    pub fn file(&self) -> Result<File, Error> {
        self.stamp.reopen(&self.path)
    }

    /// The file's bytes, unpacked.
    ///
    /// # Errors
    /// As [`file`](Self::file).
    pub fn reader(&self) -> Result<Box<dyn Read + Send>, Error> {
        let file = self.file()?;
        let packed = |file| io::BufReader::with_capacity(COMPRESSED_BYTES, file);
        Ok(match self.compression {
            Compression::None => Box::new(file),
            Compression::Gzip => Box::new(limit::Unpacked::new(
                flate2::bufread::MultiGzDecoder::new(packed(file)),
                &self.stamp,
            )),
            #[cfg(feature = "zstd")]
            Compression::Zstd => {
                let unpacked = zstd::Decoder::with_buffer(packed(file))
                    .map_err(|source| Error::read(&self.path, source))?;
                Box::new(limit::Unpacked::new(unpacked, &self.stamp))
            }
            #[cfg(not(feature = "zstd"))]
            Compression::Zstd => {
                let (path, place, source) = (self.path.clone(), None, None);
                let reason =
                    "it is compressed with zstd, which this program was built without; build it with the \
                              feature `zstd`, or unpack the file"
                        .to_owned();
                return Err(Error::Malformed { path, place, reason, source });
            }
        })
    }

    /// The file's text from a byte on, unpacked and without a byte order mark.
    pub(crate) fn text(&self, byte: u64) -> Result<Box<dyn Read + Send>, Error> {
        let byte = self.mark_bytes + byte;
        let read_error = |source| Error::read(&self.path, source);
        if self.can_seek() {
            let mut file = self.file()?;
            file.seek(SeekFrom::Start(byte)).map_err(read_error)?;
            return Ok(Box::new(file));
        }
        let mut reader = self.reader()?;
        io::copy(&mut reader.by_ref().take(byte), &mut io::sink()).map_err(read_error)?;
        Ok(reader)
    }

    /// Whether reading from the middle costs nothing.
    #[must_use]
    pub fn can_seek(&self) -> bool {
        self.compression == Compression::None
    }

    /// Makes sure that the file is in the state in which it was opened.
    pub(crate) fn verify(&self) -> Result<(), Error> {
        self.stamp.verify(&self.path)
    }
}

/// The first bytes of what is read.
fn beginning(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(4).read_to_end(&mut bytes)?;
    Ok(bytes)
}
