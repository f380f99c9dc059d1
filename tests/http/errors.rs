//! What is refused, and how: status, code and body of each answer, and the server goes on.

use super::{Site, answer, options, parsed};
use crate::program::eventually;
use errand::http::ServeOptions;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::time::Duration;

/// The body of a refusal is an envelope with this code, and the server goes on.
#[track_caller]
fn refused(site: &Site, answer: (u16, Value), status: u16, code: &str) -> String {
    let (given, body) = answer;
    assert_eq!((given, &body["ok"], &body["error"]["code"]), (status, &json!(false), &json!(code)), "{body}");
    site.create();
    body["error"]["message"].as_str().unwrap().to_owned()
}

#[test]
fn every_row_of_the_error_table_has_its_status_and_body() {
    let site = Site::new();
    let ask = |command: &str, args: Value| site.ask_as(site.token(), command, args);
    let key = site.key("default", json!({"name": "k", "capabilities": ["jobs.read"]}));

    let message = refused(&site, ask("jobs.create", json!({"jobTipe": "t"})), 400, "invalid-argument");
    assert!(message.contains("did you mean jobType"), "{message}");
    refused(&site, answer(site.request("jobs.list", json!({}))), 401, "unauthenticated");
    refused(&site, site.ask_as(&key.secret, "jobs.create", json!({"jobType": "t"})), 403, "forbidden");
    let (status, body) = ask("jobs.get", json!({"jobId": "none"}));
    assert_eq!(body["error"]["path"], json!(["jobId"]));
    let message = refused(&site, (status, body), 404, "not-found");
    assert_eq!(message, "job \"none\" is unknown");

    let id = site.create();
    site.get("jobs.cancel", json!({"jobId": id}));
    let (status, body) = ask("jobs.cancel", json!({"jobId": id}));
    assert_eq!(body["error"]["details"], json!({"status": "cancelled", "event": "cancel"}));
    refused(&site, (status, body), 409, "refused");

    let (status, body) = ask("jobs.heartbeat", json!({"jobId": site.create(), "leaseToken": "stale"}));
    assert!(body["meta"]["hint"].is_string());
    refused(&site, (status, body), 409, "lease-lost");

    let large = "x".repeat(2 << 20);
    refused(&site, ask("jobs.create", json!({"jobType": "t", "payload": large})), 413, "payload-too-large");

    // The bound of a wait is no error over HTTP.
    let (status, body) = ask("jobs.await", json!({"jobId": site.create(), "timeoutMs": 1}));
    assert_eq!(
        (status, &body["data"]["terminal"], &body["data"]["job"]["status"]),
        (200, &json!(false), &json!("queued"))
    );
}

#[test]
fn a_draining_server_is_unavailable_and_says_when_to_come_again() {
    let site = Site::with(ServeOptions { drain_time: Duration::from_secs(60), ..options() });
    let mut kept = site.connect();
    let body =
        json!({"command": "jobs.claim", "args": {"jobType": "t", "workerId": "w", "waitMs": 30_000}}).to_string();
    write!(kept, "{}{body}", site.head(body.len())).unwrap();
    eventually("the claim waits", || site.metric("errand_long_polls") == 1.0);
    site.server.drain();
    let mut ended = String::new();
    kept.read_to_string(&mut ended).unwrap();
    assert_eq!(parsed(&ended), (200, json!({"ok": true, "workspaceId": "default", "data": {"job": null}})));

    let claim = site.request("jobs.claim", json!({"jobType": "t", "workerId": "w"})).bearer_auth(site.token());
    let response = claim.send().unwrap();
    assert_eq!((response.status().as_u16(), response.headers()["retry-after"].to_str().unwrap()), (503, "1"));
    let body: Value = serde_json::from_str(&response.text().unwrap()).unwrap();
    assert_eq!(body["error"]["code"], "unavailable");
    assert_eq!(answer(super::client().get(site.url("/readyz"))).0, 503);
    assert_eq!(answer(super::client().get(site.url("/healthz"))).0, 200);
    site.server.stop();
}

#[test]
fn unknown_paths_methods_and_content_types_are_answered_in_json() {
    let site = Site::new();
    let client = super::client();
    refused(&site, answer(client.get(site.url("/api/nothing"))), 404, "not-found");
    refused(&site, answer(client.get(site.url("/nothing"))), 404, "not-found");
    for method in ["GET", "PUT", "DELETE", "PATCH"] {
        let request = client.request(method.parse().unwrap(), site.url("/api/commands"));
        refused(&site, answer(request), 405, "invalid-argument");
    }
    let request = || client.post(site.url("/api/commands")).bearer_auth(site.token()).body("{}");
    refused(&site, answer(request()), 415, "invalid-argument");
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "é"] {
        refused(&site, answer(request().header("Content-Type", kind)), 415, "invalid-argument");
    }
    let charset = request().header("Content-Type", "Application/JSON; charset=utf-8");
    assert_eq!(refused(&site, answer(charset), 400, "invalid-argument"), "command is missing; it is required");
}

#[test]
fn a_request_in_edn_is_answered_in_edn_and_accept_chooses() {
    let site = Site::new();
    let client = super::client();
    let post = |body: &'static str| {
        let request = client.post(site.url("/api/commands")).bearer_auth(site.token());
        request.header("Content-Type", "application/edn").body(body)
    };
    let response = post("{:command \"jobs.create\" :args {:job-type \"t\" :payload #{1/2 :a/b \\c}}}").send().unwrap();
    assert_eq!(response.headers()["content-type"], "application/edn");
    let text = response.text().unwrap();
    assert!(text.starts_with("{:ok true, :workspace-id \"default\", :data {:job {:job-id"), "{text}");
    let set = errand::value::edn::read(&text).unwrap();
    let payload = set.get("data").and_then(|data| data.get("job")).and_then(|job| job.get("payload"));
    assert_eq!(payload, Some(&errand::value::edn::read("#{1/2 :a/b \\c}").unwrap()));

    let (status, body) = answer(post("{:command jobs.list}").header("Accept", "application/json"));
    refused(&site, (status, body), 400, "invalid-argument");
    let text = post("{:command :jobs.get :args {:job-idd 1}}").send().unwrap().text().unwrap();
    assert!(text.contains(":code \"invalid-argument\"") && text.contains("did you mean :job-id?"), "{text}");
    let text = post("{:command \"jobs.list\" :args {:limit 0}}").send().unwrap().text().unwrap();
    assert!(text.contains(":path [:limit]"), "{text}");
}

#[test]
fn bodies_that_are_no_command_are_refused_with_their_place() {
    let site = Site::new();
    let post = |kind: &str, body: Vec<u8>| {
        let request = super::client().post(site.url("/api/commands")).bearer_auth(site.token());
        answer(request.header("Content-Type", kind).header("Accept", "application/json").body(body))
    };
    let json = |body: &str| post("application/json", body.into());
    let deep = |open: &str, close: &str| {
        let (open, close) = (open.repeat(100_000), close.repeat(100_000));
        format!("{{\"command\": \"jobs.create\", \"args\": {{\"jobType\": \"t\", \"payload\": {open}1{close}}}}}")
    };
    for body in ["", "{", "[]", "1", "null", "{\"command\": 1}", "{\"command\": \"jobs.nothing\"}", "{\"args\": {}}"] {
        refused(&site, json(body), 400, "invalid-argument");
    }
    refused(&site, json("{\"command\": \"jobs.list\", \"arguments\": {}}"), 400, "invalid-argument");
    refused(&site, json("{\"command\": \"jobs.list\", \"args\": [1]}"), 400, "invalid-argument");
    refused(&site, json(&deep("[", "]")), 400, "invalid-argument");
    refused(&site, json(&deep("{\"a\":", "}")), 400, "invalid-argument");
    let message =
        refused(&site, json("{\"command\": \"jobs.list\", \"command\": \"jobs.get\"}"), 400, "invalid-argument");
    assert!(message.contains("command"), "{message}");
    refused(
        &site,
        json("{\"command\": \"jobs.create\", \"args\": {\"jobType\": \"t\", \"payload\": {\"a\": 1, \"a\": 2}}}"),
        400,
        "invalid-argument",
    );
    refused(&site, post("application/json", b"{\"command\": \"jobs.list\xff\"}".to_vec()), 400, "invalid-argument");
    refused(&site, post("application/edn", b"{:command \"jobs.list\xff\"}".to_vec()), 400, "invalid-argument");
    let deep_edn = format!("{{:command \"jobs.create\" :args {{:payload {}", "[".repeat(100_000));
    refused(&site, post("application/edn", deep_edn.into_bytes()), 400, "invalid-argument");
    refused(&site, post("application/edn", b"{:command :a :command :b}".to_vec()), 400, "invalid-argument");
}

#[test]
fn a_body_over_the_limit_is_refused_before_it_is_read() {
    let site = Site::new();
    let mut stream = site.connect();
    write!(stream, "{}", site.head((64 << 20) + 1)).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    refused(&site, parsed(&answer), 413, "payload-too-large");
    // Without a length it is counted.
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 20, "x".repeat(1 << 20));
    let head = site.head(0).replace("Content-Length: 0", "Transfer-Encoding: chunked");
    let mut stream = site.connect();
    stream.write_all(head.as_bytes()).unwrap();
    let sent = (0..80).take_while(|_| stream.write_all(chunk.as_bytes()).is_ok()).count();
    assert!(sent < 80, "all of 80 MiB was taken");
    site.create();
}

#[test]
fn truncated_bodies_and_malformed_heads_close_the_connection_only() {
    let site = Site::new();
    let mut stream = site.connect();
    write!(stream, "{}{{\"command\"", site.head(100)).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    // Closed, or told.
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.is_empty() || parsed(&answer).0 == 400, "{answer}");
    for bytes in
        [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"[..], b"GARBAGE\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", &[0; 100_000]]
    {
        let mut stream = site.connect();
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    }
    let huge = format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Large: {}\r\n\r\n", "x".repeat(200_000));
    let answer = site.raw(huge.as_bytes());
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    site.create();
}

#[test]
fn a_slow_sender_is_told_or_cut_off() {
    // Half a body, and then nothing.
    let site = Site::with(ServeOptions { body_time: Duration::from_millis(300), ..options() });
    let mut stream = site.connect();
    write!(stream, "{}{{\"command\"", site.head(100)).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    refused(&site, parsed(&answer), 408, "invalid-argument");
    // Half a head, and then nothing. The bound is on idle connections too, so none is used again afterwards.
    let mut site = Site::with(ServeOptions { head_time: Duration::from_secs(2), ..options() });
    site.client = reqwest::blocking::Client::builder().pool_max_idle_per_host(0).build().unwrap();
    let mut stream = site.connect();
    stream.write_all(b"POST /api/commands HTTP/1.1\r\nHost: loc").unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(!answer.contains("200"), "{answer}");
    site.create();
}

#[test]
fn a_thousand_idle_connections_are_in_nobodys_way() {
    let site = Site::new();
    let idle: Vec<_> = (0..1000).map(|_| site.connect()).collect();
    eventually("all are connected", || site.metric("errand_connections") >= 1000.0);
    site.create();
    drop(idle);
    eventually("they are forgotten", || site.metric("errand_connections") < 10.0);
}

#[test]
fn a_web_page_of_another_site_cannot_drive_the_server() {
    let site = Site::with(ServeOptions { no_auth: true, ..options() });
    let list =
        |name: &'static str, value: &'static str| answer(site.request("jobs.list", json!({})).header(name, value));
    assert_eq!(list("Host", "evil.example").0, 403);
    assert_eq!(list("Origin", "https://evil.example").0, 403);
    assert_eq!(list("Origin", "null").0, 403);
    assert_eq!(list("Host", "localhost").0, 200);
    assert_eq!(list("Authorization", "Bearer anything").0, 200);
}
