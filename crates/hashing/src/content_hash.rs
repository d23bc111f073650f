//! [`ContentHash`]: 32 bytes that name a content, and how they are written and read.

use std::fmt::{self, Debug, Display};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Error;

/// Names a content by the SHA-256 of its canonical encoding.
///
/// Displayed as 64 lower-case hexadecimal digits, and read back from them. In a human-readable serde format it is
/// that text; in any other it is 32 bytes without a length.
///
/// ```
/// use rowmark_hashing::ContentHash;
///
/// let hash = ContentHash::of(&("Ada", 1815))?;
/// assert_eq!(hash.to_string().parse::<ContentHash>()?, hash);
/// assert_ne!(hash, ContentHash::of(&("Ada", 1816))?);
/// # Ok::<(), rowmark_hashing::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    /// Wraps 32 bytes that are known to be a hash.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Gives the 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Gives the first 8 hexadecimal digits, for people; too short to be an identity.
    ///
    /// ```
    /// use rowmark_hashing::ContentHash;
    ///
    /// let hash = ContentHash::from_bytes([0xab; 32]);
    /// assert_eq!(hash.short().to_string(), "abababab");
    /// ```
    pub fn short(&self) -> impl Display + use<> {
        let [a, b, c, d, ..] = self.0;
        Hex([a, b, c, d])
    }
}

pub(crate) struct Hex<const N: usize>(pub(crate) [u8; N]);

impl<const N: usize> Display for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&Hex(self.0).to_string())
    }
}

impl Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({})", Hex(self.0))
    }
}

impl FromStr for ContentHash {
    type Err = Error;

    /// Reads 64 hexadecimal digits of either case.
    ///
    /// # Errors
    ///
    /// [`Error::NotAHash`] for any other text.
    fn from_str(text: &str) -> Result<Self, Error> {
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let mut bytes = [0; 32];
        let whole = text.len() == 64
            && bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)).all(|(byte, pair)| {
                let (Some(high), Some(low)) = (digit(pair[0]), digit(pair[1])) else { return false };
                *byte = high << 4 | low;
                true
            });
        if whole { Ok(Self(bytes)) } else { Err(Error::NotAHash { text: text.chars().take(80).collect() }) }
    }
}

impl Serialize for ContentHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for ContentHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(HexVisitor)
        } else {
            <[u8; 32]>::deserialize(deserializer).map(Self)
        }
    }
}

struct HexVisitor;

impl de::Visitor<'_> for HexVisitor {
    type Value = ContentHash;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("64 hexadecimal digits")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<ContentHash, E> {
        text.parse().map_err(E::custom)
    }
}
