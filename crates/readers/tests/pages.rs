//! Pages of Parquet files that are made to fill the memory.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::basic::{BrotliLevel, Compression, GzipLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use rowmark_readers::{ColumnarOptions, Error, ParquetSource, Source};
use rowmark_rows::{Row, RowRange};

/// Writes a file of one column of texts, one page each, in row groups of their own.
fn write_parquet(path: &Path, compression: Compression, with_dictionary: bool, texts: &[&str]) {
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_dictionary_enabled(with_dictionary)
        .set_dictionary_page_size_limit(usize::MAX)
        .set_statistics_enabled(EnabledStatistics::None)
        .build();
    let column: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
    let batch = RecordBatch::try_from_iter([("name", column)]).unwrap();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn first_error(path: &Path) -> String {
    let read = || -> Result<(), Error> {
        let source = ParquetSource::<Row>::open(path, ColumnarOptions::new())?;
        source.read(RowRange::new(0, source.rows()?))?.try_for_each(|row| row.map(drop))
    };
    read().unwrap_err().to_string()
}

#[test]
fn pages_that_would_fill_the_memory_are_refused_before_they_are_unpacked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("n.parquet");
    let large = "x".repeat(257 << 20);
    for with_dictionary in [false, true] {
        write_parquet(&path, Compression::SNAPPY, with_dictionary, &[&large]);
        let told = first_error(&path);
        let expected = "column `name` of row group 0 has a page at byte 4 that unpacks to 26948";
        let advice = "where at most 268435456 are read; write smaller pages";
        assert!(told.contains(expected) && told.ends_with(advice), "{told}");
    }
}

/// A size as a page header says it.
fn varint(size: u64) -> Vec<u8> {
    let mut number = 2 * size;
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

#[test]
fn pages_that_hold_more_than_they_say_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("n.parquet");
    // Of many pieces, so that even the strongest codec makes it no smaller than what is looked at.
    let text: String =
        (0..3_000_000_u64).map(|n| format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40)).collect();
    let codecs = [Compression::GZIP(GzipLevel::default()), Compression::BROTLI(BrotliLevel::default())];
    for codec in codecs.into_iter().chain([Compression::SNAPPY, Compression::LZ4_RAW]) {
        write_parquet(&path, codec, false, &[&text]);
        let whole = std::fs::read(&path).unwrap();
        let source = ParquetSource::<Row>::open(&path, ColumnarOptions::new()).unwrap();
        assert!(source.read(RowRange::new(0, 1)).unwrap().all(|row| row.is_ok()));
        // The header says the size of the page: the text, and a little more. A page of 2 MiB has as many bytes of size.
        let sizes = (text.len() as u64..text.len() as u64 + 64).map(varint);
        let place = sizes.filter_map(|size| whole[..64].windows(4).position(|bytes| bytes == size)).next();
        let (place, lie) = (place.unwrap(), varint(2 << 20));
        let mut lying = whole.clone();
        lying[place..place + lie.len()].copy_from_slice(&lie);
        std::fs::write(&path, &lying).unwrap();
        let told = first_error(&path);
        let is_looked_at = matches!(codec, Compression::GZIP(_) | Compression::BROTLI(_));
        let expected = if is_looked_at {
            "column `name` of row group 0 has a page at byte 4 that unpacks to more than it says"
        } else {
            "it is damaged, cut off, or not of this format"
        };
        assert!(told.contains(expected), "{codec}: {told}");
    }
}

#[test]
fn pages_that_are_longer_than_their_column_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("n.parquet");
    write_parquet(&path, Compression::UNCOMPRESSED, false, &["Bern"]);
    let whole = std::fs::read(&path).unwrap();
    // The kind of page, and then both sizes.
    let place = whole.windows(2).position(|bytes| bytes == [0x15, 0]).unwrap() + 5;
    let mut lying = whole.clone();
    lying[place] = 0x7e;
    std::fs::write(&path, &lying).unwrap();
    let told = first_error(&path);
    assert!(told.ends_with("has a page at byte 4 that is longer than the column"), "{told}");
    lying[4..12].fill(0);
    std::fs::write(&path, &lying).unwrap();
    assert!(first_error(&path).ends_with("has no page at byte 4"), "{}", first_error(&path));
}

#[test]
fn one_text_of_a_dictionary_that_stands_in_every_row_is_read_in_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("n.parquet");
    let text = "x".repeat(4 << 20);
    write_parquet(&path, Compression::SNAPPY, true, &[&*text; 300]);
    assert!(std::fs::metadata(&path).unwrap().len() < 1 << 20);
    let source = ParquetSource::<Row>::open(&path, ColumnarOptions::new()).unwrap();
    let rows = source.read(RowRange::new(0, 300)).unwrap();
    assert_eq!(rows.map(|row| row.unwrap()["name"].as_str().unwrap().len()).sum::<usize>(), 300 * text.len());
}
