//! Pages of jobs, newest first. Each filter reads about as many rows as it gives, whatever else is stored: there is an
//! index by type, and by type and status for what has ended; lists of several types are merged from theirs.

use super::session::{Session, job};
use super::statements::Statements;
use crate::job::Status;
use crate::store::{Job, Page, Result, sql};
use rusqlite::params;

impl<S: Statements> Session<S> {
    pub(super) fn page_of_jobs(&self, page: &Page) -> Result<Vec<Job>> {
        let Page { workspace_id, job_type, batch_seq, status, before, limit } = *page;
        if let Some(batch) = batch_seq {
            let params = params![workspace_id, before, limit, status, batch, job_type];
            return self.all(sql::LIST_JOBS_BY_BATCH, params, job);
        }
        match (status.and_then(Status::from_name), job_type) {
            (None, Some(_)) => self.all(sql::LIST_JOBS_BY_TYPE, params![workspace_id, before, limit, job_type], job),
            (None, None) if !self.is_shared(workspace_id)? => {
                self.all(sql::LIST_JOBS, params![workspace_id, before, limit], job)
            }
            (Some(status), _) if status.is_active() => {
                self.all(sql::LIST_ACTIVE, params![workspace_id, before, limit, status.name(), job_type], job)
            }
            (status, _) => self.merged(page, status),
        }
    }

    /// Whether other workspaces have jobs too.
    fn is_shared(&self, workspace: &str) -> Result<bool> {
        Ok(self.one(sql::FIND_OTHER_WORKSPACE, [workspace], |_| Ok(()))?.is_some())
    }

    /// The newest of the pages of each type.
    fn merged(&self, page: &Page, status: Option<Status>) -> Result<Vec<Job>> {
        let Page { workspace_id, job_type, before, limit, .. } = *page;
        let named = status.map(Status::name);
        let read = |row: &rusqlite::Row| row.get::<_, i64>(0);
        let mut found: Vec<i64> = match job_type {
            Some(_) => Vec::new(),
            // Mostly it is among these, and then there are no types to go through.
            None => self.all(sql::LIST_NEWEST, params![workspace_id, before, limit, named], read)?,
        };
        let is_whole = found.len() as i64 == limit;
        let types = if is_whole { Vec::new() } else { self.types(workspace_id, named, job_type)? };
        found.truncate(if is_whole { usize::MAX } else { 0 });
        let mut above = 0;
        for (job_type, jobs) in types {
            let limit = limit.min(jobs);
            let more = match status {
                Some(Status::Queued) => sql::LIST_QUEUED_BY_TYPE,
                Some(_) => sql::LIST_ENDED_BY_TYPE,
                None => sql::LIST_SEQS_BY_TYPE,
            };
            found.extend(
                self.all(more, params![workspace_id, before, limit, named, job_type, above], |row| {
                    row.get::<_, i64>(0)
                })?,
            );
            found.sort_unstable_by(|one, other| other.cmp(one));
            found.truncate(page.limit.max(0) as usize);
            // Once there is a whole page, older ones need not be read.
            if found.len() as i64 == page.limit {
                above = found.last().copied().unwrap_or(0);
            }
        }
        found.into_iter().filter_map(|seq| self.one(sql::GET_JOB_BY_SEQ, [seq], job).transpose()).collect()
    }
    /// Types that have jobs of a status, or of any, and how many.
    fn types(&self, workspace: &str, status: Option<&str>, job_type: Option<&str>) -> Result<Vec<(String, i64)>> {
        let read = |row: &rusqlite::Row| Ok((row.get(0)?, row.get(1)?));
        match job_type {
            Some(_) => self.all(sql::GET_COUNT, params![workspace, status, job_type], read),
            None => self.all(sql::LIST_TYPES_BY_STATUS, params![workspace, status], read),
        }
    }
}
