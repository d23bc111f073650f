//! Records as bytes: what is written is read, and nothing else is.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use proptest::prelude::*;
use rowmark_hashing::{ContentHash, Fingerprint};
use rowmark_metastore::{
    Build, Checkpoint, CheckpointKind, CheckpointStatus, CodeRows, DatasetRef, DatasetVersion, Error, Event,
    EventKind, Job, JobId, JobStatus, RECORD_BYTES_MAX, Record, RowCounts, RunGroupId, Timestamp,
};

fn job_id() -> impl Strategy<Value = JobId> {
    any::<[u8; 16]>().prop_map(JobId::from_bytes)
}

fn hash() -> impl Strategy<Value = ContentHash> {
    any::<[u8; 32]>().prop_map(ContentHash::from_bytes)
}

fn time() -> impl Strategy<Value = Timestamp> {
    any::<u64>().prop_map(Timestamp::from_millis)
}

fn name() -> impl Strategy<Value = String> {
    "[^\0]{1,40}"
}

fn codes() -> impl Strategy<Value = Vec<CodeRows>> {
    prop::collection::vec((hash(), any::<u64>()).prop_map(|(code, rows)| CodeRows { code, rows }), 0..5)
}

fn job() -> impl Strategy<Value = Job> {
    let status = prop::sample::select(vec![
        JobStatus::Running,
        JobStatus::Complete,
        JobStatus::Failed,
        JobStatus::Cancelled,
        JobStatus::Interrupted,
    ]);
    (
        (job_id(), name(), prop::option::of(job_id()), any::<[u8; 16]>()),
        (status, time(), prop::option::of(time()), any::<Option<String>>(), any::<u32>()),
        prop::option::of((any::<String>(), name(), name())),
    )
        .prop_map(
            |(
                (id, name, predecessor, run_group),
                (status, started_at, finished_at, error, process),
                build,
            )| Job {
                id,
                name,
                predecessor,
                run_group: RunGroupId::from_bytes(run_group),
                status,
                started_at,
                finished_at,
                error,
                process,
                build: build.map(|(executable, compiler, target)| Build { executable, compiler, target }),
            },
        )
}

fn fingerprint() -> impl Strategy<Value = Fingerprint> {
    (any::<String>(), prop::collection::vec((any::<String>(), hash(), any::<String>()), 0..5)).prop_map(
        |(domain, components)| {
            components.into_iter().fold(Fingerprint::new(&domain), |fingerprint, (label, hash, shown)| {
                fingerprint.with_hash(&label, hash, shown)
            })
        },
    )
}

fn checkpoint() -> impl Strategy<Value = Checkpoint> {
    let kind = prop::sample::select(vec![CheckpointKind::Partial, CheckpointKind::Final]);
    let status = prop::sample::select(vec![
        CheckpointStatus::Active,
        CheckpointStatus::Expired,
        CheckpointStatus::Deleted,
    ]);
    (
        (job_id(), hash(), kind, status, time(), name(), hash(), fingerprint()),
        (name(), any::<(u64, u64)>(), prop::option::of(hash()), codes(), hash()),
    )
        .prop_map(
            |(
                (job, hash, kind, status, created_at, step, hash_partial, fingerprint),
                (table, (rows_in, rows_out), content_hash, codes, identity),
            )| Checkpoint {
                job,
                hash,
                kind,
                status,
                created_at,
                step,
                hash_partial: if kind == CheckpointKind::Partial { hash } else { hash_partial },
                fingerprint,
                table,
                counts: RowCounts { rows_in, rows_out },
                content_hash,
                codes,
                identity,
                rows_failed: rows_in / 2,
            },
        )
}

fn dataset_version() -> impl Strategy<Value = DatasetVersion> {
    let dependency = (name(), 1_u32..).prop_map(|(name, version)| DatasetRef { name, version });
    (
        (name(), 1_u32.., hash(), hash(), any::<String>(), name()),
        (any::<(u64, u64)>(), job_id(), time(), prop::collection::vec(dependency, 0..5), codes()),
    )
        .prop_map(
            |(
                (name, version, chain_hash, content_hash, schema, table),
                ((rows, bytes), job, created_at, dependencies, codes),
            )| DatasetVersion {
                name,
                version,
                chain_hash,
                content_hash,
                schema,
                table,
                rows,
                bytes,
                job,
                created_at,
                dependencies,
                codes,
            },
        )
}

fn event() -> impl Strategy<Value = Event> {
    let kind = prop::sample::select(vec![
        EventKind::Skip,
        EventKind::Continue,
        EventKind::Run,
        EventKind::SaveFound,
        EventKind::SaveNew,
        EventKind::Repaired,
        EventKind::Removed,
        EventKind::Warning,
    ]);
    (
        job_id(),
        any::<u64>(),
        time(),
        name(),
        kind,
        any::<[u64; 5]>(),
        prop::option::of(job_id()),
        any::<String>(),
    )
        .prop_map(|(job, number, at, step, kind, rows, reused_from, reason)| Event {
            number,
            rows_in: rows[0],
            rows_reused: rows[1],
            rows_computed: rows[2],
            rows_failed: rows[3],
            rows_out: rows[4],
            reused_from,
            reason,
            ..Event::new(job, at, step, kind)
        })
}

fn is_refused<R: Record + std::fmt::Debug>(bytes: &[u8]) -> bool {
    matches!(R::from_bytes(bytes), Err(Error::DamagedRecord { kind, .. }) if kind == R::KIND)
}

/// Puts a checksum that is right behind any bytes, so that what comes after the checksum is tried too.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    [bytes, &crc32c::crc32c(bytes).to_be_bytes()].concat()
}

macro_rules! codec {
    ($($record:ident: $test:ident, $strategy:expr;)*) => {$(
        mod $test {
            use super::*;

            proptest! {
                #[test]
                fn what_is_written_is_read(record in $strategy) {
                    let bytes = record.to_bytes().unwrap();
                    prop_assert_eq!($record::from_bytes(&bytes).unwrap(), record);
                }

                #[test]
                fn no_flip_and_no_cut_is_read(
                    record in $strategy,
                    place: prop::sample::Index,
                    bit in 0..8_u8,
                    more in prop::collection::vec(any::<u8>(), 1..9),
                ) {
                    let bytes = record.to_bytes().unwrap();
                    let place = place.index(bytes.len());
                    let mut flipped = bytes.clone();
                    flipped[place] ^= 1 << bit;
                    prop_assert!(is_refused::<$record>(&flipped));
                    prop_assert!(is_refused::<$record>(&bytes[..place]));
                    prop_assert!(is_refused::<$record>(&[bytes, more].concat()));
                }

                #[test]
                fn fields_that_were_cut_or_have_more_behind_them_are_refused(
                    record in $strategy,
                    place: prop::sample::Index,
                    more in prop::collection::vec(any::<u8>(), 1..9),
                ) {
                    let mut bytes = record.to_bytes().unwrap();
                    bytes.truncate(bytes.len() - 4);
                    prop_assert!(is_refused::<$record>(&sealed(&bytes[..place.index(bytes.len())])));
                    prop_assert!(is_refused::<$record>(&sealed(&[bytes, more].concat())));
                }

                #[test]
                fn what_is_read_of_any_bytes_is_written_as_they_are(
                    record in $strategy,
                    place: prop::sample::Index,
                    byte: u8,
                    random: Vec<u8>,
                ) {
                    let _ = $record::from_bytes(&random);
                    let _ = $record::from_bytes(&sealed(&[&[$record::VERSION, $record::KIND as u8], &random[..]].concat()));
                    // One byte is another and the checksum is right: it may be another record, but no panic.
                    let mut bytes = record.to_bytes().unwrap();
                    bytes.truncate(bytes.len() - 4);
                    let place = place.index(bytes.len());
                    bytes[place] = byte;
                    if let Ok(other) = $record::from_bytes(&sealed(&bytes)) {
                        prop_assert_eq!($record::from_bytes(&other.to_bytes().unwrap()).unwrap(), other);
                    }
                }
            }

            #[test]
            fn another_kind_another_version_and_nothing_are_refused() {
                for kind in 0..=255_u8 {
                    if kind != $record::KIND as u8 {
                        assert!(is_refused::<$record>(&sealed(&[$record::VERSION, kind])));
                    }
                }
                assert!(is_refused::<$record>(&[]));
                assert!(is_refused::<$record>(&sealed(&[])));
                assert!(is_refused::<$record>(&sealed(&[0, $record::KIND as u8])));
                assert!(is_refused::<$record>(&vec![0; RECORD_BYTES_MAX + 1]));
            }

            #[test]
            fn j06_a_newer_version_is_refused_in_words() {
                let newer = sealed(&[$record::VERSION + 1, $record::KIND as u8, 1, 2, 3]);
                let error = $record::from_bytes(&newer).unwrap_err();
                assert!(matches!(error, Error::NewerRecord { kind: $record::KIND, .. }), "{error:?}");
                assert!(!error.is_damage());
                assert!(error.to_string().contains("upgrade"), "{error}");
            }

            #[test]
            fn a_length_that_no_record_has_is_refused_without_an_allocation_of_it() {
                // A length of 2^63 wherever a length may be: the limit of the decoder is checked before it allocates.
                let huge = [&[253][..], &(1_u64 << 63).to_le_bytes()].concat();
                for padding in 0..200 {
                    let bytes =
                        [&[$record::VERSION, $record::KIND as u8][..], &vec![0; padding], &huge, &[0; 64]].concat();
                    assert!($record::from_bytes(&sealed(&bytes)).is_err());
                }
            }
        }
    )*};
}

codec! {
    Job: jobs, job();
    Checkpoint: checkpoints, checkpoint();
    DatasetVersion: dataset_versions, dataset_version();
    Event: events, event();
}

#[test]
fn the_longest_record_is_read_and_a_longer_one_is_not_written() {
    let mut dataset = DatasetVersion {
        name: "reviews".to_owned(),
        version: 1,
        chain_hash: ContentHash::from_bytes([1; 32]),
        content_hash: ContentHash::from_bytes([2; 32]),
        schema: String::new(),
        table: "table".to_owned(),
        rows: 0,
        bytes: 0,
        job: JobId::new(),
        created_at: Timestamp::from_millis(0),
        dependencies: Vec::new(),
        codes: Vec::new(),
    };
    // An empty text has a length of 1 byte in front, a long one of 5.
    let rest = dataset.to_bytes().unwrap().len() + 4;
    dataset.schema = "s".repeat(RECORD_BYTES_MAX - rest);
    let bytes = dataset.to_bytes().unwrap();
    assert_eq!(bytes.len(), RECORD_BYTES_MAX);
    assert_eq!(DatasetVersion::from_bytes(&bytes).unwrap(), dataset);
    dataset.schema.push('s');
    assert!(matches!(dataset.to_bytes(), Err(Error::TooLong { .. })));

    // What grows most when it is decoded: lists of small things.
    dataset.schema.clear();
    dataset.dependencies =
        vec![DatasetRef { name: "d".to_owned(), version: 1 }; (RECORD_BYTES_MAX - rest) / 3];
    assert_eq!(DatasetVersion::from_bytes(&dataset.to_bytes().unwrap()).unwrap(), dataset);
}
