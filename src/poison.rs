//! Poison rows: rows whose function takes the whole process down, by an abort or by using up the memory.
//!
//! Before a row is computed its number is noted in a file. A note that is still there when the step is run again
//! tells that the process died meanwhile. Such rows are run first, one by one, so that of several that were in work
//! only the one that is to blame dies again; after so many deaths in a row it is recorded as failed.
//!
//! A folder holds the notes of a step: one file for each worker, and one for the rows that died before and are not
//! settled. A note is a line: the first row, the row behind the last, and the deaths so far. Notes are written and
//! never synced: they need to outlive the process, not the machine. A lost one costs a death more, never a row.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Seek as _, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use rowmark_executor::Computed;
use rowmark_rows::{RowRange, RowRanges};

use crate::error::{RowError, at};
use crate::function::Items;
use crate::input::Rows;
use crate::state::StateError;

const SUSPECTS: &str = "suspects";

/// Rows that one note can make suspects of; no more than a slice of a UDF over slices is in work at one time.
const SUSPECTS_PER_NOTE_MAX: u64 = 1 << 16;

/// The notes of a step.
#[derive(Debug)]
pub(crate) struct Notes {
    folder: PathBuf,
    /// How often in a row the process died while a row was in work.
    suspects: BTreeMap<u64, u32>,
    workers: AtomicU64,
}

impl Notes {
    /// Opens the notes in a folder. `unsettled` are the rows that are still to be computed; notes of others are
    /// forgotten.
    pub(crate) fn open(folder: &Path, unsettled: &RowRanges) -> Result<Self, StateError> {
        fs::create_dir_all(folder).map_err(at("create", folder))?;
        let mut suspects: BTreeMap<u64, u32> = BTreeMap::new();
        let mut of_workers = Vec::new();
        for entry in fs::read_dir(folder).map_err(at("read", folder))? {
            let path = entry.map_err(at("read", folder))?.path();
            let is_in_work = path.file_name().is_none_or(|name| name != SUSPECTS);
            // What is no note was left half written by a crash of the machine.
            let text = fs::read_to_string(&path).unwrap_or_default();
            for (rows, deaths) in text.lines().filter_map(parse) {
                for row in rows.start()..rows.end().min(rows.start() + SUSPECTS_PER_NOTE_MAX) {
                    let known = suspects.entry(row).or_default();
                    *known = (*known).max(deaths + u32::from(is_in_work));
                }
            }
            of_workers.extend(is_in_work.then_some(path));
        }
        suspects.retain(|row, _| unsettled.contains(*row));
        let lines: String = suspects.iter().map(|(&row, &deaths)| line(row, row + 1, deaths)).collect();
        let (new, path) = (folder.join("new"), folder.join(SUSPECTS));
        fs::write(&new, lines).and_then(|()| fs::rename(&new, &path)).map_err(at("write", &path))?;
        for path in of_workers.iter().filter(|path| **path != new) {
            fs::remove_file(path).map_err(at("remove", path))?;
        }
        Ok(Self { folder: folder.to_owned(), suspects, workers: AtomicU64::new(0) })
    }

    /// The rows that were in work at so many deaths in a row, with their number.
    pub(crate) fn deadly(&self, deaths: u32) -> impl Iterator<Item = (u64, u32)> + '_ {
        self.suspects.iter().map(|(&row, &deaths)| (row, deaths)).filter(move |(_, of_row)| *of_row >= deaths)
    }

    /// The rows that were in work at some death.
    pub(crate) fn suspects(&self) -> RowRanges {
        self.suspects.keys().map(|&row| RowRange::new(row, row + 1)).collect()
    }

    /// The note of another worker.
    pub(crate) fn worker(&self) -> Result<WorkerNote, StateError> {
        // Relaxed: only the number counts, and each is given once.
        let number = self.workers.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("worker-{number}"));
        Ok(WorkerNote { file: File::create(&path).map_err(at("create", &path))?, path })
    }

    /// Forgets everything: the step is finished.
    pub(crate) fn remove(self) {
        // What is left is read when the step is run again, and finds no such row to be computed.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What a worker is at.
#[derive(Debug)]
pub(crate) struct WorkerNote {
    file: File,
    path: PathBuf,
}

impl WorkerNote {
    /// Notes each row of a range before it is computed, and clears the note at the end of it.
    pub(crate) fn watch<'a, In, Outputs: 'a>(
        &'a mut self,
        notes: &'a Notes,
        range: Range<u64>,
        mut rows: Rows<'a, In>,
        apply: impl FnOnce(Rows<'a, In>) -> Items<'a, Outputs>,
    ) -> Items<'a, Outputs>
    where
        In: 'a,
    {
        let cleared = Cleared(self);
        // In work is what is being read or was, and is not computed: several rows, where a function takes slices.
        let mut read = range.start;
        let computed = Rc::new(Cell::new(range.start));
        let begun = Rc::clone(&computed);
        let items = apply(Box::new(std::iter::from_fn(move || {
            // Before the row is read: that calls the filters and projections on the way.
            read = range.end.min(read + 1);
            let noted = cleared.note(begun.get(), read, notes);
            noted.map_or_else(|error| Some(Err(error)), |()| rows.next())
        })));
        Box::new(items.inspect(move |item| {
            let rows = item.as_ref().map_or(1, |Computed { rows, .. }| *rows);
            computed.set(computed.get() + rows);
        }))
    }
}

/// Clears a worker's note when it is dropped; the death of the process does not drop it.
struct Cleared<'a>(&'a mut WorkerNote);

impl Cleared<'_> {
    fn note(&self, start: u64, end: u64, notes: &Notes) -> Result<(), RowError> {
        let deaths = notes.suspects.get(&start).copied().unwrap_or_default();
        self.write(&line(start, end, deaths))
    }

    fn write(&self, text: &str) -> Result<(), RowError> {
        let WorkerNote { file, path } = &*self.0;
        let mut file = file;
        let written = file.rewind().and_then(|()| file.write_all(text.as_bytes()));
        written.map_err(|error| RowError::Note(at("write", path)(error)))
    }
}

impl Drop for Cleared<'_> {
    fn drop(&mut self) {
        // If it fails, rows that are settled by now stay noted, which is forgotten when they are read.
        let _ = self.write(&line(0, 0, 0));
    }
}

/// A note, always of the same length.
fn line(start: u64, end: u64, deaths: u32) -> String {
    format!("{start:020} {end:020} {deaths:010}\n")
}

fn parse(line: &str) -> Option<(RowRange, u32)> {
    let mut words = line.split(' ');
    let (start, end) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    (start < end).then_some((RowRange::new(start, end), words.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run in which the process dies while these rows are in work.
    fn die(folder: &Path, in_work: &[u64]) {
        let notes = Notes::open(folder, &RowRange::new(0, 100).into()).unwrap();
        for &row in in_work {
            let mut worker = notes.worker().unwrap();
            let cleared = Cleared(&mut worker);
            cleared.note(row, row + 1, &notes).unwrap();
            std::mem::forget(cleared);
        }
    }

    #[test]
    fn deaths_in_a_row_are_counted_by_row() {
        let folder = tempfile::tempdir().unwrap();
        die(folder.path(), &[7, 8]);
        die(folder.path(), &[7]);
        die(folder.path(), &[7]);
        let notes = Notes::open(folder.path(), &RowRange::new(0, 100).into()).unwrap();
        assert_eq!(notes.deadly(3).collect::<Vec<_>>(), [(7, 3)]);
        assert_eq!(notes.deadly(1).collect::<Vec<_>>(), [(7, 3), (8, 1)]);
    }

    #[test]
    fn settled_rows_and_rubbish_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        die(folder.path(), &[7, 8]);
        fs::write(folder.path().join("worker-9"), b"\xff\x00 0 1\n99999999999999999999999 1 1\n").unwrap();
        let notes = Notes::open(folder.path(), &RowRange::new(8, 100).into()).unwrap();
        assert_eq!(notes.suspects().to_string(), "8..9");
        notes.remove();
        assert!(!folder.path().exists());
    }

    #[test]
    fn an_orderly_end_leaves_no_note() {
        let folder = tempfile::tempdir().unwrap();
        let notes = Notes::open(folder.path(), &RowRange::new(0, 9).into()).unwrap();
        let mut worker = notes.worker().unwrap();
        let rows: Rows<'_, u64> = Box::new((3..9).map(|row| Ok(Some(row))));
        let items =
            worker.watch(&notes, 3..9, rows, |rows| Box::new(rows.map(|row| row.map(Computed::from))));
        assert_eq!(items.take(2).count(), 2);
        let notes = Notes::open(folder.path(), &RowRange::new(0, 9).into()).unwrap();
        assert!(notes.suspects().is_empty());
    }
}
