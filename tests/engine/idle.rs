//! An engine that only waits costs nothing.

use crate::program::Place;
use std::process::Stdio;

/// Processor time of a running process, in ticks of 10 ms.
fn ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
}

#[test]
#[cfg(target_os = "linux")]
fn a_wait_for_a_job_uses_no_processor() {
    let place = Place::new();
    let id = place.create(&[]);
    let mut waiting = place
        .errand(&["jobs", "await", &id, "--timeout", "2s"])
        .stdout(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut spent = 0;
    while waiting.try_wait().expect("a child").is_none() {
        spent = ticks(waiting.id()).unwrap_or(spent);
        std::thread::yield_now();
    }
    assert!(spent <= 20, "{} ms of processor time in 2 s of waiting", spent * 10);
}
