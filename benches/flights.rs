//! The main job against a bare loop: read flights from CSV, filter, compute, store.
//!
//! The rival does the same with no checkpoints and no hashes: `csv` and `serde` on one thread, `rayon` over
//! the rows, one Arrow IPC file, one sync. Both take turns; the medians and their ratio are printed. The third
//! figure is a run that has nothing left to do.
//!
//! ```text
//! cargo bench --bench flights [-- FLIGHTS.csv]      # without a file: as many rows, made up
//! ```

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use arrow_ipc::writer::FileWriter;
use rayon::prelude::*;
use rowmark::prelude::*;
use rowmark::rows::RowSchema;

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

const ROUNDS: usize = 7;
const ROWS: usize = 336_776;
const BATCH_ROWS: usize = 8192;

#[derive(Serialize, Deserialize)]
struct Flight {
    carrier: String,
    flight: u32,
    origin: String,
    dest: String,
    /// Missing values are `NA` in the real file.
    #[serde(deserialize_with = "csv::invalid_option")]
    air_time: Option<f64>,
    distance: f64,
}

#[derive(Serialize, Deserialize)]
struct Leg {
    flight: String,
    from: String,
    to: String,
    km: f64,
    km_per_hour: Option<f64>,
}

fn compute(flight: &Flight) -> Leg {
    let km = flight.distance * 1.609_344;
    Leg {
        flight: format!("{}{}", flight.carrier, flight.flight),
        from: flight.origin.clone(),
        to: flight.dest.clone(),
        km,
        km_per_hour: flight.air_time.map(|minutes| km / (minutes / 60.0)),
    }
}

fn bare_loop(input: &Path, folder: &Path) -> Result<u64> {
    let flights: Vec<Flight> = csv::Reader::from_path(input)?.deserialize().collect::<Result<_, _>>()?;
    let flown = flights.into_par_iter().filter(|flight| flight.air_time.is_some());
    let legs: Vec<Leg> = flown.map(|flight| compute(&flight)).collect();
    let schema = RowSchema::of::<Leg>()?;
    let file = File::create(folder.join("legs.arrow"))?;
    let mut writer = FileWriter::try_new(BufWriter::new(&file), schema.arrow())?;
    for batch in legs.chunks(BATCH_ROWS) {
        writer.write(&schema.encode(batch)?)?;
    }
    writer.finish()?;
    drop(writer);
    file.sync_all()?;
    Ok(legs.len() as u64)
}

fn rowmark(input: &Path, folder: &Path) -> Result<u64> {
    let session =
        Session::builder().state_folder(folder.join("state")).progress(ProgressDisplay::Off).open()?;
    let saved = session
        .read_csv_with::<Flight>(input, CsvOptions::new().skip_extra_columns())?
        .filter(udf!("flown", |flight: &Flight| flight.air_time.is_some()))
        .map(udf!("leg", |flight: &Flight| compute(flight)))
        .save("legs")?;
    Ok(saved.rows())
}

/// Reads a file, writes into a folder, answers the number of rows.
type Case = fn(&Path, &Path) -> Result<u64>;

/// The file that was named, or one that is made up in `folder`.
fn input(folder: &Path) -> Result<PathBuf> {
    if let Some(named) = std::env::args().skip(1).find(|argument| !argument.starts_with("--")) {
        return Ok(named.into());
    }
    let path = folder.join("flights.csv");
    let mut file = BufWriter::new(File::create(&path)?);
    writeln!(file, "year,month,day,carrier,flight,tailnum,origin,dest,air_time,distance,time_hour")?;
    let (origins, dests) = (["EWR", "LGA", "JFK"], ["IAH", "MIA", "BQN", "ATL", "ORD", "LAX", "SFO"]);
    for row in 0..ROWS {
        let (origin, dest) = (origins[row % 3], dests[row % 7]);
        let air_time = if row % 37 == 0 { String::new() } else { (30 + row * 7 % 400).to_string() };
        let distance = 100 + row * 13 % 2500;
        writeln!(
            file,
            "2013,{},{},UA,{},N{},{origin},{dest},{air_time},{distance},2013-01-01T10:00:00Z",
            row % 12 + 1,
            row % 28 + 1,
            row % 9000,
            row % 99_999,
        )?;
    }
    file.flush()?;
    Ok(path)
}

fn median(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64()
}

fn main() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let input = input(folder.path())?;
    let (mut bare, mut ours, mut nothing) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let mut rows = [0; 3];
        let state = tempfile::tempdir_in(folder.path())?;
        let cases: [(&mut Vec<Duration>, Case); 3] =
            [(&mut bare, bare_loop), (&mut ours, rowmark), (&mut nothing, rowmark)];
        for ((times, case), rows) in cases.into_iter().zip(&mut rows) {
            let begun = Instant::now();
            *rows = case(&input, state.path())?;
            if round > 0 {
                times.push(begun.elapsed()); // the first round warms up
            }
        }
        assert_eq!(rows, [rows[0]; 3], "all of them store the same rows");
    }
    let [bare, ours, nothing] = [bare, ours, nothing].map(|mut times| median(&mut times));
    println!("bare loop       {bare:8.3} s");
    println!("rowmark         {ours:8.3} s   {:.2} x the bare loop", ours / bare);
    println!("nothing to do   {nothing:8.3} s   {:.3} x the bare loop", nothing / bare);
    Ok(())
}
