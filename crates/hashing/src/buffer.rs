//! Bytes that are written at a position which the writer keeps.
//!
//! A `Vec<u8>` keeps its length in memory, where every short write has to wait for that of the one before, and looks
//! at its capacity each time; of a row of five fields this costs more than everything else beside the digest. Here a
//! write takes the position and gives the next, so that it stays in a register from one field to another, and the bound
//! it is held against is a constant.
//!
//! What does not fit in the constant [`FRONT_BYTES`] continues, from its beginning, in a vector. Positions in the vector
//! are higher by `FRONT_BYTES`, so a position says by itself where it is; one that was kept from before
//! is moved by [`slice`](Buffer::slice).

/// The size of the part that is fast; rows are mostly shorter.
const FRONT_BYTES: usize = 2048;

/// A text up to this length is written in one go with its tag.
pub(crate) const SHORT_BYTES_MAX: usize = 127;

#[derive(Clone, Debug)]
pub(crate) struct Buffer {
    front: Box<[u8; FRONT_BYTES]>,
    /// Everything, if it did not fit in the front; empty otherwise.
    all: Vec<u8>,
}

impl Default for Buffer {
    fn default() -> Self {
        Self { front: Box::new([0; FRONT_BYTES]), all: Vec::new() }
    }
}

impl Buffer {
    #[inline(always)]
    pub(crate) fn put(&mut self, at: usize, byte: u8) -> usize {
        self.put_tagged(at, byte, [])
    }

    /// Writes a byte and the bytes that belong to it.
    #[inline(always)]
    pub(crate) fn put_tagged<const N: usize>(&mut self, at: usize, tag: u8, bytes: [u8; N]) -> usize {
        // The comparisons here are with constants, and everything else about the positions follows from them.
        if at >= FRONT_BYTES - 1 - N {
            return self.put_tagged_beyond(at, tag, bytes);
        }
        let room = &mut self.front[at..at + 1 + N];
        room[0] = tag;
        room[1..].copy_from_slice(&bytes);
        at + 1 + N
    }

    /// Writes a byte, a length up to [`SHORT_BYTES_MAX`], and as many bytes.
    #[inline(always)]
    pub(crate) fn put_short(&mut self, at: usize, tag: u8, bytes: &[u8]) -> usize {
        if at >= FRONT_BYTES - 2 - SHORT_BYTES_MAX || bytes.len() > SHORT_BYTES_MAX {
            let at = self.put_tagged_beyond(at, tag, [bytes.len() as u8]);
            return self.put_slice(at, bytes);
        }
        let room = &mut self.front[at..at + 2 + bytes.len()];
        room[0] = tag;
        room[1] = bytes.len() as u8;
        copy_short(&mut room[2..], bytes);
        at + 2 + bytes.len()
    }

    #[inline(never)]
    pub(crate) fn put_slice(&mut self, at: usize, bytes: &[u8]) -> usize {
        let (room, end) = self.room(at, bytes.len());
        room.copy_from_slice(bytes);
        end
    }

    #[cold]
    #[inline(never)]
    fn put_tagged_beyond<const N: usize>(&mut self, at: usize, tag: u8, bytes: [u8; N]) -> usize {
        let (room, end) = self.room(at, 1 + N);
        room[0] = tag;
        room[1..].copy_from_slice(&bytes);
        end
    }

    /// The next `count` bytes, wherever they are, and the position after them.
    fn room(&mut self, at: usize, count: usize) -> (&mut [u8], usize) {
        if self.all.is_empty() {
            // The front is never quite full, so that its positions and those of the vector are not the same.
            if at + count < FRONT_BYTES {
                return (&mut self.front[at..at + count], at + count);
            }
            self.all.extend_from_slice(&self.front[..at]);
        }
        let start = index(at);
        let end = start + count;
        if self.all.len() < end {
            self.all.resize(end, 0);
        }
        (&mut self.all[start..end], FRONT_BYTES + end)
    }

    /// What was written between two positions, of which the first may be from before everything was moved.
    #[inline]
    pub(crate) fn slice(&self, start: usize, end: usize) -> &[u8] {
        if self.all.is_empty() { &self.front[start..end] } else { &self.all[index(start)..index(end)] }
    }

    /// Moves what is between two positions, less than [`FRONT_BYTES`], to the front, forgets the rest, and gives
    /// the position after it; of what is reserved no more than `kept_bytes_max` is kept.
    pub(crate) fn keep(&mut self, start: usize, end: usize, kept_bytes_max: usize) -> usize {
        if self.all.is_empty() {
            self.front.copy_within(start..end, 0);
            return end - start;
        }
        let kept = &self.all[index(start)..index(end)];
        self.front[..kept.len()].copy_from_slice(kept);
        self.forget_all(kept_bytes_max);
        end - start
    }

    /// Goes back to what the front held before everything was moved out of it.
    #[cold]
    pub(crate) fn forget_all(&mut self, kept_bytes_max: usize) {
        self.all.clear();
        self.all.shrink_to(kept_bytes_max);
    }
}

/// Where in the vector a position is.
fn index(position: usize) -> usize {
    if position < FRONT_BYTES { position } else { position - FRONT_BYTES }
}

/// Copies a short text in place: a call costs more than these few steps, the last of which may overlap the others.
#[inline(always)]
fn copy_short(to: &mut [u8], from: &[u8]) {
    if to.len() != from.len() {
        return to.copy_from_slice(from);
    }
    if let (Some(to_end), Some(end)) = (to.last_chunk_mut::<16>(), from.last_chunk::<16>()) {
        *to_end = *end;
        for (to, from) in to.chunks_exact_mut(16).zip(from.chunks_exact(16)) {
            to.copy_from_slice(from);
        }
    } else if let (Some(to_end), Some(end)) = (to.last_chunk_mut::<8>(), from.last_chunk::<8>()) {
        *to_end = *end;
        to[..8].copy_from_slice(&from[..8]);
    } else {
        to.copy_from_slice(from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes of every kind, at every distance from the end of the front, give what a vector gives.
    #[test]
    fn holds_what_was_written() {
        for start in FRONT_BYTES - 300..FRONT_BYTES + 20 {
            let (mut buffer, mut expected) = (Buffer::default(), vec![7; start]);
            let begin = buffer.put_slice(0, &expected);
            let mut at = begin;
            for length in [0, 1, 7, 8, 15, 16, 17, 63, 64, 127] {
                let text: Vec<u8> = (0..length).collect();
                at = buffer.put_short(at, 9, &text);
                expected.extend([9, length].iter().chain(&text));
                at = buffer.put_tagged(at, length, [1, 2, 3, 4, 5, 6, 7, 8]);
                expected.extend([length, 1, 2, 3, 4, 5, 6, 7, 8]);
                at = buffer.put(at, length);
                expected.push(length);
            }
            assert_eq!(buffer.slice(0, at), expected);
            assert_eq!(buffer.slice(begin, at), &expected[start..]);
            let kept = buffer.keep(at - 50, at, 0);
            assert_eq!((kept, buffer.slice(0, kept)), (50, &expected[expected.len() - 50..]));
        }
    }

    #[test]
    fn goes_back_to_the_front() {
        let mut buffer = Buffer::default();
        let at = buffer.put_slice(0, b"before");
        let end = buffer.put_slice(at, &[1; 3 * FRONT_BYTES]);
        assert_eq!(buffer.slice(at, end), [1; 3 * FRONT_BYTES]);
        buffer.forget_all(0);
        let end = buffer.put_slice(at, b" and after");
        assert_eq!(buffer.slice(0, end), b"before and after");
    }
}
