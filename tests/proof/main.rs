//! That work done once stays done: the whole system, from the chain to the bytes, under every death and damage.
//!
//! Each file is one subject. What is run is the same everywhere (`work`), as is what must be true after it.

#![expect(clippy::unwrap_used, reason = "a test")]

mod abort;
mod calls;
mod crash;
mod damage;
mod folder;
mod full_disk;
mod kill;
mod numbered;
mod old_stores;
mod promises;
mod two_processes;
mod work;
