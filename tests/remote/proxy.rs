//! A proxy between a client and its control plane: what it says in the place of the control plane ends no worker, what
//! the control plane itself says does; and what comes through it is no more than what is used.

use super::plane::Plane;
use crate::program::{Place, Worker, eventually, json, within};
use crate::support::{at, get, text};
use errand::api::RemoteOptions;
use errand::http;
use errand::value::Value;
use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

/// Passes requests on, or answers each itself.
struct Proxy {
    address: SocketAddr,
    says: Arc<Mutex<Option<&'static str>>>,
    said: Arc<AtomicUsize>,
    /// What the control plane answered.
    answers: Arc<Mutex<Vec<u8>>>,
}

const PAGE: &str =
    "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>";
const OTHER_JSON: &str = "HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: 24\r\nConnection: close\r\n\r\n{\"error\":\"unauthorized\"}";

impl Proxy {
    fn before(plane: &Plane) -> Proxy {
        let to: SocketAddr = plane.said["address"].as_str().unwrap().parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let proxy = Proxy { address, says: Arc::default(), said: Arc::default(), answers: Arc::default() };
        let (says, said, answers) = (proxy.says.clone(), proxy.said.clone(), proxy.answers.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, says, said, answers) = (stream.unwrap(), says.clone(), said.clone(), answers.clone());
                thread::spawn(move || pass(stream, to, &says, &said, answers));
            }
        });
        proxy
    }

    fn says(&self, answer: Option<&'static str>) {
        *self.says.lock().unwrap() = answer;
    }

    fn said(&self) -> usize {
        self.said.load(Ordering::Relaxed)
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often a text stands in what the control plane answered.
    fn passed(&self, text: &str) -> usize {
        let answers = self.answers.lock().unwrap();
        answers.windows(text.len()).filter(|part| *part == text.as_bytes()).count()
    }
}

/// What is read from the control plane, remembered.
struct Heard(TcpStream, Arc<Mutex<Vec<u8>>>);

impl Read for Heard {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let read = self.0.read(bytes)?;
        self.1.lock().unwrap().extend(&bytes[..read]);
        Ok(read)
    }
}

/// One connection: what comes in is passed on or answered, request by request.
fn pass(
    mut from: TcpStream,
    to: SocketAddr,
    says: &Mutex<Option<&'static str>>,
    said: &AtomicUsize,
    answers: Arc<Mutex<Vec<u8>>>,
) {
    let Ok(mut on) = TcpStream::connect(to) else { return };
    let (mut back, mut client) = (Heard(on.try_clone().unwrap(), answers), from.try_clone().unwrap());
    thread::spawn(move || {
        let _ = std::io::copy(&mut back, &mut client);
        let _ = client.shutdown(Shutdown::Both);
    });
    let mut bytes = [0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut bytes) {
        let answer = *says.lock().unwrap();
        let done = match answer {
            None => on.write_all(&bytes[..read]).is_err(),
            Some(answer) => {
                let _ = from.write_all(answer.as_bytes());
                said.fetch_add(1, Ordering::Relaxed);
                true
            }
        };
        if done {
            break;
        }
    }
    let _ = (on.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
}

/// A worker behind the proxy, and what it says.
fn worker(plane: &Plane, url: &str, handler: &str) -> (Worker, mpsc::Receiver<String>) {
    let mut command = plane.errand(&["jobs", "worker", "run", "--type", "t", "--handler", handler, "--api", url]);
    command.args(["--poll-interval", "200ms"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let errors = BufReader::new(child.stderr.take().unwrap());
    let (tell, told) = mpsc::channel();
    thread::spawn(move || errors.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
    (Worker::of(child), told)
}

/// Reads on until a line holds the text, and gives the lines up to there.
fn until(lines: &mpsc::Receiver<String>, text: &str) -> Vec<String> {
    let mut read = Vec::new();
    while !read.last().is_some_and(|line: &String| line.contains(text)) {
        read.push(lines.recv_timeout(crate::program::PATIENCE).unwrap_or_else(|_| panic!("no {text} in {read:?}")));
    }
    read
}

fn create(plane: &Plane) -> String {
    let output = crate::program::succeeded(plane.errand(&["jobs", "create", "--type", "t"]));
    json(&output.stdout)["data"]["job"]["jobId"].as_str().unwrap().to_owned()
}

fn status(plane: &Plane, id: &str) -> String {
    let output = crate::program::succeeded(plane.errand(&["jobs", "await", id, "--timeout", "60s"]));
    json(&output.stdout)["data"]["job"]["status"].as_str().unwrap().to_owned()
}

#[test]
fn what_a_proxy_says_in_the_place_of_the_control_plane_does_not_end_a_worker() {
    let plane = Plane::open();
    let proxy = Proxy::before(&plane);
    let (begun, goes_on) = (plane.place.pipe("begun"), plane.place.pipe("goes-on"));
    let handler = plane.place.script("handler.sh", "echo x > begun; cat goes-on > /dev/null");
    let (worker, lines) = worker(&plane, &proxy.url(), &handler);
    until(&lines, "takes jobs of type t");

    proxy.says(Some(PAGE));
    let seen = until(&lines, "HTTP 404 with text/html");
    let failed = |lines: &[String]| lines.iter().filter(|line| line.contains("claim failed")).count();
    assert_eq!(failed(&seen), 1, "{seen:?}");
    let before = proxy.said();
    eventually("it is tried again", || proxy.said() > before);
    proxy.says(Some(OTHER_JSON));
    let seen = until(&lines, "refuses us with HTTP 401");
    assert_eq!(failed(&seen), 1, "it is said once for each change: {seen:?}");
    proxy.says(None);
    until(&lines, "claims are answered again");

    // The same while a job is under way, and when its end is reported.
    let id = create(&plane);
    begun.hear();
    proxy.says(Some(PAGE));
    let before = proxy.said();
    goes_on.tell();
    eventually("its end was to be reported", || proxy.said() > before);
    proxy.says(None);
    assert_eq!(status(&plane, &id), "succeeded");
    assert_eq!(worker.drained()["handledCount"], json!(1));
}

#[test]
fn a_worker_whose_key_is_refused_ends_and_says_so() {
    let place = Place::new();
    let account = place.ask(&["keys", "accounts", "create", "--name", "w", "--scope", "jobs.worker"]);
    let id = account["serviceAccount"]["serviceAccountId"].as_str().unwrap().to_owned();
    let key = place.ask(&["keys", "create", "--account", &id])["key"].clone();
    let handler = place.script("handler.sh", "exit 0");
    let plane = Plane::with(place, &[]);
    let run = |key: &str| {
        let mut command = plane.errand(&["jobs", "worker", "run", "--type", "t", "--handler", &handler]);
        command.env_remove("BREYTA_TOKEN").env("ERRAND_API_KEY", key).args(["--poll-interval", "30s"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let ended = |mut command: Command| {
        let output = within(move || command.output().unwrap());
        (output.status.code(), json(&output.stdout)["error"].clone())
    };
    let (status, error) = ended(run("erk_nobodys_key"));
    assert_eq!((status, &error["code"]), (Some(3), &json!("unauthenticated")), "{error}");
    let reader = plane.place.ask(&["keys", "accounts", "create", "--name", "r", "--scope", "jobs.read"]);
    let reader = reader["serviceAccount"]["serviceAccountId"].as_str().unwrap().to_owned();
    let reader = plane.place.ask(&["keys", "create", "--account", &reader])["key"]["secret"].clone();
    let (status, error) = ended(run(reader.as_str().unwrap()));
    assert_eq!((status, &error["code"]), (Some(3), &json!("forbidden")), "{error}");
    assert!(error["message"].as_str().unwrap().contains("jobs.worker"), "{error}");

    // One that waits for a job when its key is revoked ends as soon as there is one to take.
    let waiting = run(key["secret"].as_str().unwrap()).spawn().unwrap();
    eventually("it waits", || plane.metric("errand_long_polls") == 1.0);
    plane.place.ask(&["keys", "revoke", key["keyId"].as_str().unwrap()]);
    plane.place.create(&[]);
    let output = within(move || waiting.wait_with_output().unwrap());
    assert_eq!(output.status.code(), Some(3), "{}", crate::program::text(&output.stderr));
}

#[test]
fn the_jobs_of_a_batch_that_is_awaited_come_once_however_often_it_is_asked_for() {
    let mut plane = Plane::open();
    let proxy = Proxy::before(&plane);
    let made = get(&*plane.direct(), "jobs.batches.create", "{:job-type \"t\" :jobs [{} {} {}]}");
    let id = text(&made, &["batch", "batch-id"]).to_owned();
    let awaiting = |timeout: &str| {
        let client = http::connect(&proxy.url(), RemoteOptions::default()).unwrap();
        let args = format!("{{:batch-id {id:?} :include-jobs? true :timeout-ms {timeout}}}");
        thread::spawn(move || get(&*client, "jobs.batches.await", &args))
    };
    let jobs = |reply: &Value| match at(reply, &["jobs"]) {
        Value::Vector(jobs) => jobs.len(),
        other => panic!("jobs are a vector: {other:?}"),
    };
    // The last answer before the bound is the caller's, as is the only one.
    for timeout in ["0", "10"] {
        let reply = awaiting(timeout).join().unwrap();
        assert_eq!((at(&reply, &["terminal"]), jobs(&reply)), (&Value::Bool(false), 3));
    }
    let before = (proxy.passed(":jobs ["), proxy.passed(":terminal false"));

    let waiting = awaiting("120000");
    eventually("it waits", || plane.metric("errand_long_polls") == 1.0);
    plane.end();
    eventually("the poll is answered as the control plane ends", || proxy.passed(":terminal false") > before.1);
    get(&*plane.direct(), "jobs.batches.cancel", &format!("{{:batch-id {id:?}}}"));
    plane.again();
    let reply = waiting.join().unwrap();
    assert_eq!((at(&reply, &["terminal"]), jobs(&reply)), (&Value::Bool(true), 3));
    assert_eq!(proxy.passed(":jobs ["), before.0 + 1, "they came with the end alone");
}
