//! Row ranges against the plainest model there is: a set of row numbers.

use std::collections::BTreeSet;

use proptest::prelude::*;
use rowmark_rows::{RowRange, RowRanges};

const ROWS_MAX: u64 = 48;

fn range() -> impl Strategy<Value = RowRange> {
    (0..=ROWS_MAX, 0..=ROWS_MAX).prop_map(|(a, b)| RowRange::new(a.min(b), a.max(b)))
}

fn rows_of(range: RowRange) -> BTreeSet<u64> {
    (range.start()..range.end()).collect()
}

fn rows_of_all(ranges: &RowRanges) -> BTreeSet<u64> {
    ranges.iter().flat_map(rows_of).collect()
}

fn assert_canonical(ranges: &RowRanges) {
    let list: Vec<RowRange> = ranges.iter().collect();
    assert!(list.iter().all(|range| !range.is_empty()), "{ranges}");
    assert!(list.windows(2).all(|pair| pair[0].end() < pair[1].start()), "{ranges}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_set_of_ranges_is_a_set_of_rows(inserts in prop::collection::vec(range(), 0..14), probe in range()) {
        let mut ranges = RowRanges::new();
        let mut model = BTreeSet::new();
        for insert in &inserts {
            ranges.insert(*insert);
            model.extend(rows_of(*insert));
            assert_canonical(&ranges);
        }

        prop_assert_eq!(rows_of_all(&ranges), model.clone());
        prop_assert_eq!(ranges.rows(), model.len() as u64);
        prop_assert_eq!(ranges.is_empty(), model.is_empty());
        for row in 0..=ROWS_MAX {
            prop_assert_eq!(ranges.contains(row), model.contains(&row));
        }

        let probed = rows_of(probe);
        prop_assert_eq!(ranges.covers(probe), probed.is_subset(&model));
        let missing = ranges.missing_in(probe);
        assert_canonical(&missing);
        prop_assert_eq!(rows_of_all(&missing), probed.difference(&model).copied().collect());
        let shared: BTreeSet<u64> = probed.intersection(&model).copied().collect();
        prop_assert_eq!(ranges.overlap(probe).map(RowRange::start), shared.first().copied());
        if let Some(overlap) = ranges.overlap(probe) {
            prop_assert!(rows_of(overlap).is_subset(&shared));
        }
        let span = model.first().map(|first| RowRange::new(*first, model.last().unwrap() + 1));
        prop_assert_eq!(ranges.span(), span);
    }

    #[test]
    fn the_order_of_arrival_does_not_matter(mut inserts in prop::collection::vec(range(), 0..14)) {
        let forwards: RowRanges = inserts.iter().copied().collect();
        inserts.reverse();
        let mut backwards = RowRanges::new();
        backwards.extend(inserts);
        prop_assert_eq!(&forwards, &backwards);

        let text = serde_json::to_string(&forwards).unwrap();
        prop_assert_eq!(serde_json::from_str::<RowRanges>(&text).unwrap(), forwards);
    }

    #[test]
    fn two_ranges_share_what_their_rows_share(a in range(), b in range()) {
        let shared: BTreeSet<u64> = rows_of(a).intersection(&rows_of(b)).copied().collect();
        prop_assert_eq!(a.intersect(b).map(rows_of).unwrap_or_default(), shared);
        prop_assert_eq!(a.intersect(b), b.intersect(a));
        prop_assert_eq!(a.len(), rows_of(a).len() as u64);
    }
}

#[test]
fn ranges_read_back_are_made_canonical() {
    let text = r#"[{"start":5,"end":9},{"start":0,"end":0},{"start":0,"end":5},{"start":2,"end":3}]"#;
    let ranges: RowRanges = serde_json::from_str(text).unwrap();
    assert_eq!(ranges, RowRanges::from(RowRange::new(0, 9)));
}

#[test]
fn the_ends_of_the_number_line_do_not_overflow() {
    let mut ranges = RowRanges::new();
    ranges.insert(RowRange::new(u64::MAX - 2, u64::MAX));
    ranges.insert(RowRange::new(0, 1));
    assert_eq!(ranges.rows(), 3);
    assert_eq!(ranges.missing_in(RowRange::new(0, u64::MAX)).to_string(), format!("1..{}", u64::MAX - 2));
    ranges.insert(RowRange::new(1, u64::MAX - 2));
    assert_eq!(ranges, RowRanges::from(RowRange::new(0, u64::MAX)));
}

#[test]
fn a_set_prints_as_ranges() {
    assert_eq!(RowRanges::new().to_string(), "none");
    let ranges: RowRanges = [RowRange::new(7, 9), RowRange::new(0, 2)].into_iter().collect();
    assert_eq!(ranges.to_string(), "0..2, 7..9");
    assert_eq!(format!("{ranges:?}"), "{0..2, 7..9}");
}
