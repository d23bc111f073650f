//! Keys, tokens and passwords of stores go to the stores, and nowhere else.

#![expect(clippy::unwrap_used, reason = "a test")]

mod server;

use std::sync::Mutex;

use rowmark_readers::{Source, StorageOptions, StorageSource};
use rowmark_rows::RowRange;
use server::{Fault, Server};

/// An error with all its causes.
fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
    causes.collect::<Vec<_>>().join(": ")
}

/// What was logged in this process, at any level.
static LOG: Mutex<String> = Mutex::new(String::new());

/// Collects all that is logged.
struct Collector;

impl tracing::Subscriber for Collector {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        LOG.lock().unwrap().push_str(&format!("{span:?}\n"));
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, values: &tracing::span::Record<'_>) {
        LOG.lock().unwrap().push_str(&format!("{values:?}\n"));
    }

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        LOG.lock().unwrap().push_str(&format!("{event:?}\n"));
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn no_secret_is_in_an_error_a_log_an_identity_or_what_is_shown() {
    tracing::subscriber::set_global_default(Collector).unwrap();
    let server = Server::start();
    server.put("box/file", "hello");
    server.put("file", "hello");
    let url = server.url();
    let host = url.strip_prefix("http://").unwrap();
    let s3 = StorageOptions::new()
        .endpoint(url)
        .allow_http()
        .retries_max(1)
        .option("aws_access_key_id", "hunter2.id")
        .option("aws_secret_access_key", "hunter2")
        .option("aws_session_token", "hunter2+/token");
    let azure = StorageOptions::new()
        .endpoint(url)
        .allow_http()
        .retries_max(1)
        .option("azure_storage_account_name", "account")
        .option("azure_storage_sas_key", "?sv=2024&sig=hunter2%2Fsas");
    let bearer = StorageOptions::new().retries_max(1).header("Authorization", "Bearer hunter2.header");
    let mut shown = String::new();
    for (address, options) in [
        ("s3://box/file".to_owned(), s3),
        ("az://box/file".to_owned(), azure),
        (format!("{url}/file"), bearer),
        (format!("http://me:hunter2@{host}/file"), StorageOptions::new().retries_max(1)),
    ] {
        let source = StorageSource::open(address.as_str(), options.clone()).unwrap();
        let file = source.read(RowRange::new(0, 1)).unwrap().next().unwrap().unwrap();
        assert_eq!(file.text().unwrap(), "hello", "{address}");
        shown += &format!("{options:?} {source:?} {file:?} {:?} {}", source.fingerprint(), source.name());
        for fault in [Fault::Status(403), Fault::Status(500), Fault::Status(400), Fault::Cut(1)] {
            server.fail("file", fault, 8);
            // The answer to the first has no body; that to the second repeats what it was asked with.
            let asked = StorageSource::open(address.as_str(), options.clone()).err();
            let read = file.read().unwrap_err();
            for error in asked.iter().chain([&read]) {
                shown += &format!("{error:?} {}\n", told(error));
            }
            server.heal();
        }
    }
    let sent: Vec<String> = server.take_requests().iter().map(|request| format!("{request:?}")).collect();
    for secret in ["hunter2+/token", "hunter2/sas", "Bearer hunter2.header", "Basic bWU6aHVudGVyMg=="] {
        assert!(sent.iter().any(|request| request.contains(secret)), "{secret} was never sent");
    }
    shown += &LOG.lock().unwrap();
    assert!(shown.contains("backing off"), "retries are logged");
    for secret in ["hunter2", "bWU6aHVudGVyMg"] {
        let at = shown.find(secret).map(|at| &shown[at.saturating_sub(300)..at + 20]);
        assert_eq!(at, None);
    }
}
