//! What can go wrong while a source is read.

use std::io;
use std::path::PathBuf;

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
        /// What the system said.
        source: io::Error,
    },
    /// A file is not what it was when it was fingerprinted.
    #[error("{} changed while it was read; run again when nothing writes to it", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A CSV file has no header line although one was expected.
    #[error("{} is empty: expected a header line with the columns' names; if it has none, set `has_headers(false)`", path.display())]
    NoHeader {
        /// The file.
        path: PathBuf,
    },
    /// A line of a CSV file is not a row of the type that is read.
    #[error("{}: line {line}{}: {reason}", path.display(), cell.as_ref().map(|cell| format!(", {cell}")).unwrap_or_default())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line on which the record begins, counted from 1.
        line: u64,
        /// The column and the text found there, where it is one column's fault.
        cell: Option<Cell>,
        /// What is wrong, in words.
        reason: String,
        /// The error of the cell, where it is one cell's fault.
        source: Option<Box<csv::DeserializeError>>,
    },
    /// A row in memory could not be hashed.
    #[error("a row cannot be hashed")]
    Hash(#[from] rowmark_hashing::Error),
    /// A source of the user's own failed.
    #[error("cannot read {name}")]
    Custom {
        /// The source's name.
        name: String,
        /// Its error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A cell of a text file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The column's name, or its number from 1 where there is no header.
    pub column: String,
    /// The text that was found, shortened.
    pub text: String,
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "column `{}`, found {:?}", self.column, self.text)
    }
}
