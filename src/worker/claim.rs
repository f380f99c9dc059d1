//! Claiming: one job for this worker, waited for, with one request id for all tries.
//! It does not run anything for the job.

use super::calls::{self, Asked};
use super::job::Job;
use super::lease::Lease;
use super::run::{Drain, Setup};
use super::say::say;
use crate::api::{Client, Code, Error, Pending, Place, Reply};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch as channel};

const CLAIM_RETRY: Duration = Duration::from_secs(1);
const CLAIM_RETRY_MAX: Duration = Duration::from_secs(8);
const FORGET_MAX: Duration = Duration::from_secs(2);

/// Set while the control plane is about to go away and asked for no new claims.
#[derive(Default)]
pub struct Paused(AtomicBool);

impl Paused {
    pub fn begin(&self) {
        if !self.0.swap(true, Ordering::Relaxed) {
            say("the control plane is draining: handlers go on, claiming pauses until it is back");
        }
    }

    /// Takes the pause, if there is one: the claim after it is tried until the control plane is back.
    fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// What came of claiming.
pub enum Claimed {
    Drained,
    Nothing,
    Job(Job, Lease),
}

/// Claims one job, waiting for it as long as the poll interval; `once` looks and does not wait.
pub async fn claim(
    client: &Arc<dyn Client>,
    setup: &Setup,
    paused: &Paused,
    drain: &mut channel::Receiver<Drain>,
) -> Result<Claimed, Error> {
    if paused.take() && drained_within(CLAIM_RETRY, drain).await {
        return Ok(Claimed::Drained);
    }
    let wait = if setup.once { Duration::ZERO } else { setup.poll_interval };
    // One id for all tries: where an answer was lost, the next try gets the same job.
    let args = claim_args(setup, wait);
    let mut trouble = Trouble::default();
    loop {
        let asked_at = Instant::now();
        let reply = match calls::begin(client, "jobs.claim", args.clone()).await {
            Err(error) => Err(error),
            Ok(Asked::Now(reply)) => reply,
            Ok(Asked::Later(pending, told)) => match reply_or_drain(pending, told, drain).await {
                (reply, true) => return give_back(client, args, reply).await,
                (reply, false) => reply.unwrap_or_else(|| Err(Error::new(Code::Closed, "engine was closed"))),
            },
        };
        if reply.is_ok() {
            trouble.over();
        }
        let pause = match reply {
            Ok(reply) => match Job::claimed(&reply) {
                Some(job) => {
                    say(&format!("job {}: claimed, attempt {}", job.id, job.fact("attempt")));
                    return Ok(Claimed::Job(job, Lease::new(setup.lease, Instant::now())));
                }
                None if asked_at.elapsed() * 2 >= wait => return Ok(Claimed::Nothing),
                // The wait was cut short elsewhere; the rest of it is spent here, so that nothing spins.
                None => wait.saturating_sub(asked_at.elapsed()),
            },
            Err(error) if passes(client, error.code) => trouble.next(error.message),
            Err(error) => return Err(error),
        };
        if drained_within(pause, drain).await {
            return Ok(Claimed::Drained);
        }
    }
}

/// Whether an error may pass by itself. A control plane that fails inside is started anew one day; a store that does is
/// this process's own.
fn passes(client: &Arc<dyn Client>, code: Code) -> bool {
    code.row().retry || (code == Code::Internal && matches!(client.place(), Place::Url(_)))
}

/// What goes wrong with one claim after the other: said once for each change, tried again ever more slowly.
#[derive(Default)]
struct Trouble {
    said: Option<String>,
    tries: u32,
}

impl Trouble {
    /// Notes that it went wrong, and gives the pause before the next try.
    fn next(&mut self, message: String) -> Duration {
        if self.said.as_ref() != Some(&message) {
            say(&format!("claim failed and is tried again: {message}"));
            self.said = Some(message);
        }
        let pause = CLAIM_RETRY * (1 << self.tries.min(8));
        self.tries += 1;
        pause.min(CLAIM_RETRY_MAX)
    }

    fn over(&mut self) {
        if self.said.is_some() {
            say("claims are answered again");
        }
        *self = Trouble::default();
    }
}

async fn drained_within(pause: Duration, drain: &mut channel::Receiver<Drain>) -> bool {
    tokio::select! {
        () = tokio::time::sleep(pause) => false,
        _ = drain.wait_for(|drain| *drain != Drain::No) => true,
    }
}

/// The reply where there is one, and whether the worker was drained before it came.
async fn reply_or_drain(
    pending: Pending,
    mut told: oneshot::Receiver<Reply>,
    drain: &mut channel::Receiver<Drain>,
) -> (Option<Reply>, bool) {
    tokio::select! {
        reply = &mut told => (reply.ok(), false),
        _ = drain.wait_for(|drain| *drain != Drain::No) => {
            pending.forget();
            // A claim that was made in the same moment is answered, or given back before this is dropped.
            let told = tokio::time::timeout(FORGET_MAX, told).await;
            (told.ok().and_then(Result::ok), true)
        }
    }
}

fn claim_args(setup: &Setup, wait: Duration) -> serde_json::Value {
    let mut args = json!({
        "jobType": setup.job_type,
        "workerId": setup.worker_id,
        "leaseDuration": millis(setup.lease),
        "requestId": uuid::Uuid::new_v4().to_string(),
        "waitMs": millis(wait),
    });
    if let Some(batch) = &setup.batch_id {
        args["batchId"] = batch.as_str().into();
    }
    if !setup.labels.is_empty() {
        args["workerLabels"] = setup.labels.iter().cloned().map(|(k, v)| (k, serde_json::Value::from(v))).collect();
    }
    args
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Gives back a job that was claimed while the worker began to drain.
async fn give_back(
    client: &Arc<dyn Client>,
    mut args: serde_json::Value,
    reply: Option<Reply>,
) -> Result<Claimed, Error> {
    let mut reply = reply.and_then(Result::ok);
    if reply.is_none() && matches!(client.place(), Place::Url(_)) {
        // The claim may have been made while its answer was given up: it is asked for again by its request id.
        args["waitMs"] = 0.into();
        let again = tokio::time::timeout(FORGET_MAX, calls::ask(client, "jobs.claim", args)).await;
        reply = again.ok().and_then(Result::ok);
    }
    if let Some(job) = reply.as_ref().and_then(Job::claimed) {
        let mut args = job.args();
        args.insert("reason".into(), "worker is shutting down".into());
        if let Err(error) = calls::ask(client, "jobs.release", args.into()).await {
            say(&format!("job {}: could not be released: {}", job.id, error.message));
        }
    }
    Ok(Claimed::Drained)
}
