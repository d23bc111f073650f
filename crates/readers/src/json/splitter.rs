//! Cuts JSON text into rows without parsing them.

use std::io::{self, Read};
use std::ops::Range;

use crate::error::Place;
use crate::files::{DataFile, Limit};
use crate::text::{BLOCK_BYTES, Start};
use crate::{Error, JsonLayout};

/// Cuts JSON text into rows: lines, or the elements of an array.
pub(super) struct Splitter {
    file: DataFile,
    text: Box<dyn Read + Send>,
    layout: JsonLayout,
    record_bytes_max: u64,
    /// What was read and not yet cut off stands at `begin..end`.
    buffer: Vec<u8>,
    begin: usize,
    end: usize,
    /// Where `begin` is in the file.
    at: Start,
    expect: Expect,
}

/// What comes next in an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    Opening,
    /// An element, or the end if there is none yet.
    First,
    Element,
    /// Nothing but white space: the array is closed.
    Nothing,
}

/// How far into an element a scan is.
#[derive(Default)]
struct Scan {
    depth: u32,
    is_in_string: bool,
}

impl Splitter {
    /// Begins at a row, or at the beginning of the file.
    pub(super) fn open(
        file: &DataFile,
        layout: JsonLayout,
        record_bytes_max: u64,
        start: Option<Start>,
    ) -> Result<Self, Error> {
        let at = start.unwrap_or_default();
        Ok(Self {
            file: file.clone(),
            text: file.text(at.byte)?,
            layout,
            record_bytes_max,
            buffer: vec![0; BLOCK_BYTES],
            begin: 0,
            end: 0,
            at,
            expect: if start.is_some() { Expect::Element } else { Expect::Opening },
        })
    }

    /// The text of the next row, and where it begins; nothing at the end.
    pub(super) fn next(&mut self) -> Result<Option<(Start, &[u8])>, Error> {
        let row = match self.layout {
            JsonLayout::Array => self.next_element()?,
            JsonLayout::Lines | JsonLayout::Detect => self.next_line()?,
        };
        Ok(row.map(|(start, range)| (start, &self.buffer[range])))
    }

    /// The first byte of the text that is no white space.
    pub(super) fn first_byte(&mut self) -> Result<Option<u8>, Error> {
        self.peek()
    }

    fn next_line(&mut self) -> Result<Option<(Start, Range<usize>)>, Error> {
        loop {
            let mut looked_at = 0;
            let len = loop {
                match memchr::memchr(b'\n', &self.buffer[self.begin + looked_at..self.end]) {
                    Some(newline) => break looked_at + newline + 1,
                    None => looked_at = self.end - self.begin,
                }
                if !self.fill()? {
                    break looked_at;
                }
            };
            if len == 0 {
                return Ok(None);
            }
            self.check_len(len)?;
            let (start, range) = (self.at, self.begin..self.begin + len);
            self.begin += len;
            self.at = Start { byte: start.byte + len as u64, lines_before: start.lines_before + 1 };
            // Without the line break, so that what is missing is missing on this line.
            let row = range.start..range.start + self.buffer[range].trim_ascii_end().len();
            if !self.buffer[row.clone()].trim_ascii_start().is_empty() {
                return Ok(Some((start, row)));
            }
        }
    }

    fn next_element(&mut self) -> Result<Option<(Start, Range<usize>)>, Error> {
        if self.expect == Expect::Opening {
            match self.peek()? {
                Some(b'[') => self.cut(1),
                None => return Ok(None),
                Some(other) => return Err(self.unexpected(other, "`[`")),
            }
            self.expect = Expect::First;
        }
        match (self.peek()?, self.expect) {
            (None, Expect::Nothing) => return Ok(None),
            (Some(found), Expect::Nothing) => {
                return Err(self.unexpected(found, "nothing behind the array"));
            }
            (Some(b']'), Expect::First) => {
                self.cut(1);
                self.expect = Expect::Nothing;
                return self.next_element();
            }
            (Some(found @ (b']' | b',')), _) => return Err(self.unexpected(found, "a value")),
            (None, _) => return Err(self.not_closed()),
            _ => {}
        }
        let start = self.at;
        let (mut scan, mut looked_at) = (Scan::default(), 0);
        let len = loop {
            match scan.end(&self.buffer[self.begin + looked_at..self.end]) {
                Ok(len) => break looked_at + len,
                Err(skipped) => looked_at += skipped,
            }
            if !self.fill()? {
                return Err(self.not_closed());
            }
        };
        self.check_len(len)?;
        let row = self.begin..self.begin + len;
        self.cut(len);
        self.expect = if self.buffer[self.begin] == b',' { Expect::Element } else { Expect::Nothing };
        self.cut(1);
        Ok(Some((start, row)))
    }

    /// The next byte that is no white space, which is cut off.
    fn peek(&mut self) -> Result<Option<u8>, Error> {
        loop {
            let rest = &self.buffer[self.begin..self.end];
            match rest.iter().position(|byte| !byte.is_ascii_whitespace()) {
                Some(spaces) => {
                    self.cut(spaces);
                    return Ok(Some(self.buffer[self.begin]));
                }
                None => self.cut(self.end - self.begin),
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    fn cut(&mut self, len: usize) {
        let bytes = &self.buffer[self.begin..self.begin + len];
        self.at.lines_before += memchr::memchr_iter(b'\n', bytes).count() as u64;
        self.at.byte += len as u64;
        self.begin += len;
    }

    /// Reads on; false at the end of the file.
    fn fill(&mut self) -> Result<bool, Error> {
        self.check_len(self.end - self.begin)?;
        if self.begin > 0 {
            self.buffer.copy_within(self.begin..self.end, 0);
            (self.begin, self.end) = (0, self.end - self.begin);
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(2 * self.buffer.len(), 0);
        }
        loop {
            match self.text.read(&mut self.buffer[self.end..]) {
                Ok(len) => {
                    self.end += len;
                    return Ok(len > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let line = Place::Line(self.at.lines_before + 1);
                    return Err(Error::read(self.file.path(), error).at(line));
                }
            }
        }
    }

    /// Makes sure that a row is not longer than it may be.
    fn check_len(&self, len: usize) -> Result<(), Error> {
        if len as u64 <= self.record_bytes_max {
            return Ok(());
        }
        let limit = Limit::Record { bytes_max: self.record_bytes_max };
        let place = Some(Place::Line(self.at.lines_before + 1));
        Err(Error::Limit { path: self.file.path().to_owned(), place, limit })
    }

    fn malformed(&self, reason: String) -> Error {
        let place = Some(Place::Line(self.at.lines_before + 1));
        Error::Malformed { path: self.file.path().to_owned(), place, reason, source: None }
    }

    fn unexpected(&self, found: u8, expected: &str) -> Error {
        self.malformed(format!("found `{}`, expected {expected}", found.escape_ascii()))
    }

    fn not_closed(&self) -> Error {
        self.malformed("the array ends without `]`; the file may be cut off".to_owned())
    }
}

impl Scan {
    /// Looks for the end of an element: the `,` or `]` behind it. When it is not in these bytes, answers how many of them
    /// need not be looked at again.
    fn end(&mut self, bytes: &[u8]) -> Result<usize, usize> {
        let mut at = 0;
        while at < bytes.len() {
            if self.is_in_string {
                match memchr::memchr2(b'"', b'\\', &bytes[at..]) {
                    None => return Err(bytes.len()),
                    Some(offset) if bytes[at + offset] == b'"' => {
                        at += offset + 1;
                        self.is_in_string = false;
                    }
                    // What is escaped may be a quote, and may not have been read yet.
                    Some(offset) if at + offset + 1 == bytes.len() => return Err(at + offset),
                    Some(offset) => at += offset + 2,
                }
                continue;
            }
            match bytes[at] {
                b'"' => self.is_in_string = true,
                b'{' | b'[' => self.depth += 1,
                b',' | b']' if self.depth == 0 => return Ok(at),
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
            at += 1;
        }
        Err(at)
    }
}
