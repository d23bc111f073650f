//! What is kept of a fold, and what a row in memory is.

use std::time::Duration;

use rowmark::prelude::*;
use rowmark::warehouse::TableFilter;

use crate::support::Folder;

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
