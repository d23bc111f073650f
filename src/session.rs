//! A session: an open state folder, the job that runs in it, and the settings.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use rowmark_executor::{Executor, OnError, Options};
use rowmark_hashing::{ContentHash, Fingerprint};
use rowmark_metastore::{
    Build, Checkpoint, Event, EventKind, Job, JobId, JobStatus, Metastore, RunGroupId, Timestamp,
};
use rowmark_readers::FileHashes;
use rowmark_warehouse::Warehouse;

use crate::builder::SessionBuilder;
use crate::display::ProgressDisplay;
use crate::error::text_of;
use crate::executable::running_build;
use crate::in_flight::{StepGuard, StepsInFlight};
use crate::report::{Report, StepReport};
use crate::resume::{MixedCode, Reuse};
use crate::state::StateFolder;
use crate::step::failures;
use crate::{Error, Result};

/// Characters of an error's text that a job's record keeps; four bytes each are within the record's bound.
const JOB_ERROR_CHARS_MAX: usize = 1000;

/// How many jobs are looked through for what was said of another build already.
const JOBS_LOOKED_AT_MAX: usize = 16;

/// Steps, and the jobs whose rows of them were used.
type ToldOfBuilds = BTreeSet<(String, JobId)>;

/// An open state folder and the one job that runs in it.
///
/// Clones are the same session. The first step that runs begins the job; it ends with the last
/// clone. The next session with the same job name is a rerun of it and finds what it stored.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path().join("state");
/// use rowmark::prelude::*;
///
/// let session = Session::open(&folder)?;
/// let doubled: Vec<u64> =
///     session.read_values(&[1, 2, 3]).map(udf!("double", |n: &u64| n * 2)).collect()?;
/// assert_eq!(doubled, [2, 4, 6]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Session {
    inner: Arc<Inner>,
}

struct Inner {
    metastore: Box<dyn Metastore>,
    warehouse: Arc<dyn Warehouse>,
    executor: Executor,
    /// None for a session in memory.
    file_hashes: Option<Arc<FileHashes>>,
    settings: Settings,
    build: OnceLock<Option<Build>>,
    told_of_builds: Mutex<Option<ToldOfBuilds>>,
    job: Mutex<JobState>,
    steps: StepsInFlight,
    report: Mutex<Report>,
    /// Last, so that the folder is unlocked when all else is closed.
    folder: Option<StateFolder>,
}

/// What a session was opened with.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) job_name: String,
    pub(crate) reset: bool,
    pub(crate) ignore_checkpoints: bool,
    /// The build of the program is part of the identity of code.
    pub(crate) strict_build: bool,
    pub(crate) reuse: Reuse,
    pub(crate) mixed_code: MixedCode,
    /// Rows of a changed input are found again by their content.
    pub(crate) row_reuse: bool,
    pub(crate) options: Options,
    /// Memory that a sort may hold before it spills.
    pub(crate) sort_bytes_max: u64,
    /// The age from which checkpoints may be cleaned up, unless a cleanup says another.
    pub(crate) ttl: Option<Duration>,
    /// After so many deaths of the process in a row a row that was in work is recorded as failed.
    pub(crate) deaths_max: Option<u32>,
    #[cfg(feature = "ctrlc")]
    pub(crate) _listener: Option<crate::signals::Listener>,
    pub(crate) display: ProgressDisplay,
    /// Where datasets of the Hugging Face hub are, unless a chain says it.
    #[cfg(feature = "hf")]
    pub(crate) hub: rowmark_readers::HfOptions,
}

impl Settings {
    /// How many rows may fail without ending the run; rows that took the process down are not counted.
    pub(crate) fn failures_max(&self) -> u64 {
        match self.options.on_error {
            OnError::Record { failures_max } => failures_max,
            _ if self.deaths_max.is_some() => u64::MAX,
            _ => 0,
        }
    }
}

#[derive(Debug, Default)]
struct JobState {
    job: Option<Job>,
    /// How the last chain ended: nothing for well.
    failure: Option<(JobStatus, String)>,
    /// A chain ended with an error that may have left records and tables at odds.
    is_doubtful: bool,
}

impl Session {
    /// Opens a state folder, or makes it, with the settings of the environment and the defaults.
    ///
    /// # Errors
    /// The folder is a file, cannot be written, is in use, holds something else, or was made by a
    /// newer version; a variable of the environment cannot be understood.
    pub fn open(state_folder: impl Into<PathBuf>) -> Result<Self> {
        Self::builder().state_folder(state_folder).open()
    }

    /// Begins to open a session with other settings than the defaults.
    pub fn builder() -> SessionBuilder {
        SessionBuilder::default()
    }

    pub(crate) fn begin(
        metastore: Box<dyn Metastore>,
        warehouse: Arc<dyn Warehouse>,
        folder: Option<StateFolder>,
        executor: Executor,
        settings: Settings,
    ) -> Self {
        let file_hashes =
            folder.as_ref().map(|folder| Arc::new(FileHashes::open(folder.file_hashes(), SystemTime::now)));
        let (job, steps, report) = (Mutex::default(), StepsInFlight::default(), Mutex::default());
        Self {
            inner: Arc::new(Inner {
                metastore,
                warehouse,
                executor,
                file_hashes,
                settings,
                build: OnceLock::new(),
                told_of_builds: Mutex::default(),
                job,
                steps,
                report,
                folder,
            }),
        }
    }

    /// What this session did so far, all its chains together, also those that failed.
    pub fn report(&self) -> Report {
        self.lock_report().clone()
    }

    /// The job of this session, if a step has run in it.
    pub fn job(&self) -> Option<Job> {
        self.lock_job().job.clone()
    }

    /// The records of the store: jobs, checkpoints, datasets, events.
    pub fn metastore(&self) -> &dyn Metastore {
        &*self.inner.metastore
    }

    /// The tables of the store.
    pub fn warehouse(&self) -> &dyn Warehouse {
        &*self.inner.warehouse
    }

    pub(crate) fn executor(&self) -> &Executor {
        &self.inner.executor
    }

    /// What is remembered of files that were read.
    pub(crate) fn file_hashes(&self) -> Option<&Arc<FileHashes>> {
        self.inner.file_hashes.as_ref()
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// Where it is noted which rows of a step are in work, if that is asked for.
    pub(crate) fn notes_folder(&self, hash_partial: ContentHash) -> Option<PathBuf> {
        self.settings().deaths_max?;
        self.inner.folder.as_ref().map(|folder| folder.notes(hash_partial))
    }

    /// The job of this session; begins it if this is the first call.
    pub(crate) fn begin_job(&self) -> Result<Job> {
        let mut state = self.lock_job();
        if let Some(job) = &state.job {
            return Ok(job.clone());
        }
        let predecessor = self.metastore().find_last_job(&self.inner.settings.job_name)?;
        let job = Job { build: self.build().cloned(), ..self.next_job(predecessor) };
        self.metastore().create_job(&job)?;
        tracing::info!(job = %job.id, name = %job.name, "job began");
        Ok(state.job.insert(job).clone())
    }

    /// The job that this session begins, as a rerun of another.
    pub(crate) fn next_job(&self, predecessor: Option<Job>) -> Job {
        Job {
            id: JobId::new(),
            name: self.inner.settings.job_name.clone(),
            run_group: predecessor.as_ref().map_or_else(RunGroupId::new, |earlier| earlier.run_group),
            predecessor: predecessor.map(|earlier| earlier.id),
            status: JobStatus::Running,
            started_at: now(),
            finished_at: None,
            error: None,
            process: std::process::id(),
            build: None,
        }
    }

    /// The build of the program that runs, if it can be known.
    pub(crate) fn build(&self) -> Option<&Build> {
        self.inner.build.get_or_init(|| running_build(self.file_hashes().map(|hashes| &**hashes))).as_ref()
    }

    /// Adds the build to the identity of code, if that is asked for.
    pub(crate) fn with_build(&self, code: &Fingerprint) -> Result<Fingerprint> {
        if !self.settings().strict_build {
            return Ok(code.clone());
        }
        let executable = &self.build().ok_or(Error::UnknownBuild)?.executable;
        Ok(code.clone().with("build", executable)?)
    }

    /// Whether a job's rows of a step were computed by another build of the program than runs, and neither this job nor
    /// one of the last before it, of this build, has said so.
    pub(crate) fn is_news_of_another_build(&self, step: &str, from: JobId) -> Result<bool> {
        let metastore = self.metastore();
        let (Some(mine), Some(theirs)) = (self.build(), metastore.get_job(from)?.and_then(|job| job.build))
        else {
            return Ok(false);
        };
        if mine.executable == theirs.executable {
            return Ok(false);
        }
        let mut told = self.inner.told_of_builds.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none() {
            *told = Some(self.told_of_builds(mine)?);
        }
        Ok(told.get_or_insert_default().insert((step.to_owned(), from)))
    }

    /// What the last jobs of this build have used of the rows of others.
    fn told_of_builds(&self, mine: &Build) -> Result<ToldOfBuilds> {
        let metastore = self.metastore();
        let mut told = ToldOfBuilds::new();
        for ancestor in self.lineage()?.into_iter().skip(1).take(JOBS_LOOKED_AT_MAX) {
            let build = metastore.get_job(ancestor)?.and_then(|job| job.build);
            if build.is_some_and(|build| build.executable == mine.executable) {
                let events = metastore.list_events(ancestor)?.into_iter();
                told.extend(events.filter_map(|event| Some((event.step, event.reused_from?))));
            }
        }
        Ok(told)
    }

    /// Waits until no other thread runs a step with this identity, and keeps others out.
    pub(crate) fn enter_step(&self, hash_partial: ContentHash) -> StepGuard<'_> {
        self.inner.steps.enter(hash_partial)
    }

    /// Keeps what was done with a step: in the report, in the log and as an event.
    pub(crate) fn told(&self, kind: EventKind, step: StepReport) -> Result<StepReport> {
        let job = self.begin_job()?.id;
        tracing::info!(
            step = step.step, decision = %step.decision, reason = step.reason, rows_in = step.rows_in,
            rows_reused = step.rows_reused, rows_computed = step.rows_computed,
            rows_failed = step.rows_failed, rows_out = step.rows_out, "step ended"
        );
        self.metastore().record_event(Event {
            rows_in: step.rows_in,
            rows_reused: step.rows_reused,
            rows_computed: step.rows_computed,
            rows_failed: step.rows_failed,
            rows_out: step.rows_out,
            reused_from: step.reused_from,
            reason: step.reason.clone(),
            ..Event::new(job, now(), step.step.clone(), kind)
        })?;
        self.lock_report().push(step.clone());
        Ok(step)
    }

    /// Says that something is not as it should be, though the run goes on.
    pub(crate) fn warn(&self, step: &str, reason: String) -> Result<()> {
        tracing::warn!(step, "{reason}");
        let job = self.begin_job()?.id;
        let event = Event { reason, ..Event::new(job, now(), step, EventKind::Warning) };
        self.metastore().record_event(event)?;
        Ok(())
    }

    /// Remembers how a chain ended, for the job's record.
    pub(crate) fn ended<T>(&self, result: Result<T>) -> Result<T> {
        use rowmark_executor::Error as Ended;
        let mut state = self.lock_job();
        state.failure = result.as_ref().err().map(|error| {
            let ended = match error {
                Error::Step { source, .. } => Some(&**source),
                _ => None,
            };
            let status = match ended {
                Some(Ended::Cancelled { .. }) => JobStatus::Cancelled,
                _ => JobStatus::Failed,
            };
            (status, text_of(error).chars().take(JOB_ERROR_CHARS_MAX).collect())
        });
        // A row's own error leaves progress with its record.
        let is_clear = |error: &Error| match error {
            Error::Step { source, .. } => matches!(**source, Ended::Cancelled { .. } | Ended::Row { .. }),
            _ => false,
        };
        state.is_doubtful |= result.as_ref().is_err_and(|error| !is_clear(error));
        drop(state);
        result
    }

    /// This job and those that it is a rerun of, nearest first; before the job begins, those that it will be.
    pub(crate) fn lineage(&self) -> Result<Vec<JobId>> {
        let nearest = match self.job() {
            Some(job) => Some(job),
            None => self.metastore().find_last_job(&self.inner.settings.job_name)?,
        };
        let Some(nearest) = nearest else { return Ok(Vec::new()) };
        let mut lineage = vec![nearest.id];
        lineage.extend(self.metastore().get_ancestor_job_ids(nearest.id)?);
        Ok(lineage)
    }

    /// Removes a checkpoint with its tables, which go before the record; the failures go with the last that the job
    /// has of the step.
    pub(crate) fn remove_checkpoint_and_tables(&self, checkpoint: &Checkpoint) -> Result<()> {
        let Checkpoint { job, hash, hash_partial, kind, .. } = *checkpoint;
        self.warehouse().drop(&checkpoint.table.parse()?)?;
        let others = self.metastore().find_by_partial(hash_partial)?;
        if !others.iter().any(|other| other.job == job && (other.hash, other.kind) != (hash, kind)) {
            self.warehouse().drop(&failures::table_name(job, hash_partial))?;
        }
        self.metastore().remove_checkpoint(job, hash, kind)?;
        Ok(())
    }

    fn lock_job(&self) -> MutexGuard<'_, JobState> {
        self.inner.job.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_report(&self) -> MutexGuard<'_, Report> {
        self.inner.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("folder", &self.folder)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let JobState { job, failure, is_doubtful } =
            self.job.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(job) = job {
            let (status, error) = match failure {
                None => (JobStatus::Complete, None),
                Some((status, error)) => (*status, Some(error.as_str())),
            };
            // The outcome is for people: without it the next open takes the job for interrupted.
            if let Err(error) = self.metastore.finish_job(job.id, status, now(), error) {
                tracing::warn!(job = %job.id, "the outcome of the job could not be recorded: {error}");
                *is_doubtful = true;
            }
        }
        if let Some(folder) = self.folder.as_ref().filter(|_| !*is_doubtful && !std::thread::panicking()) {
            folder.close(self.metastore.content());
        }
    }
}

/// The one reading of the clock.
pub(crate) fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}
