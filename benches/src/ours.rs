//! What rowmark does in each case.

use std::fs;
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

fn done(saved: &Saved) -> Done {
    let calls = saved.report().steps().iter().map(|step| step.rows_computed).sum();
    Done { calls: Some(calls), ..Done::rows(saved.rows()) }
}

/// Saves the rows of a case as a dataset.
pub(crate) fn prepare<T: Sample>(at: &At) -> Answer {
    save_rows::<T>(at, at.rows)
}

fn save_rows<T: Sample>(at: &At, rows: u64) -> Answer {
    let session = open(state(&at.shared))?;
    let numbers = session.read_records((0..rows).collect::<Vec<u64>>());
    numbers.map(udf!("make", |row: &u64| T::make(*row))).save(ROWS)?;
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
    Ok(done(&rows.map(udf!("computed", |row: &T| row.computed())).save("computed")?))
}

/// Three rows from each.
pub(crate) fn flat_map(at: &At) -> Answer<Done> {
    let session = open(state(&at.round))?;
    let rows = session.read_dataset::<Review>(ROWS, None)?;
    let thrice = udf!("thrice", |row: &Review| [row.clone(), row.computed(), row.clone()]);
    Ok(done(&rows.flat_map(thrice).save("thrice")?))
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

/// Runs until half of the rows are computed, and dies.
pub(crate) fn crash_half_way(at: &At) -> Answer {
    ready(at)?;
    DIES_AT.store(at.rows / 2, Ordering::Relaxed);
    map_unless_dead(at).map(drop)
}

/// The trivial UDF, which can end the process.
pub(crate) fn map_unless_dead(at: &At) -> Answer<Done> {
    let session = open(state(&at.round))?;
    let computed = udf!("computed", |row: &Review| {
        if row.id == DIES_AT.load(Ordering::Relaxed) {
            std::process::abort();
        }
        row.computed()
    });
    Ok(done(&session.read_dataset::<Review>(ROWS, None)?.map(computed).save("computed")?))
}

/// Runs twice, so that the next run has nothing to do.
pub(crate) fn run_twice(at: &At, run: fn(&At) -> Answer<Done>) -> Answer {
    // What a round has of its own is here what all rounds share.
    let at = At { shared: at.shared.clone(), round: at.shared.clone(), rows: at.rows };
    run(&at)?;
    let again = run(&at)?;
    assert_eq!(again.calls, Some(0), "the second run calls nothing");
    Ok(())
}

pub(crate) fn map_values(at: &At) -> Answer<Done> {
    let values: Vec<Review> = (0..at.rows).map(Review::make).collect();
    let session = open(state(&at.round))?;
    let computed = udf!("computed", |row: &Review| row.computed());
    Ok(done(&session.read_records(values).map(computed).save("computed")?))
}

/// Writes the rows of a case as a file.
pub(crate) fn write_csv(at: &At) -> Answer {
    let mut writer = csv::Writer::from_path(at.shared.join("rows.csv"))?;
    (0..at.rows).try_for_each(|row| writer.serialize(Review::make(row)))?;
    Ok(writer.flush()?)
}

pub(crate) fn map_csv(at: &At) -> Answer<Done> {
    let session = open(state(&at.round))?;
    let computed = udf!("computed", |row: &Review| row.computed());
    Ok(done(&session.read_csv::<Review>(at.shared.join("rows.csv"))?.map(computed).save("computed")?))
}

/// How many rows are put behind those of a case: one in a hundred.
pub(crate) fn appended(rows: u64) -> u64 {
    rows / 100
}

/// Computes all rows but the last hundredth, then saves the dataset with all of them.
pub(crate) fn prepare_appended(at: &At) -> Answer {
    save_rows::<Review>(at, at.rows - appended(at.rows))?;
    map::<Review>(&At { shared: at.shared.clone(), round: at.shared.clone(), rows: at.rows })?;
    save_rows::<Review>(at, at.rows)
}

/// A function that waits, with every row durable.
pub(crate) fn wait(at: &At, row_ms: u64) -> Answer<Done> {
    let session = open_with(state(&at.round), Durability::EveryRow)?;
    let wait = udf!("wait", captures(row_ms), |row: &u64| {
        std::thread::sleep(Duration::from_millis(row_ms));
        *row
    });
    Ok(done(&session.read_records((0..at.rows).collect::<Vec<u64>>()).map(wait).save("waited")?))
}
