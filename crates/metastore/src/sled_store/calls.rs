//! The calls of [`Metastore`], on keys and values.

use std::collections::HashMap;
use std::ops::ControlFlow;

use rowmark_hashing::ContentHash;

use super::SledMetastore;
use super::engine::Direction;
use super::keys::{
    CheckpointByPartialKey, CheckpointKey, DatasetByChainKey, DatasetKey, DatasetLastKey, EventKey,
    JobByNameKey, JobKey, Key,
};
use crate::bounds::cut_text;
use crate::dataset::next_version;
use crate::metastore::walk_ancestors;
use crate::{
    Checkpoint, CheckpointKind, CheckpointStatus, DatasetVersion, Error, Event, Job, JobId, JobStatus,
    Metastore, Record, Result, Timestamp,
};

/// Predecessors that are looked up one by one; for a longer chain, reading all jobs in their order is faster.
const ANCESTOR_HOPS_MAX: usize = 100;

impl Metastore for SledMetastore {
    fn content(&self) -> Option<ContentHash> {
        self.engine.content()
    }

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
        let mut jobs = self.jobs()?;
        jobs.sort_unstable_by_key(|&(number, _)| number);
        Ok(jobs.into_iter().map(|(_, job)| job).collect())
    }

    fn get_ancestor_job_ids(&self, id: JobId) -> Result<Vec<JobId>> {
        let _unchanged = self.engine.read();
        let mut hops = 0;
        let mut all_jobs: Option<HashMap<JobId, Job>> = None;
        walk_ancestors(id, |id| {
            hops += 1;
            if hops <= ANCESTOR_HOPS_MAX {
                return Ok(self.job(id)?.map(|(_, job)| job.predecessor));
            }
            let jobs = match all_jobs.take() {
                Some(jobs) => jobs,
                None => self.jobs()?.into_iter().map(|(_, job)| (job.id, job)).collect(),
            };
            Ok(all_jobs.insert(jobs).get(&id).map(|job| job.predecessor))
        })
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
