//! The names that the documented interface gives its answers: each command and each path with all of its arguments, and
//! exactly these fields in what comes.

use super::{Site, answer};
use serde_json::{Value, json};

/// The fields of a map, sorted, those in brackets being perhaps there.
#[track_caller]
fn has(value: &Value, fields: &str) {
    let given: Vec<&str> = value.as_object().unwrap_or_else(|| panic!("{value}")).keys().map(String::as_str).collect();
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let missing: Vec<_> = fields.iter().filter(|field| !field.starts_with('[') && !given.contains(field)).collect();
    let plain = |field: &str| field.trim_matches(['[', ']']).to_owned();
    let unknown: Vec<_> = given.iter().filter(|name| !fields.iter().any(|field| plain(field) == **name)).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "missing {missing:?}, unknown {unknown:?} in {value}");
}

const JOB: &str = "jobId jobType status payload attempt maxAttempts workspaceId createdAt updatedAt [metadata] \
    [attempts] [batchId] [rootWorkflowId] [parentStepId] [fanoutParentStepId] [fanoutMaxConcurrency] [idempotencyKey] \
    [workerId] [workerLabels] [progress] [result] [resultSummary] [error] [cancelRequested] [startedAt] [completedAt] \
    [lastHeartbeatAt] [leaseExpiresAt]";
const BATCH: &str = "batchId jobType status requestedCount counts workspaceId createdAt updatedAt [metadata] \
    [completedAt] [rootWorkflowId] [parentStepId] [idempotencyKey] [jobsTruncated]";
const LABELS: [&str; 4] = ["rootWorkflowId", "parentStepId", "fanoutParentStepId", "idempotencyKey"];

fn labelled(mut args: Value) -> Value {
    for name in LABELS {
        args[name] = json!(name);
    }
    args["fanoutMaxConcurrency"] = json!(2);
    args["maxAttempts"] = json!(2);
    args["metadata"] = json!({"by": "me"});
    args
}

/// A claimed job of a type: what was claimed, and its lease as arguments.
fn claimed(site: &Site, job_type: &str) -> (Value, Value) {
    let args = json!({"jobType": job_type, "workerId": "w", "workerLabels": {"gpu": "a"}, "leaseDuration": 30_000,
        "requestId": uuid::Uuid::new_v4().to_string(), "waitMs": 0});
    let job = site.get("jobs.claim", args)["job"].clone();
    (job.clone(), json!({"jobId": job["jobId"], "leaseToken": job["leaseToken"]}))
}

fn with(lease: &Value, more: Value) -> Value {
    let mut args = lease.clone();
    args.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    args
}

#[test]
fn a_job_is_asked_for_and_answered_by_the_letter() {
    let site = Site::new();
    let args = labelled(json!({"jobType": "t", "payload": {"camelCase": 1, "kebab-case": 2}}));
    let (status, envelope) = site.ask_as(site.token(), "jobs.create", args.clone());
    assert_eq!((status, &envelope["ok"], &envelope["workspaceId"]), (200, &json!(true), &json!("default")));
    has(&envelope, "ok workspaceId data [meta]");
    has(&envelope["data"], "job");
    let job = &envelope["data"]["job"];
    has(job, JOB);
    for name in LABELS {
        assert_eq!(job[name], args[name], "{job}");
    }
    assert_eq!((&job["payload"], &job["status"]), (&args["payload"], &json!("queued")));
    let at = job["createdAt"].as_str().unwrap();
    assert!(at.len() == 24 && at.ends_with('Z') && at.as_bytes()[19] == b'.', "RFC 3339 with milliseconds: {at}");

    let (job, lease) = claimed(&site, "t");
    has(&job, &format!("{JOB} leaseToken"));
    assert_eq!(claimed(&site, "t").0, Value::Null, "nothing is due");
    let beat = site.get("jobs.heartbeat", with(&lease, json!({"leaseDuration": 60_000})));
    has(&beat, "job directive leaseRemainingMs");
    has(&beat["job"], &JOB.replace("payload ", ""));
    assert_eq!(beat["directive"], "ok");
    let report =
        json!({"status": "running", "message": "m", "details": {"d": 1}, "metrics": {"m": 2}, "artifacts": []});
    let progress = site.get("jobs.progress", with(&lease, report));
    has(&progress, "job directive [leaseRemainingMs]");
    has(&progress["job"]["progress"], "status message details metrics updatedAt");

    let kv = json!({"label": "v", "value": {"a": 1}, "kind": "kv", "key": "own", "contentType": "application/json",
        "ttlSeconds": 60});
    let kv = site.get("jobs.attach_kv", with(&lease, kv))["artifact"].clone();
    has(&kv, "label kind contentType resourceUri key sizeBytes");
    let id = job["jobId"].as_str().unwrap();
    assert_eq!(kv["key"], format!("job:{id}:own"));
    assert!(kv["resourceUri"].as_str().unwrap().starts_with("res://v1/ws/default/result/kv/"));
    let table = json!({"label": "rows", "rows": [{"id": 1}], "kind": "table", "table": "own", "writeMode": "upsert",
        "schemaMode": "flexible", "keyFields": ["id"], "indexFields": ["id"]});
    let table = site.get("jobs.attach_table", with(&lease, table))["artifact"].clone();
    has(
        &table,
        "label kind contentType resourceUri tableId tableName rowsWritten rowCount keyFields indexFields writeMode",
    );
    assert_eq!(table["tableName"], format!("job-{id}-own"));
    assert_eq!(table["contentType"], "application/vnd.breyta.table+json");

    let ended = json!({"status": "no_changes", "summary": "s", "outputs": [1], "metrics": {}, "artifacts": [],
        "workerInfo": {"pid": 1}});
    let job = site.get("jobs.complete", with(&lease, ended))["job"].clone();
    has(&job, JOB);
    has(&job["result"], "summary outputs metrics artifacts workerInfo");
    has(&job["attempts"][0], "attempt workerId claimedAt endedAt outcome");
    let read = site.get("jobs.await", json!({"jobId": id, "timeoutMs": 30_000}));
    has(&read, "job terminal");
    assert_eq!((&read["terminal"], &read["job"]), (&json!(true), &site.get("jobs.get", json!({"jobId": id}))["job"]));
}

#[test]
fn the_other_ends_of_a_job_and_its_lists_are_answered_by_the_letter() {
    let site = Site::new();
    site.create();
    let (_, lease) = claimed(&site, "t");
    has(&site.get("jobs.release", with(&lease, json!({"reason": "r"}))), "job");
    let (_, lease) = claimed(&site, "t");
    let fault = json!({"message": "m", "code": "c", "details": {"d": 1}, "artifacts": [], "retryable": true, "retryAfterMs": 1});
    let job = site.get("jobs.fail", with(&lease, fault))["job"].clone();
    has(&job["attempts"][1]["error"], "message code details");
    assert_eq!(job["status"], "queued");
    let id = job["jobId"].clone();
    has(&site.get("jobs.cancel", json!({"jobId": id, "reason": "r"})), "job");
    assert_eq!(site.get("jobs.retry", json!({"jobId": id}))["job"]["status"], "queued");

    for _ in 0..60 {
        site.create();
    }
    let page = |args: Value| {
        let data = site.get("jobs.list", args);
        has(&data, "items [nextCursor]");
        data
    };
    let first = page(json!({}));
    assert_eq!(first["items"].as_array().unwrap().len(), 50, "50 are the default");
    let rest = page(json!({"cursor": first["nextCursor"], "limit": 1000, "jobType": "t", "status": "queued"}));
    let ids =
        |page: &Value| page["items"].as_array().unwrap().iter().map(|job| job["jobId"].to_string()).collect::<Vec<_>>();
    let all = [ids(&first), ids(&rest)].concat();
    assert!(all.len() == 61 && all.is_sorted_by(|a, b| a > b), "newest first, each once");
    assert_eq!(rest.get("nextCursor"), None);
    for (command, args) in [
        ("jobs.list", json!({"limit": 1001})),
        ("jobs.claim", json!({"jobType": "t", "workerId": "w", "waitMs": 30_001})),
        ("jobs.await", json!({"jobId": id, "timeoutMs": 30_001})),
    ] {
        let (status, body) = site.ask_as(site.token(), command, args);
        assert_eq!(status, 400, "{body}");
        has(&body, "ok error [meta]");
        has(&body["error"], "code message [details] [path]");
    }
}

#[test]
fn batches_accounts_and_keys_are_answered_by_the_letter() {
    let site = Site::new();
    let jobs = json!([{"payload": 1, "metadata": {"a": 1}, "maxAttempts": 1}, {}]);
    let made = site.get("jobs.batches.create", labelled(json!({"jobType": "b", "jobs": jobs})));
    has(&made, "batch jobs");
    has(&made["batch"], BATCH);
    has(&made["jobs"][0], JOB);
    assert_eq!((&made["jobs"][0]["maxAttempts"], &made["jobs"][1]["maxAttempts"]), (&json!(1), &json!(2)));
    let id = made["batch"]["batchId"].clone();
    let statuses = "queued leased started running succeeded no_changes failed cancelled timed_out";
    has(&made["batch"]["counts"], statuses);
    has(&site.get("jobs.batches.get", json!({"batchId": id})), "batch jobs");
    has(&site.get("jobs.batches.get", json!({"batchId": id, "includeJobs": false})), "batch");
    assert_eq!(site.get("jobs.batches.get", json!({"batchId": id, "limit": 1}))["jobs"].as_array().unwrap().len(), 1);
    has(&site.get("jobs.batches.await", json!({"batchId": id, "timeoutMs": 0})), "batch [jobs] terminal");
    has(&site.get("jobs.batches.cancel", json!({"batchId": id, "reason": "r"})), "batch");
    has(&site.get("jobs.batches.list", json!({})), "items [nextCursor]");

    let new = json!({"name": "n", "capabilities": ["jobs.read"], "allowedJobTypes": ["t"], "metadata": {"a": 1}});
    let account = site.get("service_accounts.create", new)["serviceAccount"].clone();
    let fields = "serviceAccountId workspaceId name status capabilities allowedJobTypes metadata createdAt updatedAt";
    has(&account, fields);
    let id = account["serviceAccountId"].clone();
    let changed =
        site.get("service_accounts.update", json!({"serviceAccountId": id, "status": "disabled", "name": "m"}));
    assert_eq!(changed["serviceAccount"]["status"], "disabled");
    has(&site.get("service_accounts.get", json!({"serviceAccountId": id}))["serviceAccount"], fields);
    has(&site.get("service_accounts.list", json!({})), "items [nextCursor]");
    let new = json!({"serviceAccountId": id, "name": "k", "expiresAt": "2100-01-01T00:00:00Z", "metadata": {}});
    let key = site.get("service_accounts.keys.create", new)["key"].clone();
    has(&key, "keyId serviceAccountId name status metadata createdAt expiresAt secret");
    let listed = site.get("service_accounts.keys.list", json!({"serviceAccountId": id}))["items"][0].clone();
    has(&listed, "keyId serviceAccountId name status metadata createdAt expiresAt");
    let revoked = site.get("service_accounts.keys.revoke", json!({"keyId": key["keyId"]}))["key"].clone();
    has(&revoked, "keyId serviceAccountId name status metadata createdAt expiresAt revokedAt");
}

#[test]
fn paths_are_answered_by_the_letter() {
    let site = Site::new();
    site.create();
    let (job, lease) = claimed(&site, "t");
    let send = |method: &str, path: &str, body: Option<Value>| {
        let url = if path.starts_with("http") { path.into() } else { site.url(path) };
        let request = site.client.request(method.parse().unwrap(), url).bearer_auth(site.token());
        let (status, data) = answer(match body {
            Some(body) => request.header("Content-Type", "application/json").body(body.to_string()),
            None => request,
        });
        assert_eq!(status, 200, "{method} {path}: {data}");
        data
    };
    let new = json!({"filename": "a.md", "content-type": "text/markdown", "folder": "f", "replace-existing": false});
    let begun = send("POST", "/api/files/uploads/init", Some(new));
    has(&begun, "uri upload-url upload-session-id");
    has(&send("PUT", begun["upload-url"].as_str().unwrap(), Some(json!("x"))), "uploaded uri size-bytes");
    let uri = begun["uri"].as_str().unwrap();
    assert!(uri.starts_with("res://v1/ws/default/file/"), "{uri}");
    let session = json!({"uri": uri, "upload-session-id": begun["upload-session-id"]});
    has(&send("POST", "/api/files/uploads/complete", Some(session)), "uri content-type size-bytes");
    let second = send("POST", "/api/files/uploads/init", Some(json!({"filename": "b", "content-type": "a/b"})));
    let bytes = second["uri"].as_str().unwrap();
    has(&send("PUT", &format!("/api/files/uploads/direct?uri={bytes}"), Some(json!(1))), "uploaded uri size-bytes");
    let file = json!({"artifacts": [{"kind": "file", "label": "f", "resourceUri": uri}]});
    site.get("jobs.progress", with(&lease, file));
    let shown = send("GET", &format!("/api/resources/by-uri?uri={uri}"), None);
    has(
        &shown,
        "uri type content-type size-bytes filename created-at job-id [folder] [sha256] [updated-at] [job-type]",
    );
    assert_eq!(shown["job-id"], job["jobId"]);

    let content = |uri: &str, more: &str| send("GET", &format!("/api/resources/content?uri={uri}{more}"), None);
    has(&content(uri, ""), "uri contentType content [sizeBytes] [offset] [nextOffset] [hasMore]");
    let read = content(bytes, "&limit=10&offset=0");
    has(&read, "uri contentType encoding content sizeBytes [offset] [nextOffset] [hasMore]");
    assert_eq!(read["encoding"], "base64");
    let kv = site.get("jobs.attach_kv", with(&lease, json!({"label": "v", "value": 1})))["artifact"].clone();
    has(&content(kv["resourceUri"].as_str().unwrap(), ""), "uri contentType content");
    let rows = json!({"label": "t", "rows": [{"a": 1}, {"a": 2}]});
    let table = site.get("jobs.attach_table", with(&lease, rows))["artifact"]["resourceUri"].clone();
    has(&content(table.as_str().unwrap(), ""), "uri contentType tableId tableName rows rowCount limit offset hasMore");
    let query = json!({"uri": table, "select": ["a"], "where": [["a", "=", 2]], "sort": [["a", "desc"]],
        "page": {"limit": 1, "offset": 0}});
    let found = send("POST", "/api/resources/table/query", Some(query));
    has(&found, "rows count page tableId tableName [uri]");
    has(&found["page"], "limit offset hasMore");
    has(&send("GET", &format!("/api/resources/url?uri={uri}"), None), "url");
    has(&send("GET", "/api/resources?limit=1", None), "items [next-cursor]");
    has(&send("DELETE", &format!("/api/files/by-uri?uri={bytes}"), None), "uri deleted");
    has(&send("GET", "/healthz", None), "ok");
    has(&send("GET", "/readyz", None), "ok");
    let metrics = site.client.get(site.url("/metrics")).send().unwrap();
    assert!(metrics.headers()["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
}
