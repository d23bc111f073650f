//! Rowmark.
