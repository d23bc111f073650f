//! A UDF with configuration, which is a part of its identity, and with state, which each worker makes once.
//!
//! ```sh
//! cargo run --example custom_udf
//! ```

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use rowmark::prelude::*;

/// Spells words by a table that is costly to load. Its fields are its identity: with others it is another UDF.
#[derive(Serialize)]
struct Speller {
    language: String,
}

/// What a worker keeps. It stays on the worker's thread, so it may hold what is not `Send`: a GPU's handle, an `Rc`.
struct Table(Rc<HashMap<char, &'static str>>);

static LOADED: AtomicU64 = AtomicU64::new(0);

#[rowmark::udf(version = 1)] // the body may be edited: its results count as the same until the version changes
impl Speller {
    fn setup(&self) -> Result<Table, String> {
        LOADED.fetch_add(1, Ordering::Relaxed);
        let words = match self.language.as_str() {
            "NATO" => [('a', "Alfa"), ('b', "Bravo"), ('c', "Charlie")],
            "German" => [('a', "Anton"), ('b', "Berta"), ('c', "Cäsar")],
            other => return Err(format!("there is no table for {other}")),
        };
        Ok(Table(Rc::new(HashMap::from(words))))
    }

    fn call(&self, table: &mut Table, word: &String) -> Result<String, String> {
        let letter = |letter| table.0.get(&letter).copied().ok_or(format!("{letter} has no word"));
        Ok(word.chars().map(letter).collect::<Result<Vec<_>, _>>()?.join(" "))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _ = std::fs::remove_dir_all("target/custom-udf");
    let session = Session::builder().state_folder("target/custom-udf").threads(2).open()?;
    let words = session.read_values(&["cab", "abba", "bac"].map(String::from));

    let spelt = |language: &str| words.map(Speller { language: language.to_owned() });
    assert_eq!(spelt("NATO").first()?.as_deref(), Some("Charlie Alfa Bravo"));
    assert_eq!(spelt("German").first()?.as_deref(), Some("Cäsar Anton Berta"));

    let loaded = LOADED.load(Ordering::Relaxed);
    assert!((2..=4).contains(&loaded), "at most once for each worker and table");
    spelt("NATO").collect()?;
    assert_eq!(LOADED.load(Ordering::Relaxed), loaded, "what is finished needs no table");

    let error = spelt("Latin").collect().expect_err("there is no such table");
    let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
    causes.for_each(|cause| println!("{cause}"));
    println!("{}", session.report());
    Ok(())
}
