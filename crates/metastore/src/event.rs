//! The record of an event: a decision that a job took, with its counts.

use serde::{Deserialize, Serialize};

use crate::bounds::{NAME_BYTES_MAX, TEXT_BYTES_MAX, check_length};
use crate::{JobId, Result, Timestamp};

/// What was decided or found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum EventKind {
    /// A step was not run, since its whole result was found.
    Skip,
    /// A step was continued from stored progress.
    Continue,
    /// A step was run from its first row.
    Run,
    /// A save found its dataset version again.
    SaveFound,
    /// A save made a dataset version.
    SaveNew,
    /// Records and tables disagreed, and were made to agree.
    Repaired,
    /// A checkpoint, a table or a dataset version was removed.
    Removed,
    /// Something that a person should know, although the job goes on.
    Warning,
}

/// A decision that a job took.
///
/// The order of the fields is the order in the [stored bytes](crate::Record); it changes only with the version
/// of the record.
///
/// ```
/// use rowmark_metastore::{Event, EventKind, JobId, Timestamp};
///
/// let event = Event {
///     rows_in: 1_000,
///     rows_reused: 400,
///     rows_computed: 600,
///     rows_out: 1_000,
///     reason: "progress of an earlier run was found".to_owned(),
///     ..Event::new(JobId::new(), Timestamp::from_millis(0), "classify", EventKind::Continue)
/// };
/// assert_eq!(event.number, 0); // the store gives the number
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The job.
    pub job: JobId,
    /// Its place among the job's events, counted from 1; given by the store when it is recorded.
    pub number: u64,
    /// When it happened.
    pub at: Timestamp,
    /// The step or dataset that it is about; empty if it is about the job.
    pub step: String,
    /// What was decided.
    pub kind: EventKind,
    /// Rows that the step had to do.
    pub rows_in: u64,
    /// Rows that were found done.
    pub rows_reused: u64,
    /// Rows that the function was called for.
    pub rows_computed: u64,
    /// Rows whose function failed.
    pub rows_failed: u64,
    /// Rows that the step yields.
    pub rows_out: u64,
    /// The job whose work was reused.
    pub reused_from: Option<JobId>,
    /// Why, in words; cut to [`TEXT_BYTES_MAX`] bytes when it is recorded.
    pub reason: String,
}

impl Event {
    /// Makes an event without counts and without a reason.
    pub fn new(job: JobId, at: Timestamp, step: impl Into<String>, kind: EventKind) -> Self {
        Self {
            job,
            number: 0,
            at,
            step: step.into(),
            kind,
            rows_in: 0,
            rows_reused: 0,
            rows_computed: 0,
            rows_failed: 0,
            rows_out: 0,
            reused_from: None,
            reason: String::new(),
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        check_length("event step", &self.step, NAME_BYTES_MAX)?;
        check_length("event reason", &self.reason, TEXT_BYTES_MAX)
    }
}
