//! The bytes of segments and footers, as `docs/format.md` draws them.
//!
//! Everything here is a function of bytes: no file is touched, and what is decoded may be anything.
//! Integers are little-endian. A length is checked against what is there before it is believed.

pub(crate) mod batch;
pub(crate) mod cursor;
pub(crate) mod digests;
pub(crate) mod footer;
pub(crate) mod frame;
pub(crate) mod header;
pub(crate) mod inputs;
pub(crate) mod needs;

/// The newest format that is read; the oldest that suffices is written (see [`needs`]).
pub(crate) const FORMAT_VERSION_MAX: u16 = 3;
/// The longest schema, in bytes of Arrow IPC.
pub(crate) const SCHEMA_BYTES_MAX: u64 = 16 << 20;
/// The longest record.
pub const RECORD_BYTES_MAX: u64 = 1 << 20;
/// The largest batch, in bytes of Arrow IPC.
pub const BATCH_BYTES_MAX: u64 = 4 << 30;

#[cfg(test)]
mod tests {
    use rowmark_hashing::ContentHash;
    use rowmark_rows::{RowRange, RowRanges};

    use super::footer::{Footer, FooterSegment};
    use super::frame::{FRAME_HEAD_BYTES, FrameHead};
    use super::header::{Header, Predecessor, header_bytes};
    use super::needs::Needs;
    use crate::CodeId;
    use crate::table::{Frame, Place, Seal};

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn code(byte: u8) -> CodeId {
        CodeId::new(ContentHash::from_bytes([byte; 32]))
    }

    #[test]
    fn a_header_is_these_bytes() {
        let header = Header {
            number: 2,
            identity: 0x0102_0304_0506_0708,
            predecessor: Some(Predecessor { identity: 0x1112_1314_1516_1718, bytes: 4096 }),
            schema_ipc: b"schema".to_vec(),
            record: b"record!".to_vec(),
            needs: Needs::NOTHING,
        };
        let bytes = header.encode();
        assert_eq!(
            hex(&bytes),
            "89524d5345470d0a0100000010acdf16800000000200000008070605040302010100000000000000001000000000000018171615141312110600000007000000736368656d617265636f726421000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
        );
        assert_eq!(header_bytes(&bytes, 128).unwrap(), 128);
        assert_eq!(Header::decode(&bytes).unwrap(), Ok(header));
    }

    #[test]
    fn what_a_reader_needs_decides_the_version() {
        assert_eq!(Needs::NOTHING.encode(), [1, 0, 0, 0]);
        assert_eq!(Needs::HOLES.and(Needs::LZ4).encode(), [2, 0, 3, 0]);
        assert_eq!(Needs::INPUTS.and(Needs::LZ4).encode(), [3, 0, 10, 0]);
        assert_eq!(Needs::decode(2, 4), Some(Needs::ZSTD));
        assert_eq!(Needs::decode(3, 8), Some(Needs::INPUTS));
        for (version, flags) in [(0, 0), (1, 1), (2, 0), (2, 8), (3, 1), (3, 16), (4, 8)] {
            assert_eq!(Needs::decode(version, flags), None);
        }
    }

    #[test]
    fn a_frame_is_these_bytes() {
        let head = FrameHead {
            checksum: 0,
            offset: 128,
            identity: 0x0102_0304_0506_0708,
            payload_bytes: 8,
            durable_bytes: 64,
            range: RowRange::new(3, 5),
            rows: 1,
            code: code(0xcc),
            has_inputs: false,
        };
        let mut frame = [[0; FRAME_HEAD_BYTES as usize].to_vec(), b"payload!".to_vec()].concat();
        head.write(&mut frame);
        assert_eq!(
            hex(&frame),
            "524d4652d14126988000000000000000080706050403020108000000000000004000000000000000030000000000000005000000000000000100000000000000cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc7061796c6f616421"
        );
        let read = FrameHead::read(&frame, 128, head.identity, 232).unwrap();
        assert_eq!(FrameHead { checksum: 0, ..read }, head);
        for (offset, identity, limit) in [(129, head.identity, 232), (128, 1, 232), (128, head.identity, 231)]
        {
            assert_eq!(FrameHead::read(&frame, offset, identity, limit), None);
        }
    }

    #[test]
    fn a_footer_is_these_bytes_and_survives_no_change_of_them() {
        let frame = |start, end, rows, byte| Frame {
            range: RowRange::new(start, end),
            rows,
            code: code(byte),
            place: Place { segment: 0, offset: 128 + 200 * start, payload_bytes: 100 * rows },
        };
        let footer = Footer {
            needs: Needs::NOTHING,
            schema_ipc: b"schema".to_vec(),
            seal: Seal {
                rows_in: 5,
                failed: RowRanges::new(),
                content_hash: ContentHash::from_bytes([0xaa; 32]),
                record: b"record!".to_vec(),
            },
            segments: vec![FooterSegment { number: 1, identity: 7, bytes: 1_000 }],
            frames: vec![frame(0, 2, 1, 0xcd), frame(2, 5, 0, 0xcc)],
        };
        let bytes = footer.encode();
        assert_eq!(
            hex(&bytes),
            "89524d454e440d0a01000000fa889ccd2d0100000000000006000000736368656d61070000007265636f72642105000000000000000100000000000000aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa01000000010000000700000000000000e80300000000000002000000cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc0000000000000000cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd010000000000000002000000800000000000000064000000000000000000000000000000020000000000000001000000000000000000000001000000100200000000000000000000000000000200000000000000050000000000000000000000000000000000000000000000"
        );
        assert!(Footer::decode(&bytes).is_ok_and(|read| read == footer));
        for length in 0..bytes.len() {
            assert!(Footer::decode(&bytes[..length]).is_err());
            let mut flipped = bytes.clone();
            flipped[length] ^= 0x10;
            assert!(Footer::decode(&flipped).is_err());
        }
        assert!(Footer::decode(&[&bytes[..], b"x"].concat()).is_err());
    }

    #[test]
    fn a_footer_with_holes_is_one_that_older_programs_refuse() {
        let frame = |start, end| Frame::new(RowRange::new(start, end), 0, code(1));
        let place = Place { segment: 0, offset: 128, payload_bytes: 0 };
        let frames = [frame(1, 3), frame(4, 5)].map(|frame| Frame { place, ..frame }).to_vec();
        let failed = RowRanges::from_iter([RowRange::new(0, 1), RowRange::new(3, 4), RowRange::new(5, 7)]);
        let (content_hash, record) = (ContentHash::from_bytes([0; 32]), Vec::new());
        let footer = Footer {
            needs: Needs::NOTHING,
            schema_ipc: Vec::new(),
            seal: Seal { rows_in: 7, failed, content_hash, record },
            segments: vec![FooterSegment { number: 1, identity: 7, bytes: 1_000 }],
            frames,
        };
        let bytes = footer.encode();
        assert_eq!(bytes[8..12], [2, 0, 1, 0]);
        assert!(Footer::decode(&bytes).is_ok_and(|read| read == footer));
    }

    #[test]
    fn a_footer_that_contradicts_itself_is_refused() {
        let frame = Frame {
            range: RowRange::new(0, 2),
            rows: 1,
            code: code(1),
            place: Place { segment: 0, offset: 128, payload_bytes: 100 },
        };
        let footer = |segments, frames: Vec<Frame>| Footer {
            needs: Needs::NOTHING,
            schema_ipc: Vec::new(),
            seal: Seal {
                rows_in: frames.iter().map(|frame| frame.range.end()).max().unwrap_or(0),
                failed: RowRanges::new(),
                content_hash: ContentHash::from_bytes([0; 32]),
                record: Vec::new(),
            },
            segments,
            frames,
        };
        let segment = |bytes| vec![FooterSegment { number: 1, identity: 7, bytes }];
        let is_read = |footer: Footer| Footer::decode(&footer.encode()).is_ok();
        assert!(is_read(footer(segment(324), vec![frame])));
        // A frame beyond its segment, in no segment, before the one before it, and twice.
        assert!(!is_read(footer(segment(323), vec![frame])));
        assert!(!is_read(footer(Vec::new(), vec![frame])));
        let later = Frame { range: RowRange::new(2, 3), ..frame };
        assert!(is_read(footer(segment(324), vec![frame, later])));
        assert!(!is_read(footer(segment(324), vec![later, frame])));
        assert!(!is_read(footer(segment(324), vec![frame, frame])));
        // An offset that would overflow.
        let place = Place { offset: u64::MAX - 3, ..frame.place };
        assert!(!is_read(footer(segment(u64::MAX), vec![Frame { place, ..frame }])));
        // Input rows beyond the last one, and rows in no frame although none is said to have failed.
        let whole = || footer(segment(324), vec![frame]);
        let with_rows_in = |rows_in| Footer { seal: Seal { rows_in, ..whole().seal }, ..whole() };
        assert!(!is_read(with_rows_in(1)));
        assert!(!is_read(with_rows_in(3)));
    }
}
