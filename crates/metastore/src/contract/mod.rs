//! What every [`Metastore`] does, as one test suite.
//!
//! [`run`] takes a function that opens an **empty** store and calls it once for each check, so that a failure in one
//! does not spoil the next. It panics at the first thing that is not as the trait says, naming it. What no call can
//! show is not here: whether a change outlives the machine, and what a damaged store answers.

mod checkpoints;
mod datasets;
mod events;
mod jobs;
mod sample;

use std::panic::Location;

use crate::{Metastore, Result};

/// Checks a metastore.
///
/// ```
/// use rowmark_metastore::{MemoryMetastore, contract};
///
/// contract::run(MemoryMetastore::new);
/// ```
///
/// A store that lives in a folder needs one for each check:
///
/// ```
/// use rowmark_metastore::{SledMetastore, contract};
///
/// let folders = tempfile::tempdir()?;
/// let number = std::cell::Cell::new(0);
/// contract::run(|| {
///     number.set(number.get() + 1);
///     SledMetastore::open(folders.path().join(number.get().to_string())).expect("the folder is new")
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
///
/// When the store does something else than the trait says.
pub fn run<S: Metastore>(open: impl Fn() -> S) {
    for check in [jobs::CHECKS, checkpoints::CHECKS, datasets::CHECKS, events::CHECKS].concat() {
        check(&open());
    }
}

type Check = fn(&dyn Metastore);

/// Unwraps where the contract leaves no room for an error.
trait Expected<T> {
    #[track_caller]
    fn expected(self) -> T;
}

impl<T> Expected<T> for Result<T> {
    fn expected(self) -> T {
        let place = Location::caller();
        self.unwrap_or_else(|error| panic!("{place}: {error}: {error:?}"))
    }
}

/// Asserts that an answer is an error of a kind.
macro_rules! assert_error {
    ($answer:expr, $pattern:pat $(if $guard:expr)?) => {{
        let answer = $answer;
        assert!(matches!(&answer, Err($pattern) $(if $guard)?), "{} answered {answer:?}", stringify!($answer));
    }};
}
use assert_error;
