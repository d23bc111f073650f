//! The bytes of the canonical encoding, version 1 of the format.
//!
//! An [`Encoder`] writes encoded values into its buffer, at the position that it is given, and answers the next. It knows
//! the tags, the shapes that a chunk has already defined, and the entries of the maps that are open; where values come
//! from is none of its business: the serde [`serializer`](crate::serializer) drives it, and so does the reader of Arrow
//! batches.
//!
//! Invariants: every value begins with a tag and ends where its own bytes say, so that no encoding is the
//! beginning of another; inside a map the shapes start anew, so that an entry's bytes do not depend on the order
//! in which the entries came.

use crate::buffer::{Buffer, SHORT_BYTES_MAX};
use crate::error::{Cause, Failure, Segment};
use crate::rows::BUFFER_KEPT_BYTES_MAX;
use crate::shape::{Shape, Shapes};

/// How many containers, options and variants may lie one within another.
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

const NAN_F32: u32 = 0x7fc0_0000;
const NAN_F64: u64 = 0x7ff8_0000_0000_0000;

/// A length that precedes text, bytes and names: seven bits a byte, least significant first.
#[inline]
pub(crate) fn put_length(buffer: &mut Buffer, at: usize, length: usize) -> usize {
    if length < 0x80 { buffer.put(at, length as u8) } else { put_long_length(buffer, at, length as u64) }
}

#[cold]
fn put_long_length(buffer: &mut Buffer, mut at: usize, mut rest: u64) -> usize {
    while rest >= 0x80 {
        at = buffer.put(at, rest as u8 | 0x80);
        rest >>= 7;
    }
    buffer.put(at, rest as u8)
}

/// A text with its length before it.
pub(crate) fn put_text(buffer: &mut Buffer, at: usize, text: &str) -> usize {
    let at = put_length(buffer, at, text.len());
    buffer.put_slice(at, text.as_bytes())
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
    /// How many values are begun and not ended.
    depth: usize,
}

impl Encoder {
    /// Forgets a row that failed: the shapes it defined beyond the first `shapes`, and whatever it left open.
    #[cold]
    pub(crate) fn abandon(&mut self, shapes: usize) {
        self.shapes.rewind(shapes);
        self.buffer.forget_all(BUFFER_KEPT_BYTES_MAX);
        self.entries.clear();
        self.depth = 0;
    }

    #[inline]
    pub(crate) fn tag(&mut self, at: usize, tag: u8) -> usize {
        self.buffer.put(at, tag)
    }

    /// Begins a value that has others in it; after them comes [`leave`](Self::leave).
    #[inline]
    pub(crate) fn enter(&mut self, at: usize, tag: u8) -> Result<usize, Failure> {
        if self.depth == DEPTH_MAX {
            return Err(Failure::new(Cause::TooDeep));
        }
        self.depth += 1;
        Ok(self.tag(at, tag))
    }

    #[inline]
    pub(crate) fn leave(&mut self) {
        self.depth -= 1;
    }

    #[inline]
    pub(crate) fn boolean(&mut self, at: usize, value: bool) -> usize {
        self.tag(at, if value { tag::TRUE } else { tag::FALSE })
    }

    #[inline]
    pub(crate) fn unsigned(&mut self, at: usize, value: u64) -> usize {
        self.magnitude(at, tag::INTEGER, value)
    }

    #[inline]
    pub(crate) fn signed(&mut self, at: usize, value: i64) -> usize {
        // For a negative number `-1 - value` is the bitwise complement.
        let (base, magnitude) = if value < 0 { (tag::NEGATIVE, !value) } else { (tag::INTEGER, value) };
        self.magnitude(at, base, magnitude.cast_unsigned())
    }

    #[inline]
    pub(crate) fn unsigned_wide(&mut self, at: usize, value: u128) -> usize {
        self.magnitude_wide(at, tag::INTEGER, value)
    }

    #[inline]
    pub(crate) fn signed_wide(&mut self, at: usize, value: i128) -> usize {
        let (base, magnitude) = if value < 0 { (tag::NEGATIVE, !value) } else { (tag::INTEGER, value) };
        self.magnitude_wide(at, base, magnitude.cast_unsigned())
    }

    /// All eight bytes are written and those that do not count then written over: a known length is faster.
    #[inline]
    fn magnitude(&mut self, at: usize, base: u8, magnitude: u64) -> usize {
        let width = (64 - magnitude.leading_zeros() as usize).div_ceil(8);
        self.buffer.put_tagged(at, base + width as u8, magnitude.to_le_bytes()) - (8 - width)
    }

    fn magnitude_wide(&mut self, at: usize, base: u8, magnitude: u128) -> usize {
        let width = (128 - magnitude.leading_zeros() as usize).div_ceil(8);
        self.buffer.put_tagged(at, base + width as u8, magnitude.to_le_bytes()) - (16 - width)
    }

    #[inline]
    pub(crate) fn float32(&mut self, at: usize, value: f32) -> usize {
        let bits = if value.is_nan() { NAN_F32 } else { value.to_bits() };
        self.buffer.put_tagged(at, tag::F32, bits.to_le_bytes())
    }

    #[inline]
    pub(crate) fn float64(&mut self, at: usize, value: f64) -> usize {
        let bits = if value.is_nan() { NAN_F64 } else { value.to_bits() };
        self.buffer.put_tagged(at, tag::F64, bits.to_le_bytes())
    }

    #[inline]
    pub(crate) fn character(&mut self, at: usize, value: char) -> usize {
        self.buffer.put_tagged(at, tag::CHAR, u32::from(value).to_le_bytes())
    }

    #[inline]
    pub(crate) fn string(&mut self, at: usize, value: &str) -> usize {
        self.blob(at, tag::STRING, value.as_bytes())
    }

    #[inline]
    pub(crate) fn bytes(&mut self, at: usize, value: &[u8]) -> usize {
        self.blob(at, tag::BYTES, value)
    }

    #[inline]
    fn blob(&mut self, at: usize, tag: u8, value: &[u8]) -> usize {
        if value.len() <= SHORT_BYTES_MAX {
            self.buffer.put_short(at, tag, value)
        } else {
            self.long_blob(at, tag, value)
        }
    }

    #[inline(never)]
    fn long_blob(&mut self, at: usize, tag: u8, value: &[u8]) -> usize {
        let at = self.tag(at, tag);
        let at = put_length(&mut self.buffer, at, value.len());
        self.buffer.put_slice(at, value)
    }

    /// Begins a variant; its payload follows as one value, then [`leave`](Self::leave).
    #[inline]
    pub(crate) fn variant(&mut self, at: usize, name: &str) -> Result<usize, Failure> {
        let at = self.enter(at, tag::VARIANT)?;
        Ok(put_text(&mut self.buffer, at, name))
    }

    /// A variant without data: its payload is the unit value.
    #[inline]
    pub(crate) fn unit_variant(&mut self, at: usize, name: &str) -> Result<usize, Failure> {
        let at = self.variant(at, name)?;
        self.leave();
        Ok(self.tag(at, tag::UNIT))
    }

    #[inline]
    pub(crate) fn end(&mut self, at: usize) -> usize {
        self.leave();
        self.tag(at, tag::END)
    }

    /// Ends a struct whose field values have been written, with the shape that names them.
    #[inline]
    pub(crate) fn end_struct(&mut self, at: usize, shape: Shape) -> usize {
        self.leave();
        self.shapes.end_struct(&mut self.buffer, at, shape)
    }

    pub(crate) fn begin_map(&mut self, at: usize) -> Result<(OpenMap, usize), Failure> {
        let at = self.enter(at, tag::MAP)?;
        let entries_before = self.entries.len();
        Ok((OpenMap { entries_before, current: entries_before, scope: self.shapes.enter_scope() }, at))
    }

    /// Begins the key of the next entry.
    pub(crate) fn begin_key(&mut self, map: &mut OpenMap, at: usize) {
        self.shapes.clear_scope();
        map.current = self.entries.len();
        self.entries.push(Entry { start: at, value_start: at, end: at });
    }

    /// Ends the key that was begun last and begins its value.
    pub(crate) fn begin_value(&mut self, map: &OpenMap, at: usize) {
        self.shapes.clear_scope();
        self.entries[map.current].value_start = at;
    }

    pub(crate) fn end_value(&mut self, map: &OpenMap, at: usize) {
        self.entries[map.current].end = at;
    }

    /// The key whose value is being written, for an error's path.
    #[cold]
    pub(crate) fn current_key(&self, map: &OpenMap) -> Segment {
        let Entry { start, value_start, .. } = self.entries[map.current];
        let key = self.buffer.slice(start, value_start);
        match key.first() {
            Some(&tag::STRING) => Segment::Field(encoded_text(key)),
            _ => Segment::Key(key_text(key)),
        }
    }

    /// Sorts the entries by the bytes of their keys, refuses two that are the same, and closes the map.
    pub(crate) fn end_map(&mut self, map: OpenMap, at: usize) -> Result<usize, Failure> {
        self.shapes.leave_scope(map.scope);
        let Self { buffer, entries, scratch, .. } = self;
        let own = &mut entries[map.entries_before..];
        let key = |entry: &Entry| buffer.slice(entry.start, entry.value_start);
        if !own.is_sorted_by(|a, b| key(a) < key(b)) {
            let start = own[0].start;
            own.sort_by(|a, b| key(a).cmp(key(b)));
            if let Some(pair) = own.windows(2).find(|pair| key(&pair[0]) == key(&pair[1])) {
                return Err(Failure::new(Cause::DuplicateKey(key_text(key(&pair[0])))));
            }
            scratch.clear();
            own.iter().for_each(|entry| scratch.extend_from_slice(buffer.slice(entry.start, entry.end)));
            buffer.put_slice(start, scratch);
        }
        entries.truncate(map.entries_before);
        Ok(self.end(at))
    }
}

/// The beginning of the text of an encoded string.
#[cold]
fn encoded_text(encoded: &[u8]) -> String {
    const SHOWN_CHARS_MAX: usize = 40;
    let length_bytes = encoded.iter().skip(1).take_while(|byte| **byte >= 0x80).count() + 1;
    String::from_utf8_lossy(&encoded[1 + length_bytes..]).chars().take(SHOWN_CHARS_MAX).collect()
}

/// Shows an encoded key: text and numbers as they are, anything else by its length.
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
