//! What rowmark does in each case.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rowmark::prelude::*;

use crate::Answer;
use crate::rows::{Review, Sample};
use crate::side::{At, Done};

/// The dataset that cases read, in the state folder that was prepared.
const ROWS: &str = "rows";

fn state(folder: &Path) -> PathBuf {
    folder.join("state")
}

fn open(state: PathBuf) -> Answer<Session> {
    open_with(state, Durability::default())
}

fn open_with(state: PathBuf, durability: Durability) -> Answer<Session> {
    let builder = Session::builder().state_folder(state).durability(durability);
    Ok(builder.progress(ProgressDisplay::Off).open()?)
}

/// Saves the rows of a case as a dataset.
pub(crate) fn prepare<T: Sample>(at: &At) -> Answer {
    save_rows::<T>(at, 0..at.rows)
}

fn save_rows<T: Sample>(at: &At, ids: impl Iterator<Item = u64>) -> Answer {
    let session = open(state(&at.shared))?;
    let ids = session.read_records(ids.collect::<Vec<u64>>());
    ids.map(udf!("make", |id: &u64| T::make(*id))).save(ROWS)?;
    Ok(())
}

/// Gives a round a state folder of its own: tables are linked, as nothing writes to them again.
pub(crate) fn ready(at: &At) -> Answer {
    copy(&state(&at.shared), &state(&at.round), false)
}

fn copy(from: &Path, to: &Path, links: bool) -> Answer {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy(&path, &to, links || entry.file_name() == "tables")?;
        } else if links {
            fs::hard_link(path, to)?;
        } else {
            fs::copy(path, to)?;
        }
    }
    Ok(())
}

/// The trivial UDF over the dataset.
pub(crate) fn map<T: Sample>(at: &At) -> Answer<Done> {
    let session = open(state(&at.round))?;
    let rows = session.read_dataset::<T>(ROWS, None)?;
    Ok(Done::rows(rows.map(udf!("computed", |row: &T| row.computed())).save("computed")?.rows()))
}

/// Three rows from each.
pub(crate) fn flat_map(at: &At) -> Answer<Done> {
    let session = open(state(&at.round))?;
    let rows = session.read_dataset::<Review>(ROWS, None)?;
    let thrice = udf!("thrice", |row: &Review| [row.clone(), row.computed(), row.clone()]);
    Ok(Done::rows(rows.flat_map(thrice).save("thrice")?.rows()))
}

/// Rows for each group.
const GROUP_ROWS: u64 = 100;

/// Groups whose rows lie far apart.
pub(crate) fn agg(at: &At) -> Answer<Done> {
    let session = open(state(&at.round))?;
    let groups = at.rows / GROUP_ROWS;
    let totals = session.read_dataset::<Review>(ROWS, None)?.agg(
        udf!("group", captures(groups), |row: &Review| row.id % groups),
        udf!("stars", |group: &Group<u64, Review>| {
            (*group.key(), group.rows().map(|row| f64::from(row.stars)).sum::<f64>())
        }),
    );
    let saved = totals.save("totals")?;
    assert_eq!(saved.rows(), groups, "there is a row for each group");
    Ok(Done::rows(saved.rows()))
}

/// The row at which the process dies. No row has this number, but for [`crash_half_way`].
static DIES_AT: AtomicU64 = AtomicU64::new(u64::MAX);

/// Calls of [`computed`], counted by each worker on a cache line of its own.
static CALLS: [Calls; 64] = [const { Calls(AtomicU64::new(0)) }; 64];

#[repr(align(64))]
struct Calls(AtomicU64);

/// The trivial UDF, which is counted and can end the process.
#[rowmark::udf]
fn computed(row: &Review) -> Review {
    if row.id == DIES_AT.load(Ordering::Relaxed) {
        std::process::abort();
    }
    let worker = rayon::current_thread_index().unwrap_or(0);
    CALLS[worker % CALLS.len()].0.fetch_add(1, Ordering::Relaxed);
    row.computed()
}

/// Saves what [`computed`] makes of rows.
fn save(rows: Chain<Review>) -> Answer<Done> {
    let saved = rows.map(computed).save("computed")?;
    let calls = CALLS.iter().map(|calls| calls.0.swap(0, Ordering::Relaxed)).sum();
    let reported: u64 = saved.report().steps().iter().map(|step| step.rows_computed).sum();
    if reported != calls {
        return Err(format!("{calls} calls, but the report says {reported}").into());
    }
    Ok(Done::rows(saved.rows()).calls(calls))
}

/// The dataset.
pub(crate) fn counted(at: &At) -> Answer<Done> {
    save(open(state(&at.round))?.read_dataset::<Review>(ROWS, None)?)
}

/// A file.
pub(crate) fn counted_csv(at: &At) -> Answer<Done> {
    save(open(state(&at.round))?.read_csv::<Review>(at.shared.join("rows.csv"))?)
}

/// Values in memory.
pub(crate) fn counted_values(at: &At) -> Answer<Done> {
    let values: Vec<Review> = (0..at.rows).map(Review::make).collect();
    save(open(state(&at.round))?.read_records(values))
}

/// Makes the values, and nothing of them.
pub(crate) fn values_alone(at: &At) -> Answer<Done> {
    let values: Vec<Review> = (0..at.rows).map(Review::make).collect();
    Ok(Done::rows(std::hint::black_box(values).len() as u64))
}

/// Writes the rows of a case as a file.
pub(crate) fn write_csv(at: &At) -> Answer {
    let mut writer = csv::Writer::from_path(at.shared.join("rows.csv"))?;
    (0..at.rows).try_for_each(|row| writer.serialize(Review::make(row)))?;
    writer.flush()?;
    // A file that was written just now is not remembered, as another change might not show.
    std::thread::sleep(Duration::from_secs(3));
    Ok(())
}

/// Runs twice, so that the next run has nothing to do.
pub(crate) fn run_twice(at: &At, run: fn(&At) -> Answer<Done>) -> Answer {
    (0..2).try_for_each(|_| run(&at.preparing()).map(drop))
}

/// Runs until half of the rows are computed, and dies.
pub(crate) fn crash_half_way(at: &At) -> Answer {
    ready(at)?;
    DIES_AT.store(at.rows / 2, Ordering::Relaxed);
    counted(at).map(drop)
}

/// Computes all rows but some, then saves the dataset with those as well.
pub(crate) fn prepare_without(at: &At, missing: Range<u64>) -> Answer {
    save_rows::<Review>(at, (0..at.rows).filter(|id| !missing.contains(id)))?;
    counted(&at.preparing())?;
    save_rows::<Review>(at, 0..at.rows)
}

/// A function that waits, with every row durable.
pub(crate) fn wait(at: &At, row_ms: u64) -> Answer<Done> {
    let session = open_with(state(&at.round), Durability::EveryRow)?;
    let wait = udf!("wait", captures(row_ms), |row: &u64| {
        std::thread::sleep(Duration::from_millis(row_ms));
        *row
    });
    let rows = session.read_records((0..at.rows).collect::<Vec<u64>>());
    Ok(Done::rows(rows.map(wait).save("waited")?.rows()))
}
