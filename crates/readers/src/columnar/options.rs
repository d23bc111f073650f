//! What of a file of record batches is read.

use crate::selection::{Selection, selection_methods};

/// What of a Parquet or Arrow file is read.
///
/// ```
/// use rowmark_readers::ColumnarOptions;
///
/// let some = ColumnarOptions::new().columns(["id", "text"]).rows_max(1000);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnarOptions {
    pub(crate) selection: Selection,
}

impl ColumnarOptions {
    /// All columns and rows.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    selection_methods!();
}
