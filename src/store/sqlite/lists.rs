//! Pages of jobs, newest first. Each filter reads about as many rows as it gives, whatever else is stored: there are
//! indexes by type and status, and lists of several types or statuses are merged from theirs.

use super::session::{Session, count, job};
use super::statements::Statements;
use crate::store::{Count, Job, Page, Result, sql};
use rusqlite::params;

impl<S: Statements> Session<S> {
    pub(super) fn page_of_jobs(&self, page: &Page) -> Result<Vec<Job>> {
        let Page { workspace_id, job_type, batch_seq, status, before, limit } = *page;
        if let Some(batch) = batch_seq {
            let params = params![workspace_id, before, limit, status, batch, job_type];
            return self.all(sql::LIST_JOBS_BY_BATCH, params, job);
        }
        match (status, job_type) {
            (None, None) if !self.is_shared(workspace_id)? => {
                self.all(sql::LIST_JOBS, params![workspace_id, before, limit], job)
            }
            _ => self.merged(page),
        }
    }

    /// Whether other workspaces have jobs too.
    fn is_shared(&self, workspace: &str) -> Result<bool> {
        Ok(self.one(sql::FIND_OTHER_WORKSPACE, [workspace], |_| Ok(()))?.is_some())
    }

    /// The newest of the pages of each type and status.
    fn merged(&self, page: &Page) -> Result<Vec<Job>> {
        let Page { workspace_id, job_type, status, before, limit, .. } = *page;
        let read = |row: &rusqlite::Row| row.get::<_, i64>(0);
        let mut found: Vec<i64> = match job_type {
            Some(_) => Vec::new(),
            // Mostly it is among these, and then there are no types to go through.
            None => self.all(sql::LIST_NEWEST, params![workspace_id, before, limit, status], read)?,
        };
        if (found.len() as i64) < limit {
            found = self.merged_types(page)?;
        }
        found.into_iter().filter_map(|seq| self.one(sql::GET_JOB_BY_SEQ, [seq], job).transpose()).collect()
    }

    fn merged_types(&self, page: &Page) -> Result<Vec<i64>> {
        let Page { workspace_id, status, before, limit, .. } = *page;
        let (mut found, mut above): (Vec<i64>, i64) = (Vec::new(), 0);
        for Count { job_type, status, jobs } in self.counted(workspace_id, page.job_type, status)? {
            let list = if status.is_terminal() { sql::LIST_ENDED } else { sql::LIST_OPEN };
            let params = params![workspace_id, before, limit.min(jobs), status.name(), job_type, above];
            found.extend(self.all(list, params, |row| row.get::<_, i64>(0))?);
            found.sort_unstable_by(|one, other| other.cmp(one));
            found.truncate(limit.max(0) as usize);
            // Once there is a whole page, older ones need not be read.
            if found.len() as i64 == limit {
                above = found.last().copied().unwrap_or(0);
            }
        }
        Ok(found)
    }

    /// How many jobs there are of each type and status that is asked for and has any.
    pub(super) fn counted(&self, workspace: &str, job_type: Option<&str>, status: Option<&str>) -> Result<Vec<Count>> {
        match job_type {
            Some(_) => self.all(sql::LIST_COUNTS_OF_TYPE, params![workspace, job_type, status], count),
            None => self.all(sql::LIST_COUNTS, params![workspace, status], count),
        }
    }
}
