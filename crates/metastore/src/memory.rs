//! A metastore in memory: for tests, and for runs that keep nothing.
//!
//! It is written for likeness to the contract and not for speed: what has no map of its own is found by looking at
//! everything. It holds typed records, not bytes, so that it shares no code with the sled store that a comparison
//! of the two is meant to check; only the bounds of records are the same functions.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rowmark_hashing::ContentHash;

use crate::bounds::cut_text;
use crate::dataset::next_version;
use crate::{
    Checkpoint, CheckpointKind, CheckpointStatus, DatasetVersion, Error, Event, Job, JobId, JobStatus,
    Metastore, Record, Result, Timestamp,
};

/// Keeps records in memory, until it is dropped.
///
/// ```
/// use rowmark_metastore::{MemoryMetastore, Metastore};
///
/// let metastore = MemoryMetastore::new();
/// assert_eq!(metastore.get_next_dataset_version("reviews")?, 1);
/// # Ok::<(), rowmark_metastore::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct MemoryMetastore {
    records: RwLock<Records>,
}

type CheckpointPlace = (ContentHash, CheckpointKind, JobId);

/// A record and its place in the order of creation.
#[derive(Debug)]
struct Numbered<T> {
    number: u64,
    record: T,
}

#[derive(Debug, Default)]
struct Records {
    number_last: u64,
    jobs: BTreeMap<JobId, Numbered<Job>>,
    checkpoints: BTreeMap<CheckpointPlace, Numbered<Checkpoint>>,
    datasets: BTreeMap<(String, u32), Numbered<DatasetVersion>>,
    dataset_versions_last: BTreeMap<String, u32>,
    events: BTreeMap<JobId, Vec<Event>>,
}

impl MemoryMetastore {
    /// Makes an empty store.
    pub fn new() -> Self {
        Self::default()
    }

    // Every method checks before it changes, so records left by a panicking thread are whole.
    fn read(&self) -> RwLockReadGuard<'_, Records> {
        self.records.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Records> {
        self.records.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Records {
    fn numbered<T>(&mut self, record: T) -> Numbered<T> {
        self.number_last += 1;
        Numbered { number: self.number_last, record }
    }

    fn active(&self, hash: ContentHash, kind: CheckpointKind, job: JobId) -> Option<&Checkpoint> {
        self.checkpoints
            .get(&(hash, kind, job))
            .map(|numbered| &numbered.record)
            .filter(|checkpoint| checkpoint.is_active())
    }

    fn insert_checkpoint(&mut self, checkpoint: &Checkpoint) {
        let place = (checkpoint.hash, checkpoint.kind, checkpoint.job);
        let numbered = self.numbered(checkpoint.clone());
        self.checkpoints.insert(place, numbered);
    }

    /// The checkpoints that satisfy a condition, in the order of creation.
    fn checkpoints_where(&self, condition: impl Fn(&Checkpoint) -> bool) -> Vec<Checkpoint> {
        in_order(self.checkpoints.values().filter(|numbered| condition(&numbered.record)))
    }
}

fn in_order<'a, T: Clone + 'a>(records: impl Iterator<Item = &'a Numbered<T>>) -> Vec<T> {
    let mut records: Vec<_> = records.collect();
    records.sort_unstable_by_key(|numbered| numbered.number);
    records.into_iter().map(|numbered| numbered.record.clone()).collect()
}

fn reversed<T>(mut list: Vec<T>) -> Vec<T> {
    list.reverse();
    list
}

/// Refuses what the sled store would refuse: fields out of bounds and records that are too long.
fn check(record: &impl Record) -> Result<()> {
    record.to_bytes().map(drop)
}

impl Metastore for MemoryMetastore {
    fn create_job(&self, job: &Job) -> Result<()> {
        check(job)?;
        let mut records = self.write();
        if records.jobs.contains_key(&job.id) {
            return Err(Error::JobExists { job: job.id });
        }
        let numbered = records.numbered(job.clone());
        records.jobs.insert(job.id, numbered);
        Ok(())
    }

    fn finish_job(&self, id: JobId, status: JobStatus, at: Timestamp, error: Option<&str>) -> Result<()> {
        status.check_outcome()?;
        let mut records = self.write();
        let job = &mut records.jobs.get_mut(&id).ok_or(Error::NoSuchJob { job: id })?.record;
        job.status = status;
        job.finished_at = Some(at);
        job.error = error.map(cut_text);
        Ok(())
    }

    fn get_job(&self, id: JobId) -> Result<Option<Job>> {
        Ok(self.read().jobs.get(&id).map(|numbered| numbered.record.clone()))
    }

    fn find_last_job(&self, name: &str) -> Result<Option<Job>> {
        let records = self.read();
        let named = records.jobs.values().filter(|numbered| numbered.record.name == name);
        Ok(named.max_by_key(|numbered| numbered.number).map(|numbered| numbered.record.clone()))
    }

    fn list_jobs(&self) -> Result<Vec<Job>> {
        Ok(in_order(self.read().jobs.values()))
    }

    fn get_or_create_checkpoint(&self, checkpoint: Checkpoint) -> Result<Checkpoint> {
        check(&checkpoint)?;
        let mut records = self.write();
        if let Some(existing) = records.active(checkpoint.hash, checkpoint.kind, checkpoint.job) {
            return Ok(existing.clone());
        }
        records.insert_checkpoint(&checkpoint);
        Ok(checkpoint)
    }

    fn find_checkpoint(
        &self,
        job: JobId,
        hash: ContentHash,
        kind: CheckpointKind,
    ) -> Result<Option<Checkpoint>> {
        Ok(self.read().active(hash, kind, job).cloned())
    }

    fn find_in(&self, jobs: &[JobId], hash: ContentHash, kind: CheckpointKind) -> Result<Option<Checkpoint>> {
        let records = self.read();
        Ok(jobs.iter().find_map(|&job| records.active(hash, kind, job)).cloned())
    }

    fn find_anywhere(&self, hash: ContentHash, kind: CheckpointKind) -> Result<Vec<Checkpoint>> {
        let found = self.read().checkpoints_where(|checkpoint| {
            checkpoint.is_active() && checkpoint.hash == hash && checkpoint.kind == kind
        });
        Ok(reversed(found))
    }

    fn find_by_partial(&self, hash_partial: ContentHash) -> Result<Vec<Checkpoint>> {
        let found = self.read().checkpoints_where(|checkpoint| {
            checkpoint.is_active() && checkpoint.hash_partial == hash_partial
        });
        Ok(reversed(found))
    }

    fn list_checkpoints(&self, job: JobId) -> Result<Vec<Checkpoint>> {
        Ok(self.read().checkpoints_where(|checkpoint| checkpoint.job == job))
    }

    fn get_last_checkpoint(&self, job: JobId) -> Result<Option<Checkpoint>> {
        let mut active =
            self.read().checkpoints_where(|checkpoint| checkpoint.is_active() && checkpoint.job == job);
        Ok(active.pop())
    }

    fn set_checkpoint_status(
        &self,
        job: JobId,
        hash: ContentHash,
        kind: CheckpointKind,
        status: CheckpointStatus,
    ) -> Result<bool> {
        let mut records = self.write();
        let numbered = records.checkpoints.get_mut(&(hash, kind, job));
        Ok(numbered.map(|numbered| numbered.record.status = status).is_some())
    }

    fn remove_checkpoint(&self, job: JobId, hash: ContentHash, kind: CheckpointKind) -> Result<bool> {
        Ok(self.write().checkpoints.remove(&(hash, kind, job)).is_some())
    }

    fn expire(&self, older_than: Timestamp) -> Result<Vec<Checkpoint>> {
        let mut records = self.write();
        let old = |checkpoint: &Checkpoint| checkpoint.is_active() && checkpoint.created_at < older_than;
        let mut expired = records.checkpoints_where(old);
        for checkpoint in &mut expired {
            checkpoint.status = CheckpointStatus::Expired;
            let place = (checkpoint.hash, checkpoint.kind, checkpoint.job);
            if let Some(numbered) = records.checkpoints.get_mut(&place) {
                numbered.record.status = CheckpointStatus::Expired;
            }
        }
        Ok(expired)
    }

    fn promote(&self, job: JobId, hash_partial: ContentHash, checkpoint: Checkpoint) -> Result<Checkpoint> {
        check(&checkpoint)?;
        checkpoint.check_final_of(job, hash_partial)?;
        let mut records = self.write();
        let existing = records.active(checkpoint.hash, CheckpointKind::Final, job).cloned();
        let partial = records.active(hash_partial, CheckpointKind::Partial, job).is_some();
        if existing.is_none() && !partial {
            return Err(Error::NoSuchCheckpoint { job, hash: hash_partial });
        }
        if partial {
            records.checkpoints.remove(&(hash_partial, CheckpointKind::Partial, job));
        }
        Ok(existing.unwrap_or_else(|| {
            records.insert_checkpoint(&checkpoint);
            checkpoint
        }))
    }

    fn save_dataset(&self, dataset: &DatasetVersion) -> Result<()> {
        check(dataset)?;
        let mut records = self.write();
        let place = (dataset.name.clone(), dataset.version);
        if records.datasets.contains_key(&place) {
            let (name, version) = place;
            return Err(Error::DatasetVersionExists { name, version });
        }
        let last = records.dataset_versions_last.entry(dataset.name.clone()).or_default();
        *last = dataset.version.max(*last);
        let numbered = records.numbered(dataset.clone());
        records.datasets.insert(place, numbered);
        Ok(())
    }

    fn get_dataset(&self, name: &str, version: Option<u32>) -> Result<Option<DatasetVersion>> {
        let records = self.read();
        let named =
            records.datasets.values().map(|numbered| &numbered.record).filter(|dataset| dataset.name == name);
        let found = match version {
            Some(version) => named.into_iter().find(|dataset| dataset.version == version),
            None => named.max_by_key(|dataset| dataset.version),
        };
        Ok(found.cloned())
    }

    fn get_next_dataset_version(&self, name: &str) -> Result<u32> {
        let last = self.read().dataset_versions_last.get(name).copied().unwrap_or(0);
        next_version(last)
    }

    fn find_dataset(&self, name: &str, chain_hash: ContentHash) -> Result<Option<DatasetVersion>> {
        Ok(self.find_datasets_by_chain(chain_hash)?.into_iter().find(|dataset| dataset.name == name))
    }

    fn find_datasets_by_chain(&self, chain_hash: ContentHash) -> Result<Vec<DatasetVersion>> {
        let records = self.read();
        let found = records.datasets.values().filter(|numbered| numbered.record.chain_hash == chain_hash);
        Ok(reversed(in_order(found)))
    }

    fn list_datasets(&self) -> Result<Vec<DatasetVersion>> {
        Ok(self.read().datasets.values().map(|numbered| numbered.record.clone()).collect())
    }

    fn remove_dataset(&self, name: &str, version: u32) -> Result<bool> {
        Ok(self.write().datasets.remove(&(name.to_owned(), version)).is_some())
    }

    fn record_event(&self, mut event: Event) -> Result<u64> {
        event.reason = cut_text(&event.reason);
        check(&event)?;
        let mut records = self.write();
        let events = records.events.entry(event.job).or_default();
        let number = events.last().map_or(1, |last| last.number + 1);
        event.number = number;
        events.push(event);
        Ok(number)
    }

    fn list_events(&self, job: JobId) -> Result<Vec<Event>> {
        Ok(self.read().events.get(&job).cloned().unwrap_or_default())
    }

    fn flush(&self) -> Result<()> {
        Ok(())
    }
}
