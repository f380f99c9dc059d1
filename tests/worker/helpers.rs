//! What a handler may call while it runs.

use crate::program::{Place, json, text};
use serde_json::json;
use std::fs;

#[test]
fn a_script_that_knows_only_the_breyta_names_runs_unchanged() {
    let place = Place::new();
    let id = place.create(&["--payload", "{\"surface\": \"flows-api\"}"]);
    let handler = place.script(
        "review.sh",
        r#"set -eu
surface=$(sed -n 's/.*"surface": *"\([^"]*\)".*/\1/p' "$BREYTA_JOB_PAYLOAD_FILE")
breyta jobs worker progress --status running --message "reviewing $surface" --metric files=3 --detail step='"one"' >/dev/null
"$BREYTA_CLI_BIN" jobs show "$BREYTA_JOB_ID" > during.json
breyta jobs worker finish --status succeeded --summary "reviewed $surface" \
    --outputs '{"findings": []}' --output files=3 --output note=plain --metrics '{"seconds": 1.5}' >/dev/null"#,
    );
    place.work_once(&handler, &[]);
    let during = &json(&fs::read(place.path("during.json")).unwrap())["data"]["job"];
    assert_eq!((&during["status"], &during["progress"]["message"]), (&json!("running"), &json!("reviewing flows-api")));
    assert_eq!(during["progress"]["metrics"], json!({"files": 3}));
    assert_eq!(during["progress"]["details"], json!({"step": "one"}));
    let job = place.job(&id);
    assert_eq!((&job["status"], &job["result"]["summary"]), (&json!("succeeded"), &json!("reviewed flows-api")));
    assert_eq!(job["result"]["outputs"], json!({"findings": [], "files": 3, "note": "plain"}));
    assert_eq!(job["result"]["metrics"], json!({"seconds": 1.5}));
}

#[test]
fn the_worker_says_that_it_started_the_handler() {
    let place = Place::new();
    let id = place.create(&[]);
    let (ready, go) = (place.pipe("ready"), place.pipe("go"));
    let worker = place.worker(&place.script("h.sh", "echo > ready; read x < go; :"), &[]);
    ready.hear();
    crate::program::eventually("progress is reported", || {
        let job = place.job(&id);
        job["status"] == "started" && job["progress"]["message"] == "started handler h.sh"
    });
    go.tell();
    assert_eq!(place.ended(&id)["status"], "succeeded");
    worker.drained();
}

#[test]
fn a_failure_that_a_handler_declares_is_reported() {
    let place = Place::new();
    let job = place.handled("errand jobs worker fail --message 'no branch' --code bad --detail line=3");
    assert_eq!(job["status"], "failed");
    assert_eq!(job["error"], json!({"message": "no branch", "code": "bad", "details": {"line": 3}}));
    let job = place.handled("errand jobs worker fail --message busy --retryable");
    assert_eq!((&job["status"], &job["attempts"][0]["error"]["message"]), (&json!("queued"), &json!("busy")), "{job}");
}

#[test]
fn helpers_that_succeed_print_nothing_unless_a_form_is_asked_for() {
    let place = Place::new();
    let steps = ["progress --message m", "finish --summary s", "fail --message m", "finish --format json"];
    let script: Vec<_> =
        steps.iter().enumerate().map(|(index, step)| format!("errand jobs worker {step} > said{index}")).collect();
    place.handled(&script.join("\n"));
    let said = |index: usize| fs::read_to_string(place.path(&format!("said{index}"))).unwrap();
    assert_eq!([said(0), said(1), said(2)], ["", "", ""]);
    assert_eq!(json(said(3).as_bytes())["ok"], true);
}

#[test]
fn what_helpers_wrote_earlier_is_kept_and_the_last_status_counts() {
    let job = Place::new().handled(
        "errand jobs worker finish --output a=1\nerrand jobs worker fail --message m\nerrand jobs worker finish --status no_changes --output b=two",
    );
    assert_eq!((&job["status"], &job["result"]["outputs"]), (&json!("no_changes"), &json!({"a": 1, "b": "two"})));
}

#[test]
fn helpers_that_write_at_the_same_time_lose_nothing() {
    let job = Place::new()
        .handled("for i in 1 2 3 4 5 6 7 8; do errand jobs worker finish --output k$i=$i >/dev/null & done; wait");
    assert_eq!(job["result"]["outputs"].as_object().map(serde_json::Map::len), Some(8), "{job}");
}

#[test]
fn the_state_shows_the_files_and_hides_the_token() {
    let place = Place::new();
    let id = place.create(&["--payload", "[1]"]);
    place.work_once(
        &place.script("h.sh", "cp \"$BREYTA_JOB_CONTEXT_FILE\" . ; breyta jobs worker state > state.json"),
        &[],
    );
    let state = fs::read(place.path("state.json")).unwrap();
    let token = json(&fs::read(place.path("worker-context.json")).unwrap())["leaseToken"].as_str().unwrap().to_owned();
    assert!(!text(&state).contains(&token));
    let data = &json(&state)["data"];
    assert_eq!((&data["payload"], &data["context"]["leaseToken"]), (&json!([1]), &json!("[redacted]")));
    assert_eq!(data["job"]["jobId"], id.as_str());
}

#[test]
fn helpers_outside_a_handler_say_what_is_missing() {
    let place = Place::new();
    assert!(place.refusal(2, &["jobs", "worker", "finish"])["message"].as_str().unwrap().contains("inside a handler"));
    for args in [["attach-file", "--file", "y"], ["attach-kv", "--value", "1"], ["attach-table", "--rows", "[]"]] {
        let refusal = place.refusal(2, &[&["jobs", "worker"], &args[..], &["--label", "x"]].concat());
        assert!(refusal["message"].as_str().unwrap().contains("inside a handler"), "{refusal}");
    }
}

#[test]
fn progress_under_a_lost_lease_tells_the_handler() {
    let place = Place::new();
    let id = place.create(&[]);
    place.work_once(&place.script("h.sh", "exit 0"), &["--keep-job-dirs"]);
    let folder = fs::read_dir(place.path("tmp")).unwrap().next().unwrap().unwrap().path();
    let dir = fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let refusal = place.refusal(5, &["jobs", "worker", "progress", "--job-dir", dir.to_str().unwrap()]);
    assert!(["refused", "lease-lost"].contains(&refusal["code"].as_str().unwrap()), "{id}: {refusal}");
}
