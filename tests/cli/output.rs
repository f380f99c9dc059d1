//! What is printed, and for whom.

use crate::program::{Place, json, succeeded, text};
use serde_json::json;
use std::io::Read;
use std::process::Stdio;

#[test]
fn a_pipe_gets_the_envelope_in_json_on_one_line() {
    let place = Place::new();
    place.create(&[]);
    let output = succeeded(place.errand(&["jobs", "list"]));
    assert_eq!(text(&output.stdout).lines().count(), 1);
    let answer = json(&output.stdout);
    assert_eq!((&answer["ok"], &answer["workspaceId"]), (&json!(true), &json!("default")));
    assert_eq!(answer["data"]["items"][0]["jobType"], "t");
}

#[test]
fn an_error_in_json_has_its_code_and_message_on_standard_output() {
    let place = Place::new();
    place.create(&[]);
    let error = place.refusal(4, &["jobs", "show", "absent"]);
    assert_eq!(error["code"], "not-found");
    assert!(error["message"].as_str().unwrap().contains("absent"));
}

#[test]
fn arguments_that_cannot_be_read_are_an_error_like_any_other() {
    let place = Place::new();
    let error = place.refusal(2, &["jobs", "lst"]);
    assert_eq!(error["code"], "invalid-argument");
    let message = error["message"].as_str().unwrap();
    assert!(message.starts_with("unrecognized subcommand 'lst'") && message.contains("'list'"), "{message}");
    let error = place.refusal(2, &["jobs", "create"]);
    assert!(error["message"].as_str().unwrap().contains(": --type <TYPE>"), "{error}");
    let output = place.errand(&["jobs", "create", "--format", "edn", "--typo", "t"]).output().unwrap();
    assert!(
        text(&output.stdout).starts_with("{:ok false, :error {:code \"invalid-argument\""),
        "{}",
        text(&output.stdout)
    );
    let output = place.errand(&["jobs", "create", "--format=text"]).output().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), String::new()));
    assert!(text(&output.stderr).contains("Usage"), "{}", text(&output.stderr));
    assert!(text(&succeeded(place.errand(&["jobs", "create", "--help"])).stdout).contains("Usage"));
}

#[test]
fn edn_is_printed_where_it_is_asked_for() {
    let place = Place::new();
    place.create(&["--payload", "{\"a\": [1, \"x\"]}"]);
    let output = text(&succeeded(place.errand(&["jobs", "list", "--full", "--format", "edn"])).stdout);
    assert!(output.starts_with("{:ok true") && output.contains(":payload {:a [1 \"x\"]}"), "{output}");
    let output = place.errand(&["jobs", "show", "absent", "--format", "edn"]).output().unwrap();
    assert!(text(&output.stdout).contains(":code \"not-found\""));
}

#[test]
fn people_get_tables_and_errors_in_plain_words_on_standard_error() {
    let place = Place::new();
    let id = place.create(&["--payload", "{\"a\": 1}"]);
    let list = text(&succeeded(place.errand(&["jobs", "list", "--format", "text"])).stdout);
    let mut lines = list.lines();
    assert!(lines.next().is_some_and(|head| head.contains("JOB ID") && head.contains("STATUS")), "{list}");
    assert!(lines.next().is_some_and(|row| row.contains(&id) && row.contains("queued")), "{list}");
    let card = text(&succeeded(place.errand(&["jobs", "show", &id, "--format", "text"])).stdout);
    assert!(card.lines().any(|line| line.starts_with("status") && line.ends_with("queued")), "{card}");
    let output = place.errand(&["jobs", "show", "absent", "--format", "text"]).output().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(4), String::new()));
    assert!(text(&output.stderr).starts_with("errand: "), "{}", text(&output.stderr));
    let nothing = place.errand(&["jobs", "claim", "--type", "other", "--worker-id", "w", "--format", "text"]);
    assert_eq!(text(&succeeded(nothing).stdout), "no job is due\n");
}

#[test]
fn a_job_cannot_steer_the_terminal_of_who_looks_at_it() {
    let place = Place::new();
    let id = place.create(&["--parent-step-id", "a\u{1b}[31mb"]);
    let card = text(&succeeded(place.errand(&["jobs", "show", &id, "--format", "text"])).stdout);
    assert!(!card.contains('\u{1b}'), "{card}");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let place = Place::new();
    let jobs: Vec<_> = (0..200).map(|_| json!({"payload": "x".repeat(1000)})).collect();
    std::fs::write(place.path("jobs.json"), serde_json::to_vec(&jobs).unwrap()).unwrap();
    place.ask(&["jobs", "batches", "create", "--type", "t", "--jobs-file", "jobs.json"]);
    let mut command = place.errand(&["jobs", "list", "--limit", "200", "--full"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}
