#![doc = include_str!("../README.md")]

#[cfg(feature = "arrow")]
mod arrow;
mod buffer;
mod bytes;
mod chunk;
mod content_hash;
mod digest;
mod encoder;
mod error;
mod fingerprint;
#[cfg(feature = "rayon")]
mod parallel;
mod row;
mod rows;
mod serializer;
mod shape;
mod shown;
#[cfg(feature = "proptest")]
pub mod strategies;
mod unordered;
mod value;

#[cfg(feature = "arrow")]
pub use arrow::{ROWS_KEY, VALUE_KEY, hash_batches};
pub use bytes::{BLOCK_BYTES, BytesHasher, hash_reader};
pub use chunk::ChunkDigest;
pub use content_hash::ContentHash;
pub use digest::FORMAT_VERSION;
pub use encoder::DEPTH_MAX;
pub use error::Error;
pub use fingerprint::{Component, Difference, Fingerprint};
#[cfg(feature = "rayon")]
pub use parallel::{par_hash_reader, par_hash_rows};
pub use row::{RowHash, RowHasher};
pub use rows::{CHUNK_ROWS, ContentHasher, hash_rows};
pub use unordered::UnorderedHasher;
pub use value::encode;
