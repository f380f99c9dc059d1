//! Work that does not grow with what is stored: the steps of SQLite's machine, counted, on a small and a large store.
//! Steps are the same on every machine; time is not asked. `ERRAND_SCALE_ROWS` sets the size of the large store.

use super::plans::{plan, statements};
use super::world::{fast_folder, make_store};
use crate::support::{Store, get, text};
use rusqlite::types::Value;
use rusqlite::{Connection, StatementStatus};
use std::collections::HashMap;
use std::path::Path;

const SMALL: i64 = 2_000;
const LARGE: i64 = 40_000;
/// An index of a large table has a level more.
const MORE_STEPS: i64 = 30;

/// What stands in both stores, `?1` times each: finished jobs, queued ones of one type, of many types and in open
/// batches, those under lease, and those that wait under one cap. Before them all, some that failed, wait again or run.
const ROWS: &[&str] = &[
    "INSERT INTO job SELECT NULL, 'failed-' || n, 'w', 'old', 'failed', 3, 1, 3, 1, 0, n, 1000, NULL, 'a', NULL, NULL, \
     0, n, n, n, n, n, n FROM numbers LIMIT 20",
    "INSERT INTO job SELECT NULL, 'waits-' || n, 'w', 'old', 'queued', 3, 1, 3, 1, 0, n, 1000, NULL, NULL, NULL, NULL, \
     0, n, n, n, NULL, NULL, NULL FROM numbers LIMIT 20",
    "INSERT INTO job SELECT NULL, 'runs-' || n, 'w', 'busy', 'running', 1, 1, 3, 0, 0, n, 1000, n, 'a', NULL, NULL, \
     0, n, n, n, NULL, NULL, NULL FROM numbers LIMIT 20",
    "INSERT INTO job SELECT NULL, 'busy-' || n, 'w', 'busy', 'leased', 1, 1, 3, 0, 0, n, 1000, n, 'a', NULL, NULL, \
     0, n, n, n, NULL, NULL, NULL FROM numbers",
    "INSERT INTO job SELECT NULL, 'old-' || n, 'w', 'old', 'succeeded', 3, 1, 3, 0, 0, n, 1000, NULL, 'a', NULL, NULL, \
     0, n, n, n, n, n, n + 20 FROM numbers",
    "INSERT INTO job SELECT NULL, 'deep-' || n, 'w', 'deep', 'queued', 0, 0, 3, 0, 0, n, 1000, NULL, NULL, NULL, NULL, \
     0, n, NULL, n, NULL, NULL, NULL FROM numbers",
    "INSERT INTO job SELECT NULL, 'type-' || n, 'w', 'type-' || n, 'queued', 0, 0, 3, 0, 0, n, 1000, NULL, NULL, NULL, \
     NULL, 0, n, NULL, n, NULL, NULL, NULL FROM numbers",
    "INSERT INTO job SELECT NULL, 'batch-' || n, 'w', 'batch', 'queued', 0, 0, 3, 0, 0, n, 1000, NULL, NULL, \
     1 + n % max(1, ?1 / 10), NULL, 0, n, NULL, n, NULL, NULL, NULL FROM numbers",
    "INSERT INTO job SELECT NULL, 'held-' || n, 'w', 'held', 'queued', 0, 0, 3, 0, 0, n, 1000, NULL, NULL, NULL, 1, \
     n > 10, n, NULL, n, NULL, NULL, NULL FROM numbers",
    "INSERT INTO job_body SELECT seq, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{}' FROM job WHERE ?1 > 0",
    "INSERT INTO job_attempt SELECT seq, 1, 'a', NULL, job_id, job_id, 1, 2, 'succeeded', NULL, NULL FROM job \
     WHERE completed_at IS NOT NULL AND ?1 > 0",
    "INSERT INTO batch SELECT n, 'b' || n, 'w', 'batch', 'queued', 0, 10, 10, 0, 0, 0, 0, 0, 0, 0, 0, n, n, NULL, NULL, \
     NULL, NULL, NULL, NULL FROM numbers",
    "INSERT INTO fanout SELECT n, 'w', 'cap-' || n, 10, 10 FROM numbers",
    "INSERT INTO job_count SELECT workspace_id, job_type, status, count(*) FROM job WHERE ?1 > 0 GROUP BY 1, 2, 3",
    // Values that jobs made, the first ones over; files of one name and the same bytes that no job made.
    "INSERT INTO resource SELECT NULL, 'w', 'kv', 'kv-' || n, 'key-' || n, NULL, 'text/plain', 1, NULL, NULL, NULL, \
     iif(n > 20, NULL, n), n, n, n FROM numbers",
    "INSERT INTO resource SELECT NULL, 'w', 'file', 'file-' || n, NULL, NULL, 'text/plain', 1, '', 'a', 'same', NULL, \
     NULL, n, n FROM numbers",
    "INSERT INTO resource SELECT NULL, 'w2', 'file', 'file-' || n, NULL, NULL, 'text/plain', 1, '', 'a', 'same', NULL, \
     NULL, n, n FROM numbers",
    // The first resource is of every job, and the first job has some.
    "INSERT INTO resource_ref SELECT n, 1 FROM numbers",
    "INSERT INTO resource_ref SELECT 1, n + 1 FROM numbers LIMIT 60",
    "INSERT INTO resource_ref SELECT n, n FROM numbers WHERE n > 100",
    "INSERT INTO resource_removed SELECT n, 10000000 + n, NULL FROM numbers",
    "INSERT INTO upload SELECT 'session-' || n, n, '', '', n, 0 FROM numbers",
    // One table, in which every second row has the same key.
    "INSERT INTO resource_row SELECT n, 7, iif(n % 2, x'01', CAST(n AS BLOB)), '{}' FROM numbers",
    "INSERT INTO resource_cell SELECT 7, 'f', CAST(n AS BLOB), n FROM numbers",
    "INSERT INTO service_account SELECT n, 'account-' || n, 'w', 'a', 'active', '', NULL, NULL, n, n FROM numbers",
    "INSERT INTO access_key SELECT n, 'key-' || n, 1, NULL, x'00', NULL, n, NULL, NULL FROM numbers",
    "INSERT INTO operation SELECT 'w', '', 'operation-' || n, x'00', '', n FROM numbers",
];

/// Statements that look for rows by other than a key of theirs and are not asked here.
const EXCUSED: &[(&str, &str)] = &[
    ("find_usable_key", "passes over keys that open nothing, once when a server starts"),
    ("list_all_counts", "gives a row for each type and status"),
    ("list_counts", "gives a row for each type and status"),
    ("list_job_types", "gives a row for each type"),
    ("list_empty_types", "looks at a row for each type and status"),
    ("list_ended_since", "gives a row for each ending since a number, and is asked where there are at most 10 000"),
    ("renew_all_leases", "changes every job under lease, once after a restart of the host"),
];

fn store(path: &Path, rows: i64) -> Connection {
    make_store(path);
    let store = Connection::open(path).expect("the store opens");
    store.execute_batch("PRAGMA synchronous = OFF; BEGIN").expect("a transaction");
    for rows_sql in ROWS {
        let numbers = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1)";
        let sql = format!("{numbers} {rows_sql}");
        store.execute(&sql, [rows]).unwrap_or_else(|error| panic!("{rows_sql}: {error}"));
    }
    store.execute_batch("COMMIT").expect("a commit");
    store
}

fn steps(store: &Connection, sql: &str, params: &[Value]) -> (i64, usize) {
    store.execute_batch("SAVEPOINT before").expect("a savepoint");
    let mut statement = store.prepare(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let mut rows = statement.query(rusqlite::params_from_iter(params)).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let mut given = 0;
    while rows.next().unwrap_or_else(|error| panic!("{sql}: {error}")).is_some() {
        given += 1;
    }
    drop(rows);
    let steps = i64::from(statement.get_status(StatementStatus::VmStep));
    store.execute_batch("ROLLBACK TO before; RELEASE before").expect("what it wrote is undone");
    (steps, given)
}

/// Every statement that looks for rows by something else than their own key, as the engine asks it.
fn asked() -> Vec<(&'static str, Vec<Value>)> {
    let text = |text: &str| Value::Text(text.into());
    let (int, blob) = (Value::Integer, |bytes: &[u8]| Value::Blob(bytes.into()));
    let (w, max, none) = (text("w"), int(i64::MAX), Value::Null);
    let page = |status: &Value, job_type: &str, above: i64| {
        vec![w.clone(), max.clone(), int(50), status.clone(), text(job_type), int(above)]
    };
    vec![
        ("find_claimable", vec![w.clone(), text("deep"), max.clone(), int(1)]),
        ("find_claimable", vec![w.clone(), text("type-7"), max.clone(), int(1)]),
        ("find_claimable", vec![w.clone(), text("nothing"), max.clone(), int(1)]),
        ("find_claimable_in_batch", vec![int(7), text("batch"), max.clone(), int(1)]),
        ("next_due", vec![w.clone(), text("deep"), int(5)]),
        ("next_due_in_batch", vec![int(7), text("batch"), int(0)]),
        ("find_held", vec![int(1)]),
        ("find_last_placed", vec![int(1)]),
        ("last_due", vec![]),
        ("list_expired", vec![max.clone(), int(200)]),
        ("next_expiry", vec![]),
        ("last_job_ended", vec![]),
        ("last_batch_ended", vec![]),
        ("get_job_by_id", vec![text("deep-9")]),
        ("list_attempts_by_request", vec![text("old-9")]),
        ("list_jobs", vec![w.clone(), max.clone(), int(50)]),
        ("list_jobs", vec![w.clone(), int(1_000), int(50)]),
        ("list_ended", page(&text("succeeded"), "old", 0)),
        ("list_ended", page(&text("failed"), "old", 0)),
        ("list_ended", page(&text("cancelled"), "old", 0)),
        ("list_ended", page(&text("succeeded"), "deep", 0)),
        ("list_open", page(&text("queued"), "deep", 0)),
        ("list_open", page(&text("queued"), "old", 0)),
        ("list_open", page(&text("leased"), "deep", 0)),
        ("list_open", page(&text("running"), "busy", 0)),
        ("list_newest", vec![w.clone(), max.clone(), int(50), text("queued")]),
        ("list_newest", vec![w.clone(), max.clone(), int(50), text("failed")]),
        ("list_jobs_by_batch", vec![w.clone(), max.clone(), int(50), none.clone(), int(7), none.clone()]),
        ("list_batch_jobs", vec![int(7), int(0), int(50)]),
        ("list_batches", vec![w.clone(), max.clone(), int(50)]),
        ("list_batches_by_status", vec![w.clone(), max.clone(), int(50), text("queued")]),
        ("list_batches_by_status", vec![w.clone(), max.clone(), int(50), text("failed")]),
        ("list_batches_by_type", vec![w.clone(), max.clone(), int(50), text("batch")]),
        ("list_batches_by_type_and_status", vec![w.clone(), max.clone(), int(50), text("queued"), text("batch")]),
        ("list_batches_by_type_and_status", vec![w.clone(), max.clone(), int(50), text("failed"), text("batch")]),
        ("find_job_under", vec![int(1)]),
        ("find_job_under", vec![int(0)]),
        ("list_counts_of_type", vec![w.clone(), text("deep"), none.clone()]),
        ("find_other_workspace", vec![w.clone()]),
        ("delete_counts_of_empty_type", vec![w.clone(), text("deep")]),
        ("list_prunable_jobs", vec![text("old"), max.clone(), int(100), w.clone()]),
        ("list_prunable_jobs", vec![text("deep"), max.clone(), int(100), w.clone()]),
        ("list_prunable_batches", vec![text("batch"), max.clone(), int(1), w.clone()]),
        ("list_fanouts_with_places", vec![w.clone(), text("cap-7"), text("cap-7!"), int(8)]),
        ("list_fanouts_without_places", vec![w.clone(), text("cap-7"), text("cap-7!")]),
        ("find_fanout_under", vec![w.clone(), text("cap-7"), text("cap-7!")]),
        ("delete_fanout_by_name", vec![w.clone(), text("cap-7")]),
        ("list_last_attempts", vec![int(30), int(50)]),
        ("get_attempt_by_token", vec![int(30), text("old-10")]),
        ("delete_attempts", vec![int(30)]),
        ("list_artifacts", vec![int(30)]),
        ("list_artifact_names", vec![int(30)]),
        ("delete_artifacts", vec![int(30)]),
        ("list_resources", vec![w.clone(), max.clone(), int(0), int(50)]),
        ("list_resources", vec![w.clone(), int(1_000), int(0), int(50)]),
        ("list_resources_by_kind", vec![w.clone(), max.clone(), int(0), int(50), text("file")]),
        ("list_resources_by_kind", vec![w.clone(), max.clone(), int(0), int(50), text("kv")]),
        ("list_resources_by_kind", vec![w.clone(), max.clone(), int(0), int(50), text("table")]),
        ("list_resources_of_job", vec![w.clone(), max.clone(), none.clone(), int(100), int(50), int(1)]),
        ("list_expired_resources", vec![max.clone(), int(50)]),
        ("list_unused_resources", vec![max.clone(), int(50), w.clone()]),
        ("list_unused_workspaces", vec![]),
        ("get_file_by_name", vec![w.clone(), text(""), text("a")]),
        ("is_hash_used", vec![text("same")]),
        ("is_hash_used", vec![text("other")]),
        ("is_resource_used", vec![int(1)]),
        ("find_job_of_resource", vec![int(1)]),
        ("list_refs", vec![int(1_000)]),
        ("delete_refs_of_resource", vec![int(1_000)]),
        ("list_removed", vec![int(0), int(50)]),
        ("list_removed", vec![int(500), int(50)]),
        ("list_uploads", vec![int(7)]),
        ("delete_uploads", vec![int(7)]),
        ("list_expired_uploads", vec![max.clone(), int(50)]),
        ("list_table_rows", vec![int(7), int(0), int(50)]),
        ("list_table_rows", vec![int(7), int(1_000), int(50)]),
        ("list_table_rows_up", vec![int(7), text("f"), blob(b"5"), int(0), blob(b"6"), int(50)]),
        ("list_table_rows_down", vec![int(7), text("f"), blob(b"6"), int(0), blob(b"5"), int(50)]),
        ("get_table_row_by_key", vec![int(7), blob(b"\x01")]),
        ("delete_cells", vec![int(7), int(50)]),
        ("delete_table_rows", vec![int(7), int(50)]),
        ("list_accounts", vec![w.clone(), max.clone(), int(50)]),
        ("list_keys", vec![int(1), max.clone(), int(50)]),
        ("next_operation_until", vec![]),
        ("delete_old_operations", vec![max.clone(), int(50)]),
        ("insert_resource", new_resource()),
    ]
}

fn new_resource() -> Vec<Value> {
    let mut row: Vec<Value> = ["w", "kv", "new", "new"].map(|text| Value::Text(text.into())).into();
    row.resize(13, Value::Null);
    (row[5], row[6], row[12]) = (Value::Text("text/plain".into()), Value::Integer(1), Value::Integer(1));
    row
}

/// Whether a step of a plan finds at most one row for what it was given: by a rowid, or by all columns of a key.
fn is_by_own_key(store: &Connection, step: &str) -> bool {
    let Some((table, given)) = step.strip_prefix("SEARCH ").and_then(|step| step.split_once(" USING ")) else {
        return !step.starts_with("SCAN ") && !step.starts_with("SEARCH ");
    };
    if given == "INTEGER PRIMARY KEY (rowid=?)" {
        return true;
    }
    let columns = match given.strip_prefix("PRIMARY KEY ") {
        Some(_) => number(store, "SELECT count(*) FROM pragma_table_info(?1) WHERE pk > 0", table),
        None => {
            let index = given.trim_start_matches("COVERING ").trim_start_matches("INDEX ").split(' ').next();
            let sql = "SELECT (SELECT count(*) FROM pragma_index_info(sqlite_schema.name)) FROM sqlite_schema \
                       WHERE name = ?1 AND sql LIKE 'CREATE UNIQUE %'";
            number(store, sql, index.unwrap_or_default())
        }
    };
    columns > 0 && given.matches("=?").count() as i64 == columns
}

fn number(store: &Connection, sql: &str, name: &str) -> i64 {
    // None where there is no such row.
    store.query_row(sql, [name], |row| row.get(0)).unwrap_or(0)
}

#[test]
fn every_statement_that_may_find_many_rows_is_asked_here_or_excused() {
    let folder = fast_folder();
    make_store(&folder.path().join("jobs.db"));
    let store = Connection::open(folder.path().join("jobs.db")).expect("the store opens");
    let (asked, excused) = (asked(), EXCUSED.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    let is_asked = |name: &str| asked.iter().any(|(known, _)| *known == name);
    let many = |name: &str, sql: &str| plan(&store, name, sql).iter().any(|step| !is_by_own_key(&store, step));
    let many: Vec<String> =
        statements().into_iter().filter(|(name, sql)| many(name, sql)).map(|(name, _)| name).collect();
    let unknown: Vec<_> = many.iter().filter(|name| !is_asked(name) && !excused.contains(&name.as_str())).collect();
    assert!(unknown.is_empty(), "neither asked on a large store nor excused: {unknown:?}");
    let vain: Vec<_> =
        excused.iter().filter(|name| is_asked(name) || !many.iter().any(|known| known == *name)).collect();
    assert!(vain.is_empty(), "excused for nothing: {vain:?}");
}

/// How many steps it takes to look for a claim that was made under a request.
fn looked_for(path: &Path, request: &str) -> i64 {
    let store = Connection::open(path).expect("the store opens");
    let known: HashMap<String, String> = statements().into_iter().collect();
    steps(&store, &known["list_attempts_by_request"], &[Value::Text(request.into())]).0
}

#[test]
fn a_request_that_made_many_claims_is_looked_for_as_one_that_made_none() {
    let store = Store::new();
    let client = store.open();
    let jobs = "{} ".repeat(40);
    get(&*client, "jobs.batches.create", &format!("{{:job-type \"t\" :jobs [{jobs}]}}"));
    let before = looked_for(&store.path(), "same");
    for _ in 0..40 {
        let claimed = get(&*client, "jobs.claim", "{:job-type \"t\" :worker-id \"w\" :request-id \"same\"}");
        let (id, token) = (text(&claimed, &["job", "job-id"]), text(&claimed, &["job", "lease-token"]));
        get(&*client, "jobs.complete", &format!("{{:job-id {id:?} :lease-token {token:?}}}"));
    }
    assert_eq!(looked_for(&store.path(), "same"), before);
}

#[test]
fn no_statement_takes_more_steps_in_a_store_that_holds_more() {
    let large_rows = std::env::var("ERRAND_SCALE_ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(LARGE);
    let folder = fast_folder();
    let small = store(&folder.path().join("small.db"), SMALL);
    let large = store(&folder.path().join("large.db"), large_rows);
    let known: HashMap<String, String> = statements().into_iter().collect();
    let mut complaints = Vec::new();
    for (name, params) in asked() {
        let sql = known.get(name).unwrap_or_else(|| panic!("no statement {name}"));
        let ((few, given), (many, given_by_large)) = (steps(&small, sql, &params), steps(&large, sql, &params));
        if many > few + MORE_STEPS || given != given_by_large {
            complaints.push(format!(
                "{name} {params:?}: {few} steps for {given} rows among {SMALL}, {many} for {given_by_large} among {large_rows}"
            ));
        }
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}
