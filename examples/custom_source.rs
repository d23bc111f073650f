//! A format of one's own as a source: the words of a text, one to a row.
//!
//! ```text
//! cargo run --example custom_source
//! ```

use rowmark::hashing::Fingerprint;
use rowmark::prelude::*;
use rowmark::readers::{Error, RowIter, Source};
use rowmark::rows::RowRange;

/// The words of a text.
#[derive(Debug)]
struct Words(String);

impl Source for Words {
    type Row = String;

    fn name(&self) -> String {
        "words".into()
    }

    /// Equal fingerprints must mean equal rows: everything that decides them goes in, and nothing else.
    fn fingerprint(&self) -> Result<Fingerprint, Error> {
        Ok(Fingerprint::new("words").with("text", &self.0)?)
    }

    fn rows(&self) -> Result<u64, Error> {
        Ok(self.0.split_whitespace().count() as u64)
    }

    /// Called by many threads, for many ranges.
    fn read(&self, range: RowRange) -> Result<RowIter<'_, String>, Error> {
        let words = self.0.split_whitespace().skip(range.start() as usize).take(range.len() as usize);
        Ok(Box::new(words.map(|word| Ok(word.to_owned()))))
    }
}

fn main() -> rowmark::Result<()> {
    let session = Session::open("target/custom-source-state")?;
    let words = Words("work done once stays done".into());
    let lengths = session.read(words).map(udf!("length", |word: &String| word.len() as u64)).collect()?;
    assert_eq!(lengths, [4, 4, 4, 5, 4]);
    println!("{lengths:?}\n{}", session.report());
    Ok(())
}
