//! Tables as values of a type.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::error::Error as _;
use std::num::NonZeroUsize;

use rowmark_warehouse::{DatasetName, Error, MemoryWarehouse, TableName, Warehouse, insert_rows};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
struct Person {
    name: String,
    age: Option<u8>,
}

#[derive(Serialize, Deserialize, Debug)]
struct Aged {
    name: String,
    age: Option<u16>,
}

#[derive(Serialize, Deserialize)]
struct Account {
    id: u64,
    balance: i128,
}

fn people(count: usize) -> impl Iterator<Item = Person> {
    (0..count).map(|number| Person { name: number.to_string(), age: u8::try_from(number).ok() })
}

fn name() -> TableName {
    TableName::dataset(DatasetName::new("people").unwrap(), 1)
}

const BATCH_ROWS: NonZeroUsize = NonZeroUsize::new(100).unwrap();

#[test]
fn rows_are_loaded_batch_by_batch_and_an_interrupted_load_goes_on() {
    let warehouse = MemoryWarehouse::new();
    let mut told = Vec::new();
    let rows = insert_rows(&warehouse, &name(), people(250), BATCH_ROWS, |rows| told.push(rows)).unwrap();
    assert_eq!((rows, told), (250, vec![100, 200, 250]));
    let rows = insert_rows(&warehouse, &name(), people(300).skip(250), BATCH_ROWS, |_| {}).unwrap();
    assert_eq!(rows, 300);
    let table = warehouse.open_table(&name()).unwrap().unwrap();
    let read: Vec<Person> = table.rows().unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(read, people(300).collect::<Vec<_>>());
    assert_eq!(table.frames().len(), 4);
}

#[test]
fn nothing_loaded_is_an_empty_table() {
    let warehouse = MemoryWarehouse::new();
    assert_eq!(insert_rows(&warehouse, &name(), people(0), BATCH_ROWS, |_| {}).unwrap(), 0);
    let table = warehouse.open_table(&name()).unwrap().unwrap();
    assert_eq!(table.rows::<Person>().unwrap().count(), 0);
}

#[test]
fn a_type_that_cannot_be_stored_is_an_error_with_the_field() {
    let rows = [Account { id: 1, balance: 2 }];
    let error = insert_rows(&MemoryWarehouse::new(), &name(), rows, BATCH_ROWS, |_| {}).unwrap_err();
    assert_eq!(error.to_string(), "cannot convert rows of table ds_people_1");
    let cause = error.source().unwrap().to_string();
    assert!(cause.contains("field balance is a 128-bit integer"), "{cause}");
}

#[test]
fn another_type_is_an_error_with_the_first_difference() {
    let warehouse = MemoryWarehouse::new();
    insert_rows(&warehouse, &name(), people(3), BATCH_ROWS, |_| {}).unwrap();
    let table = warehouse.open_table(&name()).unwrap().unwrap();
    let error = table.rows::<Aged>().unwrap_err().to_string();
    assert_eq!(
        error,
        "the rows of table ds_people_1 are of another type: field age is expected to be u16? and found to be u8?"
    );
    let other = [Aged { name: String::new(), age: None }];
    let refused = insert_rows(&warehouse, &name(), other, BATCH_ROWS, |_| {});
    assert!(matches!(refused, Err(Error::SchemaMismatch { .. })), "{refused:?}");
}
