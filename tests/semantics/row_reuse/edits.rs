//! Every edit of the rows, in every kind of step, from every source.

use std::path::Path;

use rowmark::SessionBuilder;
use rowmark::hashing::{ContentHash, hash_rows};
use rowmark::prelude::*;

use super::{called, done, numbers};
use crate::support::{Calls, Folder, builder};

static SQUARES: Calls = Calls::new();

fn squares(session: &Session, rows: &[u64]) -> Chain<u64> {
    session.read_values(rows).map(udf!("square", |n: &u64| {
        SQUARES.count(*n);
        n * n
    }))
}

/// Checks the calls that a run makes after another, of this job or of the next, and that what comes out is what a
/// fresh run gives.
#[track_caller]
fn check(
    settings: fn(SessionBuilder) -> SessionBuilder,
    is_same_job: bool,
    [before, after, expected]: [&[u64]; 3],
) {
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let folder = Folder::new();
    let open = || settings(builder(&folder.path())).open().unwrap();
    let run =
        |session: &Session, rows: &[u64]| done(session, &SQUARES, "square", |session| squares(session, rows));
    let mut session = open();
    run(&session, before);
    let next = |session: Session| {
        if is_same_job {
            return session;
        }
        drop(session);
        open()
    };
    session = next(session);
    let again = run(&session, after);
    assert_eq!(called(&again), expected, "{before:?} → {after:?}");
    let squares: Vec<u64> = after.iter().map(|n| n * n).collect();
    assert_eq!((&again.rows, again.content_hash), (&squares, hash_rows(&squares).unwrap()));
    let (rows, computed) = (after.len(), expected.len());
    let decision = if rows > computed { "reused by row" } else { "run" };
    assert_eq!(again.told, format!("{decision} {rows} = {} + {computed}", rows - computed));
    // And it is finished as any other.
    session = next(session);
    assert_eq!(run(&session, after).told, format!("skipped {rows} = {rows} + 0"));
}

/// The edits, in batches of every size: those that are kept as they are, and those that are not.
#[track_caller]
fn check_all(before: &[u64], after: &[u64], expected: &[u64]) {
    let rows = [before, after, expected];
    check(|builder| builder, false, rows);
    check(|builder| builder.threads(1).batch_rows_max(3), true, rows);
    check(|builder| builder.threads(8).batch_rows_max(1), true, rows);
    check(|builder| builder.batch_rows_max(4).sort_bytes_max(1), true, rows);
}

#[test]
fn u08_one_row_appended_costs_one_call() {
    check_all(&numbers(20), &numbers(21), &[20]);
    check_all(&[], &[7], &[7]);
    check_all(&[7], &[7, 8, 9], &[8, 9]);
}

#[test]
fn u08_one_row_inserted_costs_one_call() {
    for at in [0, 1, 10, 19] {
        let mut rows = numbers(20);
        rows.insert(at, 100);
        check_all(&numbers(20), &rows, &[100]);
    }
}

#[test]
fn u08_removed_rows_cost_nothing_and_are_gone() {
    for removed in [0, 7, 19] {
        let mut rows = numbers(20);
        rows.remove(removed);
        check_all(&numbers(20), &rows, &[]);
    }
    check_all(&numbers(20), &numbers(9), &[]);
    check_all(&numbers(20), &[], &[]);
}

#[test]
fn u08_swapped_and_shuffled_rows_cost_nothing() {
    let mut rows = numbers(20);
    rows.swap(3, 16);
    check_all(&numbers(20), &rows, &[]);
    rows.reverse();
    check_all(&numbers(20), &rows, &[]);
    rows.sort_by_key(|n| (n * 7) % 20);
    check_all(&numbers(20), &rows, &[]);
}

#[test]
fn u08_changed_rows_are_computed() {
    let mut rows = numbers(20);
    rows[3] = 103;
    rows[19] = 119;
    check_all(&numbers(20), &rows, &[103, 119]);
    let all: Vec<u64> = (100..120).collect();
    check_all(&numbers(20), &all, &all);
}

#[test]
fn u08_of_equal_rows_each_is_one() {
    check_all(&[1, 2, 1], &[1, 1, 2, 1], &[1]);
    check_all(&[1, 1, 1, 1], &[2, 1, 1], &[2]);
    check_all(&[5, 1], &[1, 1, 1, 5], &[1, 1]);
    check_all(&[1; 9], &[1; 12], &[1; 3]);
}

#[test]
fn u08_several_earlier_runs_are_looked_at_and_none_counts_twice() {
    static CALLS: Calls = Calls::new();
    for rows_max in [1, 3, 8192] {
        let folder = Folder::new();
        let run = |rows: &[u64]| {
            let session = builder(&folder.path()).batch_rows_max(rows_max).open().unwrap();
            let done = done(&session, &CALLS, "same", |session| {
                session.read_values(rows).map(udf!("same", |n: &u64| {
                    CALLS.count(*n);
                    *n
                }))
            });
            assert_eq!(done.rows, rows);
            called(&done)
        };
        assert_eq!(run(&[1, 2, 3]), [1, 2, 3]);
        assert_eq!(run(&[4, 1]), [4]);
        // What is not in the last one is in the one before.
        assert_eq!(run(&[3, 1, 5, 2, 4]), [5]);
        // The 1 of the three runs is one and the same.
        assert_eq!(run(&[1, 1, 4]), [1]);
        assert_eq!(run(&[9, 1, 1, 1, 2]), [1, 9]);
    }
}

#[test]
fn u08_rows_are_known_behind_filters_and_unions() {
    static CALLS: Calls = Calls::new();
    #[derive(Serialize, Deserialize, Clone)]
    struct Wide {
        n: u64,
        unused: u64,
    }
    let (folder, fresh) = (Folder::new(), Folder::new());
    let run = |folder: &Folder, first: &[(u64, u64)], second: &[(u64, u64)]| {
        let session = builder(&folder.path()).batch_rows_max(3).open().unwrap();
        done(&session, &CALLS, "same", |session| {
            let read = |rows: &[(u64, u64)]| {
                session.read_records(rows.iter().map(|&(n, unused)| Wide { n, unused }).collect())
            };
            let rows = read(first).union(&read(second));
            let rows = rows.filter(udf!("odd", |row: &Wide| row.n % 2 == 1));
            rows.map(udf!("same", |row: &Wide| {
                CALLS.count(row.n);
                row.n
            }))
        })
    };
    let rows = |from: u64, to: u64, unused: u64| (from..to).map(|n| (n, unused)).collect::<Vec<_>>();
    run(&folder, &rows(0, 10, 0), &rows(20, 30, 0));
    // More in the first moves the second.
    let again = run(&folder, &rows(0, 12, 0), &rows(20, 31, 0));
    assert_eq!(called(&again), [11]);
    let fresh = run(&fresh, &rows(0, 12, 0), &rows(20, 31, 0));
    assert_eq!((again.rows, again.content_hash), (fresh.rows, fresh.content_hash));
}

#[test]
fn u08_what_serde_skips_and_a_projection_sets_is_seen() {
    #[derive(Serialize, Deserialize, Clone)]
    struct Seen {
        n: u64,
        #[serde(skip)]
        unseen: u64,
    }
    let folder = Folder::new();
    for unseen in [7, 8] {
        let session = builder(&folder.path()).open().unwrap();
        let rows = session.read_records((0..600_u64).map(|n| (n, unseen)).collect::<Vec<_>>());
        let rows = rows.project(udf!("seen", |row: &(u64, u64)| Seen { n: row.0, unseen: row.1 }));
        let rows = rows.map(udf!("sum", |row: &Seen| row.n + row.unseen));
        assert_eq!(rows.collect().unwrap(), (unseen..600 + unseen).collect::<Vec<_>>());
    }
}

#[test]
fn u08_rows_behind_a_projection_are_known_by_what_they_were_made_from() {
    static CALLS: Calls = Calls::new();
    #[derive(Serialize, Deserialize, Clone)]
    struct Seen {
        parity: u64,
        #[serde(skip)]
        n: u64,
    }
    let folder = Folder::new();
    let run = |rows: &[u64], factor: u64, is_twice: bool| {
        let session = builder(&folder.path()).batch_rows_max(7).open().unwrap();
        let done = done(&session, &CALLS, "sum", |session| {
            let rows = session.read_values(rows).filter(udf!("small", |n: &u64| *n < 1000));
            let seen =
                rows.project(udf!("seen", captures(factor), |n: &u64| Seen { parity: n % 2, n: n * factor }));
            let plain = rows.project(udf!("plain", |n: &u64| Seen { parity: 7, n: *n }));
            let seen = if is_twice { seen.union(&plain) } else { seen };
            let seen = seen.project(udf!("again", |row: &Seen| Seen { parity: row.parity, n: row.n + 1 }));
            seen.filter(udf!("all", |row: &Seen| row.n < 10_000)).map(udf!("sum", |row: &Seen| {
                CALLS.count(row.n - 1);
                row.parity + row.n
            }))
        });
        (called(&done), done.rows)
    };
    let sums = |rows: &[u64], factor: u64| rows.iter().map(|n| n % 2 + n * factor + 1).collect::<Vec<_>>();
    let rows = numbers(60);
    assert_eq!(run(&rows, 1, false), (rows.clone(), sums(&rows, 1)));
    // Of rows that serde writes alike each gets what is its.
    let mut edited: Vec<u64> = rows.iter().rev().copied().chain([100, 2000]).collect();
    edited.remove(3);
    let kept = &edited[..edited.len() - 1];
    assert_eq!(run(&edited, 1, false), (vec![100], sums(kept, 1)));
    // Another projection gives other rows, also where some are the same.
    let doubled: Vec<u64> = numbers(60).iter().map(|n| 2 * n).collect();
    assert_eq!(run(&rows, 2, false), (doubled, sums(&rows, 2)));
    // Rows of two projections are told apart.
    let both = [sums(&rows, 2), rows.iter().map(|n| 7 + n + 1).collect()].concat();
    assert_eq!(run(&rows, 2, true), (rows.clone(), both));
}

/// Rows of 0 to 3 outputs, as many as their remainder by four.
fn parts(n: u64) -> Vec<(u64, u64)> {
    (0..n % 4).map(|part| (n, part)).collect()
}

#[test]
fn u08_rows_that_give_none_or_many_and_rows_that_stay_beside_theirs() {
    static FLAT: Calls = Calls::new();
    static WITH: Calls = Calls::new();
    let mut edited = numbers(40);
    edited.remove(5);
    edited.swap(7, 30);
    edited.insert(20, 103);
    edited.extend([8, 104]);
    let expected = [8, 103, 104];
    let flat = |session: &Session, rows: &[u64]| {
        session.read_values(rows).flat_map(udf!("parts", |n: &u64| {
            FLAT.count(*n);
            parts(*n)
        }))
    };
    let with = |session: &Session, rows: &[u64]| {
        session.read_values(rows).map_with(udf!("half", |n: &u64| {
            WITH.count(*n);
            *n as f64 / 2.0
        }))
    };
    let folder = Folder::new();
    let fresh = folder.session();
    let fresh_flat = done(&fresh, &FLAT, "parts", |session| flat(session, &edited));
    assert_eq!(fresh_flat.rows, edited.iter().flat_map(|n| parts(*n)).collect::<Vec<_>>());
    let fresh_with = done(&fresh, &WITH, "half", |session| with(session, &edited));
    for (threads, rows_max) in [(1, 1), (1, 7), (2, 3), (8, 8192)] {
        let folder = Folder::new();
        let open = || builder(&folder.path()).threads(threads).batch_rows_max(rows_max).open().unwrap();
        let first = open();
        done(&first, &FLAT, "parts", |session| flat(session, &numbers(40)));
        done(&first, &WITH, "half", |session| with(session, &numbers(40)));
        drop(first);
        let again = open();
        let flat = done(&again, &FLAT, "parts", |session| flat(session, &edited));
        assert_eq!((called(&flat), flat.told), (expected.to_vec(), "reused by row 42 = 39 + 3".into()));
        assert_eq!((flat.rows, flat.content_hash), (fresh_flat.rows.clone(), fresh_flat.content_hash));
        let with = done(&again, &WITH, "half", |session| with(session, &edited));
        assert_eq!((called(&with), with.told), (expected.to_vec(), "reused by row 42 = 39 + 3".into()));
        assert_eq!((with.rows, with.content_hash), (fresh_with.rows.clone(), fresh_with.content_hash));
    }
}

#[test]
fn u08_groups_are_known_by_their_key_and_rows() {
    static CALLS: Calls = Calls::new();
    static MANY: Calls = Calls::new();
    type Sale = (u64, u64);
    type Edit = fn(&mut Vec<Sale>);
    let sums = |session: &Session, sales: &[Sale]| {
        session.read_values(sales).agg(
            udf!("shop", |sale: &Sale| sale.0),
            udf!("sums", |sales: &Group<u64, Sale>| {
                CALLS.count(*sales.key());
                (*sales.key(), sales.rows().map(|sale| sale.1).sum::<u64>())
            }),
        )
    };
    let copies = |session: &Session, sales: &[Sale]| {
        session.read_values(sales).flat_agg(
            udf!("shop", |sale: &Sale| sale.0),
            udf!("copies", |sales: &Group<u64, Sale>| {
                MANY.count(*sales.key());
                sales.rows().map(|sale| sale.1).take(*sales.key() as usize % 3).collect::<Vec<_>>()
            }),
        )
    };
    let before: Vec<Sale> = (0..60).map(|n| (10 + n % 6, n)).collect();
    let edits: [(&str, Edit, &[u64]); 7] = [
        ("a group changed", |sales| sales[13].1 = 100, &[11]),
        ("a new group moves the others", |sales| sales.insert(9, (3, 7)), &[3]),
        ("a group is gone", |sales| sales.retain(|sale| sale.0 != 12), &[]),
        ("a group grew, and moves those behind it", |sales| sales.push((10, 8)), &[10]),
        ("a row went to another group", |sales| sales[1].0 = 14, &[11, 14]),
        ("two rows of a group changed places", |sales| sales.swap(0, 6), &[10]),
        ("groups changed places in the input", |sales| sales.sort_by_key(|sale| 99 - sale.0), &[]),
    ];
    for (what, edit, expected) in edits {
        let (folder, fresh) = (Folder::new(), Folder::new());
        let mut after = before.clone();
        edit(&mut after);
        let session = folder.session();
        done(&session, &CALLS, "sums", |session| sums(session, &before));
        done(&session, &MANY, "copies", |session| copies(session, &before));
        drop(session);
        let session = folder.session();
        let again = done(&session, &CALLS, "sums", |session| sums(session, &after));
        let again_many = done(&session, &MANY, "copies", |session| copies(session, &after));
        assert_eq!((called(&again), called(&again_many)), (expected.to_vec(), expected.to_vec()), "{what}");
        let fresh = fresh.session();
        let fresh_many = done(&fresh, &MANY, "copies", |session| copies(session, &after));
        let fresh = done(&fresh, &CALLS, "sums", |session| sums(session, &after));
        assert_eq!((again.rows, again.content_hash), (fresh.rows, fresh.content_hash), "{what}");
        assert_eq!((again_many.rows, again_many.content_hash), (fresh_many.rows, fresh_many.content_hash));
    }
}

#[test]
fn u08_with_every_source() {
    static CALLS: Calls = Calls::new();
    #[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
    struct Town {
        name: String,
        metres: u64,
    }
    let town = |metres: u64| Town { name: format!("town, \"{metres}\""), metres };
    type Read = fn(&Session, &Path, &[Town]) -> Chain<Town>;
    let csv: Read = |session, folder, towns| {
        let lines =
            towns.iter().map(|town| format!("\"{}\",{}\n", town.name.replace('"', "\"\""), town.metres));
        std::fs::write(folder, format!("name,metres\n{}", lines.collect::<String>())).unwrap();
        session.read_csv(folder).unwrap()
    };
    let json: Read = |session, folder, towns| {
        let lines = towns.iter().map(|town| format!("{}\n", serde_json::to_string(town).unwrap()));
        std::fs::write(folder, lines.collect::<String>()).unwrap();
        session.read_json(folder).unwrap()
    };
    let dataset: Read = |session, _, towns| {
        session.read_values(towns).save("towns").unwrap();
        session.read_dataset("towns", None).unwrap()
    };
    let sources: [(&str, Read); 6] = [
        ("csv", csv),
        ("json", json),
        ("dataset", dataset),
        ("values", |session, _, towns| session.read_values(towns)),
        ("records", |session, _, towns| session.read_records(towns.to_vec())),
        ("iterator", |session, _, towns| session.read_records_iter(towns.to_vec()).unwrap()),
    ];
    let mut previous: Option<ContentHash> = None;
    for (source, read) in sources {
        let (folder, files) = (Folder::new(), tempfile::tempdir().unwrap());
        let run = |towns: &[Town]| {
            let session = builder(&folder.path()).batch_rows_max(4).open().unwrap();
            done(&session, &CALLS, "double", |session| {
                read(session, &files.path().join("towns"), towns).map(udf!("double", |town: &Town| {
                    CALLS.count(town.metres);
                    town.metres * 2
                }))
            })
        };
        let before: Vec<Town> = (0..20).map(town).collect();
        assert_eq!(run(&before).calls.len(), 20, "{source}");
        let mut after = before;
        after[2] = town(102);
        after.insert(11, town(111));
        after.push(town(120));
        let again = run(&after);
        assert_eq!(called(&again), [102, 111, 120], "{source}");
        assert_eq!(again.rows, after.iter().map(|town| town.metres * 2).collect::<Vec<_>>());
        assert_eq!(*previous.get_or_insert(again.content_hash), again.content_hash, "{source}");
    }
}
