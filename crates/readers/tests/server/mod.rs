//! A server of files on this machine, for tests: the part of S3's protocol that reading needs (`ListObjectsV2` in pages, `GET`
//! with ranges and conditions, `HEAD`), which is Google's too, Azure's `List Blobs`, and the same files over plain HTTP and
//! WebDAV. It can be told to fail.
//!
//! Written after the protocols' pages (Amazon S3 and Azure Blob Storage API references; RFC 9110; RFC 4918), on `std` alone.

#![allow(dead_code, reason = "each program that includes it uses a part")]

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

/// A running server; it ends with the process.
pub(crate) struct Server {
    url: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, Stored>,
    writes: u64,
    requests: Vec<Request>,
    faults: Vec<(String, Fault, usize)>,
    page_keys: usize,
    /// Whether entity tags are given, and of which kind.
    tags: Tags,
    speaks_webdav: bool,
    /// Every version of every file, by its number, if versions are kept.
    versions: Option<BTreeMap<u64, Stored>>,
}

/// A file as it was written.
#[derive(Clone)]
struct Stored {
    bytes: Vec<u8>,
    tag: String,
    /// Seconds of a minute in March 2024.
    written: u64,
    version: u64,
}

/// What a server gives as entity tags.
#[derive(Clone, Copy, Default, PartialEq)]
pub(crate) enum Tags {
    #[default]
    Strong,
    Weak,
    None,
}

/// What goes wrong.
#[derive(Clone, Copy)]
pub(crate) enum Fault {
    /// The answer is this status, with a body that repeats the request's headers.
    Status(u16),
    /// The connection ends after so many bytes of the body.
    Cut(usize),
    /// The file is written again after so many bytes of its body, which then are cut.
    Overwrite(usize),
}

/// What was asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) headers: BTreeMap<String, String>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { page_keys: 1000, ..State::default() }));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                thread::spawn(move || serve(&connection, &state));
            }
        });
        Self { url, state }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Writes a file: `bucket/key`, or a path of the plain server.
    pub(crate) fn put(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.state().put(path, bytes.into());
    }

    pub(crate) fn remove(&self, path: &str) {
        self.state().files.remove(path).unwrap();
    }

    /// Lists so many keys at a time.
    pub(crate) fn set_page_keys(&self, keys: usize) {
        self.state().page_keys = keys;
    }

    pub(crate) fn set_tags(&self, tags: Tags) {
        self.state().tags = tags;
    }

    pub(crate) fn speak_webdav(&self) {
        self.state().speaks_webdav = true;
    }

    /// Keeps versions of what is written from now on.
    pub(crate) fn keep_versions(&self) {
        self.state().versions = Some(BTreeMap::new());
    }

    /// Lets the next requests for paths that contain a text go wrong.
    pub(crate) fn fail(&self, path: &str, fault: Fault, times: usize) {
        self.state().faults.push((path.to_owned(), fault, times));
    }

    /// Lets nothing go wrong any more.
    pub(crate) fn heal(&self) {
        self.state().faults.clear();
    }

    /// What was asked since the last look.
    pub(crate) fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.state().requests)
    }
}

impl State {
    fn put(&mut self, path: &str, bytes: Vec<u8>) {
        self.writes += 1;
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        let tag = format!("\"{:016x}\"", hasher.finish());
        let stored = Stored { bytes, tag, written: self.writes % 60, version: self.writes };
        if let Some(versions) = &mut self.versions {
            versions.insert(self.writes, stored.clone());
        }
        self.files.insert(path.to_owned(), stored);
    }

    fn tag(&self, file: &Stored) -> Option<String> {
        match self.tags {
            Tags::Strong => Some(file.tag.clone()),
            Tags::Weak => Some(format!("W/{}", file.tag)),
            Tags::None => None,
        }
    }

    fn fault(&mut self, path: &str) -> Option<Fault> {
        let (_, fault, left) =
            self.faults.iter_mut().find(|(part, _, left)| *left > 0 && path.contains(part.as_str()))?;
        *left -= 1;
        Some(*fault)
    }

    fn answer(&mut self, request: &Request) -> Answer {
        let fault = self.fault(&request.path);
        if let Some(Fault::Status(status)) = fault {
            return refusal(status, &format!("{:?}", request.headers));
        }
        let path = request.path.trim_start_matches('/').to_owned();
        match request.method.as_str() {
            "PROPFIND" if self.speaks_webdav => self.properties(&path),
            "GET" if request.query.contains_key("list-type") => self.list_objects(&path, request),
            "GET" if request.query.contains_key("comp") => self.list_blobs(&path, request),
            "GET" | "HEAD" => {
                let answer = self.file(&path, request);
                match fault {
                    Some(Fault::Cut(bytes)) => Answer { cut: Some(bytes), ..answer },
                    Some(Fault::Overwrite(bytes)) => {
                        self.put(&path, answer.body.iter().map(|byte| !byte).collect());
                        Answer { cut: Some(bytes), ..answer }
                    }
                    _ => answer,
                }
            }
            _ => refusal(405, "this method is not spoken"),
        }
    }

    fn file(&self, path: &str, request: &Request) -> Answer {
        let asked = request.query.get("versionId").map(|version| version.parse::<u64>().unwrap());
        let file = match (asked, &self.versions) {
            (Some(version), Some(versions)) => versions.get(&version),
            _ => self.files.get(path),
        };
        let Some(file) = file else { return refusal(404, "no such key") };
        if let Some(condition) = request.headers.get("if-match")
            && (*condition != file.tag || self.tags != Tags::Strong)
        {
            return refusal(412, "a condition did not hold");
        }
        let mut headers = vec![
            ("Last-Modified".to_owned(), format!("Wed, 06 Mar 2024 12:00:{:02} GMT", file.written)),
            ("Accept-Ranges".to_owned(), "bytes".to_owned()),
        ];
        headers.extend(self.tag(file).map(|tag| ("ETag".to_owned(), tag)));
        if self.versions.is_some() {
            headers.push(("x-amz-version-id".to_owned(), file.version.to_string()));
        }
        let range = request.headers.get("range").and_then(|range| {
            let (start, end) = range.strip_prefix("bytes=")?.split_once('-')?;
            let last = file.bytes.len() - 1;
            Some((start.parse().ok()?, end.parse().map_or(last, |end: usize| end.min(last))))
        });
        let (status, body) = match range {
            Some((start, end)) => {
                let total = file.bytes.len();
                headers.push(("Content-Range".to_owned(), format!("bytes {start}-{end}/{total}")));
                (206, file.bytes[start..=end].to_vec())
            }
            None => (200, file.bytes.clone()),
        };
        Answer { status, headers, body, cut: None }
    }

    /// A page of the files of a bucket, and after which key the next one begins; nothing if there is no such bucket.
    fn page(&self, bucket: &str, request: &Request, marker: &str) -> Option<Page<'_>> {
        let of = |name: &str| request.query.get(name).cloned().unwrap_or_default();
        let (prefix, after, bucket) =
            (of("prefix"), of(marker), format!("{}/", bucket.trim_end_matches('/')));
        self.files.keys().find(|path| path.starts_with(&bucket))?;
        let first = format!("{bucket}{}", if after.is_empty() { &prefix } else { &after });
        let mut keys = self
            .files
            .range(first.clone()..)
            .filter(|(path, _)| after.is_empty() || **path != first)
            .map_while(|(path, file)| Some((path.strip_prefix(&bucket)?, file)))
            .take_while(|(key, _)| key.starts_with(&prefix));
        let page: Vec<(&str, &Stored)> = keys.by_ref().take(self.page_keys).collect();
        let next = keys.next().and_then(|_| Some(page.last()?.0));
        Some((page, next))
    }

    fn list_objects(&self, bucket: &str, request: &Request) -> Answer {
        let Some((page, next)) = self.page(bucket, request, "continuation-token") else {
            return refusal(404, "the bucket is not there");
        };
        let mut body = r#"<?xml version="1.0" encoding="UTF-8"?><ListBucketResult>"#.to_owned();
        for (key, file) in page {
            body += &format!(
                "<Contents><Key>{}</Key><LastModified>2024-03-06T12:00:{:02}.000Z</LastModified><ETag>{}</ETag>\
                 <Size>{}</Size></Contents>",
                escaped(key),
                file.written,
                escaped(&self.tag(file).unwrap_or_default()),
                file.bytes.len(),
            );
        }
        body += &format!("<IsTruncated>{}</IsTruncated>", next.is_some());
        if let Some(next) = next {
            body += &format!("<NextContinuationToken>{}</NextContinuationToken>", escaped(next));
        }
        body += "</ListBucketResult>";
        Answer { status: 200, headers: Vec::new(), body: body.into_bytes(), cut: None }
    }

    /// As Azure lists: tags are without their quotes.
    fn list_blobs(&self, container: &str, request: &Request) -> Answer {
        let Some((page, next)) = self.page(container, request, "marker") else {
            return refusal(404, "the container is not there");
        };
        let mut body = r#"<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Blobs>"#.to_owned();
        for (key, file) in page {
            body += &format!(
                "<Blob><Name>{}</Name><Properties>\
                 <Last-Modified>Wed, 06 Mar 2024 12:00:{:02} GMT</Last-Modified>\
                 <Etag>{}</Etag><Content-Length>{}</Content-Length><Content-Type>text/plain</Content-Type>\
                 </Properties></Blob>",
                escaped(key),
                file.written,
                file.tag.trim_matches('"'),
                file.bytes.len(),
            );
        }
        body +=
            &format!("</Blobs><NextMarker>{}</NextMarker></EnumerationResults>", next.unwrap_or_default());
        Answer { status: 200, headers: Vec::new(), body: body.into_bytes(), cut: None }
    }

    /// The files below a folder, as WebDAV tells them.
    fn properties(&self, folder: &str) -> Answer {
        let mut body = r#"<?xml version="1.0"?><D:multistatus xmlns:D="DAV:">"#.to_owned();
        for (path, file) in self.files.iter().filter(|(path, _)| path.starts_with(folder)) {
            let tag = self.tag(file).map(|tag| format!("<D:getetag>{}</D:getetag>", escaped(&tag)));
            body += &format!(
                "<D:response><D:href>/{}</D:href><D:propstat><D:prop><D:resourcetype/>\
                 <D:getcontentlength>{}</D:getcontentlength>\
                 <D:getlastmodified>Wed, 06 Mar 2024 12:00:{:02} GMT</D:getlastmodified>{}</D:prop>\
                 <D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>",
                path.replace(' ', "%20"),
                file.bytes.len(),
                file.written,
                tag.unwrap_or_default(),
            );
        }
        body += "</D:multistatus>";
        Answer { status: 207, headers: Vec::new(), body: body.into_bytes(), cut: None }
    }
}

/// Keys with their files, and after which key there are more.
type Page<'a> = (Vec<(&'a str, &'a Stored)>, Option<&'a str>);

struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    cut: Option<usize>,
}

/// A refusal that repeats what it was asked with, as some servers do.
fn refusal(status: u16, repeated: &str) -> Answer {
    let body = format!(
        r#"<?xml version="1.0"?><Error><Code>Status{status}</Code><Message>this server answers {status}</Message><Repeated>{}</Repeated></Error>"#,
        escaped(repeated)
    );
    Answer { status, headers: Vec::new(), body: body.into_bytes(), cut: None }
}

/// Answers the requests of a connection, one after the other.
fn serve(connection: &TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(connection);
    while let Some(request) = read_request(&mut reader) {
        let answer = {
            let mut state = state.lock().unwrap();
            state.requests.push(request.clone());
            state.answer(&request)
        };
        let mut head =
            format!("HTTP/1.1 {} Answer\r\nContent-Length: {}\r\n", answer.status, answer.body.len());
        for (name, value) in &answer.headers {
            head += &format!("{name}: {value}\r\n");
        }
        let body = if request.method == "HEAD" { &[][..] } else { &answer.body };
        let sent = answer.cut.map_or(body, |bytes| &body[..bytes.min(body.len())]);
        let mut writer = connection;
        let is_written =
            writer.write_all(format!("{head}\r\n").as_bytes()).and_then(|()| writer.write_all(sent));
        if is_written.is_err() || answer.cut.is_some() {
            let _ = connection.shutdown(std::net::Shutdown::Both);
            return;
        }
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut parts = line.split_whitespace();
    let (method, target) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let query = pairs.map(|(name, value)| (decoded(name), decoded(value))).collect();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.trim().to_owned()),
            None => break,
        };
    }
    Some(Request { method, path: decoded(path), query, headers })
}

fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().replace('+', " ").into_bytes();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend(part[2..].replace('+', " ").bytes());
    }
    String::from_utf8(bytes).unwrap()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
