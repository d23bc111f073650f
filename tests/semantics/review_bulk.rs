//! Rows that are gathered are gathered in bulk, however rows of a UDF are made durable.

use std::time::Instant;

use rowmark::prelude::*;

use crate::support::{Folder, builder};

#[test]
fn a_sort_does_not_take_its_rows_one_by_one() {
    let [in_groups, each] = [Durability::default(), Durability::EveryRow].map(|durability| {
        let folder = Folder::new();
        let session = builder(&folder.path()).durability(durability).open().unwrap();
        let rows = session.read_records((0..100_000u64).rev().collect());
        let begun = Instant::now();
        assert_eq!(rows.order_by(udf!("itself", |n: &u64| *n)).first().unwrap(), Some(0));
        begun.elapsed()
    });
    assert!(each < 4 * in_groups, "{each:?}, otherwise {in_groups:?}");
}
