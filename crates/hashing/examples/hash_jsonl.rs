//! Prints the content hash of the JSON lines on standard input, and with `--spec` the version of the hash format.
//!
//! ```text
//! cargo run -p rowmark-hashing --example hash_jsonl < reviews.jsonl
//! ```
//!
//! What JSON's values are taken for is said in `docs/hash-format.md`. Lines are read one by one, and nothing is lost
//! on the way: integers may have 128 bits, and a key that comes twice is an error.

use std::fmt;
use std::io::{self, BufRead};
use std::process::ExitCode;

use rowmark_hashing::{ContentHash, ContentHasher, FORMAT_VERSION};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::ser::{Error as _, Serialize, SerializeMap as _, Serializer};
use serde_json::value::RawValue;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        None => match hash_json_lines(io::stdin().lock()) {
            Ok(hash) => println!("{hash}"),
            Err(error) => {
                eprintln!("error: {error}");
                return ExitCode::FAILURE;
            }
        },
        Some("--spec") => println!("{FORMAT_VERSION}"),
        Some(_) => {
            eprintln!("usage: hash_jsonl [--spec] < rows.jsonl");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Hashes the rows that are the lines of `reader`; blank lines are none.
pub fn hash_json_lines(mut reader: impl BufRead) -> Result<ContentHash, Box<dyn std::error::Error>> {
    let mut hasher = ContentHasher::new();
    let mut line = String::new();
    for number in 1_u64.. {
        line.clear();
        if reader.read_line(&mut line).map_err(|error| format!("line {number}: {error}"))? == 0 {
            break;
        }
        let row = line.trim_matches([' ', '\t', '\r', '\n']);
        if !row.is_empty() {
            let value: &RawValue =
                serde_json::from_str(row).map_err(|error| format!("line {number}: {error}"))?;
            hasher.update(&Json(value)).map_err(|error| format!("line {number}: {error}"))?;
        }
    }
    Ok(hasher.finish())
}

/// The text of a JSON value, which serialises as the value.
struct Json<'a>(&'a RawValue);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.0.get();
        match text.as_bytes().first() {
            Some(b'{') => Entries { serializer }.read(text),
            Some(b'[') => {
                let items: Vec<&RawValue> = read(text)?;
                serializer.collect_seq(items.into_iter().map(Json))
            }
            Some(b'"') => serializer.serialize_str(&read::<String, _>(text)?),
            Some(b'n') => serializer.serialize_unit(),
            Some(b't') => serializer.serialize_bool(true),
            Some(b'f') => serializer.serialize_bool(false),
            _ => serialize_number(text, serializer),
        }
    }
}

fn read<'a, T: serde::Deserialize<'a>, E: serde::ser::Error>(text: &'a str) -> Result<T, E> {
    serde_json::from_str(text).map_err(E::custom)
}

fn serialize_number<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    let out_of_range = || S::Error::custom(format!("the number {text} is out of range"));
    if text.contains(['.', 'e', 'E']) {
        let number = text.parse().ok().filter(|number: &f64| number.is_finite());
        serializer.serialize_f64(number.ok_or_else(out_of_range)?)
    } else if text.starts_with('-') {
        serializer.serialize_i128(text.parse().map_err(|_| out_of_range())?)
    } else {
        serializer.serialize_u128(text.parse().map_err(|_| out_of_range())?)
    }
}

/// Gives the entries of an object to a serializer as they come, those with the same key too.
struct Entries<S> {
    serializer: S,
}

impl<S: Serializer> Entries<S> {
    fn read(self, text: &str) -> Result<S::Ok, S::Error> {
        serde_json::Deserializer::from_str(text).deserialize_map(self).map_err(S::Error::custom)?
    }
}

impl<'de, S: Serializer> Visitor<'de> for Entries<S> {
    /// What the serializer said, apart from what the reader of the text says.
    type Value = Result<S::Ok, S::Error>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut map = match self.serializer.serialize_map(None) {
            Ok(map) => map,
            Err(error) => return Ok(Err(error)),
        };
        while let Some((key, value)) = object.next_entry::<String, &RawValue>()? {
            if let Err(error) = map.serialize_entry(&key, &Json(value)) {
                return Ok(Err(error));
            }
        }
        Ok(map.end())
    }
}
