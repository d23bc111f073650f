//! Serde structs to and from Arrow record batches, row schemas and row ranges.
