//! The input of a recorded failure is shown without calling the user's code once more.

use rowmark::prelude::*;

use crate::support::{Folder, builder};

#[rowmark::udf]
fn panics_at_1500(n: &u64) -> bool {
    assert!(*n != 1500, "1500 is not for me");
    true
}

#[test]
fn a_row_whose_filter_panics_is_recorded() {
    let folder = Folder::new();
    let session = builder(&folder.path()).on_error(OnError::Record { failures_max: 9 }).open().unwrap();
    let chain =
        session.read_records((0..3000u64).collect()).filter(panics_at_1500).map(udf!("same", |n: &u64| *n));
    assert_eq!(chain.collect().unwrap().len(), 2999);
    let failures = session.failures("same").unwrap();
    assert_eq!((failures.len(), failures[0].row, failures[0].input.as_deref()), (1, 1500, Some("1500")));
}
