//! A server to throw bytes at: it lets anybody in, so that they come as far as the commands.
//! Whatever came, it must go on answering, with every thread that it began with.

use errand::api::{self, OpenOptions};
use errand::http::{ServeOptions, Server};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;
use tempfile::TempDir;

/// Longer than any answer takes that comes at all.
const PATIENCE: Duration = Duration::from_secs(60);

const HEALTHY: &[u8] = b"POST /api/commands HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
    Connection: close\r\nContent-Length: 27\r\n\r\n{\"command\":\"jobs.stats\"}   ";

pub struct Live {
    server: Server,
    /// How many threads it began with, where no other server is in the process.
    threads: usize,
    _folder: TempDir,
}

impl Live {
    /// A server on a store of its own; `alone` where its threads can be told from those of others.
    pub fn start(alone: bool) -> Live {
        let folder = TempDir::new().expect("a folder for the server");
        let host = api::open_host(&folder.path().join("jobs.db"), &OpenOptions::default()).expect("the store opens");
        let options = ServeOptions {
            listen: "127.0.0.1:0".into(),
            no_auth: true,
            drain_time: Duration::ZERO,
            ..ServeOptions::default()
        };
        let server = Server::start(host, options).expect("the server starts");
        let mut live = Live { server, threads: 0, _folder: folder };
        live.assert_well();
        live.threads = if alone { workers() } else { 0 };
        live
    }

    /// Sends bytes on a connection of their own and looks at what comes within `wait`, and until the server closes.
    /// What begins as a map is the body of a command, in which words stand for what chance would never spell.
    pub fn take(&self, input: &[u8], wait: Duration) {
        let told;
        let input = match input {
            [b'{', ..] => {
                told = command(&self.told(input));
                &told[..]
            }
            _ => input,
        };
        let mut stream = TcpStream::connect(self.server.address()).expect("the server listens");
        // The server may refuse before it has read all.
        let _ = stream.write_all(input);
        let answer = read(&mut stream, wait);
        let _ = stream.shutdown(Shutdown::Write);
        let rest = read(&mut stream, PATIENCE);
        judge(&[answer, rest].concat());
    }

    /// A body with a job, its lease and a table of its own, where it has the words for them.
    fn told(&self, body: &[u8]) -> Vec<u8> {
        let mut body = String::from_utf8_lossy(body).into_owned();
        if !["JOB", "TOKEN", "TABLE"].iter().any(|word| body.contains(word)) {
            return body.into();
        }
        let job = &self.ask(r#"{"command":"jobs.create","args":{"jobType":"own","payload":{"a":1}}}"#)["job"]["jobId"];
        body = body.replace("JOB", text(job));
        let claim = r#"{"command":"jobs.claim","args":{"jobType":"own","workerId":"w"}}"#;
        let leased = self.ask(claim);
        let lease = |word: &str| text(&leased["job"][word]).to_owned();
        // Its lease is the first that is free: mostly of that job, and a stranger's else.
        body = body.replace("TOKEN", &lease("leaseToken"));
        if body.contains("TABLE") {
            let attach = serde_json::json!({"command": "jobs.attach_table", "args": {
                "jobId": lease("jobId"), "leaseToken": lease("leaseToken"), "label": "rows",
                "rows": [{"id": 1, "n": "x"}, {"id": 2, "n": null}]}});
            body = body.replace("TABLE", text(&self.ask(&attach.to_string())["artifact"]["resourceUri"]));
        }
        body.into()
    }

    /// What a command of our own gives; nothing where it is refused.
    fn ask(&self, body: &str) -> serde_json::Value {
        let mut stream = TcpStream::connect(self.server.address()).expect("the server listens");
        stream.write_all(&command(body.as_bytes())).expect("the server reads");
        let answer = read(&mut stream, PATIENCE);
        let answer = String::from_utf8_lossy(&answer);
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let mut parsed: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
        parsed["data"].take()
    }

    /// Asks for a command, as anybody would.
    pub fn assert_well(&self) {
        let mut stream = TcpStream::connect(self.server.address()).expect("the server listens");
        stream.write_all(HEALTHY).expect("the server reads");
        let answer = read(&mut stream, PATIENCE);
        let text = String::from_utf8_lossy(&answer);
        assert!(text.starts_with("HTTP/1.1 200 ") && text.contains("{\"ok\":true,"), "the server answers {text:?}");
        assert!(workers() >= self.threads, "{} threads of the server are left of {}", workers(), self.threads);
    }
}

/// A command with this body, in EDN where it begins as a map of keywords.
fn command(body: &[u8]) -> Vec<u8> {
    let form = if body.starts_with(b"{:") { "edn" } else { "json" };
    let head = format!(
        "POST /api/commands HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/{form}\r\n\
         Accept: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn text(value: &serde_json::Value) -> &str {
    value.as_str().unwrap_or("none")
}

/// Reads until the other side closes, or is silent for `wait`.
fn read(stream: &mut TcpStream, wait: Duration) -> Vec<u8> {
    stream.set_read_timeout(Some(wait)).expect("a socket has a timeout");
    let (mut all, mut part) = (Vec::new(), [0; 16 << 10]);
    loop {
        match stream.read(&mut part) {
            Ok(0) => return all,
            Ok(length) => all.extend_from_slice(&part[..length]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                assert!(wait < PATIENCE, "the server neither answers nor closes");
                return all;
            }
            // It closed with bytes of ours unread.
            Err(_) => return all,
        }
    }
}

/// What is answered to HTTP/1.1 is well formed and no fault of ours.
fn judge(answer: &[u8]) {
    let text = String::from_utf8_lossy(answer);
    if answer.is_empty() || !text.starts_with("HTTP/1") {
        // Closed without a word, or HTTP/2.
        return;
    }
    assert!(!text.starts_with("HTTP/1.1 500") && !text.contains("\"code\":\"internal\""), "a fault of ours: {text}");
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return };
    let header = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    };
    let length = header("content-length").and_then(|length| length.parse::<usize>().ok());
    if let (Some("application/json"), Some(length)) = (header("content-type"), length)
        && let Some(body) = body.as_bytes().get(..length)
    {
        let parsed = serde_json::from_slice::<serde_json::Value>(body);
        assert!(length == 0 || parsed.is_ok(), "an answer that is no JSON: {text}");
    }
}

/// How many threads the server's runtime has; none can be counted but on Linux.
fn workers() -> usize {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let names = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("comm")).ok());
    names.filter(|name| name.starts_with("errand-http")).count()
}
