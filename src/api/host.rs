//! One engine that answers for any caller: each call says for whom it is made.
//! It does not know surfaces, nor what a command does.

use super::access::{Allow, Caller, Scope};
use super::args::{Args, Place};
use super::error::{Code, Error};
use super::files::LocalFiles;
use super::operation::Operation;
use super::run::{ClaimAs, Made, Reading, Run, claim_data, give_back};
use super::spelling::spell_key;
use super::{Answer, Call, Done, Pending, Reply};
use crate::engine::{self, Bound, End, Engine, Ticket, Used, Waited, Work};
use crate::job::limits;
use crate::resource::Blobs;
use crate::value::Value;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// An engine, and the calls that are made of it through this handle.
pub struct Host {
    engine: Mutex<Option<Used>>,
    blobs: Arc<Blobs>,
    path: PathBuf,
    pending: Arc<Slots>,
    draining: Arc<AtomicBool>,
}

impl Host {
    pub(super) fn new(engine: Arc<Engine>, blobs: Arc<Blobs>, path: PathBuf) -> Host {
        Host {
            engine: Mutex::new(Some(Used::new(engine))),
            blobs,
            path,
            pending: Arc::default(),
            draining: Arc::default(),
        }
    }

    /// A handle to an engine that the caller has started on the store at `path`; it has no files yet.
    pub fn of(engine: Arc<Engine>, path: PathBuf) -> Host {
        let blobs = Blobs::new(super::remembered::beside(&path), None, None);
        Host::new(engine, Arc::new(blobs), path)
    }

    /// Another handle to the same engine, with calls of its own; nothing once this one is closed.
    pub fn share(&self) -> Option<Host> {
        let engine = self.engine().ok()?;
        Some(Host::new(engine, self.blobs.clone(), self.path.clone()))
    }

    /// The absolute path of the store.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn engine(&self) -> Result<Arc<Engine>, Error> {
        locked(&self.engine).as_deref().cloned().ok_or_else(|| engine::Error::Closed.into())
    }

    /// The files of a workspace. Who may use them is to be asked before: `may`.
    pub fn files(&self, workspace: &str) -> Result<LocalFiles, Error> {
        Ok(LocalFiles { engine: self.engine()?, blobs: self.blobs.clone(), workspace: workspace.into() })
    }

    /// Refuses what a caller may not do with a resource, or with none yet.
    pub fn may(&self, caller: &Caller, scope: Scope, uri: Option<&str>) -> Result<(), Error> {
        let allow = Allow::resource(caller, scope, uri);
        Ok(self.engine()?.read(|rows, now| allow.check(rows, now))?)
    }

    /// Runs a command for a caller without waiting: answers at once where nothing has to be waited for.
    pub fn call_as(&self, caller: &Caller, call: Call, done: Done) -> Answer {
        self.call_within(caller, call, Duration::ZERO, done)
    }

    /// As `call_as`, but waits on this thread, for as long as `patience`, for what has only to be made durable.
    pub fn call_within(&self, caller: &Caller, call: Call, patience: Duration, done: Done) -> Answer {
        let names = call.names;
        let done = Box::new(move |reply: Reply| done(reply.map_err(|error| error.spelled(names))));
        match self.try_call(caller, call, patience, done) {
            Ok(Answer::Now(Err(error))) | Err(error) => Answer::Now(Err(error.spelled(names))),
            Ok(answer) => answer,
        }
    }

    fn try_call(&self, caller: &Caller, call: Call, patience: Duration, done: Done) -> Result<Answer, Error> {
        let engine = self.engine()?;
        let args = Args::read(call.command, &call.args, call.names)?;
        let allow = Allow::new(caller, call.command, &args);
        let workspace = caller.workspace.clone();
        let operation = Operation::of(caller, call.command, &call.args);
        Ok(match call.command.run {
            Run::Read(run) => {
                let read = engine.read(|rows, now| {
                    allow.check(rows, now)?;
                    Ok(run(&mut Reading { rows, now, workspace: &workspace }, &args))
                });
                Answer::Now(read.map_err(Error::from).flatten())
            }
            Run::Write(class, run) | Run::Renew(class, run) => {
                let slot = self.pending.slot(done);
                let tell = self.pending.teller(&slot, |_| ());
                let draining = self.draining.clone();
                let reply =
                    move |result: engine::Result<Made>| told(result.map(Made::data).map_err(Error::from), &draining);
                let now = reply.clone();
                // What does not need the writer is done before it is asked, on this thread.
                let mut run = run(&workspace, args);
                let op = move |work: &mut Work| {
                    allow.check_in(work)?;
                    operation.once(work, &mut run)
                };
                match engine.write_within(class, patience, op, move |result| tell(reply(result))) {
                    Some(result) => Answer::Now(now(result)),
                    None => self.pending.later(slot, None),
                }
            }
            Run::Long(run) => {
                engine.read(|rows, now| allow.check(rows, now))?;
                let slot = self.pending.slot(done);
                let tell = self.pending.teller(&slot, |_| ());
                let files = self.files(&workspace)?;
                let work = move || {
                    let reply = catch_unwind(AssertUnwindSafe(|| run(&files, &args)));
                    // The engine is let go of first: who is told may close it and open its file again.
                    drop(files);
                    tell(reply.unwrap_or_else(|_| Err(Error::new(Code::Internal, "command ended by a fault"))));
                };
                let started = std::thread::Builder::new().name("errand-command".into()).spawn(work);
                started.map_err(|cause| Error::new(Code::Unavailable, format!("thread cannot be started: {cause}")))?;
                drop(engine);
                self.pending.later(slot, None)
            }
            Run::Claim(run) => {
                if self.draining.load(Ordering::Relaxed) {
                    return Err(Error::new(Code::Unavailable, "server is draining: it gives out no jobs"));
                }
                let wait_ms = wait_ms(caller, &call, &args, "wait-ms")?.unwrap_or(0);
                let bound = Bound::after_ms(wait_ms, None).with_patience(patience);
                let claim = ClaimAs { claim: run(&workspace, &args), allow, operation: operation.clone() };
                let slot = self.pending.slot(done);
                let undelivered = self.undelivered_by(&engine, workspace, operation);
                let tell = self.pending.teller(&slot, undelivered);
                let done = move |result: engine::Result<_>| tell(result.map(claim_data).map_err(Error::from));
                self.waited(slot, engine.claim(claim, bound, done), claim_data)
            }
            Run::Await(run) => {
                let super::run::Await { id, mut wait, alike, little, look } = run(&workspace, &args);
                // What a key may see is asked for each.
                let alike = Some(alike).filter(|_| allow.is_all());
                wait.timeout_ms = wait_ms(caller, &call, &args, "timeout-ms")?;
                let poll_ms = u64::try_from(wait.interval_ms).ok();
                let bound = Bound::after_ms(wait.bound_ms(), poll_ms).with_patience(patience);
                let slot = self.pending.slot(done);
                let tell = self.pending.teller(&slot, |_| ());
                let data = |(data, _ended)| data;
                let done = move |result: engine::Result<(Value, bool)>| tell(result.map(data).map_err(Error::from));
                let look = move |rows: &mut dyn crate::store::Rows, now| {
                    allow.check(rows, now)?;
                    look(rows, now)
                };
                self.waited(slot, engine.await_end(End { id, bound, alike, little }, look, done), data)
            }
        })
    }

    fn waited<T>(&self, slot: Arc<Slot>, waited: Waited<T>, data: impl FnOnce(T) -> Value) -> Answer {
        match waited {
            Waited::Now(result) => Answer::Now(result.map(data).map_err(Error::from)),
            Waited::Later(ticket) => self.pending.later(slot, Some(ticket)),
        }
    }

    /// The answer that a call which waits would have at the end of its wait, now.
    pub fn without_waiting(&self, caller: &Caller, call: &Call) -> Reply {
        let Run::Await(_) = call.command.run else { return Ok(claim_data(None)) };
        let mut call = call.clone();
        let name = spell_key("timeout-ms", call.names);
        if let Value::Map(entries) = &mut call.args {
            entries.retain(|(key, _)| *key != name);
            entries.push((name, Value::Int(0)));
        }
        match self.call_as(caller, call, Box::new(|_| {})) {
            Answer::Now(reply) => reply,
            Answer::Later(_) => unreachable!("a wait of no time is over at once"),
        }
    }

    /// Gives back what a reply gave to a caller that is gone: a job that was claimed for it.
    pub fn undelivered(&self, caller: &Caller, call: &Call, reply: &Reply) {
        if matches!(call.command.run, Run::Claim(_))
            && let Ok(engine) = self.engine()
        {
            let operation = Operation::of(caller, call.command, &call.args);
            self.undelivered_by(&engine, caller.workspace.clone(), operation)(reply);
        }
    }

    fn undelivered_by(
        &self,
        engine: &Arc<Engine>,
        workspace: String,
        operation: Operation,
    ) -> impl FnOnce(&Reply) + Send + use<> {
        let engine = Arc::downgrade(engine);
        move |reply| {
            let (Some(engine), Ok(data)) = (engine.upgrade(), reply) else { return };
            if data.get("job").and_then(|job| job.get("lease-token")).is_none() {
                return;
            }
            let data = data.clone();
            let op = move |work: &mut Work| give_back(work, &workspace, &operation, &data);
            // Where this fails the lease runs out instead.
            drop(engine.write(engine::Class::Urgent, op, |_| {}));
        }
    }

    /// From now on workers are told to drain, and nothing is claimed through this handle.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Ends every pending call with `closed` and lets go of the engine. Later calls get `closed`. Idempotent.
    pub fn close(&self) {
        let engine = locked(&self.engine).take();
        self.pending.close();
        if let Some(engine) = engine {
            engine.leave();
        }
    }
}

/// How long a call waits, which for some callers has a bound of its own.
fn wait_ms(caller: &Caller, call: &Call, args: &Args, name: &'static str) -> Result<Option<i64>, Error> {
    let asked = args.int(name);
    match (asked, caller.wait_max_ms) {
        (Some(asked), Some(max)) if asked > max => {
            let place = Place::top(call.names, name);
            Err(place.invalid(format!("is {asked}; allowed: at most {max} in one call, ask again to wait longer")))
        }
        (None, Some(max)) if name == "timeout-ms" => Ok(Some(max.min(limits::POLL_MAX_MS))),
        (asked, _) => Ok(asked),
    }
}

/// What a worker is told while the server drains.
fn told(reply: Reply, draining: &AtomicBool) -> Reply {
    let mut data = reply?;
    if draining.load(Ordering::Relaxed)
        && let Value::Map(entries) = &mut data
        && let Some((_, directive)) = entries.iter_mut().find(|(key, _)| *key == Value::key("directive"))
        && directive.as_str() == Some(engine::Directive::Ok.name())
    {
        *directive = engine::Directive::Drain.name().into();
    }
    Ok(data)
}

/// Calls under way, so that closing can end them.
#[derive(Default)]
struct Slots {
    next: AtomicU64,
    slots: Mutex<HashMap<u64, Arc<Slot>>>,
    closed: AtomicBool,
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

    /// Gives the callback that tells the slot's caller; `gone` gets the reply where the caller gave up.
    fn teller<G: FnOnce(&Reply) + Send>(
        self: &Arc<Slots>,
        slot: &Arc<Slot>,
        gone: G,
    ) -> impl FnOnce(Reply) + Send + use<G> {
        let (slots, slot) = (Arc::downgrade(self), slot.clone());
        move |reply| {
            if let Some(slots) = slots.upgrade() {
                locked(&slots.slots).remove(&slot.number);
            }
            let done = locked(&slot.done).take();
            match done {
                Some(done) => done(reply),
                None => gone(&reply),
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
        // Closed between the begin of the call and this: nobody else would end it.
        if self.closed.load(Ordering::Relaxed) {
            self.close();
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
        // Before the lock, so that whoever takes it after this sees it.
        self.closed.store(true, Ordering::Relaxed);
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
