//! The hash of a collection whose order does not count: a listing, a set of rows from many threads.
//!
//! The hash of each row is stretched to 4,096 bits and these are added up, so that order cannot count, a row that
//! comes twice does not cancel itself, and parts can be hashed apart and merged. Adding is Bellare and
//! Micciancio's AdHash (*A New Paradigm for Collision-free Hashing*, 1997); the width answers Wagner's generalised
//! birthday attack (2002), whose cost of 2^(2√n) is 2^128 for n = 4,096 bits, as much as a collision of SHA-256.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::digest::{Kind, finish};
use crate::value::hash_value;
use crate::{ContentHash, Error};

const SUM_WORDS: usize = 4096 / 64;
const WORDS_PER_DIGEST: usize = 4;

/// Hashes rows whose order does not count, in constant memory.
///
/// Sixteen digests a row make it slower than [`ContentHasher`](crate::ContentHasher): it is meant for listings.
///
/// ```
/// use rowmark_hashing::UnorderedHasher;
///
/// let hash = |names: &[&str]| {
///     let mut hasher = UnorderedHasher::new();
///     names.iter().try_for_each(|name| hasher.update(name))?;
///     Ok::<_, rowmark_hashing::Error>(hasher.finish())
/// };
/// assert_eq!(hash(&["a.csv", "b.csv"])?, hash(&["b.csv", "a.csv"])?);
/// assert_ne!(hash(&["a.csv"])?, hash(&["a.csv", "a.csv"])?);
/// # Ok::<(), rowmark_hashing::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct UnorderedHasher {
    /// A number of 4,096 bits, the least significant word first.
    sum: [u64; SUM_WORDS],
    rows: u64,
}

impl UnorderedHasher {
    /// Begins a collection without rows.
    #[must_use]
    pub fn new() -> Self {
        Self { sum: [0; SUM_WORDS], rows: 0 }
    }

    /// Takes one more row.
    ///
    /// # Errors
    ///
    /// When the row [cannot be hashed](Error); the path in the error begins with `rows[n]`, where n counts the rows
    /// that this hasher was given. The row is then not part of the collection.
    pub fn update<T: Serialize + ?Sized>(&mut self, row: &T) -> Result<(), Error> {
        let hash = hash_value(row).map_err(|failure| failure.in_index(self.rows as usize).rooted("rows"))?;
        self.update_hash(&hash);
        Ok(())
    }

    /// Takes one more row that is known by its [`ContentHash::of`].
    ///
    /// ```
    /// use rowmark_hashing::{ContentHash, UnorderedHasher};
    ///
    /// let (mut by_value, mut by_hash) = (UnorderedHasher::new(), UnorderedHasher::new());
    /// by_value.update("a.csv")?;
    /// by_hash.update_hash(&ContentHash::of("a.csv")?);
    /// assert_eq!(by_value.finish(), by_hash.finish());
    /// # Ok::<(), rowmark_hashing::Error>(())
    /// ```
    pub fn update_hash(&mut self, hash: &ContentHash) {
        let mut element = [0; SUM_WORDS];
        let mut stem = Kind::Element.hasher();
        stem.update(hash.as_bytes());
        for (index, words) in (0_u8..).zip(element.chunks_exact_mut(WORDS_PER_DIGEST)) {
            let digest: [u8; 32] = Sha256::chain_update(stem.clone(), [index]).finalize().into();
            for (word, bytes) in words.iter_mut().zip(digest.chunks_exact(8)) {
                *word = bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
            }
        }
        self.add(&element);
        self.rows += 1;
    }

    /// Takes all rows of another hasher.
    ///
    /// ```
    /// use rowmark_hashing::UnorderedHasher;
    ///
    /// let (mut whole, mut left, mut right) =
    ///     (UnorderedHasher::new(), UnorderedHasher::new(), UnorderedHasher::new());
    /// whole.update("a.csv")?;
    /// whole.update("b.csv")?;
    /// left.update("b.csv")?;
    /// right.update("a.csv")?;
    /// left.merge(&right);
    /// assert_eq!(left.finish(), whole.finish());
    /// # Ok::<(), rowmark_hashing::Error>(())
    /// ```
    pub fn merge(&mut self, other: &Self) {
        self.add(&other.sum);
        self.rows += other.rows;
    }

    /// Gives the number of rows so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Ends the collection.
    #[must_use]
    pub fn finish(self) -> ContentHash {
        let mut sha = Kind::Unordered.hasher();
        self.sum.iter().for_each(|word| sha.update(word.to_le_bytes()));
        sha.update(self.rows.to_le_bytes());
        finish(sha)
    }

    /// Adds modulo 2^4096.
    fn add(&mut self, other: &[u64; SUM_WORDS]) {
        let mut carry = false;
        for (word, more) in self.sum.iter_mut().zip(other) {
            let (sum, over) = word.overflowing_add(*more);
            let (sum, over_by_carry) = sum.overflowing_add(u64::from(carry));
            *word = sum;
            carry = over || over_by_carry;
        }
    }
}

impl Default for UnorderedHasher {
    fn default() -> Self {
        Self::new()
    }
}
