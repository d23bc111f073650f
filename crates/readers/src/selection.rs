//! What all readers of files can be asked for, and the check of a type against what is in a file.

use std::collections::BTreeSet;

use rowmark_hashing::Fingerprint;
use rowmark_rows::RowSchema;

use crate::Error;

/// Which columns and rows are read, and how the columns of a type are matched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    pub(crate) columns: Option<Vec<String>>,
    pub(crate) rows_max: Option<u64>,
    pub(crate) skip_extra: bool,
    pub(crate) unchecked: bool,
}

impl Selection {
    /// What of it shapes the rows, but for their number, which the source adds.
    pub(crate) fn identify(&self, fingerprint: Fingerprint) -> Result<Fingerprint, Error> {
        match &self.columns {
            Some(columns) => Ok(fingerprint.with("columns", columns)?),
            None => Ok(fingerprint),
        }
    }

    /// Whether a column of the file is read.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.columns.as_ref().is_none_or(|columns| columns.iter().any(|column| column == name))
    }

    /// The columns that are asked for, each with where it is among those of the file.
    pub(crate) fn choose(&self, what: &str, found: &[String]) -> Result<Vec<(String, usize)>, Error> {
        let Some(columns) = &self.columns else {
            return Ok(found.iter().cloned().zip(0..).collect());
        };
        let choose = |name: &String| match found.iter().position(|column| column == name) {
            Some(index) => Ok((name.clone(), index)),
            None => Err(Error::Columns {
                what: what.to_owned(),
                difference: format!("there is no column `{name}`"),
                expected: shortened(columns.join(", ")),
                found: shortened(found.join(", ")),
            }),
        };
        columns.iter().map(choose).collect()
    }

    /// Makes sure that the columns of a file are those of a type.
    pub(crate) fn check(
        &self,
        what: &str,
        expected: &RowSchema,
        found: &[FoundColumn],
        shown: &str,
    ) -> Result<(), Error> {
        if self.unchecked {
            return Ok(());
        }
        let fields = expected.arrow().fields();
        let (mut names, mut doubled) = (BTreeSet::new(), BTreeSet::new());
        for column in found {
            if !names.insert(&column.name) {
                doubled.insert(&column.name);
            }
        }
        let twice = fields.iter().find(|field| doubled.contains(field.name())).map(|field| {
            let name = field.name();
            format!("there are two columns `{name}`, and it is not said which is meant; rename one")
        });
        let missing =
            fields.iter().find_map(|field| match found.iter().find(|column| column.name == *field.name()) {
                None => Some(format!("column `{}` is missing", field.name())),
                Some(column) => {
                    column.misfit.as_ref().map(|misfit| format!("column `{}` {misfit}", field.name()))
                }
            });
        let is_extra = |column: &&FoundColumn| {
            !self.skip_extra
                && self.has(&column.name)
                && fields.iter().all(|field| *field.name() != column.name)
        };
        let extra = || {
            let column = found.iter().find(is_extra)?;
            Some(format!(
                "column `{}` is in no field; add one, or pass over such columns with `skip_extra_columns`",
                column.name
            ))
        };
        match twice.or(missing).or_else(extra) {
            None => Ok(()),
            Some(difference) => Err(Error::Columns {
                what: what.to_owned(),
                difference,
                expected: shortened(expected.to_string()),
                found: shortened(shown.to_owned()),
            }),
        }
    }
}

/// Characters of a list of columns that an error shows.
const COLUMNS_CHARS_SHOWN_MAX: usize = 4000;

/// A list of columns as an error shows it: a file can have millions of them.
fn shortened(columns: String) -> String {
    match columns.char_indices().nth(COLUMNS_CHARS_SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &columns[..end]),
        None => columns,
    }
}

/// A column that was found in a file.
pub(crate) struct FoundColumn {
    pub(crate) name: String,
    /// Why it cannot be read as the field of its name, in words.
    pub(crate) misfit: Option<String>,
}

/// The builder methods that options of all readers of files have.
macro_rules! selection_methods {
    () => {
        /// Reads these columns only, in this order. All others are passed over.
        #[must_use]
        pub fn columns<C: Into<String>>(mut self, columns: impl IntoIterator<Item = C>) -> Self {
            self.selection.columns = Some(columns.into_iter().map(Into::into).collect());
            self
        }

        /// Reads so many rows at most.
        #[must_use]
        pub fn rows_max(mut self, rows_max: u64) -> Self {
            self.selection.rows_max = Some(rows_max);
            self
        }

        /// Passes over columns that the type of the rows has no field for, instead of refusing them.
        #[must_use]
        pub fn skip_extra_columns(mut self) -> Self {
            self.selection.skip_extra = true;
            self
        }

        /// Does not compare the columns with the type of the rows before the first row is read: for types whose serde
        /// attributes (`alias`, `default`, `flatten`) take other columns than their fields' names say.
        #[must_use]
        pub fn unchecked(mut self) -> Self {
            self.selection.unchecked = true;
            self
        }
    };
}
pub(crate) use selection_methods;
