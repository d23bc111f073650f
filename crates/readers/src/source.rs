//! The one trait of this crate.

use std::fmt::Debug;

use rowmark_hashing::Fingerprint;
use rowmark_rows::{RowRange, RowSchema, RowType};

use crate::Error;

/// Rows in their order, each with the error that reading it met.
pub type RowIter<'a, T> = Box<dyn Iterator<Item = Result<T, Error>> + 'a>;

/// A deterministic sequence of rows, numbered from 0, that can be read again and from any row on.
///
/// Invariants that a chain relies on:
/// - two sources with equal fingerprints yield equal rows, in this process or any other;
/// - a source is its content as it was when the source was made; when that has changed, every method
///   answers [`Error::Changed`], and rows are committed only after [`verify`](Self::verify) said that it has not;
/// - a row holds nothing that serde does not write of it: rows of a source that changed are known by what is written, and
///   their outputs are used again.
///
/// ```
/// use rowmark_hashing::Fingerprint;
/// use rowmark_readers::{Error, RowIter, Source};
/// use rowmark_rows::RowRange;
///
/// /// The first so many square numbers.
/// #[derive(Debug)]
/// struct Squares(u64);
///
/// impl Source for Squares {
///     type Row = u64;
///     fn name(&self) -> String {
///         format!("{} squares", self.0)
///     }
///     fn fingerprint(&self) -> Result<Fingerprint, Error> {
///         Ok(Fingerprint::new("squares").with("count", &self.0)?)
///     }
///     fn rows(&self) -> Result<u64, Error> {
///         Ok(self.0)
///     }
///     fn read(&self, range: RowRange) -> Result<RowIter<'_, u64>, Error> {
///         Ok(Box::new((range.start()..range.end()).map(|row| Ok(row * row))))
///     }
/// }
///
/// let rows: Result<Vec<u64>, Error> = Squares(10).read(RowRange::new(3, 5))?.collect();
/// assert_eq!(rows?, [9, 16]);
/// # Ok::<(), Error>(())
/// ```
pub trait Source: Debug + Send + Sync {
    /// What a row is.
    type Row: RowType;

    /// A short name for people: in reports, on bars, in errors.
    fn name(&self) -> String;

    /// The schema of the rows: that of their type. A source of [`Row`](rowmark_rows::Row)s, which has none, answers its
    /// own.
    ///
    /// # Errors
    /// The rows cannot be stored.
    fn schema(&self) -> Result<RowSchema, Error> {
        Ok(RowSchema::of::<Self::Row>()?)
    }

    /// The identity of the rows: their content and every option that shapes them. May read all of
    /// the source.
    ///
    /// # Errors
    /// The source cannot be read, or a row of it cannot be hashed.
    fn fingerprint(&self) -> Result<Fingerprint, Error>;

    /// The number of rows. May read all of the source.
    ///
    /// # Errors
    /// The source cannot be read, or has changed.
    fn rows(&self) -> Result<u64, Error>;

    /// Reads the rows of `range`, which lies within `0..rows`. Called by many threads at a time,
    /// for many ranges: it should find the first row without reading those before it.
    ///
    /// # Errors
    /// The source cannot be read, or has changed.
    fn read(&self, range: RowRange) -> Result<RowIter<'_, Self::Row>, Error>;

    /// Makes sure that the source has not changed. Called before rows that were read are
    /// committed, so it must be cheap: a `stat`, say.
    ///
    /// # Errors
    /// The source has changed, or is gone.
    fn verify(&self) -> Result<(), Error> {
        Ok(())
    }
}
