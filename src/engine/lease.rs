//! Work under a lease: claim, heartbeat, progress, and what happens when a lease is over.

use super::Now;
use super::cap::Shared;
use super::error::{Error, Result};
use super::view::{Depth, JobView};
use super::work::Work;
use crate::job::{Change, Event, Outcome, Status, decide, limits};
use crate::store::{self, Artifact, Attempt, Job, Progress, Queue, Rows, Text};

/// Who asks for a job, and of which kind.
#[derive(Clone, Debug, Default)]
pub struct Claim {
    pub workspace: String,
    pub job_type: String,
    pub worker_id: String,
    pub worker_labels: Option<Text>,
    pub batch_id: Option<String>,
    pub lease_ms: Option<i64>,
    /// Repeated while that lease lives, it gives the same claim again.
    pub request_id: Option<String>,
}

/// What a worker reports. What is absent stays as it was; artifacts append.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub status: Option<Status>,
    pub message: Option<String>,
    pub details: Option<Text>,
    pub metrics: Option<Text>,
    pub artifacts: Vec<Artifact>,
}

/// What a worker is told with every reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directive {
    Ok,
    Cancel,
    Drain,
}

impl Directive {
    pub fn name(self) -> &'static str {
        match self {
            Directive::Ok => "ok",
            Directive::Cancel => "cancel",
            Directive::Drain => "drain",
        }
    }

    fn of(job: &Job) -> Directive {
        if job.facts.cancel_requested { Directive::Cancel } else { Directive::Ok }
    }
}

/// A job under lease, and what its worker is told.
#[derive(Clone, Debug)]
pub struct Held {
    pub job: JobView,
    pub directive: Directive,
    pub lease_remaining_ms: i64,
}

/// How a token stands to its job.
pub(super) enum Holder {
    /// It is the running attempt's.
    Current(Attempt),
    /// A worker's command settled its attempt.
    Settled(Attempt),
    Stranger,
}

impl Claim {
    /// Whether there seems to be something for it: a job that is due, or one that it was given before.
    pub fn look(&self, rows: &mut dyn Rows, now: Now) -> Result<bool> {
        let given = |request_id| Ok::<_, Error>(!rows.attempt_by_request(request_id)?.is_empty());
        if self.request_id.as_deref().map_or(Ok(false), given)? {
            return Ok(true);
        }
        let batch_seq = match &self.batch_id {
            None => None,
            Some(batch_id) => match rows.batch_by_id(batch_id)?.filter(|batch| batch.workspace_id == self.workspace) {
                Some(batch) => Some(batch.seq),
                // Claiming says so.
                None => return Ok(true),
            },
        };
        let queue = Queue { workspace_id: &self.workspace, job_type: &self.job_type, batch_seq };
        Ok(!rows.claimable(&queue, now.store_ms, 1)?.is_empty())
    }
}

impl Work<'_> {
    /// Leases the next due job, if there is one.
    pub fn claim(&mut self, claim: &Claim) -> Result<Option<JobView>> {
        let batch_seq = match &claim.batch_id {
            Some(batch_id) => Some(self.batch(&claim.workspace, batch_id)?.seq),
            None => None,
        };
        if let Some(again) = self.claimed_by_request(claim)? {
            return Ok(Some(again));
        }
        let queue = Queue { workspace_id: &claim.workspace, job_type: &claim.job_type, batch_seq };
        let Some((mut job, shared)) = self.next_job(&queue)? else { return Ok(None) };
        let lease_ms = claim.lease_ms.unwrap_or(limits::LEASE_DEFAULT_MS);
        let change = decide(&job.facts, &Event::Claim { lease_ms }, self.now.store_ms)?;
        job.worker_id = Some(claim.worker_id.clone());
        job.started_at = job.started_at.or(Some(self.now.wall_ms));
        job.last_heartbeat_at = None;
        if change.next.attempt > 1 {
            self.tx.clear_reports(job.seq)?;
        }
        self.apply_under(&mut job, &change, shared)?;
        let attempt = self.begin_attempt(&job, claim)?;
        let body = self.tx.body(job.seq, true)?;
        let mut view = JobView::bare(job, body, Depth::Full, self.now);
        match attempt.attempt {
            1 => view.worker_labels = attempt.worker_labels,
            _ => view.read_attempts(self.tx)?,
        }
        view.lease_token = Some(attempt.lease_token);
        Ok(Some(view))
    }

    /// The job that is to be claimed next, and the cap that it shares with other types. Where that is full, no job of
    /// the type is found under it until there is room.
    fn next_job(&mut self, queue: &Queue) -> Result<Option<(Job, Option<Shared>)>> {
        while let Some(seq) = self.tx.claimable(queue, self.now.store_ms, 1)?.first().copied() {
            let job = self.tx.job_by_seq(seq)?;
            let job = job.ok_or_else(|| store::Error::Corrupt(format!("job {seq} is in an index only")))?;
            match self.shared_cap(&job)? {
                Some(shared) if shared.is_full() => self.shut(&job, shared)?,
                shared => return Ok(Some((job, shared))),
            }
        }
        Ok(None)
    }

    fn begin_attempt(&mut self, job: &Job, claim: &Claim) -> Result<Attempt> {
        let attempt = Attempt {
            job_seq: job.seq,
            attempt: job.facts.attempt,
            worker_id: claim.worker_id.clone(),
            worker_labels: claim.worker_labels.clone(),
            lease_token: self.ids.token(),
            request_id: claim.request_id.clone(),
            claimed_at: self.now.wall_ms,
            ended_at: None,
            outcome: None,
            error: None,
            settled_by: None,
        };
        self.tx.insert_attempt(&attempt)?;
        Ok(attempt)
    }

    fn claimed_by_request(&mut self, claim: &Claim) -> Result<Option<JobView>> {
        let Some(request_id) = &claim.request_id else { return Ok(None) };
        for attempt in self.tx.attempt_by_request(request_id)? {
            let Some(job) = self.tx.job_by_seq(attempt.job_seq)? else { continue };
            let lives = job.facts.status.is_active() && job.facts.lease_until_ms > Some(self.now.store_ms);
            let same = job.workspace_id == claim.workspace
                && job.job_type == claim.job_type
                && attempt.worker_id == claim.worker_id
                && attempt.attempt == job.facts.attempt;
            if lives && same {
                let mut view = JobView::read(self.tx, job, Depth::Full, self.now)?;
                view.lease_token = Some(attempt.lease_token);
                return Ok(Some(view));
            }
        }
        Ok(None)
    }

    /// Extends the lease.
    pub fn heartbeat(&mut self, workspace: &str, job_id: &str, token: &str, lease_ms: Option<i64>) -> Result<Held> {
        let mut job = self.job(workspace, job_id)?;
        let event = Event::Heartbeat { token: self.holds(&job, token)?, lease_ms };
        let change = decide(&job.facts, &event, self.now.store_ms)?;
        job.last_heartbeat_at = Some(self.now.wall_ms);
        self.apply(&mut job, &change)?;
        self.held(job)
    }

    /// Reports progress and extends the lease.
    pub fn progress(&mut self, workspace: &str, job_id: &str, token: &str, report: &Report) -> Result<Held> {
        let mut job = self.job(workspace, job_id)?;
        let event = Event::Progress { token: self.holds(&job, token)?, status: report.status };
        let change = decide(&job.facts, &event, self.now.store_ms)?;
        job.last_heartbeat_at = Some(self.now.wall_ms);
        self.apply(&mut job, &change)?;
        let before = self.tx.progress(job.seq)?;
        let (message, details, metrics) = before.map_or_else(Default::default, |b| (b.message, b.details, b.metrics));
        let progress = Progress {
            status: job.facts.status,
            message: report.message.clone().or(message),
            details: report.details.clone().or(details),
            metrics: report.metrics.clone().or(metrics),
            updated_at: self.now.wall_ms,
        };
        self.tx.put_progress(job.seq, &progress)?;
        self.add_artifacts(&job, &report.artifacts)?;
        self.held(job)
    }

    fn held(&mut self, job: Job) -> Result<Held> {
        Ok(Held {
            directive: Directive::of(&job),
            lease_remaining_ms: job.facts.lease_until_ms.map_or(0, |until_ms| until_ms - self.now.store_ms),
            job: JobView::read(self.tx, job, Depth::Short, self.now)?,
        })
    }

    /// Whether the token is the running attempt's; an attempt that another command settled is refused.
    pub(super) fn holds(&mut self, job: &Job, token: &str) -> Result<bool> {
        match self.holder(job, token)? {
            Holder::Current(_) => Ok(true),
            Holder::Settled(_) => Err(Error::Settled(job.facts.status)),
            Holder::Stranger => Ok(false),
        }
    }

    pub(super) fn holder(&mut self, job: &Job, token: &str) -> Result<Holder> {
        if job.facts.status.is_active() {
            let current = self.tx.attempt(job.seq, job.facts.attempt)?;
            if let Some(attempt) = current.filter(|attempt| attempt.lease_token == token) {
                return Ok(Holder::Current(attempt));
            }
        }
        let known = self.tx.attempt_by_token(job.seq, token)?;
        Ok(known.filter(|attempt| attempt.settled_by.is_some()).map_or(Holder::Stranger, Holder::Settled))
    }

    /// Appends artifacts; one of the same kind and label is replaced.
    pub(super) fn add_artifacts(&mut self, job: &Job, artifacts: &[Artifact]) -> Result<()> {
        if artifacts.is_empty() {
            return Ok(());
        }
        let mut known = self.tx.artifact_names(job.seq)?;
        for artifact in artifacts {
            let Artifact { kind, label, .. } = artifact;
            let same = |other: &(String, Option<String>)| label.is_some() && other.0 == *kind && other.1 == *label;
            let position = known.iter().position(same).unwrap_or_else(|| {
                known.push((kind.clone(), label.clone()));
                known.len() - 1
            });
            self.tx.put_artifact(job.seq, position as i64, artifact)?;
            self.refer(job, &artifact.artifact)?;
        }
        if known.len() > limits::ARTIFACTS_MAX {
            return Err(Error::TooManyArtifacts(known.len(), limits::ARTIFACTS_MAX));
        }
        Ok(())
    }

    /// Ends the leases that are over, as many as `limit`; how many there were.
    pub fn expire(&mut self, limit: i64) -> Result<usize> {
        let expired = self.tx.expired(self.now.store_ms, limit)?;
        for seq in &expired {
            let Some(mut job) = self.tx.job_by_seq(*seq)? else { continue };
            let change = decide(&job.facts, &Event::Expire, self.now.store_ms)?;
            let error = lease_error(&change);
            if change.next.status == Status::TimedOut {
                let outcome = store::Outcome { error: Some(error.clone()), ..store::Outcome::default() };
                self.tx.put_outcome(job.seq, &outcome)?;
            }
            let attempt = self.tx.attempt(job.seq, job.facts.attempt)?;
            let attempt = attempt.ok_or_else(|| store::Error::Corrupt(format!("attempt of job {seq} is gone")))?;
            self.end_attempt(attempt, Outcome::LeaseExpired, Some(error), None)?;
            self.apply(&mut job, &change)?;
        }
        Ok(expired.len())
    }

    pub(super) fn end_attempt(
        &mut self,
        attempt: Attempt,
        outcome: Outcome,
        error: Option<Text>,
        settled_by: Option<Vec<u8>>,
    ) -> Result<Attempt> {
        let ended_at = Some(self.now.wall_ms);
        let ended = Attempt { ended_at, outcome: Some(outcome.name().into()), error, settled_by, ..attempt };
        self.tx.end_attempt(&ended)?;
        Ok(ended)
    }
}

fn lease_error(change: &Change) -> Text {
    let (spent, max) = (change.next.spent, change.next.max_attempts);
    format!("{{:code \"lease_expired\", :message \"lease expired without a heartbeat; {spent} of {max} attempts are used up\"}}")
        .into()
}
