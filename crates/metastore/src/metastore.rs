//! The trait that both stores implement.
//!
//! Three rules hold for every implementation, and the contract (feature `contract-tests`) checks them:
//!
//! - **Order is that of creation.** A store numbers what it is given. "Last", "newest first" and the order of a
//!   list mean this number and never a clock, which may be set back. Records that are put back into an emptied
//!   store are therefore to be put back in the order of their times.
//! - **`find` and `last` see active checkpoints only**; `list` sees all of them.
//! - **Durable on return.** What a call that changes jobs, checkpoints or datasets has done survives the death of
//!   the process and of the machine once the call has returned. Events alone may wait for the next such call or
//!   for [`flush`](Metastore::flush).

use std::collections::HashSet;
use std::fmt::Debug;

use rowmark_hashing::ContentHash;

use crate::{
    Checkpoint, CheckpointKind, CheckpointStatus, DatasetVersion, Error, Event, Job, JobId, JobStatus,
    Result, Timestamp,
};

/// Keeps the records of jobs, checkpoints, dataset versions and events.
///
/// ```
/// use rowmark_metastore::{Job, JobId, JobStatus, MemoryMetastore, Metastore, RunGroupId, Timestamp};
///
/// let metastore = MemoryMetastore::new();
/// let job = Job {
///     id: JobId::new(),
///     name: "nightly".to_owned(),
///     predecessor: None,
///     run_group: RunGroupId::new(),
///     status: JobStatus::Running,
///     started_at: Timestamp::from_millis(1_000),
///     finished_at: None,
///     error: None,
///     process: std::process::id(),
///     build: None,
/// };
/// metastore.create_job(&job)?;
/// metastore.finish_job(job.id, JobStatus::Complete, Timestamp::from_millis(2_000), None)?;
///
/// let last = metastore.find_last_job("nightly")?.expect("the job was created");
/// assert_eq!((last.id, last.status), (job.id, JobStatus::Complete));
/// # Ok::<(), rowmark_metastore::Error>(())
/// ```
pub trait Metastore: Send + Sync + Debug {
    /// A hash that changes with every change of the records; nothing where that is not kept, or something could not be
    /// read.
    fn content(&self) -> Option<ContentHash> {
        None
    }

    /// Adds a job. Its predecessor need not be there yet.
    ///
    /// # Errors
    ///
    /// [`Error::JobExists`] when the id is taken.
    fn create_job(&self, job: &Job) -> Result<()>;

    /// Records how a job ended; a later outcome takes the place of an earlier one. A long `error` is cut.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchJob`]; [`Error::Invalid`] for [`JobStatus::Running`], which is no outcome.
    fn finish_job(&self, id: JobId, status: JobStatus, at: Timestamp, error: Option<&str>) -> Result<()>;

    /// Returns a job.
    fn get_job(&self, id: JobId) -> Result<Option<Job>>;

    /// Finds the job of this name that was created last.
    fn find_last_job(&self, name: &str) -> Result<Option<Job>>;

    /// Lists all jobs in the order of their creation.
    fn list_jobs(&self) -> Result<Vec<Job>>;

    /// Returns the predecessors of a job, nearest first, to the very first; the job itself is not among them.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchJob`] when `id` is unknown, [`Error::MissingPredecessor`] when a predecessor is, and
    /// [`Error::PredecessorCycle`] when the chain comes back to a job that it has passed.
    fn get_ancestor_job_ids(&self, id: JobId) -> Result<Vec<JobId>> {
        walk_ancestors(id, |id| Ok(self.get_job(id)?.map(|job| job.predecessor)))
    }

    /// Adds a checkpoint, unless there is an active one of that job, hash and kind; returns the one that is there
    /// afterwards. One that is expired or deleted gives way.
    fn get_or_create_checkpoint(&self, checkpoint: Checkpoint) -> Result<Checkpoint>;

    /// Finds a job's checkpoint.
    fn find_checkpoint(
        &self,
        job: JobId,
        hash: ContentHash,
        kind: CheckpointKind,
    ) -> Result<Option<Checkpoint>>;

    /// Finds the checkpoint of the first job in the given order that has one.
    fn find_in(&self, jobs: &[JobId], hash: ContentHash, kind: CheckpointKind) -> Result<Option<Checkpoint>>;

    /// Finds the checkpoints of all jobs, newest first.
    fn find_anywhere(&self, hash: ContentHash, kind: CheckpointKind) -> Result<Vec<Checkpoint>>;

    /// Finds the checkpoints of either kind that belong to a partial hash, in all jobs, newest first.
    fn find_by_partial(&self, hash_partial: ContentHash) -> Result<Vec<Checkpoint>>;

    /// Lists the checkpoints of a job, whatever their status, in the order of their creation.
    fn list_checkpoints(&self, job: JobId) -> Result<Vec<Checkpoint>>;

    /// Returns a job's active checkpoint that was created last.
    fn get_last_checkpoint(&self, job: JobId) -> Result<Option<Checkpoint>>;

    /// Gives a checkpoint another status; tells whether it was there. A change to the status that it has is none.
    fn set_checkpoint_status(
        &self,
        job: JobId,
        hash: ContentHash,
        kind: CheckpointKind,
        status: CheckpointStatus,
    ) -> Result<bool>;

    /// Removes a checkpoint's record; tells whether it was there.
    fn remove_checkpoint(&self, job: JobId, hash: ContentHash, kind: CheckpointKind) -> Result<bool>;

    /// Lets the active checkpoints that were created before a moment expire; returns them, oldest first, as they
    /// are now.
    ///
    /// Many checkpoints are done in several durable steps; after a crash between them the next call does the rest.
    fn expire(&self, older_than: Timestamp) -> Result<Vec<Checkpoint>>;

    /// Puts a final checkpoint in the place of a job's partial one, in one transaction; returns the final one that is
    /// there afterwards (an active one that was there before stays).
    ///
    /// Doing it again changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchCheckpoint`] when there is neither an active partial nor an active final one;
    /// [`Error::Invalid`] when `checkpoint` is not an active final one of that job and that partial hash.
    fn promote(&self, job: JobId, hash_partial: ContentHash, checkpoint: Checkpoint) -> Result<Checkpoint>;

    /// Adds a version of a dataset.
    ///
    /// # Errors
    ///
    /// [`Error::DatasetVersionExists`].
    fn save_dataset(&self, dataset: &DatasetVersion) -> Result<()>;

    /// Returns a version of a dataset, or its highest.
    fn get_dataset(&self, name: &str, version: Option<u32>) -> Result<Option<DatasetVersion>>;

    /// Returns the version that the next save of this dataset should have: 1, 2, 3, and never one that there
    /// was before, even when it has been removed since.
    ///
    /// Two callers may get the same one; [`save_dataset`](Self::save_dataset) then refuses the second.
    fn get_next_dataset_version(&self, name: &str) -> Result<u32>;

    /// Finds the version of a dataset that a chain made; the one saved last, if there are several.
    fn find_dataset(&self, name: &str, chain_hash: ContentHash) -> Result<Option<DatasetVersion>>;

    /// Finds the dataset versions of any name that a chain made, newest first.
    fn find_datasets_by_chain(&self, chain_hash: ContentHash) -> Result<Vec<DatasetVersion>>;

    /// Lists all versions of all datasets, by name and version.
    fn list_datasets(&self) -> Result<Vec<DatasetVersion>>;

    /// Removes a version of a dataset; tells whether it was there.
    fn remove_dataset(&self, name: &str, version: u32) -> Result<bool>;

    /// Adds an event to its job's, and returns the number it has there, counted from 1. A long reason is cut.
    fn record_event(&self, event: Event) -> Result<u64>;

    /// Lists the events of a job in their order.
    fn list_events(&self, job: JobId) -> Result<Vec<Event>>;

    /// Makes durable what may not be yet: events.
    fn flush(&self) -> Result<()>;
}

/// Follows the predecessors of a job; `predecessor` answers `None` for a job that is not there.
pub(crate) fn walk_ancestors(
    id: JobId,
    mut predecessor: impl FnMut(JobId) -> Result<Option<Option<JobId>>>,
) -> Result<Vec<JobId>> {
    let mut ancestors = Vec::new();
    let mut passed = HashSet::from([id]);
    let mut job = id;
    let mut next = predecessor(id)?.ok_or(Error::NoSuchJob { job: id })?;
    while let Some(ancestor) = next {
        if !passed.insert(ancestor) {
            return Err(Error::PredecessorCycle { job: ancestor });
        }
        ancestors.push(ancestor);
        next = predecessor(ancestor)?.ok_or(Error::MissingPredecessor { job, predecessor: ancestor })?;
        job = ancestor;
    }
    Ok(ancestors)
}
