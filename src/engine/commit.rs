//! One writer per process: a lone caller's operation is committed on its own thread, those of many callers by the
//! writer's thread, which makes them share a commit. It does not know what the operations do.

use super::clock::{Clock, Ids, Now};
use super::error::{Error, Result};
use super::group::Writer;
use super::operation::{Queued, guarded, queued, seated, settle_all};
use super::seat::{Seat, Sleepers};
use super::work::{News, Seen, Work};
use crate::store::{self, Patience, Store, Tx};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

/// In which order operations that wait share the next commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// What workers say and what operators ask: first.
    Urgent,
    /// Submissions.
    Bulk,
}

/// How many operations of each class are taken at once, at most.
const TAKEN_MAX: usize = 1024;

/// Told after each commit what it changed, and whether the committing thread has nothing else to do.
pub type Tell = Box<dyn Fn(News, bool) + Send + Sync>;

/// Asked before each commit who waits for what it changes: their operations share it.
pub type Join = Box<dyn Fn(&News) -> Vec<Box<dyn Queued>> + Send + Sync>;

/// The one writer of a store in this process.
pub struct Committer {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn Ids>,
    offset_ms: AtomicI64,
    session: Mutex<Option<Box<dyn Tx + Send>>>,
    queue: Mutex<Queue>,
    arrived: Condvar,
    /// Whether the last commit was shared: then a caller that finds the writer free joins the others.
    pub(super) shared: AtomicBool,
    /// How many operations wait.
    waiting: AtomicUsize,
    pub(super) join: Join,
    pub(super) tell: Tell,
}

#[derive(Default)]
struct Queue {
    urgent: VecDeque<Box<dyn Queued>>,
    bulk: VecDeque<Box<dyn Queued>>,
    thread: Option<std::thread::JoinHandle<()>>,
    /// Whether the writer sleeps until something waits.
    idle: bool,
    /// Whether the writer has a group and asks for the session: nobody commits alone before it.
    taken: bool,
    closed: bool,
}

impl Committer {
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        offset_ms: i64,
        join: Join,
        tell: Tell,
    ) -> Committer {
        Committer {
            store,
            clock,
            ids,
            offset_ms: AtomicI64::new(offset_ms),
            session: Mutex::new(None),
            queue: Mutex::default(),
            arrived: Condvar::new(),
            shared: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            join,
            tell,
        }
    }

    /// The present moment.
    pub fn now(&self) -> Now {
        let store_ms = self.clock.boot_ms() + self.offset_ms.load(Ordering::Relaxed);
        Now { wall_ms: self.clock.wall_ms(), store_ms }
    }

    /// Runs `op` in a transaction, alone and on this thread where the writer is free, else in the next shared commit.
    /// The result is given where it is there within `patience`; else `done` will be called with it. `op` may be run
    /// more than once.
    pub fn write<T: Send + 'static>(
        self: &Arc<Committer>,
        class: Class,
        patience: Duration,
        mut op: impl FnMut(&mut Work) -> Result<T> + Send + 'static,
        done: impl FnOnce(Result<T>) + Send + 'static,
    ) -> Option<Result<T>> {
        if let Some(result) = self.alone(&mut op) {
            return Some(result);
        }
        if patience.is_zero() {
            self.enqueue(class, op, done);
            return None;
        }
        let seat = Seat::take(done);
        self.push(seated(class, op, seat.clone()));
        seat.wait(patience)
    }

    /// As `write`, but always in a shared commit.
    pub fn enqueue<T: Send + 'static>(
        self: &Arc<Committer>,
        class: Class,
        op: impl FnMut(&mut Work) -> Result<T> + Send + 'static,
        done: impl FnOnce(Result<T>) + Send + 'static,
    ) {
        self.push(queued(class, op, done));
    }

    fn push(self: &Arc<Committer>, operation: Box<dyn Queued>) {
        let mut queue = self.queue();
        if queue.closed {
            drop(queue);
            return settle_all(vec![operation], Some(&Error::Closed));
        }
        match operation.class() {
            Class::Urgent => queue.urgent.push_back(operation),
            Class::Bulk => queue.bulk.push_back(operation),
        }
        if queue.thread.is_none() {
            match self.start_thread() {
                Ok(thread) => queue.thread = Some(thread),
                Err(error) => {
                    let waiting: Vec<_> = queue.urgent.drain(..).collect();
                    let waiting: Vec<_> = waiting.into_iter().chain(queue.bulk.drain(..)).collect();
                    drop(queue);
                    let error = store::Error::Unavailable(format!("writer thread cannot be started: {error}"));
                    return settle_all(waiting, Some(&error.into()));
                }
            }
        }
        self.waiting.store(queue.urgent.len() + queue.bulk.len(), Ordering::Relaxed);
        let idle = std::mem::take(&mut queue.idle);
        drop(queue);
        if idle {
            self.arrived.notify_one();
        }
    }

    fn start_thread(self: &Arc<Committer>) -> std::io::Result<std::thread::JoinHandle<()>> {
        let writer = Writer::new(self.clone());
        std::thread::Builder::new().name("errand-writer".into()).spawn(move || writer.run())
    }

    /// Waits for operations and takes them, for the writer's thread; none where the committer is closed.
    pub(super) fn next_group(&self) -> Option<Vec<Box<dyn Queued>>> {
        let mut queue = self.queue();
        while queue.urgent.is_empty() && queue.bulk.is_empty() {
            if queue.closed {
                return None;
            }
            queue.idle = true;
            queue = self.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.idle = false;
        queue.taken = true;
        Some(self.take(&mut queue, TAKEN_MAX))
    }

    /// How many operations wait; others may come or go at any time.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Takes what waits now.
    pub(super) fn take_waiting(&self) -> Vec<Box<dyn Queued>> {
        self.take(&mut self.queue(), TAKEN_MAX)
    }

    /// Takes what waits now and is urgent.
    pub(super) fn take_urgent(&self) -> Vec<Box<dyn Queued>> {
        self.take(&mut self.queue(), 0)
    }

    fn take(&self, queue: &mut Queue, bulk: usize) -> Vec<Box<dyn Queued>> {
        let urgent = queue.urgent.len().min(TAKEN_MAX);
        let bulk = queue.bulk.len().min(bulk);
        let taken = queue.urgent.drain(..urgent).chain(queue.bulk.drain(..bulk)).collect();
        self.waiting.store(queue.urgent.len() + queue.bulk.len(), Ordering::Relaxed);
        taken
    }

    /// The session, for the writer's thread: from now on others may commit alone again as soon as it is free.
    pub(super) fn taken_session(&self) -> MutexGuard<'_, Option<Box<dyn Tx + Send>>> {
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        self.queue().taken = false;
        session
    }

    /// Commits what waits, then ends every later operation with `closed`.
    pub fn close(&self) {
        let thread = {
            let mut queue = self.queue();
            queue.closed = true;
            queue.thread.take()
        };
        self.arrived.notify_all();
        match thread {
            // The last handle may be dropped by the writer itself, in a callback.
            Some(thread) if thread.thread().id() != std::thread::current().id() => {
                // Its panics were caught; there is nothing more to learn from it.
                let _ = thread.join();
            }
            Some(_) | None => {}
        }
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs one operation on this thread; nothing where the writer is not free at once.
    fn alone<T>(&self, op: &mut impl FnMut(&mut Work) -> Result<T>) -> Option<Result<T>> {
        if self.shared.load(Ordering::Relaxed) {
            return None;
        }
        let mut session = match self.session.try_lock() {
            Ok(session) => session,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        {
            let queue = self.queue();
            if queue.closed {
                return Some(Err(Error::Closed));
            }
            if queue.taken || !queue.urgent.is_empty() || !queue.bulk.is_empty() {
                return None;
            }
        }
        let mut joined = Vec::new();
        let done = self.commit_one(&mut session, op, &mut joined);
        if let Err(error) = &done {
            forget_broken(&mut session, error);
        }
        // Whoever is told may ask again at once.
        drop(session);
        let (done, trouble) = match done {
            Ok((value, news)) => {
                // Before those who joined go on, on other threads: by then this one is to be on its way to its next call.
                (self.tell)(news, true);
                (Some(Ok(value)), None)
            }
            Err(trouble @ (Error::Store(store::Error::Busy(_)) | Error::Conflict)) => (None, Some(trouble)),
            Err(error) => (Some(Err(error.clone())), Some(error)),
        };
        settle_all(joined, trouble.as_ref());
        done
    }

    /// Commits one operation with those that join it, which are to be settled with what became of it.
    fn commit_one<T>(
        &self,
        session: &mut Option<Box<dyn Tx + Send>>,
        op: &mut impl FnMut(&mut Work) -> Result<T>,
        joined: &mut Vec<Box<dyn Queued>>,
    ) -> Result<(T, News)> {
        let tx = self.session(session)?;
        tx.begin(Patience::None)?;
        let done = self.run_one(tx, op, joined);
        if done.is_err() {
            tx.rollback();
        }
        let (value, news) = done?;
        let sleepers = Arc::<Sleepers>::default();
        joined.iter().for_each(|operation| operation.alert(&sleepers));
        sleepers.wake_first();
        tx.commit()?;
        Ok((value, news))
    }

    fn run_one<T>(
        &self,
        tx: &mut dyn Tx,
        op: &mut impl FnMut(&mut Work) -> Result<T>,
        joined: &mut Vec<Box<dyn Queued>>,
    ) -> Result<(T, News)> {
        let (mut seen, now) = (Seen::default(), self.now());
        let mut work = Work { tx, now, ids: &*self.ids, news: News::default(), seen: &mut seen };
        let value = guarded(op, &mut work)?;
        let mut news = work.news;
        *joined = (self.join)(&news);
        for operation in joined {
            let written = tx.writes();
            let mut work = Work { tx, now, ids: &*self.ids, news: News::default(), seen: &mut seen };
            match operation.run(&mut work) {
                Ok(()) => news.append(std::mem::take(&mut work.news)),
                // What is wrong with its row is its own trouble: each has its own try.
                Err(Error::Store(store::Error::Corrupt(_))) => return Err(Error::Conflict),
                Err(error @ Error::Store(_)) => return Err(error),
                Err(_) if tx.writes() != written => return Err(Error::Conflict),
                Err(_) => {}
            }
        }
        news.flush(tx)?;
        Ok((value, news))
    }

    pub(super) fn session<'a>(&self, session: &'a mut Option<Box<dyn Tx + Send>>) -> Result<&'a mut dyn Tx> {
        if session.is_none() {
            *session = Some(self.store.writer()?);
        }
        match session {
            Some(session) => Ok(&mut **session),
            None => unreachable!("it was just made"),
        }
    }
}

/// After trouble with the store the next commit begins with a fresh look at it.
pub(super) fn forget_broken(session: &mut Option<Box<dyn Tx + Send>>, trouble: &Error) {
    if let Error::Store(trouble) = trouble
        && !matches!(trouble, store::Error::Busy(_))
    {
        *session = None;
    }
}
