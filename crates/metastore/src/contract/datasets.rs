//! Dataset versions.

use super::sample::{dataset, hash};
use super::{Check, Expected, assert_error};
use crate::{DatasetRef, Error, Metastore, NAME_BYTES_MAX};

pub(super) const CHECKS: &[Check] = &[
    a_version_is_kept_as_it_is,
    a_version_is_saved_once,
    no_version_is_the_highest,
    versions_are_never_given_twice,
    a_chain_finds_its_version_again,
    versions_are_listed_by_name_and_version,
    removal_is_not_an_error_twice,
    bounds_are_kept,
];

fn a_version_is_kept_as_it_is(store: &dyn Metastore) {
    let version = dataset("reviews", 7, "chain");
    store.save_dataset(&version).expected();
    assert_eq!(store.get_dataset("reviews", Some(7)).expected(), Some(version));
    assert_eq!(store.get_dataset("reviews", Some(1)).expected(), None);
    for name in ["review", "reviewss", "", "reviews\0", "reviews\0\0"] {
        assert_eq!(store.get_dataset(name, Some(7)).expected(), None, "{name:?}");
        assert_eq!(store.get_dataset(name, None).expected(), None, "{name:?}");
        assert_eq!(store.get_next_dataset_version(name).expected(), 1, "{name:?}");
    }
}

fn a_version_is_saved_once(store: &dyn Metastore) {
    let first = dataset("reviews", 1, "chain");
    store.save_dataset(&first).expected();
    let answer = store.save_dataset(&dataset("reviews", 1, "another chain"));
    assert_error!(answer, Error::DatasetVersionExists { name, version: 1 } if name == "reviews");
    assert_eq!(store.get_dataset("reviews", Some(1)).expected(), Some(first));
    assert_eq!(store.find_datasets_by_chain(hash("another chain")).expected(), []);
}

fn no_version_is_the_highest(store: &dyn Metastore) {
    for version in [2, 300, 1, 70_000, 256] {
        store.save_dataset(&dataset("reviews", version, "chain")).expected();
    }
    store.save_dataset(&dataset("reviewz", 80_000, "chain")).expected();
    let highest = store.get_dataset("reviews", None).expected();
    assert_eq!(highest.map(|dataset| dataset.version), Some(70_000));
}

fn versions_are_never_given_twice(store: &dyn Metastore) {
    for expected in 1..=3 {
        assert_eq!(store.get_next_dataset_version("reviews").expected(), expected);
        assert_eq!(store.get_next_dataset_version("reviews").expected(), expected);
        store.save_dataset(&dataset("reviews", expected, "chain")).expected();
    }
    for version in [3, 1, 2] {
        assert!(store.remove_dataset("reviews", version).expected());
        assert_eq!(store.get_next_dataset_version("reviews").expected(), 4);
    }
    assert_eq!(store.get_dataset("reviews", None).expected(), None);
    assert_eq!(store.get_next_dataset_version("others").expected(), 1);
    store.save_dataset(&dataset("reviews", 2, "chain")).expected(); // put back from its table
    assert_eq!(store.get_next_dataset_version("reviews").expected(), 4);

    store.save_dataset(&dataset("reviews", u32::MAX, "chain")).expected();
    assert_error!(store.get_next_dataset_version("reviews"), Error::Invalid { .. });
}

fn a_chain_finds_its_version_again(store: &dyn Metastore) {
    let saved = [
        dataset("reviews", 1, "left"),
        dataset("reviews", 2, "right"),
        dataset("another", 9, "left"),
        dataset("reviews", 4, "left"),
        dataset("reviews", 3, "left"),
    ];
    for version in &saved {
        store.save_dataset(version).expected();
    }
    assert_eq!(store.find_dataset("reviews", hash("right")).expected().as_ref(), Some(&saved[1]));
    assert_eq!(store.find_dataset("reviews", hash("left")).expected().as_ref(), Some(&saved[4]));
    assert_eq!(store.find_dataset("another", hash("left")).expected().as_ref(), Some(&saved[2]));
    assert_eq!(store.find_dataset("another", hash("right")).expected(), None);
    let by_chain = store.find_datasets_by_chain(hash("left")).expected();
    assert_eq!(by_chain, [4, 3, 2, 0].map(|index: usize| saved[index].clone()));
    assert_eq!(store.find_datasets_by_chain(hash("neither")).expected(), []);
}

fn versions_are_listed_by_name_and_version(store: &dyn Metastore) {
    assert_eq!(store.list_datasets().expected(), []);
    for (name, version) in [("b", 2), ("a", 10), ("ab", 1), ("b", 1), ("a", 9), ("ä", 1), ("B", 1)] {
        store.save_dataset(&dataset(name, version, "chain")).expected();
    }
    let listed: Vec<_> = store.list_datasets().expected();
    let listed: Vec<_> = listed.iter().map(|dataset| (dataset.name.as_str(), dataset.version)).collect();
    assert_eq!(listed, [("B", 1), ("a", 9), ("a", 10), ("ab", 1), ("b", 1), ("b", 2), ("ä", 1)]);
}

fn removal_is_not_an_error_twice(store: &dyn Metastore) {
    store.save_dataset(&dataset("reviews", 1, "chain")).expected();
    store.save_dataset(&dataset("reviews", 2, "chain")).expected();
    assert!(!store.remove_dataset("reviews", 3).expected());
    assert!(!store.remove_dataset("review", 1).expected());
    assert!(store.remove_dataset("reviews", 1).expected());
    assert!(!store.remove_dataset("reviews", 1).expected());
    assert_eq!(store.get_dataset("reviews", Some(1)).expected(), None);
    assert_eq!(store.find_datasets_by_chain(hash("chain")).expected().len(), 1);
    assert_eq!(store.list_datasets().expected().len(), 1);
}

fn bounds_are_kept(store: &dyn Metastore) {
    let mut wrong = vec![dataset("reviews", 1, "chain"); 5];
    wrong[0].version = 0;
    wrong[1].name = "re\0views".to_owned();
    wrong[2].name = "n".repeat(NAME_BYTES_MAX + 1);
    wrong[3].table = String::new();
    wrong[4].dependencies = vec![DatasetRef { name: "source".to_owned(), version: 0 }];
    for version in &wrong {
        assert_error!(store.save_dataset(version), Error::Invalid { .. } | Error::TooLong { .. });
    }
    assert_eq!(store.list_datasets().expected(), []);
    assert_eq!(store.get_next_dataset_version("reviews").expected(), 1);

    let mut long = dataset("reviews", 1, "chain");
    long.schema = "field: utf8, ".repeat(30_000);
    store.save_dataset(&long).expected();
    assert_eq!(store.get_dataset("reviews", None).expected(), Some(long));
}
