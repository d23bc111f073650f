//! a: groups of rows, and folds.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use rowmark::prelude::*;

use crate::support::{Calls, FailAt, Folder, builder, bytes, failed_row, told};

#[test]
fn a01_groups_that_were_finished_before_a_failure_are_not_called_again() {
    static CALLS: Calls = Calls::new();
    static FAIL_AT: FailAt = FailAt::never();
    let folder = Folder::new();
    let run = || {
        let sums = folder.session_in_order().read_records((0..1000u64).collect()).agg(
            udf!("hundredths", |n: &u64| n % 100),
            udf!("sum", |group: &Group<u64, u64>| {
                FAIL_AT.check(*group.key())?;
                CALLS.count(*group.key());
                assert_eq!(group.rows().count() as u64, group.len());
                Ok::<_, String>(group.rows().sum::<u64>())
            }),
        );
        sums.save("sums")
    };
    for group in [0, 40, 41, 99] {
        FAIL_AT.set(group);
        assert_eq!(failed_row(run()), (group, format!("row {group} is bad")));
    }
    FAIL_AT.set(None);
    let saved = run().unwrap();
    assert_eq!(CALLS.take(), (0..100).map(|key| (key, 1)).collect());
    assert_eq!(told(saved.report(), "sum"), "continued 100 = 99 + 1");
    assert_eq!(told(saved.report(), "order by hundredths"), "skipped 1000 = 1000 + 0");
    let rows = folder.session().read_dataset::<u64>("sums", None).unwrap().collect().unwrap();
    assert_eq!(rows, (0..100).map(|key| 10 * key + 4500).collect::<Vec<_>>());
}

static LIVE: AtomicI64 = AtomicI64::new(0);
static LIVE_MAX: AtomicI64 = AtomicI64::new(0);

/// Is counted while it lives.
#[derive(Debug)]
struct Live(());

impl Live {
    fn begin() -> Self {
        let live = LIVE.fetch_add(1, Ordering::SeqCst) + 1;
        LIVE_MAX.fetch_max(live, Ordering::SeqCst);
        Self(())
    }
}

impl Default for Live {
    fn default() -> Self {
        Self::begin()
    }
}

impl Clone for Live {
    fn clone(&self) -> Self {
        Self::begin()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Counted {
    n: u64,
    text: String,
    #[serde(skip)]
    _live: Live,
}

impl Counted {
    fn new(n: u64) -> Self {
        Self { n, text: format!("{n:0>100}"), _live: Live::begin() }
    }
}

#[test]
fn a02_groups_larger_than_memory_are_streamed_and_sorting_spills() {
    const ROWS: u64 = 200_000; // of about 110 bytes: 22 MB
    let folder = Folder::new();
    let session = builder(&folder.path()).sort_bytes_max(1 << 20).open().unwrap();
    session
        .read_records((0..ROWS).collect())
        .flat_map(udf!("large", |n: &u64| [Counted::new(*n)]))
        .save("rows")
        .unwrap();
    LIVE_MAX.store(LIVE.load(Ordering::SeqCst), Ordering::SeqCst);

    let rows = session.read_dataset::<Counted>("rows", None).unwrap();
    let sums = rows.agg(
        udf!("even", |row: &Counted| row.n.is_multiple_of(2)),
        udf!("sum", |group: &Group<bool, Counted>| {
            (*group.key(), group.len(), group.rows().map(|row| row.n).sum::<u64>())
        }),
    );
    let half = ROWS / 2;
    assert_eq!(sums.collect().unwrap(), [(false, half, half * half), (true, half, half * (half - 1))]);
    // What is decoded at a time: 8192 rows by each of two workers, some of them in batches that wait.
    let live_max = LIVE_MAX.load(Ordering::SeqCst);
    println!("at most {live_max} of {ROWS} rows were in memory");
    assert!(live_max < 80_000, "{live_max} of {ROWS} rows were in memory at a time");
    let tables = session.warehouse().list(&rowmark::warehouse::TableFilter::All).unwrap();
    assert!(tables.iter().all(|table| !table.to_string().contains("partition")), "{tables:?}");
}

/// Sorts and groups rows of 500 bytes and tells the most memory that the process ever had, in kB.
#[test]
fn child_that_groups_in_little_memory() {
    let Ok(rows) = std::env::var("ROWMARK_TEST_GROUP_ROWS") else { return };
    let folder = Folder::new();
    let session = builder(&folder.path()).sort_bytes_max(2 << 20).batch_bytes_max(1 << 20).open().unwrap();
    let rows: u64 = rows.parse().unwrap();
    let texts = session.read_records((0..rows / 100).collect()).flat_map(udf!("texts", |n: &u64| {
        (0..100).map(|text| format!("{:0>500}", n * 100 + text)).collect::<Vec<_>>()
    }));
    let bytes = texts.agg(
        udf!("two", |text: &String| text.ends_with('7')),
        udf!("bytes", |group: &Group<bool, String>| group.rows().map(|text| text.len() as u64).sum::<u64>()),
    );
    assert_eq!(bytes.collect().unwrap(), [rows * 450, rows * 50]);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("peak {}", peak.trim().trim_end_matches(" kB"));
}

#[test]
fn a02_three_times_the_rows_need_hardly_more_memory() {
    let peak_kb = |rows: u64| -> u64 {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "aggregate::child_that_groups_in_little_memory", "--nocapture"])
            .env("ROWMARK_TEST_GROUP_ROWS", rows.to_string())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().find_map(|line| line.split("peak ").nth(1)).expect(&text).trim().parse().unwrap()
    };
    let (few, many) = (peak_kb(100_000), peak_kb(300_000));
    println!("50 MB of rows: {few} kB at the most; 150 MB: {many} kB");
    assert!(many < few + 60_000, "the rows are 100 MB more, and the memory {few} kB became {many} kB");
}

#[test]
fn a_million_outputs_of_one_input_are_one_batch_that_is_read_in_pieces() {
    const OUTPUTS: u64 = 1_000_000;
    let folder = Folder::new();
    let session = folder.session();
    let many = session.read_values(&[0u64, OUTPUTS, 0]).flat_map(udf!("many", |n: &u64| 0..*n));
    assert_eq!(many.save("many").unwrap().rows(), OUTPUTS);
    let next = session.read_dataset::<u64>("many", None).unwrap().map(udf!("next", |n: &u64| n + 1));
    assert_eq!(next.save("next").unwrap().rows(), OUTPUTS);
    assert_eq!(next.offset(OUTPUTS - 1).first().unwrap(), Some(OUTPUTS));
}

#[test]
fn a03_a_fold_goes_on_from_its_last_state() {
    static CALLS: Calls = Calls::new();
    static FAIL_AT: FailAt = FailAt::never();
    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Tally {
        rows: u64,
        sum: u64,
        last: Option<u64>,
    }
    let folder = Folder::new();
    let run = || {
        let session = builder(&folder.path()).threads(4).durability(Durability::EveryRow).open().unwrap();
        let tally =
            session.read_records((0..2000u64).collect()).filter(udf!("even", |n: &u64| n.is_multiple_of(2)));
        let tally = tally.fold(
            Tally::default(),
            udf!("tally", |tally: &mut Tally, n: &u64| {
                tally.rows += 1; // half of the state has changed when it fails
                FAIL_AT.check(*n)?;
                CALLS.count(*n);
                assert!(tally.last < Some(*n), "rows come in their order");
                (tally.sum, tally.last) = (tally.sum + n, Some(*n));
                Ok::<_, String>(())
            }),
        );
        tally.save("tally").map(|saved| (saved, tally.collect().unwrap()))
    };
    for row in [0, 700, 702] {
        FAIL_AT.set(row);
        assert_eq!(failed_row(run().map(|_| ())).0, row);
    }
    FAIL_AT.set(None);
    let (saved, rows) = run().unwrap();
    assert_eq!(rows, [Tally { rows: 1000, sum: 999_000, last: Some(1998) }]);
    assert_eq!((saved.rows(), saved.report().step("tally").unwrap().rows_reused), (1, 702));
    assert_eq!(CALLS.take(), (0..1000).map(|n| (2 * n, 1)).collect());
}

#[test]
fn a03_a_state_that_a_failed_call_has_half_changed_is_never_saved() {
    static FAIL_AT: FailAt = FailAt::never();
    for panics in [false, true] {
        let folder = Folder::new();
        let run = || {
            let sums = folder.session().read_records((0..1000u64).collect()).fold(
                (0u64, 0u64),
                udf!("sums", captures(panics), |(rows, sum): &mut (u64, u64), n: &u64| {
                    *rows += 1;
                    assert!(!panics || FAIL_AT.check(*n).is_ok());
                    FAIL_AT.check(*n)?;
                    *sum += n;
                    Ok::<_, String>(())
                }),
            );
            sums.collect()
        };
        for row in [3, 4, 500, 999] {
            FAIL_AT.set(row);
            assert_eq!(failed_row(run()).0, row);
        }
        FAIL_AT.set(None);
        assert_eq!(run().unwrap(), [(1000, 499_500)]);
    }
}

#[test]
fn a03_a_fold_ends_at_the_first_row_that_fails_in_every_attempt_whatever_the_policy() {
    static CALLS: Calls = Calls::new();
    let folder = Folder::new();
    for panics in [false, true] {
        let session = builder(&folder.path())
            .on_error(OnError::Record { failures_max: 10 })
            .retry(Retry { attempts: 3, delay: std::time::Duration::ZERO, ..Retry::default() })
            .open()
            .unwrap();
        let chain = session.read_records((0..10u64).collect()).fold(
            0u64,
            udf!("sum", captures(panics), |sum: &mut u64, n: &u64| {
                CALLS.count(*n);
                *sum += n;
                assert!(!panics || *n != 4, "four");
                if *n == 4 { Err("four") } else { Ok(()) }
            }),
        );
        let (row, text) = failed_row(chain.save("sum"));
        assert_eq!((row, text.contains("four")), (4, true));
        assert!(CALLS.take()[&4] >= 3, "a failed call changes a copy of the state, so it can be tried again");
        assert_eq!(session.failures("sum").unwrap(), []);
    }
}

#[test]
fn a_fold_over_nothing_is_its_initial_state() {
    let folder = Folder::new();
    let session = folder.session();
    let sum = |rows: Chain<u64>, initial| rows.fold(initial, udf!("sum", |sum: &mut u64, n: &u64| *sum += n));
    let none = session.read_values::<u64>(&[]);
    let filtered = session.read_values(&[1u64, 2]).filter(udf!("no", |_: &u64| false));
    for rows in [none, filtered] {
        for _ in 0..2 {
            let fold = sum(rows.clone(), 7);
            assert_eq!(
                (fold.collect().unwrap(), fold.count().unwrap(), fold.first().unwrap()),
                (vec![7], 1, Some(7))
            );
            assert_eq!(fold.save("sum").unwrap().rows(), 1);
            assert_eq!(sum(rows.clone(), 8).collect().unwrap(), [8], "another state is another fold");
            assert_eq!(fold.limit(0).collect().unwrap(), Vec::<u64>::new());
            assert_eq!(fold.map(udf!("next", |n: &u64| n + 1)).collect().unwrap(), [8]);
            assert_eq!(sum(fold.union(&fold), 0).collect().unwrap(), [14]);
        }
    }
}

#[test]
fn a04_groups_come_in_the_order_of_their_keys_whatever_the_threads() {
    let mut seen = Vec::new();
    for (threads, sort_bytes_max) in [(1, 128 << 20), (2, 1), (8, 10_000)] {
        let folder = Folder::new();
        let session = builder(&folder.path()).threads(threads).sort_bytes_max(sort_bytes_max).open().unwrap();
        let rows: Vec<u64> = (0..3000).map(|n| n * 7919 % 1009).collect();
        let groups = session.read_values(&rows).agg(
            udf!("by", |n: &u64| (Reverse(n % 17), format!("{:03}", n % 5))),
            udf!("list", |group: &Group<(Reverse<u64>, String), u64>| {
                let pause = group.key().0.0; // groups end in another order than they begin
                std::thread::sleep(std::time::Duration::from_micros(100 * pause));
                (group.key().clone(), group.rows().collect::<Vec<_>>())
            }),
        );
        let mut expected: BTreeMap<_, Vec<u64>> = BTreeMap::new();
        for n in rows {
            expected.entry((Reverse(n % 17), format!("{:03}", n % 5))).or_default().push(n);
        }
        let groups = groups.collect().unwrap();
        assert!(groups == Vec::from_iter(expected), "{threads} threads");
        seen.push(bytes(&groups));
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn aggregations_over_nothing_after_a_filter_and_over_aggregations() {
    let folder = Folder::new();
    let session = folder.session();
    let count = || udf!("count", |group: &Group<u64, u64>| (*group.key(), group.len()));
    let tens = || udf!("tens", |n: &u64| n / 10);
    assert!(session.read_values::<u64>(&[]).agg(tens(), count()).collect().unwrap().is_empty());
    let numbers = session.read_records((0..100u64).collect());
    assert!(numbers.filter(udf!("no", |_: &u64| false)).agg(tens(), count()).collect().unwrap().is_empty());

    let odd = numbers.filter(udf!("odd below 35", |n: &u64| n % 2 == 1 && *n < 35)).agg(tens(), count());
    assert_eq!(odd.collect().unwrap(), [(0, 5), (1, 5), (2, 5), (3, 2)]);
    let by_count = odd.agg(
        udf!("by count", |row: &(u64, u64)| row.1),
        udf!("keys", |group: &Group<u64, (u64, u64)>| (
            *group.key(),
            group.rows().map(|row| row.0).collect::<Vec<_>>()
        )),
    );
    assert_eq!(by_count.collect().unwrap(), [(2, vec![3]), (5, vec![0, 1, 2])]);

    let pairs = numbers.flat_agg(
        tens(),
        udf!("few", |group: &Group<u64, u64>| {
            let few = (*group.key() % 3) as usize;
            // The rows can be read several times, also at one time.
            group.rows().zip(group.rows().skip(1)).map(|(one, next)| one + next).take(few).collect::<Vec<_>>()
        }),
    );
    assert_eq!(pairs.collect().unwrap(), [21, 41, 43, 81, 101, 103, 141, 161, 163]);
}

mod by_tens {
    #[rowmark::udf]
    pub fn key(n: &u64) -> u64 {
        n / 10
    }
}

mod by_twenties {
    #[rowmark::udf]
    pub fn key(n: &u64) -> u64 {
        n / 20
    }
}

#[test]
fn i07_when_the_key_changed_partial_progress_is_not_used() {
    static CALLS: Calls = Calls::new();
    static FAIL_AT: FailAt = FailAt::never();
    let folder = Folder::new();
    let sum = || {
        udf!("sum", |group: &Group<u64, u64>| {
            FAIL_AT.check(*group.key())?;
            CALLS.count(*group.key());
            Ok::<_, String>(group.rows().sum::<u64>())
        })
    };
    let numbers = |session: Session| session.read_records((0..100u64).collect());
    FAIL_AT.set(3);
    failed_row(numbers(folder.session_in_order()).agg(by_tens::key, sum()).save("sums"));
    assert_eq!(CALLS.take_total(), 3);
    FAIL_AT.set(None);
    let saved = numbers(folder.session_in_order()).agg(by_twenties::key, sum()).save("sums").unwrap();
    assert_eq!((CALLS.take_total(), saved.rows()), (5, 5));
    assert_eq!(told(saved.report(), "sum"), "run 5 = 0 + 5");
    assert_eq!(saved.report().step("groups by key").map(|step| step.rows_out), Some(5), "{}", saved.report());
}

#[test]
fn i08_an_edit_of_one_of_several_independent_chains_or_another_order_leaves_the_others_alone() {
    static CALLS: Mutex<Vec<&str>> = Mutex::new(Vec::new());
    let folder = Folder::new();
    let names = ["one", "two", "three"];
    let run = |order: [usize; 3], edited: u64| {
        let session = folder.session();
        let numbers = session.read_records((0..20u64).collect());
        for index in order {
            match index {
                0 => numbers
                    .map(udf!("one", |n: &u64| {
                        CALLS.lock().unwrap().push("one");
                        n + 1
                    }))
                    .save("one")
                    .unwrap(),
                1 if edited == 0 => numbers
                    .map(udf!("two", version = 1, |n: &u64| {
                        CALLS.lock().unwrap().push("two");
                        n + 2
                    }))
                    .save("two")
                    .unwrap(),
                1 => numbers
                    .map(udf!("two", version = 2, |n: &u64| {
                        CALLS.lock().unwrap().push("two");
                        n + 20
                    }))
                    .save("two")
                    .unwrap(),
                _ => numbers
                    .agg(
                        udf!("odd", |n: &u64| n % 2),
                        udf!("three", |group: &Group<u64, u64>| {
                            CALLS.lock().unwrap().push("three");
                            group.len()
                        }),
                    )
                    .save("three")
                    .unwrap(),
            };
        }
        let calls = std::mem::take(&mut *CALLS.lock().unwrap());
        names.map(|name| calls.iter().filter(|called| **called == name).count())
    };
    assert_eq!(run([0, 1, 2], 0), [20, 20, 2]);
    assert_eq!(run([2, 0, 1], 0), [0, 0, 0]);
    assert_eq!(run([1, 2, 0], 1), [0, 20, 0]);
    assert_eq!(run([0, 2, 1], 1), [0, 0, 0]);
}

#[test]
fn a_damaged_table_of_sorted_rows_is_made_anew_by_the_next_run() {
    static FAIL_AT: FailAt = FailAt::never();
    let folder = Folder::new();
    let run = || {
        let sums = folder.session_in_order().read_records((0..1000u64).collect()).agg(
            udf!("tens", |n: &u64| n / 10),
            udf!("sum", |group: &Group<u64, u64>| {
                FAIL_AT.check(*group.key())?;
                Ok::<_, String>(group.rows().sum::<u64>())
            }),
        );
        sums.collect()
    };
    FAIL_AT.set(50);
    failed_row(run());
    FAIL_AT.set(None);
    // A bit turns in the sorted rows while the groups over them are known.
    let session = folder.session();
    let lineage = session.metastore().list_jobs().unwrap();
    let records = session.metastore().list_checkpoints(lineage[0].id).unwrap();
    let sorted = records.iter().find(|record| record.step == "order by tens").unwrap().table.clone();
    drop(session);
    let segment = std::fs::read_dir(folder.path().join("tables").join(&sorted)).unwrap();
    let segment =
        segment.map(|entry| entry.unwrap().path()).find(|path| path.to_string_lossy().ends_with("seg"));
    let segment = segment.unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() * 3 / 4;
    bytes[middle] ^= 4;
    std::fs::write(&segment, bytes).unwrap();

    let error = run().unwrap_err();
    println!("{error:?}");
    let rows = run().unwrap();
    assert_eq!(rows, (0..100).map(|key| 100 * key + 45).collect::<Vec<u64>>());
}
