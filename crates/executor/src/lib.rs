#![doc = include_str!("../README.md")]

mod cancel;
mod caught;
mod commit;
mod error;
mod executor;
mod lease;
#[cfg(all(test, shuttle))]
mod model_tests;
mod options;
mod per_row;
mod posts;
mod progress;
mod queue;
mod retry;
mod run;
mod sink;
mod slot;
mod snapshot;
mod sync;
mod task;
mod worker;

pub use cancel::CancelToken;
pub use error::{Error, FailedRow, Failure};
pub use executor::Executor;
pub use options::{Durability, OnError, Options};
pub use per_row::{PerRow, per_row};
pub use posts::RowInWork;
pub use progress::Progress;
pub use retry::Retry;
pub use sink::Sink;
pub use snapshot::Snapshot;
pub use task::{Computed, Task};
