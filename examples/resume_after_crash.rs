//! A program that dies half way, and runs again: what was finished is not computed again.
//!
//! ```sh
//! cargo run --example resume_after_crash
//! ```

use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use rowmark::prelude::*;

/// Pages that this process has summarised. A static is no part of a UDF's identity.
static SUMMARISED: AtomicU64 = AtomicU64::new(0);

/// Pretends to cost a second and a cent.
#[rowmark::udf]
fn summarise(page: &u64) -> String {
    if std::env::var_os("DIES").is_some() && *page == 700 {
        std::process::abort(); // no destructor runs, nothing is flushed
    }
    SUMMARISED.fetch_add(1, Ordering::Relaxed);
    format!("page {page} in short")
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let state = std::env::args().nth(1).unwrap_or_else(|| "target/resume-after-crash".to_owned());
    if std::env::var_os("DIES").is_none() {
        let _ = std::fs::remove_dir_all(&state); // so that the example can be run twice
        let child = Command::new(std::env::current_exe()?).arg(&state).env("DIES", "yes").status()?;
        assert!(!child.success());
        println!("the first run has died: {child}");
    }
    let session = Session::builder()
        .state_folder(&state)
        .threads(1)
        .durability(Durability::EveryRow) // each page is paid for
        .open()?;
    let pages: Vec<u64> = (0..1000).collect();
    let saved = session.read_values(&pages).map(summarise).save("summaries")?;
    println!("{}", saved.report());

    let computed = SUMMARISED.load(Ordering::Relaxed);
    assert_eq!(saved.rows(), 1000);
    assert!((300..320).contains(&computed), "the last few before the death may be lost: {computed}");
    println!("the second run computed {computed} of {} pages", saved.rows());
    Ok(())
}
