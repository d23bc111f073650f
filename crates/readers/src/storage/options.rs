//! How a store is reached, and what its listing tells.

use std::collections::BTreeMap;
use std::fmt;

/// How files in a store are reached and listed.
///
/// What is not said here is looked for in the environment, under the names that the stores' own tools use:
/// `AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, `GOOGLE_APPLICATION_CREDENTIALS`, `AZURE_STORAGE_ACCOUNT_NAME`, … None of it is part
/// of a row or of an identity, and none is shown: the same files reached in another way are the same source.
///
/// ```
/// use rowmark_readers::StorageOptions;
///
/// let minio = StorageOptions::new()
///     .endpoint("http://localhost:9000")
///     .allow_http()
///     .option("aws_access_key_id", "me")
///     .option("aws_secret_access_key", "hunter2");
/// assert!(!format!("{minio:?}").contains("hunter2"));
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StorageOptions {
    pub(super) endpoint: Option<String>,
    pub(super) region: Option<String>,
    pub(super) is_anonymous: bool,
    pub(super) allows_http: bool,
    pub(super) retries_max: Option<u32>,
    pub(super) with_modified: bool,
    pub(super) with_version: bool,
    pub(super) headers: Vec<(String, String)>,
    pub(super) options: BTreeMap<String, String>,
}

impl StorageOptions {
    /// The environment's settings, and rows without times and versions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the address of a server that speaks a store's protocol, in the place of the store's own.
    #[must_use]
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoint = Some(url.into());
        self
    }

    /// Sets the region of an S3 bucket; `us-east-1` if nothing says another.
    #[must_use]
    pub fn region(mut self, name: impl Into<String>) -> Self {
        self.region = Some(name.into());
        self
    }

    /// Reads without credentials, as public buckets allow.
    #[must_use]
    pub fn anonymous(mut self) -> Self {
        self.is_anonymous = true;
        self
    }

    /// Allows an endpoint whose address begins with `http://`: what is read from it, and tokens that are sent to it, can
    /// be seen on the way.
    #[must_use]
    pub fn allow_http(mut self) -> Self {
        self.allows_http = true;
        self
    }

    /// Sets how often a request is tried again that failed on the way or met an error of the server's; 10 if it is not set.
    #[must_use]
    pub fn retries_max(mut self, retries_max: u32) -> Self {
        self.retries_max = Some(retries_max);
        self
    }

    /// Sets an option of the store by its name, as the `object_store` crate has them: `aws_access_key_id`,
    /// `azure_storage_sas_key`, `google_service_account`, `proxy_url`, …
    #[must_use]
    pub fn option(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.insert(name.into().to_ascii_lowercase(), value.into());
        self
    }

    /// Sends a header with every request to a server of plain HTTP: a token, say.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Fills [`File::modified`](super::File::modified). The times are then part of the rows and of their identity: a file that is
    /// written again is another row, whatever it holds.
    #[must_use]
    pub fn with_modified(mut self) -> Self {
        self.with_modified = true;
        self
    }

    /// Fills [`File::version`](super::File::version) where a bucket keeps versions, and reads exactly these, also when newer ones have
    /// been written since. Asks the store about each file, and makes the versions part of the rows and of their identity.
    #[must_use]
    pub fn with_version(mut self) -> Self {
        self.with_version = true;
        self
    }
}

/// Shows which options are set, and not to what.
impl fmt::Debug for StorageOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers = self.headers.iter().map(|(name, _)| name).collect::<Vec<_>>();
        formatter
            .debug_struct("StorageOptions")
            .field("with_modified", &self.with_modified)
            .field("with_version", &self.with_version)
            .field("headers", &headers)
            .field("options", &self.options.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
