//! What stores say when something fails, without secrets.

use std::error::Error;
use std::fmt;

use crate::storage::address::Address;
use crate::storage::options::StorageOptions;

/// Characters of what a store said that are shown.
const CHARS_MAX: usize = 400;

/// What the status of an answer stands behind in an error's text.
const STATUS: &str = "status code: ";

/// Where machines in a cloud are asked for credentials when nothing else says any.
const METADATA: [&str; 4] =
    ["/latest/api/token", "/latest/meta-data/", "/computeMetadata/", "/metadata/identity/"];

/// Stands where a secret stood.
const HIDDEN: &str = "[hidden]";

/// Whether a store said that a file is not as a request asked for it to be: at once, or when it was to send the rest.
pub(super) fn is_changed(error: &object_store::Error) -> bool {
    use object_store::Error as Kind;
    let mut errors = std::iter::successors(Some(error as &(dyn Error + 'static)), |&error| error.source());
    errors.any(|error| matches!(error.downcast_ref(), Some(Kind::Precondition { .. })))
}

/// What must not be shown, wherever a server may repeat it.
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    /// All that was set or given with an address and may be a secret.
    pub(super) fn of(address: &Address, options: &StorageOptions, set: &[(String, String)]) -> Self {
        let may_be = |name: &str| {
            ["key", "secret", "token", "sas", "password", "credential", "account_json"]
                .iter()
                .any(|part| name.contains(part))
        };
        let of_options = set.iter().filter(|(name, _)| may_be(name)).map(|(_, value)| value.clone());
        let of_headers = options.headers.iter().map(|(_, value)| value.clone());
        let login = address.login.iter().flat_map(|login| {
            let password = login.split_once(':').map(|(_, password)| password.to_owned());
            [Some(login.clone()), password].into_iter().flatten()
        });
        let mut all: Vec<String> = of_options.chain(of_headers).chain(login).collect();
        // A header's scheme and its value apart: `Bearer`, and a token.
        all.extend(all.clone().iter().filter_map(|value| Some(value.split_once(' ')?.1.to_owned())));
        all.retain(|secret| !secret.trim().is_empty());
        all.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self(all)
    }

    /// What a store said.
    pub(super) fn tell(&self, error: &object_store::Error) -> Told {
        // Text of an error and of its sources: each often repeats the next.
        let mut said = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !said.contains(&text) {
                said = format!("{said}: {text}");
            }
            cause = error.source();
        }
        // A status stands in the text alone where the crate does not tell it in the error's kind.
        let has_status = |status: &str| said.contains(&format!("{STATUS}{status} "));
        let advice = if matches!(error, object_store::Error::NotFound { .. }) || has_status("404") {
            "it is not there"
        } else if METADATA.iter().any(|path| said.contains(path)) {
            "no credentials were found; give them as options or in the environment, or read it as `anonymous`"
        } else if has_status("401") || has_status("403") {
            "the store refuses; check the credentials, or read it as `anonymous`"
        } else {
            "the store did not answer as it should"
        };
        Told(format!("{advice} ({})", self.hide(&said)))
    }

    /// A text without secrets and without queries of addresses. Of a body its code and message are left if it is in XML, as
    /// stores send it, and else nothing: a server may repeat in it what it was asked with, written in any way.
    fn hide(&self, text: &str) -> String {
        let (before, body) = match text.split_once(STATUS) {
            Some((before, after)) => {
                let end = after.find(": ").unwrap_or(after.len());
                (format!("{before}{STATUS}{}", &after[..end]), &after[end..])
            }
            None => (text.to_owned(), ""),
        };
        let parts = ["Code", "Message"].map(|name| element(body, name));
        let mut text = parts.into_iter().flatten().fold(before, |text, part| format!("{text}: {part}"));
        for secret in &self.0 {
            text = text.replace(secret, HIDDEN);
        }
        let words = text.split_whitespace().map(|word| match word.find("://").zip(word.find('?')) {
            Some((scheme, query)) if scheme < query => &word[..query],
            _ => word,
        });
        let text = words.collect::<Vec<_>>().join(" ");
        match text.char_indices().nth(CHARS_MAX) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        }
    }
}

/// The text of the first element of a name.
fn element<'a>(body: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = body.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0)
}

/// What a store said: text, since the errors themselves may hold what they were asked with.
#[derive(Debug)]
pub(super) struct Told(String);

impl fmt::Display for Told {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Error for Told {}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(Secrets(vec!["hunter2".to_owned()]).hide(text), expected);
    }

    #[test]
    fn what_may_be_secret_is_left_out() {
        check("GET http://host/a?sig=abc failed: hunter2", "GET http://host/a failed: [hidden]");
        let status = "status code: 403 Forbidden";
        let body =
            "\u{feff}<?xml?><Error><Code>No</Code><Message>not you</Message><Token>abc</Token></Error>";
        check(&format!("{status}: {body}: and more"), &format!("{status}: No: not you"));
        check(&format!("{status}: your token was abc"), status);
        check(&format!("{status}: {{\"token\": \"abc\"}}"), status);
    }

    #[test]
    fn what_is_said_at_length_is_shortened() {
        check(&"ü".repeat(CHARS_MAX + 1), &format!("{}…", "ü".repeat(CHARS_MAX)));
    }
}
