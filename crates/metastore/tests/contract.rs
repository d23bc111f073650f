//! Both stores keep the contract.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::cell::Cell;

use rowmark_metastore::{MemoryMetastore, SledMetastore, contract};

#[test]
fn memory_keeps_the_contract() {
    contract::run(MemoryMetastore::new);
}

#[test]
fn sled_keeps_the_contract() {
    let folders = tempfile::tempdir().unwrap();
    let number = Cell::new(0);
    contract::run(|| {
        number.set(number.get() + 1);
        SledMetastore::open(folders.path().join(number.get().to_string())).unwrap()
    });
}
