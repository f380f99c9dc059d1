//! An engine on a file of its own, with a clock and ids that the test owns, and the commands that tests give it.
//! It does not know what should come out: `model.rs` does.

use super::surface;
use errand::engine::{
    Claim, Class, Clock, Engine, Error, Ids, JobView, NewJob, Report, Result, Settings, Settle, Submit, Work,
};
use errand::http::Server;
use errand::job::{Ending, Status};
use errand::store::{Sqlite, SqliteOptions};
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::time::Duration;
use tempfile::TempDir;

pub const WORKSPACE: &str = "default";

/// A clock that stands still until it is told to go.
pub struct TestClock {
    wall: AtomicI64,
    boot: AtomicI64,
    boots: AtomicI64,
}

impl TestClock {
    pub fn new() -> TestClock {
        TestClock { wall: AtomicI64::new(1_700_000_000_000), boot: AtomicI64::new(5_000_000), boots: AtomicI64::new(1) }
    }

    pub fn advance(&self, ms: i64) {
        self.wall.fetch_add(ms, Ordering::Relaxed);
        self.boot.fetch_add(ms, Ordering::Relaxed);
    }

    /// The wall clock is set; nothing else happens.
    pub fn jump(&self, ms: i64) {
        self.wall.fetch_add(ms, Ordering::Relaxed);
    }

    /// The host is started again.
    pub fn reboot(&self) {
        self.boot.store(1_000, Ordering::Relaxed);
        self.boots.fetch_add(1, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn wall_ms(&self) -> i64 {
        self.wall.load(Ordering::Relaxed)
    }

    fn boot_ms(&self) -> i64 {
        self.boot.load(Ordering::Relaxed)
    }

    fn boot_id(&self) -> String {
        format!("boot {}", self.boots.load(Ordering::Relaxed))
    }
}

/// Ids that count, so that a run can be repeated; no jitter.
pub struct TestIds {
    prefix: Mutex<String>,
    next: AtomicU64,
}

impl TestIds {
    pub fn new() -> TestIds {
        TestIds { prefix: Mutex::new(String::new()), next: AtomicU64::new(0) }
    }

    /// From here on ids count from 1 under a prefix.
    pub fn restart(&self, prefix: &str) {
        *self.prefix.lock().expect("nobody panics with it") = prefix.into();
        self.next.store(0, Ordering::Relaxed);
    }
}

impl Ids for TestIds {
    fn id(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        format!("{}{number:06}", self.prefix.lock().expect("nobody panics with it"))
    }

    fn token(&self) -> String {
        format!("token-{}", self.id())
    }

    fn jitter(&self) -> u32 {
        0
    }
}

/// A folder in memory where there is such a thing: these tests sync thousands of times.
pub fn fast_folder() -> TempDir {
    let shm = Path::new("/dev/shm");
    let made = if shm.is_dir() { TempDir::new_in(shm) } else { TempDir::new() };
    made.expect("a folder for the test")
}

pub fn options() -> SqliteOptions {
    SqliteOptions { durable: true, create: true, busy_timeout: Duration::from_secs(30), vfs: None }
}

/// An empty store at `path`, without running the migrations each time.
pub fn make_store(path: &Path) {
    static EMPTY: OnceLock<Vec<u8>> = OnceLock::new();
    let bytes = EMPTY.get_or_init(|| {
        let folder = fast_folder();
        let path = folder.path().join("jobs.db");
        drop(Sqlite::open(&path, options()).expect("the store opens"));
        std::fs::read(&path).expect("the store is a file")
    });
    std::fs::write(path, bytes).expect("the store can be written");
}

/// An engine, its store and its clock.
pub struct World {
    pub clock: Arc<TestClock>,
    pub ids: Arc<TestIds>,
    folder: TempDir,
    files: usize,
    /// As of two processes on one file; the second is there once it was asked for.
    engines: [Option<Arc<Engine>>; 2],
    turn: usize,
    seen: Option<Connection>,
    /// Where commands go over HTTP: a server on each engine.
    servers: Option<[Option<Server>; 2]>,
}

impl World {
    pub fn new() -> World {
        let folder = fast_folder();
        let (clock, ids) = (Arc::new(TestClock::new()), Arc::new(TestIds::new()));
        let mut world =
            World { clock, ids, folder, files: 0, engines: [None, None], turn: 0, seen: None, servers: None };
        make_store(&world.path());
        world.start();
        world
    }

    /// As `new`, its commands asked over HTTP, of a server on each engine.
    pub fn over_http() -> World {
        let mut world = World { servers: Some([None, None]), ..World::new() };
        world.restart();
        world
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join(format!("jobs{}.db", self.files))
    }

    fn start(&mut self) {
        self.turn = 1;
        self.take_turns();
        self.seen = Some(Connection::open(self.path()).expect("the store opens"));
    }

    /// The other engine on the same file has the next word.
    pub fn take_turns(&mut self) {
        self.turn = 1 - self.turn;
        if self.engines[self.turn].is_none() {
            let engine = start(&self.path(), options(), self.clock.clone(), self.ids.clone());
            if let Some(servers) = &mut self.servers {
                servers[self.turn] = Some(surface::serve(engine.clone(), self.folder.path()));
            }
            self.engines[self.turn] = Some(engine);
        }
    }

    pub fn engine(&self) -> &Arc<Engine> {
        self.engines[self.turn].as_ref().expect("the engine runs")
    }

    /// A connection that only looks.
    pub fn seen(&self) -> &Connection {
        self.seen.as_ref().expect("the engine runs")
    }

    pub fn now_ms(&self) -> i64 {
        self.engine().now().store_ms
    }

    pub fn run(&self, command: &Command) -> Result<Answer> {
        if let Some(server) = self.servers.as_ref().and_then(|servers| servers[self.turn].as_ref()) {
            return surface::ask(server, command, self.clock.wall_ms())
                .unwrap_or_else(|| write(self.engine(), command, |_| Ok(())));
        }
        write(self.engine(), command, |_| Ok(()))
    }

    /// The process is killed after the commit: what is on disk is all that is left.
    pub fn crash(&mut self) {
        let (from, to) = self.next_file();
        copy_store(&from, &to);
        self.begin_again();
    }

    /// The process is killed in the middle of a command, just before its commit.
    pub fn crash_before_commit(&mut self, command: &Command) {
        let (from, to) = self.next_file();
        let _ = write(self.engine(), command, move |_| {
            copy_store(&from, &to);
            Err(Error::Closed)
        });
        if !self.folder.path().join(format!("jobs{}.db", self.files + 1)).exists() {
            // The command was refused before it came to a commit.
            let (from, to) = self.next_file();
            copy_store(&from, &to);
        }
        self.begin_again();
    }

    /// The process ends as it should, and a new one begins.
    pub fn restart(&mut self) {
        self.stop();
        self.start();
    }

    pub fn stop(&mut self) {
        self.seen = None;
        if let Some(servers) = &mut self.servers {
            *servers = [None, None];
        }
        self.engines = [None, None];
    }

    fn next_file(&self) -> (PathBuf, PathBuf) {
        (self.path(), self.folder.path().join(format!("jobs{}.db", self.files + 1)))
    }

    fn begin_again(&mut self) {
        self.stop();
        for ending in ["", "-wal", "-shm", "-lock", "-wake"] {
            // What the old process did not make is not there.
            let _ = std::fs::remove_file(format!("{}{ending}", self.path().display()));
        }
        self.files += 1;
        self.start();
    }
}

/// The database and its log as they are on disk; the index of the log is memory and does not survive.
fn copy_store(from: &Path, to: &Path) {
    for ending in ["", "-wal"] {
        let (from, to) = (format!("{}{ending}", from.display()), format!("{}{ending}", to.display()));
        if Path::new(&from).exists() {
            std::fs::copy(&from, &to).expect("the store can be copied");
        }
    }
}

pub fn start(path: &Path, options: SqliteOptions, clock: Arc<TestClock>, ids: Arc<TestIds>) -> Arc<Engine> {
    try_start(path, options, clock, ids).expect("the engine starts")
}

pub fn try_start(path: &Path, options: SqliteOptions, clock: Arc<TestClock>, ids: Arc<TestIds>) -> Result<Arc<Engine>> {
    let store = Sqlite::open(path, options)?;
    Engine::start(Arc::new(store), Settings { clock, ids, upkeep: false, ..Settings::default() })
}

/// Runs a command in a transaction, `before_commit` last in it.
pub fn write(
    engine: &Engine,
    command: &Command,
    mut before_commit: impl FnMut(&mut Work) -> Result<()> + Send + 'static,
) -> Result<Answer> {
    let (command, (told, tell)) = (command.clone(), mpsc::channel());
    let op = move |work: &mut Work| {
        let answer = command.run(work)?;
        before_commit(work)?;
        Ok(answer)
    };
    let told = move |result| told.send(result).expect("the test waits");
    engine.write(Class::Urgent, op, told).unwrap_or_else(|| tell.recv().expect("every operation is answered"))
}

/// What a command is about, by the ids that the engine gave.
#[derive(Clone, Debug)]
pub enum Command {
    Create { submit: Submit, max_attempts: i64 },
    CreateBatch { submit: Submit, jobs: usize, max_attempts: i64 },
    Claim(Claim),
    Heartbeat { job: String, token: String, lease_ms: Option<i64> },
    Progress { job: String, token: String, status: Option<Status> },
    Settle { job: String, token: String, settle: Settle },
    Cancel { job: String },
    CancelBatch { batch: String },
    Retry { job: String },
    Sweep,
}

/// What a command gave.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A job by its id, and the token of its lease where it was claimed.
    Job(String, Option<String>),
    NoJob,
    /// A batch and its jobs by their ids.
    Batch(String, Vec<String>),
    Told {
        cancel: bool,
        lease_ms: i64,
    },
    Swept(usize),
}

impl Command {
    pub fn run(&self, work: &mut Work) -> Result<Answer> {
        match self {
            Command::Create { submit, max_attempts } => work.create(submit, &new_job(*max_attempts)).map(job),
            Command::CreateBatch { submit, jobs, max_attempts } => {
                let new = vec![new_job(*max_attempts); *jobs];
                let view = work.create_batch(submit, None, &new)?;
                let jobs = view.jobs.unwrap_or_default().into_iter().map(|view| view.job.job_id).collect();
                Ok(Answer::Batch(view.batch.batch_id, jobs))
            }
            Command::Claim(claim) => Ok(work.claim(claim)?.map_or(Answer::NoJob, job)),
            Command::Heartbeat { job, token, lease_ms } => work.heartbeat(WORKSPACE, job, token, *lease_ms).map(told),
            Command::Progress { job, token, status } => {
                let report = Report { status: *status, message: Some("on its way".into()), ..Report::default() };
                work.progress(WORKSPACE, job, token, &report).map(told)
            }
            Command::Settle { job: id, token, settle } => work.settle(WORKSPACE, id, token, settle).map(job),
            Command::Cancel { job: id } => work.cancel(WORKSPACE, id, Some("no longer wanted")).map(job),
            Command::CancelBatch { batch } => {
                work.cancel_batch(WORKSPACE, batch, None).map(|view| Answer::Batch(view.batch.batch_id, Vec::new()))
            }
            Command::Retry { job: id } => work.retry(WORKSPACE, id).map(job),
            Command::Sweep => work.expire(1_000).map(Answer::Swept),
        }
    }
}

pub fn job(view: JobView) -> Answer {
    Answer::Job(view.job.job_id, view.lease_token)
}

fn new_job(max_attempts: i64) -> NewJob {
    NewJob { max_attempts: Some(max_attempts), ..NewJob::default() }
}

fn told(held: errand::engine::Held) -> Answer {
    let cancel = held.directive == errand::engine::Directive::Cancel;
    Answer::Told { cancel, lease_ms: held.lease_remaining_ms }
}

pub fn complete(status: Ending, summary: &str) -> Settle {
    Settle::Complete {
        status,
        summary: Some(summary.into()),
        outputs: None,
        metrics: None,
        artifacts: Vec::new(),
        worker_info: None,
    }
}

pub fn fail(retryable: bool, retry_after_ms: Option<i64>) -> Settle {
    Settle::Fail { error: "{:code \"broken\"}".into(), artifacts: Vec::new(), retryable, retry_after_ms }
}

pub fn release() -> Settle {
    Settle::Release { reason: None }
}
