//! The kinds of UDF: what each makes of the rows that a worker reads.

use rowmark_executor::Computed;
use rowmark_rows::{RowType, row_bytes};
use serde::{Deserialize, Serialize};

use crate::error::RowError;
use crate::input::Rows;
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

    fn identity(&self) -> Identity;

    /// How many rows are better computed together.
    fn rows_at_once(&self) -> u64 {
        1
    }

    fn setup(&self) -> Result<Self::Worker, RowError>;

    /// Computes rows: each item covers one or more of them, in order.
    fn apply<'a>(&'a self, worker: &'a mut Self::Worker, rows: Rows<'a, In>) -> Items<'a, Self::Outputs>;
}

/// What rows that were computed together gave: none, one or many.
pub(crate) trait Outputs: IntoIterator + Default + Send {
    /// About how many bytes they hold.
    fn bytes(&self) -> u64;
}

impl<T: RowType> Outputs for Option<T> {
    fn bytes(&self) -> u64 {
        self.as_ref().map_or(0, row_bytes)
    }
}

impl<T: RowType> Outputs for Vec<T> {
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

impl<In: 'static, U: Udf<In, Output: RowType>> Function<In> for Map<U> {
    type Out = U::Output;
    type Outputs = Option<U::Output>;
    type Worker = U::State;

    const KIND: &'static str = "map";

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

impl<In: 'static, U> Function<In> for FlatMap<U>
where
    U: Udf<In, Output: IntoIterator<Item: RowType>>,
{
    type Out = <U::Output as IntoIterator>::Item;
    type Outputs = Vec<Self::Out>;
    type Worker = U::State;

    const KIND: &'static str = "flat_map";

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
