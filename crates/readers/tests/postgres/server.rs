//! The server that tests are given, and its own client to change and ask it with.

use std::io::Write as _;
use std::process::Command;

use rowmark_readers::Query;

/// The address of a server, as `.ci/postgres` sets it.
const VARIABLE: &str = "ROWMARK_TEST_POSTGRES";

pub(crate) struct Server {
    url: String,
}

impl Server {
    /// The server, or a word on what is left out.
    pub(crate) fn of_tests() -> Option<Self> {
        let server = std::env::var(VARIABLE).ok().map(|url| Self { url });
        if server.is_none() {
            // Not by a macro, whose output is shown of tests that fail only.
            let test = std::thread::current().name().unwrap_or_default().to_owned();
            let told = format!("left out, since {VARIABLE} is not set (see .ci/postgres): {test}\n");
            std::io::stderr().write_all(told.as_bytes()).unwrap();
        }
        server
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn query(&self, sql: impl Into<String>) -> Query {
        Query::new(&self.url, sql)
    }

    /// What the server's own client answers: a line for each row, `|` between columns.
    pub(crate) fn run(&self, sql: &str) -> String {
        let args =
            ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", "-c", sql];
        let output = Command::new("psql").arg(&self.url).args(args).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

/// An error and its causes.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", told(cause)),
        None => error.to_string(),
    }
}
