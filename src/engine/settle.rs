//! How a worker ends its attempt: complete, fail, release. The same command again gets the same answer.

use super::error::{Error, Result};
use super::lease::Holder;
use super::submit::digest;
use super::view::{Depth, JobView};
use super::work::Work;
use crate::job::{Change, Event, Status, decide};
use crate::store::{self, Artifact, Job, Text};

/// A worker's last word on its attempt.
#[derive(Clone, Debug)]
pub enum Settle {
    Complete {
        status: Status,
        summary: Option<String>,
        outputs: Option<Text>,
        metrics: Option<Text>,
        artifacts: Vec<Artifact>,
        worker_info: Option<Text>,
    },
    Fail {
        /// EDN: `{:code :message :details}`.
        error: Text,
        artifacts: Vec<Artifact>,
        retryable: bool,
        retry_after_ms: Option<i64>,
    },
    Release {
        reason: Option<String>,
    },
}

impl Work<'_> {
    /// Ends the attempt of the token.
    pub fn settle(&mut self, workspace: &str, job_id: &str, token: &str, settle: &Settle) -> Result<JobView> {
        let mut job = self.job(workspace, job_id)?;
        let settled_by = settle.digest();
        let holder = self.holder(&job, token)?;
        if let Holder::Settled(attempt) = &holder {
            if attempt.settled_by.as_ref() != Some(&settled_by) {
                return Err(Error::Settled(job.facts.status));
            }
            return JobView::read(self.tx, job, Depth::Full, self.now);
        }
        let event = settle.event(matches!(holder, Holder::Current), self.ids.jitter());
        let change = decide(&job.facts, &event, self.now.store_ms)?;
        let error = self.record(&job, &change, settle)?;
        if let Some(outcome) = change.ended {
            self.end_attempt(&job, outcome, error, Some(settled_by))?;
        }
        job.last_heartbeat_at = Some(self.now.wall_ms);
        self.apply(&mut job, &change)?;
        JobView::read(self.tx, job, Depth::Full, self.now)
    }

    /// Stores what the worker said; gives the error for the history.
    fn record(&mut self, job: &Job, change: &Change, settle: &Settle) -> Result<Option<Text>> {
        match settle {
            Settle::Complete { summary, outputs, metrics, artifacts, worker_info, status: _ } => {
                self.add_artifacts(job, artifacts)?;
                // A job that is cancelled keeps the reason that it was cancelled for.
                let before = match change.next.status {
                    Status::Cancelled => self.tx.outcome(job.seq)?,
                    _ => None,
                };
                let outcome = store::Outcome {
                    summary: summary.clone(),
                    outputs: outputs.clone(),
                    metrics: metrics.clone(),
                    worker_info: worker_info.clone(),
                    error: before.and_then(|before| before.error),
                };
                self.tx.put_outcome(job.seq, &outcome)?;
                Ok(None)
            }
            Settle::Fail { error, artifacts, .. } => {
                self.add_artifacts(job, artifacts)?;
                if change.next.status.is_terminal() {
                    let outcome = store::Outcome { error: Some(error.clone()), ..store::Outcome::default() };
                    self.tx.put_outcome(job.seq, &outcome)?;
                }
                Ok(Some(error.clone()))
            }
            Settle::Release { reason } => Ok(reason.as_ref().map(|reason| release_error(reason))),
        }
    }
}

impl Settle {
    fn event(&self, token: bool, jitter: u32) -> Event {
        match self {
            Settle::Complete { status, .. } => Event::Complete { token, status: *status },
            Settle::Fail { retryable, retry_after_ms, .. } => {
                Event::Fail { token, retryable: *retryable, retry_after_ms: *retry_after_ms, jitter }
            }
            Settle::Release { .. } => Event::Release { token },
        }
    }

    fn digest(&self) -> Vec<u8> {
        digest([format!("{self:?}").as_str()].into_iter())
    }
}

fn release_error(reason: &str) -> Text {
    let message = crate::value::edn::write(&crate::value::Value::str(reason));
    format!("{{:code \"released\", :message {message}}}").into()
}
