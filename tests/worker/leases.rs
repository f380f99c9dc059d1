//! Workers that are lost, and workers that come back too late.

use crate::program::{Place, eventually, runs};
use rustix::process::Signal;
use serde_json::json;

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
    std::process::Command::new("kill").args(["-9", &orphan]).status().unwrap();
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
    stale.signal(Signal::STOP);
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
