//! The keys of the sled tree: one type each, all built and read here and nowhere else.
//!
//! Every key begins with one tag byte, so that all records and their indexes live in one tree and one batch of it
//! changes a record and its indexes together. Numbers are big-endian and names end with a NUL byte, so the bytes of
//! two keys of one type sort as their fields do, and no key is the beginning of another key of its type.
//!
//! ```text
//! tag  key                                value
//! 00   'f'                                the format version
//! 00   's'                                the state: sequence, count and digest of all other keys
//! 01   job                                creation number, Job
//! 02   job name 00, creation number       job
//! 03   job, creation number               Checkpoint
//! 04   hash, kind, job                    creation number
//! 05   partial hash, creation number      job
//! 06   dataset name 00, version           creation number, DatasetVersion
//! 07   chain hash, creation number        dataset name 00, version
//! 08   dataset name 00                    the highest version that was ever saved
//! 09   job, event number                  Event
//! ff   another key, part number           a further part of that key's value
//! ```

use rowmark_hashing::ContentHash;

use crate::{CheckpointKind, JobId};

const TAG_META: u8 = 0x00;
const TAG_JOB: u8 = 0x01;
const TAG_JOB_BY_NAME: u8 = 0x02;
const TAG_CHECKPOINT: u8 = 0x03;
const TAG_CHECKPOINT_BY_HASH: u8 = 0x04;
const TAG_CHECKPOINT_BY_PARTIAL: u8 = 0x05;
const TAG_DATASET: u8 = 0x06;
const TAG_DATASET_BY_CHAIN: u8 = 0x07;
const TAG_DATASET_LAST: u8 = 0x08;
const TAG_EVENT: u8 = 0x09;
const TAG_PART: u8 = 0xff;

/// The key of the format version.
pub(super) const FORMAT: &[u8] = &[TAG_META, b'f'];
/// The key of the state.
pub(super) const STATE: &[u8] = &[TAG_META, b's'];

/// Where ranges of keys begin that take about equally long to read through: jobs; checkpoints; each index of
/// checkpoints; and the rest.
pub(super) const RANGE_STARTS: &[&[u8]] =
    &[&[], &[TAG_CHECKPOINT], &[TAG_CHECKPOINT_BY_HASH], &[TAG_CHECKPOINT_BY_PARTIAL], &[TAG_DATASET]];

/// A key, and how it is spelled.
pub(super) trait Key: Sized {
    fn to_bytes(&self) -> Vec<u8>;
    /// Reads a key; `None` for bytes that are none of this type.
    fn from_bytes(bytes: &[u8]) -> Option<Self>;
}

/// Where the parts of a value that is too long for one are kept.
pub(super) fn part_key(key: &[u8], part: u16) -> Vec<u8> {
    Writer::new(TAG_PART).bytes(key).bytes(&part.to_be_bytes()).0
}

/// Tells whether a key is that of the format or the state, which the state does not count.
pub(super) fn is_meta(key: &[u8]) -> bool {
    key.first() == Some(&TAG_META)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct JobKey {
    pub(super) job: JobId,
}

impl JobKey {
    pub(super) const PREFIX: &[u8] = &[TAG_JOB];
}

impl Key for JobKey {
    fn to_bytes(&self) -> Vec<u8> {
        Writer::new(TAG_JOB).job(self.job).0
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(TAG_JOB, bytes)?;
        let key = Self { job: reader.job()? };
        reader.finish(key)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct JobByNameKey {
    pub(super) name: String,
    pub(super) number: u64,
}

impl JobByNameKey {
    pub(super) fn prefix(name: &str) -> Vec<u8> {
        Writer::new(TAG_JOB_BY_NAME).name(name).0
    }
}

impl Key for JobByNameKey {
    fn to_bytes(&self) -> Vec<u8> {
        Writer::new(TAG_JOB_BY_NAME).name(&self.name).number(self.number).0
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(TAG_JOB_BY_NAME, bytes)?;
        let key = Self { name: reader.name()?, number: reader.number()? };
        reader.finish(key)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CheckpointKey {
    pub(super) job: JobId,
    pub(super) number: u64,
}

impl CheckpointKey {
    pub(super) const PREFIX: &[u8] = &[TAG_CHECKPOINT];

    pub(super) fn prefix(job: JobId) -> Vec<u8> {
        Writer::new(TAG_CHECKPOINT).job(job).0
    }
}

impl Key for CheckpointKey {
    fn to_bytes(&self) -> Vec<u8> {
        Writer::new(TAG_CHECKPOINT).job(self.job).number(self.number).0
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(TAG_CHECKPOINT, bytes)?;
        let key = Self { job: reader.job()?, number: reader.number()? };
        reader.finish(key)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CheckpointByHashKey {
    pub(super) hash: ContentHash,
    pub(super) kind: CheckpointKind,
    pub(super) job: JobId,
}

impl CheckpointByHashKey {
    pub(super) fn prefix(hash: ContentHash, kind: CheckpointKind) -> Vec<u8> {
        Writer::new(TAG_CHECKPOINT_BY_HASH).hash(hash).kind(kind).0
    }
}

impl Key for CheckpointByHashKey {
    fn to_bytes(&self) -> Vec<u8> {
        Writer::new(TAG_CHECKPOINT_BY_HASH).hash(self.hash).kind(self.kind).job(self.job).0
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(TAG_CHECKPOINT_BY_HASH, bytes)?;
        let key = Self { hash: reader.hash()?, kind: reader.kind()?, job: reader.job()? };
        reader.finish(key)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CheckpointByPartialKey {
    pub(super) hash_partial: ContentHash,
    pub(super) number: u64,
}

impl CheckpointByPartialKey {
    pub(super) fn prefix(hash_partial: ContentHash) -> Vec<u8> {
        Writer::new(TAG_CHECKPOINT_BY_PARTIAL).hash(hash_partial).0
    }
}

impl Key for CheckpointByPartialKey {
    fn to_bytes(&self) -> Vec<u8> {
        Writer::new(TAG_CHECKPOINT_BY_PARTIAL).hash(self.hash_partial).number(self.number).0
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(TAG_CHECKPOINT_BY_PARTIAL, bytes)?;
        let key = Self { hash_partial: reader.hash()?, number: reader.number()? };
        reader.finish(key)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DatasetKey {
    pub(super) name: String,
    pub(super) version: u32,
}

impl DatasetKey {
    pub(super) const PREFIX: &[u8] = &[TAG_DATASET];

    pub(super) fn prefix(name: &str) -> Vec<u8> {
        Writer::new(TAG_DATASET).name(name).0
    }
}

impl Key for DatasetKey {
    fn to_bytes(&self) -> Vec<u8> {
        Writer::new(TAG_DATASET).name(&self.name).bytes(&self.version.to_be_bytes()).0
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(TAG_DATASET, bytes)?;
        let key = Self { name: reader.name()?, version: u32::from_be_bytes(reader.array()?) };
        reader.finish(key)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DatasetByChainKey {
    pub(super) chain_hash: ContentHash,
    pub(super) number: u64,
}

impl DatasetByChainKey {
    pub(super) fn prefix(chain_hash: ContentHash) -> Vec<u8> {
        Writer::new(TAG_DATASET_BY_CHAIN).hash(chain_hash).0
    }
}

impl Key for DatasetByChainKey {
    fn to_bytes(&self) -> Vec<u8> {
        Writer::new(TAG_DATASET_BY_CHAIN).hash(self.chain_hash).number(self.number).0
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(TAG_DATASET_BY_CHAIN, bytes)?;
        let key = Self { chain_hash: reader.hash()?, number: reader.number()? };
        reader.finish(key)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DatasetLastKey {
    pub(super) name: String,
}

impl Key for DatasetLastKey {
    fn to_bytes(&self) -> Vec<u8> {
        Writer::new(TAG_DATASET_LAST).name(&self.name).0
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(TAG_DATASET_LAST, bytes)?;
        let key = Self { name: reader.name()? };
        reader.finish(key)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EventKey {
    pub(super) job: JobId,
    pub(super) number: u64,
}

impl EventKey {
    pub(super) fn prefix(job: JobId) -> Vec<u8> {
        Writer::new(TAG_EVENT).job(job).0
    }
}

impl Key for EventKey {
    fn to_bytes(&self) -> Vec<u8> {
        Writer::new(TAG_EVENT).job(self.job).number(self.number).0
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(TAG_EVENT, bytes)?;
        let key = Self { job: reader.job()?, number: reader.number()? };
        reader.finish(key)
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn new(tag: u8) -> Self {
        let mut bytes = Vec::with_capacity(64);
        bytes.push(tag);
        Self(bytes)
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn job(self, job: JobId) -> Self {
        self.bytes(&job.to_bytes())
    }

    fn hash(self, hash: ContentHash) -> Self {
        self.bytes(hash.as_bytes())
    }

    fn number(self, number: u64) -> Self {
        self.bytes(&number.to_be_bytes())
    }

    fn kind(self, kind: CheckpointKind) -> Self {
        self.bytes(&[match kind {
            CheckpointKind::Partial => 0,
            CheckpointKind::Final => 1,
        }])
    }

    /// No record has a name with a NUL in it; the key of such a name is no key's, but a prefix may be.
    fn name(self, name: &str) -> Self {
        self.bytes(name.as_bytes()).bytes(&[0])
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn new(tag: u8, bytes: &'a [u8]) -> Option<Self> {
        bytes.strip_prefix(&[tag]).map(Self)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    fn job(&mut self) -> Option<JobId> {
        self.array().map(JobId::from_bytes)
    }

    fn hash(&mut self) -> Option<ContentHash> {
        self.array().map(ContentHash::from_bytes)
    }

    fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    fn kind(&mut self) -> Option<CheckpointKind> {
        match self.array()? {
            [0] => Some(CheckpointKind::Partial),
            [1] => Some(CheckpointKind::Final),
            _ => None,
        }
    }

    fn name(&mut self) -> Option<String> {
        let end = self.0.iter().position(|&byte| byte == 0)?;
        let (name, rest) = self.0.split_at(end);
        self.0 = rest.get(1..)?;
        std::str::from_utf8(name).ok().map(str::to_owned)
    }

    fn finish<K>(self, key: K) -> Option<K> {
        self.0.is_empty().then_some(key)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use proptest::prelude::*;

    use super::*;

    fn job() -> impl Strategy<Value = JobId> {
        any::<[u8; 16]>().prop_map(JobId::from_bytes)
    }

    fn hash() -> impl Strategy<Value = ContentHash> {
        // Few different first bytes, so that two hashes are often equal and the next field decides.
        prop_oneof![
            any::<bool>().prop_map(|bit| ContentHash::from_bytes([u8::from(bit); 32])),
            any::<[u8; 32]>().prop_map(ContentHash::from_bytes),
        ]
    }

    fn kind() -> impl Strategy<Value = CheckpointKind> {
        prop_oneof![Just(CheckpointKind::Partial), Just(CheckpointKind::Final)]
    }

    fn name() -> impl Strategy<Value = String> {
        prop_oneof!["[ab]{1,3}", "[^\0]{1,20}"]
    }

    fn check_pair<K: Key + Ord + Debug>(left: &K, right: &K) -> Result<(), TestCaseError> {
        let (left_bytes, right_bytes) = (left.to_bytes(), right.to_bytes());
        let read = K::from_bytes(&left_bytes);
        prop_assert_eq!(read.as_ref(), Some(left));
        prop_assert_eq!(left.cmp(right), left_bytes.cmp(&right_bytes));
        if left != right {
            prop_assert!(!right_bytes.starts_with(&left_bytes), "one key is the beginning of another");
        }
        prop_assert!(K::from_bytes(&left_bytes[..left_bytes.len() - 1]).is_none());
        Ok(())
    }

    macro_rules! round_trip_and_order {
        ($($test:ident: $key:expr;)*) => {$(
            proptest! {
                #[test]
                fn $test(left in $key, right in $key) {
                    check_pair(&left, &right)?;
                }
            }
        )*};
    }

    round_trip_and_order! {
        job_keys: job().prop_map(|job| JobKey { job });
        job_by_name_keys: (name(), any::<u64>()).prop_map(|(name, number)| JobByNameKey { name, number });
        checkpoint_keys: (job(), any::<u64>()).prop_map(|(job, number)| CheckpointKey { job, number });
        checkpoint_by_hash_keys:
            (hash(), kind(), job()).prop_map(|(hash, kind, job)| CheckpointByHashKey { hash, kind, job });
        checkpoint_by_partial_keys:
            (hash(), any::<u64>()).prop_map(|(hash_partial, number)| CheckpointByPartialKey { hash_partial, number });
        dataset_keys: (name(), any::<u32>()).prop_map(|(name, version)| DatasetKey { name, version });
        dataset_by_chain_keys:
            (hash(), any::<u64>()).prop_map(|(chain_hash, number)| DatasetByChainKey { chain_hash, number });
        dataset_last_keys: name().prop_map(|name| DatasetLastKey { name });
        event_keys: (job(), any::<u64>()).prop_map(|(job, number)| EventKey { job, number });
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, tag in 0_u8..10) {
            let bytes = [vec![tag], bytes].concat();
            let _ = JobKey::from_bytes(&bytes);
            let _ = JobByNameKey::from_bytes(&bytes);
            let _ = CheckpointKey::from_bytes(&bytes);
            let _ = CheckpointByHashKey::from_bytes(&bytes);
            let _ = CheckpointByPartialKey::from_bytes(&bytes);
            let _ = DatasetKey::from_bytes(&bytes);
            let _ = DatasetByChainKey::from_bytes(&bytes);
            let _ = DatasetLastKey::from_bytes(&bytes);
            let _ = EventKey::from_bytes(&bytes);
        }
    }

    #[test]
    fn a_prefix_holds_exactly_the_keys_of_its_name() {
        let key = |name: &str, version| DatasetKey { name: name.to_owned(), version }.to_bytes();
        assert!(key("ab", 1).starts_with(&DatasetKey::prefix("ab")));
        assert!(!key("abc", 1).starts_with(&DatasetKey::prefix("ab")));
        assert!(!key("a", 1).starts_with(&DatasetKey::prefix("ab")));
    }
}
