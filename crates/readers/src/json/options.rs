//! How a JSON file is written.

use rowmark_hashing::Fingerprint;

use crate::Error;
use crate::selection::{Selection, selection_methods};
use crate::text::RECORD_BYTES_MAX;

/// How rows lie in a JSON file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum JsonLayout {
    /// An array where the first character is `[`, and lines otherwise.
    #[default]
    Detect,
    /// A row on each line (JSON Lines, NDJSON). Lines of white space are no rows.
    Lines,
    /// One array, each element of which is a row.
    Array,
}

/// How a JSON file is written, and what of it is read.
///
/// ```
/// use rowmark_readers::{JsonLayout, JsonOptions};
///
/// let pairs = JsonOptions::new().layout(JsonLayout::Lines).rows_max(1000); // lines such as `[1, 2]`
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonOptions {
    pub(super) layout: JsonLayout,
    pub(super) record_bytes_max: u64,
    pub(super) selection: Selection,
}

impl Default for JsonOptions {
    fn default() -> Self {
        Self {
            layout: JsonLayout::default(),
            record_bytes_max: RECORD_BYTES_MAX,
            selection: Selection::default(),
        }
    }
}

impl JsonOptions {
    /// Lines or an array, whichever the file seems to be.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how rows lie in the file.
    #[must_use]
    pub fn layout(mut self, layout: JsonLayout) -> Self {
        self.layout = layout;
        self
    }

    /// Sets the most bytes of a row (default: 8 MiB); a longer one is an error.
    #[must_use]
    pub fn record_bytes_max(mut self, bytes: u64) -> Self {
        self.record_bytes_max = bytes;
        self
    }

    selection_methods!();

    pub(super) fn identify(&self, fingerprint: Fingerprint) -> Result<Fingerprint, Error> {
        let layout = match self.layout {
            JsonLayout::Detect => "detect",
            JsonLayout::Lines => "lines",
            JsonLayout::Array => "array",
        };
        self.selection.identify(fingerprint.with("layout", layout)?)
    }
}
