#![doc = include_str!("../README.md")]

mod bytes;
mod content_hash;
mod digest;
mod encoder;
mod error;
mod fingerprint;
mod rows;
mod serializer;
mod shape;
mod shown;
mod unordered;
mod value;

pub use bytes::{BLOCK_BYTES, BytesHasher, hash_reader};
pub use content_hash::ContentHash;
pub use digest::FORMAT_VERSION;
pub use encoder::DEPTH_MAX;
pub use error::Error;
pub use fingerprint::{Component, Difference, Fingerprint};
pub use rows::{CHUNK_ROWS, ContentHasher, hash_rows};
pub use unordered::UnorderedHasher;
