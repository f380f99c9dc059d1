//! A connection's removal of what is old: statements in, rows out.

use super::session::{Session, under};
use super::statements::Statements;
use crate::store::{Batch, Job, PruneRows, PruneTx, ResourceRows, ResourceTx, Result, Tx, sql};
use rusqlite::params;

/// Where the last number used for an ending is kept, once the rows that bore it may be gone.
pub const ENDED_SEQ: &str = "ended_seq";

impl<S: Statements> PruneRows for Session<S> {
    fn job_types(&mut self) -> Result<Vec<(String, String)>> {
        self.all(sql::LIST_JOB_TYPES, [], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    fn empty_types(&mut self) -> Result<Vec<(String, String)>> {
        self.all(sql::LIST_EMPTY_TYPES, [], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    fn prunable_jobs(
        &mut self,
        (workspace, job_type): (&str, &str),
        completed_at: i64,
        limit: i64,
    ) -> Result<Vec<i64>> {
        self.all(sql::LIST_PRUNABLE_JOBS, params![job_type, completed_at, limit, workspace], |row| row.get(0))
    }

    fn prunable_batches(
        &mut self,
        (workspace, job_type): (&str, &str),
        completed_at: i64,
        limit: i64,
    ) -> Result<Vec<i64>> {
        self.all(sql::LIST_PRUNABLE_BATCHES, params![job_type, completed_at, limit, workspace], |row| row.get(0))
    }

    fn has_jobs_under(&mut self, fanout_id: i64) -> Result<bool> {
        Ok(self.one(sql::FIND_JOB_UNDER, [fanout_id], |_| Ok(()))?.is_some())
    }

    fn has_fanouts_under(&mut self, workspace: &str, name: &str) -> Result<bool> {
        let (first, end) = under(name);
        Ok(self.one(sql::FIND_FANOUT_UNDER, [workspace, &first, &end], |_| Ok(()))?.is_some())
    }
}

impl<S: Statements> PruneTx for Session<S> {
    fn delete_job(&mut self, job: &Job, idempotency_key: Option<&str>) -> Result<()> {
        if let Some(key) = idempotency_key {
            self.run(sql::DELETE_SUBMISSION, params![job.workspace_id, key, job.job_id])?;
        }
        self.clear_reports(job.seq)?;
        self.run(sql::DELETE_ATTEMPTS, [job.seq])?;
        self.run(sql::DELETE_BODY, [job.seq])?;
        self.run(sql::DELETE_JOB, [job.seq]).map(|_| ())
    }

    fn delete_batch(&mut self, batch: &Batch, fanout: &str) -> Result<()> {
        if let Some(key) = &batch.idempotency_key {
            self.run(sql::DELETE_SUBMISSION, params![batch.workspace_id, key, batch.batch_id])?;
        }
        self.run(sql::DELETE_FANOUT_BY_NAME, [&batch.workspace_id, fanout])?;
        self.run(sql::DELETE_BATCH, [batch.seq]).map(|_| ())
    }

    fn delete_empty_type(&mut self, (workspace, job_type): (&str, &str)) -> Result<()> {
        self.run(sql::DELETE_COUNTS_OF_EMPTY_TYPE, [workspace, job_type]).map(|_| ())
    }

    fn delete_fanout(&mut self, fanout_id: i64) -> Result<()> {
        self.run(sql::DELETE_FANOUT, [fanout_id]).map(|_| ())
    }

    fn keep_ended_seq(&mut self, ended_seq: i64) -> Result<()> {
        if self.kept_ended_seq()? < ended_seq {
            self.put_meta(ENDED_SEQ, &ended_seq.to_string())?;
        }
        Ok(())
    }
}

impl<S: Statements> Session<S> {
    /// The number that `keep_ended_seq` kept last; 0 where nothing was pruned yet.
    pub(super) fn kept_ended_seq(&mut self) -> Result<i64> {
        Ok(self.meta(ENDED_SEQ)?.and_then(|text| text.parse().ok()).unwrap_or(0))
    }
}
