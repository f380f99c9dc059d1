//! Work that does not grow with what is stored: the steps of SQLite's machine, counted, on a small and a large store.
//! Steps are the same on every machine; time is not asked. `ERRAND_SCALE_ROWS` sets the size of the large store.

use super::plans::statements;
use super::world::{fast_folder, make_store};
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
    let mut statement = store.prepare(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let mut rows = statement.query(rusqlite::params_from_iter(params)).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let mut given = 0;
    while rows.next().unwrap_or_else(|error| panic!("{sql}: {error}")).is_some() {
        given += 1;
    }
    drop(rows);
    (i64::from(statement.get_status(StatementStatus::VmStep)), given)
}

/// Every statement that looks for rows by something else than their own key, as the engine asks it.
fn asked() -> Vec<(&'static str, Vec<Value>)> {
    let text = |text: &str| Value::Text(text.into());
    let int = Value::Integer;
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
        ("list_prunable_jobs", vec![text("old"), max.clone(), int(100), w.clone()]),
        ("list_prunable_jobs", vec![text("deep"), max.clone(), int(100), w.clone()]),
        ("list_prunable_batches", vec![text("batch"), max.clone(), int(1), w.clone()]),
    ]
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
