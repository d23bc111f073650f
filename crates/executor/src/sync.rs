//! What threads share state with: the standard library's, or under `--cfg shuttle` a model's that tries
//! out the orders in which threads can run.

#[cfg(not(all(test, shuttle)))]
pub(crate) use std::sync::{
    Arc, Condvar, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

#[cfg(all(test, shuttle))]
pub(crate) use shuttle::sync::{
    Arc, Condvar, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
#[cfg(all(test, shuttle))]
pub(crate) use std::sync::PoisonError;

/// Locks what no user code runs under, so that a poisoned state is still a whole one.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
