//! The hub's cache on disk, in the layout that its clients in all languages share
//! (<https://huggingface.co/docs/hub/local-cache>): what one of them downloaded, the others find.
//!
//! ```text
//! .locks/datasets--owner--name/<hash>.lock
//! datasets--owner--name/
//!     blobs/<hash>                  a file's bytes; <hash>.incomplete while they come
//!     refs/<revision>               the commit that a branch or tag meant
//!     snapshots/<commit>/<path>     a link to the blob
//!     trees/<commit>.json           all files of a commit, those that were not downloaded too
//! ```
//!
//! Everything but a blob that is coming is written aside and renamed, and a blob is renamed when its hash is right: what
//! has its name is whole.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::client::is_commit;
use super::listing::{BlobHash, Entry, Listing};
use super::problem::{Fault, HfProblem};

/// Bytes that a list of files may have.
const LISTING_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// The cache of one dataset.
pub(super) struct Cache {
    root: PathBuf,
    folder: String,
}

impl Cache {
    pub(super) fn new(root: &Path, name: &str) -> Self {
        Self { root: root.to_owned(), folder: format!("datasets--{}", name.replace('/', "--")) }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    fn dataset(&self) -> PathBuf {
        self.root.join(&self.folder)
    }

    pub(super) fn blob(&self, hash: &BlobHash) -> PathBuf {
        self.dataset().join("blobs").join(hash.name())
    }

    /// The commit that a revision meant when it was last asked for.
    pub(super) fn commit(&self, revision: &str) -> Option<String> {
        let commit = fs::read_to_string(self.dataset().join("refs").join(plain(revision)?)).ok()?;
        Some(commit.trim().to_owned()).filter(|commit| is_commit(commit))
    }

    pub(super) fn put_commit(&self, revision: &str, commit: &str) -> Result<(), Fault> {
        match plain(revision) {
            Some(path) if self.commit(revision).as_deref() != Some(commit) => {
                replace(&self.dataset().join("refs").join(path), commit.as_bytes())
            }
            _ => Ok(()),
        }
    }

    /// The files of a commit, if its list was kept.
    pub(super) fn listing(&self, commit: &str) -> Option<Listing> {
        let path = self.tree(commit);
        let is_fit = fs::metadata(&path).is_ok_and(|metadata| metadata.len() <= LISTING_BYTES_MAX);
        if is_fit { Listing::parse(&fs::read(path).ok()?) } else { None }
    }

    pub(super) fn put_listing(&self, commit: &str, listing: &Listing) -> Result<(), Fault> {
        let path = self.tree(commit);
        let json = serde_json::to_vec(listing)
            .map_err(|error| Fault::cache("write the list of files", &path, error.into()))?;
        replace(&path, &json)
    }

    fn tree(&self, commit: &str) -> PathBuf {
        self.dataset().join("trees").join(format!("{commit}.json"))
    }

    /// The files of a commit that are there, for a cache without its list; nothing if there are none.
    pub(super) fn found(&self, commit: &str) -> Option<Listing> {
        let snapshot = self.dataset().join("snapshots").join(commit);
        let mut found = Listing::default();
        let mut folders = vec![snapshot.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).ok()? {
                let path = entry.ok()?.path();
                let Ok(metadata) = fs::metadata(&path) else { continue };
                if metadata.is_dir() {
                    folders.push(path);
                    continue;
                }
                let blob = fs::read_link(&path).unwrap_or_default();
                let blob = blob.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let parts = path.strip_prefix(&snapshot).ok()?.components();
                let parts: Vec<_> = parts.map(|part| part.as_os_str().to_string_lossy()).collect();
                found.files.insert(parts.join("/"), Entry::found(metadata.len(), &blob));
            }
        }
        Some(found).filter(|found| !found.files.is_empty())
    }

    /// Where a file of a commit is, or is to be. What is no plain path is refused: a list comes from elsewhere.
    pub(super) fn pointer(&self, commit: &str, path: &str) -> Result<PathBuf, Fault> {
        match plain(path) {
            Some(plain) => Ok(self.dataset().join("snapshots").join(commit).join(plain)),
            None => {
                let (place, reason) = ("the hub".to_owned(), format!("a file with the path {path:?}"));
                Err(HfProblem::Unexpected { place, reason }.into())
            }
        }
    }

    /// Locks a blob against all other processes that download it, until the file is dropped.
    pub(super) fn lock(&self, hash: &BlobHash) -> Result<File, Fault> {
        let path = self.root.join(".locks").join(&self.folder).join(format!("{}.lock", hash.name()));
        let lock = || {
            make_parent(&path)?;
            let file = File::options().create(true).truncate(false).write(true).open(&path)?;
            file.lock()?;
            Ok(file)
        };
        lock().map_err(|source| Fault::cache("lock", &path, source))
    }

    /// Makes a blob a file of a commit.
    pub(super) fn link(&self, commit: &str, path: &str, hash: &BlobHash) -> Result<PathBuf, Fault> {
        let pointer = self.pointer(commit, path)?;
        let up = "../".repeat(path.split('/').count() + 1);
        let target = format!("{up}blobs/{}", hash.name());
        let link = || {
            make_parent(&pointer)?;
            let aside = aside(&pointer);
            symlink(Path::new(&target), &self.blob(hash), &aside)?;
            fs::rename(&aside, &pointer)
        };
        link().map_err(|source| Fault::cache("make", &pointer, source))?;
        Ok(pointer)
    }
}

/// A path of plain names below something, on this system.
fn plain(path: &str) -> Option<&Path> {
    let names = path.split('/').count();
    let path = Path::new(path);
    let are_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    (are_plain && path.components().count() == names).then_some(path)
}

#[cfg(unix)]
fn symlink(target: &Path, _blob: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

/// A link, or where none may be made a copy, as the hub's own clients do.
#[cfg(windows)]
fn symlink(target: &Path, blob: &Path, link: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target, link).or_else(|_| fs::copy(blob, link).map(drop))
}

#[cfg(not(any(unix, windows)))]
fn symlink(_target: &Path, blob: &Path, link: &Path) -> io::Result<()> {
    fs::copy(blob, link).map(drop)
}

/// Puts a small file in its place as a whole.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), Fault> {
    let replace = || {
        make_parent(path)?;
        let aside = aside(path);
        let mut file = File::create(&aside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&aside, path)
    };
    replace().map_err(|source| Fault::cache("write", path, source))
}

pub(super) fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

/// A name beside a path that no other thread and no other process uses.
fn aside(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    // Relaxed: only that no number is given twice matters.
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}-{count}.tmp", std::process::id()));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_paths_are_paths() {
        for path in ["a", "data/train-00000-of-00001.parquet", "refs/convert/parquet", "a b/ü"] {
            assert!(plain(path).is_some(), "{path}");
        }
        for path in ["", "/etc/passwd", "../a", "a/../../b", "a//b", "a/", "./a", "a/."] {
            assert!(plain(path).is_none(), "{path}");
        }
    }
}
