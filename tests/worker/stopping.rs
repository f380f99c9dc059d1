//! Cancels and drains: how a running handler is stopped.

use crate::program::{Place, Worker, eventually, runs};
use serde_json::json;

/// A job whose handler runs, with the handler's process id. Leases are short so that a cancel is heard soon.
fn running(place: &Place, script: &str, more: &[&str]) -> (String, String, Worker) {
    let id = place.create(&[]);
    let ready = place.pipe("ready");
    let handler = place.script("h.sh", script);
    let worker = place.worker(&handler, &[&["--lease-duration", "3s"], more].concat());
    let pid = ready.hear();
    (id, pid, worker)
}

#[test]
fn a_cancel_reaches_the_handler_and_stops_it() {
    let place = Place::new();
    let (id, pid, worker) = running(&place, "echo $$ > ready; exec sleep 1000", &[]);
    place.ask(&["jobs", "cancel", &id, "--reason", "no longer needed"]);
    let job = place.ended(&id);
    assert_eq!(job["status"], "cancelled", "{job}");
    assert!(!runs(&pid));
    assert_eq!(worker.drained()["handledCount"], 1);
}

#[test]
fn a_handler_that_ignores_sigterm_is_killed_with_its_children() {
    let place = Place::new();
    let script = "trap '' TERM; sleep 1000 & echo $! > child.txt; echo $$ > ready; while :; do wait; done";
    let (id, pid, worker) = running(&place, script, &["--grace", "200ms"]);
    place.ask(&["jobs", "cancel", &id]);
    assert_eq!(place.ended(&id)["status"], "cancelled");
    let child = std::fs::read_to_string(place.path("child.txt")).unwrap();
    eventually("the handler and its child have ended", || !runs(&pid) && !runs(child.trim()));
    worker.drained();
}

#[test]
fn a_result_that_comes_within_the_grace_of_a_cancel_counts() {
    let place = Place::new();
    let script =
        "trap 'errand jobs worker finish --summary late; exit 0' TERM; echo $$ > ready; while :; do sleep 0.1; done";
    let (id, _, worker) = running(&place, script, &[]);
    place.ask(&["jobs", "cancel", &id]);
    let job = place.ended(&id);
    assert_eq!((&job["status"], &job["result"]["summary"]), (&json!("succeeded"), &json!("late")), "{job}");
    worker.drained();
}

#[test]
fn a_drain_releases_what_is_unfinished_after_the_grace() {
    let place = Place::new();
    let (id, pid, worker) = running(&place, "echo $$ > ready; exec sleep 1000", &["--grace", "100ms"]);
    let summary = worker.drained();
    assert_eq!((&summary["handledCount"], &summary["failedCount"]), (&json!(0), &json!(0)), "{summary}");
    assert!(!runs(&pid));
    let job = place.job(&id);
    assert_eq!((&job["status"], &job["attempt"]), (&json!("queued"), &json!(1)), "{job}");
}

#[test]
fn a_drain_lets_a_handler_finish_within_the_grace_and_claims_nothing_more() {
    let place = Place::new();
    let go = place.pipe("go");
    let (id, _, worker) = running(&place, "echo $$ > ready; read x < go; exit 0", &[]);
    let waiting = place.create(&[]);
    worker.signal(rustix::process::Signal::INT);
    go.tell();
    let summary = worker.ended();
    assert_eq!(summary["handledCount"], 1, "{summary}");
    assert_eq!(place.job(&id)["status"], "succeeded");
    assert_eq!(place.job(&waiting)["status"], "queued");
}

#[test]
fn a_second_and_a_third_signal_end_a_long_grace() {
    let place = Place::new();
    let script = "trap 'echo > asked' TERM; echo $$ > ready; while :; do sleep 0.1; done";
    let asked = place.pipe("asked");
    let (id, pid, worker) = running(&place, script, &["--grace", "1h"]);
    worker.signal(rustix::process::Signal::TERM);
    // Two signals of one kind that arrive together count as one.
    worker.signal(rustix::process::Signal::INT);
    asked.hear();
    worker.signal(rustix::process::Signal::TERM);
    worker.ended();
    assert!(!runs(&pid));
    assert_eq!(place.job(&id)["status"], "queued");
}

#[test]
fn an_idle_worker_ends_at_once_when_it_is_told() {
    let place = Place::new();
    let worker = place.worker(&place.script("h.sh", "exit 0"), &["--poll-interval", "1h"]);
    let id = place.create(&[]);
    assert_eq!(place.ended(&id)["status"], "succeeded");
    assert_eq!(worker.drained()["handledCount"], 1);
    let late = place.create(&[]);
    assert_eq!(place.job(&late)["status"], "queued");
}
