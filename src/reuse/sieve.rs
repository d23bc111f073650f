//! Sets in little memory: of hashes, which may seem to hold some that were not put in, and of row numbers.

use rowmark_hashing::RowHash;

/// The bits of a sieve of hashes: 4 MiB, of which a million hashes set one in seventeen.
const SIEVE_BITS: u64 = 1 << 25;

/// A set of hashes in constant memory (Bloom, 1970). A hash that it does not hold was not put in.
pub(super) struct Sieve(Bits);

impl Sieve {
    pub(super) fn new() -> Self {
        Self(Bits(vec![0; (SIEVE_BITS / 64) as usize]))
    }

    pub(super) fn insert(&mut self, hash: RowHash) {
        places(hash).for_each(|place| self.0.insert(place));
    }

    pub(super) fn contains(&self, hash: RowHash) -> bool {
        places(hash).all(|place| self.0.contains(place))
    }
}

/// The bits of a hash, which is itself as good as random.
fn places(hash: RowHash) -> impl Iterator<Item = u64> {
    let (words, _) = hash.as_bytes().as_chunks::<8>();
    let words: [u64; 2] = std::array::from_fn(|word| u64::from_be_bytes(words[word]));
    words.into_iter().map(|word| word % SIEVE_BITS)
}

/// A set of row numbers, an eighth of a byte for each up to the highest.
#[derive(Default)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    pub(super) fn insert(&mut self, row: u64) {
        let word = (row / 64) as usize;
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (row % 64);
    }

    pub(super) fn contains(&self, row: u64) -> bool {
        self.0.get((row / 64) as usize).is_some_and(|word| word & (1 << (row % 64)) != 0)
    }
}

#[cfg(test)]
mod tests {
    use rowmark_hashing::{ContentHash, RowHasher};

    use super::*;

    #[test]
    fn a_sieve_holds_what_was_put_in_and_little_else() {
        let mut hasher = RowHasher::new(ContentHash::of("sieve").unwrap());
        let mut sieve = Sieve::new();
        (0..100_000_u64).for_each(|row| sieve.insert(hasher.hash(&row).unwrap()));
        assert!((0..100_000_u64).all(|row| sieve.contains(hasher.hash(&row).unwrap())));
        let others = (100_000..200_000_u64).filter(|row| sieve.contains(hasher.hash(row).unwrap())).count();
        assert!(others < 100, "{others} of 100,000 others seem to be in it");
    }

    #[test]
    fn bits_hold_rows() {
        let mut bits = Bits::default();
        [0, 63, 64, 1000].into_iter().for_each(|row| bits.insert(row));
        let held: Vec<u64> = (0..5000).filter(|row| bits.contains(*row)).collect();
        assert_eq!(held, [0, 63, 64, 1000]);
    }
}
