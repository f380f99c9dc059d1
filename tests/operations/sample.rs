//! A store with some of everything in it.

use crate::support::{Store, get, text};
use errand::api::{Client, NewFile, OpenOptions};
use std::path::Path;

/// The bytes of the file in the store.
pub const BYTES: &str = "the bytes of a file";

/// How the tests open stores whose age is not what they are about.
pub fn options() -> OpenOptions {
    OpenOptions { prune_every_ms: 3_600_000, ..OpenOptions::default() }
}

/// A store with jobs in all states, a batch, a cap, keys and resources, that nobody has open; and the token of its leased
/// job, with that job's id.
pub fn store() -> (Store, String, String) {
    let store = Store::new();
    let client = store.open_with(options());
    let (job, token) = fill(&*client);
    client.close();
    (store, job, token)
}

pub fn fill(client: &dyn Client) -> (String, String) {
    get(client, "jobs.create", r#"{:job-type "queued" :payload {:n 1} :idempotency-key "key"}"#);
    ended(client, "one");
    ended(client, "two");
    get(client, "jobs.create", r#"{:job-type "leased"}"#);
    let claimed = get(client, "jobs.claim", r#"{:job-type "leased" :worker-id "w" :worker-labels {:gpu "no"}}"#);
    let leased = (text(&claimed, &["job", "job-id"]).into(), text(&claimed, &["job", "lease-token"]).into());
    get(
        client,
        "jobs.batches.create",
        r#"{:job-type "capped" :fanout-max-concurrency 1 :jobs [{:payload 1} {:payload 2} {:payload 3}]}"#,
    );
    for job_type in ["x", "y"] {
        let step = r#":root-workflow-id "w" :fanout-parent-step-id "s" :fanout-max-concurrency 1"#;
        get(client, "jobs.create", &format!("{{:job-type {job_type:?} {step}}}"));
    }
    let account = get(client, "service_accounts.create", r#"{:name "ci" :capabilities ["jobs.read"]}"#);
    let id = text(&account, &["service-account", "service-account-id"]);
    get(client, "service_accounts.keys.create", &format!("{{:service-account-id {id:?}}}"));
    leased
}

/// Submits a job, attaches a value, a table and a file to it, and completes it.
fn ended(client: &dyn Client, job_type: &str) {
    get(client, "jobs.create", &format!("{{:job-type {job_type:?}}}"));
    let claimed = get(client, "jobs.claim", &format!("{{:job-type {job_type:?} :worker-id \"w\"}}"));
    let (job, token) = (text(&claimed, &["job", "job-id"]), text(&claimed, &["job", "lease-token"]));
    let held = |more: &str| format!("{{:job-id {job:?} :lease-token {token:?} {more}}}");
    get(client, "jobs.attach_kv", &held(":label \"v\" :value {:a 1}"));
    get(client, "jobs.attach_table", &held(":label \"t\" :rows [{:a 1} {:a 2}] :index-fields [:a]"));
    let new = NewFile { filename: format!("{job_type}.txt"), ..NewFile::default() };
    let stored = client.files().and_then(|files| files.put(new, &mut std::io::Cursor::new(BYTES))).expect("a file");
    let uri = text(&stored, &["uri"]);
    get(client, "jobs.progress", &held(&format!(":artifacts [{{:kind \"file\" :label \"f\" :resource-uri {uri:?}}}]")));
    get(client, "jobs.complete", &held(":summary \"done\" :outputs {:ok true}"));
}

/// The one file under a folder of bytes.
pub fn blob(files: &Path) -> std::path::PathBuf {
    fn first(folder: &Path) -> std::path::PathBuf {
        let entry = std::fs::read_dir(folder).expect("a folder").flatten().next().expect("something in it").path();
        if entry.is_dir() { first(&entry) } else { entry }
    }
    first(&files.join("sha256"))
}
