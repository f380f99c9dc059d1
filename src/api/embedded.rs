//! The client of an engine in this process. Two clients of one file share one engine.

use super::args::Args;
use super::command::Kind;
use super::error::{Code, Error};
use super::run::{Reading, Run};
use super::{Answer, COMMANDS, Call, Client, Done, Pending, Place, Reply};
use crate::engine::{self, Bound, Engine, Notice, Settings, Ticket, Waited};
use crate::job::Refusal;
use crate::store::{self, Sqlite, SqliteOptions};
use crate::value::{MapBuilder, Value};
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// Told of background trouble and of what the engine does by itself, as `{:event :message}`. It must not block.
pub type EventSink = Arc<dyn Fn(Value) + Send + Sync>;

/// How a store is opened. `from_value` reads the same by name from a map, with errors for what it does not know.
#[derive(Clone)]
pub struct OpenOptions {
    pub workspace: String,
    /// `FULL` where true (the default), else `NORMAL`: the last commits may be lost on power loss.
    pub durable: bool,
    /// Make the file where it is missing; else a missing file is `not-found`.
    pub create: bool,
    /// How often other processes' commits are looked for besides being woken; nothing switches it off.
    pub fallback_poll_ms: Option<u64>,
    /// How long to wait for other writers, and for programs that hold an older schema.
    pub busy_timeout_ms: u64,
    pub on_event: Option<EventSink>,
}

impl Default for OpenOptions {
    fn default() -> OpenOptions {
        OpenOptions {
            workspace: "default".into(),
            durable: true,
            create: true,
            fallback_poll_ms: Some(1_000),
            busy_timeout_ms: 30_000,
            on_event: None,
        }
    }
}

/// What the caller's own data stands under, in arguments: decoders keep it as text.
pub fn open_fields() -> &'static [&'static str] {
    static OPEN: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
        let fields = COMMANDS.iter().flat_map(|command| command.fields);
        let kept = |kind| matches!(kind, Kind::Open(_) | Kind::Artifacts | Kind::Labels(_));
        let mut names: Vec<_> = fields.filter(|field| kept(field.kind)).map(|field| field.name).collect();
        names.sort_unstable();
        names.dedup();
        names
    });
    &OPEN
}

/// Files that are open in this process, by device and inode.
static OPEN: Mutex<Vec<Opened>> = Mutex::new(Vec::new());

struct Opened {
    file: (u64, u64),
    durable: bool,
    engine: Weak<Engine>,
}

/// Opens the store at `path`; two clients of one file in one process share one engine.
pub fn open(path: &Path, options: OpenOptions) -> Result<Arc<dyn Client>, Error> {
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    open.retain(|opened| opened.engine.strong_count() > 0);
    let known = file_id(path).and_then(|file| open.iter().find(|opened| opened.file == file));
    if let Some(engine) = known.and_then(|opened| opened.engine.upgrade()) {
        let durable = known.is_some_and(|opened| opened.durable);
        if durable != options.durable {
            let level = |durable| if durable { "full" } else { "normal" };
            return Err(Error::new(
                Code::InvalidArgument,
                format!(
                    "database {} is open in this process with sync \"{}\"; it cannot be opened with \"{}\" too",
                    path.display(),
                    level(durable),
                    level(options.durable)
                ),
            ));
        }
        return Ok(Embedded::client(engine, absolute(path), &options));
    }
    let sqlite = Sqlite::open(
        path,
        SqliteOptions {
            durable: options.durable,
            create: options.create,
            busy_timeout: Duration::from_millis(options.busy_timeout_ms),
            vfs: None,
        },
    )?;
    let path = sqlite.path().to_path_buf();
    let engine = Engine::start(Arc::new(sqlite), settings(&options))?;
    if let Some(file) = file_id(&path) {
        open.push(Opened { file, durable: options.durable, engine: Arc::downgrade(&engine) });
    }
    Ok(Embedded::client(engine, path, &options))
}

fn file_id(path: &Path) -> Option<(u64, u64)> {
    path.metadata().ok().map(|found| (found.dev(), found.ino()))
}

fn absolute(path: &Path) -> std::path::PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}

fn settings(options: &OpenOptions) -> Settings {
    let mut settings =
        Settings { fallback_poll: options.fallback_poll_ms.map(Duration::from_millis), ..Settings::default() };
    if let Some(sink) = options.on_event.clone() {
        settings.tell = Arc::new(move |notice: Notice| {
            sink(MapBuilder::new().put("event", notice.event).put("message", notice.message).build());
        });
    }
    settings
}

struct Embedded {
    engine: Mutex<Option<Arc<Engine>>>,
    place: Place,
    workspace: String,
    pending: Arc<Slots>,
}

/// Calls under way, so that closing can end them.
#[derive(Default)]
struct Slots {
    next: AtomicU64,
    slots: Mutex<HashMap<u64, Arc<Slot>>>,
}

/// A caller that waits to be told; whoever takes `done` tells it.
struct Slot {
    number: u64,
    done: Mutex<Option<Done>>,
    ticket: Mutex<Option<Ticket>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Slots {
    fn slot(&self, done: Done) -> Arc<Slot> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Arc::new(Slot { number, done: Mutex::new(Some(done)), ticket: Mutex::new(None) })
    }

    /// Gives the callback that tells the slot's caller.
    fn teller(self: &Arc<Slots>, slot: &Arc<Slot>) -> impl FnOnce(Reply) + Send + use<> {
        let (slots, slot) = (Arc::downgrade(self), slot.clone());
        move |reply| {
            if let Some(slots) = slots.upgrade() {
                locked(&slots.slots).remove(&slot.number);
            }
            let done = locked(&slot.done).take();
            if let Some(done) = done {
                done(reply);
            }
        }
    }

    /// Keeps the slot while its call is under way.
    fn later(self: &Arc<Slots>, slot: Arc<Slot>, ticket: Option<Ticket>) -> Answer {
        *locked(&slot.ticket) = ticket;
        locked(&self.slots).insert(slot.number, slot.clone());
        if locked(&slot.done).is_none() {
            locked(&self.slots).remove(&slot.number);
        }
        let slots = Arc::downgrade(self);
        Answer::Later(Pending(Box::new(move || {
            if let Some(slots) = slots.upgrade() {
                locked(&slots.slots).remove(&slot.number);
            }
            drop(slot.give_up());
        })))
    }

    fn close(&self) {
        let slots = std::mem::take(&mut *locked(&self.slots));
        for slot in slots.into_values() {
            if let Some(done) = slot.give_up() {
                done(Err(engine::Error::Closed.into()));
            }
        }
    }
}

impl Slot {
    fn give_up(&self) -> Option<Done> {
        let done = locked(&self.done).take();
        if let Some(ticket) = locked(&self.ticket).take() {
            ticket.forget();
        }
        done
    }
}

impl Embedded {
    fn client(engine: Arc<Engine>, path: std::path::PathBuf, options: &OpenOptions) -> Arc<dyn Client> {
        Arc::new(Embedded {
            engine: Mutex::new(Some(engine)),
            place: Place::Store(path),
            workspace: options.workspace.clone(),
            pending: Arc::default(),
        })
    }

    fn try_call(&self, call: Call, done: Done) -> Result<Answer, Error> {
        let Some(engine) = locked(&self.engine).clone() else { return Err(engine::Error::Closed.into()) };
        let args = Args::read(call.command, &call.args, call.names)?;
        let workspace = self.workspace.as_str();
        Ok(match call.command.run {
            Run::Read(run) => {
                let read = engine.read(|rows, now| Ok(run(&mut Reading { rows, now, workspace }, &args)));
                Answer::Now(read.map_err(Error::from).flatten())
            }
            Run::Write(class, run) => {
                let slot = self.pending.slot(done);
                let tell = self.pending.teller(&slot);
                let workspace = workspace.to_string();
                let done = |result: engine::Result<Value>| tell(result.map_err(Error::from));
                match engine.write(class, move |work| run(work, &workspace, &args), done) {
                    Some(result) => Answer::Now(result.map_err(Error::from)),
                    None => self.pending.later(slot, None),
                }
            }
            Run::Claim(run) => {
                let bound = Bound::after_ms(args.int("wait-ms").unwrap_or(0), None);
                let slot = self.pending.slot(done);
                let tell = self.pending.teller(&slot);
                let done = |result: engine::Result<_>| tell(result.map(claim_data).map_err(Error::from));
                self.waited(slot, engine.claim(run(workspace, &args), bound, done), claim_data)
            }
            Run::Await(run) => {
                let super::run::Await { id, wait, look } = run(workspace, &args);
                let poll_ms = u64::try_from(wait.interval_ms).ok();
                let bound = Bound::after_ms(wait.bound_ms(), poll_ms);
                let slot = self.pending.slot(done);
                let tell = self.pending.teller(&slot);
                let data = |(data, _ended)| data;
                let done = move |result: engine::Result<(Value, bool)>| tell(result.map(data).map_err(Error::from));
                self.waited(slot, engine.await_end(&id, bound, look, done), data)
            }
        })
    }

    fn waited<T>(&self, slot: Arc<Slot>, waited: Waited<T>, data: impl FnOnce(T) -> Value) -> Answer {
        match waited {
            Waited::Now(result) => Answer::Now(result.map(data).map_err(Error::from)),
            Waited::Later(ticket) => self.pending.later(slot, Some(ticket)),
        }
    }
}

fn claim_data(claimed: Option<engine::JobView>) -> Value {
    match claimed {
        Some(view) => super::view::job_data(view),
        None => MapBuilder::new().put("job", Value::Nil).build(),
    }
}

impl Client for Embedded {
    fn call(&self, call: Call, done: Done) -> Answer {
        self.try_call(call, done).unwrap_or_else(|error| Answer::Now(Err(error)))
    }

    fn place(&self) -> &Place {
        &self.place
    }

    fn workspace(&self) -> &str {
        &self.workspace
    }

    fn close(&self) {
        let engine = locked(&self.engine).take();
        self.pending.close();
        drop(engine);
    }
}

impl From<engine::Error> for Error {
    fn from(error: engine::Error) -> Error {
        let message = error.to_string();
        match error {
            engine::Error::Refused(Refusal::Status { status, event }) => {
                Error::new(Code::Refused, message).with("status", status.name()).with("event", event)
            }
            engine::Error::Refused(Refusal::LeaseLost) => Error::new(Code::LeaseLost, message),
            engine::Error::Refused(Refusal::NotDue | Refusal::LeaseHolds) => Error::new(Code::Refused, message),
            engine::Error::Settled(status) => Error::new(Code::Refused, message).with("status", status.name()),
            engine::Error::BatchEnded(status) => {
                Error::new(Code::Refused, message).with("status", status).with("event", "cancel")
            }
            engine::Error::NoJob(_) | engine::Error::NoBatch(_) => Error::new(Code::NotFound, message),
            engine::Error::KeyTaken(key) => Error::new(Code::Refused, message).with("idempotency-key", key),
            engine::Error::TooManyArtifacts(..) => Error::new(Code::InvalidArgument, message),
            engine::Error::Conflict => Error::new(Code::Unavailable, message),
            engine::Error::Closed => Error::new(Code::Closed, "engine is closed; open it again"),
            engine::Error::Panicked(_) => Error::new(Code::Internal, message),
            engine::Error::Store(error) => error.into(),
        }
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Error {
        let message = error.to_string();
        match error {
            store::Error::Busy(_) | store::Error::Unavailable(_) => Error::new(Code::Unavailable, message),
            store::Error::Unknown(_) => Error::new(Code::Unavailable, message).with("outcome", "unknown"),
            store::Error::Unusable(_) => Error::new(Code::InvalidArgument, message),
            store::Error::Missing(_) => Error::new(Code::NotFound, message),
            store::Error::Corrupt(_) => Error::new(Code::Internal, message),
        }
    }
}
