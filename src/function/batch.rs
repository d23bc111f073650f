//! UDFs over slices: for models that like batches.

use rowmark_executor::Computed;
use rowmark_rows::RowType;

use super::{Function, Items};
use crate::error::RowError;
use crate::input::Rows;
use crate::udf::{Identity, Udf};

/// Many rows at once give one each. How they are divided into slices is no part of the identity: it must not
/// matter, since a run that continues divides them otherwise.
pub(crate) struct MapBatch<U> {
    pub(crate) udf: U,
    /// The most rows of a slice.
    pub(crate) rows_max: usize,
}

impl<In: RowType, U, Out: RowType> Function<In> for MapBatch<U>
where
    U: Udf<[In], Output: IntoIterator<Item = Out>>,
{
    type Out = Out;
    type Outputs = Vec<Out>;
    type Worker = U::State;

    const KIND: &'static str = "map_batch";

    fn identity(&self) -> Identity {
        self.udf.identity()
    }

    fn rows_at_once(&self) -> u64 {
        self.rows_max as u64
    }

    fn setup(&self) -> Result<U::State, RowError> {
        RowError::setup(&self.udf)
    }

    fn apply<'a>(&'a self, state: &'a mut U::State, mut rows: Rows<'a, In>) -> Items<'a, Vec<Out>> {
        let mut error = None;
        Box::new(std::iter::from_fn(move || {
            if let Some(error) = error.take() {
                return Some(Err(error));
            }
            let (mut slice, mut covered) = (Vec::new(), 0);
            while slice.len() < self.rows_max {
                match rows.next() {
                    None => break,
                    Some(Ok(row)) => {
                        covered += 1;
                        slice.extend(row);
                    }
                    Some(Err(unreadable)) => {
                        error = Some(unreadable);
                        break;
                    }
                }
            }
            if covered == 0 {
                return error.take().map(Err);
            }
            Some(self.call(state, &slice).map(|outputs| Computed { rows: covered, row: outputs }))
        }))
    }
}

impl<U> MapBatch<U> {
    fn call<In, Out>(&self, state: &mut U::State, rows: &[In]) -> Result<Vec<Out>, RowError>
    where
        U: Udf<[In], Output: IntoIterator<Item = Out>>,
    {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        // The whole identity is made to know the name, which may hash much: only for an error.
        let name = || self.udf.identity().name();
        let outputs = self.udf.call(state, rows).map_err(|source| RowError::of_udf(name(), source))?;
        let outputs: Vec<Out> = outputs.into_iter().collect();
        if outputs.len() == rows.len() {
            return Ok(outputs);
        }
        Err(RowError::BatchLength { udf: name().to_owned(), rows_in: rows.len(), rows_out: outputs.len() })
    }
}
