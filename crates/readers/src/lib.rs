//! Sources of rows with deterministic content hashes.
