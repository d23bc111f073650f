//! What holds for all values and all streams, not only for those that somebody thought of.

#![allow(clippy::unwrap_used, reason = "a test says with a panic that it failed")]

mod arrow;
mod decode;

use std::collections::HashMap;
use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;
use rowmark_hashing::strategies::{Value, arb_rows, arb_value};
use rowmark_hashing::{
    BLOCK_BYTES, BytesHasher, CHUNK_ROWS, ChunkDigest, ContentHash, ContentHasher, Error, Fingerprint,
    RowHasher, UnorderedHasher, encode, hash_reader, hash_rows, par_hash_reader, par_hash_rows,
};

static POOLS: LazyLock<[rayon::ThreadPool; 3]> = LazyLock::new(|| {
    [1, 2, 8].map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap())
});

/// The same value with the entries of every map the other way round, and so in another order if there are two.
fn reversed_maps(value: &Value) -> Value {
    let all = |values: &[Value]| values.iter().map(reversed_maps).collect();
    match value {
        Value::Some(value) => Value::Some(Box::new(reversed_maps(value))),
        Value::Sequence(values) => Value::Sequence(all(values)),
        Value::Tuple(values) => Value::Tuple(all(values)),
        Value::Map(entries) => {
            let entry = |(key, value): &(Value, Value)| (reversed_maps(key), reversed_maps(value));
            Value::Map(entries.iter().rev().map(entry).collect())
        }
        Value::Struct(fields) => {
            Value::Struct(fields.iter().map(|(name, value)| (*name, reversed_maps(value))).collect())
        }
        Value::Variant(name, data) => {
            Value::Variant(name, data.as_ref().map(|value| Box::new(reversed_maps(value))))
        }
        other => other.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn an_encoding_reads_back_as_its_value(value in arb_value()) {
        prop_assert_eq!(decode::value(&encode(&value)?), value);
    }

    /// The encoder keeps long rows elsewhere than short ones; no value may notice where the border is.
    #[test]
    fn long_encodings_read_back(value in arb_value(), before in 1900..2100_usize, after in 0..5000_usize) {
        let map = |value| Value::map(vec![(Value::Bytes(vec![1; before]), value), (Value::Unit, Value::Bool(true))]);
        for long in [
            Value::Tuple(vec![Value::Bytes(vec![0; before]), value.clone(), Value::String("x".repeat(after))]),
            Value::Struct(vec![("id", Value::Bytes(vec![0; before])), ("name", map(value.clone()))]),
            map(Value::Sequence(vec![value.clone(); 1 + after / 1000])),
        ] {
            prop_assert_eq!(decode::value(&encode(&long)?), long.clone());
            let mut hasher = ContentHasher::new();
            hasher.update(&long)?;
            hasher.update(&value)?;
            let twice = Value::Map(vec![(long.clone(), Value::Unit), (long.clone(), Value::Unit)]);
            prop_assert!(hasher.update(&twice).is_err());
            hasher.update(&value)?;
            prop_assert_eq!(hasher.finish(), hash_rows([&long, &value, &value])?);
        }
    }

    #[test]
    fn different_values_have_different_hashes(a in arb_value(), b in arb_value()) {
        prop_assert_eq!(a == b, ContentHash::of(&a)? == ContentHash::of(&b)?);
        prop_assert_eq!(a == b, encode(&a)? == encode(&b)?);
    }

    #[test]
    fn no_encoding_begins_another(a in arb_value(), b in arb_value()) {
        prop_assert!(a == b || !encode(&a)?.starts_with(&encode(&b)?));
    }

    #[test]
    fn a_wrapped_value_is_another(value in arb_value()) {
        let wrapped = [
            value.clone(),
            Value::Some(Box::new(value.clone())),
            Value::Sequence(vec![value.clone()]),
            Value::Tuple(vec![value.clone()]),
            Value::Struct(vec![("id", value.clone())]),
            Value::Map(vec![(Value::String("id".to_owned()), value.clone())]),
            Value::Map(vec![(value.clone(), Value::String("id".to_owned()))]),
            Value::Variant("id", Some(Box::new(value))),
        ];
        let hashes = wrapped.iter().map(ContentHash::of).collect::<Result<std::collections::BTreeSet<_>, _>>()?;
        prop_assert_eq!(hashes.len(), wrapped.len());
    }

    #[test]
    fn integers_count_by_value(number in any::<u8>(), wide in any::<i64>()) {
        let hash = ContentHash::of(&number)?;
        for other in [
            ContentHash::of(&u16::from(number))?, ContentHash::of(&i32::from(number))?,
            ContentHash::of(&u64::from(number))?, ContentHash::of(&i128::from(number))?,
        ] {
            prop_assert_eq!(other, hash);
        }
        prop_assert_eq!(ContentHash::of(&wide)?, ContentHash::of(&i128::from(wide))?);
        prop_assert_eq!(ContentHash::of(&(wide as u64))?, ContentHash::of(&u128::from(wide as u64))?);
    }

    #[test]
    fn maps_have_no_order(value in arb_value(), entries in any::<HashMap<String, i64>>()) {
        let other = reversed_maps(&value);
        prop_assert_eq!(ContentHash::of(&value)?, ContentHash::of(&other)?);
        prop_assert_eq!(&value, &other);
        let again: HashMap<_, _> = entries.iter().collect();
        prop_assert_eq!(ContentHash::of(&entries)?, ContentHash::of(&again)?);
    }

    #[test]
    fn a_key_twice_is_refused(entries in vec((arb_value(), arb_value()), 1..6), which in any::<prop::sample::Index>()) {
        let Value::Map(mut entries) = Value::map(entries) else { unreachable!() };
        let again = (reversed_maps(&entries[which.index(entries.len())].0), Value::Unit);
        entries.push(again);
        let error = ContentHash::of(&("outer", Value::Map(entries))).unwrap_err();
        prop_assert!(matches!(&error, Error::DuplicateKey { path, .. } if path == "value[1]"), "{}", error);
    }

    #[test]
    fn text_round_trips(bytes in any::<[u8; 32]>(), wrong in "[^0-9a-fA-F]", at in 0..64_usize) {
        let hash = ContentHash::from_bytes(bytes);
        let text = hash.to_string();
        prop_assert_eq!(text.parse::<ContentHash>()?, hash);
        prop_assert_eq!(serde_json::from_str::<ContentHash>(&serde_json::to_string(&hash)?)?, hash);
        let mut broken = text.clone();
        broken.replace_range(at..=at, &wrong);
        prop_assert!(broken.parse::<ContentHash>().is_err());
        prop_assert!(text[..at].parse::<ContentHash>().is_err());
        prop_assert!(text.starts_with(&hash.short().to_string()));
    }

    #[test]
    fn an_order_free_hash_has_no_order(rows in vec(arb_value(), 0..20), split in any::<prop::sample::Index>()) {
        let hash = |rows: &[Value]| {
            let mut hasher = UnorderedHasher::new();
            rows.iter().try_for_each(|row| hasher.update(row)).map(|()| hasher)
        };
        let split = split.index(rows.len() + 1);
        let mut merged = hash(&rows[split..])?;
        merged.merge(&hash(&rows[..split])?);
        let whole = hash(&rows)?.finish();
        prop_assert_eq!(merged.rows(), rows.len() as u64);
        prop_assert_eq!(merged.finish(), whole);
        let mut twice = hash(&rows)?;
        if let Some(row) = rows.first() {
            twice.update(row)?;
            prop_assert_ne!(twice.clone().finish(), whole);
            twice.update(row)?;
            prop_assert_ne!(twice.finish(), whole);
        }
    }

    /// What a hasher did before does not count, not even if that failed; and two rows have one hash if they are one.
    #[test]
    fn a_row_has_one_hash(rows in vec(arb_value(), 1..8), context in any::<[u8; 32]>()) {
        let context = ContentHash::from_bytes(context);
        let mut hasher = RowHasher::new(context);
        let twice = Value::Map(vec![(Value::Unit, rows[0].clone()), (Value::Unit, Value::Unit)]);
        let mut known = HashMap::new();
        for row in rows.iter().chain(&rows) {
            let hash = hasher.hash(row)?;
            prop_assert_eq!(RowHasher::new(context).hash(row)?, hash);
            let encoding = encode(row)?;
            prop_assert_eq!(known.entry(hash).or_insert_with(|| encoding.clone()), &encoding);
            let refused = hasher.hash(&(row, &twice)).unwrap_err();
            prop_assert!(refused.to_string().contains("row"), "{}", refused);
        }
        prop_assert!(known.values().enumerate().all(|(index, one)| known.values().skip(index + 1).all(|other| one != other)));
    }

    #[test]
    fn fingerprints_differ_where_they_say(
        old in vec(("[abc]", 0..3_u8), 0..5), new in vec(("[abc]", 0..3_u8), 0..5), domains in any::<[bool; 2]>(),
    ) {
        let fingerprint = |domain: bool, parts: &[(String, u8)]| {
            let empty = Fingerprint::new(if domain { "one" } else { "other" });
            parts.iter().try_fold(empty, |fingerprint, (label, value)| fingerprint.with(label, value))
        };
        let (old, new) = (fingerprint(domains[0], &old)?, fingerprint(domains[1], &new)?);
        let difference = new.first_difference(&old);
        prop_assert_eq!(difference.is_none(), old.hash() == new.hash());
        prop_assert_eq!(difference.is_none(), old == new);
        if let Some(difference) = difference {
            prop_assert_ne!(difference.old, difference.new);
        }
        let config = bincode::config::standard();
        let bytes = bincode::serde::encode_to_vec(&new, config)?;
        prop_assert_eq!(bincode::serde::decode_from_slice::<Fingerprint, _>(&bytes, config)?.0, new);
        prop_assert!(bincode::serde::decode_from_slice::<Fingerprint, _>(&bytes[..bytes.len() - 1], config).is_err());
    }
}

/// Few values, so that long streams are cheap and rows are sometimes equal.
fn arb_stream() -> impl Strategy<Value = Vec<(u8, String)>> {
    vec((0..4_u8, "[ab]{0,2}"), 0..3 * CHUNK_ROWS)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn threads_do_not_count(rows in prop_oneof![arb_stream().prop_map(|rows| rows.into_iter()
        .map(|(a, b)| Value::Struct(vec![("id", Value::Unsigned(a.into())), ("n", Value::String(b))])).collect()),
        arb_rows(0..40)]) {
        let hash = hash_rows(&rows)?;
        for pool in &*POOLS {
            prop_assert_eq!(pool.install(|| par_hash_rows(&rows))?, hash);
        }
    }

    #[test]
    fn rows_taken_on_many_threads_count_the_same(rows in arb_stream(), cut in any::<prop::sample::Index>()) {
        let (one_by_one, together) = rows.split_at(cut.index(rows.len() + 1));
        let mut hasher = ContentHasher::new();
        one_by_one.iter().try_for_each(|row| hasher.update(row))?;
        hasher.par_update(together)?;
        prop_assert_eq!(hasher.finish(), hash_rows(&rows)?);
    }

    #[test]
    fn chunks_can_be_hashed_apart(rows in arb_stream(), apart in vec(any::<bool>(), 3)) {
        let mut hasher = ContentHasher::new();
        for (chunk, apart) in rows.chunks(CHUNK_ROWS).zip(apart.iter().cycle()) {
            if *apart && chunk.len() == CHUNK_ROWS {
                hasher.update_chunk(ChunkDigest::of(chunk)?);
            } else {
                chunk.iter().try_for_each(|row| hasher.update(row))?;
            }
        }
        prop_assert_eq!(hasher.rows(), rows.len() as u64);
        prop_assert_eq!(hasher.finish(), hash_rows(&rows)?);
    }

    #[test]
    fn batches_do_not_count(rows in arb_stream(), cuts in vec(any::<prop::sample::Index>(), 0..5)) {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(rows.len() + 1)).collect();
        cuts.sort_unstable();
        let mut hasher = ContentHasher::new();
        let mut done = 0;
        for cut in cuts.into_iter().chain([rows.len()]) {
            // A clone goes its own way, and what is half done can move to another thread.
            let mut clone = hasher.clone();
            clone.update("a row of another stream")?;
            let (mut moved, part) = (hasher, &rows[done..cut]);
            hasher = std::thread::scope(|scope| {
                scope.spawn(move || part.iter().try_for_each(|row| moved.update(row)).map(|()| moved)).join().unwrap()
            })?;
            done = cut;
        }
        prop_assert_eq!(hasher.rows(), rows.len() as u64);
        prop_assert_eq!(hasher.finish(), hash_rows(&rows)?);
    }

    #[test]
    fn every_bit_and_every_place_count(
        rows in vec(any::<(u64, u32, bool)>(), 1..2 * CHUNK_ROWS), one in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(), bit in 0..64,
    ) {
        let hash = hash_rows(&rows)?;
        let (one, other) = (one.index(rows.len()), other.index(rows.len()));
        let mut flipped = rows.clone();
        flipped[one].0 ^= 1_u64 << bit;
        prop_assert_ne!(hash_rows(&flipped)?, hash);
        let mut swapped = rows.clone();
        swapped.swap(one, other);
        prop_assert_eq!(hash_rows(&swapped)? == hash, rows[one] == rows[other]);
        let mut removed = rows.clone();
        removed.remove(one);
        prop_assert_ne!(hash_rows(&removed)?, hash);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn bytes_have_no_batches(length in prop_oneof![0..2000_usize, BLOCK_BYTES - 2..BLOCK_BYTES + 2, 0..3 * BLOCK_BYTES],
                             step in 1..100_000_usize, flip in any::<prop::sample::Index>()) {
        let mut bytes: Vec<u8> = (0..length).map(|index| (index * 31 % 251) as u8).collect();
        let hash = hash_reader(&bytes[..])?;
        let mut hasher = BytesHasher::new();
        bytes.chunks(step).for_each(|part| hasher.update(part));
        prop_assert_eq!(hasher.finish(), hash);
        for pool in &*POOLS {
            prop_assert_eq!(pool.install(|| par_hash_reader(&bytes[..]))?, hash);
        }
        if let Some(byte) = bytes.get_mut(flip.index(length.max(1))) {
            *byte ^= 1;
            prop_assert_ne!(hash_reader(&bytes[..])?, hash);
        }
    }
}
