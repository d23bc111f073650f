//! Records as bytes, and back.
//!
//! ```text
//! +---------+------+---------------------------+-----------------+
//! | version | kind | fields                    | CRC-32C         |
//! | 1 byte  | 1    | bincode 2, `standard()`   | 4, big-endian   |
//! +---------+------+---------------------------+-----------------+
//! ```
//!
//! - The CRC is over everything before it and stands last in every version, so a damaged record is told from a
//!   newer one before its version is believed.
//! - The fields are in the order of the struct: integers as little-endian variable-length integers, enums as the
//!   number of their variant, texts and lists with their length in front, hashes and ids as plain bytes.
//! - A version is never given new fields; a record that needs some gets them at its end and the next version, and
//!   [`Record::from_bytes`] goes on reading the ones before.
//!
//! Nothing else in the crate knows how a record is encoded. What keeps records small inside the sled store is not
//! here either: a record is one run of bytes of at most [`RECORD_BYTES_MAX`].

use std::fmt;

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Checkpoint, DatasetVersion, Error, Event, Job, Result};

/// The longest record, in bytes.
pub const RECORD_BYTES_MAX: usize = 1024 * 1024;

const HEADER_BYTES: usize = 2;
const CRC_BYTES: usize = 4;

/// What the decoder may take for one record. It counts an integer by its full width, however few bytes encode it, so
/// this has to be 8 times the longest record; it keeps a wrong length from becoming a huge allocation.
const DECODED_BYTES_MAX: usize = 8 * RECORD_BYTES_MAX;

const CONFIG: Configuration<LittleEndian, Varint, Limit<DECODED_BYTES_MAX>> =
    bincode::config::standard().with_limit::<DECODED_BYTES_MAX>();

/// What a record is about; its number stands in the record's second byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum RecordKind {
    /// A [`Job`].
    Job = 1,
    /// A [`Checkpoint`].
    Checkpoint = 2,
    /// A [`DatasetVersion`].
    DatasetVersion = 3,
    /// An [`Event`].
    Event = 4,
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Job => "job",
            Self::Checkpoint => "checkpoint",
            Self::DatasetVersion => "dataset version",
            Self::Event => "event",
        })
    }
}

/// Something that the metastore keeps, and that tables carry so that the metastore can be rebuilt from them.
///
/// ```
/// use rowmark_metastore::{Error, Event, EventKind, Job, JobId, Record, Timestamp};
///
/// let event = Event::new(JobId::new(), Timestamp::from_millis(1), "classify", EventKind::Run);
/// let mut bytes = event.to_bytes()?;
/// assert_eq!(Event::from_bytes(&bytes)?, event);
///
/// assert!(Job::from_bytes(&bytes).is_err()); // an event is not a job
/// bytes[7] ^= 1;
/// assert!(matches!(Event::from_bytes(&bytes), Err(Error::DamagedRecord { .. })));
/// # Ok::<(), Error>(())
/// ```
pub trait Record: Sized + sealed::Fields {
    /// What the record is about.
    const KIND: RecordKind;
    /// The version that is written; every earlier one is read.
    const VERSION: u8;

    /// Encodes the record.
    ///
    /// # Errors
    ///
    /// [`Error::TooLong`] and [`Error::Invalid`] when a field is out of its bounds, or the whole is longer than
    /// [`RECORD_BYTES_MAX`].
    fn to_bytes(&self) -> Result<Vec<u8>> {
        self.check_fields()?;
        let fields = bincode::serde::encode_to_vec(self, CONFIG)
            .map_err(|source| Error::Unencodable { kind: Self::KIND, source: Box::new(source) })?;
        let length = HEADER_BYTES + fields.len() + CRC_BYTES;
        if length > RECORD_BYTES_MAX {
            return Err(Error::TooLong { field: "record", length, length_max: RECORD_BYTES_MAX });
        }
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(&[Self::VERSION, Self::KIND as u8]);
        bytes.extend_from_slice(&fields);
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_be_bytes());
        Ok(bytes)
    }

    /// Decodes a record of this version or an earlier one.
    ///
    /// # Errors
    ///
    /// [`Error::NewerRecord`] for a later version; [`Error::DamagedRecord`] for bytes that are no record of this kind.
    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let damaged = |reason| Error::DamagedRecord { kind: Self::KIND, reason, source: None };
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(damaged("it is longer than any record"));
        }
        let (checked, crc) = bytes.split_last_chunk().ok_or_else(|| damaged("it is cut short"))?;
        if crc32c::crc32c(checked) != u32::from_be_bytes(*crc) {
            return Err(damaged("its checksum does not match"));
        }
        let (&[version, kind], fields) =
            checked.split_first_chunk().ok_or_else(|| damaged("it is cut short"))?;
        if kind != Self::KIND as u8 {
            return Err(damaged("it is a record of another kind"));
        }
        match version {
            0 => Err(damaged("its version is 0")),
            version if version > Self::VERSION => {
                Err(Error::NewerRecord { kind: Self::KIND, found: version, known: Self::VERSION })
            }
            version => decode_fields(&[fields, Self::added_since(version)].concat()),
        }
    }
}

/// Decodes fields of the newest version.
fn decode_fields<R: Record>(fields: &[u8]) -> Result<R> {
    let (record, length) =
        bincode::serde::decode_from_slice::<R, _>(fields, CONFIG).map_err(|source| Error::DamagedRecord {
            kind: R::KIND,
            reason: "its fields cannot be decoded",
            source: Some(Box::new(source)),
        })?;
    if length != fields.len() {
        let reason = "bytes follow its last field";
        return Err(Error::DamagedRecord { kind: R::KIND, reason, source: None });
    }
    record.check_fields().map_err(|_| Error::DamagedRecord {
        kind: R::KIND,
        reason: "a field is out of its bounds",
        source: None,
    })?;
    Ok(record)
}

mod sealed {
    use super::{DeserializeOwned, Result, Serialize};

    pub trait Fields: Serialize + DeserializeOwned {
        fn check_fields(&self) -> Result<()>;

        /// The bytes of the fields that were added after a version, with the values that they had before they
        /// were there. New fields stand last, so these bytes make an older record a new one.
        fn added_since(version: u8) -> &'static [u8];
    }
}

macro_rules! record {
    ($name:ident, $version:literal $(, added since $old:literal: $added:literal)*) => {
        impl Record for $name {
            const KIND: RecordKind = RecordKind::$name;
            const VERSION: u8 = $version;
        }

        impl sealed::Fields for $name {
            fn check_fields(&self) -> Result<()> {
                self.check()
            }

            fn added_since(version: u8) -> &'static [u8] {
                match version {
                    $($old => $added,)*
                    _ => b"",
                }
            }
        }
    };
}

record!(Job, 2, added since 1: b"\0");
record!(Checkpoint, 2, added since 1: b"\0");
record!(DatasetVersion, 1);
record!(Event, 1);
