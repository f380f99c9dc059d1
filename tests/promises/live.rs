//! Engines as they run in a process: their own threads, the host's clock, several on one file.
//! What they are to tell of comes by news alone: the fallback poll is off, and nothing is looked at with a sweep.

use super::world::{WORKSPACE, complete, fast_folder, make_store, options};
use errand::engine::{
    Bound, Claim, Claiming, Class, End, Engine, JobView, NewJob, Now, Result, Settings, Settle, Submit, Ticket, Waited,
    Work,
};
use errand::job::{Ending, Status};
use errand::store::{self, Rows, Sqlite, Store, Tx};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use tempfile::TempDir;

/// Longer than anything takes that is not stuck.
pub const LONG: Duration = Duration::from_secs(10);

/// Between two looks that are only there in case a word was lost: so it stays lost.
pub const NEVER: Duration = Duration::from_secs(3_600);

/// A store, and as many engines on it as are asked for: each as a process of its own would have.
pub struct Live {
    folder: TempDir,
}

impl Live {
    pub fn new() -> Live {
        let folder = fast_folder();
        make_store(&folder.path().join("jobs.db"));
        Live { folder }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("jobs.db")
    }

    pub fn engine(&self) -> Arc<Engine> {
        self.start(Arc::new(self.store()))
    }

    /// An engine that hears nothing of the file: what it wakes by is its own.
    pub fn deaf_engine(&self) -> Arc<Engine> {
        self.start(Arc::new(Deaf(self.store())))
    }

    fn store(&self) -> Sqlite {
        Sqlite::open(&self.path(), options()).expect("the store opens")
    }

    fn start(&self, store: Arc<dyn Store>) -> Arc<Engine> {
        let settings = Settings { fallback_poll: None, sweep_every: NEVER, ..Settings::default() };
        Engine::start(store, settings).expect("the engine starts")
    }
}

/// A store that is never told that others have committed.
struct Deaf(Sqlite);

impl Store for Deaf {
    fn log_bytes(&self) -> u64 {
        self.0.log_bytes()
    }

    fn shorten_log(&self) -> store::Result<bool> {
        self.0.shorten_log()
    }

    fn writer(&self) -> store::Result<Box<dyn Tx + Send>> {
        self.0.writer()
    }

    fn reader(&self) -> store::Result<Box<dyn Rows + Send>> {
        self.0.reader()
    }

    fn watch(&self, _on_change: Box<dyn Fn() + Send + Sync>) -> store::Result<Box<dyn Send + Sync>> {
        Ok(Box::new(()))
    }

    fn announce(&self) -> store::Result<()> {
        self.0.announce()
    }
}

/// Runs an operation and waits for it.
pub fn write<T: Send + 'static>(
    engine: &Engine,
    class: Class,
    op: impl FnMut(&mut Work) -> Result<T> + Send + 'static,
) -> T {
    try_write(engine, class, op).unwrap_or_else(|error| panic!("{error}"))
}

pub fn try_write<T: Send + 'static>(
    engine: &Engine,
    class: Class,
    op: impl FnMut(&mut Work) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (told, tell) = channel();
    let done = move |result| drop(told.send(result));
    engine.write(class, op, done).unwrap_or_else(|| tell.recv_timeout(LONG).expect("every operation is answered"))
}

pub fn new_job(kind: &str) -> Submit {
    Submit { workspace: WORKSPACE.into(), job_type: kind.into(), ..Submit::default() }
}

pub fn submit(engine: &Engine, kind: &str) -> String {
    let submit = new_job(kind);
    let view = write(engine, Class::Bulk, move |work| work.create(&submit, &NewJob::default()));
    view.job.job_id
}

pub fn claim_of(kind: &str) -> Claim {
    let (workspace, job_type, worker_id) = (WORKSPACE.into(), kind.into(), "worker".into());
    Claim { workspace, job_type, worker_id, ..Claim::default() }
}

/// A job and the token of its lease, if there is one to be had now.
pub fn claim(engine: &Engine, kind: &str) -> Option<(String, String)> {
    let claim = claim_of(kind);
    write(engine, Class::Urgent, move |work| work.claim(&claim)).map(held)
}

pub fn held(view: JobView) -> (String, String) {
    let token = view.lease_token.clone().expect("a claim has a token");
    (view.job.job_id, token)
}

pub fn settle(engine: &Engine, (job, token): (String, String), settle: Settle) {
    write(engine, Class::Urgent, move |work| work.settle(WORKSPACE, &job, &token, &settle).map(|_| ()));
}

pub fn finish(engine: &Engine, lease: (String, String)) {
    settle(engine, lease, complete(Ending::Succeeded, "done"));
}

/// A claim without a caller's rights and operation ids.
pub struct PlainClaim(pub Claim);

impl Claiming for PlainClaim {
    type Given = JobView;

    fn claim(&self) -> &Claim {
        &self.0
    }

    fn look(&self, rows: &mut dyn Rows, now: Now) -> Result<bool> {
        self.0.look(rows, now)
    }

    fn run(&self, work: &mut Work) -> Result<Option<JobView>> {
        work.claim(&self.0)
    }

    fn undo(&self, work: &mut Work, given: &JobView) -> Result<()> {
        let token = given.lease_token.clone().expect("a claim has a token");
        work.settle(WORKSPACE, &given.job.job_id, &token, &Settle::Release { reason: None }).map(|_| ())
    }
}

pub type WaitForJob = (Option<Ticket>, Receiver<Option<(String, String)>>);

/// Begins to wait for a job to claim.
pub fn wait_for_job(engine: &Arc<Engine>, kind: &str) -> WaitForJob {
    wait_for(engine, claim_of(kind))
}

/// Begins to wait for what a claim asks for.
pub fn wait_for(engine: &Arc<Engine>, claim: Claim) -> WaitForJob {
    let (told, tell) = channel();
    let again = told.clone();
    let done = move |result: Result<Option<JobView>>| drop(told.send(result.ok().flatten().map(held)));
    match engine.claim(PlainClaim(claim), Bound::after_ms(600_000, None), done) {
        Waited::Now(result) => {
            drop(again.send(result.ok().flatten().map(held)));
            (None, tell)
        }
        Waited::Later(ticket) => (Some(ticket), tell),
    }
}

/// The end of a job, for ten minutes; about half of them are read in the commit that ends them.
pub fn end(job: &str) -> End {
    let little = job.bytes().last().is_some_and(|last| last % 2 == 0);
    End { id: job.into(), bound: Bound::after_ms(600_000, None), alike: None, little }
}

/// Begins to wait for the end of a job.
pub fn wait_for_end(engine: &Arc<Engine>, job: &str) -> Receiver<Status> {
    wait_for_end_of(engine, end(job))
}

pub fn wait_for_end_of(engine: &Arc<Engine>, end: End) -> Receiver<Status> {
    let (told, tell) = channel();
    when_ended(engine, end, move |status| {
        told.send(status).ok();
    });
    tell
}

/// Calls `then` when the job has ended: on the thread of the engine's that learns of it.
pub fn when_ended(engine: &Arc<Engine>, end: End, then: impl FnOnce(Status) + Clone + Send + 'static) {
    let id = end.id.clone();
    let look = move |rows: &mut dyn Rows, _| {
        let job = rows.job_by_id(&id)?.expect("the job is there");
        Ok((job.facts.status, job.facts.status.is_terminal()))
    };
    let later = then.clone();
    let done = move |result: Result<(Status, bool)>| later(result.expect("the wait ends well").0);
    if let Waited::Now(result) = engine.await_end(end, look, done) {
        then(result.expect("the wait ends well").0);
    }
}
