//! Requests that want something else than they say: two in one, two names for one server, links and addresses of others.

use super::{Site, answer, later, options, parsed};
use crate::program::eventually;
use errand::http::ServeOptions;
use serde_json::json;
use std::io::{Read, Write};

const LIST: &str = r#"{"command": "jobs.list", "args": {}}"#;

fn head(site: &Site, more: &str) -> String {
    let address = site.server.address();
    format!("POST /api/commands HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n{more}\r\n\r\n")
}

/// The statuses of the answers to bytes that are sent at once.
fn statuses(site: &Site, bytes: &str) -> Vec<u16> {
    let mut stream = site.connect();
    // The server may refuse before it has read all.
    let _ = stream.write_all(bytes.as_bytes());
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    let text = String::from_utf8_lossy(&all).into_owned();
    text.split("HTTP/1.1 ").skip(1).map(|rest| rest[..3].parse().unwrap()).collect()
}

#[test]
fn a_request_whose_end_is_not_clear_hides_no_other() {
    let site = Site::with(ServeOptions { no_auth: true, ..options() });
    let create = r#"{"command": "jobs.create", "args": {"jobType": "hidden"}}"#;
    let hidden = head(&site, &format!("Content-Length: {}", create.len())) + create;
    let chunked = format!("{:x}\r\n{LIST}\r\n0\r\n\r\n{hidden}", LIST.len());
    for more in ["Content-Length: 5\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 5"] {
        let seen = statuses(&site, &(head(&site, more) + &chunked));
        assert!(matches!(seen[..], [200 | 400]), "{more}: {seen:?}");
    }
    let length = LIST.len();
    for more in [
        &*format!("Content-Length: 5\r\nContent-Length: {length}"),
        &format!("Content-Length: {length}, 5"),
        &format!("Content-Length: +{length}"),
        "Content-Length: -1",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding : chunked",
        "X-Folded: a\r\n Content-Length: 5",
    ] {
        let seen = statuses(&site, &(head(&site, more) + &chunked));
        assert_eq!(seen, [400], "{more}");
    }
    for size in ["ffffffffffffffffff", "-1", "0x5", ""] {
        let body = format!("{size}\r\n{LIST}\r\n0\r\n\r\n{hidden}");
        let seen = statuses(&site, &(head(&site, "Transfer-Encoding: chunked") + &body));
        assert!(matches!(seen[..], [] | [400]), "{size}: {seen:?}");
    }
    assert_eq!(site.get_open("jobs.stats", json!({"jobType": "hidden"}))["total"], 0);
}

impl Site {
    /// The data of a command asked without any key.
    fn get_open(&self, command: &str, args: serde_json::Value) -> serde_json::Value {
        answer(self.request(command, args)).1["data"].clone()
    }
}

#[test]
fn what_may_stand_once_in_a_head_does_not_stand_there_twice() {
    let site = Site::new();
    let (address, token) = (site.server.address(), site.token());
    let ask = |more: &str| {
        let bytes = head(&site, &format!("Connection: close\r\nContent-Length: {}\r\n{more}", LIST.len())) + LIST;
        parsed(&site.raw(bytes.as_bytes())).0
    };
    let key = format!("Authorization: Bearer {token}");
    assert_eq!(ask(&key), 200);
    assert_eq!(ask(&format!("{key}\r\nHost: {address}")), 403);
    assert_eq!(ask(&format!("{key}\r\nAuthorization: Bearer other")), 401);
    assert_eq!(ask(&format!("Authorization: Bearer other\r\n{key}")), 401);
    assert_eq!(ask(&format!("{key}\r\nX-Errand-Workspace: a\r\nX-Errand-Workspace: b")), 400);
    let elsewhere = format!(
        "POST http://evil.example/api/commands HTTP/1.1\r\nHost: {address}\r\n{key}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{LIST}",
        LIST.len()
    );
    assert_eq!(parsed(&site.raw(elsewhere.as_bytes())).0, 403);
}

#[test]
fn a_signed_link_is_over_when_its_time_is() {
    let site = Site::new();
    let job = site.create();
    let held = site.get("jobs.claim", json!({"jobType": "t", "workerId": "w"}))["job"]["leaseToken"].clone();
    let value = json!({"jobId": job, "leaseToken": held, "label": "v", "value": 7});
    let kv = site.get("jobs.attach_kv", value)["artifact"]["resourceUri"].as_str().unwrap().to_owned();
    let link = site.client.get(site.url(&format!("/api/resources/url?uri={kv}"))).bearer_auth(site.token());
    assert_eq!(answer(link).0, 200);
    let store = rusqlite::Connection::open(site.store.path()).unwrap();
    let key: String = store.query_row("SELECT value FROM meta WHERE name = 'link_key'", [], |row| row.get(0)).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    let open = |expires_at: i64| {
        let signature = errand::resource::signature(&key, &kv, expires_at);
        let path = format!("/api/resources/download?uri={kv}&expires={expires_at}&signature={signature}");
        site.client.get(site.url(&path)).send().unwrap().status().as_u16()
    };
    assert_eq!((open(now + 600_000), open(now - 1), open(0), open(-1)), (200, 403, 403, 403));
}

#[test]
fn an_await_whose_key_is_revoked_meanwhile_tells_nothing() {
    let site = Site::new();
    let key = site.key("default", json!({"name": "r", "capabilities": ["jobs.read"]}));
    let job = site.create();
    let wait = site.request("jobs.await", json!({"jobId": job, "timeoutMs": 30_000})).bearer_auth(&key.secret);
    let waiting = later(move || answer(wait));
    eventually("it waits", || site.metric("errand_long_polls") == 1.0);
    site.get("service_accounts.update", json!({"serviceAccountId": key.account_id, "status": "disabled"}));
    site.get("jobs.cancel", json!({"jobId": job}));
    let (status, body) = waiting.recv_timeout(super::PATIENCE).unwrap();
    assert_eq!((status, &body["error"]["code"]), (401, &json!("unauthenticated")), "{body}");
}
