//! What text formats share: a sparse index of where records begin.

/// Records from one entry of an index to the next: what a read may parse in vain to find its first.
pub(crate) const STRIDE: u64 = 256;

/// Bytes that a record may have unless it is said otherwise.
pub(crate) const RECORD_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Bytes that are read at a time.
pub(crate) const BLOCK_BYTES: usize = 128 * 1024;

/// A sparse index of a file's records.
#[derive(Debug, Default, PartialEq)]
pub struct TextIndex {
    pub(crate) rows: u64,
    /// The start of every record whose number is a multiple of [`STRIDE`].
    pub(crate) starts: Vec<Start>,
}

/// The start of a record in a file's text.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Start {
    pub(crate) byte: u64,
    /// Lines before it in the file.
    pub(crate) lines_before: u64,
}

impl TextIndex {
    pub(crate) fn push(&mut self, start: Start) {
        if self.rows.is_multiple_of(STRIDE) {
            self.starts.push(start);
        }
        self.rows += 1;
    }

    /// The record from which a new reader begins to reach this one.
    pub(crate) fn begins_at(row: u64) -> u64 {
        row - row % STRIDE
    }

    /// Where a record whose number is a multiple of [`STRIDE`] begins.
    pub(crate) fn start(&self, row: u64) -> Start {
        let index = usize::try_from(row / STRIDE).unwrap_or(usize::MAX);
        self.starts.get(index).copied().unwrap_or_default()
    }
}
