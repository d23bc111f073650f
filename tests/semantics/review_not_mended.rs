//! Findings that are proven here and not mended.

use std::time::Duration;

use rowmark::prelude::*;
use rowmark::warehouse::TableFilter;
use serde::Serializer;

use crate::support::{Calls, Folder, builder};

#[test]
fn a_fold_keeps_one_state_when_it_is_finished() {
    let folder = Folder::new();
    let session = folder.session();
    let state: Vec<u64> = vec![0; 20_000];
    let fold = session.read_records((0..400u64).collect()).fold(
        state,
        udf!("slow histogram", |state: &mut Vec<u64>, n: &u64| {
            std::thread::sleep(Duration::from_millis(5));
            state[*n as usize] += 1;
        }),
    );
    fold.collect().unwrap();
    let warehouse = session.warehouse();
    let tables = warehouse.list(&TableFilter::All).unwrap();
    let bytes: u64 = tables.iter().map(|table| warehouse.size_bytes(table).unwrap().unwrap()).sum();
    assert!(bytes < 1 << 20, "{bytes} bytes for a state of 160 000");
}

/// A value of which one cannot be written, as there are in types of other crates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Odd {
    #[serde(serialize_with = "but_700")]
    value: u64,
}

fn but_700<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    if *value == 700 {
        return Err(serde::ser::Error::custom("700 cannot be written"));
    }
    serializer.serialize_u64(*value)
}

#[test]
fn neighbours_of_a_row_that_cannot_be_encoded_are_saved() {
    static CALLS: Calls = Calls::new();
    let folder = Folder::new();
    let run = || {
        let chain =
            folder.session_in_order().read_records((0..1000u64).collect()).map(udf!("odd", |n: &u64| {
                CALLS.count(*n);
                Odd { value: *n }
            }));
        chain.collect().unwrap_err();
        CALLS.take()
    };
    run();
    let again = run();
    assert!(again.range(..700).next().is_none(), "rows before it were done and saved: {}", again.len());
}

#[test]
fn a_row_that_cannot_be_encoded_is_recorded() {
    let folder = Folder::new();
    let session = builder(&folder.path()).on_error(OnError::Record { failures_max: 9 }).open().unwrap();
    let rows = session.read_records((0..1000u64).collect());
    let chain = rows.map(udf!("odd one", |n: &u64| Odd { value: *n }));
    assert_eq!(chain.collect().unwrap().len(), 999);
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Hidden {
    id: u64,
    #[serde(skip)]
    factor: u64,
}

#[test]
fn what_a_udf_sees_of_a_row_is_what_the_row_is_known_by() {
    let folder = Folder::new();
    let run = |factor: u64| {
        let rows = folder.session().read_values(&[Hidden { id: 1, factor }]);
        rows.map(udf!("times", |row: &Hidden| row.id * row.factor)).collect().unwrap()
    };
    let (two, three) = (run(2), run(3));
    assert!(two != three || two == [0], "the second is the stored row of the first: {two:?}, {three:?}");
}
