//! What is stored, and what of it may go. Nothing goes unless it is asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use rowmark_hashing::ContentHash;
use rowmark_metastore::{
    Checkpoint, CheckpointKind, DatasetRef, DatasetVersion, Job, JobId, JobStatus, RunGroupId, Timestamp,
};

use crate::Result;
use crate::session::{Session, now};
use crate::step::failures;

/// Which checkpoints [`Session::cleanup`] removes.
///
/// Without an age and a job it removes those that are not used any more: damaged ones, and those that were marked as
/// expired. With a job alone it removes the job's, however young.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "it is given to `Session::cleanup`"]
pub struct Cleanup {
    older_than: Option<Duration>,
    job: Option<JobId>,
    is_dry: bool,
}

impl Cleanup {
    /// Only what is of no use (or is older than `ROWMARK_CHECKPOINT_TTL` seconds, if that is set).
    pub fn new() -> Self {
        Self::default()
    }

    /// Also what was made longer ago.
    pub fn older_than(self, age: Duration) -> Self {
        Self { older_than: Some(age), ..self }
    }

    /// Only of this job.
    pub fn job(self, job: JobId) -> Self {
        Self { job: Some(job), ..self }
    }

    /// Only tells what would go.
    pub fn dry_run(self) -> Self {
        Self { is_dry: true, ..self }
    }
}

/// A checkpoint that was removed, or would be.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Removed {
    /// Its record.
    pub checkpoint: Checkpoint,
    /// The size of its tables; what they share with others stays on the disk.
    pub bytes: u64,
    /// Why.
    pub reason: Reason,
}

/// Why a checkpoint may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// It is not found by any lookup: it is damaged or expired.
    Unused,
    /// It is older than was asked for.
    Age,
    /// It is of the job that was asked for.
    Job,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Unused => "it is not used any more",
            Self::Age => "it is older than was asked for",
            Self::Job => "it is of the job that was asked for",
        })
    }
}

/// The jobs that a run group has of which one runs.
fn active_jobs(jobs: &[Job]) -> BTreeSet<JobId> {
    let running = jobs.iter().filter(|job| job.status == JobStatus::Running);
    let active: BTreeSet<RunGroupId> = running.map(|job| job.run_group).collect();
    jobs.iter().filter(|job| active.contains(&job.run_group)).map(|job| job.id).collect()
}

/// Steps of other jobs whose rows a running job uses: the job and the step's name.
type Used = BTreeSet<(JobId, String)>;

/// What may go, as a pure function over records: neither what a run group has or uses that has a running job, nor what a
/// dataset was made from.
fn removable(
    cleanup: Cleanup,
    now: Timestamp,
    jobs: &[Job],
    checkpoints: &[Checkpoint],
    datasets: &[DatasetVersion],
    used: &Used,
) -> Vec<(Checkpoint, Reason)> {
    let active = active_jobs(jobs);
    let is_used = |checkpoint: &Checkpoint| used.contains(&(checkpoint.job, checkpoint.step.clone()));

    // What datasets were made from, and what running jobs use and have; and what that was made from.
    let mut needed: BTreeSet<ContentHash> = datasets.iter().map(|dataset| dataset.chain_hash).collect();
    let of_active = checkpoints.iter().filter(|record| active.contains(&record.job) || is_used(record));
    needed.extend(of_active.map(|record| record.identity));
    let mut makers: BTreeMap<ContentHash, Vec<&Checkpoint>> = BTreeMap::new();
    for checkpoint in checkpoints {
        makers.entry(checkpoint.identity).or_default().push(checkpoint);
    }
    let mut looked_at: Vec<ContentHash> = needed.iter().copied().collect();
    while let Some(identity) = looked_at.pop() {
        for component in
            makers.get(&identity).into_iter().flatten().flat_map(|made| made.fingerprint.components())
        {
            if makers.contains_key(&component.hash) && needed.insert(component.hash) {
                looked_at.push(component.hash);
            }
        }
    }

    let reason = |checkpoint: &Checkpoint| {
        let is_of_job = cleanup.job.is_none_or(|job| job == checkpoint.job);
        let is_old = cleanup.older_than.is_some_and(|age| {
            let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
            now.as_millis().saturating_sub(checkpoint.created_at.as_millis()) >= age
        });
        if active.contains(&checkpoint.job) || !is_of_job {
            None
        } else if !checkpoint.is_active() {
            Some(Reason::Unused)
        } else if checkpoint.kind == CheckpointKind::Final && needed.contains(&checkpoint.identity) {
            None
        } else if is_old {
            Some(Reason::Age)
        } else {
            (cleanup.job.is_some() && cleanup.older_than.is_none()).then_some(Reason::Job)
        }
    };
    checkpoints.iter().filter_map(|checkpoint| Some((checkpoint.clone(), reason(checkpoint)?))).collect()
}

/// The bytes that a state folder's tables take. What tables share counts for each of them.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Usage {
    /// By job, over its checkpoints.
    pub jobs: BTreeMap<JobId, u64>,
    /// By dataset version.
    pub datasets: BTreeMap<DatasetRef, u64>,
    /// By checkpoint, in the order of their creation.
    pub checkpoints: Vec<(Checkpoint, u64)>,
}

impl Session {
    /// Removes checkpoints with their tables, and lists them with the reason.
    ///
    /// What a run group has that has a running job stays (this session's own, from its first step on), with what the
    /// running job uses of others; and so does what a dataset was made from: a rerun finds it.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let session = rowmark::Session::open(folder.path().join("state"))?;
    /// use std::time::Duration;
    /// use rowmark::Cleanup;
    ///
    /// let month = Duration::from_secs(30 * 24 * 60 * 60);
    /// for old in session.cleanup(Cleanup::new().older_than(month).dry_run())? {
    ///     println!("{} of {}: {} bytes, {}", old.checkpoint.step, old.checkpoint.job, old.bytes, old.reason);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The stores cannot be read or written; what was removed until then is.
    pub fn cleanup(&self, cleanup: Cleanup) -> Result<Vec<Removed>> {
        let default = self.settings().ttl.filter(|_| cleanup.job.is_none());
        let cleanup = Cleanup { older_than: cleanup.older_than.or(default), ..cleanup };
        let metastore = self.metastore();
        let (jobs, datasets) = (metastore.list_jobs()?, metastore.list_datasets()?);
        let mut used = Used::new();
        for job in jobs.iter().filter(|job| job.status == JobStatus::Running) {
            let events = metastore.list_events(job.id)?.into_iter();
            used.extend(events.filter_map(|event| Some((event.reused_from?, event.step))));
        }
        let going = removable(cleanup, now(), &jobs, &self.all_checkpoints(&jobs)?, &datasets, &used);
        let mut removed = Vec::new();
        for (checkpoint, reason) in going {
            let bytes = self.bytes_of(&checkpoint)?;
            if !cleanup.is_dry {
                self.remove_checkpoint_and_tables(&checkpoint)?;
                tracing::info!(step = checkpoint.step, job = %checkpoint.job, %reason, "checkpoint removed");
            }
            removed.push(Removed { checkpoint, bytes, reason });
        }
        Ok(removed)
    }

    /// Removes the checkpoints of a job with this hash, and their tables. Answers whether there were any.
    ///
    /// # Errors
    /// The stores cannot be written, or a chain that runs uses the table.
    pub fn remove_checkpoint(&self, job: JobId, hash: ContentHash) -> Result<bool> {
        let mut is_removed = false;
        for kind in [CheckpointKind::Partial, CheckpointKind::Final] {
            if let Some(checkpoint) = self.metastore().find_checkpoint(job, hash, kind)? {
                self.remove_checkpoint_and_tables(&checkpoint)?;
                is_removed = true;
            }
        }
        Ok(is_removed)
    }

    /// Removes a version of a dataset. Answers whether it was there. Its number is not given again.
    ///
    /// # Errors
    /// The stores cannot be written.
    pub fn remove_dataset(&self, name: &str, version: u32) -> Result<bool> {
        let Some(dataset) = self.metastore().get_dataset(name, Some(version))? else { return Ok(false) };
        self.warehouse().drop(&dataset.table.parse()?)?;
        Ok(self.metastore().remove_dataset(name, version)?)
    }

    /// The bytes that tables take: by job, by dataset version and by checkpoint.
    ///
    /// # Errors
    /// The stores cannot be read.
    pub fn usage(&self) -> Result<Usage> {
        let metastore = self.metastore();
        let mut usage = Usage::default();
        for checkpoint in self.all_checkpoints(&metastore.list_jobs()?)? {
            let bytes = self.bytes_of(&checkpoint)?;
            *usage.jobs.entry(checkpoint.job).or_default() += bytes;
            usage.checkpoints.push((checkpoint, bytes));
        }
        for DatasetVersion { name, version, table, .. } in metastore.list_datasets()? {
            let bytes = self.warehouse().size_bytes(&table.parse()?)?.unwrap_or_default();
            usage.datasets.insert(DatasetRef { name, version }, bytes);
        }
        Ok(usage)
    }

    fn all_checkpoints(&self, jobs: &[Job]) -> Result<Vec<Checkpoint>> {
        let mut checkpoints = Vec::new();
        for job in jobs {
            checkpoints.extend(self.metastore().list_checkpoints(job.id)?);
        }
        Ok(checkpoints)
    }

    /// The size of a checkpoint's tables.
    fn bytes_of(&self, checkpoint: &Checkpoint) -> Result<u64> {
        let failures = failures::table_name(checkpoint.job, checkpoint.hash_partial);
        let rows = self.warehouse().size_bytes(&checkpoint.table.parse()?)?;
        Ok(rows.unwrap_or_default() + self.warehouse().size_bytes(&failures)?.unwrap_or_default())
    }
}
