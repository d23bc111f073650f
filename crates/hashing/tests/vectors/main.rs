//! Every published vector, through serde, and the published reference implementation on the same.

#![allow(clippy::unwrap_used, reason = "a test says with a panic that it failed")]

#[path = "../../examples/hash_jsonl.rs"]
#[allow(dead_code, unreachable_pub, reason = "it is a program, of which only the hashing is used here")]
mod hash_jsonl;
mod notation;
mod reference;

use rowmark_hashing::{
    BytesHasher, ContentHash, ContentHasher, Error, Fingerprint, RowHasher, UnorderedHasher, encode,
    hash_rows,
};
use serde_json::Value as Json;

use self::notation::{Notation, text, unhex};

const VECTORS: &str = include_str!("../../test_vectors/v1.json");

fn vectors() -> Vec<Json> {
    serde_json::from_str(VECTORS).unwrap()
}

fn rows(vector: &Json, mut each: impl FnMut(Notation<'_>) -> Result<(), Error>) -> Result<(), Error> {
    if let Some(rows) = vector["rows"].as_array() {
        return rows.iter().try_for_each(|row| each(Notation { value: row, index: 0 }));
    }
    let [count, value] = &vector["repeat"].as_array().unwrap()[..] else { panic!("{vector}") };
    (0..count.as_u64().unwrap()).try_for_each(|index| each(Notation { value, index }))
}

fn hash(vector: &Json) -> Result<String, Box<dyn std::error::Error>> {
    if vector["kind"] == "row" {
        let context: [u8; 32] = unhex(text(&vector["context"])).try_into().unwrap();
        let mut hasher = RowHasher::new(ContentHash::from_bytes(context));
        return Ok(hasher.hash(&Notation { value: &vector["value"], index: 0 })?.to_string());
    }
    content_hash(vector).map(|hash| hash.to_string())
}

fn content_hash(vector: &Json) -> Result<ContentHash, Box<dyn std::error::Error>> {
    match text(&vector["kind"]) {
        "value" => Ok(ContentHash::of(&Notation { value: &vector["value"], index: 0 })?),
        "rows" => {
            let mut hasher = ContentHasher::new();
            rows(vector, |row| hasher.update(&row))?;
            Ok(hasher.finish())
        }
        "unordered" => {
            let mut hasher = UnorderedHasher::new();
            rows(vector, |row| hasher.update(&row))?;
            Ok(hasher.finish())
        }
        "bytes" => {
            let mut hasher = BytesHasher::new();
            if let Some(bytes) = vector["bytes"].as_str() {
                hasher.update(&unhex(bytes));
            } else {
                let bytes = unhex(text(&vector["repeat"][1]));
                (0..vector["repeat"][0].as_u64().unwrap()).for_each(|_| hasher.update(&bytes));
            }
            Ok(hasher.finish())
        }
        "fingerprint" => {
            let components = vector["components"].as_array().unwrap();
            let fingerprint = Fingerprint::new(text(&vector["domain"]));
            let fingerprint = components.iter().try_fold(fingerprint, |fingerprint, component| {
                fingerprint.with(text(&component[0]), &Notation { value: &component[1], index: 0 })
            })?;
            Ok(fingerprint.hash())
        }
        "json_lines" => hash_jsonl::hash_json_lines(text(&vector["text"]).as_bytes()),
        kind => panic!("{kind}"),
    }
}

#[test]
fn every_vector() {
    let vectors = vectors();
    assert!(vectors.len() >= 150, "{}", vectors.len());
    for vector in &vectors {
        let found = hash(vector);
        match vector["hash"].as_str() {
            Some(expected) => assert_eq!(found.unwrap(), expected, "{}", vector["name"]),
            None => assert!(found.is_err(), "{} is hashed", vector["name"]),
        }
        if let Some(expected) = vector["encoding"].as_str() {
            let found = encode(&Notation { value: &vector["value"], index: 0 }).unwrap();
            assert_eq!(found, unhex(expected), "{}", vector["name"]);
        }
    }
}

/// Two values have the same hash exactly if they have the same encoding.
#[test]
fn hashes_follow_encodings() {
    let vectors = vectors();
    let encoded = |vector: &&Json| vector["encoding"].is_string();
    let mut encodings: Vec<_> =
        vectors.iter().filter(encoded).map(|vector| text(&vector["encoding"])).collect();
    let mut hashes: Vec<_> = vectors.iter().filter(encoded).map(|vector| text(&vector["hash"])).collect();
    for texts in [&mut encodings, &mut hashes] {
        texts.sort_unstable();
        texts.dedup();
    }
    assert_eq!(encodings.len(), hashes.len());
    assert!(encodings.len() > 120, "{}", encodings.len());
}

/// The same through the types that a program has, not through the notation of the file.
#[test]
fn derived_types() {
    use serde::Serialize;
    #[derive(Serialize)]
    struct Skips {
        a: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        b: Option<u8>,
        #[serde(skip)]
        _never: u8,
    }
    #[derive(Serialize)]
    enum Kinds {
        A,
        B(u8),
        C(u8, u8),
        D { x: u8 },
    }
    let expected = |name: &str| {
        let vector = vectors().into_iter().find(|vector| vector["name"] == name).unwrap();
        text(&vector["hash"]).to_owned()
    };
    let value =
        ContentHash::of(&[Kinds::A, Kinds::B(1), Kinds::C(1, 2), Kinds::D { x: 1 }, Kinds::D { x: 2 }][..]);
    assert_eq!(value.unwrap().to_string(), expected("value: all kinds in a sequence"));
    let skips = ContentHash::of(&Skips { a: 1, b: None, _never: 9 });
    assert_eq!(skips.unwrap().to_string(), expected("value: a skipped field"));
    let numbers = hash_rows(0..2500).unwrap();
    assert_eq!(numbers.to_string(), expected("rows: 2500 integers"));
}
