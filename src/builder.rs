//! How a session is opened: its settings, and the stores that it works on.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rowmark_executor::{CancelToken, Durability, Executor, OnError, Options, Retry};
use rowmark_metastore::Metastore;
use rowmark_warehouse::{Compression, FileWarehouse, Warehouse};

use crate::display::ProgressDisplay;
use crate::resume::{MixedCode, Reuse};
use crate::session::{Session, Settings, now};
use crate::settings::Variables;
#[cfg(feature = "ctrlc")]
use crate::signals::Listener;
use crate::state::StateFolder;
use crate::{Error, Result, store};

/// Where state is kept unless it is said otherwise.
const STATE_FOLDER: &str = ".rowmark";

/// Memory that a sort may hold before it spills, unless it is said otherwise.
const SORT_BYTES_MAX: u64 = 128 << 20;

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
    no_row_reuse: bool,
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

    /// Makes the build of the program part of the identity of every UDF's code (variable `ROWMARK_STRICT_BUILD`,
    /// default off): a finished step is computed again by every new build, whatever changed in it; progress goes on.
    ///
    /// It is for functions whose code cannot list what it uses. Without it, the [`Report`](crate::Report) says where rows
    /// of another build were used.
    pub fn strict_build(mut self, strict: bool) -> Self {
        self.variables.strict_build = Some(strict);
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

    /// Sets whether rows of a changed input are found again by their content (default: they are).
    ///
    /// When a step's input changed and its function did not, rows that are as they were keep their outputs, and only
    /// new and changed ones are computed: by [`map`](crate::Chain::map), [`map_with`](crate::Chain::map_with) and
    /// [`flat_map`](crate::Chain::flat_map) row by row, by [`agg`](crate::Chain::agg) and
    /// [`flat_agg`](crate::Chain::flat_agg) group by group. A row is what serde writes of it: fields that it skips are
    /// no part of it, which is why rows behind a [`project`](crate::Chain::project) are not known by their content. Of equal rows each keeps its own output, and one more is computed.
    ///
    /// It costs a hash of each row that such a step reads, and 28 bytes of each in its table. Turned off, rows
    /// are neither known by their content nor looked for.
    ///
    /// ```
    /// use rowmark::prelude::*;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// let lengths = |words: &[&str]| {
    ///     let session = Session::open(folder.path())?;
    ///     let words: Vec<String> = words.iter().map(|word| word.to_string()).collect();
    ///     let lengths = session.read_values(&words).map(udf!("length", |word: &String| word.len() as u64));
    ///     let report = lengths.save("lengths")?.report().clone();
    ///     Ok::<_, rowmark::Error>((report.rows_reused(), report.rows_computed()))
    /// };
    /// assert_eq!(lengths(&["ash", "elm"])?, (0, 2));
    /// assert_eq!(lengths(&["ash", "oak", "elm"])?, (2, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn row_reuse(mut self, row_reuse: bool) -> Self {
        self.no_row_reuse = !row_reuse;
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
        #[cfg(feature = "ctrlc")]
        let listener = self.stops_on_ctrl_c.then(|| Listener::new(&options.cancel)).transpose()?;
        let settings = Settings {
            job_name: job_name.unwrap_or_else(program_name),
            reset: variables.reset.or(environment.reset).unwrap_or(false),
            ignore_checkpoints: variables
                .ignore_checkpoints
                .or(environment.ignore_checkpoints)
                .unwrap_or(false),
            strict_build: variables.strict_build.or(environment.strict_build).unwrap_or(false),
            reuse,
            mixed_code: self.mixed_code,
            row_reuse: !self.no_row_reuse,
            options,
            sort_bytes_max: self.sort_bytes_max.unwrap_or(SORT_BYTES_MAX),
            ttl: variables.ttl.or(environment.ttl),
            deaths_max: self.deaths_max,
            #[cfg(feature = "ctrlc")]
            _listener: listener,
            display,
            #[cfg(feature = "hf")]
            hub: environment.hub,
        };
        let executor =
            Executor::new(threads).map_err(|source| Error::Threads { threads, source: Box::new(source) })?;
        let mut is_well = false;
        let (metastore, warehouse, folder) = if let Some((metastore, warehouse)) = stores {
            if settings.deaths_max.is_some() {
                return Err(Error::NoFolder { setting: "poison_rows" });
            }
            (metastore, warehouse, None)
        } else {
            let folder = StateFolder::open(&state_folder, &settings.job_name, now())?;
            let warehouse = FileWarehouse::open(folder.tables())?.with_compression(self.compression);
            let metastore = store::open_metastore(&folder, now())?;
            is_well = folder.take_closed(metastore.content())? && metastore.was_closed();
            (
                Box::new(metastore) as Box<dyn Metastore>,
                Arc::new(warehouse) as Arc<dyn Warehouse>,
                Some(folder),
            )
        };
        // Records and tables that were made to agree, and have agreed when they were left, agree.
        if !is_well {
            store::reconcile(&*metastore, &*warehouse, now())?;
        }
        Ok(Session::begin(metastore, warehouse, folder, executor, settings))
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
