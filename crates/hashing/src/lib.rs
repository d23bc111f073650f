//! Canonical, streaming content hashes of serde values and row streams, and fingerprints with their reasons kept.
