//! `errand serve` and `errand keys` as real processes.

use super::{PATIENCE, answer, later};
use crate::program::{Place, eventually, json as parse, succeeded};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};

/// A server process, killed with its test.
pub struct Serving {
    child: Child,
    pub url: String,
    pub token: Option<String>,
    log: std::sync::mpsc::Receiver<String>,
}

impl Serving {
    pub fn start(place: &Place, args: &[&str]) -> Serving {
        Serving::spawn(place.errand(&[&["serve"], args].concat()))
    }

    /// As `start`, of a command that is made up already.
    pub fn spawn(mut command: Command) -> Serving {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut errors = child.stderr.take().unwrap();
        let log = later(move || {
            let mut text = String::new();
            errors.read_to_string(&mut text).unwrap();
            text
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let told = parse(line.as_bytes());
        let token = told["token"].as_str().map(String::from);
        Serving { child, url: told["url"].as_str().unwrap().to_owned(), token, log }
    }

    pub fn ask(&self, key: &str, command: &str, args: Value) -> (u16, Value) {
        answer(request(&self.url, key, command, args))
    }

    pub fn terminate(&self) {
        kill_process(Pid::from_raw(self.child.id() as i32).unwrap(), Signal::TERM).unwrap();
    }

    /// Waits until it has ended by itself, and gives its log.
    pub fn ended(mut self) -> String {
        let log = self.log.recv_timeout(PATIENCE).unwrap();
        assert!(self.child.wait().unwrap().success(), "{log}");
        log
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn request(url: &str, key: &str, command: &str, args: Value) -> reqwest::blocking::RequestBuilder {
    let client = super::client();
    let body = json!({"command": command, "args": args}).to_string();
    client.post(format!("{url}/api/commands")).header("Content-Type", "application/json").bearer_auth(key).body(body)
}

#[test]
fn sigterm_drains_and_a_restart_loses_nothing() {
    let place = Place::new();
    let serving = Serving::start(&place, &["--listen", "127.0.0.1:0", "--drain-time", "60s"]);
    let (url, token) = (serving.url.clone(), serving.token.clone().unwrap());
    let ask = |command: &str, args: Value| {
        let (status, body) = serving.ask(&token, command, args);
        assert_eq!(status, 200, "{body}");
        body["data"].clone()
    };
    let id = ask("jobs.create", json!({"jobType": "t"}))["job"]["jobId"].clone();
    let lease = ask("jobs.claim", json!({"jobType": "t", "workerId": "w"}))["job"].clone();
    let lease = json!({"jobId": id, "leaseToken": lease["leaseToken"]});
    assert_eq!(ask("jobs.heartbeat", lease.clone())["directive"], "ok");
    let claim = request(&url, &token, "jobs.claim", json!({"jobType": "t", "workerId": "w", "waitMs": 30_000}));
    let wait = request(&url, &token, "jobs.await", json!({"jobId": id}));
    let (claimed, awaited) = (later(move || answer(claim)), later(move || answer(wait)));
    let metrics = || super::client().get(format!("{url}/metrics")).send().unwrap().text().unwrap();
    eventually("both wait", || metrics().contains("errand_long_polls 2"));
    // The worker's connection is kept, so that there is somebody to be told.
    let kept = super::client();
    let beat = || {
        let body = json!({"command": "jobs.heartbeat", "args": lease}).to_string();
        let request = kept.post(format!("{url}/api/commands")).header("Content-Type", "application/json");
        answer(request.bearer_auth(&token).body(body)).1["data"]["directive"].clone()
    };
    assert_eq!(beat(), "ok");

    serving.terminate();
    let (status, body) = claimed.recv_timeout(PATIENCE).unwrap();
    assert_eq!((status, &body["data"]["job"]), (200, &Value::Null), "{body}");
    let (status, body) = awaited.recv_timeout(PATIENCE).unwrap();
    assert_eq!(
        (status, &body["data"]["terminal"], &body["data"]["job"]["status"]),
        (200, &json!(false), &json!("leased"))
    );
    assert_eq!(beat(), "drain");
    assert_eq!(serving.ask(&token, "jobs.claim", json!({"jobType": "t", "workerId": "w"})).0, 503);
    assert_eq!(serving.ask(&token, "jobs.create", json!({"jobType": "later"})).0, 200);
    serving.terminate();
    serving.ended();

    let again = Serving::start(&place, &["--listen", url.strip_prefix("http://").unwrap(), "--drain-time", "0s"]);
    let token = again.token.clone().unwrap();
    let (status, body) = again.ask(&token, "jobs.complete", lease.clone());
    assert_eq!((status, &body["data"]["job"]["status"]), (200, &json!("succeeded")), "{body}");
    assert_eq!(again.ask(&token, "jobs.stats", json!({})).1["data"]["total"], 2);
    again.terminate();
    again.ended();
}

#[test]
fn tokens_keys_and_payloads_are_in_no_log() {
    let place = Place::new();
    let made = place.ask(&["keys", "bootstrap", "--workspace", "w"]);
    let secret = made["key"]["secret"].as_str().unwrap().to_owned();
    place.refusal(5, &["keys", "bootstrap", "--workspace", "w"]);
    let serving = Serving::start(&place, &["--listen", "127.0.0.1:0", "--log-level", "debug", "--drain-time", "0s"]);
    assert_eq!(serving.token, None);
    let ask = |command: &str, args: Value| serving.ask(&secret, command, args);
    let (status, body) = ask("jobs.create", json!({"jobType": "t", "payload": "payload-is-private"}));
    assert_eq!((status, &body["workspaceId"]), (200, &json!("w")), "{body}");
    let claimed = ask("jobs.claim", json!({"jobType": "t", "workerId": "w"})).1["data"]["job"].clone();
    let lease_token = claimed["leaseToken"].as_str().unwrap().to_owned();
    ask(
        "jobs.complete",
        json!({"jobId": claimed["jobId"], "leaseToken": lease_token, "outputs": "payload-is-private"}),
    );
    ask("jobs.complete", json!({"jobId": claimed["jobId"], "leaseToken": "payload-is-private"}));
    ask("jobs.nothing", json!({"secret": "payload-is-private"}));
    serving.ask("erk_wrong-key-is-private", "jobs.list", json!({}));
    let odd = request(&serving.url, &secret, "jobs.list", json!({})).header("X-Request-Id", "payload-is-private {}");
    answer(odd.header("X-Breyta-Operation-Attempt", "payload-is-private"));
    super::client().get(format!("{}/api/x?token=payload-is-private", serving.url)).send().unwrap();
    serving.terminate();
    let log = serving.ended();
    assert!(log.contains("jobs.complete") && log.contains("\"status\":401"), "{log}");
    for private in ["payload-is-private", "wrong-key-is-private", &secret, &lease_token] {
        assert!(!log.contains(private), "{private} is in {log}");
    }
}

#[test]
fn keys_are_made_and_revoked_from_the_command_line() {
    let place = Place::new();
    let account =
        place.ask(&["keys", "accounts", "create", "--name", "a", "--scope", "jobs.read", "--scope", "jobs.submit"]);
    let id = account["serviceAccount"]["serviceAccountId"].as_str().unwrap();
    assert_eq!(account["serviceAccount"]["capabilities"], json!(["jobs.read", "jobs.submit"]));
    let limited = place.ask(&["keys", "accounts", "update", id, "--allowed-type", "x"]);
    assert_eq!(limited["serviceAccount"]["allowedJobTypes"], json!(["x"]));
    let key = place.ask(&["keys", "create", "--account", id, "--expires-at", "2100-01-01T00:00:00Z"]);
    let key_id = key["key"]["keyId"].as_str().unwrap();
    assert!(key["key"]["secret"].as_str().unwrap().starts_with("erk_"));
    assert_eq!(place.ask(&["keys", "revoke", key_id])["key"]["status"], "revoked");
    assert_eq!(place.ask(&["keys", "list", "--account", id])["items"][0]["status"], "revoked");
    assert_eq!(place.ask(&["keys", "accounts", "ls"])["items"][0]["serviceAccountId"], json!(id));
    assert_eq!(place.ask(&["keys", "accounts", "show", id])["serviceAccount"]["name"], "a");
    place.refusal(4, &["keys", "revoke", "none"]);
    let wide = place.ask(&["keys", "accounts", "update", id, "--allowed-type", ""]);
    assert_eq!(wide["serviceAccount"].get("allowedJobTypes"), None);
}

#[test]
fn what_cannot_be_served_is_an_error() {
    let place = Place::new();
    for args in [&["--listen", "nowhere"][..], &["--listen", "0.0.0.0:0"], &["--listen", "0.0.0.0:0", "--no-auth"]] {
        let error = place.refusal(2, &[&["serve"], args].concat());
        assert_eq!(error["code"], "invalid-argument", "{args:?}");
    }
    place.refusal(2, &["serve", "--api", "http://127.0.0.1:1"]);
    let taken = Serving::start(&place, &["--listen", "127.0.0.1:0", "--no-auth"]);
    let error = place.refusal(2, &["serve", "--listen", taken.url.strip_prefix("http://").unwrap()]);
    assert!(error["message"].as_str().unwrap().contains("cannot be listened on"), "{error}");
    taken.terminate();
    assert!(taken.ended().contains("WARNING: --no-auth"));
    succeeded(place.errand(&["serve", "--help"]));
}

impl Serving {
    fn metric(&self, name: &str) -> f64 {
        let text = super::client().get(format!("{}/metrics", self.url)).send().unwrap().text().unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        line.unwrap_or_else(|| panic!("no {name} in {text}"))
    }

    /// A number of the process's status, such as its resident memory in KiB.
    fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).expect("it is there");
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// The time that the process has used, in hundredths of a second.
    fn ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }
}

/// Claims that wait at once in the test below; `ERRAND_POLLS=10000` with `--release` is what is promised.
fn polls() -> usize {
    std::env::var("ERRAND_POLLS").ok().and_then(|polls| polls.parse().ok()).unwrap_or(500)
}

/// Lets this process have as many connections as it may.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
}

#[test]
fn of_many_that_wait_a_job_wakes_exactly_one() {
    raise_open_files();
    let (place, all) = (Place::new(), polls());
    let serving = Serving::start(&place, &["--listen", "127.0.0.1:0", "--no-auth", "--drain-time", "0s"]);
    let address = serving.url.strip_prefix("http://").unwrap();
    serving.ask("any", "jobs.list", json!({}));
    let before = serving.memory("VmRSS");
    let body =
        json!({"command": "jobs.claim", "args": {"jobType": "t", "workerId": "w", "waitMs": 30_000}}).to_string();
    let head = format!("POST /api/commands HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n");
    let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    let mut waiting: Vec<_> = (0..all)
        .map(|_| {
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            stream.set_nonblocking(true).unwrap();
            stream
        })
        .collect();
    eventually("all wait", || serving.metric("errand_long_polls") == all as f64);
    let each = (serving.memory("VmRSS") - before) as f64 / all as f64;
    println!("{all} claims wait: {each:.1} KiB of memory each");
    if all >= 10_000 {
        let ticks = serving.ticks();
        std::thread::park_timeout(std::time::Duration::from_secs(10));
        println!("in 10 s they took {} ms of the processor", 10 * (serving.ticks() - ticks));
    }
    for left in [all - 1, all - 2] {
        let begun = std::time::Instant::now();
        serving.ask("any", "jobs.create", json!({"jobType": "t"}));
        let answered = || waiting.iter().filter(|stream| matches!(stream.peek(&mut [0; 1]), Ok(1))).count();
        eventually("one is answered", || answered() >= all - left);
        println!("submitted and taken within {:?}", begun.elapsed());
        eventually("and no other", || serving.metric("errand_long_polls") == left as f64);
    }
    let mut buffer = [0; 8192];
    let answers = waiting.iter_mut().filter_map(|stream| stream.read(&mut buffer).ok().filter(|read| *read > 0));
    assert_eq!(answers.count(), 2);
}

/// So many bytes, each part of them another one.
struct Stream {
    left: u64,
    number: u64,
    block: Vec<u8>,
}

impl Stream {
    fn of(size: u64) -> Stream {
        Stream { left: size, number: 0, block: (0..1 << 16).map(|n: u32| (n * 7 % 251) as u8).collect() }
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        self.number += 1;
        self.block[..8].copy_from_slice(&self.number.to_le_bytes());
        let size = into.len().min(self.block.len()).min(self.left as usize);
        into[..size].copy_from_slice(&self.block[..size]);
        self.left -= size as u64;
        Ok(size)
    }
}

/// Hashes what goes through.
struct Hashed<R>(R, std::sync::Arc<std::sync::Mutex<sha2::Sha256>>);

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        use sha2::Digest;
        let read = self.0.read(into)?;
        self.1.lock().unwrap().update(&into[..read]);
        Ok(read)
    }
}

/// With `ERRAND_LARGE=1` and `--release`: 2 GiB up and down, and 4 GiB and a byte that are refused. Needs 7 GB of disk.
#[test]
fn a_large_file_goes_through_little_memory_and_one_that_is_too_large_is_cut_off() {
    use sha2::{Digest, Sha256};
    let (size, too_large) = match std::env::var_os("ERRAND_LARGE") {
        Some(_) => (2 << 30, Some((4u64 << 30) + 1)),
        None => (8 << 20, None),
    };
    let place = Place::new();
    let serving = Serving::start(&place, &["--listen", "127.0.0.1:0", "--no-auth", "--drain-time", "0s"]);
    let client = reqwest::blocking::Client::builder().timeout(None).build().unwrap();
    let init = || {
        let request = client.post(format!("{}/api/files/uploads/init", serving.url)).body(r#"{"filename": "a"}"#);
        answer(request.header("Content-Type", "application/json")).1
    };
    let hash = std::sync::Arc::<std::sync::Mutex<Sha256>>::default();
    let sent = || hash.lock().unwrap().clone().finalize();
    let (begun, at) = (init(), std::time::Instant::now());
    let body = reqwest::blocking::Body::new(Hashed(Stream::of(size), hash.clone()));
    let (status, put) = answer(client.put(begun["upload-url"].as_str().unwrap()).body(body));
    assert_eq!((status, &put["size-bytes"]), (200, &json!(size)), "{put}");
    let (up, at) = (at.elapsed(), std::time::Instant::now());
    let link = format!("{}/api/resources/url?uri={}", serving.url, begun["uri"].as_str().unwrap());
    let link = answer(client.get(link)).1["url"].as_str().unwrap().to_owned();
    let got = std::sync::Arc::default();
    let read =
        std::io::copy(&mut Hashed(client.get(link).send().unwrap(), std::sync::Arc::clone(&got)), &mut std::io::sink());
    assert_eq!((read.unwrap(), got.lock().unwrap().clone().finalize()), (size, sent()), "it reads back as it was");
    let peak = serving.memory("VmHWM");
    println!("{size} bytes: up in {up:?}, down in {:?}, at most {peak} KiB of memory", at.elapsed());
    assert!(peak < 150 << 10, "{peak} KiB");
    let Some(too_large) = too_large else { return };
    let begun = init();
    let refused = client.put(begun["upload-url"].as_str().unwrap());
    match refused.body(reqwest::blocking::Body::new(Stream::of(too_large))).send() {
        Ok(response) => assert_eq!(response.status(), 413),
        // It was told while it still sent, and then cut off.
        Err(error) => println!("cut off: {error:?}"),
    }
    let tmp = place.path("jobs.db-files/tmp");
    eventually("nothing of it is left", || std::fs::read_dir(&tmp).unwrap().count() == 0);
    let show = format!("{}/api/resources/by-uri?uri={}", serving.url, begun["uri"].as_str().unwrap());
    assert_eq!(answer(client.get(show)).0, 404);
    println!("after {too_large} bytes: at most {} KiB of memory", serving.memory("VmHWM"));
}
