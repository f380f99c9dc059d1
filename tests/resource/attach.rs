//! Values and tables that a worker attaches: recorded at once, fenced by the lease, named as the contract says.

use super::Claimed;
use crate::support::{ask, at, get, text};
use errand::api::{Code, Names};
use errand::value::{Value, edn, json};

#[test]
fn a_value_is_recorded_on_the_running_job_at_once() {
    let claimed = Claimed::new();
    let reply = get(
        &*claimed.client,
        "jobs.attach_kv",
        &claimed.held(r#":label "report" :value {:findings 3} :content-type "application/json""#),
    );
    let artifact = at(&reply, &["artifact"]);
    let key = format!("job:{}:report", claimed.job_id);
    assert_eq!((text(artifact, &["kind"]), text(artifact, &["key"])), ("kv", key.as_str()));
    assert_eq!(at(artifact, &["size-bytes"]), &Value::Int(13));
    let uri = text(artifact, &["resource-uri"]);
    assert!(uri.starts_with("res://v1/ws/default/result/kv/"), "{uri}");
    let job = get(&*claimed.client, "jobs.get", &format!("{{:job-id {:?}}}", claimed.job_id));
    let json = json::write(at(&job, &["job", "result", "artifacts"]));
    assert_eq!(json, format!("[{}]", json::write(artifact)));
    for name in ["label", "kind", "contentType", "resourceUri", "key", "sizeBytes"] {
        assert!(json.contains(&format!("\"{name}\":")), "{name}: {json}");
    }
}

#[test]
fn a_value_under_the_same_key_is_replaced_and_keeps_its_uri() {
    let claimed = Claimed::new();
    let first = claimed.attach("jobs.attach_kv", r#":label "a" :value 1"#);
    let second = claimed.attach("jobs.attach_kv", r#":label "a" :value nil"#);
    let other = claimed.attach("jobs.attach_kv", r#":label "b" :key "a" :value 3"#);
    assert_eq!((&first, &second), (&second, &other));
    let read = get(&*claimed.client, "resources.read", &format!("{{:uri {first:?}}}"));
    assert_eq!(at(&read, &["content"]), &Value::Text("3".into()));
}

#[test]
fn a_stale_token_attaches_nothing() {
    let claimed = Claimed::new();
    for (command, what) in [("jobs.attach_kv", ":value 1"), ("jobs.attach_table", ":rows [{:a 1}]")] {
        let args = format!("{{:job-id {:?} :lease-token \"stale\" :label \"x\" {what}}}", claimed.job_id);
        assert_eq!(ask(&*claimed.client, command, &args).unwrap_err().code, Code::LeaseLost);
    }
    get(&*claimed.client, "jobs.complete", &claimed.held(""));
    for (command, what) in [("jobs.attach_kv", ":value 1"), ("jobs.attach_table", ":rows [{:a 1}]")] {
        let error = ask(&*claimed.client, command, &claimed.held(&format!(":label \"x\" {what}"))).unwrap_err();
        assert_eq!(error.code, Code::Refused, "{error:?}");
    }
    let list = get(&*claimed.client, "resources.list", "{}");
    assert_eq!(at(&list, &["items"]), &Value::Vector(Vec::new()));
}

#[test]
fn what_is_too_large_or_malformed_is_refused_with_its_place() {
    let claimed = Claimed::new();
    let refused = |command: &str, args: &str| ask(&*claimed.client, command, &claimed.held(args)).unwrap_err();
    let large = format!(":label \"x\" :value {:?}", "a".repeat(1 << 20));
    assert_eq!(refused("jobs.attach_kv", &large).code, Code::PayloadTooLarge);
    for (args, words) in [
        (":label \"x\" :rows []", "has 0 rows"),
        (":label \"x\" :rows [1]", ":rows 0 is a number"),
        (":label \"x\" :rows [{:a 1}] :key-fields [\"a\" \"a\"]", "twice"),
        (":label \"x\" :rows [{:a 1}] :write-mode \"merge\"", "\"append\", \"upsert\""),
        (":label \"x\" :rows [{:a 1}] :write-mode \"upsert\"", "no key fields"),
        (":label \"x\" :rows [{:a 1}] :write-mode \"upsert\" :key-fields [\"b\"]", "rows 0 has no \"b\""),
        (":rows [{:a 1}]", ":label is missing"),
    ] {
        let error = refused("jobs.attach_table", args);
        assert_eq!(error.code, Code::InvalidArgument, "{args}");
        assert!(error.message.contains(words), "{args}: {}", error.message);
    }
    let long = format!(":label \"x\" :rows [{{:a {:?}}}] :index-fields [\"a\"]", "a".repeat(2000));
    assert_eq!(refused("jobs.attach_table", &long).code, Code::PayloadTooLarge);
}

#[test]
fn a_workspace_sees_nothing_of_another_ones_resources() {
    let claimed = Claimed::new();
    let uri = claimed.attach("jobs.attach_kv", r#":label "a" :value 1"#);
    let other = claimed.store.open_with(errand::api::OpenOptions { workspace: "b".into(), ..Default::default() });
    let guessed = uri.replace("/ws/default/", "/ws/b/");
    for uri in [&uri, &guessed] {
        for command in ["resources.get", "resources.read", "resources.delete", "resources.table_query"] {
            let error = ask(&*other, command, &format!("{{:uri {uri:?}}}")).unwrap_err();
            assert_eq!(error.code, Code::NotFound, "{command} {uri}");
        }
    }
    assert_eq!(at(&get(&*other, "resources.list", "{}"), &["items"]), &Value::Vector(Vec::new()));
    for uri in ["res://v1/ws/default/result/kv/", "file:///etc/passwd", "res://v1/ws/default/secret/x", ""] {
        let error = ask(&*claimed.client, "resources.get", &format!("{{:uri {uri:?}}}")).unwrap_err();
        assert_eq!(error.code, Code::InvalidArgument, "{uri}");
    }
}

#[test]
fn resources_are_listed_by_job_and_type_a_page_at_a_time() {
    let claimed = Claimed::new();
    for n in 0..5 {
        claimed.attach("jobs.attach_kv", &format!(":label \"v{n}\" :value {n}"));
    }
    claimed.attach("jobs.attach_table", r#":label "rows" :rows [{:a 1}]"#);
    let page =
        get(&*claimed.client, "resources.list", &format!("{{:job-id {:?} :type \"kv\" :limit 3}}", claimed.job_id));
    let cursor = text(&page, &["next-cursor"]);
    let rest = get(&*claimed.client, "resources.list", &format!("{{:type \"kv\" :cursor {cursor:?}}}"));
    let labels = |page: &Value| match at(page, &["items"]) {
        Value::Vector(items) => items.iter().map(|item| text(item, &["label"]).to_string()).collect::<Vec<_>>(),
        other => panic!("{}", edn::write(other)),
    };
    assert_eq!(
        (labels(&page), labels(&rest)),
        (vec!["v4".into(), "v3".into(), "v2".into()], vec!["v1".into(), "v0".into()])
    );
}

#[test]
fn a_json_caller_names_things_in_camel_case() {
    let claimed = Claimed::new();
    let args = format!(
        r#"{{"jobId": {:?}, "leaseToken": {:?}, "label": "rows", "rows": [{{"someKey": 1, "a/b": 2}}], "writeMode": "upsert", "keyFields": ["someKey"]}}"#,
        claimed.job_id, claimed.token
    );
    let args = json::read(args.as_bytes(), errand::api::open_fields()).unwrap();
    let reply = errand::api::ask(&*claimed.client, "jobs.attach_table", args, Names::Json).unwrap();
    let json = json::write(at(&reply, &["artifact"]));
    for part in [
        format!("\"tableName\":\"job-{}-rows\"", claimed.job_id),
        "\"rowsWritten\":1,\"rowCount\":1,\"keyFields\":[\"someKey\"],\"indexFields\":[],\"writeMode\":\"upsert\""
            .into(),
        "\"contentType\":\"application/vnd.breyta.table+json\"".into(),
    ] {
        assert!(json.contains(&part), "{part}: {json}");
    }
    let uri = text(&reply, &["artifact", "resource-uri"]);
    let found = get(&*claimed.client, "resources.table_query", &format!("{{:uri {uri:?}}}"));
    assert!(json::write(&found).contains("\"rows\":[{\"someKey\":1,\"a/b\":2}]"), "{}", json::write(&found));
}
