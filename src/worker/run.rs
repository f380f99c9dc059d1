//! The worker's loop: claim, handle, report, until it is told to drain.
//! It does not know how a handler is watched or what its end means.

use super::calls::{self, Asked};
use super::environment::{Facts, environment};
use super::folder::{JobFolder, WorkerFolder};
use super::job::Job;
use super::lease::Lease;
use super::process::Handler;
use super::program::{Program, own_path};
use super::result;
use super::settle::{Settled, settle};
use super::verdict::{Verdict, judge, judge_stopped};
use super::watch::{Surroundings, Why, watch};
use crate::api::{Client, Code, Error};
use crate::value::Value;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch as channel};
use tokio::task::JoinSet;

const CLAIM_RETRY: Duration = Duration::from_secs(1);

/// How a worker works.
pub struct Setup {
    pub job_type: String,
    pub handler: Program,
    pub worker_id: String,
    pub batch_id: Option<String>,
    pub labels: Vec<(String, String)>,
    pub lease: Duration,
    pub poll_interval: Duration,
    pub concurrency: usize,
    pub once: bool,
    pub keep_job_dirs: bool,
    pub grace: Duration,
    /// For the helpers, where there is a control plane.
    pub api_key: Option<String>,
}

/// What a worker did.
#[derive(Default)]
pub struct Outcome {
    pub handled: u64,
    pub failed: u64,
    pub idle_polls: u64,
    /// The last job, as its end was answered.
    pub last_job: Option<Value>,
    pub last_job_dir: Option<PathBuf>,
    /// What ended the worker, where it was not a signal.
    pub error: Option<Error>,
}

/// How urgently the worker is to end; every further signal asks for the next level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    No,
    /// No new claim; handlers have the grace to finish.
    Finish,
    /// Handlers are stopped now.
    Stop,
    /// Handlers are killed now.
    Kill,
}

impl Drain {
    fn next(self) -> Drain {
        match self {
            Drain::No => Drain::Finish,
            Drain::Finish => Drain::Stop,
            Drain::Stop | Drain::Kill => Drain::Kill,
        }
    }
}

/// Tells whoever looks after the worker, on standard error.
pub fn say(text: &str) {
    use std::io::Write;
    // A log that nobody reads is no reason to stop working.
    let _ = writeln!(std::io::stderr(), "errand: {text}");
}

/// Works until a signal drains it, `once` is done, or claiming is refused for good.
pub fn run(client: Arc<dyn Client>, setup: Setup) -> Result<Outcome, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(broken)?;
    let outcome = runtime.block_on(work(client, setup));
    // A call that hangs in a store does not keep the process.
    runtime.shutdown_background();
    outcome
}

fn broken(error: std::io::Error) -> Error {
    Error::new(Code::Internal, format!("worker cannot start: {error}"))
}

/// What all of a worker's jobs share.
struct Worker {
    client: Arc<dyn Client>,
    setup: Setup,
    folder: WorkerFolder,
    facts: Facts,
    drain: channel::Receiver<Drain>,
}

async fn work(client: Arc<dyn Client>, setup: Setup) -> Result<Outcome, Error> {
    let program = own_path()?;
    let folder = WorkerFolder::make(&program, setup.keep_job_dirs).map_err(broken)?;
    let facts =
        Facts { worker_id: setup.worker_id.clone(), program, links: folder.links(), api_key: setup.api_key.clone() };
    let drain = drain_on_signals().map_err(broken)?;
    let worker = Arc::new(Worker { client, setup, folder, facts, drain });
    say(&format!(
        "worker {} takes jobs of type {} with {}",
        worker.setup.worker_id,
        worker.setup.job_type,
        worker.setup.handler.path.display()
    ));
    Ok(claim_all(&worker).await)
}

fn drain_on_signals() -> std::io::Result<channel::Receiver<Drain>> {
    let (tell, told) = channel::channel(Drain::No);
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut terminations = signal(SignalKind::terminate())?;
    let mut hangups = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupts.recv() => {}
                _ = terminations.recv() => {}
                _ = hangups.recv() => {}
            }
            tell.send_modify(|drain| *drain = drain.next());
            say(match *tell.borrow() {
                Drain::No | Drain::Finish => "draining: no new job, running handlers have their grace to finish",
                Drain::Stop => "draining: handlers are stopped now",
                Drain::Kill => "draining: handlers are killed now",
            });
        }
    });
    Ok(told)
}

async fn claim_all(worker: &Arc<Worker>) -> Outcome {
    let mut outcome = Outcome::default();
    let slots = Arc::new(Semaphore::new(worker.setup.concurrency));
    let mut running = JoinSet::new();
    let mut drain = worker.drain.clone();
    loop {
        let slot = tokio::select! {
            biased;
            _ = drain.wait_for(|drain| *drain != Drain::No) => break,
            Some(ended) = running.join_next() => {
                outcome.count(ended);
                continue;
            }
            slot = Arc::clone(&slots).acquire_owned() => slot,
        };
        match claim(worker, &mut drain).await {
            Ok(Claimed::Drained) => break,
            Ok(Claimed::Nothing) => outcome.idle_polls += 1,
            Ok(Claimed::Job(job, lease)) => {
                let worker = Arc::clone(worker);
                running.spawn(async move {
                    let _slot = slot;
                    handle(&worker, &job, lease).await
                });
            }
            Err(error) => {
                outcome.error = Some(error);
                break;
            }
        }
        if worker.setup.once {
            break;
        }
    }
    while let Some(ended) = running.join_next().await {
        outcome.count(ended);
    }
    outcome
}

enum Claimed {
    Drained,
    Nothing,
    Job(Job, Lease),
}

/// Claims one job, waiting for it as long as the poll interval; `once` looks and does not wait.
async fn claim(worker: &Worker, drain: &mut channel::Receiver<Drain>) -> Result<Claimed, Error> {
    let setup = &worker.setup;
    let wait = if setup.once { Duration::ZERO } else { setup.poll_interval };
    // One id for all tries: where an answer was lost, the next try gets the same job.
    let args = claim_args(setup, wait);
    let mut said = false;
    loop {
        let asked_at = Instant::now();
        let asked = calls::begin(&worker.client, "jobs.claim", args.clone()).await;
        let reply = match asked {
            Err(error) => Err(error),
            Ok(Asked::Now(reply)) => reply,
            Ok(Asked::Later(pending, mut told)) => tokio::select! {
                reply = &mut told => reply.unwrap_or_else(|_| Err(Error::new(Code::Closed, "engine was closed"))),
                _ = drain.wait_for(|drain| *drain != Drain::No) => {
                    pending.forget();
                    // A claim that was made in the same moment is given back.
                    match told.try_recv() {
                        Ok(reply) => return give_back(worker, reply).await,
                        Err(_) => return Ok(Claimed::Drained),
                    }
                }
            },
        };
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
            Err(error) if error.code.row().retry => {
                if !std::mem::replace(&mut said, true) {
                    say(&format!("claim failed and is tried again: {}", error.message));
                }
                CLAIM_RETRY
            }
            Err(error) => return Err(error),
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = drain.wait_for(|drain| *drain != Drain::No) => return Ok(Claimed::Drained),
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

async fn give_back(worker: &Worker, reply: Result<Value, Error>) -> Result<Claimed, Error> {
    if let Some(job) = reply.ok().as_ref().and_then(Job::claimed) {
        let mut args = job.args();
        args.insert("reason".into(), "worker is shutting down".into());
        if let Err(error) = calls::ask(&worker.client, "jobs.release", args.into()).await {
            say(&format!("job {}: could not be released: {}", job.id, error.message));
        }
    }
    Ok(Claimed::Drained)
}

/// What became of one job.
struct Handled {
    counts: bool,
    failed: bool,
    job: Option<Value>,
    dir: Option<PathBuf>,
}

impl Outcome {
    fn count(&mut self, ended: Result<Handled, tokio::task::JoinError>) {
        let Ok(handled) = ended else {
            say("a job's task ended by a fault; its lease will run out");
            self.handled += 1;
            self.failed += 1;
            return;
        };
        self.handled += u64::from(handled.counts);
        self.failed += u64::from(handled.failed);
        if handled.job.is_some() {
            self.last_job = handled.job;
        }
        if handled.dir.is_some() {
            self.last_job_dir = handled.dir;
        }
    }
}

async fn handle(worker: &Worker, job: &Job, mut lease: Lease) -> Handled {
    let (verdict, folder) = match worker.folder.job(job) {
        Err(e) => (Some(Verdict::fail("worker_setup_failed", &format!("job directory cannot be made: {e}"))), None),
        Ok(folder) => (attempt(worker, job, &mut lease, &folder).await, Some(folder)),
    };
    let dir = folder.as_ref().filter(|folder| folder.kept()).map(|folder| folder.path.clone());
    let Some(verdict) = verdict else {
        say(&format!("job {}: the lease is lost, the handler was stopped, nothing is reported", job.id));
        return Handled { counts: true, failed: true, job: None, dir };
    };
    let Settled { verdict, reply } = settle(&worker.client, job, &lease, verdict).await;
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

/// Runs the handler once and says what is to be reported; nothing where the lease is lost.
async fn attempt(worker: &Worker, job: &Job, lease: &mut Lease, folder: &JobFolder) -> Option<Verdict> {
    let name = worker.setup.handler.name();
    let environment = environment(worker.client.as_ref(), &worker.facts, job, folder);
    let mut handler = match Handler::start(&worker.setup.handler, &environment).await {
        Ok(handler) => handler,
        Err(e) => {
            let message = format!("handler \"{}\" cannot be started: {e}", worker.setup.handler.path.display());
            return Some(Verdict::fail("handler_start_failed", &message));
        }
    };
    let worker_info =
        json!({"workerId": worker.setup.worker_id, "handler": name, "pid": handler.pid(), "host": super::host()});
    let started = serde_json::Map::from_iter([
        ("status".to_owned(), "started".into()),
        ("message".to_owned(), format!("started handler {name}").into()),
    ]);
    let around = Surroundings { client: &worker.client, job, drain: worker.drain.clone(), grace: worker.setup.grace };
    match watch(around, lease, &mut handler, started).await {
        Err(e) => Some(Verdict::fail("handler_failed", &format!("handler cannot be waited for: {e}"))),
        Ok((exit, None)) => Some(judge(exit.into(), result::read(&folder.result_file()), worker_info)),
        Ok((exit, Some(why))) => {
            say(&format!("job {}: handler was stopped, {}", job.id, reason(why)));
            judge_stopped(why, exit.into(), result::read(&folder.result_file()), worker_info)
        }
    }
}

fn reason(why: Why) -> &'static str {
    match why {
        Why::Cancelled => "the job was cancelled",
        Why::LeaseLost => "the lease is lost",
        Why::Lapsed => "the lease could not be renewed",
        Why::Drained => "the worker is shutting down",
    }
}
