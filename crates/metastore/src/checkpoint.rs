//! The record of a checkpoint: what a step has stored, and the identity under which it is found again.

use rowmark_hashing::{ContentHash, Fingerprint};
use serde::{Deserialize, Serialize};

use crate::bounds::check_name;
use crate::{Error, JobId, Result, Timestamp};

/// Whether a checkpoint stands for a step's progress or for its whole result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum CheckpointKind {
    /// Some rows may be missing; its hash leaves the body of the function out.
    Partial,
    /// Every row is there; its hash includes the body of the function.
    Final,
}

/// Whether a checkpoint may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CheckpointStatus {
    /// It is found and used.
    Active,
    /// It is not found any more; its table may be removed.
    Expired,
    /// It is not found any more and its table is gone; the record may be removed.
    Deleted,
}

/// Rows that a step has read and made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowCounts {
    /// Input rows that are done.
    pub rows_in: u64,
    /// Output rows that were made of them.
    pub rows_out: u64,
}

/// How many rows one version of a function made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeRows {
    /// The hash of the code.
    pub code: ContentHash,
    /// The input rows that this code did.
    pub rows: u64,
}

/// What a step has stored, and how it is found again.
///
/// A store keeps at most one for a job, a hash and a kind. The order of the fields is the order in the
/// [stored bytes](crate::Record); it changes only with the version of the record.
///
/// ```
/// use rowmark_hashing::Fingerprint;
/// use rowmark_metastore::{Checkpoint, CheckpointKind, CheckpointStatus, JobId, Record, RowCounts, Timestamp};
///
/// let fingerprint = Fingerprint::new("step").with("name", "classify")?;
/// let hash = fingerprint.hash();
/// let checkpoint = Checkpoint {
///     job: JobId::new(),
///     hash,
///     kind: CheckpointKind::Partial,
///     status: CheckpointStatus::Active,
///     created_at: Timestamp::from_millis(1_700_000_000_000),
///     step: "classify".to_owned(),
///     hash_partial: hash,
///     fingerprint,
///     table: "udf_0190_ab12_output_partial".to_owned(),
///     counts: RowCounts::default(),
///     content_hash: None,
///     codes: Vec::new(),
///     identity: hash,
///     rows_failed: 0,
/// };
/// assert_eq!(Checkpoint::from_bytes(&checkpoint.to_bytes()?)?, checkpoint);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The job that made it.
    pub job: JobId,
    /// What it is found by: the hash of its fingerprint.
    pub hash: ContentHash,
    /// Progress or whole result.
    pub kind: CheckpointKind,
    /// Whether it may be used.
    pub status: CheckpointStatus,
    /// When it was made.
    pub created_at: Timestamp,
    /// The name of the step, which is the name of its function; at most
    /// [`NAME_BYTES_MAX`](crate::NAME_BYTES_MAX) bytes.
    pub step: String,
    /// The hash of the partial checkpoint that it belongs to; of a partial one, its own.
    pub hash_partial: ContentHash,
    /// The labelled components that `hash` is made of. That it has this hash is the caller's care: a record stays
    /// readable when the way in which fingerprints are hashed changes.
    pub fingerprint: Fingerprint,
    /// The name of its table; at most [`NAME_BYTES_MAX`](crate::NAME_BYTES_MAX) bytes.
    pub table: String,
    /// Rows read and made.
    pub counts: RowCounts,
    /// The hash of the table's rows, once they are all there.
    pub content_hash: Option<ContentHash>,
    /// Which code did how many rows.
    pub codes: Vec<CodeRows>,
    /// What the steps after it build their hashes on.
    pub identity: ContentHash,
    /// Input rows that failed and were recorded instead of done. Records of version 1 know of none.
    pub rows_failed: u64,
}

impl Checkpoint {
    /// Tells whether the checkpoint may be used.
    pub const fn is_active(&self) -> bool {
        matches!(self.status, CheckpointStatus::Active)
    }

    pub(crate) fn check(&self) -> Result<()> {
        check_name("checkpoint step", &self.step)?;
        check_name("checkpoint table", &self.table)?;
        if self.kind == CheckpointKind::Partial && self.hash_partial != self.hash {
            let reason = "must be the checkpoint's own hash, since it is a partial one";
            return Err(Error::Invalid { field: "checkpoint hash_partial", reason });
        }
        Ok(())
    }

    /// Checks that this one can take the place of the partial checkpoint `hash_partial` of `job`.
    pub(crate) fn check_final_of(&self, job: JobId, hash_partial: ContentHash) -> Result<()> {
        let fits = self.job == job
            && self.hash_partial == hash_partial
            && self.kind == CheckpointKind::Final
            && self.is_active();
        if !fits {
            let reason = "must be active, final, and of the job and the partial hash that are promoted";
            return Err(Error::Invalid { field: "promoted checkpoint", reason });
        }
        Ok(())
    }
}
