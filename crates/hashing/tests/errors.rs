//! What cannot be hashed is named by its path, and leaves no trace in the stream.

#![allow(clippy::unwrap_used, reason = "a test says with a panic that it failed")]

use std::collections::BTreeMap;

use rowmark_hashing::{
    ContentHash, ContentHasher, DEPTH_MAX, Error, Fingerprint, UnorderedHasher, hash_rows,
};
use serde::{Serialize, Serializer};

struct Refuses;

impl Serialize for Refuses {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("not today"))
    }
}

struct Twice;

impl Serialize for Twice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([("a", 1), ("b", 2), ("a", 3)])
    }
}

#[derive(Serialize)]
enum Shape {
    Tuple(u8, Refuses),
    Named { inner: Refuses },
    New(Option<Refuses>),
}

#[derive(Serialize, Default)]
struct Row {
    meta: BTreeMap<&'static str, (u8, Option<Refuses>)>,
    twice: Option<Twice>,
    numbers: BTreeMap<i64, Vec<Twice>>,
    shape: Option<Shape>,
    text: String,
}

#[track_caller]
fn check(row: Row, expected: &str) {
    let good = |text: &str| Row { text: text.to_owned(), ..Row::default() };
    let mut hasher = ContentHasher::new();
    for _ in 0..17 {
        hasher.update(&good("before")).unwrap();
    }
    let error = hasher.update(&row).unwrap_err();
    assert_eq!(error.to_string(), expected);
    assert_eq!(hasher.rows(), 17);
    hasher.update(&good("after")).unwrap();
    let rows = (0..17).map(|_| good("before")).chain([good("after")]);
    assert_eq!(hasher.finish(), hash_rows(rows).unwrap());
}

#[test]
fn paths_lead_to_what_failed() {
    check(
        Row { meta: [("tags", (1, Some(Refuses)))].into(), ..Row::default() },
        "cannot hash rows[17].meta.tags[1]: its serializer refused: not today",
    );
    check(
        Row { meta: [("two words", (1, Some(Refuses)))].into(), ..Row::default() },
        "cannot hash rows[17].meta[\"two words\"][1]: its serializer refused: not today",
    );
    check(
        Row { twice: Some(Twice), ..Row::default() },
        "cannot hash rows[17].twice: the map has the key \"a\" twice; keep one entry for each key",
    );
    check(
        Row { numbers: [(-3, vec![Twice])].into(), ..Row::default() },
        "cannot hash rows[17].numbers[-3][0]: the map has the key \"a\" twice; keep one entry for each key",
    );
    for (shape, path) in [
        (Shape::Tuple(1, Refuses), "Tuple[1]"),
        (Shape::Named { inner: Refuses }, "Named.inner"),
        (Shape::New(Some(Refuses)), "New"),
    ] {
        let expected = format!("cannot hash rows[17].shape.{path}: its serializer refused: not today");
        check(Row { shape: Some(shape), ..Row::default() }, &expected);
    }
}

#[test]
fn roots_are_what_the_caller_knows() {
    let path = |error: Error| match error {
        Error::Serializer { path, .. } => path,
        other => panic!("{other}"),
    };
    assert_eq!(path(ContentHash::of(&(1, Refuses)).unwrap_err()), "value[1]");
    let fingerprint = Fingerprint::new("step").with("options", &[Refuses]);
    assert_eq!(path(fingerprint.unwrap_err()), "options[0]");
    let mut unordered = UnorderedHasher::new();
    unordered.update("a").unwrap();
    assert_eq!(path(unordered.update(&Refuses).unwrap_err()), "rows[1]");
    assert_eq!(unordered.rows(), 1);
}

#[test]
fn depth_has_a_bound() {
    #[derive(Serialize)]
    struct Node {
        next: Option<Box<Node>>,
    }
    let chain =
        |nodes: usize| (1..nodes).fold(Node { next: None }, |next, _| Node { next: Some(Box::new(next)) });
    // A struct and an option are two levels.
    ContentHash::of(&chain(DEPTH_MAX / 2)).unwrap();
    let error = ContentHash::of(&chain(DEPTH_MAX / 2 + 1)).unwrap_err();
    let Error::TooDeep { path, depth_max } = error else { panic!("{error}") };
    assert_eq!((path, depth_max), (format!("value{}", ".next".repeat(DEPTH_MAX / 2)), DEPTH_MAX));
}

#[test]
fn a_map_that_breaks_the_protocol() {
    struct Broken(u8);
    impl Serialize for Broken {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            use serde::ser::SerializeMap as _;
            let mut map = serializer.serialize_map(None)?;
            match self.0 {
                0 => map.serialize_value("a value without its key")?,
                1 => map.serialize_key("a key without its value")?,
                _ => {
                    map.serialize_key("a key")?;
                    map.serialize_key("another")?;
                }
            }
            map.end()
        }
    }
    for which in 0..3 {
        assert!(matches!(ContentHash::of(&Broken(which)), Err(Error::Serializer { .. })), "{which}");
    }
}
