//! Sled, guarded: one tree, atomic changes, durability that sled alone does not give.
//!
//! Invariants:
//!
//! - A change is one batch, and the batch holds the new [`State`]; a crash leaves all of it or nothing.
//! - A value is at most [`PART_BYTES_MAX`] long, so no node of the tree outgrows what sled keeps in its log; above
//!   128 KiB it writes a node to a file of its own and never syncs it. Longer values are split into parts.
//! - [`Engine::make_durable`] returns after sled's buffers were written (`flush`, which on Linux asks for
//!   `sync_file_range` and not for `fsync`) and `fdatasync` was called on a handle of our own.
//! - No call into sled lets a panic out. Sled panics on some damaged files; that is [`Error::Damaged`] here.
//! - After a write or a sync has failed nothing more is written: what the kernel kept of it is not known.
//!
//! It knows nothing of records; keys and values are bytes.

use std::any::Any;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rowmark_hashing::ContentHash;
use sled::{Batch, Db, IVec};

use super::acknowledged::Acknowledged;
use super::closed::Closing;
use super::keys::{STATE, part_key};
use super::state::State;
use crate::{DamageSource, Error, Result};

/// The longest value of one key. A leaf of sled's tree holds up to 16 entries, and 3 more when it has taken over a
/// small neighbour: 20 of these with their keys stay below the 128 KiB at which it writes a file of its own.
pub(super) const PART_BYTES_MAX: usize = 6_000;

/// The most keys of one batch; sled's memory grows out of proportion above.
const BATCH_KEYS_MAX: usize = 1_000;

/// An open sled folder.
pub(super) struct Engine {
    path: PathBuf,
    db: Db,
    state: RwLock<State>,
    durable: Mutex<Durable>,
    stopped: AtomicBool,
    /// Something could not be read, or made no sense.
    is_doubtful: AtomicBool,
    // Behind the fields with sled's files: it is written after these are closed.
    closing: Closing,
    // The last field: it is released after sled has closed its files.
    _lock: File,
}

/// What is known to be on the disk, and the means to put more there.
pub(super) struct Durable {
    pub(super) sequence: u64,
    pub(super) db_file: File,
    pub(super) acknowledged: Acknowledged,
}

/// Which way a [walk](Engine::walk) goes.
#[derive(Clone, Copy)]
pub(super) enum Direction {
    Forward,
    Backward,
}

/// Changes that are made together: values to put, `None` to remove a key.
#[derive(Default)]
pub(super) struct Changes(BTreeMap<Vec<u8>, Option<Vec<u8>>>);

impl Changes {
    pub(super) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.0.insert(key, Some(value));
    }

    pub(super) fn remove(&mut self, key: Vec<u8>) {
        self.0.insert(key, None);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Engine {
    /// Takes over what [`open`](super::open::open) has opened and checked.
    pub(super) fn new(path: PathBuf, db: Db, state: State, durable: Durable, lock: File) -> Self {
        Self {
            closing: Closing::new(&path),
            path,
            db,
            state: RwLock::new(state),
            durable: Mutex::new(durable),
            stopped: AtomicBool::new(false),
            is_doubtful: AtomicBool::new(false),
            _lock: lock,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps changes out while several keys are read.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, State> {
        // The state is changed by one assignment, after everything that can fail; it is whole whoever panicked.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps all others out while a change is decided and made.
    pub(super) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the value of a key.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.noted(guarded(&self.path, "read", || match self.db.get(key) {
            Ok(Some(head)) => self.join(key, &head).map(Some),
            Ok(None) => Ok(None),
            Err(error) => Err(from_sled(&self.path, "read", error)),
        }))
    }

    /// Calls a function with every key that begins with `prefix`, and its value, in the order of the keys.
    pub(super) fn walk(
        &self,
        prefix: &[u8],
        direction: Direction,
        mut visit: impl FnMut(&[u8], Vec<u8>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        self.noted(guarded(&self.path, "read", || {
            let mut entries = self.db.scan_prefix(prefix);
            loop {
                let entry = match direction {
                    Direction::Forward => entries.next(),
                    Direction::Backward => entries.next_back(),
                };
                let Some(entry) = entry else { return Ok(()) };
                let (key, head) = entry.map_err(|error| from_sled(&self.path, "read", error))?;
                if visit(&key, self.join(&key, &head)?)?.is_break() {
                    return Ok(());
                }
            }
        }))
    }

    /// Makes the changes in one batch, after [`check_running`](Self::check_running); they are seen at once and durable after [`make_durable`](Self::make_durable).
    pub(super) fn apply(&self, state: &mut State, changes: Changes) -> Result<()> {
        let mut next = *state;
        next.sequence += 1;
        let batch = self.noted(guarded(&self.path, "read", || self.batch(&mut next, changes)))?;
        let applied = guarded(&self.path, "write", || {
            self.db.apply_batch(batch).map_err(|error| from_sled(&self.path, "write", error))
        });
        if applied.is_err() {
            // Sled may hold a part of the batch in memory now.
            self.stop();
        }
        applied?;
        *state = next;
        Ok(())
    }

    /// Returns when every change that was applied so far is on the disk. Calls that come together share the work.
    pub(super) fn make_durable(&self) -> Result<()> {
        let wanted = self.read().sequence;
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        if durable.sequence >= wanted {
            return Ok(());
        }
        self.check_running()?;
        let reached = self.read().sequence;
        let synced = self.sync(&mut durable, reached);
        if synced.is_err() {
            self.stop();
        }
        synced?;
        durable.sequence = reached;
        Ok(())
    }

    fn sync(&self, durable: &mut Durable, sequence: u64) -> Result<()> {
        guarded(&self.path, "flush", || {
            self.db.flush().map(drop).map_err(|error| from_sled(&self.path, "flush", error))
        })?;
        let failed = |action| move |source| Error::from_io(action, &self.path, source);
        durable.db_file.sync_data().map_err(failed("sync"))?;
        durable.acknowledged.write(sequence).map_err(failed("write to"))
    }

    /// Spells changes as a batch, and brings `next` to what the tree will be.
    fn batch(&self, next: &mut State, changes: Changes) -> Result<Batch> {
        let mut batch = Batch::default();
        let mut keys = 1;
        for (key, value) in changes.0 {
            let mut old = self.entries(&key)?;
            for (key, value) in value.map(|value| split(&key, &value)).unwrap_or_default() {
                if let Some(old_value) = old.remove(&key) {
                    next.take(&key, &old_value);
                }
                next.add(&key, &value);
                batch.insert(key, value);
                keys += 1;
            }
            for (key, value) in old {
                next.take(&key, &value);
                batch.remove(key);
                keys += 1;
            }
        }
        assert!(keys <= BATCH_KEYS_MAX, "the bounds of records keep a change below {BATCH_KEYS_MAX} keys");
        batch.insert(STATE, &next.to_bytes());
        Ok(batch)
    }

    /// The keys and values that are stored now for one key and its parts.
    fn entries(&self, key: &[u8]) -> Result<BTreeMap<Vec<u8>, IVec>> {
        let get = |key: &[u8]| self.db.get(key).map_err(|error| from_sled(&self.path, "read", error));
        let mut entries = BTreeMap::new();
        if let Some(head) = get(key)? {
            for part in 0..self.parts(&head)?.0 {
                let part_key = part_key(key, part);
                let value = get(&part_key)?.ok_or_else(|| self.damaged("a part of a value is missing"))?;
                entries.insert(part_key, value);
            }
            entries.insert(key.to_vec(), head);
        }
        Ok(entries)
    }

    /// Puts a value together from its first part, and the others if there are any.
    fn join(&self, key: &[u8], head: &[u8]) -> Result<Vec<u8>> {
        let (parts, beginning) = self.parts(head)?;
        let mut value = beginning.to_vec();
        for part in 0..parts {
            let found = self.db.get(part_key(key, part));
            let found = found.map_err(|error| from_sled(&self.path, "read", error))?;
            let part = found.ok_or_else(|| self.damaged("a part of a value is missing"))?;
            value.extend_from_slice(&part);
        }
        Ok(value)
    }

    fn parts<'a>(&self, head: &'a [u8]) -> Result<(u16, &'a [u8])> {
        let (parts, beginning) =
            head.split_first_chunk().ok_or_else(|| self.damaged("a value is shorter than its header"))?;
        Ok((u16::from_be_bytes(*parts), beginning))
    }

    /// A hash of what the tree holds, as far as it is known to be well.
    pub(super) fn content(&self) -> Option<ContentHash> {
        let state = self.read().to_bytes();
        self.is_well().then(|| ContentHash::of(&("rowmark records", state)).ok()).flatten()
    }

    fn is_well(&self) -> bool {
        !self.stopped.load(Ordering::Acquire) && !self.is_doubtful.load(Ordering::Acquire)
    }

    /// Takes note of an error: the next opening checks the whole tree.
    fn noted<T>(&self, outcome: Result<T>) -> Result<T> {
        if outcome.is_err() {
            self.is_doubtful.store(true, Ordering::Release);
        }
        outcome
    }

    /// The error for something in the tree that cannot be.
    pub(super) fn damaged(&self, found: impl Into<DamageSource>) -> Error {
        self.is_doubtful.store(true, Ordering::Release);
        Error::Damaged { path: self.path.clone(), source: found.into() }
    }

    // Release and acquire: who sees the flag also sees that the failed write came before it.
    fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    /// Refuses a change after an earlier one has failed.
    pub(super) fn check_running(&self) -> Result<()> {
        if self.stopped.load(Ordering::Acquire) {
            return Err(Error::Stopped { path: self.path.clone() });
        }
        Ok(())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.stopped.load(Ordering::Acquire) {
            return;
        }
        match self.make_durable() {
            Ok(()) if self.is_well() => {
                let state = *self.read();
                self.closing.set(state);
            }
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "the last events could not be made durable");
            }
        }
    }
}

/// A value as it is stored: the number of further parts and the beginning under its own key, then the parts.
fn split(key: &[u8], value: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    const HEADER_BYTES: usize = 2;
    let (beginning, rest) = value.split_at(value.len().min(PART_BYTES_MAX - HEADER_BYTES));
    let parts = rest.chunks(PART_BYTES_MAX);
    let count = u16::try_from(parts.len()).expect("a record is bounded to a few hundred parts");
    let head = [&count.to_be_bytes(), beginning].concat();
    let mut entries = vec![(key.to_vec(), head)];
    entries.extend((0..).zip(parts).map(|(part, bytes)| (part_key(key, part), bytes.to_vec())));
    entries
}

/// Calls into sled, and turns a panic into [`Error::Damaged`].
pub(super) fn guarded<T>(path: &Path, action: &'static str, call: impl FnOnce() -> Result<T>) -> Result<T> {
    // Sled's structures are shared with its own threads and may be out of step after a panic; callers either give
    // the store up (while it is opened), or get the same answer again.
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let source = Panicked { action, text: panic_text(&*panic) };
        Err(Error::Damaged { path: path.to_owned(), source: Box::new(source) })
    })
}

/// Tells failures of the device from bytes that make no sense.
pub(super) fn from_sled(path: &Path, action: &'static str, error: sled::Error) -> Error {
    match error {
        sled::Error::Io(source) if !is_unreadable(&source) => Error::from_io(action, path, source),
        error => Error::Damaged { path: path.to_owned(), source: Box::new(error) },
    }
}

/// Sled has its own words, of kind `Other`, for a log that makes no sense. What the operating system said is of
/// another kind, also where sled repeats it as text, as it does to all who come after a write has failed.
fn is_unreadable(source: &io::Error) -> bool {
    let kinds = [io::ErrorKind::Other, io::ErrorKind::UnexpectedEof, io::ErrorKind::InvalidData];
    kinds.contains(&source.kind())
}

/// A panic inside the storage engine.
#[derive(Debug, thiserror::Error)]
#[error("the storage engine panicked when it was to {action}: {text}")]
struct Panicked {
    action: &'static str,
    text: String,
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref().copied());
    text.unwrap_or("(no text)").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_not_damage_and_a_torn_log_is() {
        let path = Path::new("store");
        let damage = |error| from_sled(path, "open", sled::Error::Io(error)).is_damage();
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let input_output = || io::Error::from_raw_os_error(5);
        for error in [full(), input_output()] {
            let repeated = io::Error::new(error.kind(), format!("{error:?}"));
            assert!(!damage(error) && !damage(repeated));
        }
        assert!(damage(io::Error::other("encountered torn segment")));
        assert!(damage(io::ErrorKind::UnexpectedEof.into()));
    }

    #[test]
    fn a_panic_becomes_damage_with_its_text() {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let answers = [
            guarded::<()>(Path::new("store"), "open", || panic!("segment {} is torn", 7)),
            guarded::<()>(Path::new("store"), "open", || panic!("segment 7 is torn")),
        ];
        std::panic::set_hook(hook);
        for answer in answers {
            let error = answer.unwrap_err();
            let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            assert!(error.is_damage() && source.ends_with("segment 7 is torn"), "{source}");
        }
    }

    #[test]
    fn a_split_value_has_parts_that_sled_keeps_in_its_log() {
        for length in [0, 1, PART_BYTES_MAX - 2, PART_BYTES_MAX - 1, 3 * PART_BYTES_MAX, 1_000_000] {
            let value: Vec<u8> = (0..length).map(|index| index as u8).collect();
            let entries = split(b"key", &value);
            assert!(entries.iter().all(|(_, part)| part.len() <= PART_BYTES_MAX));
            assert_eq!(entries[0].1[..2], (entries.len() as u16 - 1).to_be_bytes());
            let joined: Vec<u8> = entries.iter().flat_map(|(_, part)| part).skip(2).copied().collect();
            assert_eq!(joined, value);
        }
    }
}
