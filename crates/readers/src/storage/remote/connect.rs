//! Opening stores: what the environment says, and over it the options.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderName;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::http::HttpBuilder;
use object_store::{ClientConfigKey, ClientOptions, HeaderMap, HeaderValue, ObjectStore, RetryConfig};

use super::told::Secrets;
use crate::Error;
use crate::storage::address::{Address, Kind, without_secrets};
use crate::storage::options::StorageOptions;

/// A read of a body that brings nothing for so long is tried again. A whole file may take any time.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// Retries end so long after the first request of a file at the latest: a large file may be read for hours.
const RETRY_TIMEOUT: Duration = Duration::from_secs(3600);

/// Names and values of options, those that count last.
type Settings = Vec<(String, String)>;

pub(super) fn connect(
    address: &Address,
    options: &StorageOptions,
) -> Result<(Arc<dyn ObjectStore>, Secrets), Error> {
    choose_cryptography();
    let settings = settings(address, options)?;
    let secrets = Secrets::of(address, options, &settings);
    let retry = RetryConfig {
        max_retries: options.retries_max.map_or(RetryConfig::default().max_retries, |max| max as usize),
        retry_timeout: RETRY_TIMEOUT,
        ..RetryConfig::default()
    };
    let client = ClientOptions::new()
        .with_timeout_disabled()
        .with_read_timeout(READ_TIMEOUT)
        .with_default_headers(headers(address, options)?);
    let (_, bucket) = address.source.split_once("://").unwrap_or_default();

    /// Sets all options of a builder, the environment's as far as it knows them and the program's without fail.
    macro_rules! build {
        ($builder:expr, $key:ty) => {{
            let mut builder = $builder.with_client_options(client).with_retry(retry);
            for (name, value) in &settings {
                let Ok(key) = name.parse::<$key>() else { return Err(unknown(address, name)) };
                builder = builder.with_config(key, value);
            }
            builder.build().map(|store| Arc::new(store) as Arc<dyn ObjectStore>)
        }};
    }
    let store = match address.kind {
        Kind::S3 => build!(AmazonS3Builder::new().with_bucket_name(bucket), AmazonS3ConfigKey),
        Kind::Google => build!(GoogleCloudStorageBuilder::new().with_bucket_name(bucket), GoogleConfigKey),
        Kind::Azure => build!(MicrosoftAzureBuilder::new().with_url(&address.source), AzureConfigKey),
        Kind::Http | Kind::Local => build!(HttpBuilder::new().with_url(&address.source), ClientConfigKey),
    };
    let store = store.map_err(|error| Error::Storage {
        uri: address.shown(),
        doing: "open the store of".to_owned(),
        source: Box::new(secrets.tell(&error)),
    })?;
    Ok((store, secrets))
}

/// TLS is by `rustls` with `ring`: building it needs a C compiler alone. What the program has chosen itself is left.
fn choose_cryptography() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Someone else may have chosen in between, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

fn unknown(address: &Address, name: &str) -> Error {
    Error::Address {
        address: address.shown(),
        reason: format!("its store has no option `{name}`; the names are those of the crate `object_store`"),
    }
}

/// What the environment sets, then what the program does.
fn settings(address: &Address, options: &StorageOptions) -> Result<Settings, Error> {
    let mut settings = from_environment(address.kind);
    let endpoint = match address.kind {
        Kind::S3 => "aws_endpoint",
        Kind::Google => "google_base_url",
        Kind::Azure => "azure_storage_endpoint",
        Kind::Http | Kind::Local => "endpoint",
    };
    let mut set = |name: &str, value: &str| settings.push((name.to_owned(), value.to_owned()));
    if let Some(url) = &options.endpoint {
        if url.starts_with("http://") && !options.allows_http {
            let reason = format!(
                "its endpoint {} is not encrypted; if that is right, say `allow_http`",
                without_secrets(url)
            );
            return Err(Error::Address { address: address.shown(), reason });
        }
        set(endpoint, url);
    }
    if let Some(name) = &options.region {
        set("region", name);
    }
    if options.is_anonymous && address.kind != Kind::Http {
        set("skip_signature", "true");
    }
    if options.allows_http || address.source.starts_with("http://") {
        set("allow_http", "true");
    }
    for (name, value) in &options.options {
        set(name, value);
    }
    Ok(settings)
}

/// The variables that a store's own tools read.
fn from_environment(kind: Kind) -> Settings {
    let (prefix, others): (&str, &[(&str, &str)]) = match kind {
        Kind::S3 => ("AWS_", &[]),
        Kind::Google => ("GOOGLE_", &[("SERVICE_ACCOUNT", "service_account")]),
        Kind::Azure => ("AZURE_", &[("IDENTITY_ENDPOINT", "msi_endpoint")]),
        Kind::Http | Kind::Local => return Settings::new(),
    };
    let is_known = |name: &str| match kind {
        Kind::S3 => name.parse::<AmazonS3ConfigKey>().is_ok(),
        Kind::Google => name.parse::<GoogleConfigKey>().is_ok(),
        _ => name.parse::<AzureConfigKey>().is_ok(),
    };
    let mut settings = Settings::new();
    for (variable, value) in std::env::vars_os() {
        let (Some(variable), Ok(value)) = (variable.to_str(), value.into_string()) else { continue };
        if let Some((_, name)) = others.iter().find(|(other, _)| *other == variable) {
            settings.push(((*name).to_owned(), value));
        } else if variable.starts_with(prefix) && is_known(&variable.to_ascii_lowercase()) {
            settings.push((variable.to_ascii_lowercase(), value));
        }
    }
    settings.sort();
    settings
}

/// The headers of every request: for a server of plain HTTP those that are set, for any other none.
fn headers(address: &Address, options: &StorageOptions) -> Result<HeaderMap, Error> {
    let login = address
        .login
        .as_ref()
        .map(|login| ("authorization".to_owned(), format!("Basic {}", STANDARD.encode(login))));
    let mut headers = HeaderMap::new();
    if address.kind != Kind::Http {
        return Ok(headers);
    }
    for (name, value) in login.iter().chain(&options.headers) {
        let refused = |what: &str| Error::Address {
            address: address.shown(),
            reason: format!("the {what} of the header `{name}` is none that can be sent"),
        };
        let mut value = HeaderValue::from_str(value).map_err(|_| refused("value"))?;
        value.set_sensitive(true);
        let name: HeaderName = name.parse().map_err(|_| refused("name"))?;
        headers.append(name, value);
    }
    Ok(headers)
}
