//! Long polls: they wake in time, cost little, and end with their client.

use super::{PATIENCE, Site, answer, later};
use crate::program::eventually;
use errand::api::{self, Answer, Call, Caller, Names, OpenOptions};
use errand::value::json;
use serde_json::{Value, json};
use std::io::Write;
use std::time::{Duration, Instant};

fn polls(site: &Site) -> f64 {
    site.metric("errand_long_polls")
}

#[test]
fn a_waiting_claim_and_a_waiting_await_are_woken_by_what_they_wait_for() {
    let site = Site::new();
    let claim = site.request("jobs.claim", json!({"jobType": "t", "workerId": "w", "waitMs": 30_000}));
    let claim = claim.bearer_auth(site.token());
    let claimed = later(move || answer(claim));
    eventually("the claim waits", || polls(&site) == 1.0);
    let started = Instant::now();
    let id = site.create();
    let job = claimed.recv_timeout(PATIENCE).unwrap().1["data"]["job"].clone();
    assert_eq!(job["jobId"], json!(id));
    assert!(started.elapsed() < Duration::from_secs(5));

    let wait = site.request("jobs.await", json!({"jobId": id, "interval": "1h"})).bearer_auth(site.token());
    let awaited = later(move || answer(wait));
    eventually("the await waits", || polls(&site) == 1.0);
    site.get("jobs.complete", json!({"jobId": id, "leaseToken": job["leaseToken"], "summary": "done"}));
    let data = awaited.recv_timeout(PATIENCE).unwrap().1["data"].clone();
    assert_eq!((&data["terminal"], &data["job"]["result"]["summary"]), (&json!(true), &json!("done")));
}

#[test]
fn a_poll_has_a_bound() {
    let site = Site::new();
    let id = site.create();
    for (command, args) in [
        ("jobs.claim", json!({"jobType": "none", "workerId": "w", "waitMs": 30_001})),
        ("jobs.await", json!({"jobId": id, "timeoutMs": 30_001})),
    ] {
        let (status, body) = site.ask_as(site.token(), command, args);
        let message = body["error"]["message"].as_str().unwrap();
        assert!(status == 400 && message.contains("at most 30000"), "{body}");
    }
    let (status, body) =
        site.ask_as(site.token(), "jobs.claim", json!({"jobType": "n", "workerId": "w", "waitMs": 20}));
    assert_eq!((status, &body["data"]["job"]), (200, &Value::Null));
}

#[test]
fn a_client_that_goes_away_gives_its_wait_up_and_gets_no_job() {
    let site = Site::new();
    let body =
        json!({"command": "jobs.claim", "args": {"jobType": "t", "workerId": "gone", "waitMs": 30_000}}).to_string();
    let mut gone = site.connect();
    write!(gone, "{}{body}", site.head(body.len())).unwrap();
    eventually("it waits", || polls(&site) == 1.0);
    drop(gone);
    eventually("it is given up", || polls(&site) == 0.0);
    let id = site.create();
    assert_eq!(site.get("jobs.get", json!({"jobId": id}))["job"]["status"], "queued");
}

#[test]
fn a_claim_whose_answer_reaches_nobody_is_given_back_and_its_operation_is_forgotten() {
    let site = Site::new();
    let id = site.create();
    let host = api::open_host(&site.store.path(), &OpenOptions::default()).unwrap();
    let args = json::read(br#"{"jobType": "t", "workerId": "w", "leaseDuration": "24h"}"#, &[]).unwrap();
    let call = Call { command: api::command("jobs.claim").unwrap(), args, names: Names::Json };
    let caller = Caller { operation: Some("1".into()), ..Caller::local("default") };
    let claim = || {
        let (tell, told) = std::sync::mpsc::channel();
        let done = Box::new(move |reply| tell.send(reply).unwrap());
        match host.call_as(&caller, call.clone(), done) {
            Answer::Now(reply) => reply,
            Answer::Later(_) => told.recv_timeout(PATIENCE).unwrap(),
        }
    };
    let first = claim();
    assert_eq!(claim(), first);
    host.undelivered(&caller, &call, &first);
    eventually("it is queued again", || site.get("jobs.get", json!({"jobId": id}))["job"]["status"] == "queued");
    assert_ne!(claim(), first);
}
