//! What a key opens, and what it does not: workspaces, scopes, job types, expiry, revocation, secrets.

use super::{Site, answer, later, options};
use crate::program::eventually;
use crate::support::Store;
use errand::api::{COMMANDS, Kind, SCOPES};
use serde_json::{Map, Value, json};

/// Arguments that a command takes, all about things that are not there.
fn some_args(fields: &[errand::api::Field]) -> Value {
    let required = fields.iter().filter(|field| field.required).map(|field| {
        let value = match field.kind {
            Kind::Jobs | Kind::Rows(_) => json!([{}]),
            Kind::Words(words) => json!([words[0]]),
            Kind::Int(min, _) | Kind::Millis(min, _) => json!(min),
            Kind::Open(_) => json!("x"),
            _ => json!("none"),
        };
        (errand::value::camel(field.name), value)
    });
    Value::Object(required.collect::<Map<_, _>>())
}

#[test]
fn each_command_needs_its_scope_and_full_access_is_enough() {
    let site = Site::new();
    let keys: Vec<_> = SCOPES
        .iter()
        .map(|scope| (*scope, site.key("default", json!({"name": scope, "capabilities": [scope]}))))
        .collect();
    for command in COMMANDS {
        for (scope, key) in &keys {
            let allowed = *scope == command.scope.name() || *scope == "workspace.full";
            let (status, body) = site.ask_as(&key.secret, command.name, some_args(command.fields));
            assert_eq!(status != 403, allowed, "{} with {scope}: {body}", command.name);
            assert!(status < 500, "{} with {scope}: {body}", command.name);
        }
    }
}

#[test]
fn a_key_of_one_workspace_sees_nothing_of_another() {
    let site = Site::new();
    let all = json!({"name": "all", "capabilities": ["workspace.full"]});
    let (a, b) = (site.key("a", all.clone()), site.key("b", all));
    let made = site.ask_as(&a.secret, "jobs.create", json!({"jobType": "t", "payload": "of a"})).1;
    assert_eq!(made["workspaceId"], "a");
    let job_id = made["data"]["job"]["jobId"].clone();
    let batch = site.ask_as(&a.secret, "jobs.batches.create", json!({"jobType": "t", "jobs": [{}]})).1;
    let batch_id = batch["data"]["batch"]["batchId"].clone();
    let claim = json!({"jobType": "t", "workerId": "w"});
    let claimed = site.ask_as(&a.secret, "jobs.claim", claim.clone()).1["data"]["job"].clone();
    let ids = json!({"jobId": job_id, "batchId": batch_id, "leaseToken": claimed["leaseToken"],
        "serviceAccountId": a.account_id, "keyId": a.key_id});

    for command in COMMANDS {
        let mut args = some_args(command.fields);
        let given: Vec<String> = args.as_object().unwrap().keys().cloned().collect();
        let named = given.iter().filter(|name| ids.get(name.as_str()).is_some()).count();
        for name in given {
            if let Some(id) = ids.get(&name) {
                args[&name] = id.clone();
            }
        }
        let (status, body) = site.ask_as(&b.secret, command.name, args);
        if named > 0 {
            assert_eq!(status, 404, "{}: {body}", command.name);
        }
        let text = body.to_string();
        assert!(!text.contains("of a") && !text.contains(claimed["leaseToken"].as_str().unwrap()), "{text}");
    }
    let items = |command: &str| site.ask_as(&b.secret, command, json!({})).1["data"]["items"].as_array().unwrap().len();
    // Its own are there: those that the loop above made.
    assert_eq!((items("jobs.list"), items("jobs.batches.list"), items("service_accounts.list")), (2, 1, 2));
    assert_eq!(site.ask_as(&b.secret, "jobs.claim", claim).1["data"]["job"], Value::Null);
    let elsewhere = site.request("jobs.list", json!({})).bearer_auth(&b.secret).header("X-Breyta-Workspace", "a");
    assert_eq!(answer(elsewhere).0, 403);
    let metrics = super::client().get(site.url("/metrics"));
    let seen = metrics.try_clone().unwrap().bearer_auth(&b.secret).send().unwrap().text().unwrap();
    assert!(seen.contains("workspace=\"b\"") && !seen.contains("workspace=\"a\""), "{seen}");
    assert!(!metrics.send().unwrap().text().unwrap().contains("errand_jobs"));
}

#[test]
fn a_key_that_is_limited_to_a_job_type_can_do_nothing_about_another() {
    let site = Site::new();
    let key = site.key(
        "default",
        json!({"name": "w", "capabilities": ["jobs.submit", "jobs.read", "jobs.worker", "jobs.manage"],
            "allowedJobTypes": ["mine"]}),
    );
    let ask = |command: &str, args: Value| site.ask_as(&key.secret, command, args);
    let theirs = site.create();
    let batch = site.get("jobs.batches.create", json!({"jobType": "t", "jobs": [{}]}))["batch"]["batchId"].clone();
    let held = site.get("jobs.claim", json!({"jobType": "t", "workerId": "w"}))["job"].clone();
    let lease = json!({"jobId": held["jobId"], "leaseToken": held["leaseToken"]});
    for (command, args) in [
        ("jobs.create", json!({"jobType": "t"})),
        ("jobs.batches.create", json!({"jobType": "t", "jobs": [{}]})),
        ("jobs.claim", json!({"jobType": "t", "workerId": "w"})),
        ("jobs.claim", json!({"jobType": "mine", "workerId": "w", "batchId": batch})),
        ("jobs.get", json!({"jobId": theirs})),
        ("jobs.await", json!({"jobId": theirs, "timeoutMs": 0})),
        ("jobs.cancel", json!({"jobId": theirs})),
        ("jobs.retry", json!({"jobId": theirs})),
        ("jobs.heartbeat", lease.clone()),
        ("jobs.progress", lease.clone()),
        ("jobs.complete", lease.clone()),
        ("jobs.fail", lease.clone()),
        ("jobs.release", lease),
        ("jobs.batches.get", json!({"batchId": batch})),
        ("jobs.batches.cancel", json!({"batchId": batch})),
        ("jobs.batches.await", json!({"batchId": batch, "timeoutMs": 0})),
        ("jobs.list", json!({})),
        ("jobs.list", json!({"jobType": "t"})),
        ("jobs.stats", json!({})),
    ] {
        let (status, body) = ask(command, args.clone());
        assert_eq!((status, &body["error"]["code"]), (403, &json!("forbidden")), "{command} {args}: {body}");
    }
    let mine = ask("jobs.create", json!({"jobType": "mine"})).1["data"]["job"]["jobId"].clone();
    assert_eq!(ask("jobs.get", json!({"jobId": mine})).0, 200);
    assert_eq!(ask("jobs.list", json!({"jobType": "mine"})).1["data"]["items"][0]["jobId"], mine);
    assert_eq!(ask("jobs.claim", json!({"jobType": "mine", "workerId": "w"})).1["data"]["job"]["jobId"], mine);
    // What is not there is not forbidden.
    assert_eq!(ask("jobs.get", json!({"jobId": "none"})).0, 404);
    // It cannot make itself a key that is not limited.
    let full =
        site.key("default", json!({"name": "f", "capabilities": ["workspace.full"], "allowedJobTypes": ["mine"]}));
    let more = json!({"name": "more", "capabilities": ["workspace.full"]});
    assert_eq!(site.ask_as(&full.secret, "service_accounts.create", more).0, 403);
}

#[test]
fn disabling_and_revoking_take_effect_at_once_even_on_who_waits() {
    let site = Site::new();
    let key = site.key("default", json!({"name": "w", "capabilities": ["jobs.worker", "jobs.submit"]}));
    let status = |value: &str| {
        site.get("service_accounts.update", json!({"serviceAccountId": key.account_id, "status": value}));
        site.ask_as(&key.secret, "jobs.claim", json!({"jobType": "none", "workerId": "w"})).0
    };
    assert_eq!((status("disabled"), status("active")), (401, 200));
    let claim = site.request("jobs.claim", json!({"jobType": "t", "workerId": "w", "waitMs": 30_000}));
    let waiting = later({
        let claim = claim.bearer_auth(&key.secret);
        move || answer(claim)
    });
    eventually("it waits", || site.metric("errand_long_polls") == 1.0);
    let revoked = site.get("service_accounts.keys.revoke", json!({"keyId": key.key_id}));
    assert_eq!(revoked["key"]["status"], "revoked");
    assert_eq!(site.ask_as(&key.secret, "jobs.create", json!({"jobType": "t"})).0, 401);
    let job = site.create();
    assert_eq!(waiting.recv_timeout(super::PATIENCE).unwrap().0, 401);
    assert_eq!(site.get("jobs.get", json!({"jobId": job}))["job"]["status"], "queued");
}

#[test]
fn a_key_expires_and_an_expiry_is_an_instant_to_come() {
    let site = Site::new();
    let key = site.key("default", json!({"name": "k", "capabilities": ["jobs.read"]}));
    let make = |expires: &str| {
        let args = json!({"serviceAccountId": key.account_id, "expiresAt": expires});
        site.ask_as(site.token(), "service_accounts.keys.create", args)
    };
    assert_eq!(make("2001-01-01T00:00:00Z").0, 400);
    assert_eq!(make("tomorrow").0, 400);
    assert_eq!(make("2100-01-01T00:00:00Z").1["data"]["key"]["expiresAt"], "2100-01-01T00:00:00.000Z");
    let soon = std::time::SystemTime::now() + std::time::Duration::from_millis(700);
    let ms = soon.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    let text = errand::value::json::write(&errand::value::Value::Inst(ms));
    let secret = make(text.trim_matches('"')).1["data"]["key"]["secret"].as_str().unwrap().to_owned();
    assert_eq!(site.ask_as(&secret, "jobs.list", json!({})).0, 200);
    eventually("it is expired", || site.ask_as(&secret, "jobs.list", json!({})).0 == 401);
}

#[test]
fn secrets_are_shown_once_and_kept_only_as_hashes() {
    let site = Site::new();
    let key = site.key("default", json!({"name": "k", "capabilities": ["workspace.full"]}));
    let listed = site.get("service_accounts.keys.list", json!({"serviceAccountId": key.account_id}));
    assert_eq!(listed["items"][0]["keyId"], json!(key.key_id));
    assert!(!listed.to_string().contains(&key.secret));
    site.server.close();
    for name in ["jobs.db", "jobs.db-wal"] {
        let bytes = std::fs::read(site.store.folder().join(name)).unwrap_or_default();
        let tail = key.secret.rsplit('_').next().unwrap();
        assert!(!bytes.windows(tail.len()).any(|window| window == tail.as_bytes()), "the secret is in {name}");
    }
}

#[test]
fn what_is_no_key_opens_nothing() {
    let site = Site::new();
    let key = site.key("default", json!({"name": "k", "capabilities": ["workspace.full"]}));
    let mut other = key.secret.clone();
    other.pop();
    for wrong in
        [&*other, "", "x", "erk_", "erk__", &format!("erk_{}_", key.key_id), &format!("{}0", key.secret), "' OR 1=1"]
    {
        assert_eq!(site.ask_as(wrong, "jobs.list", json!({})).0, 401, "{wrong}");
    }
    let basic = site.request("jobs.list", json!({})).basic_auth("a", Some(&key.secret));
    assert_eq!(answer(basic).0, 401);
}

#[test]
fn a_store_with_keys_has_no_token_of_the_run_and_one_without_is_for_this_machine_only() {
    let store = Store::new();
    let everywhere = || errand::http::ServeOptions { listen: "0.0.0.0:0".into(), ..options() };
    let open = || errand::api::open_host(&store.path(), &Default::default()).unwrap();
    let refused = |options| errand::http::Server::start(open(), options).err().map(|error| error.message);
    assert!(refused(everywhere()).unwrap().contains("errand keys bootstrap"));
    let unlocked = errand::http::ServeOptions { no_auth: true, ..everywhere() };
    assert!(refused(unlocked).unwrap().contains("--no-auth is for loopback"));
    let site = Site::on(store, options());
    let key = site.key("default", json!({"name": "k", "capabilities": ["workspace.full"]}));
    let Site { store, server, .. } = site;
    drop(server);
    let site = Site::on(store, everywhere());
    assert_eq!(site.server.token(), None);
    assert_eq!(site.server.address().ip().to_string(), "0.0.0.0");
    let url = format!("http://127.0.0.1:{}/api/commands", site.server.address().port());
    let body = json!({"command": "jobs.list"}).to_string();
    let ask = super::client().post(url).header("Content-Type", "application/json").body(body);
    assert_eq!(answer(ask.bearer_auth(&key.secret)).0, 200);
}

#[test]
fn a_workspace_has_a_plain_name() {
    let site = Site::new();
    for name in ["..", ".x", "a/b", "a b", "a\\b", "%2e"] {
        let request = site.request("jobs.list", json!({})).bearer_auth(site.token()).header("X-Errand-Workspace", name);
        assert_eq!(answer(request).0, 400, "{name}");
    }
}
