//! The reference implementation in Python, run on the vectors and on random JSON lines.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

static IS_THERE: LazyLock<bool> = LazyLock::new(|| {
    let version =
        Command::new("python3").args(["-c", "import sys; print(sys.version_info >= (3, 11))"]).output();
    let is_there = version.is_ok_and(|output| output.stdout.trim_ascii() == b"True");
    if !is_there {
        eprintln!(
            "SKIPPED: the reference implementation needs `python3`, version 3.11 or newer, on the path"
        );
    }
    is_there
});

/// A command for the reference, unless there is no Python that can run it.
fn reference() -> Option<Command> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("test_vectors");
    let mut command = Command::new("python3");
    command.arg("-B").arg(folder.join("reference.py")).current_dir(folder);
    IS_THERE.then_some(command)
}

#[test]
fn derives_every_vector() {
    let Some(mut reference) = reference() else { return };
    let output = reference.arg("v1.json").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let count = super::vectors().len();
    assert_eq!(text.trim(), format!("{count} vectors, 0 differ"));
}

#[test]
fn is_short() {
    let source = include_str!("../../test_vectors/reference.py");
    assert!(source.lines().count() <= 170, "{}", source.lines().count());
}

/// A JSON value as text, written as other programs might.
fn arb_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|truth| truth.to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<u128>().prop_map(|number| number.to_string()),
        any::<f64>()
            .prop_filter("JSON has no others", |number| number.is_finite())
            .prop_map(|n| format!("{n:?}")),
        (-99..99_i32, -330..308_i32).prop_map(|(number, exponent)| format!("{number}.5E{exponent:+}")),
        any::<String>().prop_map(|string| serde_json::to_string(&string).unwrap()),
        "[a-e]{0,3}".prop_map(|string| format!("\"{string}\"")),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        let list =
            prop::collection::vec(inner.clone(), 0..6).prop_map(|items| format!("[{}]", items.join(" , ")));
        let object = prop::collection::hash_map("[a-zé😀]{0,3}", inner, 0..6).prop_map(|entries| {
            let entry = |(key, value)| format!("{}:\t{value}", serde_json::to_string(&key).unwrap());
            format!("{{{}}}", entries.into_iter().map(entry).collect::<Vec<_>>().join(","))
        });
        prop_oneof![list, object]
    })
}

#[test]
fn agrees_on_random_json_lines() {
    if reference().is_none() {
        return;
    }
    let mut runner = TestRunner::new(Config { cases: 24, max_shrink_iters: 200, ..Config::default() });
    let documents = prop::collection::vec(arb_json(), 0..60).prop_map(|lines| lines.join("\n"));
    runner
        .run(&documents, |document| {
            let mut reference = reference().expect("there was one before");
            let mut child = reference
                .arg("--jsonl")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            child.stdin.take().unwrap().write_all(document.as_bytes()).unwrap();
            let output = child.wait_with_output().unwrap();
            // A few numbers are out of range, and the document then refused by both.
            let hash = super::hash_jsonl::hash_json_lines(document.as_bytes()).ok();
            let expected = hash.map(|hash| format!("{hash}\n"));
            let found = output.status.success().then(|| String::from_utf8(output.stdout).unwrap());
            prop_assert_eq!(found, expected);
            Ok(())
        })
        .unwrap();
}
