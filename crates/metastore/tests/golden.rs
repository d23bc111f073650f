//! The stored bytes of each kind of record, as each version wrote them.
//!
//! The files in `tests/golden` are never made again: stores and tables out there hold such bytes. They are compared
//! with what is written today, and with an encoder of a few lines that follows the description of the format alone.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use rowmark_hashing::{ContentHash, Fingerprint};
use rowmark_metastore::{
    Build, Checkpoint, CheckpointKind, CheckpointStatus, CodeRows, DatasetRef, DatasetVersion, Event,
    EventKind, Job, JobId, JobStatus, Record, RowCounts, RunGroupId, Timestamp,
};

/// The format, written down a second time.
struct Bytes(Vec<u8>);

impl Bytes {
    fn new(version: u8, kind: u8) -> Self {
        Self(vec![version, kind])
    }

    fn plain(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// An integer, a length, or the number of a variant: one byte up to 250, or a marker and a fixed width.
    fn number(self, number: u64) -> Self {
        let bytes = number.to_le_bytes();
        match number {
            0..=250 => self.plain(&bytes[..1]),
            251..=0xffff => self.plain(&[251]).plain(&bytes[..2]),
            0x1_0000..=0xffff_ffff => self.plain(&[252]).plain(&bytes[..4]),
            _ => self.plain(&[253]).plain(&bytes),
        }
    }

    fn text(self, text: &str) -> Self {
        self.number(text.len() as u64).plain(text.as_bytes())
    }

    fn none(self) -> Self {
        self.plain(&[0])
    }

    fn some(self) -> Self {
        self.plain(&[1])
    }

    fn sealed(self) -> Vec<u8> {
        let crc = crc32c(&self.0);
        self.plain(&crc.to_be_bytes()).0
    }
}

/// CRC-32C (Castagnoli; RFC 3720), bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| crc >> 1 ^ (0x82f6_3b78 * (crc & 1)))
    })
}

#[track_caller]
fn check<R: Record + PartialEq + std::fmt::Debug>(record: &R, golden: &[u8], by_hand: &[u8]) {
    assert_eq!(R::from_bytes(golden).unwrap(), *record, "the bytes of an earlier version are read");
    assert_eq!(by_hand, golden, "the description of the format fits the bytes");
    assert_eq!(record.to_bytes().unwrap(), golden, "the bytes are still written so");
}

fn hash(byte: u8) -> ContentHash {
    ContentHash::from_bytes([byte; 32])
}

#[test]
fn a_job_has_its_bytes() {
    let job = Job {
        id: JobId::from_bytes([0x11; 16]),
        name: "nightly ☾".to_owned(),
        predecessor: Some(JobId::from_bytes([0x22; 16])),
        run_group: RunGroupId::from_bytes([0x33; 16]),
        status: JobStatus::Failed,
        started_at: Timestamp::from_millis(1_700_000_000_000),
        finished_at: Some(Timestamp::from_millis(1_700_000_060_000)),
        error: Some("row 7: no such host".to_owned()),
        process: 70_000,
        build: Some(Build {
            executable: "build id 3fa9".to_owned(),
            compiler: "rustc 1.95.0".to_owned(),
            target: "x86_64-unknown-linux-gnu".to_owned(),
        }),
    };
    let fields = Bytes(Vec::new())
        .plain(&[0x11; 16])
        .text("nightly ☾")
        .some()
        .plain(&[0x22; 16])
        .plain(&[0x33; 16])
        .number(2)
        .number(1_700_000_000_000)
        .some()
        .number(1_700_000_060_000)
        .some()
        .text("row 7: no such host")
        .number(70_000)
        .0;
    let by_hand = Bytes::new(2, 1)
        .plain(&fields)
        .some()
        .text("build id 3fa9")
        .text("rustc 1.95.0")
        .text("x86_64-unknown-linux-gnu")
        .sealed();
    check(&job, include_bytes!("golden/job.v2"), &by_hand);

    let earlier = include_bytes!("golden/job.v1");
    assert_eq!(Bytes::new(1, 1).plain(&fields).sealed(), earlier);
    let read = Job::from_bytes(earlier).unwrap();
    assert_eq!(read, Job { build: None, ..job }, "version 1 knew of no build");
}

#[test]
fn a_checkpoint_has_its_bytes() {
    let checkpoint = Checkpoint {
        job: JobId::from_bytes([0x11; 16]),
        hash: hash(0xaa),
        kind: CheckpointKind::Final,
        status: CheckpointStatus::Expired,
        created_at: Timestamp::from_millis(1_700_000_000_000),
        step: "classify".to_owned(),
        hash_partial: hash(0xbb),
        fingerprint: Fingerprint::new("udf step").with_hash("name", hash(0xcc), "classify").with_hash(
            "threshold",
            hash(0xdd),
            0.5,
        ),
        table: "udf_11_aa_output".to_owned(),
        counts: RowCounts { rows_in: 250, rows_out: 251 },
        content_hash: Some(hash(0xee)),
        codes: vec![CodeRows { code: hash(0x01), rows: 200 }, CodeRows { code: hash(0x02), rows: 65_536 }],
        identity: hash(0xff),
        rows_failed: 3,
    };
    let fields = Bytes(Vec::new())
        .plain(&[0x11; 16])
        .plain(&[0xaa; 32])
        .number(1)
        .number(1)
        .number(1_700_000_000_000)
        .text("classify")
        .plain(&[0xbb; 32])
        .text("udf step")
        .number(2)
        .text("name")
        .plain(&[0xcc; 32])
        .text("classify")
        .text("threshold")
        .plain(&[0xdd; 32])
        .text("0.5")
        .text("udf_11_aa_output")
        .number(250)
        .number(251)
        .some()
        .plain(&[0xee; 32])
        .number(2)
        .plain(&[0x01; 32])
        .number(200)
        .plain(&[0x02; 32])
        .number(65_536)
        .plain(&[0xff; 32])
        .0;
    let by_hand = Bytes::new(2, 2).plain(&fields).number(3).sealed();
    check(&checkpoint, include_bytes!("golden/checkpoint.v2"), &by_hand);

    let earlier = include_bytes!("golden/checkpoint.v1");
    assert_eq!(Bytes::new(1, 2).plain(&fields).sealed(), earlier);
    let read = Checkpoint::from_bytes(earlier).unwrap();
    assert_eq!(read, Checkpoint { rows_failed: 0, ..checkpoint }, "version 1 knew of no failed rows");
}

#[test]
fn a_dataset_version_has_its_bytes() {
    let dataset = DatasetVersion {
        name: "sentiments".to_owned(),
        version: 300,
        chain_hash: hash(0xaa),
        content_hash: hash(0xbb),
        schema: "id: u64, label: utf8".to_owned(),
        table: "ds_sentiments_300".to_owned(),
        rows: 1_000_000,
        bytes: 5_000_000_000,
        job: JobId::from_bytes([0x11; 16]),
        created_at: Timestamp::from_millis(1_700_000_000_000),
        dependencies: vec![DatasetRef { name: "reviews".to_owned(), version: 2 }],
        codes: vec![CodeRows { code: hash(0x01), rows: u64::MAX }],
    };
    let by_hand = Bytes::new(1, 3)
        .text("sentiments")
        .number(300)
        .plain(&[0xaa; 32])
        .plain(&[0xbb; 32])
        .text("id: u64, label: utf8")
        .text("ds_sentiments_300")
        .number(1_000_000)
        .number(5_000_000_000)
        .plain(&[0x11; 16])
        .number(1_700_000_000_000)
        .number(1)
        .text("reviews")
        .number(2)
        .number(1)
        .plain(&[0x01; 32])
        .number(u64::MAX)
        .sealed();
    check(&dataset, include_bytes!("golden/dataset_version.v1"), &by_hand);
}

#[test]
fn an_event_has_its_bytes() {
    let event = Event {
        number: 7,
        rows_in: 1_000,
        rows_reused: 400,
        rows_computed: 599,
        rows_failed: 1,
        rows_out: 999,
        reused_from: None,
        reason: "progress of an earlier run was found".to_owned(),
        ..Event::new(
            JobId::from_bytes([0x11; 16]),
            Timestamp::from_millis(1_700_000_000_000),
            "classify",
            EventKind::Warning,
        )
    };
    let by_hand = Bytes::new(1, 4)
        .plain(&[0x11; 16])
        .number(7)
        .number(1_700_000_000_000)
        .text("classify")
        .number(7)
        .number(1_000)
        .number(400)
        .number(599)
        .number(1)
        .number(999)
        .none()
        .text("progress of an earlier run was found")
        .sealed();
    check(&event, include_bytes!("golden/event.v1"), &by_hand);
}
