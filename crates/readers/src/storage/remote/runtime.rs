//! The threads on which requests run.
//!
//! A caller waits on a channel of the standard library, and never inside a runtime of its own: so it may be a thread of another
//! `tokio` program, where waiting in the usual way would panic.

use std::future::Future;
use std::io;
use std::sync::{OnceLock, mpsc};

use tokio::runtime::{Builder, Runtime};

use crate::Error;

/// Threads that move bytes: decryption is what they cost.
const THREADS: usize = 2;

/// Runs a request about `uri` to its end while the calling thread waits.
pub(super) fn wait<T: Send + 'static>(
    uri: String,
    request: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    static RUNTIME: OnceLock<io::Result<Runtime>> = OnceLock::new();
    let failed = |why: String| Error::Storage { uri, doing: "ask for".to_owned(), source: why.into() };
    let begin = || {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(THREADS).thread_name("rowmark-storage").enable_all().build()
    };
    let runtime = match RUNTIME.get_or_init(begin) {
        Ok(runtime) => runtime,
        Err(error) => return Err(failed(format!("threads for requests could not be started: {error}"))),
    };
    let (sender, receiver) = mpsc::sync_channel(1);
    runtime.spawn(async move {
        let _ = sender.send(request.await);
    });
    receiver
        .recv()
        .unwrap_or_else(|_| Err(failed("the request panicked; its message is on the standard error".into())))
}
