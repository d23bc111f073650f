//! [`Listing`]: many files in little memory.
//!
//! A file costs [`FILE_BYTES`] and the bytes of its path, tag and version.

use std::cmp::Ordering;

use super::file::File;
use super::time::rfc3339;

/// Bytes that a file costs beside its texts.
const FILE_BYTES: usize = 40;
const _: () = assert!(size_of::<Entry>() == FILE_BYTES);

/// Stands for a time, and for a version, that is not there.
const NO_TIME: i64 = i64::MIN;
const NO_VERSION: u32 = u32::MAX;

/// Files in the order of their sources and paths, once [`sort`](Self::sort)ed.
#[derive(Debug, Default)]
pub(super) struct Listing {
    sources: Vec<String>,
    /// Path, tag and version of one file after the other.
    texts: String,
    entries: Vec<Entry>,
}

/// Where in the texts those of a file are, and its numbers.
#[derive(Clone, Copy, Debug)]
struct Entry {
    at: usize,
    path: u32,
    etag: u32,
    version: u32,
    source: u32,
    size: u64,
    modified: i64,
}

/// A file that a store told of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'a> {
    pub(super) path: &'a str,
    pub(super) size: u64,
    pub(super) etag: &'a str,
    pub(super) version: Option<&'a str>,
    /// Microseconds since 1970.
    pub(super) modified: Option<i64>,
}

impl Listing {
    /// Adds a source, for the files that are pushed next.
    pub(super) fn begin(&mut self, source: &str) {
        self.sources.push(source.to_owned());
    }

    /// Adds a file of the last source.
    pub(super) fn push(&mut self, found: Found<'_>) {
        let len = |text: &str| u32::try_from(text.len()).expect("names and tags are shorter than 4 GiB");
        self.entries.push(Entry {
            at: self.texts.len(),
            path: len(found.path),
            etag: len(found.etag),
            version: found.version.map_or(NO_VERSION, len),
            source: u32::try_from(self.sources.len() - 1).expect("fewer than 2^32 addresses were given"),
            size: found.size,
            modified: found.modified.unwrap_or(NO_TIME),
        });
        self.texts.extend([found.path, found.etag, found.version.unwrap_or_default()]);
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.entries.iter().map(|entry| entry.size).sum()
    }

    fn text(&self, at: usize, len: u32) -> &str {
        &self.texts[at..at + len as usize]
    }

    fn path_of(&self, entry: &Entry) -> &str {
        self.text(entry.at, entry.path)
    }

    fn source_of(&self, entry: &Entry) -> &str {
        &self.sources[entry.source as usize]
    }

    fn found(&self, entry: &Entry) -> Found<'_> {
        let after_path = entry.at + entry.path as usize;
        let is_there = entry.version != NO_VERSION;
        Found {
            path: self.path_of(entry),
            size: entry.size,
            etag: self.text(after_path, entry.etag),
            version: is_there.then(|| self.text(after_path + entry.etag as usize, entry.version)),
            modified: (entry.modified != NO_TIME).then_some(entry.modified),
        }
    }

    fn order(&self, one: &Entry, other: &Entry) -> Ordering {
        let key = |entry| (self.source_of(entry), self.path_of(entry));
        key(one).cmp(&key(other))
    }

    /// Puts the files in their order, each once. Answers the path of one that was told of in two ways, if there is one: it
    /// was written while it was listed.
    pub(super) fn sort(&mut self) -> Option<File> {
        let mut entries = std::mem::take(&mut self.entries);
        entries.sort_unstable_by(|one, other| self.order(one, other));
        let mut changed = None;
        entries.dedup_by(|later, kept| {
            let is_same = self.order(later, kept).is_eq();
            if is_same && self.file_of(later) != self.file_of(kept) {
                changed.get_or_insert_with(|| self.file_of(kept));
            }
            is_same
        });
        entries.shrink_to_fit();
        self.texts.shrink_to_fit();
        self.entries = entries;
        changed
    }

    fn file_of(&self, entry: &Entry) -> File {
        let found = self.found(entry);
        File {
            source: self.source_of(entry).to_owned(),
            path: found.path.to_owned(),
            size: found.size,
            etag: found.etag.to_owned(),
            version: found.version.map(ToOwned::to_owned),
            modified: found.modified.map(rfc3339),
        }
    }

    /// The file with this number.
    pub(super) fn file(&self, number: usize) -> File {
        self.file_of(&self.entries[number])
    }

    /// The path of the file with this number.
    pub(super) fn path(&self, number: usize) -> &str {
        self.path_of(&self.entries[number])
    }

    /// The numbers of the files of a source.
    pub(super) fn of_source(&self, source: &str) -> std::ops::Range<usize> {
        let start = self.entries.partition_point(|entry| self.source_of(entry) < source);
        let end = self.entries.partition_point(|entry| self.source_of(entry) <= source);
        start..end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'a>(path: &'a str, etag: &'a str) -> Found<'a> {
        Found { path, size: 1, etag, version: (path == "b").then_some("v"), modified: None }
    }

    #[test]
    fn files_are_in_order_and_each_is_there_once() {
        let mut listing = Listing::default();
        for (source, paths) in [("s3://b", ["c", "b"]), ("file://", ["z", "y"]), ("s3://b", ["b", "a"])] {
            listing.begin(source);
            for path in paths {
                listing.push(found(path, "\"1\""));
            }
        }
        assert_eq!(listing.sort(), None);
        let uris: Vec<String> = (0..listing.len()).map(|number| listing.file(number).uri()).collect();
        assert_eq!(uris, ["y", "z", "s3://b/a", "s3://b/b", "s3://b/c"]);
        assert_eq!((listing.of_source("file://"), listing.of_source("s3://b")), (0..2, 2..5));
        let versions: Vec<_> = (2..5).map(|number| listing.file(number).version).collect();
        assert_eq!(versions, [None, Some("v".to_owned()), None]);
    }

    #[test]
    fn a_file_that_was_told_of_in_two_ways_has_changed() {
        let mut listing = Listing::default();
        listing.begin("s3://b");
        listing.push(found("a", "\"1\""));
        listing.push(found("a", "\"2\""));
        assert_eq!(listing.sort().unwrap().path, "a");
    }
}
