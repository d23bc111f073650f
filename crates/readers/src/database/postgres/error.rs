//! What a server or the client says of an error, without what is secret.
//!
//! The client's own errors are not passed on: those of the server can have parameters in them.

use std::error::Error as StdError;
use std::fmt;

use postgres::error::{DbError, Error as ClientError, ErrorPosition, SqlState};
use rowmark_rows::Value;

use super::params;
use crate::Error;

/// Why something failed, in words that can be told.
pub(super) struct Cause(String);

impl Cause {
    /// The cause of an error while the server had these parameters.
    pub(super) fn of(error: &ClientError, params: &[Value]) -> Self {
        let (told, is_lost) = match error.as_db_error() {
            Some(error) => (told_by_server(error, params), ends_connections(error.code())),
            None => (told_by_client(error), error.is_closed() || is_of_the_network(error)),
        };
        Self(if is_lost { format!("{told}; run again, what is finished is kept") } else { told })
    }

    pub(super) fn of_connecting(error: &ClientError) -> Self {
        let advice = match error.as_db_error() {
            None if error.to_string().contains("TLS") => {
                "its certificate is to be of an authority that this machine or the file `SSL_CERT_FILE` knows; \
                 `sslmode=disable` does without encryption"
            }
            None => "check that the server runs there, and that host and port are right",
            Some(error) if error.code().code().starts_with("28") => "check user and password",
            Some(error) if *error.code() == SqlState::TOO_MANY_CONNECTIONS => {
                "run again when fewer are connected"
            }
            Some(_) => "check the address",
        };
        let told = match error.as_db_error() {
            None => told_by_client(error),
            Some(error) => told_by_server(error, &[]),
        };
        Self(format!("{told}; {advice}"))
    }

    #[cfg(not(feature = "postgres-tls"))]
    pub(super) fn no_tls() -> Self {
        let advice = "for which the feature `postgres-tls` is to be turned on";
        Self(format!("it is to be encrypted (`sslmode=require`), {advice}"))
    }

    /// The cause of an error before there was anything to tell the server.
    #[cfg(feature = "postgres-tls")]
    pub(super) fn of_tls(error: &dyn fmt::Display) -> Self {
        Self(error.to_string())
    }

    pub(super) fn into_error(self, place: &str, doing: String) -> Error {
        Error::Database { place: place.to_owned(), doing, source: Some(Box::new(self)) }
    }
}

/// Whether it is the connection that the server speaks of, and not the query.
fn ends_connections(code: &SqlState) -> bool {
    ["08", "57P", "58"].iter().any(|class| code.code().starts_with(class))
}

fn is_of_the_network(error: &ClientError) -> bool {
    error.source().is_some_and(<dyn StdError>::is::<std::io::Error>)
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl StdError for Cause {}

/// The client's error and its causes, none of which has a part of an address or a parameter in it.
fn told_by_client(error: &ClientError) -> String {
    let (mut told, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        told = format!("{told}: {error}");
        cause = error.source();
    }
    told
}

fn told_by_server(error: &DbError, params: &[Value]) -> String {
    let mut told = format!("{} ({})", error.message(), error.code().code());
    if let Some(ErrorPosition::Original(position)) = error.position() {
        told = format!("{told}, at character {position} of the query");
    }
    for more in [error.detail(), error.hint()].into_iter().flatten() {
        told = format!("{told}; {more}");
    }
    hide(&told, params)
}

/// The text without parameters, and without whatever else stands in quotes if there are any: it may be made of one.
fn hide(told: &str, params: &[Value]) -> String {
    if params.is_empty() {
        return told.to_owned();
    }
    let parts = told.split('"').enumerate();
    let shown: Vec<&str> = parts.map(|(index, part)| if index % 2 == 0 { part } else { "…" }).collect();
    let texts = params.iter().filter_map(|param| params::text(param).ok().flatten());
    texts.filter(|text| !text.is_empty()).fold(shown.join("\""), |told, text| told.replace(&text, "…"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_a_parameter_nor_what_is_quoted_is_told() {
        let told = "invalid input syntax for type integer: \"S3CRET!\" (22P02); bad s3cret";
        assert_eq!(hide(told, &[]), told);
        let hidden = "invalid input syntax for type integer: \"…\" (22P02); bad …";
        assert_eq!(hide(told, &[Value::Null, "s3cret".into(), "".into()]), hidden);
        assert_eq!(hide("unfinished \"s3", &["s3cret".into()]), "unfinished \"…");
    }
}
