//! Every byte of a small table flipped, and every file cut at every length.
//!
//! Whatever is done to the files, the answer is an error that names the file, or the rows that were
//! committed, less a dropped tail that is told. It is never other rows and never a panic.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as tests do")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use rowmark_rows::RowRange;
use rowmark_warehouse::{Damage, Error, Table, TableName, Warehouse};
use support::{Row, append, check_inputs, code, dataset, files_of, open, range, rows_of_range, schema, seal};

/// Two segments: commits of one, two and one batch, then of one and two.
const COMMITS: [&[(u64, u64)]; 5] =
    [&[(0, 4)], &[(4, 6), (6, 7)], &[(9, 12)], &[(12, 15)], &[(7, 9), (15, 17)]];
const SECOND_SEGMENT_FROM: usize = 3;

fn build(warehouse: &dyn Warehouse, name: &TableName) {
    let mut writer = warehouse.create_with_inputs(name, &schema(), b"record").unwrap();
    for (index, commit) in COMMITS.iter().enumerate() {
        if index == SECOND_SEGMENT_FROM {
            drop(writer);
            writer = warehouse.resume(name).unwrap();
        }
        for (start, end) in *commit {
            append(&mut *writer, range(*start, *end), code(1)).unwrap();
        }
        writer.commit().unwrap();
    }
}

fn all_ranges() -> Vec<RowRange> {
    let mut ranges: Vec<RowRange> = COMMITS.concat().iter().map(|(start, end)| range(*start, *end)).collect();
    ranges.sort();
    ranges
}

/// Reads a table's rows, or the first error on the way.
fn read(warehouse: &dyn Warehouse, name: &TableName) -> Result<(Table, Vec<Row>), Error> {
    let table = warehouse.open_table(name)?.expect("the folder is there");
    check_inputs(&table)?;
    let mut rows = Vec::new();
    for batch in table.scan() {
        rows.extend(schema().decode::<Row>(&batch?).unwrap());
    }
    Ok((table, rows))
}

/// The path that an error names.
fn named(error: &Error) -> &Path {
    match error {
        Error::Damaged { path, .. } => path,
        other => panic!("{other}"),
    }
}

/// Checks that the rows are those of the batches, and answers the missing batches.
fn missing(table: &Table, rows: &[Row]) -> Vec<RowRange> {
    let kept: Vec<RowRange> = table.frames().iter().map(rowmark_warehouse::Frame::range).collect();
    let expected: Vec<Row> = kept.iter().flat_map(|range| rows_of_range(*range)).collect();
    assert_eq!(rows, expected);
    assert!(kept.iter().all(|range| all_ranges().contains(range)));
    all_ranges().into_iter().filter(|range| !kept.contains(range)).collect()
}

/// Runs `check` on each variant of each file, and puts the file right again.
fn for_each_damage(
    files: &[PathBuf],
    variants: impl Fn(&[u8]) -> Vec<Vec<u8>>,
    mut check: impl FnMut(&Path, &[u8], &[u8]),
) {
    for file in files {
        let original = fs::read(file).unwrap();
        for damaged in variants(&original) {
            fs::write(file, &damaged).unwrap();
            check(file, &original, &damaged);
        }
        fs::write(file, &original).unwrap();
    }
}

/// One bit of each byte, another one for each.
fn flips(original: &[u8]) -> Vec<Vec<u8>> {
    let flip = |index: usize| {
        let mut damaged = original.to_vec();
        damaged[index] ^= 1 << (index % 8);
        damaged
    };
    (0..original.len()).map(flip).collect()
}

fn cuts(original: &[u8]) -> Vec<Vec<u8>> {
    (0..original.len()).map(|length| original[..length].to_vec()).collect()
}

#[test]
fn every_flipped_byte_of_an_open_table_is_found() {
    let (folder, warehouse) = open();
    let name = dataset("a");
    build(&warehouse, &name);
    let files = files_of(folder.path(), &name);
    let (mut errors, mut dropped) = (0, 0);
    for_each_damage(&files, flips, |file, _, _| match read(&warehouse, &name) {
        Err(error) => {
            assert_eq!(named(&error), file);
            errors += 1;
        }
        Ok((table, rows)) => {
            // Only the last commit of the newest segment has no witness.
            let missing = missing(&table, &rows);
            assert!(missing == [range(7, 9), range(15, 17)] || missing == [range(15, 17)], "{missing:?}");
            assert_eq!(table.dropped_tail().unwrap().path, file);
            assert_eq!(file, files[1]);
            dropped += 1;
        }
    });
    assert!(errors > 1_000 && dropped > 100, "{errors} {dropped}");
}

#[test]
fn every_cut_of_an_open_table_is_found_or_repaired() {
    let (folder, warehouse) = open();
    let name = dataset("a");
    build(&warehouse, &name);
    let files = files_of(folder.path(), &name);
    let boundaries: Vec<u64> = {
        // Where frames end, from what a cut says it has dropped.
        let original = fs::read(&files[1]).unwrap();
        let mut boundaries = Vec::new();
        for length in 0..original.len() {
            fs::write(&files[1], &original[..length]).unwrap();
            let table = warehouse.open_table(&name).ok().flatten();
            boundaries.extend(table.and_then(|table| table.dropped_tail().map(|tail| tail.offset)));
        }
        boundaries.dedup();
        fs::write(&files[1], &original).unwrap();
        boundaries
    };
    assert_eq!(boundaries.len(), 3);

    for_each_damage(&files, cuts, |file, _, damaged| {
        let is_newest = file == files[1];
        match read(&warehouse, &name) {
            Err(error) => {
                assert_eq!(named(&error), file);
                assert!(!is_newest || (damaged.len() as u64) < boundaries[0], "{error}");
            }
            Ok((table, rows)) => {
                assert!(is_newest);
                assert!(!missing(&table, &rows).is_empty());
                // A cut between two frames leaves nothing that could be told.
                let is_told = !boundaries.contains(&(damaged.len() as u64));
                assert_eq!(table.dropped_tail().is_some(), is_told, "{}", damaged.len());
            }
        }
    });
}

#[test]
fn every_flipped_byte_of_a_sealed_table_is_found() {
    let (folder, warehouse) = open();
    let name = dataset("a");
    build(&warehouse, &name);
    let sealed = warehouse.resume(&name).unwrap().seal(seal(17)).unwrap();
    let files = files_of(folder.path(), &name);
    assert_eq!(files.len(), 3);
    let (mut errors, mut harmless) = (0, 0);
    for_each_damage(&files, flips, |file, _, _| match read(&warehouse, &name) {
        Err(error) => {
            assert_eq!(named(&error), file);
            errors += 1;
        }
        // A header of a sealed table is not needed.
        Ok((table, rows)) => {
            assert_eq!(rows, rows_of_range(range(0, 17)));
            assert_eq!((table.seal(), table.codes()), (sealed.seal(), sealed.codes()));
            harmless += 1;
        }
    });
    assert!(errors > 1_000 && harmless > 100, "{errors} {harmless}");
}

#[test]
fn every_cut_of_a_sealed_table_is_found() {
    let (folder, warehouse) = open();
    let name = dataset("a");
    build(&warehouse, &name);
    warehouse.resume(&name).unwrap().seal(seal(17)).unwrap();
    for_each_damage(&files_of(folder.path(), &name), cuts, |file, _, _| {
        let error = warehouse.open_table(&name).unwrap_err();
        assert_eq!(named(&error), file);
    });
}

#[test]
fn a_table_with_a_torn_tail_is_continued() {
    let (folder, warehouse) = open();
    let name = dataset("a");
    build(&warehouse, &name);
    let newest = files_of(folder.path(), &name)[1].clone();
    let original = fs::read(&newest).unwrap();
    let mut continued = 0;
    for length in (0..original.len()).step_by(101) {
        fs::write(&newest, &original[..length]).unwrap();
        let copy = dataset("b");
        warehouse.copy(&name, &copy).unwrap();
        let Ok(mut writer) = warehouse.resume(&copy) else {
            warehouse.drop(&copy).unwrap();
            continue;
        };
        for missing in writer.processed().missing_in(range(0, 17)) {
            append(&mut *writer, missing, code(2)).unwrap();
        }
        writer.commit().unwrap();
        drop(writer);
        // The tail stays dropped, and is damage to nobody.
        let (table, rows) = read(&warehouse, &copy).unwrap();
        assert_eq!((rows, table.dropped_tail()), (rows_of_range(range(0, 17)), None));
        let table = warehouse.resume(&copy).unwrap().seal(seal(17)).unwrap();
        assert_eq!(support::read_all(&table), rows_of_range(range(0, 17)));
        warehouse.drop(&copy).unwrap();
        continued += 1;
    }
    assert!(continued > 5, "{continued}");
    assert_eq!(fs::read(&newest).unwrap().len(), (original.len() - 1) / 101 * 101);
}

#[test]
fn what_looks_like_a_frame_and_is_none_is_not_read() {
    let (folder, warehouse) = open();
    let name = dataset("a");
    build(&warehouse, &name);
    let newest = &files_of(folder.path(), &name)[1];
    let original = fs::read(newest).unwrap();
    let tails: [Vec<u8>; 4] = [
        vec![0; 4096],
        vec![0xff; 100],
        // The whole segment once more, with all of its frames.
        original.clone(),
        original.iter().rev().copied().collect(),
    ];
    for tail in tails {
        fs::write(newest, [&original[..], &tail].concat()).unwrap();
        let (table, rows) = read(&warehouse, &name).unwrap();
        assert!(missing(&table, &rows).is_empty());
        let dropped = table.dropped_tail().unwrap();
        assert_eq!((dropped.offset, dropped.bytes), (original.len() as u64, tail.len() as u64));
    }
}

#[test]
fn rows_that_hold_a_segment_do_not_vouch_for_it() {
    let (folder, warehouse) = open();
    let (outer, schema) = (dataset("outer"), rowmark_rows::RowSchema::of::<Vec<u8>>().unwrap());
    build(&warehouse, &dataset("inner"));
    let segment = fs::read(&files_of(folder.path(), &dataset("inner"))[0]).unwrap();
    let mut writer = warehouse.create(&outer, &schema, b"").unwrap();
    writer.append(range(0, 1), code(1), &schema.encode(&[segment]).unwrap()).unwrap();
    writer.commit().unwrap();
    drop(writer);
    let file = &files_of(folder.path(), &outer)[0];
    let mut bytes = fs::read(file).unwrap();
    let header = u32::from_le_bytes(bytes[16..20].try_into().unwrap()) as usize;
    bytes[header + 20] ^= 1;
    fs::write(file, &bytes).unwrap();
    let table = warehouse.open_table(&outer).unwrap().unwrap();
    assert_eq!(table.dropped_tail().unwrap().offset, header as u64);
}

#[test]
fn missing_foreign_and_swapped_segments_are_named() {
    let (folder, warehouse) = open();
    let name = dataset("a");
    let damage = |change: &dyn Fn(&[PathBuf])| {
        warehouse.drop(&name).unwrap();
        build(&warehouse, &name);
        change(&files_of(folder.path(), &name));
        match warehouse.open_table(&name).unwrap_err() {
            Error::Damaged { damage, .. } => damage,
            other => panic!("{other}"),
        }
    };
    let removed = damage(&|files| fs::remove_file(&files[0]).unwrap());
    assert!(matches!(removed, Damage::MissingSegment { number: 1 }), "{removed}");
    let swapped = damage(&|files| {
        fs::copy(&files[1], &files[0]).unwrap();
    });
    assert!(matches!(swapped, Damage::ForeignSegment { number: 1 }), "{swapped}");
    build(&warehouse, &dataset("b"));
    let foreign = damage(&|files| {
        fs::copy(&files_of(folder.path(), &dataset("b"))[0], &files[0]).unwrap();
    });
    assert!(matches!(foreign, Damage::ForeignSegment { number: 1 }), "{foreign}");
    let emptied = damage(&|files| files.iter().for_each(|file| fs::remove_file(file).unwrap()));
    assert!(matches!(emptied, Damage::MissingSegment { number: 1 }), "{emptied}");
}

#[test]
fn an_error_says_which_file_where_and_what() {
    let (folder, warehouse) = open();
    let name = dataset("a");
    build(&warehouse, &name);
    let file = &files_of(folder.path(), &name)[0];
    let mut bytes = fs::read(file).unwrap();
    let header = u32::from_le_bytes(bytes[16..20].try_into().unwrap()) as usize;
    bytes[header + 200] ^= 4;
    fs::write(file, &bytes).unwrap();
    let error = warehouse.open_table(&name).unwrap_err();
    let expected =
        format!("{} is damaged at byte {header}; drop the table and compute it again", file.display());
    assert_eq!(error.to_string(), expected);
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(source, "a frame is broken that was committed before segment 2 was written");

    bytes[header + 200] ^= 4;
    bytes[8] = 4;
    fs::write(file, &bytes).unwrap();
    let error = warehouse.open_table(&name).unwrap_err();
    assert!(
        matches!(error, Error::Damaged { .. }),
        "a version that the checksum does not know is none: {error}"
    );
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..header]);
    bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
    fs::write(file, &bytes).unwrap();
    let error = warehouse.open_table(&name).unwrap_err().to_string();
    assert!(
        error.ends_with("has format version 4, and this program knows versions up to 3; use a newer rowmark")
    );
}

#[test]
fn damage_to_a_large_segment_is_found_by_whichever_thread_looks_at_it() {
    const FRAMES: u64 = 44;
    let schema = rowmark_rows::RowSchema::of::<String>().unwrap();
    let (folder, warehouse) = open();
    let name = dataset("a");
    let mut writer = warehouse.create(&name, &schema, b"").unwrap();
    for frame in 0..FRAMES {
        let text = frame.to_string().repeat(1 << 20);
        writer.append(range(frame, frame + 1), code(1), &schema.encode(&[text]).unwrap()).unwrap();
    }
    writer.commit().unwrap();
    drop(writer);
    let file = &files_of(folder.path(), &name)[0];
    let whole = warehouse.open_table(&name).unwrap().unwrap();
    assert_eq!((whole.processed().rows(), whole.dropped_tail()), (FRAMES, None));
    let bytes = fs::read(file).unwrap();
    for frame in [0, 1, FRAMES / 2 - 1, FRAMES / 2, FRAMES - 2, FRAMES - 1] {
        let mut damaged = bytes.clone();
        // A byte of the frame's text, and one of the one behind it, which must not be what is told.
        let texts = [frame, frame + 1].map(|frame| frame.to_string().repeat(1000));
        for text in texts {
            if let Some(place) = bytes.windows(1000).position(|bytes| *bytes == text.as_bytes()[..1000]) {
                damaged[place + 500] ^= 1;
            }
        }
        fs::write(file, &damaged).unwrap();
        match warehouse.open_table(&name) {
            Ok(Some(table)) => assert_eq!(table.processed().rows(), frame, "a tail that was not committed"),
            Ok(None) => panic!("the table is there"),
            Err(Error::Damaged { offset, .. }) => {
                let place =
                    damaged.iter().zip(&bytes).position(|(damaged, byte)| damaged != byte).unwrap() as u64;
                assert!(offset < place && place - offset < 2 << 20, "frame {frame}: {offset}, {place}");
            }
            Err(other) => panic!("{other}"),
        }
    }
}
