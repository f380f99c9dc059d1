//! Jobs and batches as they are shown: their rows put together.

use super::clock::Now;
use super::error::Result;
use crate::job::limits;
use crate::store::{Artifact, Attempt, Batch, Body, Job, Outcome, Progress, Rows, Text};

/// How much of a job is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Without payload, metadata, result and history.
    Short,
    Full,
}

/// A job with what is known of it.
#[derive(Clone, Debug)]
pub struct JobView {
    pub job: Job,
    pub body: Body,
    pub progress: Option<Progress>,
    pub outcome: Option<Outcome>,
    pub artifacts: Vec<Artifact>,
    /// Ended attempts in their order, the last ones.
    pub attempts: Vec<Attempt>,
    pub worker_labels: Option<Text>,
    /// By the wall clock.
    pub lease_expires_at: Option<i64>,
    /// For the claimer only.
    pub lease_token: Option<String>,
    pub depth: Depth,
}

impl JobView {
    /// Reads what belongs to `job`.
    pub fn read(rows: &mut dyn Rows, job: Job, depth: Depth, now: Now) -> Result<JobView> {
        let full = depth == Depth::Full;
        let body = rows.body(job.seq, full)?;
        JobView::with_body(rows, job, body, depth, now)
    }

    /// As `read`, where the body is at hand.
    pub fn with_body(rows: &mut dyn Rows, job: Job, body: Body, depth: Depth, now: Now) -> Result<JobView> {
        let (seq, full, begun) = (job.seq, depth == Depth::Full, job.facts.attempt > 0);
        let mut view = JobView::bare(job, body, depth, now);
        if begun && full {
            view.read_attempts(rows)?;
            view.artifacts = rows.artifacts(seq)?;
        }
        if begun {
            view.progress = rows.progress(seq)?;
        }
        if view.job.facts.status.is_terminal() {
            view.outcome = rows.outcome(seq)?;
        }
        Ok(view)
    }

    /// The job alone: whoever just wrote what belongs to it adds that.
    pub(super) fn bare(job: Job, body: Body, depth: Depth, now: Now) -> JobView {
        JobView {
            progress: None,
            outcome: None,
            artifacts: Vec::new(),
            attempts: Vec::new(),
            worker_labels: None,
            lease_expires_at: job.facts.lease_until_ms.map(|until_ms| now.shown(until_ms)),
            lease_token: None,
            body,
            job,
            depth,
        }
    }

    /// Reads the end of the history, and the labels of who has or had the job last.
    pub(super) fn read_attempts(&mut self, rows: &mut dyn Rows) -> Result<()> {
        let shown = limits::ATTEMPTS_SHOWN_MAX;
        // The last one may be running.
        self.attempts = rows.last_attempts(self.job.seq, shown + 1)?;
        self.worker_labels = self.attempts.last().and_then(|attempt| attempt.worker_labels.clone());
        self.attempts.retain(|attempt| attempt.ended_at.is_some());
        let before = self.attempts.len().saturating_sub(shown as usize);
        self.attempts.drain(..before);
        Ok(())
    }

    /// About how many bytes it takes when it is shown.
    pub fn size(&self) -> usize {
        fn text(text: &Option<Text>) -> usize {
            text.as_ref().map_or(0, |text| text.len())
        }
        let outcome = self.outcome.as_ref().map_or(0, |o| {
            text(&o.outputs)
                + text(&o.metrics)
                + text(&o.worker_info)
                + text(&o.error)
                + o.summary.as_ref().map_or(0, String::len)
        });
        let progress = self.progress.as_ref().map_or(0, |p| text(&p.details) + text(&p.metrics));
        let artifacts: usize = self.artifacts.iter().map(|artifact| artifact.artifact.len()).sum();
        let attempts: usize = self.attempts.iter().map(|attempt| 200 + text(&attempt.error)).sum();
        800 + text(&self.body.payload) + text(&self.body.metadata) + outcome + progress + artifacts + attempts
    }
}

/// A batch with some of its jobs.
#[derive(Clone, Debug)]
pub struct BatchView {
    pub batch: Batch,
    /// Absent where they were not asked for.
    pub jobs: Option<Vec<JobView>>,
    /// Whether the batch has more jobs than are shown.
    pub truncated: bool,
}

impl BatchView {
    /// Reads the first `limit` jobs of the batch, as many as `bytes_max` bytes hold.
    pub fn read(
        rows: &mut dyn Rows,
        batch: Batch,
        limit: Option<i64>,
        bytes_max: usize,
        now: Now,
    ) -> Result<BatchView> {
        let Some(limit) = limit else { return Ok(BatchView { batch, jobs: None, truncated: false }) };
        let (mut jobs, mut bytes, mut after, mut truncated) = (Vec::new(), 0, 0, false);
        'pages: while (jobs.len() as i64) < limit {
            let page = rows.batch_jobs(batch.seq, after, (limit - jobs.len() as i64).min(256))?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            for job in page {
                let view = JobView::read(rows, job, Depth::Full, now)?;
                bytes += view.size();
                if bytes > bytes_max {
                    truncated = true;
                    break 'pages;
                }
                jobs.push(view);
            }
        }
        truncated |= (jobs.len() as i64) < batch.requested_count;
        Ok(BatchView { batch, jobs: Some(jobs), truncated })
    }
}
