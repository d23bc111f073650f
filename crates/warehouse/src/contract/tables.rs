//! What is done with tables as a whole.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};
use rowmark_rows::RowSchema;
use uuid::Uuid;

use super::sample::{append, code, dataset, open, range, read_all, rows_of, seal, write};
use super::{Check, Expected, assert_error};
use crate::{DatasetName, Error, Seal, TableFilter, TableName, UdfTable, Warehouse};

pub(super) const CHECKS: &[Check] = &[
    a_schema_with_a_dictionary_is_refused,
    a_renamed_table_is_the_same_table,
    a_copy_goes_on_alone,
    a_sealed_copy_may_have_a_record_of_its_own,
    an_unsealed_copy_goes_on,
    what_is_not_there_is_told,
    tables_are_listed_by_the_alphabet,
    a_dropped_table_is_gone_and_its_name_is_free,
];

fn a_schema_with_a_dictionary_is_refused(warehouse: &dyn Warehouse) {
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let inner = Field::new("b", dictionary, false);
    let column = Field::new("a", DataType::Struct(vec![inner].into()), false);
    let schema = RowSchema::from_arrow(Arc::new(Schema::new(vec![column])));
    let refused = warehouse.create(&dataset("a"), &schema, b"");
    assert_error!(refused, Error::UnsupportedColumn { field, .. } if field == "a.b");
    assert_eq!(warehouse.list(&TableFilter::All).expected(), []);
}

fn a_renamed_table_is_the_same_table(warehouse: &dyn Warehouse) {
    let (from, to) = (dataset("a"), dataset("b"));
    write(warehouse, &from, &[range(0, 5)]);
    warehouse.rename(&from, &to).expected();
    assert!(warehouse.open_table(&from).expected().is_none());
    assert_eq!(open(warehouse, &to).name(), &to);
    let mut writer = warehouse.resume(&to).expected();
    append(&mut *writer, range(5, 9), 2);
    assert_eq!(read_all(&writer.seal(seal(9)).expected()), rows_of(range(0, 9)));
    write(warehouse, &from, &[range(0, 1)]);
    assert_error!(warehouse.rename(&from, &to), Error::TableExists { table } if *table == to);
    assert_eq!(read_all(&open(warehouse, &to)), rows_of(range(0, 9)));
}

fn a_copy_goes_on_alone(warehouse: &dyn Warehouse) {
    let (from, to) = (dataset("a"), dataset("b"));
    write(warehouse, &from, &[range(0, 5), range(8, 9)]);
    warehouse.copy(&from, &to).expected();
    let mut copy = warehouse.resume(&to).expected();
    assert_eq!(copy.processed().to_string(), "0..5, 8..9");
    append(&mut *copy, range(5, 8), 2);
    let mut original = warehouse.resume(&from).expected();
    append(&mut *original, range(5, 6), 3);
    original.commit().expected();
    drop(original);
    assert_eq!(read_all(&copy.seal(seal(9)).expected()), rows_of(range(0, 9)));
    assert_eq!(open(warehouse, &from).processed().to_string(), "0..6, 8..9");
    assert_error!(warehouse.copy(&from, &to), Error::TableExists { table } if *table == to);
    assert!(warehouse.drop(&from).expected());
    assert_eq!(read_all(&open(warehouse, &to)), rows_of(range(0, 9)));
}

fn a_sealed_copy_may_have_a_record_of_its_own(warehouse: &dyn Warehouse) {
    let (from, to) = (dataset("a"), dataset("b"));
    write(warehouse, &from, &[range(0, 5)]);
    assert_error!(warehouse.copy_with_record(&from, &to, b"mine"), Error::TableNotSealed { table } if *table == from);
    assert!(warehouse.open_table(&to).expected().is_none());
    let sealed = warehouse.resume(&from).expected().seal(seal(5)).expected();
    warehouse.copy_with_record(&from, &to, b"mine").expected();
    let (original, copy) = (open(warehouse, &from), open(warehouse, &to));
    assert_eq!((original.record(), copy.record()), (&b"sealed"[..], &b"mine"[..]));
    assert_eq!((copy.frames(), read_all(&copy)), (sealed.frames(), read_all(&sealed)));
    assert_eq!(copy.seal().expected().content_hash, seal(5).content_hash);
}

fn an_unsealed_copy_goes_on(warehouse: &dyn Warehouse) {
    let (from, to) = (dataset("a"), dataset("b"));
    write(warehouse, &from, &[range(0, 4)]);
    let holes = Seal { failed: range(4, 6).into(), ..seal(6) };
    warehouse.resume(&from).expected().seal(holes).expected();
    let sealed = open(warehouse, &from);
    drop(warehouse.resume_copy(&sealed, &to, b"mine").expected());
    let copy = open(warehouse, &to);
    assert_eq!((copy.seal(), copy.record(), read_all(&copy)), (None, &b"mine"[..], rows_of(range(0, 4))));
    assert_error!(warehouse.resume_copy(&sealed, &to, b""), Error::TableExists { table } if *table == to);
    // From one that is sealed, and from one that is not.
    let third = dataset("c");
    let mut writer = warehouse.resume_copy(&copy, &third, b"its own").expected();
    assert_eq!((writer.processed().to_string(), writer.rows_out()), ("0..4".to_owned(), copy.rows_out()));
    assert_error!(warehouse.resume(&third), Error::BeingWritten { .. });
    append(&mut *writer, range(4, 6), 2);
    assert_error!(
        warehouse.resume_copy(&open(warehouse, &third), &dataset("d"), b""),
        Error::BeingWritten { .. }
    );
    assert_eq!(read_all(&writer.seal(seal(6)).expected()), rows_of(range(0, 6)));
    assert_eq!(read_all(&open(warehouse, &to)), rows_of(range(0, 4)));
    assert_eq!(read_all(&open(warehouse, &from)), rows_of(range(0, 4)));
}

fn what_is_not_there_is_told(warehouse: &dyn Warehouse) {
    let (missing, other) = (dataset("a"), dataset("b"));
    assert_error!(warehouse.resume(&missing), Error::TableMissing { table } if *table == missing);
    assert_error!(warehouse.rename(&missing, &other), Error::TableMissing { .. });
    assert_error!(warehouse.copy(&missing, &other), Error::TableMissing { .. });
    assert_error!(warehouse.copy_with_record(&missing, &other, b""), Error::TableMissing { .. });
    write(warehouse, &missing, &[range(0, 1)]);
    let gone = open(warehouse, &missing);
    assert!(warehouse.drop(&missing).expected());
    assert_error!(warehouse.resume_copy(&gone, &other, b""), Error::TableMissing { .. });
    assert!(warehouse.open_table(&missing).expected().is_none());
    assert!(!warehouse.is_sealed(&missing).expected());
    assert!(!warehouse.drop(&missing).expected());
    assert_eq!(warehouse.size_bytes(&missing).expected(), None);
    assert_eq!(warehouse.written_at(&missing).expected(), None);
    assert_eq!(warehouse.remove_leftovers().expected(), 0);
}

fn tables_are_listed_by_the_alphabet(warehouse: &dyn Warehouse) {
    let job = Uuid::from_u128(7);
    let udf = TableName::udf(job, code(3).hash(), UdfTable::OutputPartial);
    let second = TableName::dataset(DatasetName::new("a").expected(), 10);
    let names = [dataset("a"), second, dataset("ab"), dataset("b"), udf];
    for name in names.iter().rev() {
        write(warehouse, name, &[range(0, 5)]);
    }
    let list = |filter| warehouse.list(&filter).expected();
    assert_eq!(list(TableFilter::All), names);
    assert_eq!(list(TableFilter::Datasets), names[..4]);
    assert_eq!(list(TableFilter::Dataset(DatasetName::new("a").expected())), names[..2]);
    assert_eq!(list(TableFilter::Job(job)), names[4..]);
    assert_eq!(list(TableFilter::Job(Uuid::nil())), []);
    assert_eq!(list(TableFilter::Prefix("ds_a".to_owned())), names[..3]);
}

fn a_dropped_table_is_gone_and_its_name_is_free(warehouse: &dyn Warehouse) {
    let name = dataset("a");
    write(warehouse, &name, &[range(0, 5)]);
    let bytes = warehouse.size_bytes(&name).expected().expected();
    assert!(bytes > rows_of(range(0, 5)).len() as u64 * 12, "{bytes}");
    assert!(warehouse.drop(&name).expected());
    assert!(!warehouse.drop(&name).expected());
    assert!(warehouse.open_table(&name).expected().is_none());
    write(warehouse, &name, &[range(3, 4)]);
    assert_eq!(*open(warehouse, &name).processed(), range(3, 4).into());
}
