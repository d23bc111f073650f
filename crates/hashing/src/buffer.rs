//! A growing buffer for very many very short writes.
//!
//! What makes it faster here than a `Vec<u8>` is that a write may reserve more than it keeps, and that short texts
//! are copied in place, without a call: of a row of five fields the copies are most of the work beside the digest.

/// Texts up to this length are copied in steps of [`STEP`].
const SHORT_BYTES_MAX: usize = 64;
const STEP: usize = 16;

#[derive(Clone, Debug, Default)]
pub(crate) struct Buffer {
    /// Everything that was ever reserved; the content is the first `length` bytes.
    room: Vec<u8>,
    length: usize,
}

impl Buffer {
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.room[..self.length]
    }

    /// The next `count` bytes after the content, to be written before they are kept.
    #[inline(always)]
    fn reserve(&mut self, count: usize) -> &mut [u8] {
        if self.room.len() - self.length < count {
            self.grow(count);
        }
        &mut self.room[self.length..self.length + count]
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, count: usize) {
        let length = (self.length + count).max(self.room.len() * 2).max(256);
        self.room.resize(length, 0);
    }

    #[inline(always)]
    pub(crate) fn push(&mut self, byte: u8) {
        self.reserve(1)[0] = byte;
        self.length += 1;
    }

    #[inline(always)]
    pub(crate) fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        self.put_first(bytes, N);
    }

    /// Writes the first `count` of `bytes`; all of them are copied, since a known length is faster.
    #[inline(always)]
    pub(crate) fn put_first<const N: usize>(&mut self, bytes: [u8; N], count: usize) {
        self.reserve(N).copy_from_slice(&bytes);
        self.length += count;
    }

    /// Writes two bytes and a text.
    #[inline(always)]
    pub(crate) fn put_short(&mut self, head: [u8; 2], text: &[u8]) {
        let room = self.reserve(head.len() + text.len());
        let (room_head, room_text) = room.split_at_mut(head.len());
        room_head.copy_from_slice(&head);
        copy_short(room_text, text);
        self.length += head.len() + text.len();
    }

    pub(crate) fn put_slice(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len()).copy_from_slice(bytes);
        self.length += bytes.len();
    }

    pub(crate) fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    /// Empties the buffer, and gives back what is reserved beyond `kept_bytes_max`.
    pub(crate) fn clear(&mut self, kept_bytes_max: usize) {
        self.length = 0;
        if self.room.len() > kept_bytes_max {
            self.room.truncate(kept_bytes_max);
            self.room.shrink_to_fit();
        }
    }

    pub(crate) fn into_vec(mut self) -> Vec<u8> {
        self.room.truncate(self.length);
        self.room
    }
}

/// Copies by steps of known length, the last of which may overlap the one before.
#[inline(always)]
fn copy_short(to: &mut [u8], from: &[u8]) {
    let length = from.len();
    if (STEP..=SHORT_BYTES_MAX).contains(&length) && to.len() == length {
        for (to, from) in to.chunks_exact_mut(STEP).zip(from.chunks_exact(STEP)) {
            to.copy_from_slice(from);
        }
        to[length - STEP..].copy_from_slice(&from[length - STEP..]);
    } else {
        to.copy_from_slice(from);
    }
}
