//! What a table may keep with a batch: enough to find the outputs of its input rows again, and to know whether rows are
//! the same without reading them.

use rowmark_hashing::{CHUNK_ROWS, ChunkDigest, ContentHash, RowHash};
use rowmark_rows::RowRange;

/// An input row of a batch: its content, and how many rows of the batch are its output.
///
/// The outputs of a batch's input rows follow one another in its rows, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputRow {
    /// The hash of the row; `None` where there is nothing to be found again, as the row was left out. (24 zero bytes,
    /// which are no row's hash, are read as `None`.)
    pub hash: Option<RowHash>,
    /// How many rows it gave.
    pub outputs: u32,
}

/// What rows are, told without them: of a batch's own rows, and of those that it was made from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BatchDigests {
    /// Of all input rows of the batch; over what it is the caller's.
    pub inputs: Option<ContentHash>,
    /// How many rows of the batch stand before the first chunk: fewer than [`CHUNK_ROWS`].
    pub rows_before: u16,
    /// Of the rows behind those, [`CHUNK_ROWS`] each.
    pub chunks: Vec<ChunkDigest>,
}

impl BatchDigests {
    /// Whether a batch of so many rows can have these.
    pub(crate) fn fit(&self, rows: u64) -> bool {
        let chunk_rows = CHUNK_ROWS as u64;
        let chunks_rows = (self.chunks.len() as u64).checked_mul(chunk_rows);
        let end = chunks_rows.and_then(|chunks| chunks.checked_add(u64::from(self.rows_before)));
        u64::from(self.rows_before) < chunk_rows
            && (self.chunks.is_empty() || end.is_some_and(|end| end <= rows))
    }
}

/// Refuses a caller that tells of other rows than it appends.
pub(crate) fn assert_told(range: RowRange, rows: usize, inputs: &[InputRow], digests: &BatchDigests) {
    assert!(digests.fit(rows as u64), "the digests of {range} are of the rows of the batch");
    assert_eq!(inputs.len() as u64, range.len(), "one input is told for each row of {range}");
    let outputs: u64 = inputs.iter().map(|input| u64::from(input.outputs)).sum();
    assert_eq!(outputs, rows as u64, "the inputs of {range} gave the rows of the batch");
}
