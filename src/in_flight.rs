//! What only one thread of a process may do at a time, by the hash of what it is.

use std::sync::{Condvar, Mutex, PoisonError};

use rowmark_hashing::ContentHash;

/// Steps that a thread of this process runs: another that needs the same waits for it.
#[derive(Debug, Default)]
pub(crate) struct StepsInFlight {
    hashes: Mutex<Vec<ContentHash>>,
    left: Condvar,
}

impl StepsInFlight {
    pub(crate) fn enter(&self, hash: ContentHash) -> StepGuard<'_> {
        let hashes = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut hashes = self
            .left
            .wait_while(hashes, |hashes| hashes.contains(&hash))
            .unwrap_or_else(PoisonError::into_inner);
        hashes.push(hash);
        StepGuard { steps: self, hash }
    }
}

/// Keeps a step to one thread.
pub(crate) struct StepGuard<'a> {
    steps: &'a StepsInFlight,
    hash: ContentHash,
}

impl Drop for StepGuard<'_> {
    fn drop(&mut self) {
        let mut hashes = self.steps.hashes.lock().unwrap_or_else(PoisonError::into_inner);
        hashes.retain(|hash| *hash != self.hash);
        self.steps.left.notify_all();
    }
}
