//! A store that other programs hold up, and what other processes do meanwhile.

use crate::program::Place;
use crate::support::{Store, ask, get, text};
use errand::api::{self, Answer, Call, Client, Code, Names, OpenOptions, Reply};
use errand::value::{Value, edn};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks without waiting: an answer that never comes fails the test instead of stopping it.
fn asked(client: &Arc<dyn Client>, command: &str, args: &str) -> mpsc::Receiver<Result<String, Code>> {
    let (tell, told) = mpsc::channel();
    let again = tell.clone();
    let args = edn::read_open(args, api::open_fields()).expect("the test's own EDN");
    let command = api::command(command).expect("it is in the table");
    let call = Call { command, args, names: Names::Clojure };
    let status = |reply: Reply| {
        let status = |reply: &Value| text(reply, &["job", "status"]).to_string();
        reply.as_ref().map(status).map_err(|error| error.code)
    };
    // In both cases the test may have given up.
    match client.call(call, Box::new(move |reply| drop(tell.send(status(reply))))) {
        Answer::Now(reply) => drop(again.send(status(reply))),
        Answer::Later(_) => {}
    }
    told
}

#[test]
fn a_writer_that_another_program_keeps_out_is_told_so_in_time() {
    let store = Store::new();
    let client = store.open_with(OpenOptions { busy_timeout_ms: 100, ..OpenOptions::default() });
    get(&*client, "jobs.create", r#"{:job-type "t"}"#);
    let other = rusqlite::Connection::open(store.path()).expect("the store opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("nobody else writes");
    let told = asked(&client, "jobs.create", r#"{:job-type "t"}"#);
    assert_eq!(told.recv_timeout(PATIENCE), Ok(Err(Code::Unavailable)));
    other.execute_batch("ROLLBACK").expect("it was begun");
    let told = asked(&client, "jobs.create", r#"{:job-type "t"}"#);
    assert_eq!(told.recv_timeout(PATIENCE), Ok(Ok("queued".into())));
}

#[test]
fn an_end_after_another_jobs_retry_wakes_who_waits_in_another_process() {
    let place = Place::new();
    let (again, other) = (place.create(&[]), place.create(&[]));
    let options = OpenOptions { fallback_poll_ms: None, ..OpenOptions::default() };
    let client = api::open(&place.store(), options).expect("the store opens");
    let wait =
        |id: &str| asked(&client, "jobs.await", &format!(r#"{{:job-id "{id}" :interval "1h" :timeout-ms 300000}}"#));
    let (first, second) = (wait(&again), wait(&other));
    let claim = || {
        let data = place.ask(&["jobs", "claim", "--type", "t", "--worker-id", "w"]);
        data["job"]["leaseToken"].as_str().expect("a job was due").to_string()
    };
    let token = claim();
    place.ask(&["jobs", "fail", &again, "--lease-token", &token]);
    assert_eq!(first.recv_timeout(PATIENCE), Ok(Ok("failed".into())));
    place.ask(&["jobs", "retry", &again]);
    let token = claim();
    place.ask(&["jobs", "complete", &other, "--lease-token", &token]);
    assert_eq!(second.recv_timeout(PATIENCE / 4), Ok(Ok("succeeded".into())));
}

#[test]
fn trouble_that_stays_is_told_now_and_then_and_what_waited_goes_on_after_it() {
    let store = Store::new();
    let notices = Arc::new(AtomicUsize::new(0));
    let counted = notices.clone();
    let sink: api::EventSink = Arc::new(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let options = OpenOptions { on_event: Some(sink), fallback_poll_ms: None, ..OpenOptions::default() };
    let client = store.open_with(options);
    let queued = get(&*client, "jobs.create", r#"{:job-type "t"}"#);
    let id = text(&queued, &["job", "job-id"]);
    let told = asked(&client, "jobs.await", &format!(r#"{{:job-id "{id}" :interval "1h" :timeout-ms 300000}}"#));
    // The engine's own thread looks once at what is awaited: it has done so when it tells the second of these.
    for _ in 0..2 {
        get(&*client, "jobs.claim", r#"{:job-type "none" :worker-id "w" :wait-ms 1}"#);
    }
    let other = rusqlite::Connection::open(store.path()).expect("the store opens");
    other.execute_batch("ALTER TABLE job RENAME TO away").expect("nobody else writes");
    let since = Instant::now();
    while notices.load(Ordering::Relaxed) < 4 {
        assert!(since.elapsed() < PATIENCE, "nobody was told of the trouble");
        thread::yield_now();
    }
    assert!(since.elapsed() > Duration::from_secs(2), "told four times in {:?}", since.elapsed());
    other.execute_batch("ALTER TABLE away RENAME TO job").expect("nobody else writes");
    get(&*client, "jobs.cancel", &format!(r#"{{:job-id "{id}"}}"#));
    assert_eq!(told.recv_timeout(PATIENCE), Ok(Ok("cancelled".into())));
}

#[test]
fn a_store_that_was_removed_or_replaced_takes_nothing_more() {
    let store = Store::new();
    let client = store.open();
    get(&*client, "jobs.create", r#"{:job-type "t"}"#);
    let away = store.folder().join("away.db");
    std::fs::rename(store.path(), &away).expect("it is there");
    for command in ["jobs.create", "jobs.list"] {
        let error = ask(&*client, command, r#"{:job-type "t"}"#).expect_err("the file is gone");
        assert_eq!(error.code, Code::Unavailable);
        assert!(error.message.contains("removed or replaced"), "{}", error.message);
    }
    std::fs::write(store.path(), "").expect("another file in its place");
    ask(&*client, "jobs.create", r#"{:job-type "t"}"#).expect_err("it is another file");
    assert_eq!(std::fs::read(store.path()).expect("a file"), b"");
    std::fs::rename(&away, store.path()).expect("it is there");
    assert_eq!(get(&*client, "jobs.stats", "{}").get("total"), Some(&1.into()));
}

#[test]
fn closing_one_of_two_clients_ends_all_that_waits_on_it_however_they_meet() {
    let store = Store::new();
    let other = store.open();
    let queued = get(&*other, "jobs.create", r#"{:job-type "t"}"#);
    let wait = format!(r#"{{:job-id "{}" :interval "1h" :timeout-ms 300000}}"#, text(&queued, &["job", "job-id"]));
    for _ in 0..300 {
        let client = store.open();
        let closing = client.clone();
        let closed = thread::spawn(move || closing.close());
        let told = asked(&client, "jobs.await", &wait);
        assert_eq!(told.recv_timeout(PATIENCE), Ok(Err(Code::Closed)));
        closed.join().expect("it closes");
    }
}

#[test]
fn a_broken_job_that_a_claim_waits_for_keeps_no_other_lease_from_ending() {
    let store = Store::new();
    let client = store.open();
    for job_type in ["broken", "other"] {
        get(&*client, "jobs.create", &format!("{{:job-type {job_type:?}}}"));
        get(&*client, "jobs.claim", &format!("{{:job-type {job_type:?} :worker-id \"w\" :lease-duration 1000}}"));
    }
    let raw = rusqlite::Connection::open(store.path()).expect("the store opens");
    raw.busy_timeout(PATIENCE).expect("it is an option");
    raw.execute_batch("DELETE FROM job_body WHERE seq = 1").expect("it is written");
    let broken = asked(&client, "jobs.claim", r#"{:job-type "broken" :worker-id "w2" :wait-ms 60000}"#);
    let other = asked(&client, "jobs.claim", r#"{:job-type "other" :worker-id "w2" :wait-ms 60000}"#);
    assert_eq!(other.recv_timeout(PATIENCE), Ok(Ok("leased".into())));
    assert_eq!(broken.recv_timeout(PATIENCE), Ok(Err(Code::Internal)));
}
