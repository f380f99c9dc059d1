//! The worker's loop: claim, handle, report, until it is told to drain.
//! It does not know how a handler is watched or what its end means.

use super::attempt::{Handled, handle};
use super::claim::{Claimed, Paused, claim};
use super::environment::Facts;
use super::folder::WorkerFolder;
use super::program::{Program, own_path};
use super::say::{heard, say};
use crate::api::{Client, Code, Error, spare_descriptors};
use crate::value::Value;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, watch as channel};
use tokio::task::JoinSet;

/// File descriptors without which a worker does not start: its own, its engine's, and those of a handler's start.
const FILES: usize = 14;

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

/// Works until a signal drains it, `once` is done, or claiming is refused for good.
pub fn run(client: Arc<dyn Client>, setup: Setup) -> Result<Outcome, Error> {
    spare_descriptors(FILES).map_err(broken)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(broken)?;
    let outcome = runtime.block_on(work(client, setup));
    // A call that hangs in a store does not keep the process.
    runtime.shutdown_background();
    heard();
    outcome
}

fn no_folder(error: std::io::Error) -> Error {
    let place = std::env::temp_dir();
    let place = place.display();
    Error::new(
        Code::InvalidArgument,
        format!("worker cannot make its folder in \"{place}\": {error}; TMPDIR names a writable folder"),
    )
}

fn broken(error: std::io::Error) -> Error {
    Error::new(Code::Unavailable, format!("worker cannot start: {error}"))
}

/// What all of a worker's jobs share.
pub struct Worker {
    pub client: Arc<dyn Client>,
    pub setup: Setup,
    pub folder: WorkerFolder,
    pub facts: Facts,
    pub drain: channel::Receiver<Drain>,
    pub paused: Paused,
}

async fn work(client: Arc<dyn Client>, setup: Setup) -> Result<Outcome, Error> {
    let program = own_path()?;
    let folder = WorkerFolder::make(&program, setup.keep_job_dirs).map_err(no_folder)?;
    let facts =
        Facts { worker_id: setup.worker_id.clone(), program, links: folder.links(), api_key: setup.api_key.clone() };
    let drain = drain_on_signals().map_err(broken)?;
    let worker = Arc::new(Worker { client, setup, folder, facts, drain, paused: Paused::default() });
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
    let mut hangups = if hangup_is_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupts.recv() => {}
                _ = terminations.recv() => {}
                () = arrival(&mut hangups) => {}
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

async fn arrival(signals: &mut Option<Signal>) {
    match signals {
        Some(signals) => drop(signals.recv().await),
        None => std::future::pending().await,
    }
}

/// Whether we were started to outlive the terminal (`nohup`); listening would undo that.
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
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
        match claim(&worker.client, &worker.setup, &worker.paused, &mut drain).await {
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
