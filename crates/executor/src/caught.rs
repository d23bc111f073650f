//! Panics of the user's code as values.

use std::error::Error as StdError;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::Failure;

/// Calls the user's code; a panic in it becomes a failure with the panic's text.
///
/// Unwind safety: after a panic the worker's state is dropped, and the rows finished before it are
/// whole, since a row is pushed only when it is done.
pub(crate) fn caught<O, E: StdError + 'static>(call: impl FnOnce() -> O) -> Result<O, Failure<E>> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| {
        let message = match payload.downcast::<String>() {
            Ok(text) => *text,
            Err(payload) => {
                payload.downcast_ref::<&str>().map_or("a value that is not text", |text| text).to_owned()
            }
        };
        Failure::Panic { message }
    })
}

impl<E: StdError + 'static> Failure<E> {
    /// Calls fallible code; whether it answers an error or panics, it is one failure.
    ///
    /// What the code was changing when it panicked is as it was left, and is best not used again.
    ///
    /// ```
    /// use rowmark_executor::Failure;
    ///
    /// let halved = Failure::catch(|| "four".parse::<u32>().map(|n| n / 2));
    /// assert!(matches!(halved, Err(Failure::Error(_))));
    /// ```
    ///
    /// # Errors
    /// What the code answers, or its panic.
    pub fn catch<O>(call: impl FnOnce() -> Result<O, E>) -> Result<O, Self> {
        caught(call).and_then(|answer| answer.map_err(Self::Error))
    }
}
