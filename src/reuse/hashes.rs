//! Hashes of rows with the rows' numbers, brought into the order of the hashes in bounded memory.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::UInt8Type;
use arrow_array::{RecordBatch, UInt8Array};
use rowmark_hashing::RowHash;
use rowmark_rows::RowSchema;

use super::Search;
use crate::error::CommitError;
use crate::sort::{Chunk, Sorted, Sorter};

/// Rows that are given to the sort together.
const ROWS_TOGETHER: usize = 8192;

/// A row's hash in a form that can be sorted and stored; the order is that of its bytes.
type Words = [u64; 3];

fn words(hash: RowHash) -> Words {
    let (words, _) = hash.as_bytes().as_chunks::<8>();
    std::array::from_fn(|word| u64::from_be_bytes(words[word]))
}

/// A row by its hash.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Hashed {
    pub(super) hash: Words,
    pub(super) row: u64,
    /// What is to be known of the row beside; what it means is the caller's.
    pub(super) mark: u8,
}

/// Takes rows in any order.
pub(super) struct Hashes {
    sorter: Sorter<Words>,
    schema: RowSchema,
    keys: Vec<(Words, u64)>,
    marks: Vec<u8>,
}

impl Hashes {
    pub(super) fn new(search: &Search<'_>, purpose: &str) -> Result<Self, CommitError> {
        let schema = RowSchema::of::<u8>()?;
        let sorter = search.sorter(&schema, purpose)?;
        Ok(Self { sorter, schema, keys: Vec::new(), marks: Vec::new() })
    }

    pub(super) fn add(&mut self, hash: RowHash, row: u64, mark: u8) -> Result<(), CommitError> {
        self.keys.push((words(hash), row));
        self.marks.push(mark);
        if self.keys.len() >= ROWS_TOGETHER { self.hand_over() } else { Ok(()) }
    }

    fn hand_over(&mut self) -> Result<(), CommitError> {
        let marks = UInt8Array::from(std::mem::take(&mut self.marks));
        let rows = RecordBatch::try_new(Arc::clone(self.schema.arrow()), vec![Arc::new(marks)])?;
        self.sorter.add(rows, std::mem::take(&mut self.keys))
    }

    /// Gives the rows by hash and, where it is the same, by number.
    pub(super) fn finish(mut self) -> Result<ByHash, CommitError> {
        if !self.keys.is_empty() {
            self.hand_over()?;
        }
        Ok(ByHash { sorted: self.sorter.finish()?, chunk: Vec::new().into_iter(), next: None })
    }
}

/// Rows in the order of their hashes.
pub(super) struct ByHash {
    sorted: Sorted<Words>,
    chunk: std::vec::IntoIter<Hashed>,
    next: Option<Hashed>,
}

impl ByHash {
    fn peek(&mut self) -> Result<Option<Hashed>, CommitError> {
        if self.next.is_none() {
            if self.chunk.len() == 0
                && let Some(Chunk { keys, rows }) = self.sorted.next_chunk()?
            {
                let marks = rows.column(0).as_primitive::<UInt8Type>().values();
                let hashed =
                    keys.into_iter().zip(marks).map(|((hash, row), &mark)| Hashed { hash, row, mark });
                self.chunk = hashed.collect::<Vec<_>>().into_iter();
            }
            self.next = self.chunk.next();
        }
        Ok(self.next)
    }

    pub(super) fn next(&mut self) -> Result<Option<Hashed>, CommitError> {
        self.peek()?;
        Ok(self.next.take())
    }

    /// The next row, if it has this hash.
    pub(super) fn next_of(&mut self, hash: Words) -> Result<Option<Hashed>, CommitError> {
        if self.peek()?.is_some_and(|row| row.hash == hash) { self.next() } else { Ok(None) }
    }

    /// Leaves out all rows before those of a hash.
    pub(super) fn skip_to(&mut self, hash: Words) -> Result<(), CommitError> {
        while self.peek()?.is_some_and(|row| row.hash < hash) {
            self.next = None;
        }
        Ok(())
    }
}
