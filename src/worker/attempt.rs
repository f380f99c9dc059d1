//! One job from its claim to its report.
//! It does not claim, and does not decide what a handler's end means.

use super::environment::environment;
use super::folder::JobFolder;
use super::job::Job;
use super::lease::Lease;
use super::process::Handler;
use super::result;
use super::run::Worker;
use super::say::say;
use super::settle::{Settled, settle};
use super::verdict::{Verdict, judge, judge_stopped};
use super::watch::{Surroundings, Why, watch};
use crate::api::trip;
use crate::value::Value;
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;

/// What became of one job.
pub struct Handled {
    /// Not where it was given back unfinished.
    pub counts: bool,
    pub failed: bool,
    pub job: Option<Value>,
    pub dir: Option<PathBuf>,
}

/// Runs the handler for a job and reports how that ended.
pub async fn handle(worker: &Worker, job: &Job, mut lease: Lease) -> Handled {
    trip::wire_telling("handle", || format!("{:?} {:?}", job.args(), worker.facts.api_key));
    let (verdict, folder) = match worker.folder.job(job) {
        Err(e) => (Some(setup_failed(&e)), None),
        Ok(folder) => (attempt(worker, job, &mut lease, &folder).await, Some(folder)),
    };
    let dir = folder.as_ref().filter(|folder| folder.kept()).map(|folder| folder.path.clone());
    let Some(verdict) = verdict else {
        say(&format!("job {}: the lease is lost, the handler was stopped, nothing is reported", job.id));
        return Handled { counts: true, failed: true, job: None, dir };
    };
    let short = verdict.short();
    let Settled { verdict, reply } = settle(&worker.client, job, &lease, verdict).await;
    if short && !worker.setup.once {
        // Not at once: what was missing has to come back, or another worker may have it.
        tokio::time::sleep(SHORT_PAUSE).await;
    }
    let (counts, failed) = (!verdict.released(), verdict.failed() || reply.is_err());
    match reply {
        Ok(reply) => {
            let settled = reply.get("job").cloned();
            let status = settled.as_ref().and_then(|job| job.get("status")?.as_str().map(str::to_owned));
            say(&format!("job {}: {}", job.id, status.unwrap_or_else(|| "settled".into())));
            Handled { counts, failed, job: settled, dir }
        }
        Err(error) => {
            say(&format!("job {}: its end could not be reported: {}", job.id, error.message));
            Handled { counts: true, failed: true, job: None, dir }
        }
    }
}

/// How long nothing is claimed in the place of a job for which the worker was short of something.
const SHORT_PAUSE: Duration = Duration::from_secs(1);

/// Runs the handler once and says what is to be reported; nothing where the lease is lost.
async fn attempt(worker: &Worker, job: &Job, lease: &mut Lease, folder: &JobFolder) -> Option<Verdict> {
    let held = match folder.hold_reports() {
        Ok(held) => held,
        Err(e) => return Some(setup_failed(&e)),
    };
    let name = worker.setup.handler.name();
    let environment = environment(worker.client.as_ref(), &worker.facts, job, folder);
    let mut handler = match Handler::start(&worker.setup.handler, &environment).await {
        Ok(handler) => handler,
        Err(e) => {
            let hint = if is_no_program(&e) { " (no #! line?)" } else { "" };
            let message = format!("handler \"{}\" cannot be started: {e}{hint}", worker.setup.handler.path.display());
            return Some(Verdict::cannot_begin(&e, "handler_start_failed", &message));
        }
    };
    let worker_info =
        json!({"workerId": worker.setup.worker_id, "handler": name, "pid": handler.pid(), "host": super::host()});
    let started = serde_json::Map::from_iter([
        ("status".to_owned(), "started".into()),
        ("message".to_owned(), format!("started handler {name}").into()),
    ]);
    let around = Surroundings {
        client: &worker.client,
        job,
        drain: worker.drain.clone(),
        paused: &worker.paused,
        grace: worker.setup.grace,
        held: Some(held),
    };
    match watch(around, lease, &mut handler, started).await {
        Err(e) => Some(Verdict::fail("handler_failed", &format!("handler cannot be waited for: {e}"))),
        Ok((exit, None)) => Some(judge(exit.into(), result_of(job, folder), worker_info)),
        Ok((exit, Some(why))) => {
            say(&format!("job {}: handler was stopped, {}", job.id, reason(why)));
            judge_stopped(why, exit.into(), result_of(job, folder), worker_info)
        }
    }
}

/// What the handler left in its result file; what is ignored of it is said.
fn result_of(job: &Job, folder: &JobFolder) -> result::Found {
    let found = result::read(&folder.result_file());
    for complaint in found.complaints() {
        say(&format!("job {}: {complaint}", job.id));
    }
    found
}

/// Whether the system did not know how to run the file.
fn is_no_program(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error())
}

fn setup_failed(error: &std::io::Error) -> Verdict {
    Verdict::cannot_begin(error, "worker_setup_failed", &format!("job directory cannot be made: {error}"))
}

fn reason(why: Why) -> &'static str {
    match why {
        Why::Cancelled => "the job was cancelled",
        Why::LeaseLost => "the lease is lost",
        Why::Lapsed => "the lease could not be renewed",
        Why::Drained => "the worker is shutting down",
    }
}
