//! Listing a store: which files an address means, and a tag for each.

use futures_util::stream::{StreamExt, TryStreamExt};
use glob::{MatchOptions, Pattern};
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use rowmark_hashing::BytesHasher;

use super::Remote;
use crate::Error;
use crate::storage::address::{Address, Kind, is_pattern};
use crate::storage::file::CONTENT;
use crate::storage::listing::{Found, Listing};
use crate::storage::options::StorageOptions;

/// Files that are asked about, or hashed, at the same time.
const ASKED_AT_ONCE: usize = 32;

/// As in folders of this machine: a dot at the beginning of a name is matched by a dot alone.
const MATCHING: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// What is looked for in a store.
pub(super) struct Wanted {
    path: String,
    /// None for a file, or for a folder.
    pattern: Option<Pattern>,
    with_modified: bool,
    with_version: bool,
}

impl Wanted {
    pub(super) fn new(address: &Address, options: &StorageOptions) -> Result<Self, Error> {
        let path = address.path.clone();
        let pattern = is_pattern(&path).then(|| Pattern::new(&path)).transpose();
        let pattern = pattern.map_err(|source| Error::Pattern { pattern: path.clone(), source })?;
        let StorageOptions { with_modified, with_version, .. } = *options;
        Ok(Self { path, pattern, with_modified, with_version })
    }

    /// The folder below which all of it is.
    fn folder(&self) -> &str {
        match &self.pattern {
            Some(_) => {
                let plain = self.path.find(['*', '?', '[']).map_or(&self.path[..], |end| &self.path[..end]);
                plain.rsplit_once('/').map_or("", |(folder, _)| folder)
            }
            None => self.path.trim_end_matches('/'),
        }
    }

    /// Whether a file of the folder is meant.
    fn is_met(&self, path: &str) -> bool {
        match &self.pattern {
            Some(pattern) => pattern.matches_with(path, MATCHING),
            None => {
                let below = path.strip_prefix(self.folder()).unwrap_or(path);
                below.split('/').all(|name| !name.starts_with('.'))
            }
        }
    }
}

/// Adds what is wanted of a store to a listing.
pub(super) async fn list(remote: &Remote, wanted: &Wanted, mut listing: Listing) -> Result<Listing, Error> {
    let is_file = wanted.pattern.is_none() && !wanted.path.is_empty() && !wanted.path.ends_with('/');
    if is_file {
        if let Some(meta) = remote.head(&remote.path(&wanted.path)?).await? {
            let content = content(remote, &meta).await?;
            push(remote, wanted, &meta, content.as_deref(), &mut listing);
            return Ok(listing);
        }
        if remote.kind == Kind::Http {
            // A server that has no such page need not be one that lists folders.
            return Ok(listing);
        }
    }
    let folder = remote.path(wanted.folder())?;
    let found = remote.store.list((!folder.as_ref().is_empty()).then_some(&folder));
    let mut known = found
        .map_err(|error| {
            let doing = match remote.kind {
                Kind::Http => "list by WebDAV, which few servers speak (name the files one by one),",
                _ => "list",
            };
            remote.error(doing, &wanted.path, &error)
        })
        .try_filter(|meta| std::future::ready(wanted.is_met(meta.location.as_ref())))
        .map(|meta| async { known(remote, wanted, meta?).await })
        .buffer_unordered(ASKED_AT_ONCE);
    while let Some(known) = known.try_next().await? {
        if let Some((meta, content)) = known {
            push(remote, wanted, &meta, content.as_deref(), &mut listing);
        }
    }
    drop(known);
    Ok(listing)
}

/// Asks about a file what its listing did not tell; nothing if it is none.
async fn known(
    remote: &Remote,
    wanted: &Wanted,
    mut meta: ObjectMeta,
) -> Result<Option<(ObjectMeta, Option<String>)>, Error> {
    // What has no bytes may be a folder's marker, whose name ends with a slash that the listing does not show.
    let may_be_folder = meta.size == 0 && remote.kind != Kind::Http;
    if wanted.with_version || may_be_folder || remote.tag(&meta).is_none() {
        match remote.head(&meta.location).await? {
            Some(asked) => meta = asked,
            None if may_be_folder => return Ok(None),
            None => return Err(Error::changed(super::uri(&remote.source, meta.location.as_ref()))),
        }
    }
    let content = content(remote, &meta).await?;
    Ok(Some((meta, content)))
}

fn push(remote: &Remote, wanted: &Wanted, meta: &ObjectMeta, content: Option<&str>, listing: &mut Listing) {
    let tag = remote.tag(meta);
    listing.push(Found {
        path: meta.location.as_ref(),
        size: meta.size,
        etag: content.or(tag.as_deref()).unwrap_or_default(),
        version: meta.version.as_deref().filter(|_| wanted.with_version),
        // A server that does not tell a time stands at the beginning of all times.
        modified: Some(meta.last_modified.timestamp_micros())
            .filter(|time| wanted.with_modified && *time != 0),
    });
}

/// What tells the content of a file that its server gives no tag for: the hash of its bytes.
async fn content(remote: &Remote, meta: &ObjectMeta) -> Result<Option<String>, Error> {
    if remote.tag(meta).is_some() {
        return Ok(None);
    }
    let read_error = |error| remote.error("hash", meta.location.as_ref(), &error);
    let mut blocks = remote.store.get(&meta.location).await.map_err(read_error)?.into_stream();
    let mut hasher = BytesHasher::new();
    while let Some(block) = blocks.try_next().await.map_err(read_error)? {
        hasher.update(&block);
    }
    if hasher.bytes() != meta.size {
        return Err(Error::changed(super::uri(&remote.source, meta.location.as_ref())));
    }
    Ok(Some(format!("{CONTENT}{}", hasher.finish())))
}
