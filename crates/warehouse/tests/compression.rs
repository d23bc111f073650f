//! Compressed batches: read wherever the feature is there, and named where it is not.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as tests do")]

mod support;

use rowmark_warehouse::{Error, FileWarehouse, Warehouse};
use support::{dataset, read_all, rows_of_range};

/// A copy of a fixture: a table of 40 input rows, sealed or not.
fn open(folder: &std::path::Path, sealed: bool) -> FileWarehouse {
    let warehouse = FileWarehouse::open(folder).unwrap();
    if !sealed {
        for name in ["lz4", "zstd"] {
            std::fs::remove_file(folder.join(dataset(name).to_string()).join("footer")).unwrap();
        }
    }
    warehouse
}

#[test]
fn a_compressed_table_is_read_or_the_missing_feature_is_named() {
    for sealed in [true, false] {
        let folder = support::fixture("format_v2");
        let warehouse = open(folder.path(), sealed);
        for (name, is_there) in [("lz4", cfg!(feature = "lz4")), ("zstd", cfg!(feature = "zstd"))] {
            match warehouse.open_table(&dataset(name)) {
                Ok(table) => {
                    assert!(is_there);
                    assert_eq!(read_all(&table.unwrap()), rows_of_range(support::range(0, 40)));
                }
                Err(Error::MissingFeature { feature, path }) => {
                    assert!(!is_there && feature == name);
                    assert!(path.ends_with(if sealed { "footer" } else { "000001.seg" }));
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[cfg(feature = "lz4")]
mod lz4 {
    use rowmark_warehouse::{Compression, TableWriter};

    use super::*;
    use support::{batch_of, code, files_of, range, seal, write};

    fn append(writer: &mut dyn TableWriter, start: u64, end: u64) {
        writer.append(range(start, end), code(1), &batch_of(range(start, end))).unwrap();
    }

    #[test]
    fn a_table_may_hold_batches_of_several_kinds() {
        let (folder, plain) = support::open();
        let compressed = plain.clone().with_compression(Compression::Lz4);
        let name = dataset("a");
        write(&plain, &name, &[range(0, 3_000)]);
        let mut writer = compressed.resume(&name).unwrap();
        append(&mut *writer, 3_000, 6_000);
        drop({
            writer.commit().unwrap();
            writer
        });
        let mut writer = plain.resume(&name).unwrap();
        append(&mut *writer, 6_000, 9_000);
        let table = writer.seal(seal(9_000)).unwrap();
        assert_eq!(read_all(&table), rows_of_range(range(0, 9_000)));
        compressed.copy_with_record(&name, &dataset("b"), b"mine").unwrap();

        for table in ["a", "b"] {
            let files = files_of(folder.path(), &dataset(table));
            let heads: Vec<Vec<u8>> =
                files.iter().map(|file| std::fs::read(file).unwrap()[8..12].to_vec()).collect();
            // Each file says what is in it, and the footer what is in any of them.
            assert_eq!(heads, [[1, 0, 0, 0], [2, 0, 2, 0], [1, 0, 0, 0], [2, 0, 2, 0]]);
            let bytes = |file: usize| files[file].metadata().unwrap().len();
            assert!(bytes(1) * 3 < bytes(0) * 2, "{} {}", bytes(1), bytes(0));
        }
    }

    #[test]
    fn a_flipped_byte_in_a_compressed_batch_is_found() {
        let (folder, warehouse) = support::open();
        let warehouse = warehouse.with_compression(Compression::Lz4);
        write(&warehouse, &dataset("a"), &[range(0, 300), range(300, 301)]);
        let file = &files_of(folder.path(), &dataset("a"))[0];
        let mut bytes = std::fs::read(file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        std::fs::write(file, bytes).unwrap();
        assert!(matches!(warehouse.open_table(&dataset("a")), Err(Error::Damaged { .. })));
    }
}
