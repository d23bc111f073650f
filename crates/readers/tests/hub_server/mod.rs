//! A server on loopback that speaks the protocol of the Hugging Face hub: revisions, lists of files in pages, and
//! addresses of files, which lead to a second server where large files are. Both can be made to fail.

#![allow(dead_code, reason = "each test program uses its part of it")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) range: Option<u64>,
    pub(crate) token: Option<String>,
    /// The host that was asked.
    pub(crate) host: String,
    /// Whether it came to the server of large files.
    pub(crate) is_cdn: bool,
}

/// How the servers misbehave.
#[derive(Default)]
pub(crate) struct Faults {
    /// So many requests to the hub are answered with this status.
    pub(crate) busy: Option<(u32, u16)>,
    /// So many large files are cut off after so many bytes.
    pub(crate) cut: Option<(u32, usize)>,
    /// The last byte of large files is another.
    pub(crate) corrupt: bool,
    /// More bytes are sent than the file has.
    pub(crate) overlong: bool,
    /// Parts of files are not given.
    pub(crate) no_ranges: bool,
    /// A path that is told beside those of the files.
    pub(crate) extra_path: Option<String>,
    /// Where addresses of large files lead.
    pub(crate) redirect: Option<String>,
}

#[derive(Default)]
struct State {
    /// Commits by dataset and revision.
    revisions: BTreeMap<(String, String), String>,
    commits: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    large: BTreeMap<String, Vec<u8>>,
    /// Datasets that only this token may read.
    private: BTreeMap<String, String>,
    gated: BTreeMap<String, String>,
    renamed: BTreeMap<String, String>,
    requests: Vec<Request>,
    faults: Faults,
    cdn: String,
}

/// The hub, until it is dropped.
pub(crate) struct Hub {
    state: Arc<Mutex<State>>,
    url: String,
    stopped: Arc<AtomicBool>,
    threads: Vec<(String, JoinHandle<()>)>,
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sha256(bytes: &[u8]) -> String {
    hex(Sha256::digest(bytes))
}

fn git_id(bytes: &[u8]) -> String {
    hex(Sha1::new_with_prefix(format!("blob {}\0", bytes.len())).chain_update(bytes).finalize())
}

/// Files that are stored as large ones, as the hub does by default.
fn is_large(path: &str) -> bool {
    path.ends_with(".parquet")
}

impl Hub {
    pub(crate) fn start() -> Self {
        let (state, stopped) = (Arc::<Mutex<State>>::default(), Arc::<AtomicBool>::default());
        let mut hub = Self { state, url: String::new(), stopped, threads: Vec::new() };
        hub.url = hub.serve(false);
        let cdn = hub.serve(true);
        hub.state().cdn = cdn;
        hub
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Sets the files of a revision, and answers the commit that they are.
    pub(crate) fn commit<B: AsRef<[u8]>>(&self, name: &str, revision: &str, files: &[(&str, B)]) -> String {
        let files: BTreeMap<String, Vec<u8>> =
            files.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.as_ref().to_vec())).collect();
        let commit = hex(Sha1::digest(format!("{name} {files:?}")));
        let mut state = self.state();
        let large = files.iter().filter(|(path, _)| is_large(path));
        state.large.extend(large.map(|(_, bytes)| (sha256(bytes), bytes.clone())).collect::<Vec<_>>());
        state.commits.insert(commit.clone(), files);
        state.revisions.insert((name.to_owned(), revision.to_owned()), commit.clone());
        commit
    }

    pub(crate) fn keep_private(&self, name: &str, token: &str) {
        self.state().private.insert(name.to_owned(), token.to_owned());
    }

    pub(crate) fn gate(&self, name: &str, token: &str) {
        self.state().gated.insert(name.to_owned(), token.to_owned());
    }

    pub(crate) fn rename(&self, old: &str, new: &str) {
        self.state().renamed.insert(old.to_owned(), new.to_owned());
    }

    pub(crate) fn misbehave(&self, faults: Faults) {
        self.state().faults = faults;
    }

    /// What was asked since the last look.
    pub(crate) fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.state().requests)
    }

    fn serve(&mut self, is_cdn: bool) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (state, stopped) = (Arc::clone(&self.state), Arc::clone(&self.stopped));
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(stream), state) = (stream, Arc::clone(&state)) else { continue };
                thread::spawn(move || converse(&stream, &state, is_cdn));
            }
        });
        self.threads.push((address.clone(), thread));
        format!("http://{address}")
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        for (address, thread) in self.threads.drain(..) {
            drop(TcpStream::connect(address));
            let _ = thread.join();
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An answer, which may promise more bytes than it has.
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    promised: usize,
}

impl Answer {
    fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        Self { status, headers: Vec::new(), promised: body.len(), body }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn refused(status: u16, code: &str) -> Self {
        Self::new(status, "{\"error\":\"no\"}").with("X-Error-Code", code)
    }
}

/// Answers one request; the connection is then closed.
fn converse(stream: &TcpStream, state: &Mutex<State>, is_cdn: bool) {
    let mut lines = BufReader::new(stream).take(1 << 20).lines();
    let Some(Ok(first)) = lines.next() else { return };
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default().to_owned());
    let mut request = Request { path: target, range: None, token: None, host: String::new(), is_cdn };
    for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
        let Some((name, value)) = line.split_once(": ") else { continue };
        match name.to_ascii_lowercase().as_str() {
            "range" => request.range = value.trim_start_matches("bytes=").trim_end_matches('-').parse().ok(),
            "host" => request.host = value.to_owned(),
            "authorization" => request.token = value.strip_prefix("Bearer ").map(str::to_owned),
            _ => {}
        }
    }
    let answer = {
        let mut state = lock(state);
        state.requests.push(request.clone());
        if is_cdn { state.large_file(&request) } else { state.answer(&request) }
    };
    let mut head = format!("HTTP/1.1 {} Status\r\nConnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", answer.promised));
    let mut stream = stream;
    let _ = stream.write_all(head.as_bytes());
    if method != "HEAD" {
        let _ = stream.write_all(&answer.body);
    }
}

impl State {
    fn answer(&mut self, request: &Request) -> Answer {
        if let Some((left, status)) = &mut self.faults.busy
            && *left > 0
        {
            *left -= 1;
            return Answer::new(*status, "out of order").with("Retry-After", "0");
        }
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let path = decoded(path);
        if let Some((name, rest)) = path.strip_prefix("/api/datasets/").and_then(api_name) {
            if let Some(new) = self.renamed.get(name) {
                let to = request.path.replacen(name, new, 1);
                return Answer::new(307, "").with("Location", to);
            }
            return self.denied(name, request).unwrap_or_else(|| self.api(name, rest, query, request));
        }
        let resolve = path.strip_prefix("/datasets/").and_then(|rest| {
            let (name, rest) = rest.split_once("/resolve/")?;
            Some((name, rest))
        });
        let Some((name, rest)) = resolve else { return Answer::new(404, "no such page") };
        if let Some(new) = self.renamed.get(name) {
            return Answer::new(307, "").with("Location", request.path.replacen(name, new, 1));
        }
        let gated = self.gated.get(name).filter(|token| request.token.as_ref() != Some(token));
        if gated.is_some() {
            return Answer::refused(if request.token.is_some() { 403 } else { 401 }, "GatedRepo");
        }
        self.denied(name, request).unwrap_or_else(|| self.file(name, rest))
    }

    fn denied(&self, name: &str, request: &Request) -> Option<Answer> {
        let is_known = self.revisions.keys().any(|(known, _)| known == name);
        let is_open = self.private.get(name).is_none_or(|token| request.token.as_ref() == Some(token));
        let status = if request.token.is_some() { 404 } else { 401 };
        (!is_known || !is_open).then(|| Answer::refused(status, "RepoNotFound"))
    }

    fn api(&self, name: &str, rest: &str, query: &str, request: &Request) -> Answer {
        let (what, of) = rest.split_once('/').unwrap_or((rest, ""));
        let revision = if of.is_empty() { "main" } else { of };
        let Some(commit) = self.commit_of(name, revision) else {
            return Answer::refused(404, "RevisionNotFound");
        };
        if what != "tree" {
            let body = serde_json::json!({ "id": name, "sha": commit, "private": false, "siblings": [] });
            return Answer::new(200, body.to_string());
        }
        const PAGE: usize = 2;
        let from: usize =
            query.split('&').find_map(|part| part.strip_prefix("cursor=")?.parse().ok()).unwrap_or(0);
        let mut files: Vec<_> =
            self.commits[&commit].iter().map(|(path, bytes)| entry(path, bytes)).collect();
        files.insert(0, serde_json::json!({ "type": "directory", "oid": "0", "size": 0, "path": "data" }));
        if let Some(path) = &self.faults.extra_path {
            files.push(entry(path, b"hostile"));
        }
        let page = &files[from.min(files.len())..(from + PAGE).min(files.len())];
        let answer = Answer::new(200, serde_json::Value::from(page).to_string());
        if from + PAGE >= files.len() {
            return answer;
        }
        let path = request.path.split('?').next().unwrap();
        let next = format!("http://{}{path}?recursive=true&cursor={}", request.host, from + PAGE);
        answer.with("Link", format!("<{next}>; rel=\"next\""))
    }

    fn commit_of(&self, name: &str, revision: &str) -> Option<String> {
        let named = self.revisions.get(&(name.to_owned(), revision.to_owned()));
        named.cloned().or_else(|| self.commits.contains_key(revision).then(|| revision.to_owned()))
    }

    fn file(&self, name: &str, rest: &str) -> Answer {
        let found = rest.split_once('/').and_then(|(revision, path)| {
            let commit = self.commit_of(name, revision)?;
            Some((self.commits.get(&commit)?.get(path)?, commit, path))
        });
        let Some((bytes, commit, path)) = found else { return Answer::refused(404, "EntryNotFound") };
        if !is_large(path) {
            let answer = Answer::new(200, bytes.clone()).with("ETag", format!("\"{}\"", git_id(bytes)));
            return answer.with("X-Repo-Commit", commit);
        }
        let hash = sha256(bytes);
        let to = self.faults.redirect.clone();
        Answer::new(302, "")
            .with("X-Repo-Commit", commit)
            .with("X-Linked-Etag", format!("\"{hash}\""))
            .with("X-Linked-Size", bytes.len().to_string())
            .with("ETag", format!("\"{hash}\""))
            .with("Location", to.unwrap_or_else(|| format!("{}/{hash}?X-Amz-Signature=hidden", self.cdn)))
    }

    fn large_file(&mut self, request: &Request) -> Answer {
        let hash = request.path.trim_start_matches('/').split('?').next().unwrap_or_default();
        let Some(mut bytes) = self.large.get(hash).cloned() else { return Answer::new(403, "expired") };
        let faults = &mut self.faults;
        if faults.corrupt {
            *bytes.last_mut().unwrap() ^= 1;
        }
        if faults.overlong {
            bytes.push(0);
        }
        let all = bytes.len();
        let mut answer = match request.range.filter(|_| !faults.no_ranges) {
            Some(from) if from as usize >= all => return Answer::new(416, ""),
            Some(from) => Answer::new(206, bytes.split_off(from as usize))
                .with("Content-Range", format!("bytes {from}-{}/{all}", all - 1)),
            None => Answer::new(200, bytes),
        };
        if let Some((left, len)) = &mut faults.cut
            && *left > 0
        {
            *left -= 1;
            answer.body.truncate(*len);
        }
        answer.with("ETag", format!("\"{hash}\""))
    }
}

fn entry(path: &str, bytes: &[u8]) -> serde_json::Value {
    let mut entry =
        serde_json::json!({ "type": "file", "oid": git_id(bytes), "size": bytes.len(), "path": path });
    if is_large(path) {
        entry["lfs"] = serde_json::json!({ "oid": sha256(bytes), "size": bytes.len(), "pointerSize": 130 });
    }
    entry
}

/// The name and the rest of `owner/name/revision/main`.
fn api_name(path: &str) -> Option<(&str, &str)> {
    let at = ["/revision/", "/tree/"].iter().find_map(|word| path.find(word));
    match at {
        Some(at) => Some((&path[..at], &path[at + 1..])),
        None => Some((path, "")),
    }
}

fn decoded(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = (*first == b'%').then(|| std::str::from_utf8(&tail[..2]).unwrap());
        match code.map(|code| u8::from_str_radix(code, 16).unwrap()) {
            Some(byte) => (bytes.push(byte), rest = &tail[2..]).1,
            None => (bytes.push(*first), rest = tail).1,
        }
    }
    String::from_utf8(bytes).unwrap()
}
