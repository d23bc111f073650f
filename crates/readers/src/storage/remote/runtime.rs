//! The threads on which requests run.
//!
//! A caller waits on a channel of the standard library, and never inside a runtime of its own: so it may be a thread of another
//! `tokio` program, where waiting in the usual way would panic.

use std::future::Future;
use std::sync::{OnceLock, mpsc};

use tokio::runtime::{Builder, Runtime};

/// Threads that move bytes: decryption is what they cost.
const THREADS: usize = 2;

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("rowmark-storage")
            .enable_all()
            .build()
            .expect("the system gives a process two threads")
    })
}

/// Begins work that nobody waits for.
pub(super) fn begin(work: impl Future<Output = ()> + Send + 'static) {
    runtime().spawn(work);
}

/// Runs work to its end while the calling thread waits.
pub(super) fn wait<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let (sender, receiver) = mpsc::sync_channel(1);
    let task = runtime().spawn(async move {
        let _ = sender.send(work.await);
    });
    receiver.recv().unwrap_or_else(|_| {
        // The work panicked; its message is on the standard error already.
        task.abort();
        panic!("a request to a store panicked")
    })
}
