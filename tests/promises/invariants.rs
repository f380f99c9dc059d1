//! What must hold of a store at any moment between two commits, recounted from its rows.
//! It does not go through the engine: a counter that the engine keeps is compared with what it counts.

use errand::job::{Counts, Status};
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::path::Path;

/// Each query gives a line for every row that contradicts the sentence.
const LAWS: &[(&str, &str)] = &[
    (
        "a job is under lease exactly while it is active",
        "SELECT job_id FROM job WHERE (lease_until_ms IS NOT NULL) <> (status IN ('leased', 'started', 'running'))",
    ),
    (
        "an active job has one running attempt, its last; no other job has any",
        "SELECT j.job_id FROM job j WHERE (SELECT count(*) FROM job_attempt a WHERE a.job_seq = j.seq AND a.ended_at IS NULL
           AND a.attempt = j.attempt) <> (j.status IN ('leased', 'started', 'running'))
         UNION ALL SELECT j.job_id FROM job j JOIN job_attempt a ON a.job_seq = j.seq
           WHERE a.ended_at IS NULL AND a.attempt <> j.attempt",
    ),
    (
        "attempts are numbered from 1 without a gap",
        "SELECT job_id FROM job WHERE attempt <> (SELECT count(*) FROM job_attempt a WHERE a.job_seq = job.seq)
           OR attempt <> (SELECT coalesce(max(attempt), 0) FROM job_attempt a WHERE a.job_seq = job.seq)",
    ),
    ("a lease token is given once", "SELECT lease_token FROM job_attempt GROUP BY lease_token HAVING count(*) > 1"),
    (
        "an attempt that ended says how",
        "SELECT job_seq FROM job_attempt WHERE (ended_at IS NULL) <> (outcome IS NULL)",
    ),
    (
        "a job has completed exactly when it is terminal, with a number in the order of endings",
        "SELECT job_id FROM job WHERE status IN ('succeeded', 'no_changes', 'failed', 'cancelled', 'timed_out')
           <> (completed_at IS NOT NULL) OR (completed_at IS NOT NULL AND ended_seq IS NULL)",
    ),
    (
        "a number in the order of endings is used once",
        "SELECT n FROM (SELECT ended_seq AS n FROM job UNION ALL SELECT ended_seq FROM batch)
         WHERE n IS NOT NULL GROUP BY n HAVING count(*) > 1",
    ),
    (
        "a queued job has budget left and no cancel request",
        "SELECT job_id FROM job WHERE status = 'queued' AND (spent >= max_attempts OR cancel_requested)",
    ),
    ("only a queued job under a cap waits for a place", "SELECT job_id FROM job WHERE held AND (status <> 'queued' OR fanout_id IS NULL)"),
    (
        "a cap knows how much of it is used",
        "SELECT name FROM fanout f WHERE name NOT LIKE 'steps %' AND used <> (SELECT count(*) FROM job j WHERE j.fanout_id = f.fanout_id
           AND ((j.status = 'queued' AND NOT j.held) OR j.status IN ('leased', 'started', 'running')))",
    ),
    (
        "a cap that types share knows how many are active under it",
        "SELECT g.name FROM fanout g WHERE g.name LIKE 'steps %\"' AND g.used <> (SELECT count(*) FROM fanout t
           JOIN job j ON j.fanout_id = t.fanout_id WHERE t.workspace_id = g.workspace_id
           AND substr(t.name, 1, length(g.name) + 1) = g.name || ' ' AND j.status IN ('leased', 'started', 'running'))",
    ),
    (
        "each of those types has the places that are left, and knows how many it uses",
        "SELECT t.name FROM fanout t JOIN fanout g ON g.workspace_id = t.workspace_id AND g.name LIKE 'steps %\"'
           AND substr(t.name, 1, length(g.name) + 1) = g.name || ' '
         WHERE t.used <> (SELECT count(*) FROM job j WHERE j.fanout_id = t.fanout_id AND j.status = 'queued' AND NOT j.held)
           OR t.cap <> max(0, g.cap - g.used) OR t.used > t.cap",
    ),
    (
        "no job waits for a place while there is room",
        "SELECT name FROM fanout f WHERE used < cap AND EXISTS (SELECT 1 FROM job j WHERE j.fanout_id = f.fanout_id AND j.held)",
    ),
    (
        "a job has a body, in the batch that its row names",
        "SELECT j.job_id FROM job j LEFT JOIN job_body b ON b.seq = j.seq LEFT JOIN batch t ON t.seq = j.batch_seq
         WHERE b.seq IS NULL OR b.batch_id IS NOT t.batch_id OR (j.batch_seq IS NOT NULL AND t.seq IS NULL)",
    ),
    (
        "rows that belong to a job have one",
        "SELECT seq FROM job_body WHERE seq NOT IN (SELECT seq FROM job) UNION ALL
         SELECT seq FROM job_progress WHERE seq NOT IN (SELECT seq FROM job) UNION ALL
         SELECT seq FROM job_result WHERE seq NOT IN (SELECT seq FROM job) UNION ALL
         SELECT job_seq FROM job_artifact WHERE job_seq NOT IN (SELECT seq FROM job) UNION ALL
         SELECT job_seq FROM job_attempt WHERE job_seq NOT IN (SELECT seq FROM job)",
    ),
    (
        "the maintained counts are a recount",
        "SELECT c.job_type || ' ' || c.status FROM job_count c WHERE c.jobs <> (SELECT count(*) FROM job j
           WHERE j.workspace_id = c.workspace_id AND j.job_type = c.job_type AND j.status = c.status)
         UNION ALL SELECT j.job_type || ' ' || j.status FROM job j WHERE NOT EXISTS (SELECT 1 FROM job_count c
           WHERE j.workspace_id = c.workspace_id AND j.job_type = c.job_type AND j.status = c.status)",
    ),
    (
        "what an idempotency key made is there",
        "SELECT key FROM idempotency i WHERE NOT EXISTS (SELECT 1 FROM job j WHERE j.job_id = i.id)
           AND NOT EXISTS (SELECT 1 FROM batch b WHERE b.batch_id = i.id)",
    ),
];

/// Fails with every law that the store at `path` breaks.
pub fn assert_hold(path: &Path) {
    let connection = Connection::open(path).expect("the store opens");
    assert_hold_on(&connection);
}

/// As `assert_hold`, on a connection that is open already.
pub fn assert_hold_on(connection: &Connection) {
    let broken = broken(connection);
    assert!(broken.is_empty(), "the store breaks its laws:\n{}", broken.join("\n"));
}

/// Every law that is broken, with the rows that break it.
pub fn broken(connection: &Connection) -> Vec<String> {
    connection.execute_batch("BEGIN").expect("a transaction that reads");
    let mut broken: Vec<String> = LAWS
        .iter()
        .filter_map(|(law, sql)| {
            let rows = texts(connection, sql);
            (!rows.is_empty()).then(|| format!("{law}: {}", rows.join(", ")))
        })
        .collect();
    broken.extend(batches_that_miscount(connection));
    connection.execute_batch("COMMIT").expect("the transaction ends");
    broken
}

/// What SQLite itself has to say.
pub fn assert_integrity(path: &Path) {
    let connection = Connection::open(path).expect("the store opens");
    assert_eq!(texts(&connection, "PRAGMA integrity_check"), ["ok"]);
}

fn texts(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare_cached(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
    let rows = statement.query_map([], |row| row.get::<_, rusqlite::types::Value>(0)).expect("the query runs");
    let shown = rows.map(|row| match row.expect("a row") {
        rusqlite::types::Value::Text(text) => text,
        other => format!("{other:?}"),
    });
    shown.collect()
}

fn batches_that_miscount(connection: &Connection) -> Vec<String> {
    let mut counted: BTreeMap<i64, Counts> = BTreeMap::new();
    let mut begun: BTreeMap<i64, bool> = BTreeMap::new();
    let jobs = "SELECT batch_seq, status, attempt FROM job WHERE batch_seq IS NOT NULL";
    let mut statement = connection.prepare_cached(jobs).expect("the query is well formed");
    let mut rows = statement.query([]).expect("the query runs");
    while let Some(row) = rows.next().expect("a row") {
        let (batch, status): (i64, String) = (row.get(0).expect("a number"), row.get(1).expect("a status"));
        let status = Status::from_name(&status).expect("a known status");
        counted.entry(batch).or_default().0[status as usize] += 1;
        *begun.entry(batch).or_default() |= row.get::<_, i64>(2).expect("a number") > 0 || status.is_terminal();
    }
    let batches =
        "SELECT seq, batch_id, status, requested_count, queued, leased, started, running, succeeded, no_changes,
      failed, cancelled, timed_out, begun, completed_at IS NOT NULL, ended_seq IS NOT NULL FROM batch";
    let mut statement = connection.prepare_cached(batches).expect("the query is well formed");
    let mut rows = statement.query([]).expect("the query runs");
    let mut broken = Vec::new();
    while let Some(row) = rows.next().expect("a row") {
        let number = |column: usize| row.get::<_, i64>(column).expect("a number");
        let counts = Counts(std::array::from_fn(|index| number(4 + index)));
        let (id, status): (String, String) = (row.get(1).expect("an id"), row.get(2).expect("a status"));
        let recount = counted.remove(&number(0)).unwrap_or_default();
        if counts != recount {
            broken.push(format!("batch {id} counts {counts:?}, its jobs are {recount:?}"));
        }
        if number(3) != counts.0.iter().sum::<i64>() {
            broken.push(format!("batch {id} was {} jobs and is {}", number(3), counts.0.iter().sum::<i64>()));
        }
        if begun.get(&number(0)).is_some_and(|begun| *begun && number(13) == 0) {
            broken.push(format!("batch {id} has begun and does not know it"));
        }
        let expected = counts.status(number(13) == 1);
        if status != expected.name()
            || expected.is_terminal() != (number(14) == 1)
            || (expected.is_terminal() && number(15) == 0)
        {
            broken.push(format!("batch {id} is {status}, its jobs make it {}", expected.name()));
        }
    }
    broken
}
