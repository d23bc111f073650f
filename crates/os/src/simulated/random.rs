//! Numbers that look random and are the same for the same seed: SplitMix64 (Steele, Lea, Flood, 2014).

pub(super) struct Random(pub(super) u64);

impl Random {
    /// A number below `end`, or 0 when that is 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let mixed = mixed ^ (mixed >> 31);
        (mixed % (end as u64).max(1)) as usize
    }
}
