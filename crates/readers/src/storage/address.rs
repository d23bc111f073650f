//! [`Address`]: where files are, taken apart, with what in it is secret set aside.

use crate::Error;

/// What kind of place files are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Local,
    S3,
    Google,
    Azure,
    Http,
}

/// The source of files of this machine.
pub(super) const LOCAL: &str = "file://";

/// A file, folder or pattern in a place.
pub(super) struct Address {
    pub(super) kind: Kind,
    /// Scheme and bucket or host: `s3://bucket`. No secret is in it.
    pub(super) source: String,
    /// What is meant there: a path, a folder that ends with a slash, or a pattern.
    pub(super) path: String,
    /// A user and a password, as they stood in the address of a server.
    #[cfg_attr(not(feature = "storage"), allow(dead_code, reason = "only servers are asked with it"))]
    pub(super) login: Option<String>,
}

impl Address {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let Some((scheme, rest)) = scheme_of(text) else { return Ok(Self::local(text.to_owned())) };
        let refused =
            |reason: &str| Error::Address { address: without_secrets(text), reason: reason.to_owned() };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, host) = match authority.rsplit_once('@') {
            Some((login, host)) => (Some(login), host),
            None => (None, authority),
        };
        let kind = match scheme.as_str() {
            "file" if matches!(authority, "" | "localhost") => {
                let path = decoded(path).ok_or_else(|| refused("its path is not UTF-8"))?;
                return Ok(Self::local(format!("/{path}")));
            }
            "file" => return Err(refused("it names another machine; an address of a file is `file:///…`")),
            "s3" | "s3a" => Kind::S3,
            "gs" => Kind::Google,
            "az" | "abfs" | "abfss" => Kind::Azure,
            "http" | "https" => Kind::Http,
            _ => {
                return Err(refused(
                    "its scheme is none of `file`, `s3`, `gs`, `az`, `abfss`, `http`, `https`",
                ));
            }
        };
        if host.is_empty() {
            return Err(refused("it names no bucket or host"));
        }
        if kind != Kind::Http {
            return match login {
                // A container of an account, as Azure writes it.
                Some(container) if kind == Kind::Azure && !container.contains(':') => Ok(Self {
                    kind,
                    source: format!("{scheme}://{authority}"),
                    path: path.to_owned(),
                    login: None,
                }),
                Some(_) => Err(refused("it has a user or a key in it; give these as options")),
                None => {
                    let scheme = if kind == Kind::S3 { "s3" } else { &scheme };
                    Ok(Self {
                        kind,
                        source: format!("{scheme}://{host}"),
                        path: path.to_owned(),
                        login: None,
                    })
                }
            };
        }
        if path.contains(['?', '#']) {
            return Err(refused(
                "it has a query or a fragment; give a token as a header, and name the file without it",
            ));
        }
        Ok(Self {
            kind,
            source: format!("{scheme}://{}", host.to_ascii_lowercase()),
            path: decoded(path).ok_or_else(|| refused("its path is not UTF-8"))?,
            login: login.map(ToOwned::to_owned),
        })
    }

    fn local(path: String) -> Self {
        Self { kind: Kind::Local, source: LOCAL.to_owned(), path, login: None }
    }

    /// How it is shown: without secrets.
    pub(super) fn shown(&self) -> String {
        uri(&self.source, &self.path)
    }
}

/// The address of a file of a source.
pub(super) fn uri(source: &str, path: &str) -> String {
    match source {
        LOCAL => path.to_owned(),
        _ if source.starts_with("http") => format!("{source}/{}", encoded(path)),
        _ => format!("{source}/{path}"),
    }
}

/// Whether a path is a pattern.
pub(super) fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

fn scheme_of(text: &str) -> Option<(String, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let is_scheme = !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_scheme.then(|| (scheme.to_ascii_lowercase(), rest))
}

/// An address that could not be understood, as it may be shown.
pub(super) fn without_secrets(text: &str) -> String {
    let Some((scheme, rest)) = scheme_of(text) else { return text.to_owned() };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}/{path}")
}

/// The text that a percent-encoded path of a URL stands for (RFC 3986, 2.1).
fn decoded(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [byte, tail @ ..] = rest {
        let code = tail.get(..2).and_then(|code| u8::from_str_radix(str::from_utf8(code).ok()?, 16).ok());
        match (byte, code) {
            (b'%', Some(code)) => {
                bytes.push(code);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

/// A path as it stands in a URL.
fn encoded(path: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/!$&'()*+,;=:@".contains(&byte);
    let encode =
        |byte: u8| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    path.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn parsed(text: &str) -> String {
        match Address::parse(text) {
            Ok(Address { kind, source, path, .. }) => format!("{kind:?} {source} {path}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn addresses_are_taken_apart() {
        for (text, expected) in [
            ("images/**/*.jpg", "Local file:// images/**/*.jpg"),
            ("file:///data/a%20b.txt", "Local file:// /data/a b.txt"),
            ("s3://bucket/a b/100%.txt", "S3 s3://bucket a b/100%.txt"),
            ("S3A://bucket", "S3 s3://bucket "),
            ("gs://bucket/folder/", "Google gs://bucket folder/"),
            (
                "abfss://box@account.dfs.core.windows.net/a",
                "Azure abfss://box@account.dfs.core.windows.net a",
            ),
            ("https://Example.org:8443/a%20b.txt", "Http https://example.org:8443 a b.txt"),
        ] {
            assert_eq!(parsed(text), expected);
        }
    }

    #[test]
    fn what_cannot_be_read_is_said_without_its_secrets() {
        for text in [
            "s3://KEY:hunter2@bucket/a",
            "az://box:hunter2@account/a",
            "https://host/a?sig=hunter2",
            "ftp://me:hunter2@host/a",
            "http://me:hunter2@/a",
            "file://hunter2@host/a",
        ] {
            let told = parsed(text);
            assert!(told.starts_with('`') && !told.contains("hunter2"), "{told}");
        }
        let address = Address::parse("https://me:hunter2@host/a").unwrap();
        assert_eq!(
            (address.shown().as_str(), address.login.as_deref()),
            ("https://host/a", Some("me:hunter2"))
        );
    }

    #[test]
    fn paths_of_urls_come_back() {
        for path in ["a b/ü%.txt", "50%25", "a+b&c"] {
            assert_eq!(decoded(&encoded(path)).unwrap(), path);
        }
        assert_eq!(decoded("%FF"), None);
        assert_eq!(decoded("100%").unwrap(), "100%");
    }
}
