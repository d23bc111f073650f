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
    /// `HF_ENDPOINT`, `HF_HOME` and the other variables of the Hugging Face hub's clients
    #[cfg(feature = "hf")]
    pub(crate) hub: rowmark_readers::HfOptions,
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
            #[cfg(feature = "hf")]
            hub: hub(text),
        })
    }
}

/// The variables that the hub's clients heed, in all languages, by their rules
/// (<https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables>).
#[cfg(feature = "hf")]
fn hub(text: impl Fn(&str) -> Option<String>) -> rowmark_readers::HfOptions {
    let first = |variables: &[&str]| {
        variables.iter().find_map(|variable| text(variable).filter(|value| !value.trim().is_empty()))
    };
    let home = first(&["HOME", "USERPROFILE"]).map(PathBuf::from);
    let folder = |value: String| match (value.strip_prefix("~/"), &home) {
        (Some(below), Some(home)) => home.join(below),
        _ => PathBuf::from(value),
    };
    let own_caches = || home.as_ref().map(|home| home.join(".cache"));
    let huggingface = first(&["HF_HOME"])
        .map(folder)
        .or_else(|| Some(first(&["XDG_CACHE_HOME"]).map(folder).or_else(own_caches)?.join("huggingface")));
    let cache = first(&["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"]).map(folder);
    let token_file = first(&["HF_TOKEN_PATH"]).map(folder);
    let is_true = |value: String| ["1", "ON", "YES", "TRUE"].contains(&value.to_ascii_uppercase().as_str());

    let mut options = rowmark_readers::HfOptions::new();
    if let Some(folder) = cache.or_else(|| Some(huggingface.as_ref()?.join("hub"))) {
        options = options.cache_folder(folder);
    }
    if let Some(path) = token_file.or_else(|| Some(huggingface.as_ref()?.join("token"))) {
        options = options.token_file(path);
    }
    if let Some(token) = first(&["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]) {
        options = options.token(token);
    }
    if let Some(endpoint) = first(&["HF_ENDPOINT"]) {
        options = options.endpoint(endpoint);
    }
    if let Some(offline) = first(&["HF_HUB_OFFLINE"]) {
        options = options.offline(is_true(offline));
    }
    if let Some(proxy) = first(&["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]) {
        let exempt = first(&["NO_PROXY", "no_proxy"]).unwrap_or_default();
        options = options.proxy(proxy, exempt.split(',').map(str::trim));
    }
    options
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

    #[test]
    #[cfg(feature = "hf")]
    fn the_hub_has_the_variables_of_its_other_clients() {
        use rowmark_readers::HfOptions;
        let read = |variables: &[(&str, &str)]| {
            let get = |name: &str| {
                variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| value.into())
            };
            Variables::read(get).unwrap().hub
        };
        let at = |home: &str| {
            HfOptions::new().cache_folder(format!("{home}/hub")).token_file(format!("{home}/token"))
        };
        assert_eq!(read(&[]), HfOptions::new());
        assert_eq!(read(&[("HOME", "/me")]), at("/me/.cache/huggingface"));
        assert_eq!(read(&[("HOME", "/me"), ("XDG_CACHE_HOME", "/x")]), at("/x/huggingface"));
        assert_eq!(read(&[("HOME", "/me"), ("HF_HOME", "~/hf")]), at("/me/hf"));
        let cache = read(&[("HF_HOME", "/hf"), ("HF_HUB_CACHE", "/cache"), ("HF_TOKEN_PATH", "/t")]);
        assert_eq!(cache, HfOptions::new().cache_folder("/cache").token_file("/t"));
        for (value, is_offline) in [("1", true), ("Yes", true), ("0", false), ("maybe", false)] {
            assert_eq!(read(&[("HF_HUB_OFFLINE", value)]), HfOptions::new().offline(is_offline), "{value}");
        }
        let rest = read(&[("HF_TOKEN", "hf_x"), ("HF_ENDPOINT", "https://m"), ("https_proxy", "http://p:1")]);
        let proxied = HfOptions::new().token("hf_x").endpoint("https://m").proxy("http://p:1", [""]);
        assert_eq!(rest, proxied);
    }
}
