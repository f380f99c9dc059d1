//! What may happen to a job: one function from its state and an event to its next state, or a refusal.
//! It does not know who asks, what is stored, or what time it is.

use super::{Status, retry};

/// What the rules look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    pub status: Status,
    pub attempt: i64,
    pub max_attempts: i64,
    /// Lost leases and failures so far.
    pub spent: i64,
    pub cancel_requested: bool,
    pub due_ms: i64,
    pub lease_ms: i64,
    pub lease_until_ms: Option<i64>,
}

impl Facts {
    /// Whether `next` differs in nothing but the lease.
    pub fn is_renewed_in(&self, next: &Facts) -> bool {
        Facts { lease_ms: next.lease_ms, lease_until_ms: next.lease_until_ms, ..*self } == *next
    }
}

/// What happens. `token` is whether the worker holds the token of the present lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Claim { lease_ms: i64 },
    Progress { token: bool, status: Option<Status> },
    Heartbeat { token: bool, lease_ms: Option<i64> },
    Complete { token: bool, ending: Ending },
    Fail { token: bool, retryable: bool, retry_after_ms: Option<i64>, jitter: u32 },
    Release { token: bool },
    Expire,
    Cancel,
    Retry,
}

impl Event {
    /// The word for it in refusals.
    pub fn name(&self) -> &'static str {
        match self {
            Event::Claim { .. } => "claim",
            Event::Progress { .. } => "progress",
            Event::Heartbeat { .. } => "heartbeat",
            Event::Complete { .. } => "complete",
            Event::Fail { .. } => "fail",
            Event::Release { .. } => "release",
            Event::Expire => "lease expires",
            Event::Cancel => "cancel",
            Event::Retry => "retry",
        }
    }
}

/// What a worker that has completed its job says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Succeeded,
    NoChanges,
    Cancelled,
}

impl Ending {
    pub const ALL: [Ending; 3] = [Ending::Succeeded, Ending::NoChanges, Ending::Cancelled];

    pub fn status(self) -> Status {
        match self {
            Ending::Succeeded => Status::Succeeded,
            Ending::NoChanges => Status::NoChanges,
            Ending::Cancelled => Status::Cancelled,
        }
    }

    fn outcome(self) -> Outcome {
        match self {
            Ending::Succeeded => Outcome::Succeeded,
            Ending::NoChanges => Outcome::NoChanges,
            Ending::Cancelled => Outcome::Cancelled,
        }
    }

    /// The ending whose status has that name.
    pub fn from_name(name: &str) -> Option<Ending> {
        Ending::ALL.into_iter().find(|ending| ending.status().name() == name)
    }
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Succeeded,
    NoChanges,
    Cancelled,
    Failed,
    LeaseExpired,
    Released,
}

impl Outcome {
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Succeeded => "succeeded",
            Outcome::NoChanges => "no_changes",
            Outcome::Cancelled => "cancelled",
            Outcome::Failed => "failed",
            Outcome::LeaseExpired => "lease_expired",
            Outcome::Released => "released",
        }
    }
}

/// The job's next facts, and how its attempt ended if it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    pub next: Facts,
    pub ended: Option<Outcome>,
}

/// Why an event cannot happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The job's status forbids it.
    #[error("job is {}, which does not allow {event}", status.name())]
    Status { status: Status, event: &'static str },
    /// The token is not the present lease's, or that lease is over.
    #[error("lease token is not the job's current one")]
    LeaseLost,
    #[error("job is not due yet")]
    NotDue,
    #[error("lease is not over yet")]
    LeaseHolds,
}

/// What `event` makes of a job at store time `now_ms`.
pub fn decide(job: &Facts, event: &Event, now_ms: i64) -> Result<Change, Refusal> {
    match *event {
        Event::Claim { lease_ms } => claim(job, lease_ms, now_ms),
        Event::Progress { token, status } => {
            held(job, event, token, now_ms)?;
            let status = status.filter(|status| status.is_active()).unwrap_or(job.status).max(job.status);
            go_on(Facts { status, ..extended(job, job.lease_ms, now_ms) })
        }
        Event::Heartbeat { token, lease_ms } => {
            held(job, event, token, now_ms)?;
            go_on(extended(job, lease_ms.unwrap_or(job.lease_ms), now_ms))
        }
        Event::Complete { token, ending } => {
            held(job, event, token, now_ms)?;
            end(Facts { status: ending.status(), ..unleased(job) }, ending.outcome())
        }
        Event::Fail { token, retryable, retry_after_ms, jitter } => {
            held(job, event, token, now_ms)?;
            let delay_ms = retry_after_ms.unwrap_or_else(|| retry::delay_ms(job.spent, jitter));
            end(failed(job, retryable, now_ms + delay_ms), Outcome::Failed)
        }
        Event::Release { token } => {
            held(job, event, token, now_ms)?;
            let status = if job.cancel_requested { Status::Cancelled } else { Status::Queued };
            end(Facts { status, ..unleased(job) }, Outcome::Released)
        }
        Event::Expire => expire(job, event, now_ms),
        Event::Cancel => cancel(job, event),
        Event::Retry => retry(job, event, now_ms),
    }
}

fn claim(job: &Facts, lease_ms: i64, now_ms: i64) -> Result<Change, Refusal> {
    match job.status {
        Status::Queued if job.due_ms > now_ms => Err(Refusal::NotDue),
        Status::Queued => {
            go_on(Facts { status: Status::Leased, attempt: job.attempt + 1, ..extended(job, lease_ms, now_ms) })
        }
        Status::Leased
        | Status::Started
        | Status::Running
        | Status::Succeeded
        | Status::NoChanges
        | Status::Failed
        | Status::Cancelled
        | Status::TimedOut => Err(Refusal::Status { status: job.status, event: "claim" }),
    }
}

/// The fence: only the holder of a lease that is not over may speak for an active job.
fn held(job: &Facts, event: &Event, token: bool, now_ms: i64) -> Result<(), Refusal> {
    match job.status {
        Status::Leased | Status::Started | Status::Running => match job.lease_until_ms {
            Some(until_ms) if token && until_ms > now_ms => Ok(()),
            Some(_) | None => Err(Refusal::LeaseLost),
        },
        Status::Queued => Err(Refusal::LeaseLost),
        Status::Succeeded | Status::NoChanges | Status::Failed | Status::Cancelled | Status::TimedOut if token => {
            Err(Refusal::Status { status: job.status, event: event.name() })
        }
        Status::Succeeded | Status::NoChanges | Status::Failed | Status::Cancelled | Status::TimedOut => {
            Err(Refusal::LeaseLost)
        }
    }
}

fn failed(job: &Facts, retryable: bool, due_ms: i64) -> Facts {
    let next = Facts { spent: job.spent + 1, ..unleased(job) };
    if retryable && !job.cancel_requested && next.spent < job.max_attempts {
        Facts { status: Status::Queued, due_ms, ..next }
    } else {
        Facts { status: Status::Failed, ..next }
    }
}

fn expire(job: &Facts, event: &Event, now_ms: i64) -> Result<Change, Refusal> {
    match job.status {
        Status::Leased | Status::Started | Status::Running => match job.lease_until_ms {
            Some(until_ms) if until_ms > now_ms => Err(Refusal::LeaseHolds),
            Some(_) | None => {
                let next = Facts { spent: job.spent + 1, ..unleased(job) };
                let status = if job.cancel_requested {
                    Status::Cancelled
                } else if next.spent < job.max_attempts {
                    Status::Queued
                } else {
                    Status::TimedOut
                };
                end(Facts { status, ..next }, Outcome::LeaseExpired)
            }
        },
        Status::Queued
        | Status::Succeeded
        | Status::NoChanges
        | Status::Failed
        | Status::Cancelled
        | Status::TimedOut => Err(Refusal::Status { status: job.status, event: event.name() }),
    }
}

fn cancel(job: &Facts, event: &Event) -> Result<Change, Refusal> {
    match job.status {
        Status::Queued => go_on(Facts { status: Status::Cancelled, ..*job }),
        Status::Leased | Status::Started | Status::Running => go_on(Facts { cancel_requested: true, ..*job }),
        Status::Succeeded | Status::NoChanges | Status::Failed | Status::Cancelled | Status::TimedOut => {
            Err(Refusal::Status { status: job.status, event: event.name() })
        }
    }
}

fn retry(job: &Facts, event: &Event, now_ms: i64) -> Result<Change, Refusal> {
    match job.status {
        Status::Failed | Status::Cancelled | Status::TimedOut => go_on(Facts {
            status: Status::Queued,
            cancel_requested: false,
            max_attempts: job.max_attempts.max(job.spent + 1),
            due_ms: now_ms,
            ..*job
        }),
        Status::Queued | Status::Leased | Status::Started | Status::Running | Status::Succeeded | Status::NoChanges => {
            Err(Refusal::Status { status: job.status, event: event.name() })
        }
    }
}

fn extended(job: &Facts, lease_ms: i64, now_ms: i64) -> Facts {
    Facts { lease_ms, lease_until_ms: Some(now_ms + lease_ms), ..*job }
}

fn unleased(job: &Facts) -> Facts {
    Facts { lease_until_ms: None, ..*job }
}

fn go_on(next: Facts) -> Result<Change, Refusal> {
    Ok(Change { next, ended: None })
}

fn end(next: Facts, outcome: Outcome) -> Result<Change, Refusal> {
    Ok(Change { next, ended: Some(outcome) })
}
