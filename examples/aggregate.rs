//! Groups of rows: airports by the hour of their time zone, and the northernmost of each.
//!
//! The rows are put in order on disk, so a group may be larger than memory; each finished group is saved.
//!
//! ```sh
//! cargo run --example aggregate
//! ```

use rowmark::prelude::*;

#[derive(Serialize, Deserialize)]
struct Airport {
    name: String,
    latitude: f64,
    longitude: f64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Zone {
    hours: i32,
    airports: u64,
    northernmost: String,
}

/// Hours from Greenwich, by the sun. A float has no order to group by; its hour has.
#[rowmark::udf]
fn solar_hours(airport: &Airport) -> i32 {
    (airport.longitude / 15.0).round() as i32
}

/// The group is streamed: one airport is in memory at a time, and the best so far.
#[rowmark::udf]
fn describe(group: &Group<i32, Airport>) -> Zone {
    let northernmost = group.rows().max_by(|one, other| one.latitude.total_cmp(&other.latitude));
    Zone {
        hours: *group.key(),
        airports: group.len(),
        northernmost: northernmost.map(|airport| airport.name).unwrap_or_default(),
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let session = Session::builder().state_folder("target/aggregate").sort_bytes_max(64 << 10).open()?;
    let some_columns = CsvOptions::new().skip_extra_columns();
    let airports = session.read_csv_with::<Airport>("examples/data/airports.csv", some_columns)?;
    let zones = airports.agg(solar_hours, describe);
    let zones = zones.collect()?;
    for Zone { hours, airports, northernmost } in &zones {
        println!("{hours:+03} h: {airports:4} airports, up to {northernmost}");
    }
    assert!(zones.is_sorted_by_key(|zone| zone.hours), "groups come in the order of their keys");
    assert_eq!(zones.iter().map(|zone| zone.airports).sum::<u64>(), 3376);

    // A fold has one group, all rows, and a state that is saved as it goes.
    let farthest_south = airports
        .fold(90.0, udf!("south", |south: &mut f64, airport: &Airport| *south = south.min(airport.latitude)));
    let south = farthest_south.collect()?;
    println!("the southernmost airport is at {:.2} degrees", south[0]);
    assert!((7.0..8.0).contains(&south[0]), "it is on Babelthuap");
    Ok(())
}
