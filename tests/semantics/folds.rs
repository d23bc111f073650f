//! A fold whose state is large.

use rowmark::prelude::*;
use rowmark::warehouse::TableFilter;

use crate::support::{FailAt, Folder};

fn bytes_stored(session: &Session) -> u64 {
    let warehouse = session.warehouse();
    let tables = warehouse.list(&TableFilter::All).unwrap();
    tables.iter().map(|table| warehouse.size_bytes(table).unwrap().unwrap()).sum()
}

#[test]
fn a_row_that_fails_does_not_make_a_fold_store_its_state_again_and_again() {
    static FAIL_AT: FailAt = FailAt::never();
    let folder = Folder::new();
    let session = folder.session();
    FAIL_AT.set(20_000);
    let state: Vec<u64> = vec![0; 20_000];
    let fold = session.read_records((0..40_000u64).collect()).fold(
        state,
        udf!("histogram", |state: &mut Vec<u64>, n: &u64| {
            FAIL_AT.check(*n)?;
            state[*n as usize % 20_000] += 1;
            Ok::<_, String>(())
        }),
    );
    fold.collect().unwrap_err();
    let bytes = bytes_stored(&session);
    assert!(bytes < 20 << 20, "{bytes} bytes for a state of 160 000");
}
