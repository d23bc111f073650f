//! A metastore in a sled folder.
//!
//! Records are spelled by the [codec](crate::Record), keys by [`keys`]; [`engine`] makes changes atomic and durable,
//! and [`open`] finds out whether a folder can be used. Here is only which keys a change of records touches. A
//! change and the indexes that go with it are one batch of one tree, so there is no moment at which a record can be
//! found by one way and not by another.

mod acknowledged;
mod engine;
mod keys;
mod open;
mod state;

use std::collections::HashMap;
use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;

use rowmark_hashing::ContentHash;

use self::engine::{Changes, Direction, Engine};
use self::keys::{
    CheckpointByHashKey, CheckpointByPartialKey, CheckpointKey, DatasetByChainKey, DatasetKey,
    DatasetLastKey, EventKey, JobByNameKey, JobKey, Key,
};
use crate::bounds::cut_text;
use crate::dataset::next_version;
use crate::{
    Checkpoint, CheckpointKind, CheckpointStatus, DatasetVersion, Error, Event, Job, JobId, JobStatus,
    Metastore, Record, Result, Timestamp,
};

/// Keeps records in a folder, durably.
///
/// One process at a time may have the folder open, and once. Everything that a method of [`Metastore`] has changed
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
}

impl SledMetastore {
    /// Opens the store in a folder, which is created if it is not there.
    ///
    /// All of it is read once and checked against a count and a digest; 100,000 checkpoints take a few tenths of a
    /// second.
    ///
    /// # Errors
    ///
    /// [`Error::InUse`], [`Error::NotAFolder`], [`Error::NotWritable`] and [`Error::Io`] say why the folder cannot
    /// be used; nothing in it has been changed. [`Error::NewerFormat`] asks for an upgrade. [`Error::Damaged`]
    /// means that something that was written is not there any more or cannot be read: the folder can be set aside
    /// and the records rebuilt, into a new one, from the tables that carry them.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let (engine, is_new) = open::open(path.as_ref())?;
        Ok(Self { engine, is_new })
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

impl Metastore for SledMetastore {
    fn create_job(&self, job: &Job) -> Result<()> {
        self.change(|change| {
            if self.job(job.id)?.is_some() {
                return Err(Error::JobExists { job: job.id });
            }
            let number = change.number;
            change.put_numbered(&JobKey { job: job.id }, number, job)?;
            change.put(&JobByNameKey { name: job.name.clone(), number }, job.id.to_bytes().to_vec());
            Ok(())
        })
    }

    fn finish_job(&self, id: JobId, status: JobStatus, at: Timestamp, error: Option<&str>) -> Result<()> {
        status.check_outcome()?;
        self.change(|change| {
            let (number, mut job) = self.job(id)?.ok_or(Error::NoSuchJob { job: id })?;
            job.status = status;
            job.finished_at = Some(at);
            job.error = error.map(cut_text);
            change.put_numbered(&JobKey { job: id }, number, &job)
        })
    }

    fn get_job(&self, id: JobId) -> Result<Option<Job>> {
        let _unchanged = self.engine.read();
        Ok(self.job(id)?.map(|(_, job)| job))
    }

    fn find_last_job(&self, name: &str) -> Result<Option<Job>> {
        if name.contains('\0') {
            return Ok(None);
        }
        let _unchanged = self.engine.read();
        let Some((_, id)) = self.last::<JobByNameKey>(&JobByNameKey::prefix(name))? else { return Ok(None) };
        let job = self.job(JobId::from_bytes(self.array(&id)?))?;
        let (_, job) = job.ok_or_else(|| self.engine.damaged("an index names a job that is not there"))?;
        Ok(Some(job))
    }

    fn list_jobs(&self) -> Result<Vec<Job>> {
        let _unchanged = self.engine.read();
        let mut jobs: Vec<(u64, Job)> =
            self.collect(JobKey::PREFIX, |_: JobKey, value| self.decode_numbered(&value))?;
        jobs.sort_unstable_by_key(|&(number, _)| number);
        Ok(jobs.into_iter().map(|(_, job)| job).collect())
    }

    fn get_or_create_checkpoint(&self, checkpoint: Checkpoint) -> Result<Checkpoint> {
        self.change(|change| {
            let existing = self.checkpoint(checkpoint.job, checkpoint.hash, checkpoint.kind)?;
            if let Some((_, existing)) = existing.filter(|(_, existing)| existing.is_active()) {
                return Ok(existing);
            }
            change.add_checkpoint(&checkpoint)?;
            Ok(checkpoint)
        })
    }

    fn find_checkpoint(
        &self,
        job: JobId,
        hash: ContentHash,
        kind: CheckpointKind,
    ) -> Result<Option<Checkpoint>> {
        let _unchanged = self.engine.read();
        let found = self.checkpoint(job, hash, kind)?;
        Ok(found.map(|(_, checkpoint)| checkpoint).filter(Checkpoint::is_active))
    }

    fn find_in(&self, jobs: &[JobId], hash: ContentHash, kind: CheckpointKind) -> Result<Option<Checkpoint>> {
        let _unchanged = self.engine.read();
        let holders = self.checkpoint_keys(hash, kind)?;
        let holders: HashMap<JobId, CheckpointKey> = holders.into_iter().map(|key| (key.job, key)).collect();
        for key in jobs.iter().filter_map(|job| holders.get(job)) {
            let checkpoint = self.checkpoint_at(*key)?;
            if checkpoint.is_active() {
                return Ok(Some(checkpoint));
            }
        }
        Ok(None)
    }

    fn find_anywhere(&self, hash: ContentHash, kind: CheckpointKind) -> Result<Vec<Checkpoint>> {
        let _unchanged = self.engine.read();
        self.active_newest_first(self.checkpoint_keys(hash, kind)?)
    }

    fn find_by_partial(&self, hash_partial: ContentHash) -> Result<Vec<Checkpoint>> {
        let _unchanged = self.engine.read();
        let prefix = CheckpointByPartialKey::prefix(hash_partial);
        let keys = self.collect(&prefix, |key: CheckpointByPartialKey, job| {
            Ok(CheckpointKey { job: JobId::from_bytes(self.array(&job)?), number: key.number })
        })?;
        self.active_newest_first(keys)
    }

    fn list_checkpoints(&self, job: JobId) -> Result<Vec<Checkpoint>> {
        let _unchanged = self.engine.read();
        self.collect(&CheckpointKey::prefix(job), |_: CheckpointKey, bytes| self.decode(&bytes))
    }

    fn get_last_checkpoint(&self, job: JobId) -> Result<Option<Checkpoint>> {
        let _unchanged = self.engine.read();
        let mut last = None;
        self.engine.walk(&CheckpointKey::prefix(job), Direction::Backward, |_, bytes| {
            let checkpoint: Checkpoint = self.decode(&bytes)?;
            if !checkpoint.is_active() {
                return Ok(ControlFlow::Continue(()));
            }
            last = Some(checkpoint);
            Ok(ControlFlow::Break(()))
        })?;
        Ok(last)
    }

    fn set_checkpoint_status(
        &self,
        job: JobId,
        hash: ContentHash,
        kind: CheckpointKind,
        status: CheckpointStatus,
    ) -> Result<bool> {
        self.change(|change| {
            let Some((number, mut checkpoint)) = self.checkpoint(job, hash, kind)? else { return Ok(false) };
            if checkpoint.status != status {
                checkpoint.status = status;
                change.put(&CheckpointKey { job, number }, checkpoint.to_bytes()?);
            }
            Ok(true)
        })
    }

    fn remove_checkpoint(&self, job: JobId, hash: ContentHash, kind: CheckpointKind) -> Result<bool> {
        self.change(|change| {
            let found = self.checkpoint(job, hash, kind)?;
            Ok(found.map(|(number, checkpoint)| change.remove_checkpoint(number, &checkpoint)).is_some())
        })
    }

    fn expire(&self, older_than: Timestamp) -> Result<Vec<Checkpoint>> {
        let old = {
            let _unchanged = self.engine.read();
            self.old_checkpoints(older_than)?
        };
        let mut expired = Vec::with_capacity(old.len());
        for key in old {
            self.change_later(|change| {
                // Others may have removed it or changed its status since the list was made.
                let Some(bytes) = self.engine.get(&key.to_bytes())? else { return Ok(()) };
                let mut checkpoint: Checkpoint = self.decode(&bytes)?;
                if checkpoint.is_active() {
                    checkpoint.status = CheckpointStatus::Expired;
                    change.put(&key, checkpoint.to_bytes()?);
                    expired.push(checkpoint);
                }
                Ok(())
            })?;
        }
        self.engine.make_durable()?;
        Ok(expired)
    }

    fn promote(&self, job: JobId, hash_partial: ContentHash, checkpoint: Checkpoint) -> Result<Checkpoint> {
        checkpoint.check_final_of(job, hash_partial)?;
        self.change(|change| {
            let active = |found: &(u64, Checkpoint)| found.1.is_active();
            let existing = self.checkpoint(job, checkpoint.hash, CheckpointKind::Final)?.filter(active);
            let partial = self.checkpoint(job, hash_partial, CheckpointKind::Partial)?.filter(active);
            if existing.is_none() && partial.is_none() {
                return Err(Error::NoSuchCheckpoint { job, hash: hash_partial });
            }
            if let Some((number, partial)) = partial {
                change.remove_checkpoint(number, &partial);
            }
            if let Some((_, existing)) = existing {
                return Ok(existing);
            }
            change.add_checkpoint(&checkpoint)?;
            Ok(checkpoint)
        })
    }

    fn save_dataset(&self, dataset: &DatasetVersion) -> Result<()> {
        self.change(|change| {
            let key = DatasetKey { name: dataset.name.clone(), version: dataset.version };
            if self.dataset(&key.name, key.version)?.is_some() {
                return Err(Error::DatasetVersionExists { name: key.name, version: key.version });
            }
            let number = change.number;
            change.put_numbered(&key, number, dataset)?;
            let by_chain = DatasetByChainKey { chain_hash: dataset.chain_hash, number };
            change.put(&by_chain, key.to_bytes());
            let last = self.last_version(&key.name)?.max(key.version);
            change.put(&DatasetLastKey { name: key.name }, last.to_be_bytes().to_vec());
            Ok(())
        })
    }

    fn get_dataset(&self, name: &str, version: Option<u32>) -> Result<Option<DatasetVersion>> {
        if name.contains('\0') {
            return Ok(None);
        }
        let _unchanged = self.engine.read();
        let found = match version {
            Some(version) => self.dataset(name, version)?,
            None => match self.last::<DatasetKey>(&DatasetKey::prefix(name))? {
                Some((_, value)) => Some(self.decode_numbered(&value)?),
                None => None,
            },
        };
        Ok(found.map(|(_, dataset)| dataset))
    }

    fn get_next_dataset_version(&self, name: &str) -> Result<u32> {
        next_version(self.last_version(name)?)
    }

    fn find_dataset(&self, name: &str, chain_hash: ContentHash) -> Result<Option<DatasetVersion>> {
        Ok(self.find_datasets_by_chain(chain_hash)?.into_iter().find(|dataset| dataset.name == name))
    }

    fn find_datasets_by_chain(&self, chain_hash: ContentHash) -> Result<Vec<DatasetVersion>> {
        let _unchanged = self.engine.read();
        let prefix = DatasetByChainKey::prefix(chain_hash);
        let mut datasets = self.collect(&prefix, |_: DatasetByChainKey, key| {
            let key: DatasetKey = self.key(&key)?;
            let dataset = self.dataset(&key.name, key.version)?;
            let (_, dataset) =
                dataset.ok_or_else(|| self.engine.damaged("an index names a dataset that is not there"))?;
            Ok(dataset)
        })?;
        datasets.reverse();
        Ok(datasets)
    }

    fn list_datasets(&self) -> Result<Vec<DatasetVersion>> {
        let _unchanged = self.engine.read();
        self.collect(DatasetKey::PREFIX, |_: DatasetKey, value| Ok(self.decode_numbered(&value)?.1))
    }

    fn remove_dataset(&self, name: &str, version: u32) -> Result<bool> {
        self.change(|change| {
            let Some((number, dataset)) = self.dataset(name, version)? else { return Ok(false) };
            change.remove(&DatasetKey { name: name.to_owned(), version });
            change.remove(&DatasetByChainKey { chain_hash: dataset.chain_hash, number });
            Ok(true)
        })
    }

    fn record_event(&self, mut event: Event) -> Result<u64> {
        event.reason = cut_text(&event.reason);
        self.change_later(|change| {
            let last = self.last::<EventKey>(&EventKey::prefix(event.job))?;
            event.number = last.map_or(1, |(key, _)| key.number + 1);
            change.put(&EventKey { job: event.job, number: event.number }, event.to_bytes()?);
            Ok(event.number)
        })
    }

    fn list_events(&self, job: JobId) -> Result<Vec<Event>> {
        let _unchanged = self.engine.read();
        self.collect(&EventKey::prefix(job), |_: EventKey, bytes| self.decode(&bytes))
    }

    fn flush(&self) -> Result<()> {
        self.engine.make_durable()
    }
}
