//! The line to one control plane: a command is sent, and sent again under the same operation id while that may help.
//! It does not wait for jobs, nor read what an answer means.

use super::answer::{self, Fault};
use super::without_secret;
use crate::api::{Code, Command, Error, RemoteOptions, Reply};
use crate::value::{MapBuilder, Value, edn};
use bytes::Bytes;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client as Http, Url, redirect};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

const EDN: HeaderValue = HeaderValue::from_static("application/edn");
const WORKSPACE: HeaderName = HeaderName::from_static("x-errand-workspace");
const OPERATION: HeaderName = HeaderName::from_static("x-breyta-operation-id");
const ATTEMPT: HeaderName = HeaderName::from_static("x-breyta-operation-attempt");

const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long an answer may take besides what it was asked to wait: more than a store is waited for.
const ANSWER_MAX: Duration = Duration::from_secs(40);
/// The slowest line on which a large request is still on its way.
const BYTES_A_SECOND_MIN: u64 = 64 << 10;
/// The slowest store of files: what came is put in its place before an answer is given.
const STORED_A_SECOND_MIN: u64 = 4 << 20;
/// Idle connections are let go of before servers and proxies usually do.
const IDLE_MAX: Duration = Duration::from_secs(50);
const KEEPALIVE: Duration = Duration::from_secs(20);

const RETRY_FOR_KNOWN: Duration = Duration::from_secs(30);
const RETRY_FOR_UNKNOWN: Duration = Duration::from_secs(5);
const PAUSE_FIRST_MS: u64 = 50;
const PAUSE_MAX_MS: u64 = 1_000;

/// Requests of one client that wait at the server at a time; the others take turns.
const WAITING_MAX: usize = 256;

/// What is said: a command, and its arguments under the names of Clojure.
pub struct Said {
    pub command: &'static Command,
    pub args: Value,
}

impl Said {
    /// The same with one argument replaced.
    pub fn with(&self, name: &'static str, value: impl Into<Value>) -> Said {
        let Value::Map(entries) = &self.args else { unreachable!("arguments are a map") };
        let key = Value::key(name);
        let mut entries: Vec<_> = entries.iter().filter(|(given, _)| *given != key).cloned().collect();
        entries.push((key, value.into()));
        Said { command: self.command, args: Value::Map(entries) }
    }

    pub fn without(mut self, name: &str) -> Said {
        if let Value::Map(entries) = &mut self.args {
            entries.retain(|(key, _)| !matches!(key, Value::Keyword(given) if given == name));
        }
        self
    }

    /// The same as it is sent.
    pub fn written(self) -> Written {
        let body = MapBuilder::new().put("command", self.command.name).put("args", self.args).build();
        Written { mutates: self.command.mutates(), body: edn::write(&body).into() }
    }
}

/// A command as it is sent.
pub struct Written {
    mutates: bool,
    body: Bytes,
}

/// Where a control plane is, and the connections to it.
pub struct Line {
    http: Http,
    url: String,
    commands: Url,
    headers: HeaderMap,
    retry_for: Option<Duration>,
    /// Whether it ever answered.
    reached: AtomicBool,
    pub waiting: Semaphore,
}

impl Line {
    pub fn new(url: &str, options: &RemoteOptions) -> Result<Line, Error> {
        let commands = commands_url(url)?;
        let builder = Http::builder()
            .user_agent(concat!("errand/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT_MAX)
            .pool_idle_timeout(IDLE_MAX)
            .tcp_keepalive(KEEPALIVE);
        // A proxy cannot reach what only this machine can; and without TLS there is no certificate to look for.
        let builder = if is_loopback(&commands) { builder.no_proxy() } else { builder };
        let builder = if commands.scheme() == "http" { builder.tls_certs_only([]) } else { builder };
        let http = builder.build().map_err(|e| unusable(url, &answer::innermost(&e)))?;
        Ok(Line {
            http,
            url: url.trim_end_matches('/').to_owned(),
            commands,
            headers: headers(options)?,
            retry_for: options.retry_for_ms.map(Duration::from_millis),
            reached: AtomicBool::new(false),
            waiting: Semaphore::new(WAITING_MAX),
        })
    }

    /// The address as it was given.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How long it is worth trying, beyond the first time.
    pub fn retry_for(&self) -> Duration {
        let usual = if self.has_answered() { RETRY_FOR_KNOWN } else { RETRY_FOR_UNKNOWN };
        self.retry_for.unwrap_or(usual)
    }

    pub fn has_answered(&self) -> bool {
        self.reached.load(Ordering::Relaxed)
    }

    /// Sends a command until it is answered for good, or `retry_for` is over.
    pub async fn ask(&self, written: Written) -> Reply {
        let begun = Instant::now();
        let mut call = self.call(written, Duration::ZERO);
        let mut pauses = Pauses::default();
        loop {
            let fault = match call.send().await {
                Ok(data) => return Ok(data),
                Err(fault) => fault,
            };
            let pause = pauses.next(&fault);
            if !fault.again || begun.elapsed() + pause > self.retry_for() {
                return Err(fault.error);
            }
            sleep(pause).await;
        }
    }

    /// Begins an upload of a file.
    pub async fn begin_upload(&self, body: String) -> Reply {
        let request = self.http.post(format!("{}/api/files/uploads/init", self.url)).headers(self.headers.clone());
        self.bare(request.body(body).timeout(ANSWER_MAX)).await
    }

    /// How long the answer may take to a file of that size, once all of it was sent.
    pub fn answer_max(&self, size: u64) -> Duration {
        ANSWER_MAX + Duration::from_secs(size / STORED_A_SECOND_MIN)
    }

    /// The error that there is no such answer.
    pub fn silent(&self) -> Error {
        answer::silent(&self.url, true).error
    }

    /// Sends the bytes of a file. How long that takes nobody knows: who feeds the body sees whether it goes on.
    pub async fn put(&self, path: &str, body: reqwest::Body) -> Reply {
        let request = self.http.put(format!("{}{path}", self.url)).headers(self.headers.clone());
        self.bare(request.body(body)).await
    }

    /// Sends a request whose data comes without an envelope.
    async fn bare(&self, request: reqwest::RequestBuilder) -> Reply {
        let response = request.send().await.map_err(|error| answer::unreachable(&self.url, &error, true).error)?;
        if !response.status().is_success() {
            return answer::read(&self.url, response, true).await.map_err(|fault| fault.error);
        }
        let body = response.text().await.map_err(|error| answer::unreachable(&self.url, &error, true).error)?;
        let odd = |_| Error::new(Code::Internal, format!("answer of \"{}\" is not EDN", self.url));
        edn::read(&body).map_err(odd)
    }

    /// A command to be sent, of which the server may hold the answer back for `wait`.
    pub fn call(&self, written: Written, wait: Duration) -> OneCall<'_> {
        let Written { mutates, body } = written;
        OneCall { line: self, mutates, body, wait, operation: Uuid::new_v4(), attempt: 0 }
    }
}

/// One logical call: however often it is sent, the server knows it as one.
pub struct OneCall<'a> {
    line: &'a Line,
    mutates: bool,
    body: Bytes,
    wait: Duration,
    operation: Uuid,
    attempt: u32,
}

impl OneCall<'_> {
    /// Sends it once more.
    pub async fn send(&mut self) -> Result<Value, Fault> {
        self.attempt += 1;
        let upload = Duration::from_secs(self.body.len() as u64 / BYTES_A_SECOND_MIN);
        let request = self
            .line
            .http
            .post(self.line.commands.clone())
            .headers(self.line.headers.clone())
            .header(OPERATION, self.operation.to_string())
            .header(ATTEMPT, self.attempt)
            .body(self.body.clone());
        let line = self.line;
        let response = match timeout(ANSWER_MAX + self.wait + upload, request.send()).await {
            Err(_) => return Err(answer::silent(&line.url, self.mutates)),
            Ok(Err(error)) => return Err(answer::unreachable(&line.url, &error, self.mutates)),
            Ok(Ok(response)) => response,
        };
        let reply = answer::read(&line.url, response, self.mutates).await;
        if reply.as_ref().map_or_else(|fault| fault.answered, |_| true) {
            line.reached.store(true, Ordering::Relaxed);
        }
        reply
    }
}

/// Growing pauses between tries, each a random part longer than half of its bound, so that clients do not come in step.
#[derive(Default)]
pub struct Pauses(u32);

impl Pauses {
    pub fn next(&mut self, fault: &Fault) -> Duration {
        self.grown().max(fault.after.unwrap_or_default().min(Duration::from_millis(PAUSE_MAX_MS)))
    }

    pub fn grown(&mut self) -> Duration {
        let bound = (PAUSE_FIRST_MS << self.0.min(8)).min(PAUSE_MAX_MS);
        self.0 += 1;
        let part = Uuid::new_v4().as_u128() as u64 % (bound / 2);
        Duration::from_millis(bound / 2 + part)
    }
}

fn commands_url(url: &str) -> Result<Url, Error> {
    let parsed = Url::parse(url).map_err(|e| unusable(url, &e.to_string()))?;
    let problem = match () {
        () if !matches!(parsed.scheme(), "http" | "https") => "allowed: http:// or https://",
        () if parsed.host_str().is_none() => "it names no host",
        () if !parsed.username().is_empty() || parsed.password().is_some() => {
            return Err(Error::new(
                Code::InvalidArgument,
                "control plane's address holds a secret; give it as the key",
            ));
        }
        () if parsed.query().is_some() || parsed.fragment().is_some() => "it may not have a query or a fragment",
        () => "",
    };
    if !problem.is_empty() {
        return Err(unusable(url, problem));
    }
    let commands = format!("{}/api/commands", parsed.as_str().trim_end_matches('/'));
    Url::parse(&commands).map_err(|e| unusable(url, &e.to_string()))
}

fn unusable(url: &str, problem: &str) -> Error {
    let url = without_secret(url);
    Error::new(Code::InvalidArgument, format!("control plane \"{url}\" cannot be used: {problem}"))
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn headers(options: &RemoteOptions) -> Result<HeaderMap, Error> {
    let wrong = |what: &str| Error::new(Code::InvalidArgument, format!("{what} holds what a header cannot"));
    let workspace = HeaderValue::from_str(&options.workspace).map_err(|_| wrong("workspace"))?;
    let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, EDN), (ACCEPT, EDN), (WORKSPACE, workspace)]);
    if let Some(key) = &options.api_key {
        let mut bearer = HeaderValue::from_str(&format!("Bearer {key}")).map_err(|_| wrong("api key"))?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_stand_below_the_address_that_is_given() {
        for (url, commands) in [
            ("http://127.0.0.1:8383", "http://127.0.0.1:8383/api/commands"),
            ("https://jobs.example/errand/", "https://jobs.example/errand/api/commands"),
        ] {
            assert_eq!(commands_url(url).unwrap().as_str(), commands);
        }
    }

    #[test]
    fn an_address_that_cannot_be_used_is_refused_without_showing_a_secret() {
        for url in ["http://", "ftp://x", "http://x?y=1", "http://x#y"] {
            assert_eq!(commands_url(url).unwrap_err().code, Code::InvalidArgument, "{url}");
        }
        let hidden = ["http://me:hidden@x", "ftp://me:hidden@x", "http://me:hidden@x:99999", "me:hidden@x"];
        for url in hidden.into_iter().chain(["http://me:hid@hidden@x?y", "http://me:hid den@x y", "http://hidden@/"]) {
            let error = commands_url(url).unwrap_err();
            assert!(!error.message.contains("hid"), "{error}");
        }
    }

    #[test]
    fn pauses_grow_to_a_second_and_never_come_in_step() {
        let mut pauses = Pauses::default();
        let all: Vec<Duration> = (0..12).map(|_| pauses.grown()).collect();
        assert!(all[0] < Duration::from_millis(50) && all[11] >= Duration::from_millis(500), "{all:?}");
        assert!(all.iter().all(|pause| *pause <= Duration::from_secs(1)), "{all:?}");
    }
}
