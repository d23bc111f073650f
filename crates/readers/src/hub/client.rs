//! Requests to the hub: addresses, the token, redirects, and tries after passing faults.
//!
//! Redirects are followed here and not by the HTTP library, so that the token goes to the hub's own host alone: large
//! files are on other hosts, under addresses that are secrets for a while and are therefore shown by host only.

use std::io::Read;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde::de::DeserializeOwned;
use ureq::http::{Response, header};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

use super::listing::{Listing, TreeEntry};
use super::options::{ATTEMPTS, ENDPOINT, HfOptions, PAUSE, Proxy};
use super::problem::{Fault, HfProblem};

const REDIRECTS_MAX: usize = 8;

/// The longest pause before a try.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// How long a server may take to be reached, to begin its answer, and to send the next bytes of it.
const CONNECT_MAX: Duration = Duration::from_secs(20);
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Bytes that one answer in JSON may have.
const JSON_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Pages of a list of files; the hub puts a thousand files on one.
const PAGES_MAX: usize = 2_000;

/// Asks one hub about one dataset.
pub(super) struct Client {
    agent: Agent,
    endpoint: String,
    /// The dataset's name.
    name: String,
    token: Option<String>,
    attempts: u32,
    pause: Duration,
}

#[derive(serde::Deserialize)]
struct Revision {
    sha: String,
}

impl Client {
    pub(super) fn new(name: &str, options: &HfOptions) -> Result<Self, Fault> {
        let endpoint = options.endpoint.as_deref().unwrap_or(ENDPOINT).trim_end_matches('/').to_owned();
        let (attempts, pause) = options.retry.unwrap_or((ATTEMPTS, PAUSE));
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let proxy = options.proxy.as_ref().filter(|_| endpoint.starts_with("https://"));
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("rowmark/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT_MAX))
            .timeout_recv_response(Some(SILENCE_MAX))
            .timeout_per_read(Some(SILENCE_MAX))
            .proxy(proxy.map(agent_proxy).transpose()?)
            .tls_config(tls)
            .build()
            .new_agent();
        Ok(Self { agent, endpoint, name: name.to_owned(), token: token(options)?, attempts, pause })
    }

    /// The commit that a branch, a tag or a part of a commit's hash means.
    pub(super) fn commit(&self, revision: &str) -> Result<String, Fault> {
        let url =
            format!("{}/api/datasets/{}/revision/{}", self.endpoint, self.name, encoded(revision, false));
        let (Revision { sha }, _) = self.json(&url).map_err(|fault| match fault.problem {
            HfProblem::NoRevision { .. } => HfProblem::NoRevision { revision: revision.to_owned() }.into(),
            _ => fault,
        })?;
        if is_commit(&sha) { Ok(sha) } else { Err(self.unexpected(&url, "it told of no commit")) }
    }

    /// The files of a commit.
    pub(super) fn listing(&self, commit: &str) -> Result<Listing, Fault> {
        let mut entries = Vec::<TreeEntry>::new();
        let mut next = format!("{}/api/datasets/{}/tree/{commit}?recursive=true", self.endpoint, self.name);
        for _ in 0..PAGES_MAX {
            let (page, link): (Vec<TreeEntry>, _) = self.json(&next)?;
            entries.extend(page);
            match link {
                Some(link) => next = link,
                None => return Ok(Listing::new(entries)),
            }
        }
        Err(self.unexpected(&next, format!("a list of more than {PAGES_MAX} pages of files")))
    }

    /// The address of a file.
    pub(super) fn url_of(&self, commit: &str, path: &str) -> String {
        format!("{}/datasets/{}/resolve/{commit}/{}", self.endpoint, self.name, encoded(path, true))
    }

    fn json<T: DeserializeOwned>(&self, url: &str) -> Result<(T, Option<String>), Fault> {
        let (bytes, link) = self.trying(|| {
            let mut response = self.get(url, 0)?;
            let link = response.headers().get(header::LINK).and_then(|link| next_page(link.to_str().ok()?));
            let mut bytes = Vec::new();
            let body = response.body_mut().as_reader().take(JSON_BYTES_MAX + 1);
            { body }.read_to_end(&mut bytes).map_err(|source| Try::io(url, source))?;
            Ok((bytes, link))
        })?;
        if bytes.len() as u64 > JSON_BYTES_MAX {
            return Err(self.unexpected(url, format!("an answer of more than {JSON_BYTES_MAX} bytes")));
        }
        let value = serde_json::from_slice(&bytes).map_err(|source| Fault {
            source: Some(Box::new(source)),
            ..self.unexpected(url, "its answer is not in the hub's form; check the address of the hub")
        })?;
        let link = link.map(|link| absolute(url, &link).ok_or_else(|| self.unexpected(url, "no next page")));
        Ok((value, link.transpose()?))
    }

    /// Asks for what is at an address, from a byte on, and follows redirects.
    pub(super) fn get(&self, url: &str, from: u64) -> Result<Response<Body>, Try> {
        let mut url = url.to_owned();
        for _ in 0..REDIRECTS_MAX {
            let mut request = self.agent.get(&url).header(header::ACCEPT_ENCODING, "identity");
            if let Some(token) = self.token.as_ref().filter(|_| origin(&url) == origin(&self.endpoint)) {
                request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
            }
            if from > 0 {
                request = request.header(header::RANGE, format!("bytes={from}-"));
            }
            let response = request.call().map_err(|error| Try::failed(&url, error))?;
            if !response.status().is_redirection() {
                return self.checked(&url, response);
            }
            let location = response.headers().get(header::LOCATION).and_then(|to| to.to_str().ok());
            let target = location.and_then(|location| absolute(&url, location));
            match target {
                Some(target) if target.starts_with("https:") || !url.starts_with("https:") => url = target,
                _ => return Err(self.unexpected(&url, "a redirect that leads nowhere safe").into()),
            }
        }
        Err(self.unexpected(&url, "a redirect after the other").into())
    }

    fn checked(&self, url: &str, response: Response<Body>) -> Result<Response<Body>, Try> {
        let status = response.status().as_u16();
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let has_token = self.token.is_some();
        let problem = match (status, header("x-error-code").unwrap_or_default()) {
            (200..300, _) => return Ok(response),
            (408 | 429 | 500 | 502..=504, _) => {
                let pause = header("retry-after").and_then(|seconds| seconds.parse().ok());
                let (url, fault) = (place(url), format!("answered with status {status}"));
                return Err(Try::Later {
                    place: url,
                    fault,
                    pause: pause.map(Duration::from_secs),
                    source: None,
                });
            }
            (_, "GatedRepo") => HfProblem::Gated { page: self.page(), has_token },
            (_, "RevisionNotFound") => HfProblem::NoRevision { revision: String::new() },
            (404, "RepoNotFound" | "") | (401, "RepoNotFound") => HfProblem::NoDataset { has_token },
            (401 | 403, _) => HfProblem::Denied { status, has_token },
            _ => return Err(self.unexpected(url, format!("status {status}")).into()),
        };
        Err(Try::Never(problem.into()))
    }

    /// Tries something until it succeeds, fails for good, or has failed too often.
    pub(super) fn trying<R>(&self, mut attempt: impl FnMut() -> Result<R, Try>) -> Result<R, Fault> {
        let mut tries = 1;
        loop {
            match attempt() {
                Ok(done) => return Ok(done),
                Err(Try::Never(fault)) => return Err(fault),
                Err(Try::Progress) => tries = 1,
                Err(Try::Later { place, fault, source, .. }) if tries == self.attempts => {
                    let problem = HfProblem::Unreachable { place, fault, attempts: tries };
                    return Err(Fault { problem, source });
                }
                Err(Try::Later { place, fault, pause, .. }) => {
                    let doubled = self.pause.saturating_mul(1 << (tries - 1).min(16));
                    let pause = pause.unwrap_or(doubled).min(PAUSE_MAX);
                    tracing::warn!("{place} {fault}; trying again in {pause:?}");
                    thread::sleep(pause);
                    tries += 1;
                }
            }
        }
    }

    pub(super) fn unexpected(&self, url: &str, reason: impl Into<String>) -> Fault {
        HfProblem::Unexpected { place: place(url), reason: reason.into() }.into()
    }

    fn page(&self) -> String {
        format!("{}/datasets/{}", without_user(&self.endpoint), self.name)
    }
}

/// Why a try failed.
pub(super) enum Try {
    /// For good.
    Never(Fault),
    /// After it had come further than the one before.
    Progress,
    /// For a reason that may pass.
    Later {
        place: String,
        fault: String,
        pause: Option<Duration>,
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

impl From<Fault> for Try {
    fn from(fault: Fault) -> Self {
        Self::Never(fault)
    }
}

impl Try {
    pub(super) fn io(url: &str, source: std::io::Error) -> Self {
        let (place, fault) = (place(url), "broke off its answer".to_owned());
        Self::Later { place, fault, pause: None, source: Some(Box::new(source)) }
    }

    fn failed(url: &str, error: ureq::Error) -> Self {
        let (place, pause) = (place(url), None);
        match error {
            ureq::Error::BadUri(_) | ureq::Error::Http(_) | ureq::Error::InvalidProxyUrl => {
                let reason = "its address is malformed".to_owned();
                Self::Never(HfProblem::Unexpected { place, reason }.into())
            }
            error => {
                let fault = "could not be reached".to_owned();
                Self::Later { place, fault, pause, source: Some(Box::new(error)) }
            }
        }
    }
}

/// The token that is set, or that is in the file.
fn token(options: &HfOptions) -> Result<Option<String>, Fault> {
    let token = match (&options.token, &options.token_file) {
        (Some(token), _) => token.0.clone(),
        (None, Some(path)) => match std::fs::read_to_string(path) {
            Ok(token) => token,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Fault::cache("read the token", path, error)),
        },
        (None, None) => return Ok(None),
    };
    match token.trim() {
        "" => Ok(None),
        token if token.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(Some(token.to_owned())),
        _ => Err(HfProblem::Token.into()),
    }
}

fn agent_proxy(proxy: &Proxy) -> Result<ureq::Proxy, Fault> {
    let malformed = |_| HfProblem::Unexpected {
        place: "the proxy".to_owned(),
        reason: "its address is malformed; check HTTPS_PROXY".to_owned(),
    };
    let parsed = ureq::Proxy::new(&proxy.url).map_err(malformed)?;
    let mut builder = ureq::Proxy::builder(parsed.protocol()).host(parsed.host()).port(parsed.port());
    if let Some(user) = parsed.username() {
        builder = builder.username(user);
    }
    if let Some(password) = parsed.password() {
        builder = builder.password(password);
    }
    let builder = proxy.exempt.iter().fold(builder, |builder, host| builder.no_proxy(host));
    Ok(builder.build().map_err(malformed)?)
}

/// Whether a text is the whole hash of a commit.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The scheme and host of an address, and who asks, if it says so.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    url[host..].find(['/', '?', '#']).map_or(url, |end| &url[..host + end])
}

fn without_user(url: &str) -> String {
    match (url.split_once("://"), origin(url)) {
        (Some((scheme, rest)), origin) if origin.contains('@') => {
            format!("{scheme}://{}", rest.split_once('@').map_or(rest, |(_, host)| host))
        }
        _ => url.to_owned(),
    }
}

/// A server as errors show it.
fn place(url: &str) -> String {
    without_user(origin(url))
}

/// An address that stands in an answer from another.
fn absolute(url: &str, target: &str) -> Option<String> {
    if target.starts_with("https://") || target.starts_with("http://") {
        return Some(target.to_owned());
    }
    let is_path = target.starts_with('/') && !target.starts_with("//");
    is_path.then(|| format!("{}{target}", origin(url)))
}

/// The address of the next page, in the form of RFC 8288.
fn next_page(link: &str) -> Option<String> {
    let is_next = |part: &&str| part.contains("rel=\"next\"") || part.contains("rel=next");
    let part = link.split(',').find(is_next)?;
    let (_, rest) = part.split_once('<')?;
    rest.split_once('>').map(|(url, _)| url.to_owned())
}

/// A text as it stands in an address (RFC 3986), its slashes as they are or not.
fn encoded(text: &str, keep_slashes: bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte.into()),
            b'/' if keep_slashes => encoded.push('/'),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_secrets() {
        assert_eq!(place("https://me:secret@mirror.example/a/b?token=1"), "https://mirror.example");
        assert_eq!(place("http://127.0.0.1:80?X-Amz-Signature=1"), "http://127.0.0.1:80");
        assert_eq!(without_user("https://me:secret@mirror.example/a"), "https://mirror.example/a");
    }

    #[test]
    fn addresses_are_joined_and_encoded() {
        assert_eq!(encoded("refs/convert/parquet", false), "refs%2Fconvert%2Fparquet");
        assert_eq!(encoded("a b/ü#?.parquet", true), "a%20b/%C3%BC%23%3F.parquet");
        let base = "https://hub.example/api?x=/y";
        assert_eq!(absolute(base, "/other").as_deref(), Some("https://hub.example/other"));
        assert_eq!(absolute(base, "http://cdn/x").as_deref(), Some("http://cdn/x"));
        assert_eq!(absolute(base, "//elsewhere/x"), None);
        assert_eq!(absolute(base, "ftp://elsewhere/x"), None);
        let link = "<https://hub.example/tree?cursor=a>; rel=\"next\", <https://hub.example/x>; rel=\"last\"";
        assert_eq!(next_page(link).as_deref(), Some("https://hub.example/tree?cursor=a"));
        assert_eq!(next_page("<https://hub.example/x>; rel=\"prev\""), None);
    }
}
