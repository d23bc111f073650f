//! Great-circle distances of flights, or of airports to their nearest neighbour: kill it while it
//! runs, run it again, and it goes on from there.
//!
//! ```text
//! cargo run --release --example flights -- [FILE.csv] [options]
//!
//!   FILE.csv          flights (origin, dest, carrier, flight, air_time, time_hour) or airports (iata,
//!                     name, latitude, longitude); default: examples/data/airports.csv
//!   --state FOLDER    where state is kept; default: .rowmark
//!   --threads N       worker threads; default: one per core
//!   --slow MS         make every row take so many milliseconds longer
//!   --fail-at N       fail at the N-th row that this run computes
//!   --calls FILE      append a line to FILE for every row that is computed
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rowmark::prelude::*;

/// The airports that the project carries: where every flight begins or ends.
const AIRPORTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/airports.csv");

const EARTH_RADIUS_KM: f64 = 6371.0;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Airport {
    iata: String,
    name: String,
    latitude: f64,
    longitude: f64,
}

#[derive(Serialize, Deserialize)]
struct Flight {
    carrier: String,
    flight: u32,
    origin: String,
    dest: String,
    /// The scheduled hour of departure.
    time_hour: String,
    /// Minutes; missing when the flight was cancelled.
    air_time: Option<f64>,
}

#[derive(Serialize, Deserialize)]
struct Leg {
    flight: String,
    time_hour: String,
    from: String,
    to: String,
    km: Option<f64>,
    km_per_hour: Option<f64>,
}

#[derive(Serialize, Deserialize)]
struct Neighbour {
    iata: String,
    nearest: String,
    km: f64,
}

/// Great-circle distance by the haversine formula (R. W. Sinnott, "Virtues of the Haversine", 1984).
#[rowmark::udf(helper, uses(EARTH_RADIUS_KM))]
fn haversine_km(from: (f64, f64), to: (f64, f64)) -> f64 {
    let [(latitude1, longitude1), (latitude2, longitude2)] =
        [from, to].map(|(latitude, longitude)| (latitude.to_radians(), longitude.to_radians()));
    let h = ((latitude2 - latitude1) / 2.0).sin().powi(2)
        + latitude1.cos() * latitude2.cos() * ((longitude2 - longitude1) / 2.0).sin().powi(2);
    2.0 * EARTH_RADIUS_KM * h.sqrt().asin()
}

/// The length and speed of a flight. Its airports are part of its identity: with other positions all
/// rows are computed again.
#[derive(Serialize)]
struct Distance {
    airports: BTreeMap<String, (f64, f64)>,
}

#[rowmark::udf(uses(haversine_km))]
impl Distance {
    fn call(&self, flight: &Flight) -> Result<Leg, String> {
        let name = format!("{}{}", flight.carrier, flight.flight);
        KNOBS
            .get()
            .map_or(Ok(()), |knobs| knobs.turn(&format!("{name} {} {}", flight.origin, flight.time_hour)))?;
        let position = |iata| self.airports.get(iata).copied();
        let km =
            position(&flight.origin).zip(position(&flight.dest)).map(|(from, to)| haversine_km(from, to));
        let km_per_hour = km.zip(flight.air_time).map(|(km, minutes)| km / (minutes / 60.0));
        Ok(Leg {
            flight: name,
            time_hour: flight.time_hour.clone(),
            from: flight.origin.clone(),
            to: flight.dest.clone(),
            km,
            km_per_hour,
        })
    }
}

/// The airport nearest to another.
#[derive(Serialize)]
struct Nearest {
    airports: Vec<Airport>,
}

#[rowmark::udf(uses(haversine_km))]
impl Nearest {
    fn call(&self, airport: &Airport) -> Result<Neighbour, String> {
        KNOBS.get().map_or(Ok(()), |knobs| knobs.turn(&airport.iata))?;
        let km_to = |other: &Airport| {
            haversine_km((airport.latitude, airport.longitude), (other.latitude, other.longitude))
        };
        let others = self.airports.iter().filter(|other| other.iata != airport.iata);
        let (km, nearest) = others
            .map(|other| (km_to(other), other))
            .min_by(|(one, _), (other, _)| one.total_cmp(other))
            .ok_or("there is no other airport")?;
        Ok(Neighbour { iata: airport.iata.clone(), nearest: nearest.iata.clone(), km })
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let mut session = Session::builder();
    if let Some(state) = &options.state {
        session = session.state_folder(state);
    }
    if let Some(threads) = options.threads {
        session = session.threads(threads);
    }
    let session = session.open()?;
    let file = options.file.as_deref().unwrap_or(Path::new(AIRPORTS));
    let result = if is_flights(file)? { flights(&session, file) } else { airports(&session, file) };
    if !session.report().steps().is_empty() {
        println!("{}", session.report());
    }
    result
}

/// The files have more columns than the structs have fields.
fn some_columns() -> CsvOptions {
    CsvOptions::new().skip_extra_columns()
}

fn flights(session: &Session, file: &Path) -> Result<(), Box<dyn Error>> {
    let airports = session.read_csv_with::<Airport>(AIRPORTS, some_columns())?.collect()?;
    let airports = airports.into_iter().map(|airport| (airport.iata, (airport.latitude, airport.longitude)));
    let saved = session
        .read_csv_with::<Flight>(file, some_columns().null("NA"))?
        .filter(udf!("flown", |flight: &Flight| flight.air_time.is_some()))
        .map(Distance { airports: airports.collect() })
        .save("flights_km")?;
    tell(&saved);
    let legs = session.read_dataset::<Leg>("flights_km", Some(saved.version()))?.collect()?;
    let longest = legs.iter().max_by(|one, other| one.km.unwrap_or(0.0).total_cmp(&other.km.unwrap_or(0.0)));
    if let Some(Leg { flight, time_hour, from, to, km: Some(km), .. }) = longest {
        println!("longest: {flight} of {time_hour} from {from} to {to}, {km:.0} km");
    }
    Ok(())
}

fn airports(session: &Session, file: &Path) -> Result<(), Box<dyn Error>> {
    let airports = session.read_csv_with::<Airport>(file, some_columns())?;
    let mainland = airports.filter(udf!("mainland", |airport: &Airport| {
        (24.0..50.0).contains(&airport.latitude) && (-125.0..-66.0).contains(&airport.longitude)
    }));
    let saved = mainland.map(Nearest { airports: mainland.collect()? }).save("nearest_airport")?;
    tell(&saved);
    let neighbours =
        session.read_dataset::<Neighbour>("nearest_airport", Some(saved.version()))?.collect()?;
    if let Some(loneliest) = neighbours.iter().max_by(|one, other| one.km.total_cmp(&other.km)) {
        println!("loneliest: {}, {:.0} km from {}", loneliest.iata, loneliest.km, loneliest.nearest);
    }
    Ok(())
}

fn tell(saved: &Saved) {
    let verb = if saved.is_new() { "saved" } else { "found, nothing was left to do:" };
    println!(
        "{verb} {} version {}, {} rows, content {}",
        saved.name(),
        saved.version(),
        saved.rows(),
        saved.content_hash()
    );
}

/// Whether a file's header has a column for destinations.
fn is_flights(file: &Path) -> Result<bool, String> {
    let mut header = String::new();
    let opened = File::open(file).and_then(|file| BufReader::new(file).read_line(&mut header));
    opened.map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    Ok(header.trim_end().split(',').any(|column| column == "dest"))
}

/// What the options do to every row. They are no part of the UDFs' identity, as nothing in a static is:
/// a run that is slowed down computes the same rows.
static KNOBS: OnceLock<Knobs> = OnceLock::new();

#[derive(Default)]
struct Knobs {
    slow: Duration,
    fail_at: Option<u64>,
    calls: Option<File>,
    rows_begun: AtomicU64,
}

impl Knobs {
    fn turn(&self, row: &str) -> Result<(), String> {
        std::thread::sleep(self.slow);
        // Relaxed: only the number counts, and each is given once.
        let number = self.rows_begun.fetch_add(1, Ordering::Relaxed) + 1;
        if self.fail_at == Some(number) {
            return Err(format!("this is row {number} of this run, where --fail-at said to fail"));
        }
        if let Some(mut calls) = self.calls.as_ref() {
            calls.write_all(format!("{row}\n").as_bytes()).map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

const OPTIONS: [&str; 5] = ["--state", "--threads", "--slow", "--fail-at", "--calls"];

#[derive(Default)]
struct Options {
    file: Option<PathBuf>,
    state: Option<PathBuf>,
    threads: Option<usize>,
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<(Options, Knobs), String> {
    let (mut options, mut knobs) = (Options::default(), Knobs::default());
    while let Some(argument) = arguments.next() {
        if !argument.starts_with("--") {
            options.file = Some(argument.into());
            continue;
        }
        if !OPTIONS.contains(&argument.as_str()) {
            return Err(format!("unknown option {argument}; there are FILE.csv, {}", OPTIONS.join(", ")));
        }
        let value = arguments.next().ok_or_else(|| format!("{argument} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|error| format!("{argument} {value}: {error}"));
        match argument.as_str() {
            "--state" => options.state = Some(value.into()),
            "--threads" => options.threads = Some(number()? as usize),
            "--slow" => knobs.slow = Duration::from_millis(number()?),
            "--fail-at" => knobs.fail_at = Some(number()?),
            "--calls" => {
                let file = OpenOptions::new().create(true).append(true).open(&value);
                knobs.calls = Some(file.map_err(|error| format!("{argument} {value}: {error}"))?);
            }
            _ => unreachable!("it is one of the options"),
        }
    }
    Ok((options, knobs))
}

fn main() -> ExitCode {
    let result = options(std::env::args().skip(1)).map_err(Into::into).and_then(|(options, knobs)| {
        KNOBS.get_or_init(|| knobs);
        run(&options)
    });
    let Err(error) = result else { return ExitCode::SUCCESS };
    eprintln!("error: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        eprintln!("  because: {cause}");
        source = cause.source();
    }
    ExitCode::FAILURE
}
