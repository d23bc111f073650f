//! The model's threads, locks and atomics, and a ring made of them.

use std::collections::VecDeque;
use std::sync::Arc;

pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU64, Ordering};
pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard};

use super::lock;

/// The end of a ring that is written to.
pub(crate) struct Producer<T>(Arc<Mutex<VecDeque<T>>>, usize);

/// The end of a ring that is read from.
pub(crate) struct Consumer<T>(Arc<Mutex<VecDeque<T>>>);

pub(crate) fn ring<T>(length: usize) -> (Producer<T>, Consumer<T>) {
    let queue = Arc::new(Mutex::new(VecDeque::new()));
    (Producer(Arc::clone(&queue), length), Consumer(queue))
}

impl<T> Producer<T> {
    pub(crate) fn push(&mut self, value: T) -> Result<(), T> {
        let mut queue = lock(&self.0);
        if queue.len() == self.1 {
            return Err(value);
        }
        queue.push_back(value);
        Ok(())
    }
}

impl<T> Consumer<T> {
    pub(crate) fn read(&mut self) -> impl ExactSizeIterator<Item = T> {
        std::mem::take(&mut *lock(&self.0)).into_iter()
    }
}
