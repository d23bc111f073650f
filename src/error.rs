//! The errors of a chain. A crate's own error is kept whole as the source of the facade's.

use std::path::PathBuf;

use crate::state::StateError;
use crate::udf::{IdentityError, Udf};

/// An error of any type that a user's function may answer.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A result with Rowmark's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong when a session is opened or a chain runs.
///
/// Its text says what was being done; its sources say why, down to the cause. Finished rows are
/// never lost by an error: the next run continues from them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The state folder cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// A setting from the environment cannot be understood.
    #[error("the variable {variable} is `{value}`; expected {expected}")]
    Setting {
        /// The variable's name.
        variable: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// The worker threads could not be started.
    #[error("cannot start {threads} worker threads; set fewer")]
    Threads {
        /// How many were asked for; 0 stands for one per core.
        threads: usize,
        /// What the system said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The program asked for `Ctrl-C` to be heeded and has a handler of its own.
    #[error("Ctrl-C cannot be heeded: {reason}; cancel a token from the program's own handler instead")]
    CtrlC {
        /// Why the handler could not be installed.
        reason: String,
    },
    /// A setting needs a state folder, and the session was given stores instead.
    #[error("`{setting}` needs a state folder, and the session has stores of its own")]
    NoFolder {
        /// The builder's method.
        setting: &'static str,
    },
    /// A source cannot be read.
    #[error(transparent)]
    Source(#[from] rowmark_readers::Error),
    /// A row's type cannot be stored, or stored rows are of another type.
    #[error(transparent)]
    Rows(#[from] rowmark_rows::Error),
    /// The records cannot be read or written.
    #[error(transparent)]
    Metastore(#[from] rowmark_metastore::Error),
    /// A table cannot be read or written.
    #[error(transparent)]
    Warehouse(#[from] rowmark_warehouse::Error),
    /// A value cannot be hashed.
    #[error(transparent)]
    Hash(#[from] rowmark_hashing::Error),
    /// The identity of a UDF cannot be known.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A step stopped before all its rows were done.
    #[error("step `{step}` stopped; finished rows are saved and the next run continues from them")]
    Step {
        /// The step's name.
        step: String,
        /// Which row failed, and how; or that rows could not be committed; or that it was cancelled.
        source: Box<rowmark_executor::Error<RowError, CommitError>>,
    },
    /// A row could not be read where no step computes it: by [`iter`](crate::Chain::iter) and what is built on it.
    #[error("row {row} cannot be read")]
    Row {
        /// The row's number.
        row: u64,
        /// Why: something on the way answered an error, or panicked.
        source: Box<rowmark_executor::Failure<RowError>>,
    },
    /// Rows could not be sorted or stored.
    #[error(transparent)]
    Store(#[from] CommitError),
    /// The recorded failures of a step could not be read.
    #[error("the recorded failures could not be read")]
    Failures {
        /// Why.
        source: Box<RowError>,
    },
    /// Rows could not be written to a file.
    #[error("cannot write {path}")]
    Export {
        /// The file.
        path: PathBuf,
        /// Why; the file is as it was before.
        source: BoxError,
    },
    /// A finished step's rows could not be read back to be hashed.
    #[error("the rows of step `{step}` could not be read back")]
    ReadBack {
        /// The step's name.
        step: String,
        /// Why.
        source: Box<RowError>,
    },
    /// The build of the program is to be part of the identity of code, and cannot be known.
    #[error(
        "`strict_build` is set, and the file of the running program cannot be read; make it readable, or unset it"
    )]
    UnknownBuild,
    /// Two different UDFs of one name, input and parameters ran in one job.
    #[error(
        "two different UDFs named `{step}` run over the same rows in one job, so that the saved rows of one could be taken for the other's; rename one of them"
    )]
    SameName {
        /// The name of both.
        step: String,
    },
    /// A step's code was changed before all its rows were done, and its rows are not to be mixed.
    #[error(
        "finished rows of `{step}` were made by other code than runs now, and `MixedCode::Fail` is set; run the old code to its end, reset its progress, or choose another policy"
    )]
    MixedCode {
        /// The step's name.
        step: String,
    },
    /// A dataset is not there.
    #[error("there is no dataset `{name}`{}; `save` makes one", version.map(|version| format!(" with version {version}")).unwrap_or_default())]
    NoDataset {
        /// Its name.
        name: String,
        /// The version that was asked for; none is the latest.
        version: Option<u32>,
    },
    /// Rows that can be read only once could not be read to their end, and cannot be read again.
    #[error("the rows of {name} were read once, and not to their end; build the chain again")]
    Consumed {
        /// What gave the rows.
        name: String,
    },
    /// A table is still being written, or its writer died.
    #[error("the table {table} is not finished; let the run that writes it end, then open it again")]
    NotFinished {
        /// The table's name.
        table: String,
    },
    /// A dataset, or another table, holds rows of another type than is read.
    #[error("the dataset `{name}` holds rows of another type: {difference}")]
    OtherRows {
        /// Its name.
        name: String,
        /// The first difference, seen from the type that was asked for.
        difference: rowmark_rows::SchemaDifference,
    },
}

/// Why one row could not be computed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RowError {
    /// The row could not be read from the source.
    #[error(transparent)]
    Source(#[from] rowmark_readers::Error),
    /// The row could not be read from the table of the step before.
    #[error(transparent)]
    Table(#[from] rowmark_warehouse::Error),
    /// The row, or what was computed from it, could not be converted to or from its stored form.
    #[error(transparent)]
    Convert(#[from] rowmark_rows::Error),
    /// The row could not be hashed.
    #[error(transparent)]
    Hash(#[from] rowmark_hashing::Error),
    /// The user's function answered an error.
    #[error("the UDF `{udf}` answered an error")]
    Udf {
        /// The name of the UDF: the step's, or a filter's on the way.
        udf: String,
        /// What it answered.
        source: BoxError,
    },
    /// A worker's state could not be made.
    #[error("`setup` of the UDF `{udf}` answered an error")]
    Setup {
        /// The name of the UDF.
        udf: String,
        /// What it answered.
        source: BoxError,
    },
    /// That the row is in work could not be noted; see [`poison_rows`](crate::SessionBuilder::poison_rows).
    #[error("that the row is in work cannot be noted")]
    Note(#[source] StateError),
    /// A UDF over slices answered another number of rows than it was given.
    #[error("the UDF `{udf}` answered {rows_out} rows for a batch of {rows_in}; it must answer one for each")]
    BatchLength {
        /// The name of the UDF.
        udf: String,
        /// The rows that it was given.
        rows_in: usize,
        /// The rows that it answered.
        rows_out: usize,
    },
}

impl RowError {
    pub(crate) fn of_udf(udf: &str, source: BoxError) -> Self {
        Self::Udf { udf: udf.to_owned(), source }
    }

    /// Makes a UDF's state for a worker.
    pub(crate) fn setup<In: ?Sized, U: Udf<In>>(udf: &U) -> Result<U::State, Self> {
        udf.setup().map_err(|source| Self::Setup { udf: udf.identity().name().to_owned(), source })
    }

    /// Whether the row itself is to blame, so that other rows may be done without it.
    pub(crate) fn is_of_the_row(&self) -> bool {
        !matches!(
            self,
            Self::Table(_)
                | Self::Setup { .. }
                | Self::Note(_)
                | Self::Source(rowmark_readers::Error::Changed { .. })
        )
    }
}

/// Why finished rows could not be committed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// The table could not be written.
    #[error(transparent)]
    Table(#[from] rowmark_warehouse::Error),
    /// The source changed while it was read, so the rows since the last commit were dropped.
    #[error(transparent)]
    Source(#[from] rowmark_readers::Error),
    /// Rows, or their keys, could not be encoded or decoded.
    #[error(transparent)]
    Rows(#[from] rowmark_rows::Error),
    /// Rows could not be hashed.
    #[error(transparent)]
    Hash(#[from] rowmark_hashing::Error),
    /// Rows could not be put in order.
    #[error("rows could not be gathered in their order")]
    Gather(#[from] arrow_schema::ArrowError),
    /// There are rows enough; no more are read.
    #[doc(hidden)]
    #[error("there are rows enough")]
    Enough,
}

/// An error with all its causes in one line.
pub(crate) fn text_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Puts a path to an I/O error of the state folder.
pub(crate) fn at(
    action: &'static str,
    path: impl Into<PathBuf>,
) -> impl FnOnce(std::io::Error) -> StateError {
    let path = path.into();
    move |source| StateError::Io { action, path, source }
}
