//! Names of tables: the one place that builds and parses them.
//!
//! A name is a folder's name and an identity. Building and parsing are inverse to each other: a
//! text that parses prints as itself, so that two names never mean one table.
//!
//! ```text
//! udf_{job: 32 hex digits}_{hash: 64 hex digits}_{input|output_partial|output|partition|failures}
//! ds_{dataset name}_{version}
//! ```

use std::fmt;
use std::str::FromStr;

use rowmark_hashing::ContentHash;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::Error;

/// The longest name of a dataset, in bytes; with the rest of a table's name it fits in any file system.
pub const DATASET_NAME_BYTES_MAX: usize = 128;

/// The name of a table.
///
/// ```
/// use rowmark_warehouse::{DatasetName, TableName};
///
/// let name = TableName::dataset(DatasetName::new("flights.2013")?, 2);
/// assert_eq!(name.to_string(), "ds_flights.2013_2");
/// assert_eq!("ds_flights.2013_2".parse::<TableName>()?, name);
/// assert!("ds_../../etc_2".parse::<TableName>().is_err());
/// # Ok::<(), rowmark_warehouse::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TableName {
    /// A table that a step of a job reads or writes.
    Udf {
        /// The job.
        job: Uuid,
        /// The hash of the step.
        hash: ContentHash,
        /// What the table holds.
        kind: UdfTable,
    },
    /// The rows of a saved dataset.
    Dataset {
        /// The dataset's name.
        name: DatasetName,
        /// The dataset's version.
        version: u32,
    },
}

/// What a step's table holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UdfTable {
    /// The rows that the step reads, when their source cannot be read twice.
    Input,
    /// The rows that the step has written so far.
    OutputPartial,
    /// All the rows that the step writes.
    Output,
    /// Which input rows belong to which group.
    Partition,
    /// The input rows that failed, with their errors.
    Failures,
}

impl UdfTable {
    const ALL: [Self; 5] = [Self::Input, Self::OutputPartial, Self::Output, Self::Partition, Self::Failures];

    fn suffix(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::OutputPartial => "output_partial",
            Self::Output => "output",
            Self::Partition => "partition",
            Self::Failures => "failures",
        }
    }
}

impl TableName {
    /// Names the table of a step.
    #[must_use]
    pub fn udf(job: Uuid, hash: ContentHash, kind: UdfTable) -> Self {
        Self::Udf { job, hash, kind }
    }

    /// Names the table of a dataset version.
    #[must_use]
    pub fn dataset(name: DatasetName, version: u32) -> Self {
        Self::Dataset { name, version }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udf { job, hash, kind } => {
                write!(formatter, "udf_{}_{hash}_{}", job.simple(), kind.suffix())
            }
            Self::Dataset { name, version } => write!(formatter, "ds_{name}_{version}"),
        }
    }
}

impl fmt::Debug for TableName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for TableName {
    type Err = Error;

    /// Reads a name as it prints.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidName`] for any other text.
    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text)
            .filter(|name| name.to_string() == text)
            .ok_or_else(|| invalid(text, "table", "it is neither `udf_…` nor `ds_…` as a store writes them"))
    }
}

fn parse(text: &str) -> Option<TableName> {
    if let Some(rest) = text.strip_prefix("udf_") {
        let (job, rest) = rest.split_once('_')?;
        let (hash, suffix) = rest.split_once('_')?;
        let kind = UdfTable::ALL.into_iter().find(|kind| kind.suffix() == suffix)?;
        return Some(TableName::udf(Uuid::try_parse(job).ok()?, hash.parse().ok()?, kind));
    }
    let (name, version) = text.strip_prefix("ds_")?.rsplit_once('_')?;
    Some(TableName::dataset(DatasetName::new(name).ok()?, version.parse().ok()?))
}

impl Serialize for TableName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TableName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The name of a dataset: letters, digits, `.`, `_` and `-`, beginning with a letter or a digit.
///
/// ```
/// use rowmark_warehouse::DatasetName;
///
/// assert_eq!(DatasetName::new("cats-and-dogs")?.as_str(), "cats-and-dogs");
/// let error = DatasetName::new("../cats").unwrap_err();
/// assert!(error.to_string().contains("begin with a letter or a digit"), "{error}");
/// # Ok::<(), rowmark_warehouse::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct DatasetName(String);

impl DatasetName {
    /// Checks a name.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidName`], with the rule that the text breaks.
    pub fn new(text: &str) -> Result<Self, Error> {
        let is_allowed = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '-');
        let reason = if text.is_empty() {
            "it is empty"
        } else if text.len() > DATASET_NAME_BYTES_MAX {
            "it is longer than 128 bytes"
        } else if !text.starts_with(|char: char| char.is_ascii_alphanumeric()) {
            "it must begin with a letter or a digit"
        } else if !text.chars().all(is_allowed) {
            "it may hold only ASCII letters, digits, `.`, `_` and `-`"
        } else {
            return Ok(Self(text.to_owned()));
        };
        Err(invalid(text, "dataset", reason))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DatasetName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for DatasetName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

impl FromStr for DatasetName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::new(text)
    }
}

impl<'de> Deserialize<'de> for DatasetName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// Which tables to list.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TableFilter {
    /// All tables.
    All,
    /// The tables of a job's steps.
    Job(Uuid),
    /// All datasets.
    Datasets,
    /// The versions of one dataset.
    Dataset(DatasetName),
    /// The tables whose names, as they print, begin with a text.
    Prefix(String),
}

impl TableFilter {
    /// Whether a table is among those to list.
    #[must_use]
    pub fn matches(&self, table: &TableName) -> bool {
        match (self, table) {
            (Self::All, _) | (Self::Datasets, TableName::Dataset { .. }) => true,
            (Self::Job(wanted), TableName::Udf { job, .. }) => wanted == job,
            (Self::Dataset(wanted), TableName::Dataset { name, .. }) => wanted == name,
            (Self::Prefix(prefix), table) => table.to_string().starts_with(prefix),
            _ => false,
        }
    }
}

fn invalid(text: &str, kind: &'static str, reason: &'static str) -> Error {
    const SHOWN_CHARS_MAX: usize = 80;
    Error::InvalidName { text: text.chars().take(SHOWN_CHARS_MAX).collect(), kind, reason }
}
