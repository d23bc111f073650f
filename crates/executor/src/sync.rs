//! What threads share state with: the standard library's and a ring, or under `--cfg shuttle` a model's that
//! tries out the orders in which threads can run.

#[cfg(not(all(test, shuttle)))]
mod real {
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};

    /// The end of a ring that is written to.
    pub(crate) struct Producer<T>(rtrb::Producer<T>);

    impl<T> Producer<T> {
        /// Writes a value, or gives it back if there is no room.
        pub(crate) fn push(&mut self, value: T) -> Result<(), T> {
            self.0.push(value).map_err(|rtrb::PushError::Full(value)| value)
        }
    }

    /// The end of a ring that is read from.
    pub(crate) struct Consumer<T>(rtrb::Consumer<T>);

    impl<T> Consumer<T> {
        /// Reads all values that are there now.
        pub(crate) fn read(&mut self) -> impl ExactSizeIterator<Item = T> {
            let there = self.0.slots();
            self.0.read_chunk(there).expect("only this end takes values out").into_iter()
        }
    }

    /// A queue of bounded length between one thread that writes and one that reads.
    pub(crate) fn ring<T>(length: usize) -> (Producer<T>, Consumer<T>) {
        let (producer, consumer) = rtrb::RingBuffer::new(length);
        (Producer(producer), Consumer(consumer))
    }
}

#[cfg(all(test, shuttle))]
mod model;

pub(crate) use std::sync::PoisonError;

#[cfg(all(test, shuttle))]
pub(crate) use model::*;
#[cfg(not(all(test, shuttle)))]
pub(crate) use real::*;

/// Locks what no user code runs under, so that a poisoned state is still a whole one.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
