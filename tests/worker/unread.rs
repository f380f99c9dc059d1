//! A worker whose standard error nobody reads.

use crate::program::{Place, Worker, eventually};
use rustix::fs::OFlags;
use std::io::Write;
use std::process::Stdio;

#[test]
fn a_worker_whose_log_nobody_reads_keeps_its_lease_and_goes_on() {
    let place = Place::new();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let wait = |wait: bool| {
        let flags = if wait { OFlags::empty() } else { OFlags::NONBLOCK };
        rustix::fs::fcntl_setfl(&writer, flags).expect("a pipe can be told to");
    };
    wait(false);
    while (&writer).write(b"\n").is_ok() {}
    wait(true);
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
