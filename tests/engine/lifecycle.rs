//! A job from its submission to its end.

use crate::support::{Store, ask, at, get, text};
use errand::api::Code;
use errand::job::limits;
use errand::value::Value;

#[test]
fn a_job_is_submitted_claimed_reported_and_completed() {
    let store = Store::new();
    let client = store.open();
    let queued = get(&*client, "jobs.create", r#"{:job-type "review" :payload {:surface "flows-api"}}"#);
    assert_eq!(text(&queued, &["job", "status"]), "queued");
    let id = text(&queued, &["job", "job-id"]).to_string();
    let claimed = get(&*client, "jobs.claim", r#"{:job-type "review" :worker-id "w1" :worker-labels {:gpu "a100"}}"#);
    assert_eq!(text(&claimed, &["job", "job-id"]), id);
    let token = text(&claimed, &["job", "lease-token"]);
    let held = format!(r#":job-id "{id}" :lease-token "{token}""#);
    let progress = get(
        &*client,
        "jobs.progress",
        &format!(r#"{{{held} :status "running" :message "half" :artifacts {{:kind "file" :label "a"}}}}"#),
    );
    assert_eq!(text(&progress, &["job", "status"]), "running");
    assert_eq!(text(&progress, &["directive"]), "ok");
    let done = get(&*client, "jobs.complete", &format!(r#"{{{held} :summary "ok" :outputs {{:n 1}}}}"#));
    assert_eq!(text(&done, &["job", "status"]), "succeeded");
    let read = get(&*client, "jobs.get", &format!(r#"{{:job-id "{id}"}}"#));
    assert_eq!(at(&read, &["job", "result", "outputs"]), &Value::Text("{:n 1}".into()));
    assert_eq!(at(&read, &["job"]).get("lease-token"), None);
    let waited = get(&*client, "jobs.await", &format!(r#"{{:job-id "{id}"}}"#));
    assert_eq!(at(&waited, &["terminal"]), &Value::Bool(true));
}

#[test]
fn an_unknown_job_is_not_found() {
    let store = Store::new();
    let client = store.open();
    let error = ask(&*client, "jobs.get", r#"{:job-id "nobody"}"#).expect_err("there is none");
    assert_eq!(error.code, Code::NotFound);
}

#[test]
fn an_await_is_woken_by_the_completing_commit() {
    let store = Store::new();
    let client = store.open();
    let queued = get(&*client, "jobs.create", r#"{:job-type "review"}"#);
    let id = text(&queued, &["job", "job-id"]).to_string();
    let waiting = {
        let (client, id) = (client.clone(), id.clone());
        std::thread::spawn(move || {
            get(&*client, "jobs.await", &format!(r#"{{:job-id "{id}" :interval "1h" :timeout-ms 60000}}"#))
        })
    };
    let claimed = get(&*client, "jobs.claim", r#"{:job-type "review" :worker-id "w1" :wait-ms 60000}"#);
    let token = text(&claimed, &["job", "lease-token"]);
    get(&*client, "jobs.complete", &format!(r#"{{:job-id "{id}" :lease-token "{token}"}}"#));
    let ended = waiting.join().expect("the await returns");
    assert_eq!(text(&ended, &["job", "status"]), "succeeded");
}

#[test]
fn a_job_that_is_released_again_and_again_costs_no_more_each_time() {
    let store = Store::new();
    let client = store.open();
    get(&*client, "jobs.create", "{:job-type \"t\"}");
    let (shown, more) = (limits::ATTEMPTS_SHOWN_MAX, 7);
    let mut releases = Vec::new();
    for _ in 0..shown + more {
        let claimed = get(&*client, "jobs.claim", "{:job-type \"t\" :worker-id \"w\" :worker-labels {:a \"b\"}}");
        let (id, token) = (text(&claimed, &["job", "job-id"]), text(&claimed, &["job", "lease-token"]));
        releases.push(format!("{{:job-id {id:?} :lease-token {token:?}}}"));
        get(&*client, "jobs.release", releases.last().expect("it was just added"));
    }
    let claimed = get(&*client, "jobs.claim", "{:job-type \"t\" :worker-id \"w\" :worker-labels {:a \"c\"}}");
    let Value::Vector(attempts) = at(&claimed, &["job", "attempts"]) else { panic!("it has a history") };
    let number = |attempt: Option<&Value>| attempt.and_then(|attempt| attempt.get("attempt").cloned());
    assert_eq!(attempts.len() as i64, shown);
    assert_eq!(number(attempts.first()), Some(Value::Int(more + 1)), "the last ones are shown");
    assert_eq!(number(attempts.last()), Some(Value::Int(shown + more)));
    assert_eq!(at(&claimed, &["job", "attempt"]), &Value::Int(shown + more + 1), "all are counted");
    assert!(ask(&*client, "jobs.release", &releases[0]).is_ok(), "a word that was said is known, however long ago");
    let other = releases[0].replace('}', " :summary \"another\"}");
    let refused = ask(&*client, "jobs.complete", &other).expect_err("it was released");
    assert_eq!(refused.code, Code::Refused, "{}", refused.message);
}
