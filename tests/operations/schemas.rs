//! Stores that the program left at each version of the schema, kept as text for ever: they open, read as they did, and
//! work goes on in them.

use super::sample;
use crate::promises::same_as_golden;
use crate::support::{Store, get, text};
use errand::api::{self, CheckOptions, Client};
use errand::value::{Value, edn};
use rusqlite::Connection;
use std::path::{Path, PathBuf};

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let files = std::fs::read_dir(folder).expect("a folder").flatten().map(|e| e.path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|ending| ending == "sql")).collect();
    files.sort();
    files
}

fn version(path: &Path) -> i64 {
    let connection = Connection::open(path).expect("the store opens");
    connection.query_row("PRAGMA user_version", [], |row| row.get(0)).expect("a version")
}

fn made(fixture: &Path) -> Store {
    let store = Store::new();
    let connection = Connection::open(store.path()).expect("a file");
    connection.pragma_update(None, "journal_mode", "wal").expect("the mode of stores");
    connection.execute_batch(&std::fs::read_to_string(fixture).expect("a text")).expect("a store");
    store
}

fn items(reply: &Value) -> Vec<String> {
    let Some(Value::Vector(items)) = reply.get("items") else { panic!("no items in {}", edn::write(reply)) };
    items.iter().map(|item| edn::write(&without_clock(item))).collect()
}

/// What the moment of reading has no part in: a lease that is running ends later each time its store comes elsewhere.
fn without_clock(value: &Value) -> Value {
    match value {
        Value::Map(entries) => {
            let kept = entries.iter().filter(|(key, _)| *key != Value::key("lease-expires-at"));
            Value::Map(kept.map(|(key, value)| (key.clone(), without_clock(value))).collect())
        }
        other => other.clone(),
    }
}

/// Everything in the store, as callers see it.
fn read(client: &dyn Client) -> String {
    let mut out = String::new();
    let jobs = get(client, "jobs.list", "{:limit 1000}");
    let Some(Value::Vector(jobs)) = jobs.get("items") else { panic!("no jobs") };
    for job in jobs {
        let job = get(client, "jobs.get", &format!("{{:job-id {:?}}}", text(job, &["job-id"])));
        out += &format!("{}\n", edn::write(&without_clock(&job)));
    }
    let lists = ["jobs.batches.list", "service_accounts.list", "resources.list"];
    lists.iter().flat_map(|list| items(&get(client, list, "{}"))).for_each(|item| out += &format!("{item}\n"));
    out + &format!("{}\n", edn::write(&get(client, "jobs.stats", "{}")))
}

/// Claims and completes whatever is due.
fn work(client: &dyn Client, job_type: &str) -> usize {
    let mut done = 0;
    loop {
        let claimed = get(client, "jobs.claim", &format!("{{:job-type {job_type:?} :worker-id \"new\"}}"));
        let Some(job) = claimed.get("job").filter(|job| **job != Value::Nil) else { return done };
        let (id, token) = (text(job, &["job-id"]), text(job, &["lease-token"]));
        get(client, "jobs.complete", &format!("{{:job-id {id:?} :lease-token {token:?}}}"));
        done += 1;
    }
}

#[test]
fn a_store_of_every_older_schema_opens_reads_as_it_was_and_works_on() {
    let fixtures = fixtures();
    let here = Store::new();
    here.open().close();
    assert_eq!(
        fixtures.len() as i64,
        version(&here.path()),
        "one store is kept of every schema; tests/fixtures/make.sh makes the next"
    );
    for (index, fixture) in fixtures.iter().enumerate() {
        let store = made(fixture);
        assert_eq!(version(&store.path()), index as i64 + 1, "{}", fixture.display());
        let whole = |deep| {
            let report = api::check(&store.path(), &CheckOptions { deep, ..CheckOptions::default() }).expect("a look");
            assert!(report.whole, "{}: {}", fixture.display(), edn::write(&report.data));
        };
        whole(false);
        assert_eq!(version(&store.path()), index as i64 + 1, "a look migrates nothing");
        let client = store.open_with(sample::options());
        let golden = fixture.file_stem().expect("a name").to_string_lossy().into_owned() + ".txt";
        same_as_golden(&golden, &read(&*client));
        // Work goes on: leases of before are held still, what waits is done, a key leads to what it made.
        let seen = "SELECT j.job_id, a.lease_token FROM job j JOIN job_attempt a ON a.job_seq = j.seq WHERE a.ended_at IS NULL";
        let other = Connection::open(store.path()).expect("the store opens");
        let mut statement = other.prepare(seen).expect("the query is well formed");
        let read = |row: &rusqlite::Row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?));
        let leased: Vec<_> = statement.query_map([], read).expect("rows").map(|row| row.expect("a row")).collect();
        drop(statement);
        drop(other);
        assert_eq!(leased.len(), 2);
        for (id, token) in leased {
            get(&*client, "jobs.heartbeat", &format!("{{:job-id {id:?} :lease-token {token:?}}}"));
            get(&*client, "jobs.complete", &format!("{{:job-id {id:?} :lease-token {token:?}}}"));
        }
        let key = r#"{:job-type "review" :payload {:surface "flows-api" :n 1} :metadata {:who "ada"} :idempotency-key "key-1"}"#;
        let known = get(&*client, "jobs.create", key);
        assert!(read_jobs(&golden).contains(text(&known, &["job", "job-id"])), "{golden}");
        assert_eq!(["review", "again", "many"].map(|job_type| work(&*client, job_type)), [2, 1, 2]);
        client.close();
        whole(true);
    }
}

fn read_jobs(golden: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    std::fs::read_to_string(folder.join(golden)).expect("the golden")
}

#[test]
fn a_backup_of_an_older_store_is_of_its_schema_and_is_migrated_when_it_is_opened() {
    for (index, fixture) in fixtures().iter().enumerate() {
        let store = made(fixture);
        let (copy, restored) = (store.folder().join("copy.db"), store.folder().join("restored.db"));
        let busy_timeout = std::time::Duration::from_secs(30);
        let bytes = api::BytesTo::Beside;
        let options = api::BackupOptions { to: copy.clone(), bytes, force: false, unchecked: false, busy_timeout };
        api::backup(&store.path(), &options).expect("a backup");
        assert_eq!(version(&copy), index as i64 + 1);
        let (from, to) = (copy, restored.clone());
        let options = api::RestoreOptions {
            from,
            to,
            bytes: None,
            force: false,
            take_files: false,
            unchecked: false,
            busy_timeout,
        };
        api::restore(&options).expect("it is restored");
        let client = api::open(&restored, sample::options()).expect("it opens");
        assert_eq!(work(&*client, "review"), 2);
        client.close();
    }
}
