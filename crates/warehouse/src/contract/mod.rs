//! What every [`Warehouse`] does, as one test suite.
//!
//! [`run`] takes a function that opens an **empty** warehouse and calls it once for each check, so that a failure in
//! one does not spoil the next. It panics at the first thing that is not as the trait says, naming it. What no call can
//! show is not here: what survives a crash, and what a damaged store answers.

mod reading;
mod sample;
mod tables;
mod writing;

use std::panic::Location;

use crate::{Error, Warehouse};

/// Checks a warehouse.
///
/// ```
/// use rowmark_warehouse::{FileWarehouse, MemoryWarehouse, contract};
///
/// contract::run(MemoryWarehouse::new);
///
/// // One that lives in a folder needs one for each check.
/// let folders = tempfile::tempdir()?;
/// let number = std::cell::Cell::new(0);
/// contract::run(|| {
///     number.set(number.get() + 1);
///     FileWarehouse::open(folders.path().join(number.get().to_string())).expect("the folder is new")
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
///
/// When the warehouse does something else than the trait says.
pub fn run<W: Warehouse>(open: impl Fn() -> W) {
    for check in [writing::CHECKS, reading::CHECKS, tables::CHECKS].concat() {
        check(&open());
    }
}

type Check = fn(&dyn Warehouse);

/// Unwraps where the contract leaves no room for an error.
trait Expected<T> {
    #[track_caller]
    fn expected(self) -> T;
}

impl<T> Expected<T> for Result<T, Error> {
    fn expected(self) -> T {
        let place = Location::caller();
        self.unwrap_or_else(|error| panic!("{place}: {error}: {error:?}"))
    }
}

impl<T> Expected<T> for Option<T> {
    fn expected(self) -> T {
        let place = Location::caller();
        self.unwrap_or_else(|| panic!("{place}: it is not there"))
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
