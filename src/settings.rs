//! Settings that come from the environment, read once when a session is opened.
//!
//! A builder call beats a variable. Nothing else in the workspace reads the environment.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::Error;

/// The variables of the environment that a session heeds, each `None` when it is not set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Variables {
    /// `ROWMARK_DIR`
    pub(crate) state_folder: Option<PathBuf>,
    /// `ROWMARK_UDF_RESET`
    pub(crate) reset: Option<bool>,
    /// `ROWMARK_IGNORE_CHECKPOINTS`
    pub(crate) ignore_checkpoints: Option<bool>,
    /// `ROWMARK_STRICT_BUILD`
    pub(crate) strict_build: Option<bool>,
    /// `ROWMARK_THREADS`
    pub(crate) threads: Option<usize>,
    /// `ROWMARK_CHECKPOINT_TTL`
    pub(crate) ttl: Option<Duration>,
}

impl Variables {
    /// Reads the variables through `get`: [`std::env::var_os`], or a test's own.
    pub(crate) fn read(get: impl Fn(&str) -> Option<OsString>) -> Result<Self, Error> {
        let text = |variable: &str| get(variable).map(|value| value.to_string_lossy().into_owned());
        Ok(Self {
            state_folder: get("ROWMARK_DIR").filter(|folder| !folder.is_empty()).map(PathBuf::from),
            reset: parse("ROWMARK_UDF_RESET", text, BOOLEAN, boolean)?,
            ignore_checkpoints: parse("ROWMARK_IGNORE_CHECKPOINTS", text, BOOLEAN, boolean)?,
            strict_build: parse("ROWMARK_STRICT_BUILD", text, BOOLEAN, boolean)?,
            threads: parse("ROWMARK_THREADS", text, "a number of threads, 0 for one per core", |value| {
                value.parse().ok()
            })?,
            ttl: parse("ROWMARK_CHECKPOINT_TTL", text, "a number of seconds", |value| {
                value.parse().ok().map(Duration::from_secs)
            })?,
        })
    }
}

const BOOLEAN: &str = "1, true, yes or on, or 0, false, no, off or nothing";

fn boolean(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" | "" => Some(false),
        _ => None,
    }
}

fn parse<T>(
    variable: &'static str,
    text: impl Fn(&str) -> Option<String>,
    expected: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Error> {
    text(variable)
        .map(|value| parse(value.trim()).ok_or(Error::Setting { variable, value, expected }))
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variable: &str, value: &str) -> Result<Variables, Error> {
        Variables::read(|name| (name == variable).then(|| value.into()))
    }

    #[test]
    fn a_boolean_has_its_words_and_no_others() {
        for value in ["1", "true", "Yes", " ON "] {
            assert_eq!(read("ROWMARK_UDF_RESET", value).unwrap().reset, Some(true), "{value}");
        }
        for value in ["0", "FALSE", "no", "off", ""] {
            assert_eq!(
                read("ROWMARK_IGNORE_CHECKPOINTS", value).unwrap().ignore_checkpoints,
                Some(false),
                "{value}"
            );
        }
        let error = read("ROWMARK_UDF_RESET", "maybe").unwrap_err().to_string();
        assert!(error.starts_with("the variable ROWMARK_UDF_RESET is `maybe`; expected 1, true"), "{error}");
    }

    #[test]
    fn what_is_not_set_is_none() {
        assert_eq!(Variables::read(|_| None).unwrap(), Variables::default());
        assert_eq!(read("ROWMARK_THREADS", "8").unwrap().threads, Some(8));
        assert_eq!(read("ROWMARK_CHECKPOINT_TTL", "60").unwrap().ttl, Some(Duration::from_secs(60)));
        read("ROWMARK_THREADS", "-1").unwrap_err();
    }
}
