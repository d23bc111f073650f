//! The files of a commit, as the hub lists them and as the cache keeps the list.
//!
//! The cache's list, `trees/<commit>.json`, is that of the hub's own clients: with it they, and we, know without asking
//! whether all of a commit's files are there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// The version of the list's form.
const FORMAT_VERSION: u32 = 1;

/// The files of a commit by their paths.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Listing {
    format_version: u32,
    pub(super) files: BTreeMap<String, Entry>,
}

/// What the hub tells of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) size: u64,
    blob_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lfs_sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lfs_size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    xet_hash: Option<String>,
}

/// A line of the hub's answer to `/api/datasets/{name}/tree/{commit}`.
#[derive(Debug, Deserialize)]
pub(super) struct TreeEntry {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    oid: String,
    #[serde(default)]
    size: u64,
    lfs: Option<TreeLfs>,
    #[serde(rename = "xetHash")]
    xet_hash: Option<String>,
}

#[derive(Debug, Deserialize)]
struct TreeLfs {
    oid: String,
    size: u64,
}

impl Listing {
    pub(super) fn new(entries: impl IntoIterator<Item = TreeEntry>) -> Self {
        let files = entries.into_iter().filter(|entry| entry.kind == "file").map(|entry| {
            let (lfs_sha256, lfs_size) = entry.lfs.map(|lfs| (lfs.oid, lfs.size)).unzip();
            let size = lfs_size.unwrap_or(entry.size);
            let xet_hash = entry.xet_hash;
            (entry.path, Entry { size, blob_id: entry.oid, lfs_sha256, lfs_size, xet_hash })
        });
        Self { format_version: FORMAT_VERSION, files: files.collect() }
    }

    /// A list that the cache kept; nothing for one of another form.
    pub(super) fn parse(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok().filter(|list: &Self| list.format_version == FORMAT_VERSION)
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }
}

impl Entry {
    /// What is known of a file of which the cache has no list: its size, and its blob's name.
    pub(super) fn found(size: u64, blob: &str) -> Self {
        let (blob_id, lfs_sha256, lfs_size, xet_hash) = (blob.to_owned(), None, None, None);
        Self { size, blob_id, lfs_sha256, lfs_size, xet_hash }
    }

    /// The hash by which the file is known; nothing if it is none.
    pub(super) fn blob(&self) -> Option<BlobHash> {
        BlobHash::parse(self.lfs_sha256.as_deref().unwrap_or(&self.blob_id))
    }
}

/// The hash of a file: its SHA-256 if it is stored as a large file, and otherwise the id that Git gives it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum BlobHash {
    Sha256(String),
    Git(String),
}

impl BlobHash {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        match text.len() {
            64 if is_hex(text) => Some(Self::Sha256(text.to_owned())),
            40 if is_hex(text) => Some(Self::Git(text.to_owned())),
            _ => None,
        }
    }

    /// The hash in hexadecimal, which is the blob's name in the cache.
    pub(super) fn name(&self) -> &str {
        let (Self::Sha256(name) | Self::Git(name)) = self;
        name
    }

    /// A hasher of a file of so many bytes.
    pub(super) fn hasher(&self, size: u64) -> BlobHasher {
        match self {
            Self::Sha256(_) => BlobHasher::Sha256(Sha256::new()),
            Self::Git(_) => BlobHasher::Git(Sha1::new_with_prefix(format!("blob {size}\0"))),
        }
    }
}

/// Hashes a file as the hub does.
pub(super) enum BlobHasher {
    Sha256(Sha256),
    Git(Sha1),
}

impl BlobHasher {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(sha) => sha.update(bytes),
            Self::Git(sha) => sha.update(bytes),
        }
    }

    /// Whether what was hashed has this hash.
    pub(super) fn is(self, hash: &BlobHash) -> bool {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        match self {
            Self::Sha256(sha) => hex(&sha.finalize()) == hash.name(),
            Self::Git(sha) => hex(&sha.finalize()) == hash.name(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_file_is_hashed_as_git_does() {
        // `printf 'hello\n' | git hash-object --stdin`
        let hash = BlobHash::parse("ce013625030ba8dba906f756967f9e9ca394464a").unwrap();
        let mut hasher = hash.hasher(6);
        hasher.update(b"hello\n");
        assert!(hasher.is(&hash));
        let mut other = hash.hasher(6);
        other.update(b"hello!");
        assert!(!other.is(&hash));
    }

    #[test]
    fn what_is_no_hash_is_none() {
        for text in ["", "../../etc/passwd", &"A".repeat(40), &"0".repeat(41)] {
            assert_eq!(BlobHash::parse(text), None, "{text}");
        }
    }
}
