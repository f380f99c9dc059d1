//! What is removed when its time is over, what is not, and that counts, batches and wake-ups stay right.

use crate::support::{Store, ask, at, get, text};
use errand::api::{Client, Code, NewFile, OpenOptions};
use errand::job::limits;
use errand::value::{Value, edn};
use std::path::Path;

fn create(client: &dyn Client, job_type: &str) -> String {
    let reply = get(client, "jobs.create", &format!("{{:job-type {job_type:?} :idempotency-key {job_type:?}}}"));
    text(&reply, &["job", "job-id"]).into()
}

/// Claims the next job of the type and ends it, with more done in between.
fn work(client: &dyn Client, job_type: &str, between: impl FnOnce(&str)) {
    let claimed = get(client, "jobs.claim", &format!("{{:job-type {job_type:?} :worker-id \"w\"}}"));
    let held = format!(
        ":job-id {:?} :lease-token {:?}",
        text(&claimed, &["job", "job-id"]),
        text(&claimed, &["job", "lease-token"])
    );
    between(&held);
    get(client, "jobs.complete", &format!("{{{held}}}"));
}

fn prune(client: &dyn Client, args: &str) -> String {
    edn::write(&get(client, "jobs.prune", args))
}

fn code(client: &dyn Client, command: &str, args: &str) -> Option<Code> {
    ask(client, command, args).err().map(|error| error.code)
}

fn blobs(store: &Store) -> usize {
    fn count(folder: &Path) -> usize {
        let entries =
            std::fs::read_dir(folder).map(|entries| entries.flatten().collect::<Vec<_>>()).unwrap_or_default();
        entries.iter().map(|entry| if entry.path().is_dir() { count(&entry.path()) } else { 1 }).sum()
    }
    count(&store.folder().join("jobs.db-files/sha256"))
}

fn put(client: &dyn Client, bytes: &str) -> String {
    let new = NewFile { filename: "a.txt".into(), ..NewFile::default() };
    let stored = client.files().unwrap().put(new, &mut std::io::Cursor::new(bytes)).unwrap();
    text(&stored, &["uri"]).into()
}

#[test]
fn ended_jobs_go_with_all_that_is_theirs_and_others_stay() {
    let store = Store::new();
    let client = store.open();
    let (old, open) = (create(&*client, "t"), create(&*client, "u"));
    let mut uris = Vec::new();
    work(&*client, "t", |held| {
        let artifact = |args: &str| {
            get(&*client, args.split(' ').next().unwrap(), &format!("{{{held} {}}}", &args[args.find(' ').unwrap()..]))
        };
        uris.push(text(&artifact("jobs.attach_kv :label \"v\" :value 1"), &["artifact", "resource-uri"]).to_string());
        let table = artifact("jobs.attach_table :label \"t\" :rows [{:a 1} {:a 2}] :index-fields [:a]");
        uris.push(text(&table, &["artifact", "resource-uri"]).to_string());
        let file = put(&*client, "bytes");
        get(
            &*client,
            "jobs.progress",
            &format!("{{{held} :artifacts {{:kind \"file\" :label \"f\" :resource-uri {file:?}}}}}"),
        );
        uris.push(file);
    });
    assert_eq!(blobs(&store), 1);
    assert_eq!(prune(&*client, "{}"), "{:jobs 0, :batches 0, :resources 0}");
    assert_eq!(prune(&*client, "{:older-than 0 :job-type \"u\"}"), "{:jobs 0, :batches 0, :resources 0}");
    assert_eq!(prune(&*client, "{:older-than 0}"), "{:jobs 1, :batches 0, :resources 3}");
    assert_eq!(code(&*client, "jobs.get", &format!("{{:job-id {old:?}}}")), Some(Code::NotFound));
    assert_eq!(code(&*client, "jobs.get", &format!("{{:job-id {open:?}}}")), None);
    for uri in uris {
        assert_eq!(code(&*client, "resources.get", &format!("{{:uri {uri:?}}}")), Some(Code::NotFound), "{uri}");
    }
    assert_eq!(blobs(&store), 0);
    let stats = get(&*client, "jobs.stats", "{}");
    assert_eq!((at(&stats, &["total"]), at(&stats, &["counts", "succeeded"])), (&Value::Int(1), &Value::Int(0)));
    assert_ne!(create(&*client, "t"), old, "its idempotency key is free again");
}

#[test]
fn a_whole_batch_goes_at_once_and_an_open_one_stays() {
    let store = Store::new();
    let client = store.open();
    let jobs = "{} ".repeat(250);
    let batch = |name: &str| {
        let reply = get(
            &*client,
            "jobs.batches.create",
            &format!("{{:job-type {name:?} :jobs [{jobs}] :fanout-max-concurrency 1000}}"),
        );
        text(&reply, &["batch", "batch-id"]).to_string()
    };
    let (ended, open) = (batch("a"), batch("b"));
    for _ in 0..250 {
        work(&*client, "a", |_| {});
    }
    for _ in 0..249 {
        work(&*client, "b", |_| {});
    }
    assert_eq!(prune(&*client, "{:older-than 0}"), "{:jobs 250, :batches 1, :resources 0}");
    assert_eq!(code(&*client, "jobs.batches.get", &format!("{{:batch-id {ended:?}}}")), Some(Code::NotFound));
    let left = get(&*client, "jobs.batches.get", &format!("{{:batch-id {open:?} :include-jobs? false}}"));
    assert_eq!(at(&left, &["batch", "counts", "succeeded"]), &Value::Int(249));
    let stats = get(&*client, "jobs.stats", "{}");
    assert_eq!(at(&stats, &["total"]), &Value::Int(250));
}

#[test]
fn bytes_stay_while_any_resource_has_them() {
    let store = Store::new();
    let client = store.open();
    let (a, b) = (put(&*client, "same"), put(&*client, "same"));
    assert_eq!(blobs(&store), 1);
    get(&*client, "resources.delete", &format!("{{:uri {a:?}}}"));
    prune(&*client, "{}");
    let read = get(&*client, "resources.read", &format!("{{:uri {b:?}}}"));
    assert_eq!(at(&read, &["content"]), &Value::str("same"));
    get(&*client, "resources.delete", &format!("{{:uri {b:?}}}"));
    prune(&*client, "{}");
    assert_eq!(blobs(&store), 0);
}

#[test]
fn a_resource_that_two_jobs_name_goes_with_the_second() {
    let store = Store::new();
    let client = store.open();
    let file = put(&*client, "shared");
    let name = |job_type: &str| {
        create(&*client, job_type);
        work(&*client, job_type, |held| {
            let args = format!("{{{held} :artifacts {{:kind \"file\" :label \"f\" :resource-uri {file:?}}}}}");
            get(&*client, "jobs.progress", &args);
        });
    };
    name("a");
    name("b");
    assert_eq!(prune(&*client, "{:older-than 0 :job-type \"a\"}"), "{:jobs 1, :batches 0, :resources 0}");
    assert_eq!(code(&*client, "resources.get", &format!("{{:uri {file:?}}}")), None);
    assert_eq!(prune(&*client, "{:older-than 0}"), "{:jobs 1, :batches 0, :resources 1}");
    assert_eq!(blobs(&store), 0);
}

#[test]
fn a_value_is_gone_when_its_time_is_over() {
    let store = Store::new();
    let client = store.open();
    create(&*client, "t");
    let mut uri = String::new();
    work(&*client, "t", |held| {
        let reply = get(&*client, "jobs.attach_kv", &format!("{{{held} :label \"v\" :value 1 :ttl-seconds 1}}"));
        uri = text(&reply, &["artifact", "resource-uri"]).into();
    });
    let args = format!("{{:uri {uri:?}}}");
    assert_eq!(code(&*client, "resources.read", &args), None);
    crate::program::eventually("it is over", || code(&*client, "resources.read", &args) == Some(Code::NotFound));
    assert_eq!(edn::write(at(&get(&*client, "resources.list", "{}"), &["items"])), "[]");
    assert_eq!(prune(&*client, "{}"), "{:jobs 0, :batches 0, :resources 1}");
}

#[test]
fn the_engine_prunes_by_itself_as_the_options_say() {
    let store = Store::new();
    let options = || OpenOptions {
        prune_every_ms: 20,
        retention_ms: Some(86_400_000),
        retention_by_type: Some(vec![("short".into(), 1)]),
        ..OpenOptions::default()
    };
    let client = store.open_with(options());
    let (short, long) = (create(&*client, "short"), create(&*client, "long"));
    work(&*client, "short", |_| {});
    work(&*client, "long", |_| {});
    let is_gone = |id: &str| code(&*client, "jobs.get", &format!("{{:job-id {id:?}}}")) == Some(Code::NotFound);
    crate::program::eventually("the short one is gone", || is_gone(&short));
    assert!(!is_gone(&long));
    let said = get(&*client, "jobs.retention", "{}");
    assert_eq!(edn::write(&said), r#"{:retention {:keep-ms 86400000, :by-type {"short" 1}}}"#);
    client.close();
    let again = store.open();
    let said = get(&*again, "jobs.retention", "{:keep \"2d\"}");
    assert_eq!(edn::write(&said), r#"{:retention {:keep-ms 172800000, :by-type {"short" 1}}}"#);
}

#[test]
fn a_workspace_prunes_only_its_own() {
    let store = Store::new();
    let client = store.open();
    let other = store.open_with(OpenOptions { workspace: "b".into(), ..OpenOptions::default() });
    let id = create(&*client, "t");
    work(&*client, "t", |_| {});
    assert_eq!(prune(&*other, "{:older-than 0}"), "{:jobs 0, :batches 0, :resources 0}");
    assert_eq!(code(&*client, "jobs.get", &format!("{{:job-id {id:?}}}")), None);
}

#[test]
fn an_await_in_another_process_is_woken_after_everything_was_pruned() {
    let place = crate::program::Place::new();
    let first = place.create(&[]);
    let done = place.script("done.sh", "exit 0");
    let again = place.create(&[]);
    let waiting = {
        let mut command = place.errand(&["jobs", "await", &again, "--timeout", "60s", "--interval", "1h"]);
        std::thread::spawn(move || command.output().unwrap())
    };
    place.work_once(&done, &[]);
    place.ended(&first);
    let pruned = place.ask(&["jobs", "prune", "--older-than", "0"]);
    assert_eq!(pruned["jobs"], 1);
    place.work_once(&done, &[]);
    let output = waiting.join().unwrap();
    assert!(output.status.success(), "{}", crate::program::text(&output.stdout));
}

#[test]
fn bytes_that_a_crash_left_behind_are_removed() {
    let store = Store::new();
    let client = store.open();
    let kept = put(&*client, "kept");
    client.close();
    let orphan = "ab".repeat(32);
    let folder = store.folder().join("jobs.db-files/sha256/ab");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(&orphan), "orphan").unwrap();
    let client = store.open_with(OpenOptions { prune_every_ms: 20, ..OpenOptions::default() });
    crate::program::eventually("the orphan is gone", || !folder.join(&orphan).exists());
    assert_eq!(code(&*client, "resources.read", &format!("{{:uri {kept:?}}}")), None);
}

#[test]
fn who_closes_in_the_middle_of_pruning_waits_for_one_step_and_not_for_all() {
    let store = Store::new();
    let client = store.open();
    let jobs = "{} ".repeat(10_000);
    let made = get(&*client, "jobs.batches.create", &format!("{{:job-type \"t\" :jobs [{jobs}]}}"));
    get(&*client, "jobs.batches.cancel", &format!("{{:batch-id {:?}}}", text(&made, &["batch", "batch-id"])));
    client.close();
    let raw = rusqlite::Connection::open(store.path()).expect("the store opens");
    raw.busy_timeout(std::time::Duration::from_secs(60)).expect("it is an option");
    let left = || raw.query_row("SELECT count(*) FROM job", [], |row| row.get::<_, i64>(0)).expect("a number");
    let client = store.open_with(OpenOptions { prune_every_ms: 1, retention_ms: Some(1), ..OpenOptions::default() });
    crate::program::eventually("it prunes", || left() < 10_000);
    // The next step waits for this, and who closes does not wait for that for long.
    raw.execute_batch("BEGIN IMMEDIATE").expect("the writer is free between two steps");
    let before = left();
    client.close();
    raw.execute_batch("ROLLBACK").expect("it was begun");
    // Another level is refused for as long as the file is open.
    let again = || OpenOptions { durable: false, prune_every_ms: 3_600_000, ..OpenOptions::default() };
    crate::program::eventually("the file is let go of", || errand::api::open(&store.path(), again()).is_ok());
    let removed = before - left();
    assert!(removed <= limits::PRUNE_JOBS, "{removed} of {before} were removed by an engine that was closed");
}

#[test]
fn the_rows_of_a_cap_that_types_share_go_with_the_last_jobs_under_it() {
    let store = Store::new();
    let client = store.open();
    let caps = || {
        let other = rusqlite::Connection::open(store.path()).expect("the store opens");
        other.query_row("SELECT count(*) FROM fanout", [], |row| row.get::<_, i64>(0)).expect("a number")
    };
    let step = |step: &str, job_type: &str| {
        let cap = format!(":root-workflow-id \"w\" :fanout-parent-step-id {step:?} :fanout-max-concurrency 1");
        get(&*client, "jobs.create", &format!("{{:job-type {job_type:?} {cap}}}"));
    };
    ["x", "x", "y"].iter().for_each(|job_type| step("s", job_type));
    step("other", "x");
    assert_eq!(caps(), 5, "two groups, of two types and of one");
    (0..2).for_each(|_| work(&*client, "x", |_| {}));
    work(&*client, "y", |_| {});
    prune(&*client, "{:older-than 0 :job-type \"y\"}");
    assert_eq!(caps(), 4, "the group still has the other type");
    prune(&*client, "{:older-than 0}");
    assert_eq!(caps(), 2, "a job of the other step is open");
    work(&*client, "x", |_| {});
    prune(&*client, "{:older-than 0}");
    assert_eq!(caps(), 0);
    step("s", "x");
    work(&*client, "x", |_| {});
    assert_eq!(caps(), 2, "a later submission begins it anew");
}

/// How many rows there are in a table, as another program sees them.
fn rows(store: &Store, table: &str) -> i64 {
    let raw = rusqlite::Connection::open(store.path()).expect("the store opens");
    raw.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).expect("a number")
}

#[test]
fn one_prune_leaves_nothing_of_what_it_removed_however_much_that_is() {
    let store = Store::new();
    let client = store.open();
    create(&*client, "t");
    let per_job = 2 * limits::PRUNE_JOBS + 50;
    work(&*client, "t", |held| {
        for n in 0..per_job {
            get(&*client, "jobs.attach_kv", &format!("{{{held} :label \"v{n}\" :value {n}}}"));
        }
        for name in ["a", "b"] {
            let rows: String = (0..limits::PRUNE_ROWS).map(|n| format!("{{:n {n}}}")).collect();
            let args = format!("{{{held} :label {name:?} :rows [{rows}] :index-fields [:n]}}");
            get(&*client, "jobs.attach_table", &args);
        }
    });
    assert_eq!(prune(&*client, "{:older-than 0}"), format!("{{:jobs 1, :batches 0, :resources {}}}", per_job + 2));
    for table in ["resource", "resource_ref", "resource_value", "resource_row", "resource_cell", "resource_removed"] {
        assert_eq!(rows(&store, table), 0, "{table}");
    }
}

#[test]
fn uploads_that_are_over_are_all_forgotten_at_once() {
    let store = Store::new();
    let client = store.open();
    let uri = put(&*client, "bytes");
    let raw = rusqlite::Connection::open(store.path()).expect("the store opens");
    let sql = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1) \
               INSERT INTO upload SELECT 'session-' || n, (SELECT max(seq) FROM resource), '', '', 1, 1 FROM n";
    raw.execute(sql, [2 * limits::PRUNE_JOBS + 50]).expect("uploads of long ago");
    prune(&*client, "{}");
    assert_eq!(rows(&store, "upload"), 1, "the one that is not over stays");
    assert_eq!(code(&*client, "resources.get", &format!("{{:uri {uri:?}}}")), None);
}

#[test]
fn a_type_whose_last_job_was_pruned_is_forgotten_and_may_begin_anew() {
    let store = Store::new();
    let client = store.open();
    let ended = |job_type: &str| {
        create(&*client, job_type);
        work(&*client, job_type, |_| {});
    };
    ["a", "b"].into_iter().for_each(ended);
    get(&*client, "jobs.batches.create", "{:job-type \"batch\" :jobs [{} {}]}");
    (0..2).for_each(|_| work(&*client, "batch", |_| {}));
    create(&*client, "open");
    let raw = rusqlite::Connection::open(store.path()).expect("the store opens");
    let sql = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1) \
               INSERT INTO job_count SELECT 'default', 'once-' || n, 'failed', 0 FROM n";
    raw.execute(sql, [2 * limits::PRUNE_JOBS + 50]).expect("types of long ago");
    let types = || {
        let mut types = raw.prepare("SELECT DISTINCT job_type FROM job_count ORDER BY 1").expect("it is SQL");
        let found = types.query_map([], |row| row.get::<_, String>(0)).expect("it runs");
        found.filter_map(Result::ok).filter(|found| !found.starts_with("once")).collect::<Vec<_>>().join(" ")
    };
    let stay = ["{:older-than 0 :job-type \"open\"}", "{:job-type \"b\"}"];
    stay.iter().for_each(|args| assert_eq!(prune(&*client, args), "{:jobs 0, :batches 0, :resources 0}"));
    assert_eq!(types(), "a b batch open", "those that are not meant stay, and those that have jobs");
    prune(&*client, "{:older-than 0 :job-type \"a\"}");
    assert_eq!(types(), "b batch open");
    assert_eq!(prune(&*client, "{:older-than 0}"), "{:jobs 3, :batches 1, :resources 0}");
    assert_eq!((types().as_str(), rows(&store, "job_count")), ("open", 1));

    ended("a");
    let counts = edn::write(&get(&*client, "jobs.stats", "{:job-type \"a\"}"));
    assert!(counts.contains(":succeeded 1"), "{counts}");
    let options = errand::api::CheckOptions::default();
    let report = errand::api::check(&store.path(), &options).expect("the store can be looked at");
    assert!(report.whole, "{:?}", report.first);
}
