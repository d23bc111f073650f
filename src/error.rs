//! The errors of a chain. A crate's own error is kept whole as the source of the facade's.

use std::path::PathBuf;

use crate::state::StateError;
use crate::udf::IdentityError;

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
    /// The rows could not be read into memory.
    #[error("the rows could not be collected")]
    Collect {
        /// Which row failed, and how; or that it was cancelled.
        source: Box<rowmark_executor::Error<RowError, CommitError>>,
    },
    /// A finished step's rows could not be read back to be hashed.
    #[error("the rows of step `{step}` could not be read back")]
    ReadBack {
        /// The step's name.
        step: String,
        /// Why.
        source: Box<RowError>,
    },
    /// Two different UDFs of one name, input and parameters ran in one job.
    #[error(
        "two different UDFs named `{step}` run over the same rows in one job, so that the saved rows of one could be taken for the other's; rename one of them"
    )]
    SameName {
        /// The name of both.
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
    /// The user's function answered an error.
    #[error("the UDF `{udf}` answered an error")]
    Udf {
        /// The name of the UDF: the step's, or a filter's on the way.
        udf: String,
        /// What it answered.
        source: BoxError,
    },
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
}

/// Puts a path to an I/O error of the state folder.
pub(crate) fn at(
    action: &'static str,
    path: impl Into<PathBuf>,
) -> impl FnOnce(std::io::Error) -> StateError {
    let path = path.into();
    move |source| StateError::Io { action, path, source }
}
