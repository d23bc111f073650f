//! `Ctrl-C`: a process has one handler for it, sessions come and go.
//!
//! The first signal asks all sessions that listen to stop in good order. The second, or one while none listens,
//! ends the process as it would have without a handler.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rowmark_executor::CancelToken;

use crate::{Error, Result};

/// What a shell tells of a program that `Ctrl-C` ended.
const EXIT_CODE: i32 = 130;

/// The tokens of sessions that listen, by the number of each.
static LISTENING: Mutex<Vec<(u64, CancelToken)>> = Mutex::new(Vec::new());

/// Whether the handler could be installed, and if not why.
static INSTALLED: OnceLock<Result<(), String>> = OnceLock::new();

fn listening() -> MutexGuard<'static, Vec<(u64, CancelToken)>> {
    LISTENING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Cancels a token at a signal, until it is dropped.
#[derive(Debug)]
pub(crate) struct Listener(u64);

impl Listener {
    /// Begins to listen for `SIGINT`, `SIGTERM` and `SIGHUP`, or what stands for them elsewhere.
    pub(crate) fn new(token: &CancelToken) -> Result<Self> {
        let installed =
            INSTALLED.get_or_init(|| ctrlc::try_set_handler(stop).map_err(|error| error.to_string()));
        installed.clone().map_err(|reason| Error::CtrlC { reason })?;
        let mut listening = listening();
        let number = listening.last().map_or(0, |(number, _)| number + 1);
        listening.push((number, token.clone()));
        Ok(Self(number))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        listening().retain(|(number, _)| *number != self.0);
    }
}

/// Runs on the handler's own thread.
fn stop() {
    let listening = listening();
    if listening.iter().all(|(_, token)| token.is_cancelled()) {
        std::process::exit(EXIT_CODE);
    }
    tracing::warn!("stopping: rows in work are finished and saved; the next signal ends the process at once");
    for (_, token) in &*listening {
        token.cancel();
    }
}
