//! Rows of files that hold record batches: what Parquet and Arrow IPC share.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::vec;

use arrow_array::RecordBatch;
use rowmark_rows::RowType;

use super::{Misfit, Plan};
use crate::file_source::Cursor;
use crate::files::DataFile;
use crate::{Error, Place};

/// Rows that are decoded at a time.
const DECODED_ROWS: usize = 1024;

/// The parts of a file from which reading can begin.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    /// For each part, the number of rows before it.
    pub(crate) rows_before: Arc<[u64]>,
    pub(crate) place: fn(u64, u64) -> Place,
}

impl Parts {
    /// The part in which a row is.
    pub(crate) fn of(&self, row: u64) -> usize {
        self.rows_before.partition_point(|before| *before <= row).saturating_sub(1)
    }

    /// The first row of the part in which a row is.
    pub(crate) fn begins_at(&self, row: u64) -> u64 {
        self.rows_before.get(self.of(row)).copied().unwrap_or_default()
    }

    fn place(&self, row: u64) -> Place {
        (self.place)(self.of(row) as u64, row - self.begins_at(row))
    }
}

type Batches = Box<dyn Iterator<Item = Result<RecordBatch, Error>> + Send>;

/// Reads the rows of record batches.
pub struct BatchCursor<T> {
    file: DataFile,
    plan: Arc<Plan>,
    parts: Parts,
    batches: Batches,
    /// The batch that is read, and how many of its rows are decoded or were passed over.
    batch: Option<(RecordBatch, usize)>,
    decoded: vec::IntoIter<Result<T, Misfit>>,
    /// The number of the next row in the file.
    row: u64,
}

impl<T: RowType> BatchCursor<T> {
    /// A cursor over batches that begin with this row.
    pub(crate) fn new(file: &DataFile, plan: &Arc<Plan>, parts: &Parts, row: u64, batches: Batches) -> Self {
        let (file, plan, parts) = (file.clone(), Arc::clone(plan), parts.clone());
        Self { file, plan, parts, batches, batch: None, decoded: Vec::new().into_iter(), row }
    }

    /// Sees to it that the batch has a row that is neither decoded nor passed over; false at the end.
    fn load(&mut self) -> Result<bool, Error> {
        while self.batch.as_ref().is_none_or(|(batch, done)| *done == batch.num_rows()) {
            let next = guarded(self.file.path(), || self.batches.next().transpose())?;
            let Some(batch) = next else { return Ok(false) };
            self.batch = Some((batch, 0));
        }
        Ok(true)
    }

    fn decode(&mut self) -> Result<(), Error> {
        let Some((batch, done)) = &mut self.batch else { return Ok(()) };
        let len = DECODED_ROWS.min(batch.num_rows() - *done);
        let part = batch.slice(*done, len);
        let plan = &self.plan;
        self.decoded = guarded(self.file.path(), || Ok(plan.rows(&part)))?.into_iter();
        *done += len;
        Ok(())
    }
}

impl<T: RowType> Cursor for BatchCursor<T> {
    type Row = T;

    fn pass_over(&mut self) -> Result<(), Error> {
        if self.decoded.next().is_none()
            && self.load()?
            && let Some((_, done)) = &mut self.batch
        {
            *done += 1;
        }
        self.row += 1;
        Ok(())
    }

    fn next(&mut self) -> Option<Result<T, Error>> {
        if self.decoded.as_slice().is_empty() {
            match self.load().and_then(|is_there| if is_there { self.decode() } else { Ok(()) }) {
                Ok(()) => {}
                Err(error) => return Some(Err(error)),
            }
        }
        let read = self.decoded.next()?;
        let row = self.row;
        self.row += 1;
        Some(read.map_err(|Misfit { cell, reason, source }| {
            let (path, place) = (self.file.path().to_owned(), self.parts.place(row));
            Error::Row { path, place, cell, reason, source }
        }))
    }
}

impl<T> fmt::Debug for BatchCursor<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("BatchCursor").field("file", &self.file).finish_non_exhaustive()
    }
}

/// Runs a parser of others, some of which panic at what a broken file holds.
pub(crate) fn guarded<R>(path: &Path, parse: impl FnOnce() -> Result<R, Error>) -> Result<R, Error> {
    // What is half done when it panics is not used again: a cursor ends with its first error.
    catch_unwind(AssertUnwindSafe(parse)).unwrap_or_else(|panic| {
        let said =
            panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Err(malformed(path, format!("it is damaged: {}", said.unwrap_or("its parser gave up"))))
    })
}

/// A file is not of its format, as far as can be told in words.
pub(crate) fn malformed(path: &Path, reason: impl Into<String>) -> Error {
    Error::Malformed { path: path.to_owned(), place: None, reason: reason.into(), source: None }
}

/// A file is not of its format, as a parser says.
pub(crate) fn damaged(path: &Path, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    let reason = "it is damaged, cut off, or not of this format".to_owned();
    Error::Malformed { path: path.to_owned(), place: None, reason, source: Some(Box::new(error)) }
}

/// Refuses a file that is compressed as a whole.
pub(crate) fn check_not_packed(file: &DataFile) -> Result<(), Error> {
    if file.can_seek() {
        return Ok(());
    }
    Err(malformed(
        file.path(),
        "it is compressed as a whole, and has to be read from its end on; unpack it first",
    ))
}
