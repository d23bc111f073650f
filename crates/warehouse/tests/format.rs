//! The bytes on disk, read by a second implementation that knows `docs/format.md` and nothing else.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as tests do")]

mod support;

use std::fs;

use arrow_ipc::reader::StreamReader;
use rowmark_warehouse::Warehouse;
use support::{Row, append, batch_of, code, dataset, files_of, open, range, rows_of_range, schema, seal};

/// CRC-32C, bit by bit.
fn crc(bytes: impl IntoIterator<Item = u8>) -> u32 {
    !bytes.into_iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: u64) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count as usize);
        self.0 = rest;
        taken
    }

    fn number(&mut self, bytes: u64) -> u64 {
        self.bytes(bytes).iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    fn counted(&mut self) -> &'a [u8] {
        let count = self.number(4);
        self.bytes(count)
    }
}

struct FrameRead {
    offset: u64,
    identity: u64,
    payload: Vec<u8>,
    payload_bytes: u64,
    /// The digest of the inputs, the rows before the first chunk, and the digests of chunks.
    digests: Digests,
    /// What is told of the input rows: hashes and numbers of outputs.
    inputs: Inputs,
    durable: u64,
    range: (u64, u64),
    rows: u64,
    code: Vec<u8>,
}

struct SegmentRead {
    number: u64,
    identity: u64,
    predecessor: (u64, u64, u64),
    schema: Vec<u8>,
    record: Vec<u8>,
    header_bytes: u64,
    frames: Vec<FrameRead>,
}

fn read_segment(file: &[u8]) -> SegmentRead {
    let mut reader = Reader(file);
    assert_eq!(reader.bytes(8), b"\x89RMSEG\r\n");
    let version_and_flags = (reader.number(2), reader.number(2));
    assert!([(1, 0), (3, 8)].contains(&version_and_flags));
    let stored_crc = reader.number(4);
    let header_bytes = reader.number(4);
    assert_eq!(header_bytes % 64, 0);
    let header = &file[..header_bytes as usize];
    assert_eq!(u64::from(crc(header[..12].iter().chain(&header[16..]).copied())), stored_crc);
    let (number, identity) = (reader.number(4), reader.number(8));
    let predecessor = (reader.number(8), reader.number(8), reader.number(8));
    let (schema_bytes, record_bytes) = (reader.number(4), reader.number(4));
    let (schema, record) = (reader.bytes(schema_bytes).to_vec(), reader.bytes(record_bytes).to_vec());
    let padding = header_bytes - 64 - schema_bytes - record_bytes;
    assert!(padding < 64 && reader.bytes(padding).iter().all(|byte| *byte == 0));

    let mut frames = Vec::new();
    while !reader.0.is_empty() {
        let offset = (file.len() - reader.0.len()) as u64;
        let marker = reader.bytes(4);
        assert!(marker == b"RMFR" || (marker == b"RMFI" && version_and_flags == (3, 8)));
        let stored_crc = reader.number(4);
        let from = reader.0;
        assert_eq!(reader.number(8), offset);
        let identity = reader.number(8);
        let (payload_bytes, durable) = (reader.number(8), reader.number(8));
        let range = (reader.number(8), reader.number(8));
        let (rows, code) = (reader.number(8), reader.bytes(32).to_vec());
        let payload = reader.bytes(payload_bytes);
        let (mut digests, mut inputs, mut payload) = (None, None, payload);
        if marker == b"RMFI" {
            (digests, payload) = read_digests(payload);
            (inputs, payload) = read_inputs(payload, range);
        }
        let checked = &from[..from.len() - reader.0.len()];
        assert_eq!(u64::from(crc(checked.iter().copied())), stored_crc);
        let payload = payload.to_vec();
        frames.push(FrameRead {
            offset,
            identity,
            payload,
            digests,
            inputs,
            payload_bytes,
            durable,
            range,
            rows,
            code,
        });
    }
    SegmentRead { number, identity, predecessor, schema, record, header_bytes, frames }
}

type Inputs = Option<(Vec<Vec<u8>>, Vec<u64>)>;

type Digests = Option<(Option<Vec<u8>>, u64, Vec<Vec<u8>>)>;

/// The digests, and the rest of the payload.
fn read_digests(payload: &[u8]) -> (Digests, &[u8]) {
    let mut reader = Reader(payload);
    let (stored_crc, rows_before, flags, chunks) =
        (reader.number(4), reader.number(2), reader.number(2), reader.number(8));
    let inputs = (flags == 1).then(|| reader.bytes(32).to_vec());
    let chunks = (0..chunks).map(|_| reader.bytes(32).to_vec()).collect();
    let section = &payload[..payload.len() - reader.0.len()];
    assert_eq!(u64::from(crc(section[4..].iter().copied())), stored_crc);
    (Some((inputs, rows_before, chunks)), reader.0)
}

/// What is told of the input rows, and the rest of the payload.
fn read_inputs(payload: &[u8], range: (u64, u64)) -> (Inputs, &[u8]) {
    let mut reader = Reader(payload);
    let (stored_crc, form) = (reader.number(4), reader.number(4));
    let rows = range.0..range.1;
    let hashes = rows.clone().map(|_| reader.bytes(24).to_vec()).collect();
    let outputs = rows.map(|_| if form == 2 { reader.number(4) } else { 1 }).collect();
    while !(payload.len() - reader.0.len()).is_multiple_of(8) {
        assert_eq!(reader.number(1), 0);
    }
    let section = &payload[..payload.len() - reader.0.len()];
    assert_eq!(u64::from(crc(section[4..].iter().copied())), stored_crc);
    (Some((hashes, outputs)), reader.0)
}

/// Reads a segment's schema and payloads as the Arrow stream that they are.
fn read_rows(segment: &SegmentRead) -> Vec<Row> {
    let mut stream = segment.schema.clone();
    segment.frames.iter().for_each(|frame| stream.extend(&frame.payload));
    let reader = StreamReader::try_new(&stream[..], None).unwrap();
    reader.flat_map(|batch| schema().decode::<Row>(&batch.unwrap()).unwrap()).collect()
}

#[test]
fn the_checksum_is_the_one_of_the_rfc() {
    // RFC 3720, B.4: 32 bytes of zeros, of ones, and ascending.
    assert_eq!(crc([0; 32]), 0x8a91_36aa);
    assert_eq!(crc([0xff; 32]), 0x62a8_ab43);
    assert_eq!(crc(0..32), 0x46dd_794e);
}

#[test]
fn segments_and_footer_are_as_the_page_draws_them() {
    let (folder, warehouse) = open();
    let name = dataset("a");
    let mut writer = warehouse.create(&name, &schema(), b"first").unwrap();
    writer.append(range(2, 5), code(1), &batch_of(range(2, 5))).unwrap();
    writer.commit().unwrap();
    writer.append(range(0, 1), code(1), &batch_of(range(0, 1))).unwrap();
    writer.append(range(5, 9), code(2), &batch_of(range(5, 9))).unwrap();
    writer.commit().unwrap();
    drop(writer);
    let mut writer = warehouse.resume(&name).unwrap();
    writer.set_record(b"second").unwrap();
    writer.append(range(1, 2), code(2), &batch_of(range(1, 2))).unwrap();
    writer.seal(seal(9)).unwrap();

    let files: Vec<Vec<u8>> =
        files_of(folder.path(), &name).iter().map(|file| fs::read(file).unwrap()).collect();
    let (first, second) = (read_segment(&files[0]), read_segment(&files[1]));
    assert_eq!((first.number, first.predecessor, &first.record[..]), (1, (0, 0, 0), &b"first"[..]));
    let predecessor = (1, files[0].len() as u64, first.identity);
    assert_eq!((second.number, second.predecessor, &second.record[..]), (2, predecessor, &b"second"[..]));
    assert_ne!(first.identity, second.identity);
    assert_eq!(first.schema, second.schema);

    let [a, b, c] = &first.frames[..] else { panic!("three frames") };
    assert_eq!((a.offset, a.durable, a.range, a.rows), (first.header_bytes, first.header_bytes, (2, 5), 3));
    assert_eq!((b.durable, b.range, b.rows, b.payload.len()), (b.offset, (0, 1), 0, 0));
    assert_eq!((c.durable, c.range), (b.offset, (5, 9)));
    assert_eq!((&a.code[..], &c.code[..]), (&[1; 32][..], &[2; 32][..]));
    assert!(first.frames.iter().all(|frame| frame.identity == first.identity));
    assert_eq!(read_rows(&first), [rows_of_range(range(2, 5)), rows_of_range(range(5, 9))].concat());
    assert_eq!(read_rows(&second), rows_of_range(range(1, 2)));

    let footer = &files[2];
    let mut reader = Reader(footer);
    assert_eq!(reader.bytes(8), b"\x89RMEND\r\n");
    assert_eq!((reader.number(2), reader.number(2)), (1, 0));
    assert_eq!(reader.number(4), u64::from(crc(footer[..12].iter().chain(&footer[16..]).copied())));
    assert_eq!(reader.number(8), footer.len() as u64);
    assert_eq!((reader.counted(), reader.counted()), (&first.schema[..], &b"sealed"[..]));
    let rows: u64 = rows_of_range(range(0, 9)).len() as u64;
    assert_eq!((reader.number(8), reader.number(8), reader.bytes(32)), (9, rows, &[9; 32][..]));
    assert_eq!(reader.number(4), 2);
    for (number, (segment, file)) in (1..).zip([(&first, &files[0]), (&second, &files[1])]) {
        let listed = (reader.number(4), reader.number(8), reader.number(8));
        assert_eq!(listed, (number, segment.identity, file.len() as u64));
    }
    assert_eq!(reader.number(4), 2);
    assert_eq!((reader.bytes(32), reader.number(8)), (&[1; 32][..], a.rows + b.rows));
    assert_eq!((reader.bytes(32), reader.number(8)), (&[2; 32][..], c.rows + second.frames[0].rows));
    assert_eq!(reader.number(4), 4);
    for (frame, segment, code) in [(b, 0, 0), (&second.frames[0], 1, 1), (a, 0, 0), (c, 0, 1)] {
        assert_eq!((reader.number(8), reader.number(8)), (frame.offset, frame.payload_bytes));
        assert_eq!(
            (reader.number(8), reader.number(8), reader.number(8)),
            (frame.range.0, frame.range.1, frame.rows)
        );
        assert_eq!((reader.number(4), reader.number(4)), (segment, code));
    }
    assert!(reader.0.is_empty());
}

#[test]
fn inputs_are_as_the_page_draws_them() {
    let (folder, warehouse) = open();
    let name = dataset("a");
    let mut writer = warehouse.create_with_inputs(&name, &schema(), b"first").unwrap();
    for (start, end) in [(4, 7), (10, 11), (1, 4)] {
        append(&mut *writer, range(start, end), code(1)).unwrap();
    }
    writer.commit().unwrap();
    let segment = read_segment(&fs::read(&files_of(folder.path(), &name)[0]).unwrap());
    let [a, b, c] = &segment.frames[..] else { panic!("three frames") };
    // One row gave one, one none, and one was left out; then one gave one; and of the others nothing is told.
    let hashes = |bytes: &[u8]| bytes.iter().map(|byte| vec![*byte; 24]).collect::<Vec<_>>();
    assert_eq!(a.inputs, Some((hashes(&[5, 6, 0]), vec![1, 2, 0])));
    assert_eq!(
        (&b.inputs, b.payload_bytes - b.payload.len() as u64),
        (&Some((hashes(&[11]), vec![1])), 16 + 8 + 24)
    );
    assert_eq!((&c.inputs, &c.digests, c.payload_bytes), (&None, &None, c.payload.len() as u64));
    assert_eq!(a.digests, Some((Some(vec![7; 32]), 4, Vec::new())));
    assert_eq!(b.digests, Some((None, 10, Vec::new())));
    let rows = [range(4, 7), range(10, 11), range(1, 4)].map(rows_of_range).concat();
    assert_eq!(read_rows(&segment), rows);
}
