//! Waits over HTTP: woken by what they wait for, however many and however often the control plane goes away.

use super::plane::Plane;
use crate::support::{ask, at, get, text};
use errand::api::{Client, Code, RemoteOptions};
use errand::http;
use errand::value::Value;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

fn awaiting(client: &Arc<dyn Client>, args: String) -> JoinHandle<Value> {
    let client = Arc::clone(client);
    thread::spawn(move || get(&*client, "jobs.await", &args))
}

fn created(client: &dyn Client) -> String {
    text(&get(client, "jobs.create", "{:job-type \"t\"}"), &["job", "job-id"]).to_owned()
}

fn complete_one(client: &dyn Client) {
    let claimed = get(client, "jobs.claim", "{:job-type \"t\" :worker-id \"w\" :wait-ms 20000}");
    let (id, token) = (text(&claimed, &["job", "job-id"]), text(&claimed, &["job", "lease-token"]));
    get(client, "jobs.complete", &format!("{{:job-id \"{id}\" :lease-token \"{token}\"}}"));
}

#[test]
fn an_await_is_woken_at_once_and_not_by_its_next_check() {
    let plane = Plane::open();
    let client = plane.client();
    let id = created(&*client);
    let waiting = awaiting(&client, format!("{{:job-id \"{id}\" :interval \"1h\" :timeout-ms 60000}}"));
    complete_one(&*plane.client());
    let completed = Instant::now();
    assert_eq!(text(&waiting.join().unwrap(), &["job", "status"]), "succeeded");
    assert!(completed.elapsed() < Duration::from_secs(2), "{:?}", completed.elapsed());
}

#[test]
fn an_await_outlives_the_control_plane_that_it_began_with() {
    let mut plane = Plane::open();
    let client = plane.client();
    let id = created(&*client);
    let waiting = awaiting(&client, format!("{{:job-id \"{id}\" :timeout-ms 60000}}"));
    plane.end();
    complete_one(&*plane.direct());
    plane.again();
    assert_eq!(text(&waiting.join().unwrap(), &["job", "status"]), "succeeded");
    let id = created(&*client);
    let waiting = awaiting(&client, format!("{{:job-id \"{id}\" :timeout-ms 60000}}"));
    plane.kill();
    plane.again();
    complete_one(&*client);
    assert_eq!(text(&waiting.join().unwrap(), &["job", "status"]), "succeeded");
}

#[test]
fn a_submission_is_made_once_whenever_the_control_plane_went_away() {
    let mut plane = Plane::open();
    let client = plane.client();
    created(&*client);
    plane.kill();
    let submitting = {
        let client = Arc::clone(&client);
        thread::spawn(move || created(&*client))
    };
    plane.again();
    let id = submitting.join().unwrap();
    let listed = get(&*client, "jobs.list", "{}");
    let Value::Vector(items) = at(&listed, &["items"]) else { panic!("items are a vector") };
    assert_eq!(items.len(), 2);
    assert_eq!(text(&items[0], &["job-id"]), id);
}

#[test]
fn a_bound_is_kept_where_the_control_plane_does_not_come_back() {
    let mut plane = Plane::open();
    let client = plane.client();
    let id = created(&*client);
    plane.end();
    let begun = Instant::now();
    let error = ask(&*client, "jobs.await", &format!("{{:job-id \"{id}\" :timeout-ms 300}}")).unwrap_err();
    assert_eq!(error.code, Code::Unavailable);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn more_awaits_than_connections_all_end() {
    let plane = Plane::open();
    let client = plane.client();
    let jobs = vec!["{}"; 600].join(" ");
    let batch = get(&*client, "jobs.batches.create", &format!("{{:job-type \"t\" :jobs [{jobs}]}}"));
    let Value::Vector(jobs) = at(&batch, &["jobs"]) else { panic!("jobs are a vector") };
    let (tell, told) = std::sync::mpsc::channel();
    for job in jobs {
        let tell = tell.clone();
        let args = errand::value::MapBuilder::new().put("job-id", at(job, &["job-id"]).clone()).build();
        let command = errand::api::command("jobs.await").unwrap();
        let call = errand::api::Call { command, args, names: errand::api::Names::Clojure };
        client.call(call, Box::new(move |reply| drop(tell.send(reply))));
    }
    let id = text(&batch, &["batch", "batch-id"]);
    get(&*client, "jobs.batches.cancel", &format!("{{:batch-id \"{id}\"}}"));
    for _ in jobs {
        let reply = told.recv_timeout(Duration::from_secs(60)).expect("every await ends").unwrap();
        assert_eq!(text(&reply, &["job", "status"]), "cancelled");
    }
}

#[test]
fn a_key_that_is_not_valid_is_refused_at_once_and_never_shown() {
    let plane = Plane::with(crate::program::Place::new(), &[]);
    let with = |key: &str| {
        let options = RemoteOptions { api_key: Some(key.into()), ..RemoteOptions::default() };
        http::connect(&plane.url(), options).unwrap()
    };
    get(&*with(plane.said["token"].as_str().unwrap()), "jobs.list", "{}");
    let error = ask(&*with("not-the-key"), "jobs.list", "{}").unwrap_err();
    assert_eq!(error.code, Code::Unauthenticated);
    assert!(!format!("{error:?}").contains("not-the-key"));
}
