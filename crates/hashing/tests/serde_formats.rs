//! Hashes and fingerprints survive the formats in which they are stored.

#![allow(clippy::unwrap_used, reason = "a test says with a panic that it failed")]

use rowmark_hashing::{ContentHash, Error, Fingerprint, hash_reader, hash_rows};

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

#[test]
fn a_failed_row_leaves_no_trace() {
    use rowmark_hashing::ContentHasher;
    struct Refuses;
    impl serde::Serialize for Refuses {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("not today"))
        }
    }
    #[derive(serde::Serialize)]
    struct Row {
        meta: std::collections::BTreeMap<&'static str, (u8, Option<Refuses>)>,
    }
    let row = |refuses| Row { meta: [("tags", (1, refuses))].into() };
    let mut hasher = ContentHasher::new();
    hasher.update(&row(None)).unwrap();
    let error = hasher.update(&row(Some(Refuses))).unwrap_err();
    assert_eq!(error.to_string(), "cannot hash rows[1].meta.tags[1]: its serializer refused: not today");
    hasher.update(&row(None)).unwrap();
    assert_eq!(hasher.finish(), hash_rows([row(None), row(None)]).unwrap());
}
