//! `errand check`: tells what is broken, and finds nothing where nothing is, also beside writers.

use super::sample::{self, blob};
use crate::program::Place;
use crate::support::{Store, get, text};
use errand::api::{self, CheckOptions};
use errand::value::{Value, edn};
use rusqlite::Connection;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is done to a whole store, and the law that it breaks, with the table that is told.
const BREAKS: &[(&str, &str, &str)] = &[
    ("job_status", "job", "UPDATE job SET status = 'done' WHERE job_type = 'queued'"),
    ("job_lease", "job", "UPDATE job SET lease_until_ms = NULL WHERE status = 'leased'"),
    ("job_running_attempt", "job", "UPDATE job_attempt SET ended_at = 1, outcome = 'lost' WHERE ended_at IS NULL"),
    ("job_running_attempt", "job_attempt", "UPDATE job SET attempt = 2 WHERE status = 'leased'"),
    ("job_worker", "job", "UPDATE job SET worker_id = 'another' WHERE status = 'leased'"),
    ("job_attempts", "job", "DELETE FROM job_attempt WHERE ended_at IS NOT NULL"),
    ("attempt_token", "job_attempt", "UPDATE job_attempt SET lease_token = 'same'"),
    ("attempt_token", "job_attempt", "UPDATE job_attempt SET lease_token = '' WHERE ended_at IS NULL"),
    ("attempt_end", "job_attempt", "UPDATE job_attempt SET outcome = NULL"),
    ("job_end", "job", "UPDATE job SET completed_at = NULL"),
    ("job_end", "job", "UPDATE job SET ended_seq = NULL"),
    ("ended_seq", "job", "UPDATE job SET ended_seq = 1 WHERE ended_seq IS NOT NULL"),
    ("job_budget", "job", "UPDATE job SET cancel_requested = 1 WHERE status = 'queued'"),
    ("job_held", "job", "UPDATE job SET held = 1 WHERE status = 'succeeded'"),
    ("fanout_used", "fanout", "UPDATE fanout SET used = used + 1"),
    ("fanout_active", "fanout", "UPDATE fanout SET used = used + 1 WHERE name LIKE 'steps %\"'"),
    ("fanout_share", "fanout", "UPDATE fanout SET cap = 0 WHERE name LIKE 'steps % y'"),
    ("fanout_room", "fanout", "UPDATE fanout SET cap = cap + 5"),
    ("job_fanout", "job", "DELETE FROM fanout"),
    ("job_body", "job", "DELETE FROM job_body WHERE seq = 1"),
    ("job_body", "job", "UPDATE job_body SET batch_id = NULL"),
    ("job_rows", "job_progress", "INSERT INTO job_progress (seq, status, updated_at) VALUES (999, 'running', 1)"),
    ("job_count", "job_count", "UPDATE job_count SET jobs = jobs + 1"),
    ("job_count", "job_count", "DELETE FROM job_count"),
    ("idempotency", "job", "DELETE FROM idempotency"),
    ("idempotency", "idempotency", "UPDATE idempotency SET id = 'gone'"),
    ("access_key", "access_key", "DELETE FROM service_account"),
    ("resource_kind", "resource", "DELETE FROM resource_value"),
    ("value_size", "resource", "UPDATE resource SET size_bytes = 1 WHERE kind = 'kv'"),
    ("table_rows", "resource_table", "UPDATE resource_table SET row_count = row_count + 1"),
    (
        "table_cells",
        "resource_cell",
        "DELETE FROM resource_cell WHERE row_seq = (SELECT min(row_seq) FROM resource_cell)",
    ),
    ("resource_rows", "resource_row", "DELETE FROM resource WHERE kind = 'table'"),
    ("resource_ref", "resource_ref", "INSERT INTO resource_ref (job_seq, resource_seq) VALUES (999, 1)"),
    ("file_hash", "resource", "UPDATE resource SET hash = 'abc' WHERE kind = 'file'"),
    ("batch", "batch", "UPDATE batch SET queued = queued + 1"),
    ("batch", "batch", "UPDATE batch SET status = 'completed'"),
    ("edn", "job_body", "UPDATE job_body SET payload = '{:a' WHERE seq = 1"),
    ("schema", "sqlite_schema", "DROP INDEX job_by_batch"),
    ("schema", "sqlite_schema", "ALTER TABLE job ADD COLUMN another"),
];

fn deep() -> CheckOptions {
    CheckOptions { deep: true, ..CheckOptions::default() }
}

/// Law and table of every fault.
fn faults(path: &Path, options: &CheckOptions) -> Vec<(String, String, String)> {
    let report = api::check(path, options).expect("the store can be looked at");
    let Some(Value::Vector(faults)) = report.data.get("faults") else {
        panic!("no faults: {}", edn::write(&report.data))
    };
    assert_eq!(report.whole, faults.is_empty());
    let word = |fault: &Value, name| fault.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    faults.iter().map(|fault| (word(fault, "law"), word(fault, "table"), word(fault, "found"))).collect()
}

#[test]
fn every_law_is_told_where_a_row_breaks_it() {
    let (store, ..) = sample::store();
    assert_eq!(faults(&store.path(), &deep()), []);
    for (law, table, sql) in BREAKS {
        let broken = Store::new();
        std::fs::copy(store.path(), broken.path()).expect("a copy");
        let connection = Connection::open(broken.path()).expect("the copy opens");
        connection.execute_batch(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
        drop(connection);
        let found = faults(&broken.path(), &deep());
        assert!(found.iter().any(|(l, t, _)| l == law && t == table), "{law} {table} is not told of {sql}: {found:?}");
    }
    let tried: BTreeSet<&str> = BREAKS.iter().map(|(law, ..)| *law).collect();
    let untried = errand::store::laws().into_iter().map(|(law, _)| law).filter(|law| !tried.contains(law));
    assert_eq!(untried.collect::<Vec<_>>(), ["integrity"], "the next test breaks that");
}

#[test]
fn flipped_bytes_in_the_file_are_told() {
    let (store, ..) = sample::store();
    let connection = Connection::open(store.path()).expect("the store opens");
    let root = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
    let page =
        |name: &str| connection.query_row(root, [name], |row| row.get::<_, u32>(0)).expect("it is there") as usize;
    let (index, table) = (page("job_by_id"), page("job"));
    drop(connection);
    let whole = std::fs::read(store.path()).expect("a file");
    for (page, what) in [(index, "an index"), (table, "a table")] {
        let mut bytes = whole.clone();
        // The end of a page holds its first entries.
        bytes[page * 4096 - 30..page * 4096 - 10].iter_mut().for_each(|byte| *byte ^= 0x15);
        std::fs::write(store.path(), bytes).expect("a file");
        assert!(!faults(&store.path(), &deep()).is_empty(), "{what}");
    }
    std::fs::write(store.path(), &whole[..whole.len() / 2]).expect("a file");
    let found = faults(&store.path(), &deep());
    assert!(found.iter().any(|(law, ..)| law == "integrity"), "{found:?}");
}

#[test]
fn bytes_of_files_that_are_missing_short_or_other_ones_are_told_and_orphans_are_noted() {
    let (store, ..) = sample::store();
    let files = store.folder().join("jobs.db-files");
    let path = blob(&files);
    let told = |options: &CheckOptions| {
        let found = faults(&store.path(), options);
        assert!(found.iter().all(|(law, table, _)| law == "bytes" && table == "resource"), "{found:?}");
        found.into_iter().map(|(_, _, found)| found).collect::<Vec<_>>()
    };
    let other = sample::BYTES.replace("bytes", "BYTES");
    std::fs::write(&path, other).expect("a file");
    assert_eq!(told(&CheckOptions::default()), Vec::<String>::new(), "only --deep reads them");
    let found = told(&deep());
    assert!(found.len() == 2 && found[0].starts_with("bytes with hash "), "{found:?}");
    std::fs::write(&path, "short").expect("a file");
    assert_eq!(told(&CheckOptions::default()), ["5 bytes", "5 bytes"]);
    let orphan = path.with_file_name("ab".repeat(32));
    std::fs::rename(&path, &orphan).expect("another name");
    assert!(told(&CheckOptions::default())[0].starts_with("no bytes in "));
    let report = api::check(&store.path(), &deep()).expect("a report");
    let Some(Value::Vector(notes)) = report.data.get("notes") else { panic!("no notes") };
    assert!(notes[0].as_str().unwrap_or_default().contains("belong to no resource"), "{notes:?}");
}

/// Submits, claims and completes until it is told to stop.
fn work(client: &dyn api::Client, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let batch = r#"{:job-type "load" :fanout-max-concurrency 2 :jobs [{:payload 1} {:payload 2} {:payload 3}]}"#;
        get(client, "jobs.batches.create", batch);
        for _ in 0..2 {
            let claimed = get(client, "jobs.claim", r#"{:job-type "load" :worker-id "w"}"#);
            if claimed.get("job").is_some_and(|job| *job != Value::Nil) {
                let (job, token) = (text(&claimed, &["job", "job-id"]), text(&claimed, &["job", "lease-token"]));
                get(
                    client,
                    "jobs.attach_kv",
                    &format!("{{:job-id {job:?} :lease-token {token:?} :label \"v\" :value 1}}"),
                );
                get(client, "jobs.complete", &format!("{{:job-id {job:?} :lease-token {token:?}}}"));
            }
        }
        get(client, "jobs.prune", "{:older-than 1}");
    }
}

#[test]
fn a_store_that_is_written_and_pruned_all_the_time_is_whole_at_every_look() {
    let place = Place::new();
    let client = api::open(&place.store(), sample::options()).expect("the store opens");
    sample::fill(&*client);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        (0..3).for_each(|_| drop(scope.spawn(|| work(&*client, &stop))));
        let looks = || {
            for _ in 0..3 {
                assert_eq!(place.ask(&["check", "--deep"])["whole"], true);
                assert_eq!(faults(&place.store(), &deep()), [], "in the process that writes");
            }
        };
        let looked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(looks));
        stop.store(true, Ordering::Relaxed);
        looked.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    client.close();
}

#[test]
fn the_exit_status_and_the_table_tell_what_is_wrong() {
    let place = Place::new();
    let id = place.create(&[]);
    let people = |status: i32| {
        let output = place.errand(&["check", "--format", "text"]).output().expect("it runs");
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        crate::program::text(&output.stdout)
    };
    assert!(people(0).contains("is whole: schema "), "{}", people(0));
    let before = std::fs::read(place.store()).expect("a file");
    people(0);
    assert_eq!(std::fs::read(place.store()).expect("a file"), before, "it only reads");
    let connection = Connection::open(place.store()).expect("the store opens");
    connection.execute_batch("UPDATE job SET lease_until_ms = 1").expect("a change");
    drop(connection);
    let shown = people(1);
    let row = shown.lines().find(|line| line.starts_with("job_lease")).unwrap_or_else(|| panic!("{shown}"));
    assert!(row.contains(&id) && row.contains("queued with a lease") && row.contains("no lease"), "{row}");
    let output = place.errand(&["check", "--format", "json"]).output().expect("it runs");
    let answer = crate::program::json(&output.stdout);
    assert_eq!((output.status.code(), &answer["ok"]), (Some(1), &false.into()));
    let fault = &answer["data"]["faults"][0];
    assert_eq!((&fault["table"], &fault["row"]), (&"job".into(), &id.clone().into()), "{answer}");
    assert_eq!((&fault["found"], &fault["expected"]), (&"queued with a lease".into(), &"no lease".into()));
    let error = place.refusal(4, &["check", "--db", "none.db"]);
    assert!(error["message"].as_str().is_some_and(|text| text.contains("does not exist")), "{error}");
    assert!(!place.path("none.db").exists());
}
