//! The bytes of segments and footers, as `docs/format.md` draws them.
//!
//! Everything here is a function of bytes: no file is touched, and what is decoded may be anything.
//! Integers are little-endian. A length is checked against what is there before it is believed.

pub(crate) mod batch;
pub(crate) mod cursor;
pub(crate) mod footer;
pub(crate) mod frame;
pub(crate) mod header;

/// The format that is written, and the newest that is read.
pub(crate) const FORMAT_VERSION: u16 = 1;
/// The longest schema, in bytes of Arrow IPC.
pub(crate) const SCHEMA_BYTES_MAX: u64 = 16 << 20;
/// The longest record.
pub const RECORD_BYTES_MAX: u64 = 1 << 20;
/// The largest batch, in bytes of Arrow IPC.
pub const BATCH_BYTES_MAX: u64 = 4 << 30;
