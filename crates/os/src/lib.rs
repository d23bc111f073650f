#![doc = include_str!("../README.md")]

mod os;
#[cfg(feature = "simulation")]
mod simulated;
mod system;

pub use os::{AppendFile, Os, ReadFile};
#[cfg(feature = "simulation")]
pub use simulated::{Fault, Loss, Simulated};
pub use system::System;
