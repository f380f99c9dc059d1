//! A worker and a server whose standard error nobody reads.

use crate::program::{Place, Worker, eventually, json as parse, within};
use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Write};
use std::process::Stdio;

/// A pipe into which no byte goes any more.
fn full() -> (PipeReader, PipeWriter) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let wait = |wait: bool| {
        let flags = if wait { OFlags::empty() } else { OFlags::NONBLOCK };
        rustix::fs::fcntl_setfl(&writer, flags).expect("a pipe can be told to");
    };
    wait(false);
    while (&writer).write(b"\n").is_ok() {}
    wait(true);
    (reader, writer)
}

#[test]
fn a_worker_whose_log_nobody_reads_keeps_its_lease_and_goes_on() {
    let place = Place::new();
    let (reader, writer) = full();
    let go = place.pipe("go");
    let handler = place.script("handler.sh", "read -r x <go; exit 0");
    let id = place.create(&[]);
    let args = ["jobs", "worker", "run", "--type", "t", "--lease-duration", "1s", "--handler", &handler];
    let mut command = place.errand(&args);
    let worker = Worker::of(command.stdout(Stdio::piped()).stderr(writer).spawn().expect("it starts"));
    drop(command);
    let lease = || place.job(&id)["leaseExpiresAt"].as_str().unwrap_or_default().to_owned();
    for _ in 0..5 {
        let before = lease();
        eventually("the lease is renewed", || lease() > before);
    }
    go.tell();
    let job = place.ended(&id);
    assert_eq!((&job["status"], &job["attempt"]), (&"succeeded".into(), &1.into()), "{job}");
    worker.drained();
    drop(reader);
}

#[test]
fn a_server_whose_log_nobody_reads_answers_and_ends() {
    let place = Place::new();
    place.create(&[]);
    let (reader, writer) = full();
    let mut command = place.errand(&["serve", "--listen", "127.0.0.1:0", "--drain-time", "0s", "--log-level", "debug"]);
    let mut server = command.stdout(Stdio::piped()).stderr(writer).spawn().expect("it starts");
    drop(command);
    let mut said = BufReader::new(server.stdout.take().expect("a pipe"));
    let pid = Pid::from_child(&server);
    let said = within(move || {
        let mut line = String::new();
        said.read_line(&mut line).expect("it says where it is");
        parse(line.as_bytes())
    });
    let (url, token) = (said["url"].as_str().expect("an address"), said["token"].as_str().expect("a token"));
    for _ in 0..3 {
        let shown = place.bare().args(["jobs", "stats", "--api", url, "--api-key", token, "--format", "json"]).output();
        let shown = parse(&shown.expect("it runs").stdout);
        assert_eq!(shown["data"]["total"], 1, "{shown}");
    }
    kill_process(pid, Signal::TERM).expect("it runs");
    assert!(within(move || server.wait().expect("it is a child")).success());
    drop(reader);
}
