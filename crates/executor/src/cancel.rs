//! A token that asks a run to stop in good order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Asks a run to stop: rows in flight finish, finished rows are committed, no new row is begun.
///
/// Clones share one state. A token stays cancelled.
///
/// ```
/// let cancel = rowmark_executor::CancelToken::new();
/// cancel.clone().cancel();
/// assert!(cancel.is_cancelled());
/// ```
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// Makes a token that is not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks every run that holds this token to stop. Safe to call from a signal-handling thread.
    pub fn cancel(&self) {
        // Relaxed: the flag orders nothing else; a worker that sees it one row late is as right.
        self.0.store(true, Ordering::Relaxed);
    }

    /// Tells whether [`cancel`](Self::cancel) was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
