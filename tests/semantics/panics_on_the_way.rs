//! A filter that panics ends a reading of rows with an error, not as if there were no more.

use crate::support::Folder;

#[rowmark::udf]
fn panics_at_1500(n: &u64) -> bool {
    assert!(*n != 1500, "1500 is not for me");
    true
}

#[test]
fn iter_ends_with_an_error_where_a_filter_panics() {
    let folder = Folder::new();
    let session = folder.session();
    let chain = session.read_records((0..3000u64).collect()).filter(panics_at_1500);
    let last = chain.iter().unwrap().last().unwrap();
    let error = last.expect_err("rows that end early are no result");
    assert!(error.to_string().contains("row 1500"), "{error}");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("1500 is not for me"), "{cause}");
}

#[test]
fn a_file_is_not_replaced_by_rows_that_end_where_a_filter_panics() {
    let folder = Folder::new();
    let session = folder.session();
    let file = folder.path().with_extension("jsonl");
    std::fs::write(&file, "as it was").unwrap();
    let chain = session.read_records((0..3000u64).collect()).filter(panics_at_1500);
    chain.write_jsonl(&file).unwrap_err();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "as it was");
}
