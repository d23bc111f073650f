//! Rows that fail: recorded and looked at, tried again alone once the function is mended.
//!
//! ```sh
//! cargo run --example failures
//! ```

use std::num::ParseFloatError;

use rowmark::prelude::*;

mod first_try {
    #[rowmark::udf]
    pub fn parse(text: &String) -> Result<f64, super::ParseFloatError> {
        text.parse()
    }
}

/// The same function after its author looked at what failed. The name is the same, so it goes on from what the first
/// one did.
mod mended {
    #[rowmark::udf]
    pub fn parse(text: &String) -> Result<f64, super::ParseFloatError> {
        text.replace(',', ".").trim_end_matches(" km").parse()
    }
}

/// One run of the program.
fn session() -> rowmark::Result<Session> {
    Session::builder()
        .state_folder("target/failures")
        .on_error(OnError::Record { failures_max: 100 })
        .retry(Retry { attempts: 2, ..Retry::default() }) // some services fail once
        .open()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _ = std::fs::remove_dir_all("target/failures");
    let texts = ["1.5", "2,5", "3.5 km", "unknown", "4.5"].map(String::from);

    let today = session()?;
    let distances = today.read_values(&texts).map(first_try::parse);
    assert_eq!(distances.collect()?, [1.5, 4.5], "the run goes on without them");
    for failed in today.failures("parse")? {
        println!("row {}: {} ({} attempts)", failed.row, failed.input.unwrap_or_default(), failed.attempts);
    }
    assert_eq!(today.failures("parse")?.len(), 3);
    drop((distances, today));

    let tomorrow = session()?;
    let distances = tomorrow.read_values(&texts).map(mended::parse).retry_failed();
    let saved = distances.save("distances")?;
    println!("{}", saved.report());
    assert_eq!(distances.collect()?, [1.5, 2.5, 3.5, 4.5]);
    let step = saved.report().step("parse").ok_or("it ran")?;
    assert_eq!((step.rows_reused, step.rows_computed, step.rows_failed), (2, 2, 1));
    assert_eq!(tomorrow.failures("parse")?[0].input.as_deref(), Some("\"unknown\""));
    Ok(())
}
