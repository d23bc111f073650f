//! Runs a function over ranges of rows in parallel, with one committing thread, progress and cancellation.
