//! The SHA-256 inputs of the format: every one begins with the name of its kind and the format's version.

use sha2::{Digest as _, Sha256};

use crate::ContentHash;

/// The version of the format that this crate writes, and the only one so far.
pub const FORMAT_VERSION: u8 = 1;

/// What a digest is over; no input of one kind is an input of another.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Value,
    Chunk,
    Rows,
    Element,
    Unordered,
    Block,
    Bytes,
    Fingerprint,
    Names,
    Row,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Value => "rowmark value",
            Self::Chunk => "rowmark chunk",
            Self::Rows => "rowmark rows",
            Self::Element => "rowmark element",
            Self::Unordered => "rowmark unordered",
            Self::Block => "rowmark block",
            Self::Bytes => "rowmark bytes",
            Self::Fingerprint => "rowmark fingerprint",
            Self::Names => "rowmark names",
            Self::Row => "rowmark row",
        }
    }

    /// What every input of this kind begins with: the name, a zero byte and the version.
    pub(crate) fn head(self) -> Vec<u8> {
        [self.name().as_bytes(), &[0, FORMAT_VERSION]].concat()
    }

    /// A hasher that has taken the head.
    pub(crate) fn hasher(self) -> Sha256 {
        Sha256::new().chain_update(self.head())
    }
}

pub(crate) fn finish(sha: Sha256) -> ContentHash {
    ContentHash::from_bytes(sha.finalize().into())
}
