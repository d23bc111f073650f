//! Files of this machine.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::File;
use super::address::is_pattern;
use super::listing::{Found, Listing};
use crate::Error;
use crate::files::{self, Stamp};

/// Adds the files that a path, a folder or a pattern means, and answers the states in which they are.
pub(super) fn list(
    path: &str,
    with_modified: bool,
    listing: &mut Listing,
) -> Result<Vec<(String, Stamp)>, Error> {
    let mut stamps = Vec::new();
    for found in find(path)? {
        let (_, stamp) = Stamp::open(&found)?;
        let path = name_of(&found)?;
        let modified = stamp.modified.filter(|_| with_modified).map(micros);
        listing.push(Found { path: &path, size: stamp.bytes, etag: "", version: None, modified });
        stamps.push((path, stamp));
    }
    Ok(stamps)
}

fn find(path: &str) -> Result<Vec<PathBuf>, Error> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => files::below(Path::new(path), &|name| !name.starts_with('.')),
        Err(_) if is_pattern(path) => files::matching(path),
        _ => Ok(vec![path.into()]),
    }
}

/// A path as it stands in a row, the same on every system.
fn name_of(path: &Path) -> Result<String, Error> {
    let text = text_of(path)?;
    Ok(if cfg!(windows) { text.replace('\\', "/") } else { text.to_owned() })
}

/// A path as text.
pub(super) fn text_of(path: &Path) -> Result<&str, Error> {
    path.to_str().ok_or_else(|| Error::Address {
        address: path.display().to_string(),
        reason: "its name is not UTF-8, so it cannot stand in a row; rename it".to_owned(),
    })
}

fn micros(time: SystemTime) -> i64 {
    let since = match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_micros()),
        Err(before) => i64::try_from(before.duration().as_micros()).map(|micros| -micros),
    };
    since.unwrap_or_default()
}

/// Opens a file whose size must be what it was.
pub(super) fn open(file: &File) -> Result<std::fs::File, Error> {
    let path = Path::new(&file.path);
    let (opened, stamp) = Stamp::open(path)?;
    if stamp.bytes == file.size { Ok(opened) } else { Err(Error::changed(file.uri())) }
}
