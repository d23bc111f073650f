//! Downloads a blob: goes on with what an earlier try left, and gives it its name only when its hash is right.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use super::client::{Client, Try};
use super::listing::{BlobHash, BlobHasher};
use super::problem::{Fault, HfProblem};

/// Bytes that are read at a time.
pub(super) const BLOCK_BYTES: usize = 256 * 1024;

/// A file that is to be there.
pub(super) struct Wanted<'a> {
    pub(super) url: &'a str,
    pub(super) hash: &'a BlobHash,
    pub(super) bytes: u64,
}

/// What there is of a file.
struct Part {
    file: File,
    bytes: u64,
    hasher: BlobHasher,
    /// Whether an earlier process left some of it.
    is_found: bool,
}

/// Downloads a file to `blob`. No other process may do so at the same time.
pub(super) fn download(client: &Client, wanted: &Wanted<'_>, blob: &Path) -> Result<(), Fault> {
    let incomplete = blob.with_extension("incomplete");
    let failed = |source| Fault::cache("write", &incomplete, source);
    super::cache::make_parent(blob).map_err(failed)?;
    let mut part = Part::open(&incomplete, wanted).map_err(failed)?;
    loop {
        let mut is_begun = part.bytes > 0;
        client.trying(|| {
            let before = part.bytes;
            part.fetch(client, wanted, &incomplete).map_err(|error| match error {
                Try::Later { .. } if is_begun && part.bytes > before => Try::Progress,
                error => {
                    is_begun = true;
                    error
                }
            })
        })?;
        let (is_right, is_found) = part.finish(wanted.hash).map_err(failed)?;
        if is_right {
            return fs::rename(&incomplete, blob).map_err(failed);
        }
        fs::remove_file(&incomplete).map_err(failed)?;
        if !is_found {
            let (path, expected) = (blob.to_owned(), wanted.hash.name().to_owned());
            return Err(HfProblem::Mismatch { path, expected }.into());
        }
        // It may be what was found that was wrong.
        part = Part::open(&incomplete, wanted).map_err(failed)?;
    }
}

impl Part {
    fn open(path: &Path, wanted: &Wanted<'_>) -> io::Result<Self> {
        let mut file = File::options().create(true).truncate(false).read(true).write(true).open(path)?;
        if file.metadata()?.len() > wanted.bytes {
            file.set_len(0)?;
        }
        let mut hasher = wanted.hash.hasher(wanted.bytes);
        let mut bytes = 0;
        let mut block = vec![0; BLOCK_BYTES];
        loop {
            match file.read(&mut block)? {
                0 => return Ok(Self { file, bytes, hasher, is_found: bytes > 0 }),
                len => {
                    hasher.update(&block[..len]);
                    bytes += len as u64;
                }
            }
        }
    }

    /// Fetches what is missing.
    fn fetch(&mut self, client: &Client, wanted: &Wanted<'_>, path: &Path) -> Result<(), Try> {
        if self.bytes == wanted.bytes {
            return Ok(());
        }
        let failed = |source| Fault::cache("write", path, source);
        let mut response = client.get(wanted.url, self.bytes)?;
        if response.status() != 206 && self.bytes > 0 {
            // It does not give parts.
            self.restart(wanted).map_err(failed)?;
        }
        let mut body = response.body_mut().as_reader();
        let mut block = vec![0; BLOCK_BYTES];
        while self.bytes < wanted.bytes {
            let len = match body.read(&mut block) {
                Ok(0) => return Err(Try::io(wanted.url, io::ErrorKind::UnexpectedEof.into())),
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Try::io(wanted.url, error)),
            };
            if len as u64 > wanted.bytes - self.bytes {
                break;
            }
            self.file.write_all(&block[..len]).map_err(failed)?;
            self.hasher.update(&block[..len]);
            self.bytes += len as u64;
        }
        if self.bytes < wanted.bytes || body.read(&mut block[..1]).is_ok_and(|len| len > 0) {
            let reason = format!("a file of more than the {} bytes that it has", wanted.bytes);
            return Err(client.unexpected(wanted.url, reason).into());
        }
        Ok(())
    }

    fn restart(&mut self, wanted: &Wanted<'_>) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.hasher = wanted.hash.hasher(wanted.bytes);
        (self.bytes, self.is_found) = (0, false);
        Ok(())
    }

    /// Whether the file is what it is to be, and whether some of it was found.
    fn finish(self, hash: &BlobHash) -> io::Result<(bool, bool)> {
        self.file.sync_all()?;
        Ok((self.hasher.is(hash), self.is_found))
    }
}
