//! A session: an open state folder, the job that runs in it, and the settings.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use rowmark_executor::{CancelToken, Durability, Executor, OnError, Options, Retry};
use rowmark_hashing::ContentHash;
use rowmark_metastore::{
    Checkpoint, Event, EventKind, Job, JobId, JobStatus, Metastore, RunGroupId, Timestamp,
};
use rowmark_readers::FileHashes;
use rowmark_warehouse::{Compression, FileWarehouse, Warehouse};

use crate::display::ProgressDisplay;
use crate::error::text_of;
use crate::in_flight::{StepGuard, StepsInFlight};
use crate::report::{Report, StepReport};
use crate::resume::{MixedCode, Reuse};
use crate::settings::Variables;
use crate::state::StateFolder;
use crate::step::failures;
use crate::{Error, Result, store};

/// Where state is kept unless it is said otherwise.
const STATE_FOLDER: &str = ".rowmark";

/// Memory that a sort may hold before it spills, unless it is said otherwise.
const SORT_BYTES_MAX: u64 = 128 << 20;

/// Characters of an error's text that a job's record keeps; four bytes each are within the record's bound.
const JOB_ERROR_CHARS_MAX: usize = 1000;

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
    job: Mutex<JobState>,
    steps: StepsInFlight,
    report: Mutex<Report>,
    #[cfg(feature = "ctrlc")]
    _listener: Option<crate::signals::Listener>,
    /// Last, so that the folder is unlocked when all else is closed.
    folder: Option<StateFolder>,
}

/// What a session was opened with.
#[derive(Debug)]
pub(crate) struct Settings {
    job_name: String,
    pub(crate) reset: bool,
    pub(crate) ignore_checkpoints: bool,
    pub(crate) reuse: Reuse,
    pub(crate) mixed_code: MixedCode,
    pub(crate) options: Options,
    /// Memory that a sort may hold before it spills.
    pub(crate) sort_bytes_max: u64,
    /// The age from which checkpoints may be cleaned up, unless a cleanup says another.
    pub(crate) ttl: Option<Duration>,
    /// After so many deaths of the process in a row a row that was in work is recorded as failed.
    pub(crate) deaths_max: Option<u32>,
    pub(crate) display: ProgressDisplay,
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
        let job = self.next_job(predecessor);
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
        }
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
        self.lock_job().failure = result.as_ref().err().map(|error| {
            let status = match error {
                Error::Step { source, .. }
                    if matches!(**source, rowmark_executor::Error::Cancelled { .. }) =>
                {
                    JobStatus::Cancelled
                }
                _ => JobStatus::Failed,
            };
            (status, text_of(error).chars().take(JOB_ERROR_CHARS_MAX).collect())
        });
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
        let state = self.job.get_mut().unwrap_or_else(PoisonError::into_inner);
        let Some(job) = &state.job else { return };
        let (status, error) = match &state.failure {
            None => (JobStatus::Complete, None),
            Some((status, error)) => (*status, Some(error.as_str())),
        };
        // The outcome is for people: without it the next open takes the job for interrupted.
        if let Err(error) = self.metastore.finish_job(job.id, status, now(), error) {
            tracing::warn!(job = %job.id, "the outcome of the job could not be recorded: {error}");
        }
    }
}

/// The one reading of the clock.
pub(crate) fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}

/// Settings of a session. What is not set here is taken from the environment, then the default.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// use rowmark::prelude::*;
///
/// let session = Session::builder()
///     .state_folder(folder.path().join("state"))
///     .job_name("nightly")
///     .threads(2)
///     .durability(Durability::EveryRow)
///     .open()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
#[must_use = "a session is opened with `open`"]
pub struct SessionBuilder {
    variables: Variables,
    job_name: Option<String>,
    reuse: Reuse,
    mixed_code: MixedCode,
    options: Options,
    sort_bytes_max: Option<u64>,
    deaths_max: Option<u32>,
    #[cfg(feature = "ctrlc")]
    stops_on_ctrl_c: bool,
    display: ProgressDisplay,
    stores: Option<(Box<dyn Metastore>, Arc<dyn Warehouse>)>,
    compression: Compression,
}

impl SessionBuilder {
    /// Sets the folder where state is kept (variable `ROWMARK_DIR`, default `.rowmark`).
    pub fn state_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.variables.state_folder = Some(folder.into());
        self
    }

    /// Sets the name by which a rerun finds what this job stored (default: the program's name).
    pub fn job_name(mut self, name: impl Into<String>) -> Self {
        self.job_name = Some(name.into());
        self
    }

    /// Sets the number of worker threads, 0 for one per core (variable `ROWMARK_THREADS`, default 0).
    pub fn threads(mut self, threads: usize) -> Self {
        self.variables.threads = Some(threads);
        self
    }

    /// Ignores the progress of unfinished steps and runs them from the start (variable `ROWMARK_UDF_RESET`).
    pub fn reset(mut self, reset: bool) -> Self {
        self.variables.reset = Some(reset);
        self
    }

    /// Ignores everything stored: checkpoints and saved versions (variable `ROWMARK_IGNORE_CHECKPOINTS`).
    pub fn ignore_checkpoints(mut self, ignore: bool) -> Self {
        self.variables.ignore_checkpoints = Some(ignore);
        self
    }

    /// Sets where finished steps may be looked for (default: in any job).
    pub fn reuse(mut self, reuse: Reuse) -> Self {
        self.reuse = reuse;
        self
    }

    /// Sets what becomes of finished rows when a step's code was changed before the rest was done (default: they are
    /// kept).
    pub fn mixed_code(mut self, policy: MixedCode) -> Self {
        self.mixed_code = policy;
        self
    }

    /// Sets when finished rows are made durable (default: every 100 ms).
    pub fn durability(mut self, durability: Durability) -> Self {
        self.options = self.options.durability(durability);
        self
    }

    /// Sets the most rows in one stored batch (default: 8192).
    pub fn batch_rows_max(mut self, rows: u64) -> Self {
        self.options = self.options.batch_rows_max(rows);
        self
    }

    /// Sets the size in bytes at which a batch is stored, whatever its rows (default: 4 MiB).
    pub fn batch_bytes_max(mut self, bytes: u64) -> Self {
        self.options = self.options.batch_bytes_max(bytes);
        self
    }

    /// Sets the memory that sorting and grouping may hold before they spill to disk (default: 128 MiB).
    pub fn sort_bytes_max(mut self, bytes: u64) -> Self {
        self.sort_bytes_max = Some(bytes);
        self
    }

    /// Sets what becomes of a run when a row fails: it ends (the default), or the failure is recorded and the run
    /// goes on. Recorded rows are read with [`failures`](Session::failures) and tried again with
    /// [`retry_failed`](crate::Chain::retry_failed).
    pub fn on_error(mut self, on_error: OnError) -> Self {
        self.options = self.options.on_error(on_error);
        self
    }

    /// Sets how often, and after what pauses, a row that failed is tried again (default: not at all).
    pub fn retry(mut self, retry: Retry) -> Self {
        self.options = self.options.retry(retry);
        self
    }

    /// Sets after how long a row is told to be overdue, in the log and in the progress. It is not stopped.
    pub fn row_timeout(mut self, timeout: Duration) -> Self {
        self.options = self.options.row_timeout(timeout);
        self
    }

    /// Sets after how many deaths of the process in a row a row that was in work each time is recorded as failed
    /// instead of being tried once more (default: never). It takes one at the least.
    ///
    /// It is for functions that abort, or use up the memory: without it such a row ends every run. The row that
    /// is begun is noted in a file, which costs a small write a row. Rows that were in work at a death are tried
    /// first and one by one, so that the others of them are done. Any death counts, so a row of an hour that is
    /// killed by hand so many times is recorded too.
    pub fn poison_rows(mut self, deaths: u32) -> Self {
        self.deaths_max = Some(deaths.max(1));
        self
    }

    /// Stops runs in good order at `Ctrl-C`, `SIGTERM` and `SIGHUP`: rows in work are finished and saved, the chain's
    /// end answers that it was cancelled, the job is recorded as cancelled. A second signal ends the process at once.
    ///
    /// The process's handler for these signals is set when the first such session is opened, and stays.
    #[cfg(feature = "ctrlc")]
    pub fn stop_on_ctrl_c(mut self) -> Self {
        self.stops_on_ctrl_c = true;
        self
    }

    /// Sets a token that stops runs in good order.
    pub fn cancel(mut self, cancel: CancelToken) -> Self {
        self.options = self.options.cancel(cancel);
        self
    }

    /// Sets how progress is shown (default: a bar on a terminal, plain lines elsewhere).
    pub fn progress(mut self, display: ProgressDisplay) -> Self {
        self.display = display;
        self
    }

    /// Keeps state in stores that are open already instead of in a folder: in memory, for a test, or in stores of
    /// another kind. They must belong to this session alone.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use rowmark::metastore::MemoryMetastore;
    /// use rowmark::prelude::*;
    /// use rowmark::warehouse::MemoryWarehouse;
    ///
    /// let session = Session::builder()
    ///     .stores(Box::new(MemoryMetastore::new()), Arc::new(MemoryWarehouse::new()))
    ///     .open()?;
    /// assert_eq!(session.read_values(&[1, 2, 3]).save("numbers")?.rows(), 3);
    /// # Ok::<(), rowmark::Error>(())
    /// ```
    pub fn stores(mut self, metastore: Box<dyn Metastore>, warehouse: Arc<dyn Warehouse>) -> Self {
        self.stores = Some((metastore, warehouse));
        self
    }

    /// Sets how the rows of new tables are stored (default: as they are); what is stored already stays as it is.
    ///
    /// The features `lz4` and `zstd` give it more values than one. Results do not depend on it.
    ///
    /// ```
    /// use rowmark::prelude::*;
    /// use rowmark::warehouse::Compression;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # #[cfg(feature = "lz4")]
    /// let session = Session::builder().state_folder(folder.path()).compression(Compression::Lz4).open()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Opens the session.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub fn open(self) -> Result<Session> {
        let environment = Variables::read(|variable| std::env::var_os(variable))?;
        let Self { variables, job_name, reuse, options, display, stores, .. } = self;
        let threads = variables.threads.or(environment.threads).unwrap_or(0);
        let state_folder = variables.state_folder.or(environment.state_folder).unwrap_or(STATE_FOLDER.into());
        let settings = Settings {
            job_name: job_name.unwrap_or_else(program_name),
            reset: variables.reset.or(environment.reset).unwrap_or(false),
            ignore_checkpoints: variables
                .ignore_checkpoints
                .or(environment.ignore_checkpoints)
                .unwrap_or(false),
            reuse,
            mixed_code: self.mixed_code,
            options,
            sort_bytes_max: self.sort_bytes_max.unwrap_or(SORT_BYTES_MAX),
            ttl: variables.ttl.or(environment.ttl),
            deaths_max: self.deaths_max,
            display,
        };
        let executor =
            Executor::new(threads).map_err(|source| Error::Threads { threads, source: Box::new(source) })?;
        let (metastore, warehouse, folder) = if let Some((metastore, warehouse)) = stores {
            if settings.deaths_max.is_some() {
                return Err(Error::NoFolder { setting: "poison_rows" });
            }
            (metastore, warehouse, None)
        } else {
            let folder = StateFolder::open(&state_folder, &settings.job_name, now())?;
            let warehouse = FileWarehouse::open(folder.tables())?.with_compression(self.compression);
            (store::open_metastore(&folder, now())?, Arc::new(warehouse) as Arc<dyn Warehouse>, Some(folder))
        };
        store::reconcile(&*metastore, &*warehouse, now())?;
        #[cfg(feature = "ctrlc")]
        let listener = self
            .stops_on_ctrl_c
            .then(|| crate::signals::Listener::new(&settings.options.cancel))
            .transpose()?;
        Ok(Session {
            inner: Arc::new(Inner {
                metastore,
                warehouse,
                executor,
                file_hashes: folder
                    .as_ref()
                    .map(|folder| Arc::new(FileHashes::open(folder.file_hashes(), SystemTime::now))),
                settings,
                job: Mutex::default(),
                steps: StepsInFlight::default(),
                report: Mutex::default(),
                #[cfg(feature = "ctrlc")]
                _listener: listener,
                folder,
            }),
        })
    }
}

/// The name of the running program, without the hash that Cargo puts behind that of a test.
fn program_name() -> String {
    let path = std::env::current_exe().unwrap_or_default();
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let name = match stem.rsplit_once('-') {
        Some((name, hash)) if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => name,
        _ => &stem,
    };
    if name.is_empty() { "rowmark".to_owned() } else { name.to_owned() }
}
