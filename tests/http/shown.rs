//! What the README shows of a worker with `curl` alone, run as it stands there.

use super::Site;
use serde_json::json;
use std::process::{Command, Stdio};

/// The block of the README that holds `text`.
fn block(text: &str) -> String {
    let readme = std::fs::read_to_string("README.md").expect("the README");
    let blocks = readme.split("```sh\n").skip(1).filter_map(|rest| rest.split_once("```"));
    let found = blocks.map(|(block, _)| block).find(|block| block.contains(text));
    found.unwrap_or_else(|| panic!("README.md has no block with {text}")).to_string()
}

#[test]
fn curl_alone_does_a_workers_whole_life() {
    let site = Site::new();
    let created = site.get("jobs.create", json!({"jobType": "agent-review"}));
    let id = created["job"]["jobId"].as_str().expect("an id");
    let mut script = Command::new("sh");
    script.args(["-eu", "-c", &block("jobs.attach_kv")]).env("API", site.url("")).env("KEY", site.token());
    let output = script.stdin(Stdio::null()).output().expect("sh runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("\"ok\":false"), "{said}");
    let job = site.get("jobs.get", json!({"jobId": id}))["job"].clone();
    assert_eq!((&job["status"], &job["result"]["summary"]), (&json!("succeeded"), &json!("all is well")), "{job}");
    let artifacts = job["result"]["artifacts"].as_array().expect("artifacts").clone();
    let kinds: Vec<_> = artifacts.iter().map(|artifact| artifact["kind"].as_str().unwrap_or_default()).collect();
    assert_eq!(kinds, ["kv", "table", "file"], "{job}");
    let uri = artifacts[2]["resourceUri"].as_str().expect("a uri");
    let content = super::client()
        .get(site.url(&format!("/api/resources/content?uri={uri}")))
        .bearer_auth(site.token())
        .send()
        .and_then(|response| response.text())
        .expect("an answer");
    assert!(content.contains("# All is well"), "{content}");
}
