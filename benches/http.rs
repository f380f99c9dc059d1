//! Load over HTTP: a control plane in another process, and callers that keep their connections. The callers share one
//! thread and speak no more of HTTP than they must, so that what is measured is the server.

use crate::load::Timed;
use errand::api::{Client, RemoteOptions};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The program of this build, serving a store.
pub struct Server {
    child: Child,
    pub url: String,
    address: String,
    /// The key that every caller brings.
    pub key: String,
}

impl Server {
    pub fn start(db: &Path) -> Server {
        let key = made_key(db);
        let log = db.with_extension("log");
        let log = std::fs::File::create(log).expect("a log in the folder of the benchmark");
        let mut child = errand(&["serve", "--db", &db.display().to_string(), "--listen", "127.0.0.1:0"])
            .args(["--format", "json"])
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("make build makes target/release/errand");
        let mut line = String::new();
        let out = child.stdout.take().expect("a pipe was asked for");
        BufReader::new(out).read_line(&mut line).expect("the server says where it is");
        let text = |name| field(&line, name).unwrap_or_else(|| panic!("no {name}: {line}")).to_string();
        Server { child, url: text("url"), address: text("address"), key }
    }

    /// Seconds of processor time that the server has used; not a number where the system does not say so.
    fn processor_s(&self) -> f64 {
        processor_s(&self.child.id().to_string())
    }
}

fn processor_s(process: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or(f64::NAN);
    (ticks(11) + ticks(12)) / 100.0
}

/// Our own client of a control plane.
pub fn connect(url: &str, key: &str) -> Arc<dyn Client> {
    let options = RemoteOptions { api_key: Some(key.into()), ..RemoteOptions::default() };
    errand::http::connect(url, options).unwrap_or_else(|error| panic!("{url}: {error:?}"))
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn errand(args: &[&str]) -> Command {
    let mut command = Command::new("target/release/errand");
    command.args(args);
    command
}

/// The first key of a store.
fn made_key(db: &Path) -> String {
    let args = ["keys", "bootstrap", "--db", &db.display().to_string(), "--format", "json"];
    let output = errand(&args).output().expect("make build makes target/release/errand");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let secret = said.split('"').find(|text| text.starts_with("erk_"));
    secret.unwrap_or_else(|| panic!("no key: {said} {}", String::from_utf8_lossy(&output.stderr))).into()
}

/// What a load over HTTP did.
pub struct Load {
    /// One for each claim with its completion.
    pub jobs: Timed,
    /// One for each request that gave or settled a job.
    pub requests: Timed,
    /// Microseconds of processor time for each job: the server's, and the callers'.
    pub server_us: f64,
    pub callers_us: f64,
}

/// Claims and completes all the jobs of a type over so many connections; each is done once, or it panics.
pub fn drain(server: &Server, job_type: &str, jobs: usize, connections: usize) -> Load {
    let (server_s, callers_s) = (server.processor_s(), processor_s("self"));
    let (done, requests, elapsed) = runtime().block_on(async {
        let mut lines = Vec::new();
        for _ in 0..connections {
            lines.push(Line::open(server).await);
        }
        let begun = Instant::now();
        let workers: Vec<_> = lines.into_iter().map(|line| tokio::spawn(worker(line, job_type.to_string()))).collect();
        let (mut done, mut requests) = (Vec::new(), Vec::new());
        for worker in workers {
            let (mut some, mut more) = worker.await.expect("a worker that ends");
            done.append(&mut some);
            requests.append(&mut more);
        }
        (done, requests, begun.elapsed())
    });
    assert_eq!(done.len(), jobs, "each job is done once");
    let each = |before: f64, after: f64| (after - before) * 1e6 / jobs as f64;
    Load {
        jobs: Timed::of(done, elapsed),
        requests: Timed::of(requests, elapsed),
        server_us: each(server_s, server.processor_s()),
        callers_us: each(callers_s, processor_s("self")),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Works until there is no job.
async fn worker(mut line: Line, job_type: String) -> (Vec<Duration>, Vec<Duration>) {
    let (mut jobs, mut requests) = (Vec::new(), Vec::new());
    let claim =
        format!("{{\"command\":\"jobs.claim\",\"args\":{{\"jobType\":\"{job_type}\",\"workerId\":\"bench\"}}}}");
    loop {
        let begun = Instant::now();
        let claimed = line.ask(&claim).await;
        let between = Instant::now();
        let (Some(id), Some(token)) = (field(claimed, "jobId"), field(claimed, "leaseToken")) else {
            return (jobs, requests);
        };
        let complete = format!(
            "{{\"command\":\"jobs.complete\",\"args\":{{\"jobId\":\"{id}\",\"leaseToken\":\"{token}\",\
             \"outputs\":{{\"findings\":3}}}}}}"
        );
        line.ask(&complete).await;
        let ended = Instant::now();
        requests.extend([between - begun, ended - between]);
        jobs.push(ended - begun);
    }
}

/// Submits so many jobs to be worked on.
pub fn fill(server: &Server, job_type: &str, jobs: usize) {
    runtime().block_on(async {
        let mut line = Line::open(server).await;
        let payload = "{\"payload\":{\"surface\":\"flows-api\",\"files\":[\"src/a.clj\",\"src/b.clj\"],\"depth\":3}}";
        let mut left = jobs;
        while left > 0 {
            let some = left.min(5_000);
            let list = vec![payload; some].join(",");
            let args = format!("{{\"jobType\":\"{job_type}\",\"jobs\":[{list}]}}");
            line.ask(&format!("{{\"command\":\"jobs.batches.create\",\"args\":{args}}}")).await;
            left -= some;
        }
    });
}

/// The first text under a name in a reply; ids and tokens hold nothing that is escaped.
fn field<'a>(reply: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = reply.split_once(&format!("\"{name}\":\""))?;
    rest.split_once('"').map(|(text, _)| text)
}

/// One connection.
struct Line {
    stream: TcpStream,
    head: String,
    read: Vec<u8>,
}

impl Line {
    async fn open(server: &Server) -> Line {
        let stream = TcpStream::connect(&server.address).await.expect("the server listens");
        stream.set_nodelay(true).expect("an option of the system's");
        let head = format!(
            "POST /api/commands HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: ",
            server.address, server.key
        );
        Line { stream, head, read: Vec::new() }
    }

    /// Sends a command and gives the body of its answer, which must be a success.
    async fn ask(&mut self, body: &str) -> &str {
        let request = format!("{}{}\r\n\r\n{body}", self.head, body.len());
        self.stream.write_all(request.as_bytes()).await.expect("the server reads");
        self.read.clear();
        loop {
            let read = self.stream.read_buf(&mut self.read).await.expect("the server answers");
            assert!(read > 0, "the server went away");
            if let Some(body) = whole(&self.read) {
                let text = std::str::from_utf8(&self.read).expect("an answer in UTF-8");
                assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
                return &text[body..];
            }
        }
    }
}

/// Where the body of an answer begins, once all of it is there.
fn whole(read: &[u8]) -> Option<usize> {
    let head = read.windows(4).position(|four| four == b"\r\n\r\n")?;
    let text = std::str::from_utf8(&read[..head]).expect("a head in ASCII");
    let length = text.split("\r\n").find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.and_then(|length| length.parse().ok()).expect("an answer with its length");
    (read.len() >= head + 4 + length).then_some(head + 4)
}
