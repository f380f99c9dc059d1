//! Workers that are lost, and workers that come back too late.

use crate::program::{Place, Worker, eventually, runs};
use rustix::process::Signal;
use serde_json::json;
use std::time::{Duration, Instant};

#[test]
fn a_job_of_a_killed_worker_is_claimed_again_after_its_lease() {
    let place = Place::new();
    let id = place.create(&[]);
    let ready = place.pipe("ready");
    let doomed = place.worker(
        &place.script("first.sh", "echo $$ > ready; exec sleep 1000"),
        &["--lease-duration", "1s", "--worker-id", "doomed"],
    );
    let orphan = ready.hear();
    doomed.signal(Signal::KILL);
    let heir = place.worker(&place.script("second.sh", "exit 0"), &["--worker-id", "heir"]);
    let job = place.ended(&id);
    assert_eq!((&job["status"], &job["attempt"]), (&json!("succeeded"), &json!(2)), "{job}");
    assert_eq!((&job["attempts"][0]["workerId"], &job["attempts"][1]["workerId"]), (&json!("doomed"), &json!("heir")));
    heir.drained();
    let folders = || std::fs::read_dir(place.path("tmp")).unwrap().count();
    assert_eq!(folders(), 1, "the files of a handler that outlives its worker stay");
    std::process::Command::new("kill").args(["-9", &orphan]).status().unwrap();
    eventually("the orphan is gone", || !runs(&orphan));
    place.work_once("./second.sh", &[]);
    assert_eq!(folders(), 0, "what a killed worker left is removed by the next one");
}

#[test]
fn attempts_used_up_by_lost_workers_end_in_timed_out() {
    let place = Place::new();
    let id = place.create(&["--max-attempts", "1"]);
    let ready = place.pipe("ready");
    let doomed =
        place.worker(&place.script("first.sh", "echo $$ > ready; exec sleep 1000"), &["--lease-duration", "1s"]);
    let orphan = ready.hear();
    doomed.signal(Signal::KILL);
    assert_eq!(place.ended(&id)["status"], "timed_out");
    std::process::Command::new("kill").args(["-9", &orphan]).status().unwrap();
}

#[test]
fn a_lease_is_kept_by_heartbeats_for_as_long_as_the_handler_runs() {
    let place = Place::new();
    let id = place.create(&["--max-attempts", "1"]);
    let worker = place.worker(&place.script("h.sh", "exec sleep 3"), &["--lease-duration", "1s"]);
    let job = place.ended(&id);
    assert_eq!((&job["status"], &job["attempt"]), (&json!("succeeded"), &json!(1)), "{job}");
    worker.drained();
}

/// Stops a worker at a moment at which it holds no lock of the store, or nobody could go on.
fn freeze(place: &Place, worker: &Worker) {
    let store = rusqlite::Connection::open(place.store()).unwrap();
    store.busy_timeout(Duration::from_millis(50)).unwrap();
    eventually("the worker is stopped outside of a transaction", || {
        worker.signal(Signal::STOP);
        let is_free = store.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok();
        if !is_free {
            worker.signal(Signal::CONT);
        }
        is_free
    });
}

#[test]
fn a_worker_that_slept_through_its_lease_stops_its_handler_and_reports_nothing() {
    let place = Place::new();
    let id = place.create(&[]);
    let (ready, again, go) = (place.pipe("ready"), place.pipe("again"), place.pipe("go"));
    let stale = place.worker(
        &place.script("first.sh", "errand jobs worker finish --summary stale >&2; echo $$ > ready; exec sleep 1000"),
        &["--lease-duration", "1s", "--worker-id", "stale"],
    );
    let handler = ready.hear();
    freeze(&place, &stale);
    let fresh = place.worker(
        &place.script("second.sh", "echo > again; read x < go; errand jobs worker finish --summary fresh"),
        &["--worker-id", "fresh"],
    );
    again.hear();
    stale.signal(Signal::CONT);
    eventually("the stale handler has ended", || !runs(&handler));
    let summary = stale.drained();
    assert_eq!(summary["failedCount"], 1, "{summary}");
    assert_eq!(place.job(&id)["workerId"], "fresh");
    go.tell();
    let job = place.ended(&id);
    assert_eq!((&job["result"]["summary"], &job["attempt"]), (&json!("fresh"), &json!(2)), "{job}");
    fresh.drained();
}

#[test]
fn a_handler_is_gone_before_a_lease_that_cannot_be_renewed_is_over() {
    const LEASE: Duration = Duration::from_secs(3);
    let place = Place::new();
    let id = place.create(&[]);
    let ready = place.pipe("ready");
    let worker = place.worker(
        &place.script(
            "h.sh",
            "[ $ERRAND_JOB_ATTEMPT = 1 ] || exit 0; trap '' TERM; echo $$ > ready; while :; do sleep 1000; done",
        ),
        &["--lease-duration", "3s", "--grace", "1h"],
    );
    let handler = ready.hear();
    let store = rusqlite::Connection::open(place.store()).unwrap();
    store.busy_timeout(LEASE).unwrap();
    store.execute_batch("BEGIN IMMEDIATE").unwrap();
    let locked = Instant::now();
    eventually("the handler was killed", || !runs(&handler));
    assert!(locked.elapsed() < LEASE, "{:?}", locked.elapsed());
    store.execute_batch("ROLLBACK").unwrap();
    let job = place.ended(&id);
    assert_eq!((&job["status"], &job["attempt"]), (&json!("succeeded"), &json!(2)), "{job}");
    worker.drained();
}

#[test]
fn a_stale_token_changes_nothing() {
    let place = Place::new();
    let id = place.create(&[]);
    let claim = |worker: &str| {
        let args = ["jobs", "claim", "--type", "t", "--worker-id", worker, "--lease-duration", "1s", "--wait", "30s"];
        place.ask(&args)["job"]["leaseToken"].as_str().unwrap().to_owned()
    };
    let stale = claim("one");
    claim("two");
    for verb in ["heartbeat", "progress", "complete", "fail", "release"] {
        let refusal = place.refusal(5, &["jobs", verb, &id, "--lease-token", &stale]);
        assert_eq!(refusal["code"], "lease-lost", "{verb}");
    }
}
