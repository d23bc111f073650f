#![doc = include_str!("../README.md")]

mod cancel;
mod error;
mod executor;
mod progress;
mod queue;
mod task;

pub use cancel::CancelToken;
pub use error::{Error, Failure};
pub use executor::{Durability, Executor, Options};
pub use progress::{Progress, Snapshot};
pub use task::{PerRow, Sink, Task, per_row};
