//! From Arrow record batches of any source to rows.
//!
//! Columns are found by name and brought to the types of the rows without losing anything: a conversion that could lose
//! digits, such as a 64-bit float to a 32-bit one, is refused before the first row, and a value that does not fit, such as
//! 300 as a `u8`, is an error of its row. What Rust has no plain type for comes as text: times and dates in ISO 8601 (an
//! instant in UTC, whatever its zone), decimals with all of their digits.

mod convert;
mod cursor;
mod options;
mod types;

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{Field, Schema};
use rowmark_rows::{Columns, Row, RowSchema, RowType};

use crate::Error;
use crate::error::Cell;
use crate::selection::{FoundColumn, Selection};
pub(crate) use convert::Misfit;
use convert::convert;
pub(crate) use cursor::{BatchCursor, Parts, check_not_packed, damaged, guarded, malformed};
pub use options::ColumnarOptions;
use types::{misfit, plain};

/// How the batches of one source become rows of type `T`.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    schema: RowSchema,
    /// Where each column of the rows is in the batches.
    columns: Vec<usize>,
}

impl Plan {
    /// Plans how to read batches of a schema.
    pub(crate) fn new<T: RowType>(what: &str, found: &Schema, selection: &Selection) -> Result<Self, Error> {
        let names: Vec<String> = found.fields().iter().map(|field| field.name().clone()).collect();
        let schema = RowSchema::of_or::<T, Error>(|| {
            let chosen = selection.choose(what, &names)?;
            let fields = chosen.iter().map(|(_, index)| {
                let field = found.field(*index);
                plain(field).ok_or_else(|| rowmark_rows::Error::NotDynamic {
                    field: field.name().clone(),
                    data_type: text_of(field),
                })
            });
            let fields: Vec<Field> = fields.collect::<Result<_, _>>()?;
            Ok(RowSchema::from_arrow(Arc::new(Schema::new(fields))))
        })?;
        let plan = Self::matching(what, found, &schema, selection)?;
        if Row::is::<T>() {
            Columns::of(&plan.schema)?;
        }
        Ok(plan)
    }

    /// Plans how to read batches of one schema as rows of another.
    pub(crate) fn matching(
        what: &str,
        found: &Schema,
        schema: &RowSchema,
        selection: &Selection,
    ) -> Result<Self, Error> {
        let shown = RowSchema::from_arrow(Arc::new(found.clone())).to_string();
        let expected = schema.arrow().fields();
        let column = |field: &Arc<Field>| FoundColumn {
            name: field.name().clone(),
            misfit: expected
                .iter()
                .find(|other| other.name() == field.name())
                .and_then(|other| misfit(field, other)),
        };
        let columns: Vec<FoundColumn> = found.fields().iter().map(column).collect();
        // Columns must be there and of a type that can be converted, whatever serde would make of others.
        let checked = Selection {
            unchecked: false,
            skip_extra: selection.skip_extra || selection.unchecked,
            ..selection.clone()
        };
        checked.check(what, schema, &columns, &shown)?;
        let columns = expected.iter().filter_map(|field| found.index_of(field.name()).ok()).collect();
        Ok(Self { schema: schema.clone(), columns })
    }

    /// The schema of the rows.
    pub(crate) fn schema(&self) -> &RowSchema {
        &self.schema
    }

    /// The columns of the batches that are read.
    #[cfg(feature = "parquet")]
    pub(crate) fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// The same plan for batches that have these columns alone, in the order in which the source has them.
    #[cfg(feature = "parquet")]
    pub(crate) fn projected(&self) -> Self {
        let mut all = self.columns.clone();
        all.sort_unstable();
        let columns = self.columns.iter().map(|column| all.partition_point(|other| other < column)).collect();
        Self { schema: self.schema.clone(), columns }
    }

    /// The rows of a batch, each with the error that it is.
    pub(crate) fn rows<T: RowType>(&self, batch: &RecordBatch) -> Vec<Result<T, Misfit>> {
        if let Ok(rows) = self.try_rows(batch) {
            return rows.into_iter().map(Ok).collect();
        }
        // Some row is not what it should be: each on its own.
        let row = |row| {
            let mut rows = self.try_rows::<T>(&batch.slice(row, 1))?;
            rows.pop().ok_or_else(|| Misfit::plain("the batch has fewer rows than it says"))
        };
        (0..batch.num_rows()).map(row).collect()
    }

    fn try_rows<T: RowType>(&self, batch: &RecordBatch) -> Result<Vec<T>, Misfit> {
        let fields = self.schema.arrow().fields();
        let mut columns = Vec::with_capacity(fields.len());
        for (field, index) in fields.iter().zip(&self.columns) {
            columns.push(convert(field.name(), batch.column(*index), field)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let schema = Arc::clone(self.schema.arrow());
        let batch = RecordBatch::try_new_with_options(schema, columns, &options)
            .map_err(|error| Misfit::plain(error.to_string()))?;
        self.schema.decode(&batch).map_err(|error| Misfit {
            reason: std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string),
            cell: None,
            source: Some(Box::new(error)),
        })
    }
}

/// A field's type as people read it.
fn text_of(field: &Field) -> String {
    let schema = RowSchema::from_arrow(Arc::new(Schema::new(vec![field.clone()]))).to_string();
    schema.strip_prefix(&format!("{}: ", field.name())).unwrap_or(&schema).to_owned()
}

/// The value in a cell as an error shows it.
fn cell(column: &str, array: &dyn arrow_array::Array, row: usize) -> Option<Box<Cell>> {
    let text = if array.is_null(row) {
        "null".to_owned()
    } else {
        arrow_cast::display::array_value_to_string(array, row).ok()?
    };
    Some(Cell::new(column, text.as_bytes()))
}
