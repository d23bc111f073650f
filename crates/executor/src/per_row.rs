//! A task out of a function.

use std::error::Error as StdError;
use std::ops::Range;

use crate::{Computed, Task};

/// A [`Task`] made from a function of the row's number; see [`per_row`].
#[derive(Clone, Copy, Debug)]
pub struct PerRow<F, O> {
    function: F,
    row_bytes: fn(&O) -> u64,
}

/// Makes a [`Task`] from a fallible function of the row's number. Its batches are the range and
/// one output per row of it.
///
/// ```
/// let texts = ["one", "two"];
/// let task = rowmark_executor::per_row(|row| texts[row as usize].parse::<u64>());
/// let task = task.row_bytes(|_| 8);
/// ```
pub fn per_row<F, O, E>(function: F) -> PerRow<F, O>
where
    F: Fn(u64) -> Result<O, E> + Sync,
    O: Send,
    E: StdError + Send + 'static,
{
    PerRow { function, row_bytes: |_| size_of::<O>() as u64 }
}

impl<F, O> PerRow<F, O> {
    /// Sets how the size of an output in memory is estimated, for outputs that own memory elsewhere
    /// (default: the size of their type).
    #[must_use]
    pub fn row_bytes(self, row_bytes: fn(&O) -> u64) -> Self {
        Self { row_bytes, ..self }
    }
}

impl<F, O, E> Task for PerRow<F, O>
where
    F: Fn(u64) -> Result<O, E> + Sync,
    O: Send,
    E: StdError + Send + 'static,
{
    type Worker = ();
    type Row = O;
    type Batch = (Range<u64>, Vec<O>);
    type Error = E;

    fn setup(&self) -> Result<(), E> {
        Ok(())
    }

    fn open<'a>(
        &'a self,
        (): &'a mut (),
        range: Range<u64>,
    ) -> Result<impl Iterator<Item = Result<Computed<O>, E>> + 'a, E> {
        Ok(range.map(|row| (self.function)(row).map(Computed::from)))
    }

    fn pack(&self, range: Range<u64>, rows: Vec<O>) -> Result<Self::Batch, E> {
        Ok((range, rows))
    }

    fn row_bytes(&self, row: &O) -> u64 {
        (self.row_bytes)(row)
    }
}
