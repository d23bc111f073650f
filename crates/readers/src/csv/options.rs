//! How a CSV file is written.

use std::fs::File;

use csv::ReaderBuilder;

/// How a CSV file is written.
///
/// Every option is part of the identity of the rows.
///
/// ```
/// use rowmark_readers::CsvOptions;
///
/// let semicolons = CsvOptions::new().delimiter(b';').null("NA");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvOptions {
    pub(super) delimiter: u8,
    pub(super) has_headers: bool,
    pub(super) null: Option<String>,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self { delimiter: b',', has_headers: true, null: None }
    }
}

impl CsvOptions {
    /// Commas, a header line, and only an empty cell is a missing value.
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
    /// whose fields stand in the order of the columns.
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

    /// A parser of this dialect. It is to take any number of columns: it may begin in the middle of a file,
    /// where it cannot know how many there should be.
    pub(super) fn reader(&self, file: File, has_headers: bool) -> csv::Reader<File> {
        ReaderBuilder::new()
            .delimiter(self.delimiter)
            .has_headers(has_headers)
            .flexible(true)
            .from_reader(file)
    }
}
