//! A token that asks a run to stop in good order.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::sync::{AtomicBool, Condvar, Mutex, Ordering, PoisonError, lock};

/// Asks a run to stop: rows in flight finish, finished rows are committed, no new row is begun, and a
/// worker that waits to try a row again no longer waits.
///
/// Clones share one state. A token stays cancelled.
///
/// ```
/// let cancel = rowmark_executor::CancelToken::new();
/// cancel.clone().cancel();
/// assert!(cancel.is_cancelled());
/// ```
#[derive(Clone, Default)]
pub struct CancelToken(Arc<State>);

#[derive(Default)]
struct State {
    is_cancelled: AtomicBool,
    /// Held while sleepers are woken, so that none of them looks before and sleeps after.
    gate: Mutex<()>,
    woken: Condvar,
}

impl CancelToken {
    /// Makes a token that is not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks every run that holds this token to stop. Safe to call from a signal-handling thread.
    pub fn cancel(&self) {
        // Relaxed: the flag orders nothing else; a worker that sees it one row late is as right.
        self.0.is_cancelled.store(true, Ordering::Relaxed);
        self.wake();
    }

    /// Tells whether [`cancel`](Self::cancel) was called.
    #[inline]
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled.load(Ordering::Relaxed)
    }

    /// Makes all who [`sleep`](Self::sleep) look again whether they are to stop.
    pub(crate) fn wake(&self) {
        drop(lock(&self.0.gate));
        self.0.woken.notify_all();
    }

    /// Sleeps for so long, or until `is_stopped`, which is asked again at every [`wake`](Self::wake).
    pub(crate) fn sleep(&self, duration: Duration, is_stopped: impl Fn() -> bool) {
        let begun = Instant::now();
        let mut gate = lock(&self.0.gate);
        while !is_stopped() {
            let Some(rest) = duration.checked_sub(begun.elapsed()).filter(|rest| !rest.is_zero()) else {
                return;
            };
            gate = self.0.woken.wait_timeout(gate, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CancelToken").field(&self.is_cancelled()).finish()
    }
}
