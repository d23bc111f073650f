//! What can be wrong with a dataset of the hub, in words that say what to do.

use std::path::PathBuf;

use crate::Error;

/// Why a dataset of the hub cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HfProblem {
    /// The name is none.
    #[error("that is no name of a dataset; one is `owner/name`, of letters, digits, `-`, `_` and `.`")]
    Name,
    /// It is not said where files are to be kept.
    #[error("there is no folder to keep files in; set `cache_folder`")]
    NoCacheFolder,
    /// The hub has no such dataset, or none that may be seen.
    #[error("the hub has no such dataset, or it is private; check the name, or {}", advice(*.has_token))]
    NoDataset {
        /// Whether a token was shown.
        has_token: bool,
    },
    /// The owner gives access on request only.
    #[error("its owner gives access on request: ask for it at {page}, and {}", advice(*.has_token))]
    Gated {
        /// The page on which access is asked for.
        page: String,
        /// Whether a token was shown.
        has_token: bool,
    },
    /// The hub refuses to show it.
    #[error("the hub refuses access (status {status}); {}", advice(*.has_token))]
    Denied {
        /// The HTTP status.
        status: u16,
        /// Whether a token was shown.
        has_token: bool,
    },
    /// The token is none.
    #[error("the token has characters that no token has; check HF_TOKEN, or what is set as the token")]
    Token,
    /// The dataset has no such branch, tag or commit.
    #[error("there is no revision `{revision}`; check its branches and tags at the hub")]
    NoRevision {
        /// The revision that was asked for.
        revision: String,
    },
    /// The dataset has no such configuration.
    #[error("there is no configuration `{config}`; there is {}", list(.there_is))]
    NoConfig {
        /// The configuration that was asked for.
        config: String,
        /// Those that there are.
        there_is: Vec<String>,
    },
    /// The dataset has several configurations, none of which is the default.
    #[error("it has several configurations; choose one with `config`: {}", list(.there_is))]
    WhichConfig {
        /// Those that there are.
        there_is: Vec<String>,
    },
    /// The dataset has no such split.
    #[error("there is no split `{split}`; there is {}", list(.there_is))]
    NoSplit {
        /// The split that was asked for.
        split: String,
        /// Those that there are.
        there_is: Vec<String>,
    },
    /// There is no Parquet file to read.
    #[error(
        "it has no Parquet files, neither of its own nor converted by the hub; download its files and read them with \
         the reader of their format"
    )]
    NoParquet,
    /// The hub converted only the first part of the data.
    #[error(
        "the hub converted only the first part of split `{split}` to Parquet, since it is large; download its files and \
         read them with the reader of their format"
    )]
    PartlyConverted {
        /// The split.
        split: String,
    },
    /// The header of the dataset's `README.md`, which says where its splits are, is malformed.
    #[error("the header of its README.md, which says where its splits are, is malformed: {reason}")]
    Card {
        /// What is wrong, in words.
        reason: String,
    },
    /// The cache lacks something, and the hub is not to be asked.
    #[error(
        "{what} is not in the cache at {}, and the hub is not asked (HF_HUB_OFFLINE or `offline`); read it once online",
        cache.display()
    )]
    NotCached {
        /// What is missing.
        what: String,
        /// The cache's folder.
        cache: PathBuf,
    },
    /// The cache cannot be read or written.
    #[error("cannot {doing} {} in the cache", path.display())]
    Cache {
        /// What was being done.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
    },
    /// The hub, or a server that it named, is out of reach or out of order, and was so at every try.
    #[error(
        "{place} {fault}, {attempts} times in a row; try again later, or read what is in the cache with HF_HUB_OFFLINE=1"
    )]
    Unreachable {
        /// The server.
        place: String,
        /// What was wrong with it, in words.
        fault: String,
        /// How often it was asked.
        attempts: u32,
    },
    /// The hub, or a server that it named, answered what the protocol does not know.
    #[error("{place} answered unexpectedly: {reason}")]
    Unexpected {
        /// The server.
        place: String,
        /// What was wrong, in words.
        reason: String,
    },
    /// A file is not what the hub says that it is.
    #[error(
        "the file {} does not have the hash {expected} that the hub tells of it; remove it and run again, and if that does \
         not help, something on the way to the hub changes files",
        path.display()
    )]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// The hash that it is to have.
        expected: String,
    },
}

fn advice(has_token: bool) -> &'static str {
    if has_token {
        "use a token of an account that may read it; the one that is set may not"
    } else {
        "set a token of an account that may read it, with `token` or HF_TOKEN"
    }
}

/// Names that an error shows.
const NAMES_SHOWN_MAX: usize = 20;

fn list(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(NAMES_SHOWN_MAX).map(|name| format!("`{name}`")).collect();
    match names.len().saturating_sub(NAMES_SHOWN_MAX) {
        0 if shown.is_empty() => "none".to_owned(),
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// A problem, and what caused it.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) problem: HfProblem,
    pub(super) source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl From<HfProblem> for Fault {
    fn from(problem: HfProblem) -> Self {
        Self { problem, source: None }
    }
}

impl Fault {
    pub(super) fn cache(doing: &'static str, path: &std::path::Path, source: std::io::Error) -> Self {
        let problem = HfProblem::Cache { doing, path: path.to_owned() };
        Self { problem, source: Some(Box::new(source)) }
    }

    pub(super) fn of(self, dataset: &str) -> Error {
        let Self { problem, source } = self;
        Error::Hub { dataset: dataset.to_owned(), problem: Box::new(problem), source }
    }
}
