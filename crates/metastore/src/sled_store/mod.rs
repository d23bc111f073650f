//! A metastore in a sled folder.
//!
//! Records are spelled by the [codec](crate::Record), keys by [`keys`]; [`engine`] makes changes atomic and durable,
//! and [`open`] finds out whether a folder can be used; [`calls`] says which keys a call touches. Here is how records
//! are read through the indexes, and changed together with them: a change is one batch of one tree, so there is no
//! moment at which a record can be found by one way and not by another.

mod acknowledged;
mod calls;
mod closed;
mod engine;
mod keys;
mod open;
mod state;

use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;

use rowmark_hashing::ContentHash;

use self::engine::{Changes, Direction, Engine};
use self::keys::{
    CheckpointByHashKey, CheckpointByPartialKey, CheckpointKey, DatasetKey, DatasetLastKey, JobKey, Key,
};
use self::open::Opened;
use crate::{Checkpoint, CheckpointKind, DatasetVersion, Error, Job, JobId, Record, Result, Timestamp};

/// Keeps records in a folder, durably.
///
/// One process at a time may have the folder open, and once. Everything that a method of
/// [`Metastore`](crate::Metastore) has changed
/// is on the disk when it returns, events aside; dropping the store makes the last events durable as well.
///
/// ```
/// use rowmark_metastore::{Error, Metastore, SledMetastore};
///
/// let folder = tempfile::tempdir()?;
/// let metastore = SledMetastore::open(folder.path().join("records"))?;
/// assert!(metastore.is_new());
/// assert!(metastore.list_jobs()?.is_empty());
///
/// let second = SledMetastore::open(folder.path().join("records"));
/// assert!(matches!(second, Err(Error::InUse { .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SledMetastore {
    engine: Engine,
    is_new: bool,
    was_closed: bool,
}

impl SledMetastore {
    /// Opens the store in a folder, which is created if it is not there.
    ///
    /// A store that was not closed in good order, or whose files were touched since, is read once and checked against a
    /// count and a digest; 100,000 checkpoints take a few tenths of a second.
    ///
    /// # Errors
    ///
    /// [`Error::InUse`], [`Error::NotAFolder`], [`Error::NotWritable`] and [`Error::Io`] say why the folder cannot
    /// be used; nothing in it has been changed. [`Error::NewerFormat`] asks for an upgrade. [`Error::Damaged`]
    /// means that something that was written is not there any more or cannot be read: the folder can be set aside
    /// and the records rebuilt, into a new one, from the tables that carry them.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let Opened { engine, is_new, was_closed } = open::open(path.as_ref())?;
        Ok(Self { engine, is_new, was_closed })
    }

    /// Tells whether the store was closed in good order and nothing has happened to its files since.
    pub const fn was_closed(&self) -> bool {
        self.was_closed
    }

    /// Tells whether there was no store in the folder before. If there are tables that belong to it, their records
    /// have been lost, and are to be put back from the tables.
    pub const fn is_new(&self) -> bool {
        self.is_new
    }

    /// Returns the folder, as an absolute path.
    pub fn path(&self) -> &Path {
        self.engine.path()
    }

    /// Decides on a change with all others kept out, makes it, and leaves it to be made durable.
    fn change_later<T>(&self, decide: impl FnOnce(&mut Change<'_>) -> Result<T>) -> Result<T> {
        let mut state = self.engine.write();
        self.engine.check_running()?;
        let number = state.sequence + 1;
        let mut change = Change { store: self, number, changes: Changes::default() };
        let answer = decide(&mut change)?;
        let changes = change.changes;
        if !changes.is_empty() {
            self.engine.apply(&mut state, changes)?;
        }
        Ok(answer)
    }

    /// As [`change_later`](Self::change_later), and durable on return, what others have changed before included:
    /// an answer that rests on a change is not given before that change is durable.
    fn change<T>(&self, decide: impl FnOnce(&mut Change<'_>) -> Result<T>) -> Result<T> {
        let answer = self.change_later(decide)?;
        self.engine.make_durable()?;
        Ok(answer)
    }

    fn decode<R: Record>(&self, bytes: &[u8]) -> Result<R> {
        R::from_bytes(bytes).map_err(|error| match error {
            error @ Error::DamagedRecord { .. } => self.engine.damaged(error),
            error => error,
        })
    }

    /// Decodes a value that has the record's creation number in front.
    fn decode_numbered<R: Record>(&self, value: &[u8]) -> Result<(u64, R)> {
        let (number, bytes) =
            value.split_first_chunk().ok_or_else(|| self.engine.damaged("a record has no number"))?;
        Ok((u64::from_be_bytes(*number), self.decode(bytes)?))
    }

    fn get_numbered<R: Record>(&self, key: &impl Key) -> Result<Option<(u64, R)>> {
        let value = self.engine.get(&key.to_bytes())?;
        value.map(|value| self.decode_numbered(&value)).transpose()
    }

    fn get_array<const N: usize>(&self, key: &impl Key) -> Result<Option<[u8; N]>> {
        let value = self.engine.get(&key.to_bytes())?;
        value.map(|value| self.array(&value)).transpose()
    }

    fn array<const N: usize>(&self, value: &[u8]) -> Result<[u8; N]> {
        value.try_into().map_err(|_| self.engine.damaged("an index entry has a wrong length"))
    }

    fn key<K: Key>(&self, bytes: &[u8]) -> Result<K> {
        K::from_bytes(bytes).ok_or_else(|| self.engine.damaged("a key cannot be read"))
    }

    /// Reads every key that begins with `prefix`.
    fn collect<K: Key, T>(&self, prefix: &[u8], read: impl Fn(K, Vec<u8>) -> Result<T>) -> Result<Vec<T>> {
        let mut list = Vec::new();
        self.engine.walk(prefix, Direction::Forward, |key, value| {
            list.push(read(self.key(key)?, value)?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(list)
    }

    /// The last key that begins with `prefix`.
    fn last<K: Key>(&self, prefix: &[u8]) -> Result<Option<(K, Vec<u8>)>> {
        let mut last = None;
        self.engine.walk(prefix, Direction::Backward, |key, value| {
            last = Some((self.key(key)?, value));
            Ok(ControlFlow::Break(()))
        })?;
        Ok(last)
    }

    fn job(&self, id: JobId) -> Result<Option<(u64, Job)>> {
        self.get_numbered(&JobKey { job: id })
    }

    /// All jobs with their creation numbers, by id.
    fn jobs(&self) -> Result<Vec<(u64, Job)>> {
        self.collect(JobKey::PREFIX, |_: JobKey, value| self.decode_numbered(&value))
    }

    /// The checkpoint of a job, hash and kind, whatever its status, with its creation number.
    fn checkpoint(
        &self,
        job: JobId,
        hash: ContentHash,
        kind: CheckpointKind,
    ) -> Result<Option<(u64, Checkpoint)>> {
        let Some(number) = self.get_array(&CheckpointByHashKey { hash, kind, job })? else { return Ok(None) };
        let number = u64::from_be_bytes(number);
        let checkpoint = self.checkpoint_at(CheckpointKey { job, number })?;
        if (checkpoint.hash, checkpoint.kind) != (hash, kind) {
            return Err(self.engine.damaged("an index leads to another checkpoint"));
        }
        Ok(Some((number, checkpoint)))
    }

    /// The checkpoint that an index names.
    fn checkpoint_at(&self, key: CheckpointKey) -> Result<Checkpoint> {
        let bytes = self.engine.get(&key.to_bytes())?;
        let bytes =
            bytes.ok_or_else(|| self.engine.damaged("an index names a checkpoint that is not there"))?;
        let checkpoint: Checkpoint = self.decode(&bytes)?;
        if checkpoint.job != key.job {
            return Err(self.engine.damaged("a checkpoint stands under another job"));
        }
        Ok(checkpoint)
    }

    /// The active ones of the checkpoints that an index names, newest first.
    fn active_newest_first(&self, mut keys: Vec<CheckpointKey>) -> Result<Vec<Checkpoint>> {
        keys.sort_unstable_by_key(|key| std::cmp::Reverse(key.number));
        let mut checkpoints = Vec::with_capacity(keys.len());
        for key in keys {
            let checkpoint = self.checkpoint_at(key)?;
            if checkpoint.is_active() {
                checkpoints.push(checkpoint);
            }
        }
        Ok(checkpoints)
    }

    /// Where the checkpoints of a hash and kind are, in all jobs.
    fn checkpoint_keys(&self, hash: ContentHash, kind: CheckpointKind) -> Result<Vec<CheckpointKey>> {
        self.collect(&CheckpointByHashKey::prefix(hash, kind), |key: CheckpointByHashKey, number| {
            Ok(CheckpointKey { job: key.job, number: u64::from_be_bytes(self.array(&number)?) })
        })
    }

    /// Where the active checkpoints are that were created before a moment, oldest first.
    fn old_checkpoints(&self, older_than: Timestamp) -> Result<Vec<CheckpointKey>> {
        let mut old = Vec::new();
        self.engine.walk(CheckpointKey::PREFIX, Direction::Forward, |key, bytes| {
            let checkpoint: Checkpoint = self.decode(&bytes)?;
            if checkpoint.is_active() && checkpoint.created_at < older_than {
                old.push(self.key::<CheckpointKey>(key)?);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        old.sort_unstable_by_key(|key| key.number);
        Ok(old)
    }

    fn dataset(&self, name: &str, version: u32) -> Result<Option<(u64, DatasetVersion)>> {
        self.get_numbered(&DatasetKey { name: name.to_owned(), version })
    }

    fn last_version(&self, name: &str) -> Result<u32> {
        let last = self.get_array(&DatasetLastKey { name: name.to_owned() })?;
        Ok(last.map_or(0, u32::from_be_bytes))
    }
}

impl fmt::Debug for SledMetastore {
    // Sled's own output would be every key and value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SledMetastore").field("path", &self.path()).finish_non_exhaustive()
    }
}

/// A change that is being decided.
struct Change<'a> {
    store: &'a SledMetastore,
    /// The creation number of a record that this change adds.
    number: u64,
    changes: Changes,
}

impl Change<'_> {
    fn put(&mut self, key: &impl Key, value: Vec<u8>) {
        self.changes.put(key.to_bytes(), value);
    }

    fn remove(&mut self, key: &impl Key) {
        self.changes.remove(key.to_bytes());
    }

    fn put_numbered(&mut self, key: &impl Key, number: u64, record: &impl Record) -> Result<()> {
        let value = [&number.to_be_bytes()[..], &record.to_bytes()?].concat();
        self.put(key, value);
        Ok(())
    }

    fn add_checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let Checkpoint { job, hash, kind, hash_partial, .. } = *checkpoint;
        let number = self.number;
        if let Some((number, old)) = self.store.checkpoint(job, hash, kind)? {
            self.remove_checkpoint(number, &old);
        }
        self.put(&CheckpointKey { job, number }, checkpoint.to_bytes()?);
        self.put(&CheckpointByHashKey { hash, kind, job }, number.to_be_bytes().to_vec());
        self.put(&CheckpointByPartialKey { hash_partial, number }, job.to_bytes().to_vec());
        Ok(())
    }

    fn remove_checkpoint(&mut self, number: u64, checkpoint: &Checkpoint) {
        let Checkpoint { job, hash, kind, hash_partial, .. } = *checkpoint;
        self.remove(&CheckpointKey { job, number });
        self.remove(&CheckpointByHashKey { hash, kind, job });
        self.remove(&CheckpointByPartialKey { hash_partial, number });
    }
}
