//! A metastore whose calls can be died at, as the operations of a file system can.
//!
//! Every call that changes something is two numbered operations: one before it takes effect and one between its effect
//! and its answer. What was answered is durable, as the trait promises; events wait in memory for the next change, and
//! are lost with the process.

use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rowmark::hashing::ContentHash;
use rowmark::metastore::{
    Checkpoint, CheckpointKind, CheckpointStatus, DatasetVersion, Error, Event, Job, JobId, JobStatus,
    Metastore, Result, Timestamp,
};
use rowmark_os::{Os as _, Simulated};

/// What numbers operations, and fails or dies at some.
pub(crate) trait Numbers: Debug + Send + Sync {
    /// Counts an operation.
    fn next(&self) -> io::Result<()>;

    /// Fails once the process has died.
    fn check_alive(&self) -> io::Result<()>;
}

impl Numbers for Simulated {
    /// Syncs the empty folder that everything is in: it is an operation like others, and makes nothing durable that
    /// a store relies on.
    fn next(&self) -> io::Result<()> {
        self.sync_folder(Path::new(RECORDS))
    }

    fn check_alive(&self) -> io::Result<()> {
        self.exists(Path::new(RECORDS)).map(drop)
    }
}

/// Stands for the metastore among a simulated machine's files: a folder in which there is never anything.
pub(crate) const RECORDS: &str = "records";

/// A metastore that counts; made anew for every process, over records that outlive it.
#[derive(Debug)]
pub(crate) struct Numbered<N> {
    numbers: N,
    records: Arc<dyn Metastore>,
    events: Mutex<Vec<Event>>,
}

impl<N: Numbers> Numbered<N> {
    pub(crate) fn new(numbers: N, records: Arc<dyn Metastore>) -> Self {
        Self { numbers, records, events: Mutex::default() }
    }

    fn failed(source: io::Error) -> Error {
        Error::Io { action: "write", path: RECORDS.into(), source }
    }

    fn reading(&self) -> Result<&dyn Metastore> {
        self.numbers.check_alive().map_err(Self::failed)?;
        Ok(&*self.records)
    }

    /// A call that is durable when it answers, with the events before it.
    fn durably<T>(&self, change: impl FnOnce(&dyn Metastore) -> Result<T>) -> Result<T> {
        let mut events = self.events.lock().unwrap();
        self.numbers.next().map_err(Self::failed)?;
        for event in events.drain(..) {
            self.records.record_event(event)?;
        }
        let answer = change(&*self.records);
        self.numbers.next().map_err(Self::failed)?;
        answer
    }
}

impl<N: Numbers> Metastore for Numbered<N> {
    fn create_job(&self, job: &Job) -> Result<()> {
        self.durably(|records| records.create_job(job))
    }

    fn finish_job(&self, id: JobId, status: JobStatus, at: Timestamp, error: Option<&str>) -> Result<()> {
        self.durably(|records| records.finish_job(id, status, at, error))
    }

    fn get_job(&self, id: JobId) -> Result<Option<Job>> {
        self.reading()?.get_job(id)
    }

    fn find_last_job(&self, name: &str) -> Result<Option<Job>> {
        self.reading()?.find_last_job(name)
    }

    fn list_jobs(&self) -> Result<Vec<Job>> {
        self.reading()?.list_jobs()
    }

    fn get_or_create_checkpoint(&self, checkpoint: Checkpoint) -> Result<Checkpoint> {
        self.durably(|records| records.get_or_create_checkpoint(checkpoint))
    }

    fn find_checkpoint(
        &self,
        job: JobId,
        hash: ContentHash,
        kind: CheckpointKind,
    ) -> Result<Option<Checkpoint>> {
        self.reading()?.find_checkpoint(job, hash, kind)
    }

    fn find_in(&self, jobs: &[JobId], hash: ContentHash, kind: CheckpointKind) -> Result<Option<Checkpoint>> {
        self.reading()?.find_in(jobs, hash, kind)
    }

    fn find_anywhere(&self, hash: ContentHash, kind: CheckpointKind) -> Result<Vec<Checkpoint>> {
        self.reading()?.find_anywhere(hash, kind)
    }

    fn find_by_partial(&self, hash_partial: ContentHash) -> Result<Vec<Checkpoint>> {
        self.reading()?.find_by_partial(hash_partial)
    }

    fn list_checkpoints(&self, job: JobId) -> Result<Vec<Checkpoint>> {
        self.reading()?.list_checkpoints(job)
    }

    fn get_last_checkpoint(&self, job: JobId) -> Result<Option<Checkpoint>> {
        self.reading()?.get_last_checkpoint(job)
    }

    fn set_checkpoint_status(
        &self,
        job: JobId,
        hash: ContentHash,
        kind: CheckpointKind,
        status: CheckpointStatus,
    ) -> Result<bool> {
        self.durably(|records| records.set_checkpoint_status(job, hash, kind, status))
    }

    fn remove_checkpoint(&self, job: JobId, hash: ContentHash, kind: CheckpointKind) -> Result<bool> {
        self.durably(|records| records.remove_checkpoint(job, hash, kind))
    }

    fn expire(&self, older_than: Timestamp) -> Result<Vec<Checkpoint>> {
        self.durably(|records| records.expire(older_than))
    }

    fn promote(&self, job: JobId, hash_partial: ContentHash, checkpoint: Checkpoint) -> Result<Checkpoint> {
        self.durably(|records| records.promote(job, hash_partial, checkpoint))
    }

    fn save_dataset(&self, dataset: &DatasetVersion) -> Result<()> {
        self.durably(|records| records.save_dataset(dataset))
    }

    fn get_dataset(&self, name: &str, version: Option<u32>) -> Result<Option<DatasetVersion>> {
        self.reading()?.get_dataset(name, version)
    }

    fn get_next_dataset_version(&self, name: &str) -> Result<u32> {
        self.reading()?.get_next_dataset_version(name)
    }

    fn find_dataset(&self, name: &str, chain_hash: ContentHash) -> Result<Option<DatasetVersion>> {
        self.reading()?.find_dataset(name, chain_hash)
    }

    fn find_datasets_by_chain(&self, chain_hash: ContentHash) -> Result<Vec<DatasetVersion>> {
        self.reading()?.find_datasets_by_chain(chain_hash)
    }

    fn list_datasets(&self) -> Result<Vec<DatasetVersion>> {
        self.reading()?.list_datasets()
    }

    fn remove_dataset(&self, name: &str, version: u32) -> Result<bool> {
        self.durably(|records| records.remove_dataset(name, version))
    }

    /// Not durable, and so no operation.
    fn record_event(&self, event: Event) -> Result<u64> {
        let recorded = self.reading()?.list_events(event.job)?.len();
        let mut events = self.events.lock().unwrap();
        let waiting = events.iter().filter(|other| other.job == event.job).count();
        events.push(event);
        Ok((recorded + waiting) as u64 + 1)
    }

    fn list_events(&self, job: JobId) -> Result<Vec<Event>> {
        let mut list = self.reading()?.list_events(job)?;
        for event in self.events.lock().unwrap().iter().filter(|event| event.job == job) {
            list.push(Event { number: list.len() as u64 + 1, ..event.clone() });
        }
        Ok(list)
    }

    fn flush(&self) -> Result<()> {
        self.durably(|_| Ok(()))
    }
}
