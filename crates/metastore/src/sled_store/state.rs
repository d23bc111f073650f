//! The state of the tree: a number, a count and a digest, changed in the same batch as what they describe.
//!
//! Opening the store counts the keys and computes the digest again. A key that is missing, too many or changed,
//! anywhere in the tree, is found so, although sled itself noticed nothing.

/// What the tree holds, in 24 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// The number of the last change; the first one is 1.
    pub(super) sequence: u64,
    /// The keys in the tree, those of format and state left out.
    pub(super) count: u64,
    /// The sum of a 64-bit hash of every such key with its value; an entry is taken away by subtraction, and the
    /// order of the changes does not matter.
    pub(super) digest: u64,
}

impl State {
    const BYTES: usize = 28;

    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) {
        self.count = self.count.wrapping_add(1);
        self.digest = self.digest.wrapping_add(entry_hash(key, value));
    }

    pub(super) fn take(&mut self, key: &[u8], value: &[u8]) {
        self.count = self.count.wrapping_sub(1);
        self.digest = self.digest.wrapping_sub(entry_hash(key, value));
    }

    /// The state of two sets of keys together; which change was the last is not known of them.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            sequence: 0,
            count: self.count.wrapping_add(other.count),
            digest: self.digest.wrapping_add(other.digest),
        }
    }

    pub(super) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.count.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.digest.to_be_bytes());
        let crc = crc32c::crc32c(&bytes[..24]);
        bytes[24..].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    /// Reads the state; `None` for bytes that are none.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::BYTES] = bytes.try_into().ok()?;
        let (numbers, _) = bytes[..24].as_chunks::<8>();
        let [sequence, count, digest] = numbers else { return None };
        let state = Self {
            sequence: u64::from_be_bytes(*sequence),
            count: u64::from_be_bytes(*count),
            digest: u64::from_be_bytes(*digest),
        };
        (state.to_bytes() == *bytes).then_some(state)
    }
}

/// Two CRC-32C side by side, mixed by the finalizer of SplitMix64 (Steele, Lea, Flood 2014), since sums of bare
/// CRCs would let simple changes cancel out.
fn entry_hash(key: &[u8], value: &[u8]) -> u64 {
    let both = u64::from(crc32c::crc32c(key)) << 32 | u64::from(crc32c::crc32c(value));
    let mixed = (both ^ both >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Entries = Vec<(Vec<u8>, Vec<u8>)>;

    fn state_of(entries: &Entries) -> State {
        let mut state = State::default();
        for (key, value) in entries {
            state.add(key, value);
        }
        state
    }

    proptest! {
        #[test]
        fn the_order_does_not_matter_and_taking_undoes_adding(entries: Entries, extra: (Vec<u8>, Vec<u8>)) {
            let mut state = state_of(&entries.iter().cloned().rev().collect());
            prop_assert_eq!(state, state_of(&entries));
            state.add(&extra.0, &extra.1);
            prop_assert_ne!(state, state_of(&entries));
            state.take(&extra.0, &extra.1);
            prop_assert_eq!(state, state_of(&entries));
        }

        #[test]
        fn a_changed_entry_changes_the_digest(
            mut entries in prop::collection::vec((any::<Vec<u8>>(), prop::collection::vec(any::<u8>(), 1..20)), 1..9),
            entry: prop::sample::Index,
            byte: prop::sample::Index,
            bit in 0..8_u8,
        ) {
            let before = state_of(&entries);
            let index = entry.index(entries.len());
            let value = &mut entries[index].1;
            let byte = byte.index(value.len());
            value[byte] ^= 1 << bit;
            prop_assert_ne!(state_of(&entries).digest, before.digest);
        }

        #[test]
        fn bytes_round_trip_and_no_flip_is_read(sequence: u64, count: u64, digest: u64, flip in 0..28_usize * 8) {
            let state = State { sequence, count, digest };
            let mut bytes = state.to_bytes();
            prop_assert_eq!(State::from_bytes(&bytes), Some(state));
            prop_assert_eq!(State::from_bytes(&bytes[..27]), None);
            bytes[flip / 8] ^= 1 << (flip % 8);
            prop_assert_eq!(State::from_bytes(&bytes), None);
        }
    }
}
