//! What a reader has to know of to read a file: flags in headers and footers, and the version that goes with them.

/// A set of such things; the empty one is format version 1; any other is 2, with inputs 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Needs(u16);

impl Needs {
    pub(crate) const NOTHING: Self = Self(0);
    /// Input rows that are in no frame of a sealed table have failed.
    pub(crate) const HOLES: Self = Self(1);
    pub(crate) const LZ4: Self = Self(2);
    pub(crate) const ZSTD: Self = Self(4);
    /// Frames may hold what is known of their input rows.
    pub(crate) const INPUTS: Self = Self(8);
    const ALL: Self = Self(15);

    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn without_holes(self) -> Self {
        Self(self.0 & !Self::HOLES.0)
    }

    pub(crate) fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The format version and the flags, as they are written.
    pub(crate) fn encode(self) -> [u8; 4] {
        let version: u16 = match self {
            Self::NOTHING => 1,
            needs if needs.contains(Self::INPUTS) => 3,
            _ => 2,
        };
        let ([a, b], [c, d]) = (version.to_le_bytes(), self.0.to_le_bytes());
        [a, b, c, d]
    }

    /// Reads flags that go with a version; `None` when they do not.
    pub(crate) fn decode(version: u16, flags: u16) -> Option<Self> {
        let needs = Self(flags);
        (Self::ALL.contains(needs) && needs.encode()[..2] == version.to_le_bytes()).then_some(needs)
    }

    /// The feature that this program would have to be built with to read such a file.
    pub(crate) fn missing_feature(self) -> Option<&'static str> {
        let features =
            [(Self::LZ4, "lz4", cfg!(feature = "lz4")), (Self::ZSTD, "zstd", cfg!(feature = "zstd"))];
        let missing = features.into_iter().find(|(need, _, is_there)| self.contains(*need) && !is_there);
        missing.map(|(_, feature, _)| feature)
    }
}
