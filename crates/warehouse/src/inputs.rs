//! What a table may keep of the rows that a batch was made from: enough to find their outputs again.

use rowmark_hashing::RowHash;
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

/// Refuses a caller that tells of other rows than it appends.
pub(crate) fn assert_inputs(range: RowRange, rows: usize, inputs: &[InputRow]) {
    assert_eq!(inputs.len() as u64, range.len(), "one input is told for each row of {range}");
    let outputs: u64 = inputs.iter().map(|input| u64::from(input.outputs)).sum();
    assert_eq!(outputs, rows as u64, "the inputs of {range} gave the rows of the batch");
}
