//! Hashes and fingerprints survive the formats in which they are stored.

#![allow(clippy::unwrap_used, reason = "a test says with a panic that it failed")]

use rowmark_hashing::{ContentHash, Error, Fingerprint, hash_reader};

fn fingerprint() -> Fingerprint {
    let content = hash_reader(&b"1,good\n"[..]).unwrap();
    Fingerprint::new("csv source").with("delimiter", &',').unwrap().with_hash("content", content, "a.csv")
}

#[test]
fn text_round_trips() {
    let hash = ContentHash::of("x").unwrap();
    let text = hash.to_string();
    assert_eq!(text.len(), 64);
    assert_eq!(text.parse::<ContentHash>().unwrap(), hash);
    assert_eq!(text.to_uppercase().parse::<ContentHash>().unwrap(), hash);
    assert!(format!("{hash:?}").contains(&text));
    for wrong in
        ["", "12", &text[1..], &format!("{text}0"), &text.replace(|_: char| true, "g"), &"é".repeat(32)]
    {
        assert!(matches!(wrong.parse::<ContentHash>(), Err(Error::NotAHash { .. })), "{wrong}");
    }
}

#[test]
fn json_is_text() {
    let hash = ContentHash::of("x").unwrap();
    let json = serde_json::to_string(&hash).unwrap();
    assert_eq!(json, format!("\"{hash}\""));
    assert_eq!(serde_json::from_str::<ContentHash>(&json).unwrap(), hash);
    let json = serde_json::to_string(&fingerprint()).unwrap();
    assert_eq!(serde_json::from_str::<Fingerprint>(&json).unwrap(), fingerprint());
}

#[test]
fn bincode_is_32_bytes() {
    let config = bincode::config::standard();
    let hash = ContentHash::of("x").unwrap();
    let bytes = bincode::serde::encode_to_vec(hash, config).unwrap();
    assert_eq!(bytes, hash.as_bytes());
    assert_eq!(bincode::serde::decode_from_slice::<ContentHash, _>(&bytes, config).unwrap(), (hash, 32));
    let bytes = bincode::serde::encode_to_vec(fingerprint(), config).unwrap();
    let (back, length) = bincode::serde::decode_from_slice::<Fingerprint, _>(&bytes, config).unwrap();
    assert_eq!((back, length), (fingerprint(), bytes.len()));
}

/// The encoder knows most shapes by heart; those that it does not are written no differently.
#[test]
fn shapes_of_every_kind() {
    use rowmark_hashing::{CHUNK_ROWS, hash_rows};
    use serde::ser::SerializeStruct as _;

    /// A struct of some of these fields, by a serializer that is not derived.
    #[derive(Clone)]
    struct Some(Vec<&'static str>);
    impl serde::Serialize for Some {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut fields = serializer.serialize_struct("Some", self.0.len())?;
            self.0.iter().try_for_each(|name| fields.serialize_field(name, &1_u8))?;
            fields.end()
        }
    }
    let names: Vec<&'static str> = (0..200).map(|n| &*format!("field {n}").leak()).collect();
    // Prefixes of each other, more shapes than are kept from chunk to chunk, the same name in another place in memory.
    let rows: Vec<Some> = (0..3 * CHUNK_ROWS)
        .map(|row| {
            let skipped = row % 7;
            let some = names.iter().skip(skipped).step_by(1 + row % 5).take(row % 90);
            Some(some.map(|name| if row % 2 == 0 { name } else { &*name.to_string().leak() }).collect())
        })
        .collect();
    let encoded: Vec<Vec<u8>> = rows.iter().map(|row| rowmark_hashing::encode(row).unwrap()).collect();
    for (row, encoded) in rows.iter().zip(&encoded) {
        let mut expected = vec![0x0e];
        expected.extend(row.0.iter().flat_map(|_| [0x11, 1]));
        expected.extend([0, 0, row.0.len() as u8]);
        row.0.iter().for_each(|name| {
            expected.push(name.len() as u8);
            expected.extend(name.bytes());
        });
        assert_eq!(*encoded, expected);
    }
    let mut backwards = rows.clone();
    backwards.reverse();
    assert_ne!(hash_rows(&rows).unwrap(), hash_rows(&backwards).unwrap());
    backwards.reverse();
    assert_eq!(hash_rows(&rows).unwrap(), hash_rows(&backwards).unwrap());
}
