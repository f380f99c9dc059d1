//! Running out of file descriptors: told at the start, survived in the middle.

use crate::program::{Place, Worker, eventually, json, text, within};
use rustix::process::{Resource, Rlimit, setrlimit};
use serde_json::{Value, json as object};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The command, in a process that may have so many files open and cannot raise that.
fn limited(mut command: Command, files: u64) -> Command {
    let limit = move || {
        let limit = Rlimit { current: Some(files), maximum: Some(files) };
        setrlimit(Resource::Nofile, limit).map_err(std::io::Error::from)
    };
    // SAFETY: it makes one system call and touches no memory of ours.
    unsafe { command.pre_exec(limit) };
    command
}

#[test]
fn with_too_few_descriptors_every_command_works_or_says_so() {
    let place = Place::new();
    let id = place.create(&[]);
    let commands: [&[&str]; 6] = [
        &["jobs", "create", "--type", "other"],
        &["jobs", "show", &id],
        &["jobs", "worker", "run", "--type", "t", "--once", "--handler", "true"],
        &["check"],
        &["backup", "--to", "copy.db", "--force"],
        // Where it can start it waits for nobody.
        &["serve", "--listen", "256.0.0.1:0"],
    ];
    let mut told = 0;
    for files in [4, 5, 7, 8, 9, 10, 11, 12, 14, 17, 20] {
        for args in commands {
            let mut command = limited(place.errand(args), files);
            let output = within(move || command.output().expect("it starts"));
            let said = format!("{files} {args:?}: {} {}", text(&output.stdout), text(&output.stderr));
            assert!(matches!(output.status.code(), Some(0 | 2 | 70 | 75)), "{:?} {said}", output.status);
            assert!(!said.contains("panicked"), "{said}");
            told += usize::from(said.contains("descriptor"));
            if output.status.code() != Some(0) {
                assert_eq!(json(&output.stdout)["ok"], false, "{said}");
            }
        }
    }
    assert!(told >= 11, "{told} of them name the cause");
    assert_ne!(place.job(&id)["status"], "failed");
}

/// Lets a process that runs have so many files open from now on.
#[cfg(target_os = "linux")]
fn limit(worker: &Worker, files: u64) {
    let pid = rustix::process::Pid::from_raw(worker.pid() as i32);
    let before = rustix::process::getrlimit(Resource::Nofile);
    let limit = Rlimit { current: Some(files), ..before };
    rustix::process::prlimit(pid, Resource::Nofile, limit).expect("the limit can be set");
}

#[cfg(target_os = "linux")]
#[test]
fn a_worker_that_runs_out_of_descriptors_gives_its_jobs_back_and_goes_on_when_it_has_some_again() {
    let place = Place::new();
    let handler = place.script("handler.sh", "exit 0");
    let first = place.create(&[]);
    let worker = place.worker(&handler, &[]);
    place.ended(&first);
    limit(&worker, 3);
    let id = place.create(&[]);
    let released =
        || place.job(&id)["attempts"].as_array().is_some_and(|all| all.iter().any(|a| a["outcome"] == "released"));
    eventually("the job was given back", released);
    assert_ne!(place.job(&id)["status"], "failed", "{}", place.job(&id));
    limit(&worker, 256);
    assert_eq!(place.ended(&id)["status"], "succeeded", "{}", place.job(&id));
    assert_eq!(worker.drained()["failedCount"], 0);
}

/// One request on an open connection; nothing where the server does not answer on it.
fn asked(stream: &mut TcpStream, host: &str, token: &str, command: &str, args: Value) -> Option<(u16, Value)> {
    let body = object!({"command": command, "args": args}).to_string();
    let head = format!(
        "POST /api/commands HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let status = line.split(' ').nth(1)?.parse().ok()?;
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        match line.trim().to_ascii_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().ok()?,
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((status, json(&body)))
}

#[test]
fn a_server_with_32_descriptors_serves_under_100_connections_and_recovers_and_loses_nothing() {
    let place = Place::new();
    let mut command = limited(place.errand(&["serve", "--listen", "127.0.0.1:0", "--drain-time", "1ms"]), 32);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("it says where it is");
    let _serving = Worker::of(child);
    let told = json(line.as_bytes());
    let (host, token) = (told["address"].as_str().expect("an address"), told["token"].as_str().expect("a token"));
    let connect = || {
        let stream = TcpStream::connect(host).expect("the backlog takes it");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        stream
    };
    let create = object!({"jobType": "t"});
    let mut early = connect();
    let mut acknowledged = Vec::new();
    let mut note = |answer: Option<(u16, Value)>| match answer {
        Some((200, body)) => acknowledged.push(body["data"]["job"]["jobId"].as_str().expect("an id").to_owned()),
        Some((status, body)) => assert_eq!((status, &body["error"]["code"]), (503, &"unavailable".into()), "{body}"),
        None => {}
    };
    note(asked(&mut early, host, token, "jobs.create", create.clone()));
    let many: Vec<TcpStream> = (0..100).map(|_| connect()).collect();
    for _ in 0..20 {
        let answer = asked(&mut early, host, token, "jobs.create", create.clone());
        assert!(answer.is_some(), "who is connected is answered");
        note(answer);
    }
    drop(many);
    let mut late = connect();
    let answer = asked(&mut late, host, token, "jobs.create", create);
    assert_eq!(answer.as_ref().map(|(status, _)| *status), Some(200), "{answer:?}");
    note(answer);
    eventually("what was acknowledged is there", || acknowledged.iter().all(|id| place.job(id)["status"] == "queued"));
    assert!(acknowledged.len() >= 2);
    assert_eq!(place.ask(&["check"])["jobs"], acknowledged.len());
}
