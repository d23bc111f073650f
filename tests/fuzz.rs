//! The bodies of the fuzz targets, over their corpus and over random changes of it; no fuzzer is needed.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as tests do")]

#[allow(unreachable_pub, reason = "the fuzzer's crate exports them")]
#[path = "../fuzz/src/lib.rs"]
mod targets;

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

type Target = fn(&[u8]);

const TARGETS: [(&str, Target); 4] = [
    ("segment", targets::segment),
    ("footer", targets::footer),
    ("record", targets::record),
    ("table_name", targets::table_name),
];

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// One change of some bytes: a byte replaced, a run removed, doubled or overwritten by zeros, or a number set to an
/// extreme value.
fn change() -> impl Strategy<Value = (prop::sample::Index, u8, u8)> {
    (any::<prop::sample::Index>(), any::<u8>(), 0_u8..6)
}

fn apply(bytes: &mut Vec<u8>, (at, value, kind): &(prop::sample::Index, u8, u8)) {
    let at = at.index(bytes.len() + 1);
    let end = (at + usize::from(*value)).min(bytes.len());
    match kind {
        0 | 1 if at < bytes.len() => bytes[at] = *value,
        2 => drop(bytes.drain(at..end)),
        3 => bytes.splice(at..at, bytes[at..end].to_vec()).for_each(drop),
        4 => bytes[at..end].fill(0),
        5 if at + 4 <= bytes.len() => bytes[at..at + 4].fill(0xff),
        _ => bytes.truncate(at),
    }
}

#[test]
fn the_corpus_is_answered() {
    for (name, target) in TARGETS {
        let corpus = corpus(name);
        assert!(corpus.len() >= 3, "{name}");
        corpus.iter().for_each(|bytes| target(bytes));
    }
}

#[test]
fn random_changes_of_the_corpus_are_answered() {
    for (name, target) in TARGETS {
        let bytes = (prop::sample::select(corpus(name)), prop::collection::vec(change(), 1..6));
        let config = ProptestConfig { cases: 3_000, failure_persistence: None, ..Default::default() };
        let answered = TestRunner::new(config).run(&bytes, |(mut bytes, changes)| {
            changes.iter().for_each(|change| apply(&mut bytes, change));
            target(&bytes);
            Ok(())
        });
        answered.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}
