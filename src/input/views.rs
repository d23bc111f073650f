//! Rows that are another input's, seen through something: none of these stores a row.

use std::sync::Arc;

use rowmark_hashing::{ContentHash, Fingerprint};
use rowmark_rows::{RowRange, RowSchema, RowType};

use super::{Hashing, Input, Reader, Rows, Told, extend};
use crate::Error;
use crate::error::{CommitError, RowError};
use crate::function::type_text;
use crate::session::Session;
use crate::udf::Udf;

/// Calls a UDF that is evaluated on the way, and says whose error it was.
fn call<In, U: Udf<In>>(udf: &U, state: &mut U::State, row: &In) -> Result<U::Output, RowError> {
    udf.call(state, row).map_err(|source| RowError::of_udf(udf.identity().name(), source))
}

/// The identity of rows behind a UDF that is evaluated on the way. All of it counts, the code included.
fn behind<In: ?Sized, U: Udf<In>>(
    session: &Session,
    input: &Fingerprint,
    kind: &str,
    udf: &U,
) -> Result<Fingerprint, Error> {
    let identity = udf.identity();
    let code = session.with_build(identity.code_fingerprint()?)?;
    let fingerprint = input.clone().with(kind, identity.name())?;
    let label = format!("{kind} {}", identity.name());
    let fingerprint = extend(fingerprint, &label, identity.parameters()?);
    Ok(extend(fingerprint, &label, &code))
}

/// The rows that a predicate keeps.
pub(crate) struct FilterInput<T, U> {
    input: Arc<dyn Input<T>>,
    predicate: Arc<U>,
    fingerprint: Fingerprint,
    /// The identity of the predicate alone.
    own: ContentHash,
}

impl<T, U: Udf<T, Output = bool>> FilterInput<T, U> {
    pub(crate) fn new(session: &Session, input: Arc<dyn Input<T>>, predicate: Arc<U>) -> Result<Self, Error> {
        let fingerprint = behind(session, input.fingerprint(), "filter", &*predicate)?;
        let own = behind(session, &Fingerprint::new("rowmark.filter"), "filter", &*predicate)?.hash();
        Ok(Self { input, predicate, fingerprint, own })
    }

    fn through<'a>(&'a self, reader: Box<dyn Reader<T> + 'a>) -> Result<Box<dyn Reader<T> + 'a>, RowError> {
        let udf = &*self.predicate;
        let keep = move |row: T, state: &mut U::State| Ok(call(udf, state, &row)?.then_some(row));
        Ok(Box::new(Through { reader, state: RowError::setup(udf)?, function: keep }))
    }
}

impl<T, U: Udf<T, Output = bool>> Input<T> for FilterInput<T, U> {
    fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    fn schema(&self) -> &RowSchema {
        self.input.schema()
    }

    fn rows(&self) -> Result<u64, Error> {
        self.input.rows()
    }

    fn is_as_stored(&self) -> bool {
        self.input.is_as_stored()
    }

    fn is_dense(&self) -> bool {
        false
    }

    fn digest(&self, rows: RowRange) -> Option<ContentHash> {
        ContentHash::of(&("rowmark.filtered", self.own, self.input.digest(rows)?)).ok()
    }

    fn reader(&self) -> Result<Box<dyn Reader<T> + '_>, RowError> {
        self.through(self.input.reader()?)
    }

    /// Hashes the rows that are kept, if the others need not be.
    fn hashing_reader(&self, context: ContentHash, told: &Told) -> Result<Box<dyn Reader<T> + '_>, RowError>
    where
        T: RowType,
    {
        if self.is_as_stored() {
            return Ok(Box::new(Hashing::new(self.reader()?, (context, self.schema()), told)?));
        }
        self.through(self.input.hashing_reader(context, told)?)
    }

    fn shown(&self, row: u64) -> Option<String> {
        self.input.shown(row)
    }

    fn verify(&self) -> Result<(), CommitError> {
        self.input.verify()
    }
}

/// What a cheap function makes of the rows.
pub(crate) struct ProjectInput<T, U> {
    input: Arc<dyn Input<T>>,
    udf: Arc<U>,
    schema: RowSchema,
    fingerprint: Fingerprint,
    /// The identity of the function alone, and of the rows that it gives.
    own: ContentHash,
}

impl<T: RowType, U: Udf<T, Output: RowType>> ProjectInput<T, U> {
    pub(crate) fn new(session: &Session, input: Arc<dyn Input<T>>, udf: Arc<U>) -> Result<Self, Error> {
        let fingerprint = behind(session, input.fingerprint(), "project", &*udf)?;
        let schema = RowSchema::of::<U::Output>()?;
        let own = behind(session, &Fingerprint::new("rowmark.project"), "project", &*udf)?.hash();
        let own = ContentHash::of(&(own, schema.content_hash(), type_text::<U::Output>()))?;
        Ok(Self { input, udf, schema, fingerprint, own })
    }

    fn through<'a>(
        &'a self,
        reader: Box<dyn Reader<T> + 'a>,
    ) -> Result<Box<dyn Reader<U::Output> + 'a>, RowError> {
        let udf = &*self.udf;
        let project = move |row: T, state: &mut U::State| call(udf, state, &row).map(Some);
        Ok(Box::new(Through { reader, state: RowError::setup(udf)?, function: project }))
    }
}

impl<T: RowType, U: Udf<T, Output: RowType>> Input<U::Output> for ProjectInput<T, U> {
    fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    fn schema(&self) -> &RowSchema {
        &self.schema
    }

    fn rows(&self) -> Result<u64, Error> {
        self.input.rows()
    }

    fn is_as_stored(&self) -> bool {
        false
    }

    fn is_dense(&self) -> bool {
        self.input.is_dense()
    }

    fn digest(&self, rows: RowRange) -> Option<ContentHash> {
        ContentHash::of(&("rowmark.projected", self.own, self.input.digest(rows)?)).ok()
    }

    fn reader(&self) -> Result<Box<dyn Reader<U::Output> + '_>, RowError> {
        self.through(self.input.reader()?)
    }

    /// A row is known by the one that it was made from: it may hold what no hash of its own would tell.
    fn hashing_reader(
        &self,
        context: ContentHash,
        told: &Told,
    ) -> Result<Box<dyn Reader<U::Output> + '_>, RowError> {
        let context = ContentHash::of(&("rowmark.projected", context, self.own))?;
        self.through(self.input.hashing_reader(context, told)?)
    }

    fn shown(&self, row: u64) -> Option<String> {
        self.input.shown(row)
    }

    fn verify(&self) -> Result<(), CommitError> {
        self.input.verify()
    }
}

/// Rows that pass through a function on the way.
struct Through<'a, T, State, F> {
    reader: Box<dyn Reader<T> + 'a>,
    state: State,
    function: F,
}

impl<T, Out, State, F> Reader<Out> for Through<'_, T, State, F>
where
    F: Fn(T, &mut State) -> Result<Option<Out>, RowError>,
{
    fn read(&mut self, range: RowRange) -> Result<Rows<'_, Out>, RowError> {
        let Self { reader, state, function } = self;
        let rows = reader.read(range)?;
        Ok(Box::new(rows.map(move |row| row?.map_or(Ok(None), |row| function(row, state)))))
    }
}

/// The components of an input beyond which a union knows it by its hash alone: they are kept in records, which have
/// a bound, and stand behind one more `first` or `second` in each union around it.
const COMPONENTS_MAX: usize = 256;

fn with_input(fingerprint: Fingerprint, label: &str, input: &Fingerprint) -> Fingerprint {
    if input.components().len() <= COMPONENTS_MAX {
        return extend(fingerprint, label, input);
    }
    fingerprint.with_hash(label, input.hash(), input.hash().short())
}

/// The rows of one input and then those of another.
pub(crate) struct UnionInput<T> {
    inputs: [Arc<dyn Input<T>>; 2],
    /// The number of rows of each.
    rows: [u64; 2],
    fingerprint: Fingerprint,
}

impl<T> UnionInput<T> {
    pub(crate) fn new(inputs: [Arc<dyn Input<T>>; 2]) -> Result<Self, Error> {
        let [first, second] = &inputs;
        if let Some(difference) = first.schema().first_difference(second.schema()) {
            return Err(rowmark_rows::Error::SchemaMismatch { difference }.into());
        }
        let fingerprint = with_input(Fingerprint::new("rowmark.rows"), "first", first.fingerprint());
        let fingerprint = with_input(fingerprint, "second", second.fingerprint());
        let rows = [first.rows()?, second.rows()?];
        Ok(Self { inputs, rows, fingerprint })
    }
}

impl<T> Input<T> for UnionInput<T> {
    fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    fn schema(&self) -> &RowSchema {
        self.inputs[0].schema()
    }

    fn rows(&self) -> Result<u64, Error> {
        Ok(self.rows.iter().sum())
    }

    fn is_as_stored(&self) -> bool {
        self.inputs.iter().all(|input| input.is_as_stored())
    }

    fn is_dense(&self) -> bool {
        self.inputs.iter().all(|input| input.is_dense())
    }

    fn digest(&self, rows: RowRange) -> Option<ContentHash> {
        let ([first, second], [boundary, _]) = (&self.inputs, self.rows);
        if rows.end() <= boundary {
            return first.digest(rows);
        }
        second.digest(RowRange::new(rows.start().checked_sub(boundary)?, rows.end() - boundary))
    }

    fn reader(&self) -> Result<Box<dyn Reader<T> + '_>, RowError> {
        let [first, second] = &self.inputs;
        Ok(Box::new(UnionReader { readers: [first.reader()?, second.reader()?], boundary: self.rows[0] }))
    }

    fn hashing_reader(&self, context: ContentHash, told: &Told) -> Result<Box<dyn Reader<T> + '_>, RowError>
    where
        T: RowType,
    {
        let [first, second] = &self.inputs;
        let readers = [first.hashing_reader(context, told)?, second.hashing_reader(context, told)?];
        Ok(Box::new(UnionReader { readers, boundary: self.rows[0] }))
    }

    fn shown(&self, row: u64) -> Option<String> {
        let ([first, second], boundary) = (&self.inputs, self.rows[0]);
        if row < boundary { first.shown(row) } else { second.shown(row - boundary) }
    }

    fn verify(&self) -> Result<(), CommitError> {
        self.inputs.iter().try_for_each(|input| input.verify())
    }
}

struct UnionReader<'a, T> {
    readers: [Box<dyn Reader<T> + 'a>; 2],
    /// The number of rows of the first.
    boundary: u64,
}

impl<T> Reader<T> for UnionReader<'_, T> {
    fn read(&mut self, range: RowRange) -> Result<Rows<'_, T>, RowError> {
        let [first, second] = &mut self.readers;
        let (start, end, boundary) = (range.start(), range.end(), self.boundary);
        let of_second = || RowRange::new(start.max(boundary) - boundary, end - boundary);
        if end <= boundary {
            first.read(range)
        } else if start >= boundary {
            second.read(of_second())
        } else {
            Ok(Box::new(first.read(RowRange::new(start, boundary))?.chain(second.read(of_second())?)))
        }
    }
}

/// The rows of an input between two numbers. The input is dense: what is cut is what is seen.
pub(crate) struct SliceInput<T> {
    input: Arc<dyn Input<T>>,
    range: RowRange,
    fingerprint: Fingerprint,
}

impl<T> SliceInput<T> {
    /// Cuts `range`, as far as there are rows.
    pub(crate) fn new(
        input: Arc<dyn Input<T>>,
        range: RowRange,
        fingerprint: Fingerprint,
    ) -> Result<Self, Error> {
        debug_assert!(input.is_dense());
        let end = range.end().min(input.rows()?);
        let range = RowRange::new(range.start().min(end), end);
        Ok(Self { input, range, fingerprint })
    }
}

impl<T> Input<T> for SliceInput<T> {
    fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    fn schema(&self) -> &RowSchema {
        self.input.schema()
    }

    fn is_as_stored(&self) -> bool {
        self.input.is_as_stored()
    }

    fn rows(&self) -> Result<u64, Error> {
        Ok(self.range.len())
    }

    fn digest(&self, rows: RowRange) -> Option<ContentHash> {
        let start = self.range.start();
        self.input.digest(RowRange::new(start + rows.start(), start + rows.end()))
    }

    fn reader(&self) -> Result<Box<dyn Reader<T> + '_>, RowError> {
        Ok(Box::new(SliceReader { reader: self.input.reader()?, start: self.range.start() }))
    }

    fn hashing_reader(&self, context: ContentHash, told: &Told) -> Result<Box<dyn Reader<T> + '_>, RowError>
    where
        T: RowType,
    {
        let reader = self.input.hashing_reader(context, told)?;
        Ok(Box::new(SliceReader { reader, start: self.range.start() }))
    }

    fn shown(&self, row: u64) -> Option<String> {
        self.input.shown(self.range.start() + row)
    }

    fn verify(&self) -> Result<(), CommitError> {
        self.input.verify()
    }
}

struct SliceReader<'a, T> {
    reader: Box<dyn Reader<T> + 'a>,
    start: u64,
}

impl<T> Reader<T> for SliceReader<'_, T> {
    fn read(&mut self, range: RowRange) -> Result<Rows<'_, T>, RowError> {
        self.reader.read(RowRange::new(self.start + range.start(), self.start + range.end()))
    }
}
