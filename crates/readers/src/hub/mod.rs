//! Datasets of the Hugging Face hub: their Parquet files, through the cache that all of the hub's clients share.
//!
//! The hub's own Rust client is not used: `hf-hub` 1.0 needs an async runtime, and 0.5, which does not, neither checks a
//! file's hash nor works offline. The protocol is small: a revision means a commit, a commit has a list of files with their
//! hashes, a file has an address.

mod cache;
mod card;
mod client;
mod download;
mod listing;
mod options;
mod problem;
mod splits;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rowmark_rows::RowType;

use crate::{Error, ParquetSource};
use cache::Cache;
use client::{Client, is_commit};
use download::{BLOCK_BYTES, Wanted, download};
use listing::{BlobHash, Entry, Listing};
pub use options::HfOptions;
use options::REVISION;
use problem::Fault;
pub use problem::HfProblem;

/// Where the hub keeps what it converted to Parquet.
const CONVERTED: &str = "refs/convert/parquet";

/// Bytes that a `README.md` may have.
const CARD_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Files that are downloaded at a time.
const DOWNLOADS_MAX: usize = 4;

/// Characters of a name, as the hub has them.
const NAME_CHARS_MAX: usize = 96;

/// A split of a dataset of the hub at one commit, its files in the cache.
///
/// - **Which files** a split has is said by the header of the dataset's `README.md`, or by the files' names, by the rules of
///   Python's `datasets`. If the dataset has no Parquet files of its own, those are read that the hub converted.
/// - **The cache** is that of the hub's other clients, and is used with them: what one downloaded, the others find. Files are
///   checked against the hashes that the hub tells of them. A download that was interrupted goes on; other processes wait.
/// - **Offline** nothing is sent. A split of which the cache has not all files is an error.
///
/// ```no_run
/// use rowmark_readers::{HfDataset, HfOptions, Source};
/// use rowmark_rows::Row;
///
/// let options = HfOptions::new().cache_folder("/data/huggingface/hub").revision("main");
/// let reviews = HfDataset::open("stanfordnlp/imdb", "train", options)?;
/// println!("{} at {}", reviews.files().len(), reviews.commit());
/// assert_eq!(reviews.source::<Row>()?.rows()?, 25_000);
/// # Ok::<(), rowmark_readers::Error>(())
/// ```
#[derive(Debug)]
pub struct HfDataset {
    name: String,
    split: String,
    commit: String,
    files: Vec<PathBuf>,
    /// The hashes that files are to have, but for those that were just downloaded.
    unchecked: Arc<BTreeMap<PathBuf, BlobHash>>,
    options: HfOptions,
}

impl HfDataset {
    /// Finds a split, and downloads those of its files that the cache does not have.
    ///
    /// # Errors
    /// There is no such dataset, configuration or split, it may not be read, the hub is out of reach, or a file is not what
    /// the hub says that it is.
    pub fn open(name: &str, split: &str, options: HfOptions) -> Result<Self, Error> {
        let found = Finding::new(name, &options).and_then(|finding| finding.find(split));
        let (commit, files) = found.map_err(|fault| fault.of(name))?;
        let unchecked = files.iter().filter_map(|file| Some((file.path.clone(), file.unchecked.clone()?)));
        let unchecked = Arc::new(unchecked.collect());
        let files = files.into_iter().map(|file| file.path).collect();
        let (name, split) = (name.to_owned(), split.to_owned());
        Ok(Self { name, split, commit, files, unchecked, options })
    }

    /// The commit at which the files are: of the dataset, or of what the hub converted.
    #[must_use]
    pub fn commit(&self) -> &str {
        &self.commit
    }

    /// The files in the cache, in their order.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The rows. They are known by the content of the files, so that another revision, configuration or dataset of the same
    /// files is the same source, and so is [`ParquetSource`] of them: equal rows are computed once. Which dataset and commit
    /// it was is shown with the content's hash, where differences are explained.
    ///
    /// With the content its hash at the hub is checked, once for each file that was not downloaded just now.
    ///
    /// # Errors
    /// A file is no Parquet file, or has other columns than `T`.
    pub fn source<T: RowType>(&self) -> Result<ParquetSource<T>, Error> {
        let source = ParquetSource::open(self.files.clone(), self.options.columnar())?;
        let (dataset, unchecked) = (self.name.clone(), Arc::clone(&self.unchecked));
        let check = move |path: &Path| match unchecked.get(path) {
            Some(hash) => check(path, hash).map_err(|fault| fault.of(&dataset)),
            None => Ok(()),
        };
        let name = format!("{} {} at {}", self.name, self.split, &self.commit[..12]);
        Ok(source.known_as(name, Arc::new(check)))
    }
}

/// A file in the cache.
struct Cached {
    path: PathBuf,
    /// The hash that it is to have, unless that was just seen.
    unchecked: Option<BlobHash>,
}

/// The way from a name to files.
struct Finding<'a> {
    options: &'a HfOptions,
    cache: Cache,
    /// Nothing when the hub is not to be asked.
    client: Option<Client>,
}

impl<'a> Finding<'a> {
    fn new(name: &str, options: &'a HfOptions) -> Result<Self, Fault> {
        if !is_name(name) {
            return Err(HfProblem::Name.into());
        }
        let root = options.cache_folder.as_deref().ok_or(HfProblem::NoCacheFolder)?;
        let is_offline = options.offline.unwrap_or(false);
        let client = if is_offline { None } else { Some(Client::new(name, options)?) };
        Ok(Self { options, cache: Cache::new(root, name), client })
    }

    fn find(&self, split: &str) -> Result<(String, Vec<Cached>), Fault> {
        let revision = self.options.revision.as_deref().unwrap_or(REVISION);
        let config = self.options.config.as_deref();
        let (commit, listing) = self.look_up(revision)?;
        let paths: Vec<&str> = listing.paths().collect();
        if revision == CONVERTED {
            let wanted = splits::converted(&paths, config, split)?;
            let files = self.have(&commit, &listing, &wanted)?;
            self.note(revision, &commit)?;
            return Ok((commit, files));
        }
        let configs = match listing.files.get("README.md") {
            Some(entry) => self.configs(&commit, entry)?,
            None => Vec::new(),
        };
        if let Some(wanted) = splits::own(&paths, &configs, config, split)? {
            let files = self.have(&commit, &listing, &wanted)?;
            self.note(revision, &commit)?;
            return Ok((commit, files));
        }
        if self.options.revision.is_some() {
            // What is converted is of the branch `main`.
            return Err(HfProblem::NoParquet.into());
        }
        let (converted, listing) = self.look_up(CONVERTED).map_err(|fault| match fault.problem {
            HfProblem::NoRevision { .. } => HfProblem::NoParquet.into(),
            _ => fault,
        })?;
        let default = configs.iter().find(|config| config.is_default).map(|config| config.name.as_str());
        let paths: Vec<&str> = listing.paths().collect();
        let wanted = splits::converted(&paths, config.or(default), split)?;
        let files = self.have(&converted, &listing, &wanted)?;
        self.note(CONVERTED, &converted)?;
        self.note(revision, &commit)?;
        Ok((converted, files))
    }

    /// The commit that a revision means, and its files.
    fn look_up(&self, revision: &str) -> Result<(String, Listing), Fault> {
        let commit = match &self.client {
            _ if is_commit(revision) => revision.to_owned(),
            Some(client) => client.commit(revision)?,
            None => self
                .cache
                .commit(revision)
                .ok_or_else(|| self.not_cached(format!("revision `{revision}`")))?,
        };
        let kept = self.cache.listing(&commit);
        let listing = match (kept, &self.client) {
            (Some(listing), _) => listing,
            (None, Some(client)) => {
                let listing = client.listing(&commit)?;
                self.cache.put_listing(&commit, &listing)?;
                listing
            }
            (None, None) => {
                let none = || self.not_cached(format!("commit {commit} of revision `{revision}`"));
                self.cache.found(&commit).ok_or_else(none)?
            }
        };
        Ok((commit, listing))
    }

    fn configs(&self, commit: &str, entry: &Entry) -> Result<Vec<card::Config>, Fault> {
        if entry.size > CARD_BYTES_MAX {
            let reason = format!("README.md has more than {CARD_BYTES_MAX} bytes");
            return Err(HfProblem::Card { reason }.into());
        }
        let Cached { path, .. } = self.file(commit, "README.md", entry)?;
        let readme = fs::read(&path).map_err(|source| Fault::cache("read", &path, source))?;
        Ok(card::configs(&String::from_utf8_lossy(&readme))?)
    }

    /// Sees to it that files are in the cache.
    fn have(&self, commit: &str, listing: &Listing, wanted: &[String]) -> Result<Vec<Cached>, Fault> {
        let missing = splits::missing_shards(wanted);
        if missing > 0 && self.client.is_none() {
            let what = format!("a part of the split ({missing} of its files, as their names say)");
            return Err(self.not_cached(what));
        }
        in_parallel(wanted, |path| match listing.files.get(path) {
            Some(entry) => self.file(commit, path, entry),
            None => Err(self.not_cached(format!("the file {path}"))),
        })
    }

    /// Notes which commit a revision meant. This is done last, so that what the cache had of a revision is found until it has
    /// what that means now.
    fn note(&self, revision: &str, commit: &str) -> Result<(), Fault> {
        if self.client.is_none() || revision == commit {
            return Ok(());
        }
        self.cache.put_commit(revision, commit)
    }

    /// A file of a commit in the cache: it is there, or it is downloaded.
    fn file(&self, commit: &str, path: &str, entry: &Entry) -> Result<Cached, Fault> {
        let pointer = self.cache.pointer(commit, path)?;
        if has_size(&pointer, entry.size) {
            return Ok(Cached { path: pointer, unchecked: entry.blob() });
        }
        let Some(client) = &self.client else {
            return Err(self.not_cached(format!("the file {path} of commit {commit}")));
        };
        let url = client.url_of(commit, path);
        let Some(hash) = entry.blob() else {
            return Err(client.unexpected(&url, format!("it tells of no hash of {path}")));
        };
        let _lock = self.cache.lock(&hash)?;
        let blob = self.cache.blob(&hash);
        let is_there = has_size(&blob, entry.size);
        if !is_there {
            tracing::info!(path, bytes = entry.size, "downloading");
            download(client, &Wanted { url: &url, hash: &hash, bytes: entry.size }, &blob)?;
        }
        let path = self.cache.link(commit, path, &hash)?;
        Ok(Cached { path, unchecked: is_there.then_some(hash) })
    }

    fn not_cached(&self, what: String) -> Fault {
        HfProblem::NotCached { what, cache: self.cache.root().to_owned() }.into()
    }
}

/// Makes sure that a file in the cache has its hash.
fn check(path: &Path, hash: &BlobHash) -> Result<(), Fault> {
    let failed = |source| Fault::cache("read", path, source);
    let mut file = File::open(path).map_err(failed)?;
    let mut hasher = hash.hasher(file.metadata().map_err(failed)?.len());
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        match file.read(&mut block).map_err(failed)? {
            0 => break,
            len => hasher.update(&block[..len]),
        }
    }
    if hasher.is(hash) {
        return Ok(());
    }
    let path = path.canonicalize().map_err(failed)?;
    Err(HfProblem::Mismatch { path, expected: hash.name().to_owned() }.into())
}

fn has_size(path: &Path, bytes: u64) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == bytes)
}

/// Whether a text is `owner/name`, or the name alone of one of the oldest datasets, by the hub's rules.
fn is_name(name: &str) -> bool {
    let is_part = |part: &str| {
        let are_fit = part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        are_fit && !part.is_empty() && !part.starts_with(['-', '.']) && !part.ends_with(['-', '.'])
    };
    name.split('/').count() <= 2
        && name.len() <= NAME_CHARS_MAX
        && name.split('/').all(is_part)
        && !name.contains("--")
        && !name.contains("..")
}

/// Does something with each of many, a few at a time, until one fails. The results are in the order of what they are of.
fn in_parallel<I: Sync, R: Send>(
    items: &[I],
    work: impl Fn(&I) -> Result<R, Fault> + Sync,
) -> Result<Vec<R>, Fault> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, Result<R, Fault>)>> = Mutex::default();
    thread::scope(|scope| {
        for _ in 0..DOWNLOADS_MAX.min(items.len()) {
            scope.spawn(|| {
                loop {
                    // Relaxed: only that no item is given twice matters.
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(number) else { break };
                    let result = work(item);
                    if result.is_err() {
                        next.store(items.len(), Ordering::Relaxed);
                    }
                    results.lock().unwrap_or_else(PoisonError::into_inner).push((number, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_hubs() {
        for name in ["squad", "stanfordnlp/imdb", "a-b/c_d.e", "0/1"] {
            assert!(is_name(name), "{name}");
        }
        for name in
            ["", "a/b/c", "../a", "a/", "/a", "a b", "a/..", "a--b", "a/.b", "-a", "a?b", &"a".repeat(97)]
        {
            assert!(!is_name(name), "{name}");
        }
    }
}
