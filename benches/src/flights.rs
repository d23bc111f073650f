//! Flights: read from CSV, filtered, computed, stored; by rowmark and by a bare loop.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;

use rayon::prelude::*;
use rowmark::prelude::*;

use crate::Answer;
use crate::limit::{BATCH_ROWS, Output};
use crate::side::{At, Done};

/// Names a file of real flights; without it as many are made up.
const FILE_VARIABLE: &str = "ROWMARK_BENCH_FLIGHTS";

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

fn leg(flight: &Flight) -> Leg {
    let km = flight.distance * 1.609_344;
    Leg {
        flight: format!("{}{}", flight.carrier, flight.flight),
        from: flight.origin.clone(),
        to: flight.dest.clone(),
        km,
        km_per_hour: flight.air_time.map(|minutes| km / (minutes / 60.0)),
    }
}

fn input(at: &At) -> PathBuf {
    at.shared.join("flights.csv")
}

/// Copies the file that was named, or makes one up.
pub(crate) fn prepare(at: &At) -> Answer {
    if let Some(named) = std::env::var_os(FILE_VARIABLE) {
        fs::copy(named, input(at))?;
        return Ok(());
    }
    let mut file = BufWriter::new(File::create(input(at))?);
    writeln!(file, "year,month,day,carrier,flight,tailnum,origin,dest,air_time,distance,time_hour")?;
    let (origins, dests) = (["EWR", "LGA", "JFK"], ["IAH", "MIA", "BQN", "ATL", "ORD", "LAX", "SFO"]);
    for row in 0..at.rows as usize {
        let (origin, dest) = (origins[row % 3], dests[row % 7]);
        let air_time = if row % 37 == 0 { "NA".to_owned() } else { (30 + row * 7 % 400).to_string() };
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
    Ok(file.flush()?)
}

pub(crate) fn ours(at: &At) -> Answer<Done> {
    let builder = Session::builder().state_folder(at.round.join("state"));
    let session = builder.progress(ProgressDisplay::Off).open()?;
    let saved = session
        .read_csv_with::<Flight>(input(at), CsvOptions::new().skip_extra_columns())?
        .filter(udf!("flown", |flight: &Flight| flight.air_time.is_some()))
        .map(udf!("leg", |flight: &Flight| leg(flight)))
        .save("legs")?;
    Ok(Done::rows(saved.rows()))
}

/// The limit: `csv` and `serde` on one thread, `rayon` over the rows, one Arrow IPC file, one sync.
pub(crate) fn limit(at: &At) -> Answer<Done> {
    let flights: Vec<Flight> = csv::Reader::from_path(input(at))?.deserialize().collect::<Result<_, _>>()?;
    let flown = flights.into_par_iter().filter(|flight| flight.air_time.is_some());
    let legs: Vec<Leg> = flown.map(|flight| leg(&flight)).collect();
    let mut output = Output::create::<Leg>(&at.round.join("legs.arrow"))?;
    for rows in legs.chunks(BATCH_ROWS as usize) {
        output.write(&[output.encode(rows)?])?;
    }
    Ok(Done::rows(output.finish()?))
}
