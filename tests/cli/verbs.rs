//! Verbs and flags, from argv to the stored job and back.

use crate::program::{Place, json, text};
use serde_json::json;
use std::io::Write;
use std::process::Stdio;

#[test]
fn every_flag_of_create_arrives() {
    let place = Place::new();
    let id = place.create(&[
        "--payload",
        "{\"camelCase\": 1, \"a/b\": [null, 1.5, \"ü\"], \"big\": 123456789012345678901234567890}",
        "--metadata",
        "{\"m\": true}",
        "--max-attempts",
        "7",
        "--idempotency-key",
        "k",
        "--root-workflow-id",
        "r",
        "--parent-step-id",
        "p",
        "--fanout-parent-step-id",
        "f",
        "--fanout-max-concurrency",
        "2",
    ]);
    let job = place.job(&id);
    let expected = [
        ("jobType", json!("t")),
        ("status", json!("queued")),
        ("metadata", json!({"m": true})),
        ("maxAttempts", json!(7)),
        ("idempotencyKey", json!("k")),
        ("rootWorkflowId", json!("r")),
        ("parentStepId", json!("p")),
        ("fanoutParentStepId", json!("f")),
        ("fanoutMaxConcurrency", json!(2)),
    ];
    for (name, value) in expected {
        assert_eq!(job[name], value, "{name}");
    }
    assert_eq!(job["payload"]["a/b"], json!([null, 1.5, "ü"]));
    assert_eq!(job["payload"]["camelCase"], 1);
    assert_eq!(job["payload"]["big"].to_string(), "123456789012345678901234567890");
}

#[test]
fn a_payload_comes_from_a_file_in_json_or_edn_or_from_standard_input() {
    let place = Place::new();
    std::fs::write(place.path("p.json"), "{\"a\": 1}").unwrap();
    std::fs::write(place.path("p.edn"), "{:a #{1 2} :at #inst \"2026-04-17\"} ; note").unwrap();
    let id = place.create(&["--payload-file", "p.json"]);
    assert_eq!(place.job(&id)["payload"], json!({"a": 1}));
    let id = place.create(&["--payload-file", "p.edn"]);
    let shown = text(&place.errand(&["jobs", "show", &id, "--format", "edn"]).output().unwrap().stdout);
    assert!(shown.contains(":payload {:a #{") && shown.contains("#inst"), "{shown}");
    let mut command = place.errand(&["jobs", "create", "--type", "t", "--payload-file", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"[1]").unwrap();
    let answer = json(&child.wait_with_output().unwrap().stdout);
    assert_eq!(answer["data"]["job"]["payload"], json!([1]));
}

#[test]
fn malformed_values_name_the_flag_and_store_nothing() {
    let place = Place::new();
    place.create(&[]);
    std::fs::write(place.path("two.edn"), "1} {:b 2").unwrap();
    for (args, word) in [
        (vec!["--payload", "{\"a\":"], "--payload"),
        (vec!["--payload", "1,\"w\":2"], "--payload"),
        (vec!["--payload-file", "two.edn"], "two.edn"),
        (vec!["--payload-file", "absent.json"], "absent.json"),
        (vec!["--max-attempts", "0"], "max-attempts"),
    ] {
        let error = place.refusal(2, &[&["jobs", "create", "--type", "t"], &args[..]].concat());
        assert!(error["message"].as_str().unwrap().contains(word), "{args:?}: {error}");
    }
    for job_type in ["", "a b"] {
        place.refusal(2, &["jobs", "create", "--type", job_type]);
    }
    assert_eq!(place.ask(&["jobs", "ls"])["items"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_job_is_worked_on_by_hand() {
    let place = Place::new();
    let id = place.create(&["--payload", "1"]);
    let claim = ["jobs", "claim", "--type", "t", "--worker-id", "me", "--label", "gpu=no", "--lease-duration", "2m"];
    let claimed = place.ask(&claim);
    let token = claimed["job"]["leaseToken"].as_str().unwrap();
    assert_eq!(claimed["job"]["workerLabels"], json!({"gpu": "no"}));
    assert_eq!(place.ask(&claim)["job"], json!(null));
    std::fs::write(place.path("token"), format!("{token}\n")).unwrap();
    let beat = place.ask(&["jobs", "heartbeat", &id, "--lease-token-file", "token"]);
    assert_eq!(beat["directive"], "ok");
    let progress =
        ["jobs", "progress", &id, "--lease-token", token, "--status", "running", "--message", "m", "--metric", "n=1"];
    assert_eq!(place.ask(&progress)["job"]["status"], "running");
    let complete = ["jobs", "complete", &id, "--status", "no_changes", "--summary", "s", "--output", "a=[1]"];
    let output = place.errand(&complete).env("ERRAND_LEASE_TOKEN", token).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stdout));
    let job = place.job(&id);
    assert_eq!((&job["status"], &job["result"]["outputs"]), (&json!("no_changes"), &json!({"a": [1]})));
    assert!(job["leaseToken"].is_null());
    assert_eq!(place.refusal(5, &["jobs", "cancel", &id])["code"], "refused");
}

#[test]
fn a_missing_lease_token_is_named() {
    let place = Place::new();
    let id = place.create(&[]);
    let error = place.refusal(2, &["jobs", "heartbeat", &id]);
    assert!(error["message"].as_str().unwrap().contains("lease-token"), "{error}");
}

#[test]
fn a_failure_a_release_a_cancel_and_a_retry_do_what_they_say() {
    let place = Place::new();
    let id = place.create(&[]);
    let claim = || {
        let data = place.ask(&["jobs", "claim", "--type", "t", "--worker-id", "me", "--wait", "30s"]);
        data["job"]["leaseToken"].as_str().unwrap().to_owned()
    };
    let status = |args: &[&str]| place.ask(args)["job"]["status"].as_str().unwrap().to_owned();
    assert_eq!(status(&["jobs", "release", &id, "--lease-token", &claim(), "--reason", "r"]), "queued");
    let fail = ["jobs", "fail", &id, "--message", "m", "--code", "c", "--detail", "d=1"];
    assert_eq!(
        status(&[&fail[..], &["--retryable", "--retry-after", "10ms", "--lease-token", &claim()]].concat()),
        "queued"
    );
    assert_eq!(status(&[&fail[..], &["--lease-token", &claim()]].concat()), "failed");
    assert_eq!(place.job(&id)["error"], json!({"message": "m", "code": "c", "details": {"d": 1}}));
    assert_eq!(status(&["jobs", "retry", &id]), "queued");
    assert_eq!(status(&["jobs", "cancel", &id]), "cancelled");
}

#[test]
fn an_await_ends_with_the_job_or_with_status_6() {
    let place = Place::new();
    let id = place.create(&[]);
    let error = place.refusal(6, &["jobs", "await", &id, "--timeout", "50ms"]);
    assert_eq!(
        (&error["code"], &error["details"]["job"]["status"]),
        (&json!("await-timeout"), &json!("queued")),
        "{error}"
    );
    let where_ = format!("workspace \"default\" of {}", place.store().display());
    let said = format!("job \"{id}\" of type t is still queued after 50ms: no worker has taken it; it stays queued");
    assert_eq!(error["message"], format!("{said} ({where_})"));
    let waiting = place.errand(&["jobs", "await", &id, "--timeout", "60s"]).stdout(Stdio::piped()).spawn().unwrap();
    place.ask(&["jobs", "cancel", &id]);
    let answer = json(&waiting.wait_with_output().unwrap().stdout);
    assert_eq!((&answer["data"]["terminal"], &answer["data"]["job"]["status"]), (&json!(true), &json!("cancelled")));
    let error = place.refusal(4, &["jobs", "await", "absent"]);
    assert_eq!(error["message"], format!("job \"absent\" is unknown in {where_}"));
}

#[test]
fn a_batch_is_submitted_watched_and_cancelled() {
    let place = Place::new();
    let flags = place.ask(&[
        "jobs",
        "batches",
        "create",
        "--type",
        "t",
        "--metadata",
        "{\"m\": 1}",
        "--job",
        "{\"payload\": {\"camelCase\": 1}, \"maxAttempts\": 2}",
        "--job",
        "{\"payload\": 2}",
    ]);
    assert_eq!(flags["jobs"][0]["payload"], json!({"camelCase": 1}));
    assert_eq!(flags["jobs"][0]["maxAttempts"], 2);
    std::fs::write(place.path("jobs.edn"), "[{:payload :a} {:payload #{1} :max-attempts 4}]").unwrap();
    let file = place.ask(&["jobs", "batches", "create", "--type", "t", "--jobs-file", "jobs.edn"]);
    assert_eq!((&file["jobs"][0]["payload"], &file["jobs"][1]["maxAttempts"]), (&json!("a"), &json!(4)));
    let id = flags["batch"]["batchId"].as_str().unwrap();
    let shown = place.ask(&["jobs", "batches", "show", id, "--limit", "1", "--full"]);
    assert_eq!(
        (&shown["batch"]["requestedCount"], shown["jobs"].as_array().map(Vec::len)),
        (&json!(2), Some(1)),
        "{shown}"
    );
    assert_eq!(place.ask(&["jobs", "list", "--batch-id", id])["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(place.ask(&["jobs", "batches", "ls", "--limit", "1"])["items"].as_array().map(Vec::len), Some(1));
    let error = place.refusal(6, &["jobs", "batches", "await", id, "--timeout", "50ms"]);
    assert_eq!(error["details"]["batch"]["status"], "queued", "{error}");
    place.ask(&["jobs", "batches", "cancel", id, "--reason", "r"]);
    let ended = place.ask(&["jobs", "batches", "await", id, "--timeout", "60s", "--include-jobs"]);
    assert_eq!((&ended["batch"]["status"], &ended["terminal"]), (&json!("cancelled"), &json!(true)), "{ended}");
    let table = place.errand(&["jobs", "batches", "show", id, "--format", "text"]).output().unwrap();
    assert!(text(&table.stdout).contains("JOB ID"), "{}", text(&table.stdout));
}

#[test]
fn a_batch_with_a_wrong_job_names_it_and_stores_nothing() {
    let place = Place::new();
    place.create(&[]);
    let args = ["jobs", "batches", "create", "--type", "t", "--job", "{\"payload\": 1}", "--job", "{\"paylod\": 1}"];
    let message = place.refusal(2, &args)["message"].as_str().unwrap().to_owned();
    assert!(message.contains("paylod") && message.contains("payload"), "{message}");
    assert_eq!(place.ask(&["jobs", "batches", "list"])["items"], json!([]));
}

#[test]
fn lists_are_filtered_paged_and_short_unless_full() {
    let place = Place::new();
    for _ in 0..3 {
        place.create(&["--payload", "{\"a\": 1}"]);
    }
    let first = place.ask(&["jobs", "list", "--type", "t", "--status", "queued", "--limit", "2"]);
    assert_eq!(first["items"].as_array().map(Vec::len), Some(2));
    let rest = place.ask(&["jobs", "list", "--limit", "2", "--cursor", first["nextCursor"].as_str().unwrap()]);
    assert_eq!(rest["items"].as_array().map(Vec::len), Some(1));
    assert!(rest["items"][0]["payload"].is_null());
    assert_eq!(place.ask(&["jobs", "list", "--full"])["items"][0]["payload"], json!({"a": 1}));
    assert_eq!(place.ask(&["jobs", "list", "--type", "other"])["items"], json!([]));
}

#[test]
fn stats_count_by_type_and_status() {
    let place = Place::new();
    place.create(&[]);
    let stats = place.ask(&["jobs", "stats"]);
    assert!(stats.to_string().contains("queued"), "{stats}");
    let shown = place.errand(&["jobs", "stats", "--format", "text"]).output().unwrap();
    assert!(text(&shown.stdout).contains("queued"), "{}", text(&shown.stdout));
}

#[test]
fn verbs_go_by_the_names_of_the_steps_ops_too() {
    let place = Place::new();
    let data = place.ask(&["jobs", "submit", "--type", "t"]);
    let id = data["job"]["jobId"].as_str().unwrap();
    assert_eq!(place.ask(&["jobs", "get", id])["job"]["jobId"], id);
    let data = place.ask(&["jobs", "batches", "submit", "--type", "t", "--job", "{}"]);
    let id = data["batch"]["batchId"].as_str().unwrap();
    assert_eq!(place.ask(&["jobs", "batches", "get", id])["batch"]["batchId"], id);
}

#[test]
fn a_workers_flags_are_checked_first_and_in_their_own_names() {
    let place = Place::new();
    let run = |more: &[&str]| {
        let args = [&["jobs", "worker", "run", "--handler", "true"], more].concat();
        place.refusal(2, &args)["message"].as_str().unwrap().to_owned()
    };
    let said = run(&["--type", "hs,py"]);
    assert!(said.starts_with("--type is \"hs,py\"; allowed: "), "{said}");
    assert_eq!(run(&["--type", "t", "--lease-duration", "500ms"]), "--lease-duration is 500ms; allowed: 1s to 24h");
    assert_eq!(run(&["--type", "t", "--poll-interval", "1ms"]), "--poll-interval is 1ms; allowed: 50ms and more");
    assert!(!place.store().exists());
}

#[test]
fn another_submission_under_a_key_is_told_what_the_first_one_made() {
    let place = Place::new();
    let id = place.create(&["--idempotency-key", "k"]);
    let error = place.refusal(5, &["jobs", "create", "--type", "other", "--idempotency-key", "k"]);
    assert!(error["message"].as_str().unwrap().contains(&id), "{error}");
}
