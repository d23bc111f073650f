//! The record of a job: one run of a program, linked to the run before it.

use serde::{Deserialize, Serialize};

use crate::bounds::{NAME_BYTES_MAX, TEXT_BYTES_MAX, check_length, check_name};
use crate::{Error, JobId, Result, RunGroupId, Timestamp};

/// How a job stands, or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum JobStatus {
    /// It runs, or its process was killed and nobody has looked since.
    Running,
    /// It came to its end.
    Complete,
    /// It stopped at an error.
    Failed,
    /// It was told to stop, by a signal or by the program.
    Cancelled,
    /// Its process was gone when the store was next opened.
    Interrupted,
}

impl JobStatus {
    /// Checks that a job can end so.
    pub(crate) fn check_outcome(self) -> Result<()> {
        if self == Self::Running {
            return Err(Error::Invalid { field: "job outcome", reason: "cannot be that it is running" });
        }
        Ok(())
    }
}

/// One run of a program.
///
/// The order of the fields is the order in the [stored bytes](crate::Record); it changes only with the version
/// of the record.
///
/// ```
/// use rowmark_metastore::{Job, JobId, JobStatus, Record, RunGroupId, Timestamp};
///
/// let job = Job {
///     id: JobId::new(),
///     name: "nightly".to_owned(),
///     predecessor: None,
///     run_group: RunGroupId::new(),
///     status: JobStatus::Running,
///     started_at: Timestamp::from_millis(1_700_000_000_000),
///     finished_at: None,
///     error: None,
///     process: std::process::id(),
///     build: None,
/// };
/// assert_eq!(Job::from_bytes(&job.to_bytes()?)?, job);
/// # Ok::<(), rowmark_metastore::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// The name that links a rerun to the runs before it; at most [`NAME_BYTES_MAX`](crate::NAME_BYTES_MAX) bytes.
    pub name: String,
    /// The job that this one is a rerun of.
    pub predecessor: Option<JobId>,
    /// The jobs that share stored inputs with it.
    pub run_group: RunGroupId,
    /// How it stands.
    pub status: JobStatus,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended, if it did; of an interrupted one, when it last committed rows or, if it did not, began.
    pub finished_at: Option<Timestamp>,
    /// What it failed with; at most [`TEXT_BYTES_MAX`] bytes.
    pub error: Option<String>,
    /// The id of the operating system's process that runs it.
    pub process: u32,
    /// The build of the program that runs it, if it is known. Records of version 1 know of none.
    pub build: Option<Build>,
}

/// What a program was when it ran: evidence for people, and no part of any identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// The executable's build id or hash; at most [`NAME_BYTES_MAX`](crate::NAME_BYTES_MAX) bytes, as the others.
    pub executable: String,
    /// The compiler's version.
    pub compiler: String,
    /// The platform that it was built for.
    pub target: String,
}

impl Job {
    pub(crate) fn check(&self) -> Result<()> {
        check_name("job name", &self.name)?;
        if let Some(Build { executable, compiler, target }) = &self.build {
            check_length("job executable", executable, NAME_BYTES_MAX)?;
            check_length("job compiler", compiler, NAME_BYTES_MAX)?;
            check_length("job target", target, NAME_BYTES_MAX)?;
        }
        self.error.as_deref().map_or(Ok(()), |error| check_length("job error", error, TEXT_BYTES_MAX))
    }
}
