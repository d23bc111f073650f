//! What can go wrong while a source is read.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::files::Limit;

/// An error of a source, which says where in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be opened.
    #[error("cannot open {}; check that it exists and may be read", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file could not be read to its end.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system, or what unpacks the file, said.
        source: io::Error,
    },
    /// A file is not what it was when it was fingerprinted.
    #[error("{} changed while it was read; run again when nothing writes to it", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// No file is meant by a list, a folder or a pattern.
    #[error("there is no file to read in {what}; {advice}")]
    NoFiles {
        /// What was asked for.
        what: String,
        /// What to do.
        advice: String,
    },
    /// A pattern of file names is malformed.
    #[error("`{pattern}` is no pattern of file names")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Where in it, and why.
        source: glob::PatternError,
    },
    /// A file is larger than a reader is to be made to read.
    #[error("{}{}: {limit}", path.display(), place.as_ref().map(|place| format!(": {place}")).unwrap_or_default())]
    Limit {
        /// The file.
        path: PathBuf,
        /// Where in it, if that is known.
        place: Option<Place>,
        /// The limit that it is beyond.
        limit: Limit,
    },
    /// A file is not of its format.
    #[error("{}{}: {reason}", path.display(), place.as_ref().map(|place| format!(": {place}")).unwrap_or_default())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where in it, if that is known.
        place: Option<Place>,
        /// What is wrong, in words.
        reason: String,
        /// What the parser said, where it said more.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A CSV file has no header line although one was expected.
    #[error("{} is empty: expected a header line with the columns' names; if it has none, set `has_headers(false)`", path.display())]
    NoHeader {
        /// The file.
        path: PathBuf,
    },
    /// The columns of a source are not those of the type that is read.
    #[error("{what}: {difference}; expected {{{expected}}}, found {{{found}}}")]
    Columns {
        /// The file or other source.
        what: String,
        /// The first difference.
        difference: String,
        /// The columns of the type.
        expected: String,
        /// The columns of the source.
        found: String,
    },
    /// A row of a file is not one of the type that is read.
    #[error("{}: {place}{}: {reason}", path.display(), cell.as_ref().map(|cell| format!(", {cell}")).unwrap_or_default())]
    Row {
        /// The file.
        path: PathBuf,
        /// Where in it.
        place: Place,
        /// The column and what was found there, where it is one column's fault.
        cell: Option<Box<Cell>>,
        /// What is wrong, in words.
        reason: String,
        /// What the parser said.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A database could not be read.
    #[error("cannot {doing} at {place}")]
    Database {
        /// Where the database is, without a user and a password.
        place: String,
        /// What was being done.
        doing: String,
        /// What it said.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A row of a query is not one of the type that is read.
    #[error("{place}: row {row} of the query: {reason}")]
    QueryRow {
        /// Where the database is, without a user and a password.
        place: String,
        /// The row, counted from 0.
        row: u64,
        /// What is wrong, in words.
        reason: String,
        /// What the type said.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// An address of files cannot be understood, or cannot be read by this program.
    #[error("`{address}` cannot be read: {reason}")]
    Address {
        /// The address, without what may be secret in it.
        address: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// A store of files could not be asked, or refused to answer.
    #[error("cannot {doing} {uri}")]
    Storage {
        /// The file, folder or pattern, without what may be secret in its address.
        uri: String,
        /// What was being done.
        doing: String,
        /// What the store said, without secrets.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A dataset of the Hugging Face hub could not be read.
    #[cfg(feature = "hf")]
    #[error("dataset {dataset}: {problem}")]
    Hub {
        /// The dataset's name.
        dataset: String,
        /// What is wrong, and what to do.
        problem: Box<crate::HfProblem>,
        /// What the system, or the connection, said.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A row could not be hashed.
    #[error("a row cannot be hashed")]
    Hash(#[from] rowmark_hashing::Error),
    /// Rows could not be converted, or their type cannot be stored.
    #[error(transparent)]
    Rows(#[from] rowmark_rows::Error),
    /// A source of the user's own failed.
    #[error("cannot read {name}")]
    Custom {
        /// The source's name.
        name: String,
        /// Its error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// An error of reading a file: the system's, or that of a limit.
    pub(crate) fn read(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.downcast::<Limit>() {
            Ok(limit) => Self::Limit { path, place: None, limit },
            Err(source) => Self::Read { path, source },
        }
    }

    /// That a file is not what it was.
    pub(crate) fn changed(path: impl Into<PathBuf>) -> Self {
        Self::Changed { path: path.into() }
    }

    /// An error of reading a file of a store: one of this crate's, or the system's.
    pub(crate) fn of_file(uri: String, source: io::Error) -> Self {
        source.downcast::<Self>().unwrap_or_else(|source| Self::Read { path: uri.into(), source })
    }

    /// Puts the place to an error of a limit.
    pub(crate) fn at(mut self, here: Place) -> Self {
        if let Self::Limit { place, .. } = &mut self {
            place.get_or_insert(here);
        }
        self
    }
}

/// Where in a file something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// A line of a text file, counted from 1.
    Line(u64),
    /// A row of a row group, both counted from 0 as Parquet does.
    RowGroup {
        /// The row group.
        group: u64,
        /// The row in it.
        row: u64,
    },
    /// A row of a record batch, both counted from 0.
    Batch {
        /// The record batch.
        batch: u64,
        /// The row in it.
        row: u64,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(formatter, "line {line}"),
            Self::RowGroup { group, row } => write!(formatter, "row group {group}, row {row}"),
            Self::Batch { batch, row } => write!(formatter, "record batch {batch}, row {row}"),
        }
    }
}

/// A cell of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The column's name, or its number from 1 where it has none.
    pub column: String,
    /// The text that was found, shortened.
    pub text: String,
}

/// Characters of a cell that an error shows.
const CELL_CHARS_SHOWN_MAX: usize = 80;

impl Cell {
    pub(crate) fn new(column: impl Into<String>, text: &[u8]) -> Box<Self> {
        let text = &text[..text.len().min(4 * CELL_CHARS_SHOWN_MAX)];
        let text = String::from_utf8_lossy(text).chars().take(CELL_CHARS_SHOWN_MAX).collect();
        Box::new(Self { column: column.into(), text })
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "column `{}`, found {:?}", self.column, self.text)
    }
}
