//! Which dataset of the hub is read, from where, and where it is kept.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::ColumnarOptions;
use crate::selection::{Selection, selection_methods};

/// The hub unless it is said otherwise.
pub(super) const ENDPOINT: &str = "https://huggingface.co";

/// The revision unless it is said otherwise.
pub(super) const REVISION: &str = "main";

/// How often a request is tried, and the pause before the second try.
pub(super) const ATTEMPTS: u32 = 5;
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// What of a dataset is read, from which hub, and where its files are kept.
///
/// ```
/// use rowmark_readers::HfOptions;
///
/// let options = HfOptions::new()
///     .config("en")
///     .revision("v1.0")
///     .cache_folder("/data/huggingface/hub")
///     .columns(["text", "label"]);
/// # let _ = options;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HfOptions {
    pub(super) config: Option<String>,
    pub(super) revision: Option<String>,
    pub(super) token: Option<Token>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) endpoint: Option<String>,
    pub(super) cache_folder: Option<PathBuf>,
    pub(super) offline: Option<bool>,
    pub(super) proxy: Option<Proxy>,
    pub(super) retry: Option<(u32, Duration)>,
    selection: Selection,
}

/// Shown as dots, whoever prints it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Token(pub(super) String);

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("…")
    }
}

/// A proxy's address, which may have a password in it, and the hosts that are reached without it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Proxy {
    pub(super) url: String,
    pub(super) exempt: Vec<String>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("…")
    }
}

impl HfOptions {
    /// All columns and rows of the default configuration, at the revision `main` of huggingface.co.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads this configuration (subset) of the dataset, where it has several.
    #[must_use]
    pub fn config(mut self, config: impl Into<String>) -> Self {
        self.config = Some(config.into());
        self
    }

    /// Reads the dataset as it is at this branch, tag or commit (default: `main`). With a whole commit hash the hub is not
    /// asked at all for what is in the cache.
    #[must_use]
    pub fn revision(mut self, revision: impl Into<String>) -> Self {
        self.revision = Some(revision.into());
        self
    }

    /// Shows the hub this token, for datasets that are private or gated. It is sent to the hub alone, and is in no hash,
    /// record, log or error.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(Token(token.into()));
        self
    }

    /// Takes the token from this file, if it is there and no other is set: where `hf auth login` put it.
    #[must_use]
    pub fn token_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.token_file = Some(path.into());
        self
    }

    /// Asks the hub at this address (default: `https://huggingface.co`), such as a mirror.
    #[must_use]
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoint = Some(url.into());
        self
    }

    /// Keeps files in this folder, in the layout that all of the hub's clients share.
    #[must_use]
    pub fn cache_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cache_folder = Some(folder.into());
        self
    }

    /// Sends nothing, and reads what is in the cache.
    #[must_use]
    pub fn offline(mut self, offline: bool) -> Self {
        self.offline = Some(offline);
        self
    }

    /// Reaches a hub at an `https` address through a proxy, but for these hosts (`example.com`, `.example.com`, `*`).
    #[must_use]
    pub fn proxy<H: Into<String>>(
        mut self,
        url: impl Into<String>,
        exempt: impl IntoIterator<Item = H>,
    ) -> Self {
        let exempt = exempt.into_iter().map(Into::into).collect();
        self.proxy = Some(Proxy { url: url.into(), exempt });
        self
    }

    /// Sets how often a request is tried that failed for a passing reason, and the pause before the second try, which
    /// doubles from try to try (default: 5 times, 1 second).
    #[must_use]
    pub fn retry(mut self, attempts: u32, pause: Duration) -> Self {
        self.retry = Some((attempts.max(1), pause));
        self
    }

    selection_methods!();

    /// These options, and for what is not set in them the others: what a program's environment says, say. What of the
    /// dataset is read is never taken from the others.
    #[must_use]
    pub fn or(self, others: &Self) -> Self {
        let others = others.clone();
        let token_file = if self.token.is_some() { None } else { self.token_file.or(others.token_file) };
        Self {
            config: self.config,
            revision: self.revision,
            token_file,
            token: self.token.or(others.token),
            endpoint: self.endpoint.or(others.endpoint),
            cache_folder: self.cache_folder.or(others.cache_folder),
            offline: self.offline.or(others.offline),
            proxy: self.proxy.or(others.proxy),
            retry: self.retry.or(others.retry),
            selection: self.selection,
        }
    }

    pub(super) fn columnar(&self) -> ColumnarOptions {
        ColumnarOptions { selection: self.selection.clone() }
    }
}
