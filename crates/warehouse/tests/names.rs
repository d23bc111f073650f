//! Names of tables: every name survives printing and parsing, and no other text is one.

use proptest::prelude::*;
use rowmark_hashing::ContentHash;
use rowmark_warehouse::{DATASET_NAME_BYTES_MAX, DatasetName, TableFilter, TableName, UdfTable};
use uuid::Uuid;

fn table_name() -> impl Strategy<Value = TableName> {
    let kind = prop_oneof![
        Just(UdfTable::Input),
        Just(UdfTable::OutputPartial),
        Just(UdfTable::Output),
        Just(UdfTable::Partition),
        Just(UdfTable::Failures)
    ];
    prop_oneof![
        (any::<u128>(), any::<[u8; 32]>(), kind).prop_map(|(job, hash, kind)| TableName::udf(
            Uuid::from_u128(job),
            ContentHash::from_bytes(hash),
            kind
        )),
        ("[A-Za-z0-9][A-Za-z0-9._-]{0,127}", any::<u32>()).prop_map(|(name, version)| TableName::dataset(
            name.parse().expect("the pattern is the rule"),
            version
        )),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_name_is_read_as_it_was_written(name in table_name()) {
        let text = name.to_string();
        prop_assert_eq!(&text.parse::<TableName>().unwrap(), &name);
        prop_assert!(text.len() <= 143, "{} fits where ecryptfs and others cut names", text.len());
        prop_assert!(!text.starts_with('.') && !text.contains(['/', '\\', '\0']));
        let json = serde_json::to_string(&name).unwrap();
        prop_assert_eq!(serde_json::from_str::<TableName>(&json).unwrap(), name.clone());
        prop_assert!(TableFilter::All.matches(&name));
    }

    #[test]
    fn a_text_that_is_read_is_what_would_be_written(name in table_name(), at in any::<prop::sample::Index>(), with in any::<char>()) {
        let mut text: Vec<char> = name.to_string().chars().collect();
        let at = at.index(text.len());
        text[at] = with;
        let text: String = text.into_iter().collect();
        if let Ok(parsed) = text.parse::<TableName>() {
            prop_assert_eq!(parsed.to_string(), text);
        }
    }

    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        prop_assert!(text.parse::<TableName>().map_or(true, |name| name.to_string() == text));
        if let Ok(name) = DatasetName::new(&text) {
            prop_assert_eq!(name.as_str(), text);
        }
    }
}

#[test]
fn names_are_spelled_as_the_design_says() {
    let job = Uuid::parse_str("018f0000-0000-7000-8000-00000000002a").unwrap();
    let hash = ContentHash::from_bytes([0xab; 32]);
    let spelled = |kind| TableName::udf(job, hash, kind).to_string();
    let stem = format!("udf_018f000000007000800000000000002a_{}", "ab".repeat(32));
    assert_eq!(spelled(UdfTable::Input), format!("{stem}_input"));
    assert_eq!(spelled(UdfTable::OutputPartial), format!("{stem}_output_partial"));
    assert_eq!(spelled(UdfTable::Output), format!("{stem}_output"));
    assert_eq!(spelled(UdfTable::Partition), format!("{stem}_partition"));
    assert_eq!(spelled(UdfTable::Failures), format!("{stem}_failures"));
    let dataset = TableName::dataset(DatasetName::new("a_1_b").unwrap(), 12);
    assert_eq!(dataset.to_string(), "ds_a_1_b_12");
}

#[test]
fn texts_that_are_almost_names_are_refused() {
    let stem = format!("udf_018f000000007000800000000000002a_{}", "ab".repeat(32));
    for text in [
        "",
        "ds_",
        "ds_a",
        "ds_a_",
        "ds_a_01",
        "ds_a_+1",
        "ds_a_4294967296",
        "ds__1",
        "ds_.._1",
        "ds_a/b_1",
        "ds_a b_1",
        "ds_ä_1",
        &stem,
        &format!("{stem}_output "),
        &format!("{stem}_OUTPUT"),
        &format!("{}_output", stem.to_uppercase()),
        &format!("{}_output", stem.replace("ab", "AB")),
        &format!("udf_{{018f0000-0000-7000-8000-00000000002a}}_{}_output", "ab".repeat(32)),
    ] {
        assert!(text.parse::<TableName>().is_err(), "{text:?}");
    }
}

#[test]
fn a_refused_dataset_name_says_which_rule_it_breaks() {
    let reason = |text: &str| DatasetName::new(text).unwrap_err().to_string();
    assert_eq!(reason(""), "\"\" is not a valid dataset name: it is empty");
    assert!(reason("-rf").ends_with("it must begin with a letter or a digit"));
    assert!(reason("a/b").ends_with("it may hold only ASCII letters, digits, `.`, `_` and `-`"));
    assert!(reason(&"a".repeat(DATASET_NAME_BYTES_MAX + 1)).ends_with("it is longer than 128 bytes"));
    assert!(DatasetName::new(&"a".repeat(DATASET_NAME_BYTES_MAX)).is_ok());
}

#[test]
fn the_versions_of_a_dataset_are_not_those_of_a_longer_name() {
    let filter = TableFilter::Dataset(DatasetName::new("a").unwrap());
    assert!(filter.matches(&"ds_a_3".parse().unwrap()));
    assert!(!filter.matches(&"ds_a_b_3".parse().unwrap()));
}
