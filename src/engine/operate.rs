//! What an operator or a flow asks of jobs and batches that are there: cancel, retry.

use super::error::{Error, Result};
use super::view::{BatchView, Depth, JobView};
use super::work::Work;
use crate::job::{Event, Status, decide, limits};
use crate::store::{self, Batch, Job, Text};
use crate::value::{MapBuilder, edn};

impl Work<'_> {
    /// Cancels a queued job, or asks the worker of an active one to stop.
    pub fn cancel(&mut self, workspace: &str, job_id: &str, reason: Option<&str>) -> Result<JobView> {
        let mut job = self.job(workspace, job_id)?;
        self.cancel_one(&mut job, reason)?;
        JobView::read(self.tx, job, Depth::Full, self.now)
    }

    fn cancel_one(&mut self, job: &mut Job, reason: Option<&str>) -> Result<()> {
        let change = decide(&job.facts, &Event::Cancel, self.now.store_ms)?;
        if change.next == job.facts {
            return Ok(());
        }
        if let Some(reason) = reason {
            let outcome = store::Outcome { error: Some(cancel_error(reason)), ..store::Outcome::default() };
            self.tx.put_outcome(job.seq, &outcome)?;
        }
        self.news.matters = true;
        self.apply(job, &change)
    }

    /// Queues a job again that ended badly.
    pub fn retry(&mut self, workspace: &str, job_id: &str) -> Result<JobView> {
        let mut job = self.job(workspace, job_id)?;
        let change = decide(&job.facts, &Event::Retry, self.now.store_ms)?;
        self.tx.clear_reports(job.seq)?;
        self.apply(&mut job, &change)?;
        JobView::read(self.tx, job, Depth::Full, self.now)
    }

    /// Cancels every job of a batch that has not ended.
    pub fn cancel_batch(&mut self, workspace: &str, batch_id: &str, reason: Option<&str>) -> Result<BatchView> {
        let batch = self.batch(workspace, batch_id)?;
        if batch.status.is_terminal() {
            return Err(Error::BatchEnded(batch.status.name()));
        }
        let jobs = self.tx.batch_jobs(batch.seq, 0, limits::BATCH_JOBS_MAX as i64)?;
        // Each is read again when its turn comes: an earlier one may have given it its place under the cap.
        let open = jobs.iter().filter(|job| !job.facts.status.is_terminal());
        for seq in open.map(|job| job.seq).collect::<Vec<_>>() {
            if let Some(mut job) = self.tx.job_by_seq(seq)? {
                self.cancel_one(&mut job, reason)?;
            }
        }
        let batch = self.batch(workspace, batch_id)?;
        Ok(BatchView { batch, jobs: None, truncated: false })
    }

    /// The batch of that id, if it is in the workspace.
    pub(super) fn batch(&mut self, workspace: &str, batch_id: &str) -> Result<Batch> {
        let found = self.tx.batch_by_id(batch_id)?.filter(|batch| batch.workspace_id == workspace);
        found.ok_or_else(|| Error::NoBatch(batch_id.into()))
    }
}

fn cancel_error(reason: &str) -> Text {
    let code = Status::Cancelled.name();
    edn::write(&MapBuilder::new().put("code", code).put("message", reason).build()).into()
}
