//! Append-only row tables on disk: durable per commit, recovered after a crash, linked instead of copied.
