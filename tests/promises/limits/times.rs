//! Bounds of replies, and of how long something is kept that was promised for a time: the store's own notes of the time
//! are set back, since nobody waits for a day.

use super::World;
use crate::support::{Store, at, get, text};
use errand::api::{self, Answer, Call, Caller, Code, NewFile, OpenOptions};
use errand::job::limits;
use errand::value::{MapBuilder, Value, edn};
use std::sync::Arc;

/// Far more than the test takes.
const SLACK_MS: i64 = 5 * 60_000;

fn sql(store: &Store, sql: &str) {
    let store = rusqlite::Connection::open(store.path()).expect("the store opens");
    assert!(store.execute(sql, []).unwrap_or_else(|error| panic!("{error}: {sql}")) > 0, "{sql} changes nothing");
}

#[test]
fn what_is_kept_for_a_time_is_gone_after_it() {
    let store = Store::new();
    let host = api::open_host(&store.path(), &OpenOptions::default()).expect("the store opens");
    let create = || {
        let args = edn::read("{:job-type \"t\"}").expect("the test's own EDN");
        let call =
            Call { command: api::command("jobs.create").expect("there is one"), args, names: api::Names::Clojure };
        let caller = Caller { operation: Some("same".into()), ..Caller::local("default") };
        let (tell, told) = std::sync::mpsc::channel();
        let reply = match host.call_as(&caller, call, Box::new(move |reply| drop(tell.send(reply)))) {
            Answer::Now(reply) => reply,
            Answer::Later(_) => told.recv().expect("it is told"),
        };
        text(&reply.expect("it is taken"), &["job", "job-id"]).to_string()
    };
    let first = create();
    let nearly = limits::OPERATION_KEPT_MS - SLACK_MS;
    sql(&store, &format!("UPDATE operation SET until_ms = until_ms - {nearly}"));
    assert_eq!(create(), first, "an answer is given again for a day");
    sql(&store, &format!("UPDATE operation SET until_ms = until_ms - {SLACK_MS}"));
    assert_ne!(create(), first, "after a day it is another operation");

    let files = host.files("default").expect("files are here");
    let new = NewFile { filename: "f".into(), ..NewFile::default() };
    let begun = files.begin(&new, |_| Ok(())).expect("an upload begins");
    let write = || files.write_with_token(&begun.session_id, &begun.token).map(drop);
    sql(&store, &format!("UPDATE upload SET expires_ms = expires_ms - {}", limits::UPLOAD_MS - SLACK_MS));
    assert_eq!(write(), Ok(()));
    sql(&store, &format!("UPDATE upload SET expires_ms = expires_ms - {SLACK_MS}"));
    assert_eq!(write().expect_err("it is over").code, Code::NotFound);
}

/// Items of a reply that stand under a key.
fn items<'a>(reply: &'a Value, path: &[&str]) -> &'a [Value] {
    match at(reply, path) {
        Value::Vector(items) => items,
        other => panic!("{path:?} is no vector: {:.80}", edn::write(other)),
    }
}

#[test]
fn a_reply_is_cut_at_its_bound() {
    let world = World::new();
    let payload: Arc<str> = format!("\"{}\"", "p".repeat(limits::PAYLOAD_MAX - 2)).into();
    let fit = limits::REPLY_BYTES_MAX / limits::PAYLOAD_MAX;
    let jobs = vec![MapBuilder::new().put("payload", Value::Text(payload)).build(); fit + 4];
    let args = MapBuilder::new().put("job-type", "large").put("jobs", Value::Vector(jobs)).build();
    let made = api::ask(&*world.client, "jobs.batches.create", args, api::Names::Clojure).expect("it is taken");
    // What else there is of each job counts too.
    assert_eq!(items(&made, &["jobs"]).len(), fit - 1);
    assert_eq!(at(&made, &["batch", "jobs-truncated?"]), &Value::Bool(true));
    let shown = format!("{{:batch-id {:?} :limit 10000}}", text(&made, &["batch", "batch-id"]));
    let shown = get(&*world.client, "jobs.batches.get", &shown);
    assert_eq!(items(&shown, &["jobs"]).len(), fit - 1);
    assert_eq!(at(&shown, &["batch", "jobs-truncated?"]), &Value::Bool(true));
    let list = |more: &str| {
        get(&*world.client, "jobs.list", &format!("{{:job-type \"large\" :full? true :limit 1000 {more}}}"))
    };
    let first = list("");
    let rest = list(&format!(":cursor {:?}", text(&first, &["next-cursor"])));
    assert_eq!((items(&first, &["items"]).len(), items(&rest, &["items"]).len()), (fit - 1, 5));
}
