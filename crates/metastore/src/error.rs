//! What can go wrong, with the place and the cause kept.
//!
//! Two kinds matter to a caller that wants to go on: [`Error::InUse`] (another process has the store; wait or
//! choose another folder) and the ones for which [`Error::is_damage`] holds (what was written cannot be
//! read back; set the folder aside and rebuild the records from the tables that carry them).

use std::io;
use std::path::{Path, PathBuf};

use crate::{JobId, RecordKind};

/// A result whose error is an [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The cause of an [`Error::Damaged`]: the storage engine's error, its panic, or what a check found.
pub type DamageSource = Box<dyn std::error::Error + Send + Sync + 'static>;

/// Everything that the metastore can answer instead of a result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another open store holds the folder.
    #[error("the metastore in {} is in use, by another process or by this one; end that run first or choose another folder", path.display())]
    InUse {
        /// The store's folder.
        path: PathBuf,
        /// What the lock, or the storage engine, answered.
        #[source]
        source: io::Error,
    },

    /// The path, or a part of it, is there but is not a folder.
    #[error("the metastore cannot be opened at {}, because it is not a folder; choose another path or move what is there", path.display())]
    NotAFolder {
        /// The path that was given.
        path: PathBuf,
        /// What the operating system answered.
        #[source]
        source: io::Error,
    },

    /// The folder may not be written to.
    #[error("the metastore in {} cannot be written to; make the folder writable or choose another one", path.display())]
    NotWritable {
        /// The file or folder that was refused.
        path: PathBuf,
        /// What the operating system answered.
        #[source]
        source: io::Error,
    },

    /// An operation on a file failed: a full disk, a failing device.
    #[error("could not {action} {}", path.display())]
    Io {
        /// What was being done, as a verb: `open`, `sync`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system answered.
        #[source]
        source: io::Error,
    },

    /// An earlier write failed, so that what reached the disk since is not known. Reading may still work, or fail with
    /// the error of that write.
    #[error("the metastore in {} takes no more writes after an earlier one failed; open it again when the cause is gone", path.display())]
    Stopped {
        /// The store's folder.
        path: PathBuf,
    },

    /// What was written to the store cannot be read back.
    #[error("the metastore in {} is damaged; set the folder aside and rebuild the records from the tables", path.display())]
    Damaged {
        /// The store's folder.
        path: PathBuf,
        /// What was found.
        #[source]
        source: DamageSource,
    },

    /// The store was made by a newer version of this crate.
    #[error("the metastore in {} has format {found}, and this version reads up to {known}; upgrade, or choose another folder", path.display())]
    NewerFormat {
        /// The store's folder.
        path: PathBuf,
        /// The format that the store names.
        found: u32,
        /// The newest format that this version knows.
        known: u32,
    },

    /// The bytes of a record are not what was written.
    #[error("a {kind} record is damaged: {reason}")]
    DamagedRecord {
        /// What the record should have been.
        kind: RecordKind,
        /// What does not fit.
        reason: &'static str,
        /// The decoder's error, when it was the decoder that refused.
        #[source]
        source: Option<Box<bincode::error::DecodeError>>,
    },

    /// A record was written by a newer version of this crate.
    #[error("a {kind} record has version {found}, and this version reads up to {known}; upgrade to read it")]
    NewerRecord {
        /// What the record is.
        kind: RecordKind,
        /// The version in front of the record.
        found: u8,
        /// The newest version that is known here.
        known: u8,
    },

    /// A record could not be turned into bytes.
    #[error("a {kind} record could not be encoded")]
    Unencodable {
        /// What the record is.
        kind: RecordKind,
        /// The encoder's error.
        #[source]
        source: Box<bincode::error::EncodeError>,
    },

    /// A field is longer than its bound.
    #[error("the {field} has {length} bytes, and at most {length_max} can be kept; shorten it")]
    TooLong {
        /// The record and the field: `job name`.
        field: &'static str,
        /// The length that was given, in bytes.
        length: usize,
        /// The bound, in bytes.
        length_max: usize,
    },

    /// A field has a value that no record may have.
    #[error("the {field} {reason}")]
    Invalid {
        /// The record and the field: `dataset version`.
        field: &'static str,
        /// What is wrong with it, to be read after its name.
        reason: &'static str,
    },

    /// A text is not an id.
    #[error("`{text}` is not a {id}, which is written as 32 lowercase hexadecimal digits")]
    InvalidId {
        /// The type of id that was expected.
        id: &'static str,
        /// The text, cut to a bearable length.
        text: String,
    },

    /// A job with this id is there already.
    #[error("job {job} exists already; mint a new id for every run")]
    JobExists {
        /// The id.
        job: JobId,
    },

    /// There is no job with this id.
    #[error("job {job} is not in the metastore")]
    NoSuchJob {
        /// The id.
        job: JobId,
    },

    /// A job names a predecessor that is not in the store.
    #[error(
        "job {job} is a rerun of job {predecessor}, which is not in the metastore; create that job first, or start under another job name"
    )]
    MissingPredecessor {
        /// The job that names it.
        job: JobId,
        /// The job that is not there.
        predecessor: JobId,
    },

    /// The predecessors of a job lead back to one of them.
    #[error("job {job} is among its own predecessors; start under another job name")]
    PredecessorCycle {
        /// The first job that was met twice.
        job: JobId,
    },

    /// There is no active checkpoint of that hash and kind.
    #[error("job {job} has no active partial checkpoint {hash}; it was promoted, expired or removed before")]
    NoSuchCheckpoint {
        /// The job.
        job: JobId,
        /// The hash of the checkpoint.
        hash: rowmark_hashing::ContentHash,
    },

    /// A dataset has this version already.
    #[error("dataset {name} has a version {version} already; ask for the next version and save under it")]
    DatasetVersionExists {
        /// The dataset.
        name: String,
        /// The version.
        version: u32,
    },
}

impl Error {
    /// What the operating system answered, with refusals told from failures.
    pub(crate) fn from_io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::NotWritable { path, source }
            }
            _ => Self::Io { action, path, source },
        }
    }

    /// Tells whether stored bytes are at fault.
    ///
    /// When it is opening a store that answers so, rebuilding the records helps. Later it does not yet follow: the
    /// store was whole when it was opened, and opening it again will tell.
    ///
    /// ```
    /// use rowmark_metastore::{Job, Record};
    ///
    /// let error = Job::from_bytes(b"no record").unwrap_err();
    /// assert!(error.is_damage());
    /// ```
    pub const fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::DamagedRecord { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_from_failures() {
        for (kind, refusal) in [
            (io::ErrorKind::PermissionDenied, true),
            (io::ErrorKind::ReadOnlyFilesystem, true),
            (io::ErrorKind::StorageFull, false),
        ] {
            let error = Error::from_io("open", Path::new("folder"), kind.into());
            assert_eq!(matches!(error, Error::NotWritable { .. }), refusal, "{error:?}");
            assert!(error.to_string().contains("folder") && !error.is_damage());
            let source =
                std::error::Error::source(&error).and_then(|source| source.downcast_ref::<io::Error>());
            assert_eq!(source.map(io::Error::kind), Some(kind));
        }
    }
}
