//! The identity of the code that made a batch of rows.

use std::fmt;

use rowmark_hashing::ContentHash;
use serde::{Deserialize, Serialize};

/// The hash of the code that made a batch of rows.
///
/// ```
/// use rowmark_hashing::ContentHash;
/// use rowmark_warehouse::CodeId;
///
/// let code = CodeId::new(ContentHash::from_bytes([7; 32]));
/// assert_eq!(code.hash().as_bytes(), &[7; 32]);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CodeId(ContentHash);

impl CodeId {
    /// Names code by its hash.
    #[must_use]
    pub const fn new(hash: ContentHash) -> Self {
        Self(hash)
    }

    /// The hash of the code.
    #[must_use]
    pub const fn hash(self) -> ContentHash {
        self.0
    }
}

impl From<ContentHash> for CodeId {
    fn from(hash: ContentHash) -> Self {
        Self(hash)
    }
}

impl fmt::Display for CodeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

impl fmt::Debug for CodeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "CodeId({})", self.0.short())
    }
}
