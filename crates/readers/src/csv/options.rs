//! How a CSV file is written.

use std::io::Read;

use csv::ReaderBuilder;
use rowmark_hashing::Fingerprint;

use crate::Error;
use crate::files::Metered;
use crate::selection::{Selection, selection_methods};
use crate::text::{BLOCK_BYTES, RECORD_BYTES_MAX};

/// How a CSV file is written, and what of it is read.
///
/// Every option that shapes the rows is part of their identity.
///
/// ```
/// use rowmark_readers::CsvOptions;
///
/// let semicolons = CsvOptions::new().delimiter(b';').null("NA").columns(["name", "metres"]).rows_max(1000);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvOptions {
    pub(super) delimiter: u8,
    pub(super) has_headers: bool,
    pub(super) null: Option<String>,
    pub(super) record_bytes_max: u64,
    pub(super) selection: Selection,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self {
            delimiter: b',',
            has_headers: true,
            null: None,
            record_bytes_max: RECORD_BYTES_MAX,
            selection: Selection::default(),
        }
    }
}

impl CsvOptions {
    /// Commas, a header line, and only an empty cell is a missing value.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the byte between cells.
    #[must_use]
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.delimiter = delimiter;
        self
    }

    /// Tells whether the first record names the columns. Without one, rows are tuples, or structs
    /// whose fields stand in the order of the columns; columns without a type are called `1`, `2` and so on.
    #[must_use]
    pub fn has_headers(mut self, has_headers: bool) -> Self {
        self.has_headers = has_headers;
        self
    }

    /// Sets a text that stands for a missing value, as an empty cell does.
    #[must_use]
    pub fn null(mut self, text: impl Into<String>) -> Self {
        self.null = Some(text.into());
        self
    }

    /// Sets the most bytes of a record (default: 8 MiB); a longer one is an error.
    #[must_use]
    pub fn record_bytes_max(mut self, bytes: u64) -> Self {
        self.record_bytes_max = bytes;
        self
    }

    selection_methods!();

    pub(super) fn identify(&self, fingerprint: Fingerprint) -> Result<Fingerprint, Error> {
        let fingerprint = fingerprint
            .with("delimiter", &(self.delimiter as char))?
            .with("has_headers", &self.has_headers)?
            .with("null", &self.null)?;
        self.selection.identify(fingerprint)
    }

    /// A parser of this dialect that takes what it reads for rows from the first on. It takes any number of columns: it
    /// may begin in the middle of a file, where it cannot know how many there should be.
    pub(super) fn parser<R: Read>(&self, text: R) -> csv::Reader<Metered<R>> {
        ReaderBuilder::new()
            .delimiter(self.delimiter)
            .has_headers(false)
            .flexible(true)
            .buffer_capacity(BLOCK_BYTES)
            .from_reader(Metered::new(text, self.record_bytes_max, BLOCK_BYTES as u64))
    }
}
