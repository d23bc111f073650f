//! The kinds of UDF: what each makes of the rows that a worker reads.

use rowmark_executor::Computed;
use rowmark_hashing::{ContentHash, RowHash};
use rowmark_rows::{RowSchema, RowType, row_bytes};
use serde::{Deserialize, Serialize};

use crate::error::RowError;
use crate::input::{Input, Reader, Rows, Told};
use crate::udf::{Identity, Udf};

mod batch;

pub(crate) use batch::MapBatch;

/// What a step that computes row by row does.
pub(crate) trait Function<In>: Send + Sync + 'static {
    /// The output row.
    type Out: RowType;
    /// The outputs of the rows that are computed together.
    type Outputs: Outputs<Item = Self::Out>;
    /// What a worker keeps between rows.
    type Worker;

    /// The kind of step: a part of its identity.
    const KIND: &'static str;

    /// Whether each row is computed on its own, so that it can be known by its content. Each item of
    /// [`apply`](Self::apply) then covers one row.
    const IS_KEYED: bool = false;

    /// Whether it sees nothing of a row but the row itself, so that what tells the input's rows tells what it sees.
    const IS_OF_THE_ROW: bool = false;

    /// Whether each row gives one, if none is filtered out.
    const IS_ONE_TO_ONE: bool = false;

    fn identity(&self) -> Identity;

    /// How many rows are better computed together.
    fn rows_at_once(&self) -> u64 {
        1
    }

    fn setup(&self) -> Result<Self::Worker, RowError>;

    /// What tells rows that are [keyed](Self::IS_KEYED) by their content, where the [row](Self::IS_OF_THE_ROW) does not tell
    /// it; the schema is that of the rows.
    fn hasher(&self, _schema: &RowSchema) -> Result<Option<Hasher<'_, In>>, RowError> {
        Ok(None)
    }

    /// Computes rows: each item covers one or more of them, in order.
    fn apply<'a>(&'a self, worker: &'a mut Self::Worker, rows: Rows<'a, In>) -> Items<'a, Self::Outputs>;
}

/// Hashes the rows of one worker.
pub(crate) type Hasher<'a, In> = Box<dyn HashRow<In> + 'a>;

/// Tells a row by its content: all that the function sees of it.
pub(crate) trait HashRow<In> {
    /// The hash of a row; none for a row that cannot be hashed, which is then computed wherever it is met.
    fn hash(&mut self, row: &In) -> Result<Option<RowHash>, RowError>;
}

/// Knows rows by their content as a function sees them, in the order in which they are read.
pub(crate) struct Hashes<'a, In> {
    hasher: Option<Hasher<'a, In>>,
    told: Told,
}

impl<'a, In: RowType> Hashes<'a, In> {
    /// Begins to read an input whose rows are to be known.
    pub(crate) fn reader<F: Function<In>>(
        input: &'a dyn Input<In>,
        function: &'a F,
    ) -> Result<(Box<dyn Reader<In> + 'a>, Self), RowError> {
        let (hasher, told) = (function.hasher(input.schema())?, Told::default());
        let reader = match hasher {
            Some(_) => input.reader()?,
            None => input.hashing_reader(ContentHash::of("rowmark.function")?, &told)?,
        };
        Ok((reader, Self { hasher, told }))
    }

    /// The hash of the row that was read last.
    pub(crate) fn of_last(&mut self, row: &In) -> Result<Option<RowHash>, RowError> {
        self.hasher.as_mut().map_or_else(|| Ok(self.told.get()), |hasher| hasher.hash(row))
    }
}

/// The name of a type without modules, so that it may move to another.
pub(crate) fn type_text<T>() -> String {
    let mut text = String::new();
    let mut word = 0; // where the last path begins
    for character in std::any::type_name::<T>().chars() {
        text.push(character);
        if text.ends_with("::") {
            text.truncate(word);
        } else if !(character.is_alphanumeric() || matches!(character, '_' | ':' | '{' | '}' | '#')) {
            word = text.len();
        }
    }
    text
}

/// What rows that were computed together gave: none, one or many.
pub(crate) trait Outputs: IntoIterator + Default + Send {
    /// The same as they were stored; none if so many cannot be given.
    fn of_stored(rows: Vec<Self::Item>) -> Option<Self>;

    /// How many there are.
    fn count(&self) -> usize;

    /// About how many bytes they hold.
    fn bytes(&self) -> u64;
}

impl<T: RowType> Outputs for Option<T> {
    fn of_stored(mut rows: Vec<T>) -> Option<Self> {
        (rows.len() == 1).then(|| rows.pop())
    }

    fn count(&self) -> usize {
        usize::from(self.is_some())
    }

    fn bytes(&self) -> u64 {
        self.as_ref().map_or(0, row_bytes)
    }
}

impl<T: RowType> Outputs for Vec<T> {
    fn of_stored(rows: Vec<T>) -> Option<Self> {
        Some(rows)
    }

    fn count(&self) -> usize {
        self.len()
    }

    fn bytes(&self) -> u64 {
        let sample = &self[..self.len().min(SAMPLED_OUTPUTS)];
        let bytes: u64 = sample.iter().map(row_bytes).sum();
        bytes * self.len() as u64 / sample.len().max(1) as u64
    }
}

/// Outputs that are looked at to tell the size of all that one row gave.
const SAMPLED_OUTPUTS: usize = 16;

/// The outputs of rows, in order.
pub(crate) type Items<'a, Outputs> = Box<dyn Iterator<Item = Result<Computed<Outputs>, RowError>> + 'a>;

/// One row at a time through a UDF and then through `shape`; a row that was filtered out gives the default.
fn each<'a, In: 'a, U: Udf<In>, O: Outputs + 'a>(
    udf: &'a U,
    state: &'a mut U::State,
    rows: Rows<'a, In>,
    shape: impl Fn(In, U::Output) -> O + 'a,
) -> Items<'a, O> {
    Box::new(rows.map(move |row| {
        let outputs = match row? {
            None => O::default(),
            Some(row) => match udf.call(state, &row) {
                Ok(output) => shape(row, output),
                Err(source) => return Err(RowError::of_udf(udf.identity().name(), source)),
            },
        };
        Ok(Computed::from(outputs))
    }))
}

/// One row gives one.
pub(crate) struct Map<U>(pub(crate) U);

impl<In: RowType, U: Udf<In, Output: RowType>> Function<In> for Map<U> {
    type Out = U::Output;
    type Outputs = Option<U::Output>;
    type Worker = U::State;

    const KIND: &'static str = "map";
    const IS_KEYED: bool = true;
    const IS_OF_THE_ROW: bool = true;
    const IS_ONE_TO_ONE: bool = true;

    fn identity(&self) -> Identity {
        self.0.identity()
    }

    fn setup(&self) -> Result<U::State, RowError> {
        RowError::setup(&self.0)
    }

    fn apply<'a>(&'a self, state: &'a mut U::State, rows: Rows<'a, In>) -> Items<'a, Self::Outputs> {
        each(&self.0, state, rows, |_, output| Some(output))
    }
}

/// An output beside the input that it was computed from: a row of [`map_with`](crate::Chain::map_with).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithInput<In, Out> {
    /// The input row.
    pub input: In,
    /// What was computed from it.
    pub output: Out,
}

/// One row gives one, and stays beside it.
pub(crate) struct MapWith<U>(pub(crate) U);

impl<In: RowType, U: Udf<In, Output: RowType>> Function<In> for MapWith<U> {
    type Out = WithInput<In, U::Output>;
    type Outputs = Option<Self::Out>;
    type Worker = U::State;

    const KIND: &'static str = "map_with";
    const IS_KEYED: bool = true;
    const IS_OF_THE_ROW: bool = true;
    const IS_ONE_TO_ONE: bool = true;

    fn identity(&self) -> Identity {
        self.0.identity()
    }

    fn setup(&self) -> Result<U::State, RowError> {
        RowError::setup(&self.0)
    }

    fn apply<'a>(&'a self, state: &'a mut U::State, rows: Rows<'a, In>) -> Items<'a, Self::Outputs> {
        each(&self.0, state, rows, |input, output| Some(WithInput { input, output }))
    }
}

/// One row gives any number.
pub(crate) struct FlatMap<U>(pub(crate) U);

impl<In: RowType, U> Function<In> for FlatMap<U>
where
    U: Udf<In, Output: IntoIterator<Item: RowType>>,
{
    type Out = <U::Output as IntoIterator>::Item;
    type Outputs = Vec<Self::Out>;
    type Worker = U::State;

    const KIND: &'static str = "flat_map";
    const IS_KEYED: bool = true;
    const IS_OF_THE_ROW: bool = true;

    fn identity(&self) -> Identity {
        self.0.identity()
    }

    fn setup(&self) -> Result<U::State, RowError> {
        RowError::setup(&self.0)
    }

    fn apply<'a>(&'a self, state: &'a mut U::State, rows: Rows<'a, In>) -> Items<'a, Self::Outputs> {
        each(&self.0, state, rows, |_, outputs| outputs.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_known_by_its_name_without_modules() {
        struct Town;
        assert_eq!(type_text::<Town>(), "Town");
        assert_eq!(type_text::<Vec<(Town, Option<&str>)>>(), "Vec<(Town, Option<&str>)>");
        assert_eq!(type_text::<[WithInput<u8, String>; 3]>(), "[WithInput<u8, String>; 3]");
    }
}
