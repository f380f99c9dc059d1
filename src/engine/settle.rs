//! How a worker ends its attempt: complete, fail, release. The same command again gets the same answer.

use super::error::{Error, Result};
use super::lease::Holder;
use super::submit::digest;
use super::view::{Depth, JobView};
use super::work::Work;
use crate::job::{Change, Ending, Event, Status, decide};
use crate::store::{self, Artifact, Attempt, Job, Text};

/// A worker's last word on its attempt.
#[derive(Clone, Debug)]
pub enum Settle {
    Complete {
        status: Ending,
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
        self.settle_as(workspace, job_id, token, settle, &settle.digest())
    }

    /// As `settle`, where its digest was made before.
    pub fn settle_as(
        &mut self,
        workspace: &str,
        job_id: &str,
        token: &str,
        settle: &Settle,
        settled_by: &[u8],
    ) -> Result<JobView> {
        let mut job = self.job(workspace, job_id)?;
        let holder = self.holder(&job, token)?;
        let current = match holder {
            Holder::Current(attempt) => Some(attempt),
            Holder::Stranger => None,
            Holder::Settled(attempt) if attempt.settled_by.as_deref() == Some(settled_by) => {
                return JobView::read(self.tx, job, Depth::Full, self.now);
            }
            Holder::Settled(_) => return Err(Error::Settled(job.facts.status)),
        };
        let event = settle.event(current.is_some(), self.ids.jitter());
        let change = decide(&job.facts, &event, self.now.store_ms)?;
        let (Some(attempt), Some(outcome)) = (current, change.ended) else {
            unreachable!("the rules let only the holder settle, and that ends its attempt")
        };
        let untouched = untouched(&job);
        let mut recorded = self.record(&job, &change, settle, untouched)?;
        let ended = self.end_attempt(attempt, outcome, recorded.error.take(), Some(settled_by.to_vec()))?;
        job.last_heartbeat_at = Some(self.now.wall_ms);
        self.apply(&mut job, &change)?;
        self.settled(job, ended, recorded, untouched)
    }

    /// The job as its last attempt left it, with what was just written.
    fn settled(&mut self, job: Job, ended: Attempt, recorded: Recorded, untouched: bool) -> Result<JobView> {
        let (seq, status) = (job.seq, job.facts.status);
        let body = self.tx.body(seq, true)?;
        let mut view = JobView::bare(job, body, Depth::Full, self.now);
        if !untouched {
            view.progress = self.tx.progress(seq)?;
        }
        if !untouched || recorded.artifacts {
            view.artifacts = self.tx.artifacts(seq)?;
        }
        view.outcome = match recorded.outcome {
            None if status.is_terminal() && !untouched => self.tx.outcome(seq)?,
            known => known,
        };
        match ended.attempt {
            1 => {
                view.worker_labels = ended.worker_labels.clone();
                view.attempts = vec![ended];
            }
            _ => view.read_attempts(self.tx)?,
        }
        Ok(view)
    }

    /// Stores what the worker said.
    fn record(&mut self, job: &Job, change: &Change, settle: &Settle, untouched: bool) -> Result<Recorded> {
        match settle {
            Settle::Complete { summary, outputs, metrics, artifacts, worker_info, status: _ } => {
                self.add_artifacts(job, artifacts)?;
                // A job that is cancelled keeps the reason that it was cancelled for.
                let before = match change.next.status {
                    Status::Cancelled if !untouched => self.tx.outcome(job.seq)?,
                    _ => None,
                };
                let outcome = store::Outcome {
                    summary: summary.clone(),
                    outputs: outputs.clone(),
                    metrics: metrics.clone(),
                    worker_info: worker_info.clone(),
                    error: before.and_then(|before| before.error),
                };
                // Nothing to say where nothing was said: no row is as good as an empty one.
                if !untouched || outcome != store::Outcome::default() {
                    self.tx.put_outcome(job.seq, &outcome)?;
                }
                Ok(Recorded { error: None, outcome: Some(outcome), artifacts: !artifacts.is_empty() })
            }
            Settle::Fail { error, artifacts, .. } => {
                self.add_artifacts(job, artifacts)?;
                let outcome = store::Outcome { error: Some(error.clone()), ..store::Outcome::default() };
                let outcome = change.next.status.is_terminal().then_some(outcome);
                if let Some(outcome) = &outcome {
                    self.tx.put_outcome(job.seq, outcome)?;
                }
                Ok(Recorded { error: Some(error.clone()), outcome, artifacts: !artifacts.is_empty() })
            }
            Settle::Release { reason } => {
                let error = reason.as_ref().map(|reason| release_error(reason));
                Ok(Recorded { error, outcome: None, artifacts: false })
            }
        }
    }
}

/// What was stored of a worker's last word.
struct Recorded {
    /// For the history.
    error: Option<Text>,
    outcome: Option<store::Outcome>,
    /// Whether there were artifacts with it.
    artifacts: bool,
}

/// Whether nothing happened to the job but that it was submitted and claimed: each report, attachment, cancel or
/// heartbeat since would have given it another revision. Then it has no progress, artifacts or outcome.
fn untouched(job: &Job) -> bool {
    job.facts.attempt == 1 && job.rev == 1
}

impl Settle {
    fn event(&self, token: bool, jitter: u32) -> Event {
        match self {
            Settle::Complete { status, .. } => Event::Complete { token, ending: *status },
            Settle::Fail { retryable, retry_after_ms, .. } => {
                Event::Fail { token, retryable: *retryable, retry_after_ms: *retry_after_ms, jitter }
            }
            Settle::Release { .. } => Event::Release { token },
        }
    }

    /// The same for the same word, said again.
    pub fn digest(&self) -> Vec<u8> {
        digest([format!("{self:?}").as_str()].into_iter())
    }
}

fn release_error(reason: &str) -> Text {
    let message = crate::value::edn::write(&crate::value::Value::str(reason));
    format!("{{:code \"released\", :message {message}}}").into()
}
