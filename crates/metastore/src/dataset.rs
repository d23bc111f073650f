//! The record of a dataset version: rows that were saved under a name.

use std::fmt;

use rowmark_hashing::ContentHash;
use serde::{Deserialize, Serialize};

use crate::bounds::check_name;
use crate::checkpoint::CodeRows;
use crate::{Error, JobId, Result, Timestamp};

/// A dataset and one of its versions, as something that another one was made from.
///
/// ```
/// use rowmark_metastore::DatasetRef;
///
/// let reviews = DatasetRef { name: "reviews".to_owned(), version: 3 };
/// assert_eq!(reviews.to_string(), "reviews@3");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DatasetRef {
    /// The dataset's name.
    pub name: String,
    /// The version, counted from 1.
    pub version: u32,
}

impl fmt::Display for DatasetRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

/// One version of a dataset.
///
/// The order of the fields is the order in the [stored bytes](crate::Record); it changes only with the version
/// of the record.
///
/// ```
/// use rowmark_hashing::ContentHash;
/// use rowmark_metastore::{DatasetVersion, JobId, Record, Timestamp};
///
/// let version = DatasetVersion {
///     name: "sentiments".to_owned(),
///     version: 1,
///     chain_hash: ContentHash::of("the chain")?,
///     content_hash: ContentHash::of("the rows")?,
///     schema: "id: u64, label: utf8".to_owned(),
///     table: "ds_sentiments_1".to_owned(),
///     rows: 1_000_000,
///     bytes: 48_000_000,
///     job: JobId::new(),
///     created_at: Timestamp::from_millis(1_700_000_000_000),
///     dependencies: Vec::new(),
///     codes: Vec::new(),
/// };
/// assert_eq!(DatasetVersion::from_bytes(&version.to_bytes()?)?, version);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetVersion {
    /// The dataset's name; at most [`NAME_BYTES_MAX`](crate::NAME_BYTES_MAX) bytes.
    pub name: String,
    /// The version, counted from 1.
    pub version: u32,
    /// The hash of the chain that made it; a later run of the same chain finds it by this.
    pub chain_hash: ContentHash,
    /// The hash of its rows; its identity as an input of other chains.
    pub content_hash: ContentHash,
    /// The schema of its rows, as text.
    pub schema: String,
    /// The name of its table; at most [`NAME_BYTES_MAX`](crate::NAME_BYTES_MAX) bytes.
    pub table: String,
    /// The number of rows.
    pub rows: u64,
    /// The size of its table on disk.
    pub bytes: u64,
    /// The job that saved it.
    pub job: JobId,
    /// When it was saved.
    pub created_at: Timestamp,
    /// The dataset versions that it was made from.
    pub dependencies: Vec<DatasetRef>,
    /// Which code made how many of its rows.
    pub codes: Vec<CodeRows>,
}

impl DatasetVersion {
    pub(crate) fn check(&self) -> Result<()> {
        check_dataset("dataset name", &self.name, self.version)?;
        check_name("dataset table", &self.table)?;
        self.dependencies
            .iter()
            .try_for_each(|dataset| check_dataset("dataset dependency", &dataset.name, dataset.version))
    }
}

/// The version after the highest that there ever was.
pub(crate) fn next_version(last: u32) -> Result<u32> {
    let reason = "cannot be counted further; save under another name";
    last.checked_add(1).ok_or(Error::Invalid { field: "dataset version", reason })
}

fn check_dataset(field: &'static str, name: &str, version: u32) -> Result<()> {
    check_name(field, name)?;
    if version == 0 {
        return Err(Error::Invalid { field: "dataset version", reason: "is 0; versions begin with 1" });
    }
    Ok(())
}
