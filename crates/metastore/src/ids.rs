//! The ids that are minted here: of jobs and of run groups.
//!
//! Both are UUIDs of version 7 (RFC 9562), so they sort by the time they were made. They are written as 32
//! lowercase hexadecimal digits without dashes, which is how they stand in the names of tables, and in
//! records as 16 bytes, most significant first.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

use crate::Error;

macro_rules! id {
    ($(#[$docs:meta])* $name:ident) => {
        $(#[$docs])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// The number of bytes of an id in a key or a record.
            pub const BYTES: usize = 16;

            /// Mints an id; it is later than every id that this process minted before.
            #[allow(clippy::new_without_default, reason = "an id with a default would not be one")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// Makes an id from its 16 bytes, most significant first.
            pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// Returns the 16 bytes, most significant first; they sort as the id does.
            pub const fn to_bytes(self) -> [u8; Self::BYTES] {
                self.0.into_bytes()
            }

            /// Returns the id as a UUID.
            pub const fn as_uuid(&self) -> &Uuid {
                &self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::LowerHex::fmt(self.0.as_simple(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                parse_simple(text)
                    .map(Self)
                    .ok_or_else(|| Error::InvalidId { id: stringify!($name), text: shortened(text) })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    self.to_bytes().serialize(serializer)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    let text = String::deserialize(deserializer)?;
                    text.parse().map_err(de::Error::custom)
                } else {
                    Deserialize::deserialize(deserializer).map(Self::from_bytes)
                }
            }
        }
    };
}

id! {
    /// The id of a job.
    ///
    /// ```
    /// use rowmark_metastore::JobId;
    ///
    /// let earlier = JobId::new();
    /// let later = JobId::new();
    /// assert!(earlier < later);
    /// assert_eq!(earlier.to_string().len(), 32);
    /// assert_eq!(earlier.to_string().parse::<JobId>()?, earlier);
    /// # Ok::<(), rowmark_metastore::Error>(())
    /// ```
    JobId
}

id! {
    /// The id of a run group: a job and its reruns, which share stored inputs.
    ///
    /// ```
    /// use rowmark_metastore::RunGroupId;
    ///
    /// let run_group = RunGroupId::new();
    /// assert_eq!(RunGroupId::from_bytes(run_group.to_bytes()), run_group);
    /// ```
    RunGroupId
}

/// Reads 32 lowercase digits; any other spelling of a UUID is refused, so that an id has one spelling.
fn parse_simple(text: &str) -> Option<Uuid> {
    let plain = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    plain.then(|| Uuid::try_parse(text).ok()).flatten()
}

/// The beginning of a text that may be of any length, for an error.
fn shortened(text: &str) -> String {
    text.chars().take(48).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_id_survives_text_json_and_bytes(bytes: [u8; 16]) {
            let id = JobId::from_bytes(bytes);
            prop_assert_eq!(id.to_string().parse::<JobId>().unwrap(), id);
            prop_assert_eq!(JobId::from_bytes(id.to_bytes()), id);
            let json = serde_json::to_string(&id).unwrap();
            prop_assert_eq!(&json, &format!("\"{id}\""));
            prop_assert_eq!(serde_json::from_str::<JobId>(&json).unwrap(), id);
        }

        #[test]
        fn ids_sort_as_their_bytes_and_their_text(a: [u8; 16], b: [u8; 16]) {
            let (left, right) = (RunGroupId::from_bytes(a), RunGroupId::from_bytes(b));
            prop_assert_eq!(left.cmp(&right), a.cmp(&b));
            prop_assert_eq!(left.cmp(&right), left.to_string().cmp(&right.to_string()));
        }

        #[test]
        fn no_other_text_is_an_id(text: String) {
            prop_assert!(text.parse::<JobId>().is_err());
        }
    }

    #[test]
    fn an_id_has_one_spelling() {
        let id = JobId::new();
        for text in [
            id.as_uuid().hyphenated().to_string(),
            id.as_uuid().urn().to_string(),
            id.to_string().to_uppercase() + " ",
            id.to_string()[1..].to_owned(),
            format!("{{{}}}", id.as_uuid()),
        ] {
            let error = text.parse::<JobId>().unwrap_err();
            assert!(error.to_string().contains("32 lowercase hexadecimal digits"), "{error}");
        }
    }
}
