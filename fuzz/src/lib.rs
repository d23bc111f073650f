//! What must hold for any bytes: an answer or an error, never a panic, and what is read back is what was accepted.
//!
//! Checksums would keep a fuzzer out of everything behind them, so each body also tries its bytes with the checksums
//! put right. The bodies need no fuzzer: `tests/fuzz.rs` runs them over the corpus and random changes of it.

use std::path::Path;
use std::sync::Arc;

use rowmark_metastore::{Checkpoint, DatasetVersion, Event, Job, Record};
use rowmark_os::{Os, Simulated};
use rowmark_warehouse::{DatasetName, FileWarehouse, TableName, Warehouse};

const FRAME_HEAD_BYTES: usize = 96;
/// A segment that the footers of the corpus belong to.
const SEGMENT: &[u8] = include_bytes!("../corpus/segment/sealed");

/// Reads a table whose only segment these bytes are; if it can be resumed, what is written next can be read.
pub fn segment(bytes: &[u8]) {
    for bytes in [bytes.to_vec(), with_segment_checksums(bytes)] {
        let (warehouse, name) = table(&[("000001.seg", &bytes)]);
        read(&warehouse, &name);
        if let Ok(writer) = warehouse.resume(&name) {
            let (processed, rows_out) = (writer.processed().clone(), writer.rows_out());
            drop(writer);
            let table = warehouse.open_table(&name).expect("it was resumed").expect("it is there");
            assert_eq!((table.processed(), table.rows_out()), (&processed, rows_out));
        }
    }
}

/// Reads a sealed table whose footer these bytes are.
pub fn footer(bytes: &[u8]) {
    let mut repaired = bytes.to_vec();
    put_checksum(&mut repaired, bytes.len());
    for bytes in [bytes, &repaired] {
        let (warehouse, name) = table(&[("000001.seg", SEGMENT), ("footer", bytes)]);
        read(&warehouse, &name);
        if let Ok(Some(table)) = warehouse.open_table(&name) {
            let seal = table.seal().expect("it has a footer").clone();
            let copy = "ds_copy_1".parse().expect("it is a name");
            warehouse.copy_with_record(&name, &copy, b"other").expect("what is read can be written");
            let copy = warehouse.open_table(&copy).expect("it was copied").expect("it is there");
            let copied = copy.seal().expect("it has a footer");
            assert_eq!((copied.rows_in, &copied.failed), (seal.rows_in, &seal.failed));
            assert_eq!(copy.frames(), table.frames());
        }
    }
}

/// Decodes a metastore's record of each kind.
pub fn record(bytes: &[u8]) {
    let mut repaired = bytes.to_vec();
    if let Some(at) = bytes.len().checked_sub(4) {
        let checksum = crc32c::crc32c(&repaired[..at]);
        repaired[at..].copy_from_slice(&checksum.to_be_bytes());
    }
    for bytes in [bytes, &repaired] {
        round_trip::<Job>(bytes);
        round_trip::<Checkpoint>(bytes);
        round_trip::<DatasetVersion>(bytes);
        round_trip::<Event>(bytes);
    }
}

/// Parses the name of a table and of a dataset.
pub fn table_name(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(name) = text.parse::<TableName>() {
        assert_eq!(name.to_string(), text);
        assert!(!text.starts_with('.') && !text.contains(['/', '\\', '\0']) && text.len() <= 143);
    }
    if let Ok(name) = DatasetName::new(text) {
        assert_eq!(name.as_str(), text);
        assert!(TableName::dataset(name, 1).to_string().parse::<TableName>().is_ok());
    }
}

fn round_trip<R: Record + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    if let Ok(record) = R::from_bytes(bytes)
        && let Ok(written) = record.to_bytes()
    {
        assert_eq!(R::from_bytes(&written).expect("what was written can be read"), record);
    }
}

/// A warehouse in memory with a table of these files.
fn table(files: &[(&str, &[u8])]) -> (FileWarehouse, TableName) {
    let machine = Simulated::new();
    let warehouse = FileWarehouse::open_on(Arc::new(machine.clone()), "tables").expect("the disk is empty");
    let folder = Path::new("tables/ds_fuzzed_1");
    machine.create_folder(folder).expect("the disk is empty");
    for (name, bytes) in files {
        let mut file = machine.create_file(&folder.join(name)).expect("the folder is empty");
        file.append(bytes).expect("the disk is not full");
    }
    (warehouse, "ds_fuzzed_1".parse().expect("it is a name"))
}

fn read(warehouse: &FileWarehouse, name: &TableName) {
    let Ok(Some(table)) = warehouse.open_table(name) else { return };
    let mut rows = 0;
    for batch in table.scan() {
        let Ok(batch) = batch else { return };
        rows += batch.num_rows() as u64;
    }
    assert_eq!(rows, table.rows_out());
    for frame in table.frames() {
        let Ok(Some(_) | None) = table.digests(frame) else { return };
        let Ok(inputs) = table.inputs(frame) else { return };
        let outputs = inputs.map(|inputs| inputs.iter().map(|input| u64::from(input.outputs)).sum());
        assert_eq!(outputs.unwrap_or(frame.rows()), frame.rows());
    }
}

/// Puts the checksum of a header or footer of this length right.
fn put_checksum(bytes: &mut [u8], length: usize) {
    if length > 16 && length <= bytes.len() {
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..length]);
        bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
    }
}

/// Puts the checksums of a segment's header and frames right, as far as their lengths lead.
fn with_segment_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let number = |bytes: &[u8], at: usize, length: usize| {
        let number =
            bytes.get(at..at + length)?.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
        usize::try_from(number).ok()
    };
    let Some(header) = number(&bytes, 16, 4) else { return bytes };
    put_checksum(&mut bytes, header);
    let mut at = header;
    while let Some(payload) = number(&bytes, at.saturating_add(24), 8) {
        let end = at.saturating_add(FRAME_HEAD_BYTES).saturating_add(payload);
        if end > bytes.len() {
            break;
        }
        let checksum = crc32c::crc32c(&bytes[at + 8..end]);
        bytes[at + 4..at + 8].copy_from_slice(&checksum.to_le_bytes());
        at = end;
    }
    bytes
}
