//! Both stores keep the contract, the one in files also where links are refused.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as tests do")]

use std::cell::Cell;
use std::sync::Arc;

use rowmark_os::Simulated;
use rowmark_warehouse::{FileWarehouse, MemoryWarehouse, contract};

#[test]
fn memory_keeps_the_contract() {
    contract::run(MemoryWarehouse::new);
}

#[test]
fn files_keep_the_contract() {
    let folders = tempfile::tempdir().unwrap();
    let number = Cell::new(0);
    contract::run(|| {
        number.set(number.get() + 1);
        FileWarehouse::open(folders.path().join(number.get().to_string())).unwrap()
    });
}

#[cfg(feature = "lz4")]
#[test]
fn compressed_files_keep_the_contract() {
    contract::run(|| {
        let warehouse = FileWarehouse::open_on(Arc::new(Simulated::new()), "tables").unwrap();
        warehouse.with_compression(rowmark_warehouse::Compression::Lz4)
    });
}

#[test]
fn files_on_a_machine_without_links_keep_the_contract() {
    contract::run(|| {
        let machine = Simulated::new();
        machine.refuse_links();
        FileWarehouse::open_on(Arc::new(machine), "tables").unwrap()
    });
}
