//! The limit: the engine's own statements on its own schema, run by hand on one connection of rusqlite.
//! It decides nothing, checks nothing and tells nobody.

use rusqlite::config::DbConfig;
use rusqlite::{Connection, params};
use std::collections::HashMap;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// The statements of `src/store/sql` by name, as `build.rs` reads them.
static SQL: LazyLock<HashMap<&str, String>> = LazyLock::new(|| {
    let files = [
        include_str!("../src/store/sql/jobs.sql"),
        include_str!("../src/store/sql/batches.sql"),
        include_str!("../src/store/sql/workspace.sql"),
    ];
    files.into_iter().flat_map(statements).collect()
});

fn statements(file: &'static str) -> Vec<(&'static str, String)> {
    let (lists, rest) = file.split_at(file.find("-- name: ").expect("a file of statements"));
    let columns = lists.split("-- columns: ").skip(1).filter_map(|block| block.split_once('\n'));
    let columns: Vec<_> = columns.collect();
    let statement = |block: &'static str| {
        let (name, rest) = block.split_once('\n').expect("a statement under its name");
        let (_doc, sql) = rest.split_once('\n').expect("a statement under its line");
        let mut sql = sql.trim().trim_end_matches(';').replace('$', "?");
        for (list, names) in &columns {
            sql = sql.replace(&format!("{{{list}}}"), names.trim());
        }
        (name.trim(), sql)
    };
    rest.split("-- name: ").skip(1).map(statement).collect()
}

fn sql(name: &str) -> &'static str {
    SQL.get(name).unwrap_or_else(|| panic!("no statement {name} in src/store/sql"))
}

/// One connection with the engine's settings.
pub struct Raw(Connection);

impl Raw {
    /// Opens a file that an engine has made.
    pub fn open(path: &Path, full: bool) -> Raw {
        let connection = Connection::open(path).expect("the engine made the file");
        connection.set_prepared_statement_cache_capacity(128);
        let level = if full { "FULL" } else { "NORMAL" };
        connection
            .execute_batch(&format!(
                "PRAGMA journal_mode = wal; PRAGMA synchronous = {level}; PRAGMA mmap_size = 0; \
                 PRAGMA cache_size = -16384; PRAGMA temp_store = memory; PRAGMA busy_timeout = 10000"
            ))
            .expect("settings of SQLite");
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).expect("a setting of SQLite");
        Raw(connection)
    }

    fn run(&self, name: &str, params: impl rusqlite::Params) {
        self.plain(sql(name), params);
    }

    fn plain(&self, sql: &str, params: impl rusqlite::Params) {
        self.0.prepare_cached(sql).and_then(|mut s| s.execute(params)).unwrap_or_else(|e| panic!("{sql}: {e}"));
    }

    /// Reads every column of every row.
    fn read(&self, name: &str, params: impl rusqlite::Params) -> Option<i64> {
        let mut statement = self.0.prepare_cached(sql(name)).expect("a statement of ours");
        let columns = statement.column_count();
        let mut rows = statement.query(params).expect("parameters of ours");
        let mut first = None;
        while let Some(row) = rows.next().expect("rows of ours") {
            for column in 0..columns {
                std::hint::black_box(row.get_ref(column).expect("a column"));
            }
            first = first.or(row.get(0).ok());
        }
        first
    }

    fn transaction(&self, work: impl FnOnce()) {
        self.plain("BEGIN IMMEDIATE", []);
        work();
        self.plain("COMMIT", []);
    }

    fn insert(&self, job_type: &str, batch: Option<i64>) {
        let (id, now) = (Uuid::now_v7().to_string(), 1_700_000_000_000i64);
        let none = Option::<i64>::None;
        let row = params![id, "default", job_type, "queued", 3, now, 120_000, batch, none, 0, now];
        self.run("insert_job", row);
        let seq = self.0.last_insert_rowid();
        self.run("insert_body", params![seq, batch.map(|_| &id), none, "bench", none, none, none, none, PAYLOAD]);
    }

    /// Submits one job, in a transaction of its own.
    pub fn submit(&self, job_type: &str) {
        self.transaction(|| {
            self.insert(job_type, None);
            self.run("add_count", params!["default", job_type, "queued", 1]);
        });
    }

    /// Submits so many jobs in one transaction: what a group of callers could have at best.
    pub fn submit_together(&self, job_type: &str, jobs: usize) {
        self.transaction(|| {
            (0..jobs).for_each(|_| self.insert(job_type, None));
            self.run("add_count", params!["default", job_type, "queued", jobs as i64]);
        });
    }

    /// Submits a batch, in one transaction.
    pub fn submit_batch(&self, job_type: &str, jobs: usize) {
        self.transaction(|| {
            let (id, none) = (Uuid::now_v7().to_string(), Option::<i64>::None);
            let row = params![id, "default", job_type, "queued", jobs as i64, 0, none, none, "bench", none];
            let batch = self.read("insert_batch", row);
            for _ in 0..jobs {
                self.insert(job_type, batch);
            }
            self.run("add_count", params!["default", job_type, "queued", jobs as i64]);
        });
    }

    /// Claims the next jobs and completes them, in two transactions; false where there are none.
    pub fn work(&self, job_type: &str, jobs: usize) -> bool {
        let mut found = Vec::new();
        self.transaction(|| {
            // One by one, as callers do.
            while found.len() < jobs
                && let Some(seq) = self.read("find_claimable", params!["default", job_type, i64::MAX, 1])
            {
                self.claim(seq);
                found.push(seq);
            }
            self.moved(job_type, "queued", "leased", found.len());
        });
        if found.is_empty() {
            return false;
        }
        self.transaction(|| {
            let last = self.read("last_job_ended", []).unwrap_or(0);
            for (nth, seq) in found.iter().enumerate() {
                self.complete(*seq, last + 1 + nth as i64);
            }
            self.moved(job_type, "leased", "succeeded", found.len());
        });
        true
    }

    /// Round trips of one job each, in the two commits that one in a process takes: submitted and claimed, completed.
    /// One thread does it all, so nobody waits to be woken.
    pub fn trips(&self, job_type: &str, times: usize) -> Vec<Duration> {
        let none = Option::<i64>::None;
        let trip = |_| {
            let begun = Instant::now();
            let mut claimed = None;
            self.transaction(|| {
                self.insert(job_type, None);
                claimed = self.read("find_claimable", params!["default", job_type, i64::MAX, 1]);
                claimed.into_iter().for_each(|seq| self.claim(seq));
                self.run("add_count", params!["default", job_type, "leased", 1]);
            });
            let seq = claimed.expect("the job that was just submitted");
            self.transaction(|| {
                let last = self.read("last_job_ended", []).unwrap_or(0);
                self.complete(seq, last + 1);
                self.run("put_outcome", params![seq, none, "\"1700000000000000\"", none, none, none]);
                self.moved(job_type, "leased", "succeeded", 1);
            });
            for name in ["get_job_by_seq", "get_body", "get_outcome"] {
                self.read(name, [seq]);
            }
            begun.elapsed()
        };
        (0..times).map(trip).collect()
    }

    fn claim(&self, seq: i64) {
        let (now, none) = (1_700_000_000_001i64, Option::<i64>::None);
        let token = Uuid::new_v4().simple().to_string();
        self.read("get_job_by_seq", [seq]);
        self.update(seq, 0, "leased", Some(now + 120_000), none);
        self.run("insert_attempt", params![seq, 1, "w", none, token, none, now]);
        self.read("get_body", [seq]);
    }

    fn complete(&self, seq: i64, ended: i64) {
        let (now, none) = (1_700_000_000_001i64, Option::<i64>::None);
        self.read("get_job_by_seq", [seq]);
        self.read("get_attempt", params![seq, 1]);
        self.run("end_attempt", params![seq, 1, now, "succeeded", none, [0u8; 32].as_slice()]);
        self.update(seq, 1, "succeeded", none, Some(ended));
        self.read("get_body", [seq]);
    }

    fn moved(&self, job_type: &str, from: &str, to: &str, jobs: usize) {
        self.run("add_count", params!["default", job_type, from, -(jobs as i64)]);
        self.run("add_count", params!["default", job_type, to, jobs as i64]);
    }

    fn update(&self, seq: i64, rev: i64, status: &str, lease: Option<i64>, ended: Option<i64>) {
        let (now, none) = (1_700_000_000_001i64, Option::<i64>::None);
        let done = ended.map(|_| now);
        let row = params![seq, rev, status, 1, 3, 0, 0, now, 120_000, lease, "w", 0, now, now, done, none, ended];
        self.run("update_job", row);
    }

    /// Runs a statement of the benchmark's own over the `numbers` from 1 to `?1`; `?2` is another number.
    pub fn all(&self, sql: &str, rows: i64, other: i64) {
        let numbers = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1)";
        let sql = format!("{numbers} {sql}");
        let mut statement = self.0.prepare(&sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        for (at, value) in [rows, other].iter().enumerate().take(statement.parameter_count()) {
            statement.raw_bind_parameter(at + 1, value).expect("a number");
        }
        statement.raw_execute().unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Makes so many jobs that have ended, as workers would have left them.
    pub fn age(&self, job_type: &str, jobs: usize) {
        let (now, none) = (1_600_000_000_000i64, Option::<i64>::None);
        let mut made = 0;
        while made < jobs {
            let some = (jobs - made).min(50_000);
            self.transaction(|| {
                let last = self.read("last_job_ended", []).unwrap_or(0);
                for nth in 1..=some as i64 {
                    self.insert(job_type, None);
                    let seq = self.0.last_insert_rowid();
                    self.update(seq, 0, "succeeded", none, Some(last + nth));
                    let token = Uuid::new_v4().simple().to_string();
                    self.run("insert_attempt", params![seq, 1, "w", none, token, none, now]);
                    self.run("end_attempt", params![seq, 1, now, "succeeded", none, [0u8; 32].as_slice()]);
                    self.run("put_outcome", params![seq, "done", none, none, none, none]);
                }
                self.run("add_count", params!["default", job_type, "succeeded", some as i64]);
            });
            made += some;
        }
        self.0.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").expect("a checkpoint");
    }

    /// Latencies of commits of one job each, for so long.
    pub fn submits(&self, job_type: &str, time: Duration) -> Vec<Duration> {
        let until = Instant::now() + time;
        let mut took = Vec::new();
        while Instant::now() < until {
            let begun = Instant::now();
            self.submit(job_type);
            took.push(begun.elapsed());
        }
        took
    }
}

/// What every job of the benchmark carries.
pub const PAYLOAD: &str = "{:surface \"flows-api\", :files [\"src/a.clj\" \"src/b.clj\"], :depth 3}";
