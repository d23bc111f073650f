//! The bytes of the canonical encoding, version 1 of the format.
//!
//! An [`Encoder`] appends encoded values to one buffer. It knows the tags, the shapes that a chunk has already
//! defined, and the entries of the maps that are open; where values come from is none of its business: the
//! serde [`serializer`](crate::serializer) drives it, and so does the reader of Arrow batches.
//!
//! Invariants: every value begins with a tag and ends where its own bytes say, so that no encoding is the
//! beginning of another; inside a map the shapes start anew, so that an entry's bytes do not depend on the order
//! in which the entries came.

use crate::buffer::Buffer;
use crate::error::{Cause, Failure, Segment};
use crate::shape::{Shape, Shapes};

/// The deepest nesting of containers, options and variants that is hashed.
pub const DEPTH_MAX: usize = 128;

pub(crate) mod tag {
    pub(crate) const END: u8 = 0x00;
    pub(crate) const UNIT: u8 = 0x01;
    pub(crate) const FALSE: u8 = 0x02;
    pub(crate) const TRUE: u8 = 0x03;
    pub(crate) const NONE: u8 = 0x04;
    pub(crate) const SOME: u8 = 0x05;
    pub(crate) const F32: u8 = 0x06;
    pub(crate) const F64: u8 = 0x07;
    pub(crate) const CHAR: u8 = 0x08;
    pub(crate) const STRING: u8 = 0x09;
    pub(crate) const BYTES: u8 = 0x0a;
    pub(crate) const SEQUENCE: u8 = 0x0b;
    pub(crate) const TUPLE: u8 = 0x0c;
    pub(crate) const MAP: u8 = 0x0d;
    pub(crate) const STRUCT: u8 = 0x0e;
    pub(crate) const VARIANT: u8 = 0x0f;
    /// Plus the number of magnitude bytes, 0 to 16.
    pub(crate) const INTEGER: u8 = 0x10;
    /// Plus the number of bytes of `-1 - value`, 0 to 16.
    pub(crate) const NEGATIVE: u8 = 0x30;
}

const NAN_F32: [u8; 4] = 0x7fc0_0000_u32.to_le_bytes();
const NAN_F64: [u8; 8] = 0x7ff8_0000_0000_0000_u64.to_le_bytes();

/// A length that precedes text, bytes and names: seven bits a byte, least significant first.
#[inline]
pub(crate) fn put_length(buffer: &mut Buffer, length: usize) {
    if length < 0x80 {
        buffer.push(length as u8);
    } else {
        put_long_length(buffer, length as u64);
    }
}

#[cold]
fn put_long_length(buffer: &mut Buffer, mut rest: u64) {
    while rest >= 0x80 {
        buffer.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    buffer.push(rest as u8);
}

/// A text with its length before it.
pub(crate) fn put_text(buffer: &mut Buffer, text: &str) {
    put_length(buffer, text.len());
    buffer.put_slice(text.as_bytes());
}

/// The bytes of one entry of an open map: its key, then its value.
#[derive(Clone, Debug)]
struct Entry {
    start: usize,
    value_start: usize,
    end: usize,
}

/// What an open map must remember to be closed.
#[derive(Debug)]
pub(crate) struct OpenMap {
    /// How many entries of outer maps lie below this one's.
    entries_before: usize,
    /// Which entry is being written.
    current: usize,
    scope: usize,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Encoder {
    pub(crate) buffer: Buffer,
    pub(crate) shapes: Shapes,
    entries: Vec<Entry>,
    scratch: Vec<u8>,
    depth: usize,
}

/// A point to return to when a row turns out not to be hashable.
#[derive(Debug)]
pub(crate) struct Mark {
    length: usize,
    shapes: usize,
}

impl Encoder {
    pub(crate) fn mark(&self) -> Mark {
        Mark { length: self.buffer.len(), shapes: self.shapes.mark() }
    }

    /// Forgets everything since `mark`, which was taken outside of any value.
    #[cold]
    pub(crate) fn rewind(&mut self, mark: &Mark) {
        self.buffer.truncate(mark.length);
        self.shapes.rewind(mark.shapes);
        self.entries.clear();
        self.depth = 0;
    }

    #[inline]
    pub(crate) fn tag(&mut self, tag: u8) {
        self.buffer.push(tag);
    }

    #[inline]
    pub(crate) fn enter(&mut self, tag: u8) -> Result<(), Failure> {
        if self.depth == DEPTH_MAX {
            return Err(Failure::new(Cause::TooDeep));
        }
        self.depth += 1;
        self.buffer.push(tag);
        Ok(())
    }

    #[inline]
    pub(crate) fn leave(&mut self) {
        self.depth -= 1;
    }

    #[inline]
    pub(crate) fn boolean(&mut self, value: bool) {
        self.tag(if value { tag::TRUE } else { tag::FALSE });
    }

    #[inline]
    pub(crate) fn unsigned(&mut self, value: u64) {
        self.magnitude(tag::INTEGER, value);
    }

    #[inline]
    pub(crate) fn signed(&mut self, value: i64) {
        // For a negative number `-1 - value` is the bitwise complement.
        let (base, magnitude) = if value < 0 { (tag::NEGATIVE, !value) } else { (tag::INTEGER, value) };
        self.magnitude(base, magnitude.cast_unsigned());
    }

    #[inline]
    pub(crate) fn unsigned_wide(&mut self, value: u128) {
        self.magnitude_wide(tag::INTEGER, value);
    }

    #[inline]
    pub(crate) fn signed_wide(&mut self, value: i128) {
        let (base, magnitude) = if value < 0 { (tag::NEGATIVE, !value) } else { (tag::INTEGER, value) };
        self.magnitude_wide(base, magnitude.cast_unsigned());
    }

    #[inline]
    fn magnitude(&mut self, base: u8, magnitude: u64) {
        let width = (64 - magnitude.leading_zeros() as usize).div_ceil(8);
        let mut bytes = [base + width as u8, 0, 0, 0, 0, 0, 0, 0, 0];
        bytes[1..].copy_from_slice(&magnitude.to_le_bytes());
        self.buffer.put_first(bytes, 1 + width);
    }

    fn magnitude_wide(&mut self, base: u8, magnitude: u128) {
        let width = (128 - magnitude.leading_zeros() as usize).div_ceil(8);
        self.tag(base + width as u8);
        self.buffer.put_first(magnitude.to_le_bytes(), width);
    }

    #[inline]
    pub(crate) fn float32(&mut self, value: f32) {
        let bits = if value.is_nan() { NAN_F32 } else { value.to_le_bytes() };
        let mut bytes = [tag::F32, 0, 0, 0, 0];
        bytes[1..].copy_from_slice(&bits);
        self.buffer.put(bytes);
    }

    #[inline]
    pub(crate) fn float64(&mut self, value: f64) {
        let bits = if value.is_nan() { NAN_F64 } else { value.to_le_bytes() };
        let mut bytes = [tag::F64, 0, 0, 0, 0, 0, 0, 0, 0];
        bytes[1..].copy_from_slice(&bits);
        self.buffer.put(bytes);
    }

    #[inline]
    pub(crate) fn character(&mut self, value: char) {
        self.tag(tag::CHAR);
        self.buffer.put(u32::from(value).to_le_bytes());
    }

    #[inline(always)]
    pub(crate) fn string(&mut self, value: &str) {
        if value.len() < 0x80 {
            // Tag and length in one go.
            self.buffer.put_short([tag::STRING, value.len() as u8], value.as_bytes());
        } else {
            self.tag(tag::STRING);
            put_text(&mut self.buffer, value);
        }
    }

    #[inline]
    pub(crate) fn bytes(&mut self, value: &[u8]) {
        self.tag(tag::BYTES);
        put_length(&mut self.buffer, value.len());
        self.buffer.put_slice(value);
    }

    /// Begins a variant; its payload follows as one value, then [`leave`](Self::leave).
    #[inline]
    pub(crate) fn variant(&mut self, name: &str) -> Result<(), Failure> {
        self.enter(tag::VARIANT)?;
        put_text(&mut self.buffer, name);
        Ok(())
    }

    /// A variant without data: its payload is the unit value.
    #[inline]
    pub(crate) fn unit_variant(&mut self, name: &str) -> Result<(), Failure> {
        self.variant(name)?;
        self.tag(tag::UNIT);
        self.leave();
        Ok(())
    }

    #[inline]
    pub(crate) fn end(&mut self) {
        self.tag(tag::END);
        self.leave();
    }

    /// Ends a struct whose field values have been written, with the shape that names them.
    #[inline]
    pub(crate) fn end_struct(&mut self, shape: Shape) {
        self.end();
        self.shapes.put_reference(&mut self.buffer, shape);
    }

    pub(crate) fn begin_map(&mut self) -> Result<OpenMap, Failure> {
        self.enter(tag::MAP)?;
        let entries_before = self.entries.len();
        Ok(OpenMap { entries_before, current: entries_before, scope: self.shapes.enter_scope() })
    }

    /// Begins the key of the next entry.
    pub(crate) fn begin_key(&mut self, map: &mut OpenMap) {
        self.shapes.clear_scope();
        map.current = self.entries.len();
        let here = self.buffer.len();
        self.entries.push(Entry { start: here, value_start: here, end: here });
    }

    /// Ends the key that was begun last and begins its value.
    pub(crate) fn begin_value(&mut self, map: &OpenMap) {
        self.shapes.clear_scope();
        self.entries[map.current].value_start = self.buffer.len();
    }

    pub(crate) fn end_value(&mut self, map: &OpenMap) {
        self.entries[map.current].end = self.buffer.len();
    }

    /// The key whose value is being written, for an error's path.
    #[cold]
    pub(crate) fn current_key(&self, map: &OpenMap) -> Segment {
        let Entry { start, value_start, .. } = self.entries[map.current];
        let key = &self.buffer.as_slice()[start..value_start];
        match key.first() {
            Some(&tag::STRING) => Segment::Field(encoded_text(key)),
            _ => Segment::Key(key_text(key)),
        }
    }

    /// Sorts the entries by the bytes of their keys, refuses two that are the same, and closes the map.
    pub(crate) fn end_map(&mut self, map: OpenMap) -> Result<(), Failure> {
        self.shapes.leave_scope(map.scope);
        let Self { buffer, entries, scratch, .. } = self;
        let own = &mut entries[map.entries_before..];
        let bytes = buffer.as_slice();
        let key = |entry: &Entry| &bytes[entry.start..entry.value_start];
        if !own.is_sorted_by(|a, b| key(a) < key(b)) {
            let start = own[0].start;
            own.sort_by(|a, b| key(a).cmp(key(b)));
            if let Some(pair) = own.windows(2).find(|pair| key(&pair[0]) == key(&pair[1])) {
                return Err(Failure::new(Cause::DuplicateKey(key_text(key(&pair[0])))));
            }
            scratch.clear();
            own.iter().for_each(|entry| scratch.extend_from_slice(&bytes[entry.start..entry.end]));
            buffer.truncate(start);
            buffer.put_slice(scratch);
        }
        entries.truncate(map.entries_before);
        self.end();
        Ok(())
    }
}

/// The beginning of the text of an encoded string.
#[cold]
fn encoded_text(encoded: &[u8]) -> String {
    const SHOWN_CHARS_MAX: usize = 40;
    let length_bytes = encoded.iter().skip(1).take_while(|byte| **byte >= 0x80).count() + 1;
    String::from_utf8_lossy(&encoded[1 + length_bytes..]).chars().take(SHOWN_CHARS_MAX).collect()
}

/// Shows an encoded key: text and small numbers as they are, anything else by its kind.
#[cold]
fn key_text(encoded: &[u8]) -> String {
    let Some((&tag, body)) = encoded.split_first() else { return String::new() };
    let number = |width: u8| {
        let mut bytes = [0; 16];
        bytes[..usize::from(width)].copy_from_slice(&body[..usize::from(width)]);
        u128::from_le_bytes(bytes)
    };
    match tag {
        tag::STRING => format!("{:?}", encoded_text(encoded)),
        tag::INTEGER..tag::NEGATIVE => number(tag - tag::INTEGER).to_string(),
        tag::NEGATIVE..=0x40 => (!number(tag - tag::NEGATIVE).cast_signed()).to_string(),
        tag::FALSE => "false".to_owned(),
        tag::TRUE => "true".to_owned(),
        tag::UNIT => "()".to_owned(),
        tag::NONE => "none".to_owned(),
        tag::CHAR => {
            char::from_u32(number(4) as u32).map_or_else(String::new, |character| format!("{character:?}"))
        }
        tag::F32 => f32::from_bits(number(4) as u32).to_string(),
        tag::F64 => f64::from_bits(number(8) as u64).to_string(),
        _ => format!("a value of {} bytes", encoded.len()),
    }
}
