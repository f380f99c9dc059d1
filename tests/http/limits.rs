//! Limits of what comes over HTTP: heads, headers and bodies at their bound and one over it; errors that stay short.
//! What a command takes is bounded by the table of commands: `promises::limits`.

use super::{Site, answer, parsed};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::io::{Read, Write};

const LIST: &str = r#"{"command": "jobs.list", "args": {}}"#;

impl Site {
    /// The answer to a body for a path, with more lines in the head.
    fn post_raw(&self, path: &str, more: &str, body: &str) -> (u16, Value) {
        let head = self.head(body.len()).replace("/api/commands", path).replace("\r\n\r\n", &format!("\r\n{more}\r\n"));
        let mut stream = self.connect();
        // The server may refuse before it has read all.
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        parsed(&String::from_utf8_lossy(&answer))
    }

    /// How many jobs there are.
    fn jobs(&self) -> i64 {
        self.get("jobs.stats", json!({}))["total"].as_i64().expect("a number")
    }
}

/// The message of a refusal with this status and code, which is short.
#[track_caller]
fn refused((status, body): (u16, Value), expected: u16, code: &str) -> String {
    assert_eq!((status, &body["ok"], &body["error"]["code"]), (expected, &json!(false), &json!(code)), "{body:.300}");
    let size = body.to_string().len();
    assert!(size < 4_000, "the answer has {size} bytes");
    body["error"]["message"].as_str().expect("a message").to_owned()
}

fn padded(body: &str, size: usize) -> String {
    format!("{body}{}", " ".repeat(size - body.len()))
}

#[test]
fn headers_of_ours_have_a_bound() {
    let site = Site::new();
    for name in ["X-Errand-Workspace", "X-Breyta-Workspace", "X-Errand-Operation-ID", "X-Breyta-Operation-ID"] {
        let ask = |bytes: usize| site.post_raw("/api/commands", &format!("{name}: {}\r\n", "a".repeat(bytes)), LIST);
        assert_eq!(ask(128).0, 200, "{name}");
        let message = refused(ask(129), 400, "invalid-argument");
        assert_eq!(
            message,
            format!("header {} is malformed; allowed: at most 128 characters of ASCII", name.to_lowercase())
        );
    }
}

#[test]
fn the_head_of_a_request_has_a_bound() {
    let site = Site::new();
    let head = |bytes: usize| {
        format!(
            "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Large: {}\r\n\r\n",
            "x".repeat(bytes)
        )
    };
    assert!(site.raw(head((64 << 10) - head(0).len()).as_bytes()).starts_with("HTTP/1.1 200"));
    // The bound is on what is held of a head; the last that was read may be beyond it.
    let answer = site.raw(head(128 << 10).as_bytes());
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[test]
fn every_body_has_a_bound() {
    let site = Site::new();
    let held = site.create();
    let held = (held, site.get("jobs.claim", json!({"jobType": "t", "workerId": "w"}))["job"]["leaseToken"].clone());
    let table = json!({"jobId": held.0, "leaseToken": held.1, "label": "rows", "rows": [{"a": 1}]});
    let table = site.get("jobs.attach_table", table)["artifact"]["resourceUri"].clone();
    let uploaded = json!({"uri": table}).to_string();
    for (path, body, max, status) in [
        ("/api/commands", LIST.to_owned(), 64 << 20, 200),
        ("/api/files/uploads/init", json!({"filename": "f"}).to_string(), 64 << 10, 200),
        // There is no such upload: it was read.
        ("/api/files/uploads/complete", uploaded, 64 << 10, 404),
        ("/api/resources/table/query", json!({"uri": table}).to_string(), 1 << 20, 200),
    ] {
        assert_eq!(site.post_raw(path, "", &padded(&body, max)).0, status, "{path}");
        let before = crate::promises::rows(&site.store.path());
        let message = refused(site.post_raw(path, "", &padded(&body, max + 1)), 413, "payload-too-large");
        assert_eq!(message, format!("body is too large; at most {max} bytes are allowed"), "{path}");
        assert!(crate::promises::rows(&site.store.path()) == before, "{path}: something was written");
    }
}

#[test]
fn an_answer_stays_short_whatever_was_sent() {
    let site = Site::new();
    let long = "x".repeat(1 << 20);
    let before = site.jobs();
    for args in [
        json!({&long: 1}),
        json!({"jobType": "t", "maxAttempts": &long}),
        json!({"jobType": "t", "idempotencyKey": &long}),
        json!({"jobType": "t", "metadata": &long}),
        json!({"jobType": &long}),
        json!([&long]),
    ] {
        let (status, body) = site.ask_as(site.token(), "jobs.create", args);
        let code = body["error"]["code"].as_str().unwrap_or_default().to_owned();
        refused((status, body), status, &code);
        assert!(matches!(status, 400 | 413), "{status}");
    }
    let raw = |kind: &str, body: String| {
        let request = super::client().post(site.url("/api/commands")).bearer_auth(site.token());
        answer(request.header("Content-Type", kind).header("Accept", "application/json").body(body))
    };
    let payload =
        |text: &str| format!("{{\"command\": \"jobs.create\", \"args\": {{\"jobType\": \"t\", \"payload\": {text}}}}}");
    for body in [
        json!({"command": &long}).to_string(),
        json!({&long: 1}).to_string(),
        format!("{{\"{long}\": 1, \"{long}\": 2}}"),
        payload(&format!("{{\"{long}\": 1, \"{long}\": 2}}")),
        payload(&format!("{{\"{long}\": {}}}", "[".repeat(200))),
        payload(&long),
        payload(&format!("1{long}")),
        payload(&format!("\"{long}\\q\"")),
    ] {
        refused(raw("application/json", body), 400, "invalid-argument");
    }
    let payload = |text: &str| format!("{{:command \"jobs.create\" :args {{:job-type \"t\" :payload {text}}}}}");
    for body in [
        format!("{{:{long} 1}}"),
        format!("{{:command :{long}}}"),
        payload(&format!("{{:{long} 1 :{long} 2}}")),
        payload(&format!("{{:{long} {{:{long} [}}")),
        payload(&format!("1{long}")),
        payload(&format!("\\{long}")),
        payload(&format!("#inst \"{long}\"")),
        payload(&format!("#uuid \"{long}\"")),
        payload(&format!("{{:{long} {}", "[".repeat(200))),
        payload(&format!("##{long}")),
    ] {
        refused(raw("application/edn", body), 400, "invalid-argument");
    }
    for path in ["/api/resources/content?uri=", "/api/resources/by-uri?uri=", "/api/resources?type=", "/api/"] {
        let url = site.url(&format!("{path}{}", "x".repeat(50_000)));
        let (status, body) = answer(super::client().get(url).bearer_auth(site.token()));
        let code = body["error"]["code"].as_str().unwrap_or_default().to_owned();
        refused((status, body), status, &code);
        assert!(matches!(status, 400 | 404), "{path} {status}");
    }
    let host = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", "h".repeat(50_000));
    refused(parsed(&site.raw(host.as_bytes())), 403, "forbidden");
    assert_eq!(site.jobs(), before);
}

#[test]
fn values_nest_as_deep_as_the_bound_and_no_deeper() {
    let site = Site::new();
    let nested = |open: &str, depth: usize, close: &str| format!("{}1{}", open.repeat(depth), close.repeat(depth));
    let json = |open: &str, close: &str, depth: usize| {
        let payload = nested(open, depth, close);
        let body =
            format!("{{\"command\": \"jobs.create\", \"args\": {{\"jobType\": \"t\", \"payload\": {payload}}}}}");
        let request = super::client().post(site.url("/api/commands")).bearer_auth(site.token());
        answer(request.header("Content-Type", "application/json").body(body))
    };
    let edn = |open: &str, close: &str, depth: usize| {
        let payload = nested(open, depth, close);
        let body = format!("{{:command \"jobs.create\" :args {{:job-type \"t\" :payload {payload}}}}}");
        let request = super::client().post(site.url("/api/commands")).bearer_auth(site.token());
        answer(request.header("Content-Type", "application/edn").header("Accept", "application/json").body(body))
    };
    type Ask<'a> = &'a dyn Fn(&str, &str, usize) -> (u16, Value);
    for (ask, open, close) in [
        (&json as Ask, "[", "]"),
        (&json, "{\"a\":", "}"),
        (&edn, "[", "]"),
        (&edn, "(", ")"),
        (&edn, "#{", "}"),
        (&edn, "{:a ", "}"),
    ] {
        assert_eq!(ask(open, close, 100).0, 200, "{open}");
        let before = site.jobs();
        let message = refused(ask(open, close, 101), 400, "invalid-argument");
        assert!(message.ends_with("nesting is deeper than 100 levels"), "{open}: {message}");
        assert_eq!(site.jobs(), before);
    }
}

/// Text around a bound.
fn around(max: usize) -> impl Strategy<Value = usize> {
    prop_oneof![0..4usize, max - 2..max + 3, Just(max), Just(max + 1)]
}

#[test]
fn a_submission_around_its_bounds_is_stored_whole_or_refused_with_its_place() {
    let site = Site::new();
    let runs = ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() };
    let submission = (around(128), around(512), -1i64..103, around(1 << 16), around(1 << 20));
    let test = |(job_type, key, attempts, metadata, payload): (usize, usize, i64, usize, usize)| {
        let text = |size: usize| "a".repeat(size);
        // Sizes are those of EDN text: two more for the quotes.
        let args = json!({
            "jobType": text(job_type), "parentStepId": text(key), "maxAttempts": attempts,
            "metadata": text(metadata.saturating_sub(2)), "payload": text(payload.saturating_sub(2)),
        });
        let wrong: Vec<&str> = [
            (!(1..=128).contains(&job_type), "jobType"),
            (!(1..=512).contains(&key), "parentStepId"),
            (!(1..=100).contains(&attempts), "maxAttempts"),
            (metadata > 1 << 16, "metadata"),
            (payload > 1 << 20, "payload"),
        ]
        .into_iter()
        .filter_map(|(wrong, name)| wrong.then_some(name))
        .collect();
        let before = site.jobs();
        let (status, body) = site.ask_as(site.token(), "jobs.create", args);
        if wrong.is_empty() {
            prop_assert_eq!(status, 200, "{:.300}", body.to_string());
            let id = body["data"]["job"]["jobId"].as_str().expect("an id");
            let stored = site.get("jobs.get", json!({"jobId": id}))["job"]["payload"].clone();
            prop_assert_eq!(stored.as_str().map(str::len), Some(payload.saturating_sub(2)));
        } else {
            let place = body["error"]["path"][0].as_str().unwrap_or_default();
            prop_assert!(wrong.contains(&place), "{wrong:?}: {:.300}", body.to_string());
            prop_assert!(matches!(status, 400 | 413) && body.to_string().len() < 4_000);
            prop_assert_eq!(site.jobs(), before);
        }
        Ok(())
    };
    proptest::test_runner::TestRunner::new(runs).run(&submission, test).unwrap_or_else(|error| panic!("{error}"));
}
