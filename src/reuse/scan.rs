//! Reads and hashes the rows that are missing, on all workers, and finds what can stand for them.

use std::cmp::Reverse;
use std::ops::Range;

use rowmark_executor as executor;
use rowmark_executor::{Computed, OnError, Retry, Sink, Task};
use rowmark_rows::{RowRange, RowRanges, RowSchema, RowType};
use rowmark_warehouse::Frame;

use super::in_place::InPlace;
use super::join::Apart;
use super::outputs::Outputs;
use super::pairs::Pairs;
use super::{Donor, Matches, NewRow, Search};
use crate::error::{CommitError, RowError};
use crate::function::{Function, Hashes, Items};
use crate::input::{Input, Reader, Rows};
use crate::poison::{Notes, WorkerNote};
use crate::step::in_order::InOrder;
use crate::{Result, store};

/// Finds what donors have for the rows of an input; `schema` is that of the outputs.
pub(crate) fn find<In: RowType, F: Function<In>>(
    search: &Search<'_>,
    input: &dyn Input<In>,
    function: &F,
    schema: &RowSchema,
) -> Result<Matches> {
    let unchanged = if F::IS_OF_THE_ROW { unchanged(search, input)? } else { Vec::new() };
    let kept: RowRanges = unchanged.iter().map(Frame::range).collect();
    let read: RowRanges = search.read().iter().flat_map(|range| kept.missing_in(range)).collect();
    let in_place = InPlace::new(search, Outputs::new(search, schema)?, read.rows())?;
    let mut sink = InOrderSink { in_order: InOrder::new(), in_place };
    let settled: RowRanges = read.iter().chain(kept.iter()).collect();
    for gap in &settled.missing_in(RowRange::new(0, search.rows_in)) {
        sink.in_order.push(gap, Part::NotRead(gap));
    }
    unchanged.into_iter().for_each(|frame| sink.in_order.push(frame.range(), Part::Unchanged(frame)));
    sink.drain()?;
    let task = HashTask { input, function, notes: search.notes };
    let options = search.workers.options_in_bulk().retry(Retry::default());
    // What becomes of a row that cannot be read is for the run to say.
    let options = options.on_error(OnError::Record { failures_max: u64::MAX });
    search.workers.run(&read, &task, &mut sink, &options)?;
    // The rows were read before this moment; if the source is still the same, they are its rows.
    input.verify()?;
    let InPlace { kept, mut outputs, rows, apart, .. } = sink.in_place.end()?;
    if let Some(apart) = Apart::new(search, apart, &rows)? {
        let mut pairs = Pairs::new(search)?;
        apart.join(|donor, old, new| pairs.add(donor, old, new))?;
        pairs.collect(&mut outputs)?;
    }
    let (found, mut rows) = outputs.finish()?;
    rows[0] += kept.iter().map(|frame| frame.range().len()).sum::<u64>();
    let most_of =
        (0..rows.len()).filter(|donor| rows[*donor] > 0).max_by_key(|donor| (rows[*donor], Reverse(*donor)));
    Ok(Matches { kept, found, most_of })
}

/// The batches of the nearest donor whose input rows are known to be the same without a look at them.
fn unchanged<In>(search: &Search<'_>, input: &dyn Input<In>) -> Result<Vec<Frame>> {
    let Donor { table, .. } = &search.donors[0];
    let mut unchanged = Vec::new();
    for frame in table.frames() {
        let range = frame.range();
        let is_wanted = frame.code() == search.code
            && range.end() <= search.rows_in
            && search.missing.missing_in(range).is_empty();
        let Some(now) = is_wanted.then(|| input.digest(range)).flatten() else { continue };
        match table.digests(frame) {
            Ok(Some(then)) if then.inputs == Some(now) => unchanged.push(*frame),
            Ok(_) => {}
            // Its rows are looked at, and this is told then.
            Err(error) if store::is_lost(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(unchanged)
}

/// What the workers do.
struct HashTask<'a, In, F> {
    input: &'a dyn Input<In>,
    function: &'a F,
    notes: Option<&'a Notes>,
}

/// What a worker keeps between leases.
struct Worker<'a, In> {
    reader: Box<dyn Reader<In> + 'a>,
    hashes: Hashes<'a, In>,
    note: Option<WorkerNote>,
}

impl<'t, In: RowType, F: Function<In>> Task for HashTask<'t, In, F> {
    type Worker = Worker<'t, In>;
    type Row = NewRow;
    type Batch = (RowRange, Vec<NewRow>);
    type Error = RowError;

    fn setup(&self) -> Result<Self::Worker, RowError> {
        let Self { input, function, notes } = *self;
        let note = notes.map(Notes::worker).transpose().map_err(RowError::Note)?;
        let (reader, hashes) = Hashes::reader(input, function)?;
        Ok(Worker { reader, hashes, note })
    }

    fn open<'a>(
        &'a self,
        Worker { reader, hashes, note }: &'a mut Self::Worker,
        range: Range<u64>,
    ) -> Result<impl Iterator<Item = Result<Computed<NewRow>, RowError>> + 'a, RowError> {
        let rows = reader.read(RowRange::from(range.clone()))?;
        let hash = move |rows: Rows<'a, In>| -> Items<'a, NewRow> {
            Box::new(rows.map(move |row| {
                let Some(row) = row? else { return Ok(NewRow::FilteredOut.into()) };
                Ok(hashes.of_last(&row)?.map_or(NewRow::Unknown, NewRow::Hashed).into())
            }))
        };
        Ok(match (note, self.notes) {
            (Some(note), Some(notes)) => note.watch(notes, range, rows, hash),
            _ => hash(rows),
        })
    }

    fn pack(&self, range: Range<u64>, rows: Vec<NewRow>) -> Result<Self::Batch, RowError> {
        Ok((RowRange::from(range), rows))
    }

    fn is_of_the_row(&self, error: &RowError) -> bool {
        error.is_of_the_row()
    }
}

/// Rows on their way to the comparison, which takes them in their order.
struct InOrderSink<'a> {
    in_order: InOrder<Part>,
    in_place: InPlace<'a>,
}

enum Part {
    Read(RowRange, Vec<NewRow>),
    NotRead(RowRange),
    /// The input rows of a batch of the nearest donor.
    Unchanged(Frame),
}

impl InOrderSink<'_> {
    fn drain(&mut self) -> Result<(), CommitError> {
        while let Some(part) = self.in_order.pop() {
            match part {
                Part::Read(range, rows) => self.in_place.take(range, &rows)?,
                Part::NotRead(range) => self.in_place.pass(range)?,
                Part::Unchanged(frame) => self.in_place.keep(frame)?,
            }
        }
        Ok(())
    }
}

impl Sink for InOrderSink<'_> {
    type Batch = (RowRange, Vec<NewRow>);
    type Failure = RowError;
    type Error = CommitError;

    fn append(&mut self, (range, rows): Self::Batch) -> Result<u64, CommitError> {
        self.in_order.push(range, Part::Read(range, rows));
        self.drain()?;
        Ok(0)
    }

    fn record(&mut self, failed: executor::FailedRow<RowError>) -> Result<(), CommitError> {
        self.append((RowRange::new(failed.row, failed.row + 1), vec![NewRow::Unknown])).map(drop)
    }

    fn commit(&mut self) -> Result<(), CommitError> {
        Ok(())
    }
}
