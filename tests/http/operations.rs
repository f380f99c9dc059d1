//! Repeated operations: the first answer again, and nothing is done twice.

use super::{Site, answer};
use serde_json::{Value, json};

fn ask(site: &Site, id: &str, command: &str, args: Value) -> (u16, Value) {
    let request = site.request(command, args).bearer_auth(site.token());
    answer(request.header("X-Breyta-Operation-ID", id).header("X-Breyta-Operation-Attempt", "2"))
}

#[test]
fn a_repeated_operation_gets_the_first_answer_and_does_nothing() {
    let site = Site::new();
    let create = json!({"jobType": "t", "payload": {"camelCase": [1, {"kebab-case": null}]}, "metadata": {"a/b": 1.5}});
    let first = ask(&site, "1", "jobs.create", create.clone());
    site.get("jobs.cancel", json!({"jobId": first.1["data"]["job"]["jobId"]}));
    assert_eq!(ask(&site, "1", "jobs.create", create.clone()), first);
    assert_ne!(ask(&site, "2", "jobs.create", create).1, first.1);
    assert_eq!(site.get("jobs.list", json!({}))["items"].as_array().unwrap().len(), 2);

    let batch = json!({"jobType": "b", "jobs": [{"payload": "x"}, {"payload": [":not/a keyword"]}]});
    let first = ask(&site, "3", "jobs.batches.create", batch.clone());
    assert_eq!(ask(&site, "3", "jobs.batches.create", batch), first);
    assert_eq!(site.get("jobs.stats", json!({"jobType": "b"}))["total"], 2);
}

#[test]
fn an_answer_is_kept_without_a_copy_of_what_its_jobs_were_submitted_with() {
    let site = Site::new();
    let large = json!({"text": "x".repeat(50_000), "camelCase": [1, null]});
    let create = json!({"jobType": "t", "payload": large, "metadata": {"note": "y".repeat(20_000)}});
    let batch = json!({"jobType": "b", "jobs": [{"payload": large}, {"payload": [1]}, {"payload": large}]});
    let asked = [
        ("1", "jobs.create", create),
        ("2", "jobs.batches.create", batch),
        ("3", "jobs.claim", json!({"jobType": "t", "workerId": "w"})),
    ];
    let first: Vec<_> = asked.iter().map(|(id, command, args)| ask(&site, id, command, args.clone())).collect();
    let store = rusqlite::Connection::open(site.store.path()).unwrap();
    let kept: i64 = store.query_row("SELECT sum(length(answer)) FROM operation", [], |row| row.get(0)).unwrap();
    assert!(kept < 10_000, "{kept} bytes are kept of answers to five jobs");
    let (_, claimed) = &first[2];
    let held = json!({"jobId": claimed["data"]["job"]["jobId"], "leaseToken": claimed["data"]["job"]["leaseToken"]});
    site.get("jobs.complete", held);
    for ((id, command, args), first) in asked.iter().zip(&first) {
        assert_eq!(ask(&site, id, command, args.clone()), *first, "{command}");
    }
    site.get("jobs.prune", json!({"olderThan": 0}));
    let again = ask(&site, "1", "jobs.create", asked[0].2.clone()).1;
    let (job, before) = (&again["data"]["job"], &first[0].1["data"]["job"]);
    assert_eq!((&job["jobId"], &job["status"]), (&before["jobId"], &before["status"]));
    assert_eq!(job.get("payload"), None, "it went with the job");
}

#[test]
fn every_command_that_writes_answers_again_to_the_letter_whatever_became_of_its_job() {
    let site = Site::new();
    let large =
        |mark: &str| json!({"jobId": mark, "payload": mark.repeat(400), "metadata": {"nested": [mark, null, 1.5]}});
    let mut asked: Vec<(String, &str, Value, (u16, Value))> = Vec::new();
    let mut do_once = |command: &'static str, args: Value| {
        let id = asked.len().to_string();
        let first = ask(&site, &id, command, args.clone());
        assert_eq!(first.0, 200, "{command}: {}", first.1);
        asked.push((id, command, args, first.clone()));
        first.1["data"].clone()
    };
    let retries =
        json!({"jobType": "t", "payload": large("a"), "metadata": large("b"), "maxAttempts": 9, "idempotencyKey": "k"});
    do_once("jobs.create", retries.clone());
    do_once("jobs.create", retries);
    let jobs = json!([{"payload": large("c"), "metadata": large("d")}, {"metadata": large("e")}]);
    let batch = do_once("jobs.batches.create", json!({"jobType": "b", "jobs": jobs, "metadata": large("f")}));
    let mut held = |nth: usize, rest: Value| {
        let labels = json!({"payload": "g", "jobId": "x"});
        let claim = json!({"jobType": "t", "workerId": "w", "workerLabels": labels, "requestId": nth.to_string()});
        let claimed = do_once("jobs.claim", claim);
        let token = json!({"jobId": claimed["job"]["jobId"], "leaseToken": claimed["job"]["leaseToken"]});
        let with = |more: Value| {
            let mut args = token.as_object().unwrap().clone();
            args.extend(more.as_object().unwrap().clone());
            Value::Object(args)
        };
        let artifact =
            json!({"kind": "k", "label": "l", "jobId": "x", "payload": "p".repeat(400), "metadata": large("h")});
        do_once("jobs.progress", with(json!({"details": large("i"), "artifacts": [artifact], "message": "m"})));
        do_once("jobs.attach_kv", with(json!({"label": "v", "value": large("j")})));
        do_once("jobs.attach_table", with(json!({"label": "rows", "rows": [large("k")]})));
        do_once(
            rest["command"].as_str().map_or("jobs.complete", |command| match command {
                "fail" => "jobs.fail",
                _ => "jobs.release",
            }),
            with(rest["args"].clone()),
        );
    };
    held(
        1,
        json!({"command": "fail", "args": {"message": "m", "details": large("l"), "retryable": true, "retryAfterMs": 0}}),
    );
    held(2, json!({"command": "release", "args": {"reason": "r"}}));
    held(3, json!({"args": {"summary": "s", "outputs": large("m"), "metrics": large("n"), "workerInfo": large("o")}}));
    let made = do_once("jobs.create", json!({"jobType": "u", "payload": large("p"), "metadata": large("q")}));
    let job = json!({"jobId": made["job"]["jobId"]});
    do_once("jobs.cancel", job.clone());
    do_once("jobs.retry", job);
    do_once("jobs.batches.cancel", json!({"batchId": batch["batch"]["batchId"]}));
    for (id, command, args, first) in &asked {
        assert_eq!(ask(&site, id, command, args.clone()), *first, "{command}");
    }
}

#[test]
fn an_operation_id_under_which_something_else_was_asked_is_refused() {
    let site = Site::new();
    ask(&site, "1", "jobs.create", json!({"jobType": "t"}));
    let (status, body) = ask(&site, "1", "jobs.create", json!({"jobType": "u"}));
    assert_eq!((status, &body["error"]["code"]), (400, &json!("invalid-argument")), "{body}");
    assert_eq!(ask(&site, "1", "jobs.batches.create", json!({"jobType": "t", "jobs": [{}]})).0, 400);
    // Reading changes nothing, so it is always of now.
    assert_eq!(ask(&site, "1", "jobs.list", json!({})).0, 200);
    // Another caller's operations are its own.
    let key = site.key("default", json!({"name": "k", "capabilities": ["jobs.submit"]}));
    let other = site.request("jobs.create", json!({"jobType": "u"})).bearer_auth(&key.secret);
    assert_eq!(answer(other.header("X-Errand-Operation-ID", "1")).0, 200);
}

#[test]
fn a_claim_is_kept_but_not_an_empty_one() {
    let site = Site::new();
    let claim = json!({"jobType": "t", "workerId": "w"});
    let empty = json!({"ok": true, "workspaceId": "default", "data": {"job": null}});
    assert_eq!(ask(&site, "1", "jobs.claim", claim.clone()).1, empty);
    site.create();
    let first = ask(&site, "1", "jobs.claim", claim.clone());
    let job = &first.1["data"]["job"];
    assert!(job["leaseToken"].is_string(), "{job}");
    assert_eq!(ask(&site, "1", "jobs.claim", claim.clone()), first);
    site.create();
    assert_ne!(ask(&site, "2", "jobs.claim", claim).1["data"]["job"]["jobId"], job["jobId"]);
}

#[test]
fn a_refused_operation_may_be_done_later() {
    let site = Site::new();
    let id = site.create();
    assert_eq!(ask(&site, "1", "jobs.retry", json!({"jobId": id})).0, 409);
    site.get("jobs.cancel", json!({"jobId": id}));
    assert_eq!(ask(&site, "1", "jobs.retry", json!({"jobId": id})).0, 200);
}

#[test]
fn a_repeated_making_of_a_key_does_not_show_its_secret_again() {
    let site = Site::new();
    let key = site.key("default", json!({"name": "k", "capabilities": ["jobs.read"]}));
    let make = json!({"serviceAccountId": key.account_id});
    let first = ask(&site, "1", "service_accounts.keys.create", make.clone()).1["data"]["key"].clone();
    let mut again = ask(&site, "1", "service_accounts.keys.create", make).1["data"]["key"].clone();
    assert_eq!(again.get("secret"), None);
    again["secret"] = first["secret"].clone();
    assert_eq!(again, first);
}

#[test]
fn an_operation_is_remembered_for_a_day() {
    let site = Site::new();
    let create = json!({"jobType": "t"});
    let first = ask(&site, "1", "jobs.create", create.clone());
    let store = rusqlite::Connection::open(site.store.path()).unwrap();
    let earlier = |minutes: i64| {
        store.execute("UPDATE operation SET until_ms = until_ms - ?1", [minutes * 60_000]).unwrap();
    };
    earlier(23 * 60);
    assert_eq!(ask(&site, "1", "jobs.create", create.clone()), first);
    earlier(61);
    assert_ne!(ask(&site, "1", "jobs.create", create), first);
}
