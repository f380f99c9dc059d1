//! Files and resources over HTTP: uploads, reads, links, queries; and who may not.

use super::{Site, answer};
use serde_json::{Value, json};
use std::io::{Read, Write};

impl Site {
    fn send(&self, method: &str, path: &str) -> reqwest::blocking::RequestBuilder {
        let url = if path.starts_with("http") { path.to_string() } else { self.url(path) };
        reqwest::blocking::Client::new().request(method.parse().unwrap(), url)
    }

    fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let request = self.send(method, path).bearer_auth(self.token());
        answer(match body {
            Some(body) => request.header("Content-Type", "application/json").body(body.to_string()),
            None => request,
        })
    }

    #[track_caller]
    fn ok(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let (status, data) = self.call(method, path, body);
        assert_eq!(status, 200, "{method} {path}: {data}");
        data
    }

    /// Uploads a file through the one-time URL and gives its URI.
    fn uploaded(&self, filename: &str, content_type: &str, bytes: Vec<u8>) -> String {
        let begun = self.ok(
            "POST",
            "/api/files/uploads/init",
            Some(json!({"filename": filename, "content-type": content_type})),
        );
        let url = begun["upload-url"].as_str().unwrap();
        let (status, put) = answer(self.send("PUT", url).header("Content-Type", content_type).body(bytes));
        assert_eq!((status, &put["uploaded"], &put["uri"]), (200, &json!(true), &begun["uri"]), "{put}");
        begun["uri"].as_str().unwrap().to_owned()
    }

    /// A claimed job of type `t`: id and token.
    fn claimed(&self) -> (String, String) {
        self.create();
        let job = self.get("jobs.claim", json!({"jobType": "t", "workerId": "w"}))["job"].clone();
        (job["jobId"].as_str().unwrap().into(), job["leaseToken"].as_str().unwrap().into())
    }
}

fn query(uri: &str) -> String {
    format!("uri={uri}")
}

#[test]
fn a_file_is_uploaded_by_a_one_time_url_and_read_back() {
    let site = Site::new();
    let begun = site.ok(
        "POST",
        "/api/files/uploads/init",
        Some(json!({"filename": "notes.md", "content-type": "text/markdown; charset=utf-8", "folder": "a/b"})),
    );
    let (uri, url) = (begun["uri"].as_str().unwrap(), begun["upload-url"].as_str().unwrap());
    assert!(url.starts_with(&site.url("/")), "{url}");
    assert_eq!(site.call("GET", &format!("/api/resources/by-uri?{}", query(uri)), None).0, 404, "before its bytes");
    let complete = json!({"uri": uri, "upload-session-id": begun["upload-session-id"]});
    assert_eq!(site.call("POST", "/api/files/uploads/complete", Some(complete.clone())).0, 409);
    let (status, wrong) = answer(site.send("PUT", &format!("{url}0")).body("x"));
    assert_eq!((status, &wrong["error"]["code"]), (404, &json!("not-found")));
    let (status, put) = answer(site.send("PUT", url).body("# Notes\n"));
    assert_eq!((status, put), (200, json!({"uploaded": true, "uri": uri, "size-bytes": 8})));
    assert_eq!(answer(site.send("PUT", url).body("# Other\n")).0, 409, "once only");
    let done = site.ok("POST", "/api/files/uploads/complete", Some(complete));
    assert_eq!(done, json!({"uri": uri, "content-type": "text/markdown; charset=utf-8", "size-bytes": 8}));

    let info = site.ok("GET", &format!("/api/resources/by-uri?{}", query(uri)), None);
    for (name, expected) in [("uri", uri), ("type", "file"), ("filename", "notes.md"), ("folder", "a/b")] {
        assert_eq!(info[name], expected, "{info}");
    }
    assert!(info["created-at"].is_string() && info.get("job-id").is_none(), "{info}");
    let content = site.ok("GET", &format!("/api/resources/content?{}", query(uri)), None);
    assert_eq!((&content["content"], &content["contentType"]), (&json!("# Notes\n"), &info["content-type"]));
    let content = site.ok("GET", &format!("/api/resources/content?{}&view=base64&offset=2&limit=5", query(uri)), None);
    assert_eq!(
        (&content["encoding"], &content["content"], &content["sizeBytes"]),
        (&json!("base64"), &json!("Tm90ZXM="), &json!(8))
    );
    let listed = site.ok("GET", "/api/resources?type=file&limit=10", None);
    assert_eq!(listed["items"][0]["uri"], uri);
    assert_eq!(site.ok("DELETE", &format!("/api/files/by-uri?{}", query(uri)), None)["deleted"], true);
    assert_eq!(site.call("GET", &format!("/api/resources/content?{}", query(uri)), None).0, 404);
}

#[test]
fn a_file_is_uploaded_directly_and_replaced_where_that_was_asked_for() {
    let site = Site::new();
    let init = |replace: bool| {
        let body =
            json!({"filename": "x.bin", "content-type": "application/octet-stream", "replace-existing": replace});
        site.ok("POST", "/api/files/uploads/init", Some(body))["uri"].as_str().unwrap().to_owned()
    };
    let put = |uri: &str, bytes: &'static [u8]| {
        let request = site.send("PUT", &format!("/api/files/uploads/direct?{}", query(uri))).bearer_auth(site.token());
        answer(request.body(bytes))
    };
    let first = init(false);
    assert_eq!(put(&first, b"\0one").0, 200);
    assert_eq!(put(&first, b"\0two").0, 409);
    let other = init(false);
    assert_ne!(first, other);
    assert_eq!(put(&other, b"\0other").0, 200);
    let again = init(true);
    assert_eq!(again, other);
    let read = |uri: &str| {
        site.ok("GET", &format!("/api/resources/content?{}", query(uri)), None)["content"].as_str().unwrap().to_owned()
    };
    assert_eq!(read(&other), "AG90aGVy", "the bytes before are there until the new ones are");
    assert_eq!(put(&again, b"\0new").0, 200);
    assert_eq!((read(&first), read(&other)), ("AG9uZQ==".into(), "AG5ldw==".into()));
}

#[test]
fn a_link_opens_one_resource_for_a_while_without_a_key() {
    let site = Site::new();
    let bytes: Vec<u8> = (0..5_000_000u32).map(|n| (n * 7 % 251) as u8).collect();
    let uri = site.uploaded("Übersicht \"1\".html", "text/html", bytes.clone());
    let other = site.uploaded("b.txt", "text/plain", b"b".to_vec());
    let link = site.ok("GET", &format!("/api/resources/url?{}", query(&uri)), None)["url"].as_str().unwrap().to_owned();
    let response = site.send("GET", &link).send().unwrap();
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(response.status(), 200);
    assert_eq!((header("content-type"), header("x-content-type-options")), ("text/html".into(), "nosniff".into()));
    assert_eq!(
        header("content-disposition"),
        "attachment; filename=\"_bersicht _1_.html\"; filename*=UTF-8''%C3%9Cbersicht%20%221%22.html"
    );
    assert_eq!(response.bytes().unwrap(), bytes);
    for changed in [link.replace(&uri, &other), link.replacen("expires=", "expires=9", 1), format!("{link}0")] {
        let (status, body) = answer(site.send("GET", &changed));
        assert_eq!((status, &body["error"]["code"]), (403, &json!("forbidden")), "{changed}");
    }
}

#[test]
fn values_and_tables_are_read_and_queried() {
    let site = Site::new();
    let (job_id, token) = site.claimed();
    let held = |mut args: Value| {
        args["jobId"] = json!(job_id);
        args["leaseToken"] = json!(token);
        args
    };
    let kv =
        site.get("jobs.attach_kv", held(json!({"label": "v", "value": {"someKey": [1, null]}})))["artifact"].clone();
    let rows: Vec<Value> = (0..30).map(|n| json!({"n": n, "odd": n % 2 == 1})).collect();
    let table =
        site.get("jobs.attach_table", held(json!({"label": "t", "rows": rows, "indexFields": ["odd"]})))["artifact"]
            .clone();
    let kv_uri = kv["resourceUri"].as_str().unwrap();
    let read = site.ok("GET", &format!("/api/resources/content?{}", query(kv_uri)), None);
    assert_eq!(read, json!({"uri": kv_uri, "contentType": "application/json", "content": {"someKey": [1, null]}}));
    let table_uri = table["resourceUri"].as_str().unwrap();
    let read = site.ok("GET", &format!("/api/resources/content?{}&limit=2&offset=28", query(table_uri)), None);
    assert_eq!((&read["rows"], &read["rowCount"], &read["hasMore"]), (&json!(rows[28..]), &json!(30), &json!(false)));
    assert_eq!((&read["tableId"], &read["tableName"]), (&table["tableId"], &table["tableName"]));
    let found = site.ok(
        "POST",
        "/api/resources/table/query",
        Some(json!({"uri": table_uri, "select": ["n"], "where": [["odd", "=", true]], "sort": [["n", "desc"]], "page": {"limit": 2, "offset": 1}})),
    );
    assert_eq!((&found["rows"], &found["count"]), (&json!([{"n": 27}, {"n": 25}]), &json!(2)), "{found}");
    assert_eq!(found["page"], json!({"limit": 2, "offset": 1, "hasMore": true}));
    let info = site.ok("GET", &format!("/api/resources/by-uri?{}", query(table_uri)), None);
    assert_eq!((&info["job-id"], &info["type"]), (&json!(job_id), &json!("result/table")));
    let link =
        site.ok("GET", &format!("/api/resources/url?{}", query(kv_uri)), None)["url"].as_str().unwrap().to_owned();
    assert_eq!(answer(site.send("GET", &link)).1, json!({"someKey": [1, null]}));
}

#[test]
fn names_that_are_paths_and_bodies_that_are_malformed_are_refused() {
    let site = Site::new();
    for (body, words) in [
        (json!({"filename": "../../etc/passwd", "content-type": "a/b"}), "not a plain name"),
        (json!({"filename": "..", "content-type": "a/b"}), "not a plain name"),
        (json!({"filename": "a\u{0}b", "content-type": "a/b"}), "not a plain name"),
        (json!({"filename": "a", "folder": "/etc"}), "relative path"),
        (json!({"filename": "a", "folder": "x/../y"}), "relative path"),
        (json!({"filename": "a", "content-type": "text/html\r\nX: y"}), "content type"),
        (json!({"content-type": "a/b"}), "filename is missing"),
        (json!({"filename": 1}), "not text"),
        (json!([1]), "not a map"),
    ] {
        let (status, answer) = site.call("POST", "/api/files/uploads/init", Some(body.clone()));
        assert_eq!((status, &answer["error"]["code"]), (400, &json!("invalid-argument")), "{body}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(words), "{body}: {answer}");
    }
    for uri in ["file:///etc/passwd", "res://v1/ws/default/file/../../x", "%00", ""] {
        let (status, answer) = site.call("GET", &format!("/api/resources/content?uri={uri}"), None);
        assert!(matches!(status, 400 | 404) && answer["ok"] == false, "{uri}: {status} {answer}");
    }
    let large = json!({"filename": "a".repeat(100_000)});
    assert_eq!(site.call("POST", "/api/files/uploads/init", Some(large)).0, 413);
    assert_eq!(site.call("POST", "/api/files/uploads/direct", None).0, 405);
}

#[test]
fn an_upload_that_breaks_off_leaves_nothing_and_can_be_tried_again() {
    let site = Site::new();
    let begun =
        site.ok("POST", "/api/files/uploads/init", Some(json!({"filename": "a.txt", "content-type": "text/plain"})));
    let url = begun["upload-url"].as_str().unwrap();
    let path = url.strip_prefix(&site.url("")).unwrap();
    let head = format!("PUT {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: 1000\r\n\r\nhalf", site.server.address());
    let mut stream = site.connect();
    stream.write_all(head.as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut said = String::new();
    let _ = stream.read_to_string(&mut said);
    assert!(!said.starts_with("HTTP/1.1 200"), "{said}");
    let tmp = site.store.folder().join("jobs.db-files/tmp");
    crate::program::eventually("the private file is gone", || std::fs::read_dir(&tmp).unwrap().count() == 0);
    assert_eq!(answer(site.send("PUT", url).body("whole")).0, 200);
    let announced =
        format!("PUT {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: 5000000000\r\n\r\n", site.server.address());
    assert!(site.raw(announced.as_bytes()).starts_with("HTTP/1.1 409"));
    let begun =
        site.ok("POST", "/api/files/uploads/init", Some(json!({"filename": "b.txt", "content-type": "text/plain"})));
    let path = begun["upload-url"].as_str().unwrap().strip_prefix(&site.url("")).unwrap().to_owned();
    let announced =
        format!("PUT {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: 5000000000\r\n\r\n", site.server.address());
    assert!(site.raw(announced.as_bytes()).starts_with("HTTP/1.1 413"));
}

#[test]
fn a_key_reads_and_writes_only_what_its_scopes_job_types_and_workspace_allow() {
    let site = Site::new();
    let (job_id, token) = site.claimed();
    let args = json!({"jobId": job_id, "leaseToken": token, "label": "v", "value": 1});
    let uri = site.get("jobs.attach_kv", args.clone())["artifact"]["resourceUri"].as_str().unwrap().to_owned();
    let as_key = |key: &str, method: &str, path: &str| answer(site.send(method, path).bearer_auth(key)).0;
    let content = format!("/api/resources/content?{}", query(&uri));
    let key = |workspace: &str, scopes: &[&str], types: Option<&[&str]>| {
        let mut account = json!({"name": "k", "capabilities": scopes});
        if let Some(types) = types {
            account["allowedJobTypes"] = json!(types);
        }
        site.key(workspace, account).secret
    };
    let reader = key("default", &["resources.read"], None);
    assert_eq!(as_key(&reader, "GET", &content), 200);
    assert_eq!(as_key(&reader, "DELETE", &format!("/api/files/by-uri?{}", query(&uri))), 403);
    let submitter = key("default", &["jobs.submit"], None);
    assert_eq!(as_key(&submitter, "GET", &content), 403);
    assert_eq!(as_key("nonsense", "GET", &content), 401);
    let worker = key("default", &["jobs.worker", "resources.read", "resources.write"], Some(&["other"]));
    assert_eq!(as_key(&worker, "GET", &content), 403, "another type's");
    assert_eq!(as_key(&worker, "GET", &format!("/api/resources/url?{}", query(&uri))), 403);
    assert_eq!(site.ask_as(&worker, "jobs.attach_kv", args).0, 403);
    let right = key("default", &["jobs.worker", "resources.read", "resources.write"], Some(&["t"]));
    assert_eq!(as_key(&right, "GET", &content), 200);
    let stranger = key("elsewhere", &["workspace.full"], None);
    assert_eq!(as_key(&stranger, "GET", &content), 404);
    let guessed = format!("/api/resources/content?{}", query(&uri.replace("/ws/default/", "/ws/elsewhere/")));
    assert_eq!(as_key(&stranger, "GET", &guessed), 404);
}

#[test]
fn edn_callers_get_edn() {
    let site = Site::new();
    let uri = site.uploaded("a.txt", "text/plain", b"hello".to_vec());
    let path = format!("/api/resources/content?{}", query(&uri));
    let response =
        site.send("GET", &path).bearer_auth(site.token()).header("Accept", "application/edn").send().unwrap();
    let text = response.text().unwrap();
    assert!(text.contains(":content \"hello\"") && text.contains(":content-type \"text/plain\""), "{text}");
}
