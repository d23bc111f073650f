//! One value: its canonical encoding and its hash.

use serde::Serialize;
use sha2::Digest as _;

use crate::digest::{Kind, finish};
use crate::encoder::Encoder;
use crate::error::Failure;
use crate::serializer::At;
use crate::{ContentHash, Error};

impl ContentHash {
    /// Hashes one value.
    ///
    /// A value and the stream of rows that consists of it alone have different hashes.
    ///
    /// ```
    /// use rowmark_hashing::ContentHash;
    ///
    /// // Integers count by value, not by width.
    /// assert_eq!(ContentHash::of(&5_u8)?, ContentHash::of(&5_i64)?);
    /// // Types that mean different things differ.
    /// assert_ne!(ContentHash::of(&5_u8)?, ContentHash::of(&5.0)?);
    /// assert_ne!(ContentHash::of(&5_u8)?, ContentHash::of(&Some(5_u8))?);
    /// # Ok::<(), rowmark_hashing::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the value [cannot be hashed](Error); the path in the error begins with `value`.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, Error> {
        hash_value(value).map_err(|failure| failure.rooted("value"))
    }
}

/// Gives the canonical encoding of one value: what [`ContentHash::of`] hashes, after the name of its kind.
///
/// This is for those who check the format or compare another implementation; two values have the same encoding
/// exactly if they are the same value of the format's model.
///
/// ```
/// assert_eq!(rowmark_hashing::encode("Ada")?, [0x09, 3, b'A', b'd', b'a']);
/// # Ok::<(), rowmark_hashing::Error>(())
/// ```
///
/// # Errors
///
/// As [`ContentHash::of`].
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    encode_value(value).map_err(|failure| failure.rooted("value"))
}

fn encode_value<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Failure> {
    let mut encoder = Encoder::default();
    let end = value.serialize(At { encoder: &mut encoder, position: 0 })?;
    Ok(encoder.buffer.slice(0, end).to_vec())
}

pub(crate) fn hash_value<T: Serialize + ?Sized>(value: &T) -> Result<ContentHash, Failure> {
    let mut sha = Kind::Value.hasher();
    sha.update(encode_value(value)?);
    Ok(finish(sha))
}
