//! One connection's reads and writes: statements in, rows out.

use super::access;
use super::open::OpenFile;
use super::statements::{AtHand, Statements};
use super::{error, execute, patiently};
use crate::job::{BatchStatus, Counts, Facts, Status};
use crate::store::{
    AccessKey, Account, Answered, Artifact, Attempt, Batch, Body, ClockRow, Count, Error, Fanout, Grant, Job,
    OperationName, Outcome, Page, Patience, Progress, Queue, Result, Rows, Submission, Tx, WorkspaceCount, sql,
};
use rusqlite::{Connection, OptionalExtension, Params, Row, Statement, params};
use std::sync::Arc;
use std::time::Duration;

/// One connection, or a transaction on it that has its statements at hand.
pub struct Session<S = Connection> {
    statements: S,
    /// Keeps the file's lock for as long as the connection lives; dropped after it.
    file: Arc<OpenFile>,
}

impl<S: Statements> Session<S> {
    pub fn new(statements: S, file: Arc<OpenFile>) -> Session<S> {
        Session { statements, file }
    }

    pub(super) fn one<T>(
        &self,
        sql: &'static str,
        params: impl Params,
        read: fn(&Row) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        self.with(sql, |statement| statement.query_row(params, read).optional())
    }

    pub(super) fn all<T>(
        &self,
        sql: &'static str,
        params: impl Params,
        read: fn(&Row) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        self.with(sql, |statement| statement.query_map(params, read)?.collect())
    }

    pub(super) fn run(&self, sql: &'static str, params: impl Params) -> Result<usize> {
        self.with(sql, |statement| statement.execute(params))
    }

    fn with<T>(&self, sql: &'static str, work: impl FnOnce(&mut Statement) -> rusqlite::Result<T>) -> Result<T> {
        let run = || self.statements.with(sql, work);
        let done = if S::MAY_WAIT { patiently(self.file.busy_timeout(), run) } else { run() };
        done.map_err(error)
    }

    fn connection(&self) -> &Connection {
        self.statements.connection()
    }
}

impl<S: Statements> Rows for Session<S> {
    fn hold(&mut self) -> Result<()> {
        self.file.in_place()?;
        execute(self.connection(), "BEGIN DEFERRED")
    }

    fn let_go(&mut self) -> Result<()> {
        execute(self.connection(), "COMMIT")
    }

    fn version(&mut self) -> Result<i64> {
        let version = self.one("PRAGMA data_version", [], |row| row.get(0))?;
        version.ok_or_else(|| Error::Corrupt("store has no version".into()))
    }

    fn clock(&mut self) -> Result<Option<ClockRow>> {
        self.one(sql::GET_CLOCK, [], |row| Ok(ClockRow { boot_id: row.get(0)?, offset_ms: row.get(1)? }))
    }

    fn time_reached(&mut self) -> Result<Option<i64>> {
        let submitted = self.one(sql::LAST_DUE, [], |row| row.get(0))?;
        let kept = self.one(sql::GET_TIME, [], |row| row.get(0))?;
        Ok(submitted.max(kept))
    }

    fn job_by_id(&mut self, job_id: &str) -> Result<Option<Job>> {
        self.one(sql::GET_JOB_BY_ID, [job_id], job)
    }

    fn job_by_seq(&mut self, seq: i64) -> Result<Option<Job>> {
        self.one(sql::GET_JOB_BY_SEQ, [seq], job)
    }

    fn body(&mut self, seq: i64, payload: bool) -> Result<Body> {
        let statement = if payload { sql::GET_BODY } else { sql::GET_BODY_WITHOUT_PAYLOAD };
        self.one(statement, [seq], body)?.ok_or_else(|| Error::Corrupt(format!("job {seq} has no body")))
    }

    fn progress(&mut self, seq: i64) -> Result<Option<Progress>> {
        self.one(sql::GET_PROGRESS, [seq], |row| {
            Ok(Progress {
                status: status(row, 0)?,
                message: row.get(1)?,
                details: row.get(2)?,
                metrics: row.get(3)?,
                updated_at: row.get(4)?,
            })
        })
    }

    fn outcome(&mut self, seq: i64) -> Result<Option<Outcome>> {
        self.one(sql::GET_OUTCOME, [seq], |row| {
            Ok(Outcome {
                summary: row.get(0)?,
                outputs: row.get(1)?,
                metrics: row.get(2)?,
                worker_info: row.get(3)?,
                error: row.get(4)?,
            })
        })
    }

    fn artifacts(&mut self, seq: i64) -> Result<Vec<Artifact>> {
        self.all(sql::LIST_ARTIFACTS, [seq], |row| {
            Ok(Artifact { kind: row.get(0)?, label: row.get(1)?, artifact: row.get(2)? })
        })
    }

    fn artifact_names(&mut self, seq: i64) -> Result<Vec<(String, Option<String>)>> {
        self.all(sql::LIST_ARTIFACT_NAMES, [seq], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    fn last_attempts(&mut self, seq: i64, limit: i64) -> Result<Vec<Attempt>> {
        let mut attempts = self.all(sql::LIST_LAST_ATTEMPTS, [seq, limit], attempt)?;
        attempts.reverse();
        Ok(attempts)
    }

    fn attempt_by_token(&mut self, seq: i64, token: &str) -> Result<Option<Attempt>> {
        self.one(sql::GET_ATTEMPT_BY_TOKEN, params![seq, token], attempt)
    }

    fn attempt(&mut self, seq: i64, number: i64) -> Result<Option<Attempt>> {
        self.one(sql::GET_ATTEMPT, [seq, number], attempt)
    }

    fn attempt_by_request(&mut self, request_id: &str) -> Result<Vec<Attempt>> {
        self.all(sql::LIST_ATTEMPTS_BY_REQUEST, [request_id], attempt)
    }

    fn claimable(&mut self, queue: &Queue, now_ms: i64, limit: i64) -> Result<Vec<i64>> {
        let Queue { workspace_id, job_type, batch_seq } = *queue;
        match batch_seq {
            Some(batch) => {
                self.all(sql::FIND_CLAIMABLE_IN_BATCH, params![batch, job_type, now_ms, limit], |row| row.get(0))
            }
            None => self.all(sql::FIND_CLAIMABLE, params![workspace_id, job_type, now_ms, limit], |row| row.get(0)),
        }
    }

    fn next_due(&mut self, queue: &Queue, now_ms: i64) -> Result<Option<i64>> {
        let Queue { workspace_id, job_type, batch_seq } = *queue;
        match batch_seq {
            Some(batch) => self.one(sql::NEXT_DUE_IN_BATCH, params![batch, job_type, now_ms], |row| row.get(0)),
            None => self.one(sql::NEXT_DUE, params![workspace_id, job_type, now_ms], |row| row.get(0)),
        }
    }

    fn expired(&mut self, now_ms: i64, limit: i64) -> Result<Vec<i64>> {
        self.all(sql::LIST_EXPIRED, [now_ms, limit], |row| row.get(0))
    }

    fn next_expiry(&mut self) -> Result<Option<i64>> {
        self.one(sql::NEXT_EXPIRY, [], |row| row.get(0)).map(Option::flatten)
    }

    fn list_jobs(&mut self, page: &Page) -> Result<Vec<Job>> {
        self.page_of_jobs(page)
    }

    fn batch_by_id(&mut self, batch_id: &str) -> Result<Option<Batch>> {
        self.one(sql::GET_BATCH_BY_ID, [batch_id], batch)
    }

    fn batch_by_seq(&mut self, seq: i64) -> Result<Option<Batch>> {
        self.one(sql::GET_BATCH_BY_SEQ, [seq], batch)
    }

    fn list_batches(&mut self, page: &Page) -> Result<Vec<Batch>> {
        let Page { workspace_id, job_type, status, before, limit, batch_seq: _ } = *page;
        match (job_type, status) {
            (None, None) => self.all(sql::LIST_BATCHES, params![workspace_id, before, limit], batch),
            (None, Some(_)) => {
                self.all(sql::LIST_BATCHES_BY_STATUS, params![workspace_id, before, limit, status], batch)
            }
            (Some(_), None) => {
                self.all(sql::LIST_BATCHES_BY_TYPE, params![workspace_id, before, limit, job_type], batch)
            }
            (Some(_), Some(_)) => {
                let params = params![workspace_id, before, limit, status, job_type];
                self.all(sql::LIST_BATCHES_BY_TYPE_AND_STATUS, params, batch)
            }
        }
    }

    fn batch_jobs(&mut self, batch_seq: i64, after: i64, limit: i64) -> Result<Vec<Job>> {
        self.all(sql::LIST_BATCH_JOBS, [batch_seq, after, limit], job)
    }

    fn submission(&mut self, workspace: &str, key: &str) -> Result<Option<Submission>> {
        self.one(sql::GET_SUBMISSION, [workspace, key], |row| Ok(Submission { id: row.get(0)?, digest: row.get(1)? }))
    }

    fn counts(&mut self, workspace: &str, job_type: Option<&str>) -> Result<Vec<Count>> {
        self.counted(workspace, job_type, None)
    }

    fn ended_since(&mut self, ended_seq: i64) -> Result<(Vec<String>, i64)> {
        let read = |row: &Row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?));
        let ended = self.all(sql::LIST_ENDED_SINCE, [ended_seq], read)?;
        let last = ended.iter().map(|(_, number)| *number).max().unwrap_or(ended_seq);
        Ok((ended.into_iter().map(|(id, _)| id).collect(), last))
    }

    fn last_ended_seq(&mut self) -> Result<i64> {
        let read = |row: &Row| row.get::<_, Option<i64>>(0);
        let job = self.one(sql::LAST_JOB_ENDED, [], read)?.flatten();
        let batch = self.one(sql::LAST_BATCH_ENDED, [], read)?.flatten();
        Ok(job.max(batch).unwrap_or(0).max(self.kept_ended_seq()?))
    }

    fn fanout(&mut self, fanout_id: i64) -> Result<Option<Fanout>> {
        self.one(sql::GET_FANOUT, [fanout_id], fanout)
    }

    fn fanout_by_name(&mut self, workspace: &str, name: &str) -> Result<Option<Fanout>> {
        self.one(sql::GET_FANOUT_BY_NAME, [workspace, name], fanout)
    }

    fn fanouts_without_places(&mut self, workspace: &str, name: &str) -> Result<Vec<Fanout>> {
        let (first, end) = under(name);
        self.all(sql::LIST_FANOUTS_WITHOUT_PLACES, [workspace, &first, &end], fanout)
    }

    fn fanouts_with_places(&mut self, workspace: &str, name: &str, limit: i64) -> Result<Vec<Fanout>> {
        let (first, end) = under(name);
        self.all(sql::LIST_FANOUTS_WITH_PLACES, params![workspace, first, end, limit], fanout)
    }

    fn next_held(&mut self, fanout_id: i64) -> Result<Option<i64>> {
        self.one(sql::FIND_HELD, [fanout_id], |row| row.get(0))
    }

    fn last_placed(&mut self, fanout_id: i64) -> Result<Option<i64>> {
        self.one(sql::FIND_LAST_PLACED, [fanout_id], |row| row.get(0))
    }

    fn all_counts(&mut self) -> Result<Vec<WorkspaceCount>> {
        self.all(sql::LIST_ALL_COUNTS, [], |row| {
            let count = Count { job_type: row.get(1)?, status: status(row, 2)?, jobs: row.get(3)? };
            Ok(WorkspaceCount { workspace_id: row.get(0)?, count })
        })
    }

    fn account(&mut self, account_id: &str) -> Result<Option<Account>> {
        self.one(sql::GET_ACCOUNT, [account_id], |row| access::account(row, 0))
    }

    fn accounts(&mut self, workspace: &str, before: i64, limit: i64) -> Result<Vec<Account>> {
        self.all(sql::LIST_ACCOUNTS, params![workspace, before, limit], |row| access::account(row, 0))
    }

    fn key(&mut self, key_id: &str) -> Result<Option<AccessKey>> {
        self.one(sql::GET_KEY, [key_id], access::key)
    }

    fn grant(&mut self, key_id: &str) -> Result<Option<Grant>> {
        self.one(sql::GET_GRANT, [key_id], access::grant)
    }

    fn keys(&mut self, account_seq: i64, before: i64, limit: i64) -> Result<Vec<AccessKey>> {
        self.all(sql::LIST_KEYS, [account_seq, before, limit], access::key)
    }

    fn has_usable_key(&mut self, now_wall_ms: i64) -> Result<bool> {
        self.one(sql::FIND_USABLE_KEY, [now_wall_ms], |_| Ok(())).map(|found| found.is_some())
    }

    fn answered(&mut self, name: OperationName, now_ms: i64) -> Result<Option<Answered>> {
        let OperationName { workspace_id, caller, operation_id } = name;
        self.one(sql::GET_OPERATION, params![workspace_id, caller, operation_id, now_ms], |row| {
            Ok(Answered { digest: row.get(0)?, answer: row.get(1)? })
        })
    }

    fn next_operation_until(&mut self) -> Result<Option<i64>> {
        self.one(sql::NEXT_OPERATION_UNTIL, [], |row| row.get(0))
    }
}

impl<S: Statements> Tx for Session<S> {
    fn writes(&self) -> u64 {
        self.connection().total_changes()
    }

    fn begin(&mut self, patience: Patience) -> Result<()> {
        self.file.in_place()?;
        let timeout = match patience {
            Patience::None => Duration::ZERO,
            Patience::Full => self.file.busy_timeout(),
        };
        patiently(timeout, || execute(self.connection(), "BEGIN IMMEDIATE"))
    }

    fn repeatedly(&mut self, work: &mut dyn FnMut(&mut dyn Tx)) {
        work(&mut Session::new(AtHand::new(self.connection()), self.file.clone()));
    }

    fn commit(&mut self) -> Result<()> {
        let done = patiently(self.file.busy_timeout(), || execute(self.connection(), "COMMIT"));
        match done {
            Ok(()) => Ok(()),
            Err(cause) => {
                self.rollback();
                Err(Error::Unknown(cause.to_string()))
            }
        }
    }

    fn rollback(&mut self) {
        if !self.connection().is_autocommit() {
            // A rollback that fails leaves the transaction to the closing of the connection; the cause was told.
            let _ = execute(self.connection(), "ROLLBACK");
        }
    }

    fn savepoint(&mut self) -> Result<()> {
        execute(self.connection(), "SAVEPOINT operation")
    }

    fn keep(&mut self) -> Result<()> {
        execute(self.connection(), "RELEASE operation")
    }

    fn undo(&mut self) -> Result<()> {
        execute(self.connection(), "ROLLBACK TO operation")?;
        execute(self.connection(), "RELEASE operation")
    }

    fn set_clock(&mut self, clock: &ClockRow) -> Result<()> {
        self.run(sql::SET_CLOCK, params![clock.boot_id, clock.offset_ms]).map(|_| ())
    }

    fn keep_time(&mut self, now_ms: i64) -> Result<()> {
        self.run(sql::PUT_TIME, [now_ms]).map(|_| ())
    }

    fn renew_all_leases(&mut self, now_ms: i64) -> Result<()> {
        self.run(sql::RENEW_ALL_LEASES, [now_ms]).map(|_| ())
    }

    fn insert_job(&mut self, job: &Job, body: &Body) -> Result<i64> {
        let Job { job_id, workspace_id, job_type, facts, batch_seq, fanout_id, held, created_at, .. } = job;
        let status = facts.status.name();
        let Facts { max_attempts, due_ms, lease_ms, .. } = facts;
        // Not RETURNING: SQLite keeps its rows in a table of their own, which costs as much as the whole insert.
        self.run(
            sql::INSERT_JOB,
            params![
                job_id,
                workspace_id,
                job_type,
                status,
                max_attempts,
                due_ms,
                lease_ms,
                batch_seq,
                fanout_id,
                held,
                created_at
            ],
        )?;
        let seq = self.connection().last_insert_rowid();
        self.run(
            sql::INSERT_BODY,
            params![
                seq,
                body.batch_id,
                body.root_workflow_id,
                body.parent_step_id,
                body.fanout_parent_step_id,
                body.fanout_max_concurrency,
                body.idempotency_key,
                body.metadata,
                body.payload
            ],
        )?;
        Ok(seq)
    }

    fn update_job(&mut self, job: &Job) -> Result<bool> {
        let facts = &job.facts;
        let changed = self.run(
            sql::UPDATE_JOB,
            params![
                job.seq,
                job.rev - 1,
                facts.status.name(),
                facts.attempt,
                facts.max_attempts,
                facts.spent,
                facts.cancel_requested,
                facts.due_ms,
                facts.lease_ms,
                facts.lease_until_ms,
                job.worker_id,
                job.held,
                job.started_at,
                job.updated_at,
                job.completed_at,
                job.last_heartbeat_at,
                job.ended_seq
            ],
        )?;
        Ok(changed == 1)
    }

    fn renew_lease(&mut self, job: &Job) -> Result<bool> {
        let Facts { lease_ms, lease_until_ms, .. } = job.facts;
        let row = params![job.seq, job.rev - 1, lease_ms, lease_until_ms, job.updated_at, job.last_heartbeat_at];
        Ok(self.run(sql::RENEW_LEASE, row)? == 1)
    }

    fn set_held(&mut self, seq: i64, held: bool) -> Result<()> {
        self.run(sql::UPDATE_JOB_HELD, params![seq, held]).map(|_| ())
    }

    fn put_progress(&mut self, seq: i64, progress: &Progress) -> Result<()> {
        let Progress { status, message, details, metrics, updated_at } = progress;
        self.run(sql::PUT_PROGRESS, params![seq, status.name(), message, details, metrics, updated_at]).map(|_| ())
    }

    fn put_outcome(&mut self, seq: i64, outcome: &Outcome) -> Result<()> {
        let Outcome { summary, outputs, metrics, worker_info, error } = outcome;
        self.run(sql::PUT_OUTCOME, params![seq, summary, outputs, metrics, worker_info, error]).map(|_| ())
    }

    fn put_artifact(&mut self, seq: i64, position: i64, artifact: &Artifact) -> Result<()> {
        let Artifact { kind, label, artifact } = artifact;
        self.run(sql::PUT_ARTIFACT, params![seq, position, kind, label, artifact]).map(|_| ())
    }

    fn clear_reports(&mut self, seq: i64) -> Result<()> {
        self.run(sql::DELETE_PROGRESS, [seq])?;
        self.run(sql::DELETE_OUTCOME, [seq])?;
        self.run(sql::DELETE_ARTIFACTS, [seq]).map(|_| ())
    }

    fn insert_attempt(&mut self, attempt: &Attempt) -> Result<()> {
        let Attempt { job_seq, attempt: number, worker_id, worker_labels, lease_token, request_id, claimed_at, .. } =
            attempt;
        let row = params![job_seq, number, worker_id, worker_labels, lease_token, request_id, claimed_at];
        self.run(sql::INSERT_ATTEMPT, row).map(|_| ())
    }

    fn end_attempt(&mut self, attempt: &Attempt) -> Result<()> {
        let Attempt { job_seq, attempt: number, ended_at, outcome, error, settled_by, .. } = attempt;
        self.run(sql::END_ATTEMPT, params![job_seq, number, ended_at, outcome, error, settled_by]).map(|_| ())
    }

    fn insert_batch(&mut self, batch: &Batch) -> Result<i64> {
        let seq = self.one(
            sql::INSERT_BATCH,
            params![
                batch.batch_id,
                batch.workspace_id,
                batch.job_type,
                batch.status.name(),
                batch.requested_count,
                batch.created_at,
                batch.idempotency_key,
                batch.root_workflow_id,
                batch.parent_step_id,
                batch.metadata
            ],
            |row| row.get(0),
        )?;
        seq.ok_or_else(|| Error::Corrupt("an insert gave no row".into()))
    }

    fn update_batch(&mut self, batch: &Batch) -> Result<()> {
        let [queued, leased, started, running, succeeded, no_changes, failed, cancelled, timed_out] = batch.counts.0;
        self.run(
            sql::UPDATE_BATCH,
            params![
                batch.seq,
                batch.status.name(),
                batch.begun,
                queued,
                leased,
                started,
                running,
                succeeded,
                no_changes,
                failed,
                cancelled,
                timed_out,
                batch.updated_at,
                batch.completed_at,
                batch.ended_seq
            ],
        )
        .map(|_| ())
    }

    fn update_batch_counts(&mut self, batch: &Batch) -> Result<()> {
        let [queued, leased, started, running, succeeded, no_changes, failed, cancelled, timed_out] = batch.counts.0;
        self.run(
            sql::UPDATE_BATCH_COUNTS,
            params![
                batch.seq,
                batch.begun,
                queued,
                leased,
                started,
                running,
                succeeded,
                no_changes,
                failed,
                cancelled,
                timed_out,
                batch.updated_at
            ],
        )
        .map(|_| ())
    }

    fn insert_submission(&mut self, workspace: &str, key: &str, submission: &Submission) -> Result<()> {
        self.run(sql::INSERT_SUBMISSION, params![workspace, key, submission.id, submission.digest]).map(|_| ())
    }

    fn add_count(&mut self, workspace: &str, job_type: &str, status: Status, jobs: i64) -> Result<()> {
        self.run(sql::ADD_COUNT, params![workspace, job_type, status.name(), jobs]).map(|_| ())
    }

    fn insert_fanout(&mut self, workspace: &str, name: &str, cap: i64) -> Result<i64> {
        let id = self.one(sql::INSERT_FANOUT, params![workspace, name, cap], |row| row.get(0))?;
        id.ok_or_else(|| Error::Corrupt("an insert gave no row".into()))
    }

    fn update_fanout(&mut self, fanout: &Fanout) -> Result<()> {
        self.run(sql::UPDATE_FANOUT, [fanout.fanout_id, fanout.cap, fanout.used]).map(|_| ())
    }

    fn insert_account(&mut self, account: &Account) -> Result<i64> {
        access::insert_account(self, account)
    }

    fn update_account(&mut self, account: &Account) -> Result<()> {
        access::update_account(self, account)
    }

    fn insert_key(&mut self, key: &AccessKey) -> Result<i64> {
        access::insert_key(self, key)
    }

    fn revoke_key(&mut self, seq: i64, revoked_at: i64) -> Result<()> {
        self.run(sql::REVOKE_KEY, [seq, revoked_at]).map(|_| ())
    }

    fn put_answered(&mut self, name: OperationName, answered: &Answered, until_ms: i64) -> Result<()> {
        let OperationName { workspace_id, caller, operation_id } = name;
        let Answered { digest, answer } = answered;
        self.run(sql::PUT_OPERATION, params![workspace_id, caller, operation_id, digest, answer, until_ms]).map(|_| ())
    }

    fn delete_answered(&mut self, name: OperationName) -> Result<()> {
        let OperationName { workspace_id, caller, operation_id } = name;
        self.run(sql::DELETE_OPERATION, [workspace_id, caller, operation_id]).map(|_| ())
    }

    fn delete_old_answers(&mut self, now_ms: i64, limit: i64) -> Result<usize> {
        self.run(sql::DELETE_OLD_OPERATIONS, [now_ms, limit])
    }
}

pub(super) fn job(row: &Row) -> rusqlite::Result<Job> {
    Ok(Job {
        seq: row.get(0)?,
        job_id: row.get(1)?,
        workspace_id: row.get(2)?,
        job_type: row.get(3)?,
        rev: row.get(5)?,
        facts: Facts {
            status: status(row, 4)?,
            attempt: row.get(6)?,
            max_attempts: row.get(7)?,
            spent: row.get(8)?,
            cancel_requested: row.get(9)?,
            due_ms: row.get(10)?,
            lease_ms: row.get(11)?,
            lease_until_ms: row.get(12)?,
        },
        worker_id: row.get(13)?,
        batch_seq: row.get(14)?,
        fanout_id: row.get(15)?,
        held: row.get(16)?,
        created_at: row.get(17)?,
        started_at: row.get(18)?,
        updated_at: row.get(19)?,
        completed_at: row.get(20)?,
        last_heartbeat_at: row.get(21)?,
        ended_seq: row.get(22)?,
    })
}

fn body(row: &Row) -> rusqlite::Result<Body> {
    Ok(Body {
        batch_id: row.get(0)?,
        root_workflow_id: row.get(1)?,
        parent_step_id: row.get(2)?,
        fanout_parent_step_id: row.get(3)?,
        fanout_max_concurrency: row.get(4)?,
        idempotency_key: row.get(5)?,
        metadata: row.get(6)?,
        payload: row.get(7)?,
    })
}

fn attempt(row: &Row) -> rusqlite::Result<Attempt> {
    Ok(Attempt {
        job_seq: row.get(0)?,
        attempt: row.get(1)?,
        worker_id: row.get(2)?,
        worker_labels: row.get(3)?,
        lease_token: row.get(4)?,
        request_id: row.get(5)?,
        claimed_at: row.get(6)?,
        ended_at: row.get(7)?,
        outcome: row.get(8)?,
        error: row.get(9)?,
        settled_by: row.get(10)?,
    })
}

fn batch(row: &Row) -> rusqlite::Result<Batch> {
    let mut counts = Counts::default();
    for (index, count) in counts.0.iter_mut().enumerate() {
        *count = row.get(7 + index)?;
    }
    Ok(Batch {
        seq: row.get(0)?,
        batch_id: row.get(1)?,
        workspace_id: row.get(2)?,
        job_type: row.get(3)?,
        status: BatchStatus::from_name(row.get_ref(4)?.as_str()?).ok_or_else(|| unknown_word(4))?,
        begun: row.get(5)?,
        requested_count: row.get(6)?,
        counts,
        created_at: row.get(16)?,
        updated_at: row.get(17)?,
        completed_at: row.get(18)?,
        ended_seq: row.get(19)?,
        idempotency_key: row.get(20)?,
        root_workflow_id: row.get(21)?,
        parent_step_id: row.get(22)?,
        metadata: row.get(23)?,
    })
}

pub(super) fn count(row: &Row) -> rusqlite::Result<Count> {
    Ok(Count { job_type: row.get(0)?, status: status(row, 1)?, jobs: row.get(2)? })
}

/// Where the names begin and end that go on after `name` and a space: with what comes right after a space in the order
/// of bytes.
pub(super) fn under(name: &str) -> (String, String) {
    (format!("{name} "), format!("{name}!"))
}

fn fanout(row: &Row) -> rusqlite::Result<Fanout> {
    Ok(Fanout { fanout_id: row.get(0)?, cap: row.get(1)?, used: row.get(2)?, name: row.get(3)? })
}

fn status(row: &Row, column: usize) -> rusqlite::Result<Status> {
    Status::from_name(row.get_ref(column)?.as_str()?).ok_or_else(|| unknown_word(column))
}

fn unknown_word(column: usize) -> rusqlite::Error {
    rusqlite::Error::InvalidColumnType(column, "status".into(), rusqlite::types::Type::Text)
}
