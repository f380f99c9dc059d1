//! Group commit: one writer per process. Operations that arrive while a commit is under way share the next one, one
//! after the other; a lone caller's operation is committed on its own thread.
//! It does not know what the operations do.

use super::clock::{Clock, Ids, Now};
use super::error::{Error, Result};
use super::seat::{Seat, Sleepers};
use super::work::{News, Work};
use crate::store::{self, Patience, Store, Tx};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// In which order operations that wait share the next commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// What workers say and what operators ask: first.
    Urgent,
    /// Submissions.
    Bulk,
}

/// How many operations of each class share one commit at most.
const GROUP_MAX: usize = 1024;
/// How many bulk submissions of many rows share one commit at most, in time: after that the group is closed.
const GROUP_TIME: Duration = Duration::from_millis(20);
/// How often an operation is run again whose row another writer changed.
const CONFLICTS_MAX: usize = 10;
/// How long the writer waits for the callers of the last group to come back.
const GATHER: Duration = Duration::from_micros(100);
/// As long, where they are many.
const GATHER_CROWD: Duration = Duration::from_micros(200);
const GATHER_NAP: Duration = Duration::from_micros(20);
/// More callers than this are more than the cores can run at once.
const CROWD: usize = 16;
/// How many callers of a commit are woken while it is under way, so that they are awake when it is done.
const ALERTED_MAX: usize = 64;

/// Told after each commit what it changed, and whether the committing thread has nothing else to do.
pub type Tell = Box<dyn Fn(News, bool) + Send + Sync>;

/// Asked before each commit who waits for what it changes: their operations share it.
pub type Join = Box<dyn Fn(&News) -> Vec<Box<dyn Queued>> + Send + Sync>;

/// The one writer of a store in this process.
pub struct Committer {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    offset_ms: AtomicI64,
    session: Mutex<Option<Box<dyn Tx>>>,
    queue: Mutex<Queue>,
    arrived: Condvar,
    /// Whether the last commit was shared: then a caller that finds the writer free joins the others.
    shared: AtomicBool,
    /// How many operations wait.
    waiting: AtomicUsize,
    join: Join,
    tell: Tell,
}

#[derive(Default)]
struct Queue {
    urgent: VecDeque<Box<dyn Queued>>,
    bulk: VecDeque<Box<dyn Queued>>,
    thread: Option<std::thread::JoinHandle<()>>,
    /// How many shared the last commit.
    last: usize,
    /// Whether the writer sleeps until something waits.
    idle: bool,
    /// Whether the writer has a group and asks for the session: nobody commits alone before it.
    taken: bool,
    closed: bool,
}

/// An operation that waits for a commit.
pub trait Queued: Send {
    /// Runs it; an error if it is not to be kept.
    fn run(&mut self, work: &mut Work) -> std::result::Result<(), Error>;
    /// Tells its caller, with the trouble of the commit if there was any. Callers who sleep are left to `sleepers`.
    fn settle(self: Box<Self>, trouble: Option<Error>, sleepers: &Arc<Sleepers>);
    /// Its caller will be told soon.
    fn alert(&self, sleepers: &Arc<Sleepers>);
}

/// An operation and how its caller is told.
struct Operation<T, O, A> {
    op: O,
    result: Option<Result<T>>,
    answer: A,
}

/// How a caller is told.
trait Answer<T, O>: Send {
    fn give(self, op: O, result: Result<T>, sleepers: &Arc<Sleepers>);

    /// It will be told soon.
    fn alert(&self, _sleepers: &Arc<Sleepers>) {}
}

/// By a callback; who sleeps until then.
struct Callback<D>(D, Option<Thread>);

impl<T, O, D: FnOnce(Result<T>) + Send> Answer<T, O> for Callback<D> {
    fn give(self, op: O, result: Result<T>, _sleepers: &Arc<Sleepers>) {
        drop(op);
        (self.0)(result)
    }

    fn alert(&self, _sleepers: &Arc<Sleepers>) {
        self.1.iter().for_each(Thread::unpark);
    }
}

impl<T: Send, O: Send, D: FnOnce(Result<T>) + Send> Answer<T, O> for Arc<Seat<T, O, D>> {
    fn give(self, op: O, result: Result<T>, sleepers: &Arc<Sleepers>) {
        Seat::answer(&self, op, result, sleepers)
    }

    fn alert(&self, sleepers: &Arc<Sleepers>) {
        Seat::alert(self, sleepers)
    }
}

/// An operation whose caller is told by callback.
pub fn queued<T: Send + 'static>(
    op: impl FnMut(&mut Work) -> Result<T> + Send + 'static,
    done: impl FnOnce(Result<T>) + Send + 'static,
) -> Box<dyn Queued> {
    queued_for(None, op, done)
}

/// As `queued`, for a caller that sleeps until it is told: to be woken takes as long as half a commit, so it is alerted
/// before.
pub fn queued_for<T: Send + 'static>(
    sleeper: Option<Thread>,
    op: impl FnMut(&mut Work) -> Result<T> + Send + 'static,
    done: impl FnOnce(Result<T>) + Send + 'static,
) -> Box<dyn Queued> {
    Box::new(Operation { op, result: None, answer: Callback(done, sleeper) })
}

impl<T, O, A> Queued for Operation<T, O, A>
where
    T: Send,
    O: FnMut(&mut Work) -> Result<T> + Send,
    A: Answer<T, O>,
{
    fn run(&mut self, work: &mut Work) -> Result<()> {
        match guarded(&mut self.op, work) {
            Ok(value) => {
                self.result = Some(Ok(value));
                Ok(())
            }
            Err(error) => {
                self.result = Some(Err(error.clone()));
                Err(error)
            }
        }
    }

    fn alert(&self, sleepers: &Arc<Sleepers>) {
        self.answer.alert(sleepers)
    }

    fn settle(self: Box<Self>, trouble: Option<Error>, sleepers: &Arc<Sleepers>) {
        let Operation { op, result, answer } = *self;
        let result = match (result, trouble) {
            // What a rule refused is not there, whatever became of the commit.
            (Some(Err(error)), _) => Err(error),
            (_, Some(trouble)) => Err(trouble),
            (Some(result), None) => result,
            (None, None) => Err(Error::Closed),
        };
        // A panic of one caller's callback is not the others' business.
        let _ = catch_unwind(AssertUnwindSafe(|| answer.give(op, result, sleepers)));
    }
}

/// Runs an operation so that its panic is its error.
fn guarded<T>(op: &mut impl FnMut(&mut Work) -> Result<T>, work: &mut Work) -> Result<T> {
    catch_unwind(AssertUnwindSafe(|| op(work))).unwrap_or_else(|panic| Err(Error::Panicked(panic_text(&*panic))))
}

pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".into())
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
        self.push(class, Box::new(Operation { op, result: None, answer: seat.clone() }));
        seat.wait(patience)
    }

    /// As `write`, but always in a shared commit.
    pub fn enqueue<T: Send + 'static>(
        self: &Arc<Committer>,
        class: Class,
        op: impl FnMut(&mut Work) -> Result<T> + Send + 'static,
        done: impl FnOnce(Result<T>) + Send + 'static,
    ) {
        self.push(class, queued(op, done));
    }

    fn push(self: &Arc<Committer>, class: Class, operation: Box<dyn Queued>) {
        let mut queue = self.queue();
        if queue.closed {
            drop(queue);
            return settle_all(vec![operation], Some(&Error::Closed));
        }
        match class {
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
        let committer = self.clone();
        std::thread::Builder::new().name("errand-writer".into()).spawn(move || {
            while let Some(group) = committer.next_group() {
                committer.commit_group(group);
            }
        })
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
        settle_all(joined, done.as_ref().err());
        match done {
            Err(Error::Store(store::Error::Busy(_)) | Error::Conflict) => None,
            Err(error) => Some(Err(error)),
            Ok((value, news)) => {
                (self.tell)(news, true);
                Some(Ok(value))
            }
        }
    }

    /// Commits one operation with those that join it, which are to be settled with what became of it.
    fn commit_one<T>(
        &self,
        session: &mut Option<Box<dyn Tx>>,
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
        let sleepers = Arc::default();
        joined.iter().for_each(|operation| operation.alert(&sleepers));
        tx.commit()?;
        Ok((value, news))
    }

    fn run_one<T>(
        &self,
        tx: &mut dyn Tx,
        op: &mut impl FnMut(&mut Work) -> Result<T>,
        joined: &mut Vec<Box<dyn Queued>>,
    ) -> Result<(T, News)> {
        let (mut last_ended, now) = (None, self.now());
        let mut work = Work { tx, now, ids: &*self.ids, news: News::default(), last_ended: &mut last_ended };
        let value = guarded(op, &mut work)?;
        let mut news = work.news;
        *joined = (self.join)(&news);
        for operation in joined {
            let written = tx.writes();
            let mut work = Work { tx, now, ids: &*self.ids, news: News::default(), last_ended: &mut last_ended };
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

    fn session<'a>(&self, session: &'a mut Option<Box<dyn Tx>>) -> Result<&'a mut dyn Tx> {
        if session.is_none() {
            *session = Some(self.store.writer()?);
        }
        match session {
            Some(session) => Ok(&mut **session),
            None => unreachable!("it was just made"),
        }
    }

    /// Waits for operations, and for a moment for those that will follow at once.
    fn next_group(&self) -> Option<Vec<Box<dyn Queued>>> {
        let mut queue = self.queue();
        while queue.urgent.is_empty() && queue.bulk.is_empty() {
            if queue.closed {
                return None;
            }
            queue.idle = true;
            queue = self.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.idle = false;
        if self.shared.load(Ordering::Relaxed) && !queue.closed {
            queue = self.gather(queue);
        }
        let urgent = queue.urgent.len().min(GROUP_MAX);
        let bulk = queue.bulk.len().min(GROUP_MAX);
        let mut group: Vec<_> = queue.urgent.drain(..urgent).collect();
        group.extend(queue.bulk.drain(..bulk));
        queue.last = group.len();
        queue.taken = true;
        self.waiting.store(queue.urgent.len() + queue.bulk.len(), Ordering::Relaxed);
        Some(group)
    }

    fn gather<'a>(&'a self, queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        let enough = queue.last.min(GROUP_MAX);
        if queue.urgent.len() + queue.bulk.len() >= enough {
            return queue;
        }
        drop(queue);
        let crowd = enough > CROWD;
        let until = Instant::now() + if crowd { GATHER_CROWD } else { GATHER };
        while self.waiting.load(Ordering::Relaxed) < enough && Instant::now() < until {
            // So many callers need this core too.
            if crowd { std::thread::sleep(GATHER_NAP) } else { std::thread::yield_now() }
        }
        self.queue()
    }

    fn commit_group(&self, mut group: Vec<Box<dyn Queued>>) {
        self.shared.store(group.len() > 1, Ordering::Relaxed);
        let mut conflicts = 0;
        while !group.is_empty() {
            let ran = self.run_group(&mut group);
            let rest = group.split_off(ran.kept);
            match ran.trouble {
                Some(Error::Conflict) if conflicts < CONFLICTS_MAX => {
                    conflicts += 1;
                    group.extend(rest);
                    continue;
                }
                Some(trouble) => settle_all(group, Some(&trouble)),
                None => {
                    settle_all(group, None);
                    (self.tell)(ran.news, false);
                }
            }
            group = self.behind_urgent(rest);
        }
    }

    /// What was left for another commit, behind what is urgent and came meanwhile.
    fn behind_urgent(&self, rest: Vec<Box<dyn Queued>>) -> Vec<Box<dyn Queued>> {
        if rest.is_empty() {
            return rest;
        }
        let mut queue = self.queue();
        let mut group: Vec<_> = queue.urgent.drain(..).collect();
        self.waiting.store(queue.bulk.len(), Ordering::Relaxed);
        group.extend(rest);
        group
    }

    /// Runs the operations of a group in one transaction and commits it; the later ones may be left for another.
    fn run_group(&self, group: &mut Vec<Box<dyn Queued>>) -> Ran {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        self.queue().taken = false;
        let mut ran = Ran::default();
        let mut done = self.try_group(&mut session, group, &mut ran, false);
        if let Ok(Tried::WroteInVain) = done {
            ran = Ran::default();
            done = self.try_group(&mut session, group, &mut ran, true);
        }
        if let Err(trouble) = done {
            if let Some(tx) = &mut *session {
                tx.rollback();
            }
            forget_broken(&mut session, &trouble);
            // Where not even the first could be run, none can.
            ran.kept = if ran.kept == 0 { group.len() } else { ran.kept };
            ran.trouble = Some(trouble);
        }
        ran
    }

    /// An operation that is refused has mostly not written yet, and a savepoint costs a copy of each page that is
    /// changed under it: so there are none at first, and the group is begun anew `carefully` where one is missed.
    fn try_group(
        &self,
        session: &mut Option<Box<dyn Tx>>,
        group: &mut Vec<Box<dyn Queued>>,
        ran: &mut Ran,
        carefully: bool,
    ) -> Result<Tried> {
        let started = Instant::now();
        let tx = self.session(session)?;
        tx.begin(Patience::Full)?;
        let (mut last_ended, now) = (None, self.now());
        let (mut end, mut asked) = (group.len(), false);
        loop {
            if ran.kept > 0 && !asked && started.elapsed() > GROUP_TIME {
                end = ran.kept;
            }
            if ran.kept == end {
                if asked {
                    break;
                }
                asked = true;
                let joined = (self.join)(&ran.news);
                end += joined.len();
                group.splice(ran.kept..ran.kept, joined);
                continue;
            }
            let operation = &mut group[ran.kept];
            ran.kept += 1;
            if carefully {
                tx.savepoint()?;
            }
            let written = tx.writes();
            let mut work = Work { tx, now, ids: &*self.ids, news: News::default(), last_ended: &mut last_ended };
            match operation.run(&mut work) {
                Ok(()) => {
                    let news = std::mem::take(&mut work.news);
                    if carefully {
                        tx.keep()?;
                    }
                    ran.news.append(news);
                }
                Err(Error::Conflict) => return Err(Error::Conflict),
                Err(Error::Store(trouble)) if !matches!(trouble, store::Error::Corrupt(_)) => {
                    return Err(trouble.into());
                }
                // A broken row is the trouble of the one that meets it.
                Err(_) if carefully => tx.undo()?,
                Err(error) if tx.writes() == written && !matches!(error, Error::Store(_)) => {}
                Err(_) => {
                    tx.rollback();
                    return Ok(Tried::WroteInVain);
                }
            }
        }
        ran.news.flush(tx)?;
        if ran.kept > 1 {
            let sleepers = Arc::default();
            group[..ran.kept].iter().take(ALERTED_MAX).for_each(|operation| operation.alert(&sleepers));
            sleepers.wake();
        }
        tx.commit()?;
        Ok(Tried::Committed)
    }
}

/// Tells the callers of operations that shared a commit, with its trouble if there was any.
fn settle_all(operations: Vec<Box<dyn Queued>>, trouble: Option<&Error>) {
    if operations.is_empty() {
        return;
    }
    let sleepers = Arc::default();
    operations.into_iter().for_each(|operation| operation.settle(trouble.cloned(), &sleepers));
    sleepers.wake();
}

/// After trouble with the store the next commit begins with a fresh look at it.
fn forget_broken(session: &mut Option<Box<dyn Tx>>, trouble: &Error) {
    if let Error::Store(trouble) = trouble
        && !matches!(trouble, store::Error::Busy(_))
    {
        *session = None;
    }
}

/// How a try at a group ended.
enum Tried {
    Committed,
    /// An operation wrote and was refused then: all is undone.
    WroteInVain,
}

/// What became of a group.
#[derive(Default)]
struct Ran {
    /// How many operations were run, from the first; all, where the trouble came before any.
    kept: usize,
    trouble: Option<Error>,
    news: News,
}
