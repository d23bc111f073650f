//! One input that gives very many rows.

use std::time::{Duration, Instant};

use rowmark::prelude::*;

use crate::support::Folder;

/// How long a `flat_map` takes of which one input gives so many rows.
fn time_of(rows: u64) -> Duration {
    let folder = Folder::new();
    let session = folder.session();
    let begun = Instant::now();
    let many = session
        .read_values(&[rows])
        .flat_map(udf!("many", |n: &u64| { (0..*n).map(|n| format!("{n:0>60}")).collect::<Vec<_>>() }));
    assert_eq!(many.count().unwrap(), rows);
    begun.elapsed()
}

#[test]
fn the_time_for_the_rows_of_one_input_grows_with_their_number() {
    let (few, many) = (time_of(100_000), time_of(800_000));
    assert!(
        many < 16 * few,
        "eight times the rows took {:.1} times the time",
        many.as_secs_f64() / few.as_secs_f64()
    );
}
