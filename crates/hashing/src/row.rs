//! The hash of one row among many: to find it again in other rows.
//!
//! Rows of one type share the names of their fields, and short rows are most of all names. So the names are hashed apart,
//! once for as long as they stay the same, and what a row costs is its values.

use std::fmt::{self, Debug, Display};

use serde::Serialize;
use sha2::Digest as _;
use sha2::block_api::compress256;

use crate::content_hash::Hex;
use crate::digest::Kind;
use crate::encoder::{Encoder, put_length};
use crate::rows::BUFFER_KEPT_BYTES_MAX;
use crate::serializer::At;
use crate::shape::{Shape, Shapes};
use crate::{ContentHash, Error};

/// What stands before the digest of the names, so that with it a block of SHA-256 is full.
const HEAD_BYTES: usize = 32;

const BLOCK_BYTES: usize = 64;

/// The state in which SHA-256 begins (FIPS 180-4, 5.3.3).
const INITIAL_STATE: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// Names the content of one row: 192 bits of SHA-256, for which nobody finds two rows (2^96 attempts).
///
/// Shorter than a [`ContentHash`], as there is one for each row. It says nothing about the number of a row. Displayed
/// as 48 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowHash([u8; Self::BYTES]);

impl RowHash {
    /// The size of a row's hash.
    pub const BYTES: usize = 24;

    /// Wraps bytes that are known to be a row's hash.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// Gives the bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

impl Display for RowHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&Hex(self.0).to_string())
    }
}

impl Debug for RowHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowHash({})", Hex(self.0))
    }
}

/// Hashes rows one by one; each thread has one of its own, which reuses its memory.
///
/// The `context` is whatever decides how the rows are understood beside their content, such as their schema: the same
/// values under another are other rows.
///
/// ```
/// use rowmark_hashing::{ContentHash, RowHasher};
///
/// let mut hasher = RowHasher::new(ContentHash::of("reviews")?);
/// let ada = hasher.hash(&("Ada", 1815))?;
/// assert_ne!(hasher.hash(&("Ada", 1816))?, ada);
/// assert_eq!(hasher.hash(&("Ada", 1815))?, ada);
/// assert_ne!(RowHasher::new(ContentHash::of("films")?).hash(&("Ada", 1815))?, ada);
/// # Ok::<(), rowmark_hashing::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RowHasher {
    context: ContentHash,
    encoder: Encoder,
    /// The shapes of the last row, and the state of SHA-256 behind the block that every row with these begins with.
    shapes: Vec<Shape>,
    begun: [u32; 8],
}

impl RowHasher {
    /// Begins to hash rows that are understood in one way.
    #[must_use]
    pub fn new(context: ContentHash) -> Self {
        let mut encoder = Encoder::default();
        encoder.shapes = Shapes::with_names_apart();
        let mut hasher = Self { context, encoder, shapes: Vec::new(), begun: INITIAL_STATE };
        hasher.begin(0);
        hasher
    }

    /// Hashes one row.
    ///
    /// # Errors
    ///
    /// When the row [cannot be hashed](Error); the path in the error begins with `row`. The next one may be given then.
    pub fn hash<T: Serialize + ?Sized>(&mut self, row: &T) -> Result<RowHash, Error> {
        if !self.encoder.shapes.begin_chunk() {
            self.begin(0);
        }
        let end = match row.serialize(At { encoder: &mut self.encoder, position: 0 }) {
            Ok(end) => end,
            Err(failure) => {
                self.encoder.abandon(0);
                return Err(failure.rooted("row"));
            }
        };
        if self.encoder.shapes.defined() != self.shapes {
            self.begin(end);
        }
        let state = self.finish(end);
        let mut hash = [0; RowHash::BYTES];
        hash.as_chunks_mut().0.iter_mut().zip(state).for_each(|(bytes, word)| *bytes = word.to_be_bytes());
        Ok(RowHash(hash))
    }

    /// Ends the digest of the values, which are encoded up to `end`. They are padded where they stand, as a copy into
    /// blocks costs a short row as much as its encoding.
    fn finish(&mut self, end: usize) -> [u32; 8] {
        let buffer = &mut self.encoder.buffer;
        let bytes = buffer.slice(0, end).len();
        let mut padding = [0; BLOCK_BYTES + 8];
        padding[0] = 0x80;
        let padding_bytes = (bytes + 9).next_multiple_of(BLOCK_BYTES) - bytes;
        let bits = 8 * (BLOCK_BYTES + bytes) as u64;
        padding[padding_bytes - 8..padding_bytes].copy_from_slice(&bits.to_be_bytes());
        let end = buffer.put_slice(end, &padding[..padding_bytes]);
        let mut state = self.begun;
        compress256(&mut state, buffer.slice(0, end).as_chunks().0);
        buffer.keep(end, end, BUFFER_KEPT_BYTES_MAX);
        state
    }

    /// Takes the names of the shapes that are defined now; what is encoded up to `end` stays.
    #[cold]
    fn begin(&mut self, end: usize) {
        let Encoder { buffer, shapes, .. } = &mut self.encoder;
        shapes.defined().clone_into(&mut self.shapes);
        let mut at = put_length(buffer, end, self.shapes.len());
        for shape in &self.shapes {
            at = shapes.put_names(buffer, at, *shape);
        }
        let names = Kind::Names.hasher().chain_update(self.context.as_bytes());
        let names = names.chain_update(buffer.slice(end, at)).finalize();
        let mut block = [0; BLOCK_BYTES];
        let kind = Kind::Row.head();
        block[..kind.len()].copy_from_slice(&kind);
        block[HEAD_BYTES..].copy_from_slice(&names);
        self.begun = INITIAL_STATE;
        compress256(&mut self.begun, &[block]);
    }
}
