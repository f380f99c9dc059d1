//! Waiting for the end of a job or batch, and for a job to claim, without a thread that waits.

use super::error::{Error, Result};
use super::lease::Claim;
use super::operation::{self, Queued};
use super::upkeep::Upkeep;
use super::waiters::{Call, Queue, Seen, Topic, Waiting, Waits, Why};
use super::work::Work;
use super::{Class, Engine, Now};
use crate::store::{self, Rows};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// A wait under way, by which it can be given up. It keeps its place among those who wait, however often it is woken.
#[derive(Clone)]
pub struct Ticket {
    upkeep: Weak<Upkeep>,
    number: i64,
    forgotten: Arc<AtomicBool>,
}

impl Ticket {
    fn new(upkeep: &Arc<Upkeep>) -> Ticket {
        Ticket { upkeep: Arc::downgrade(upkeep), number: upkeep.number(), forgotten: Arc::default() }
    }

    /// Gives the wait up: nobody is told. A job that is being claimed for it is released.
    pub fn forget(&self) {
        self.forgotten.store(true, Ordering::SeqCst);
        drop(self.take());
    }

    fn is_forgotten(&self) -> bool {
        self.forgotten.load(Ordering::SeqCst)
    }

    /// Takes it out of those who wait, if it waits.
    fn take(&self) -> Option<Call> {
        self.upkeep.upgrade()?.take(self.number)
    }

    fn wait(&self, upkeep: &Arc<Upkeep>, waiting: Waiting, call: Call) {
        upkeep.add(self.number, waiting, call);
        // Given up just before: then it was not there to be taken out.
        if self.is_forgotten() {
            drop(self.take());
        }
    }
}

/// What a wait gave at once: its answer, or the ticket of a wait under way.
pub enum Waited<T> {
    Now(Result<T>),
    Later(Ticket),
}

/// How long to wait, and how often to look besides being woken.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    pub deadline: Instant,
    pub poll_ms: Option<u64>,
    /// How long a commit may be waited for on the caller's own thread; where it is any time at all, that thread sleeps
    /// until the wait ends.
    pub patience: Duration,
}

impl Bound {
    /// So many milliseconds from now.
    pub fn after_ms(ms: i64, poll_ms: Option<u64>) -> Bound {
        let deadline = Instant::now() + Duration::from_millis(ms.max(0) as u64);
        Bound { deadline, poll_ms, patience: Duration::ZERO }
    }

    pub fn with_patience(self, patience: Duration) -> Bound {
        Bound { patience, ..self }
    }

    fn is_over(&self) -> bool {
        self.deadline <= Instant::now()
    }

    /// The caller, where it sleeps until the wait ends.
    fn sleeper(&self) -> Option<Thread> {
        (!self.patience.is_zero()).then(std::thread::current)
    }
}

/// An end that is waited for.
pub struct End {
    /// The job's or batch's.
    pub id: String,
    pub bound: Bound,
    /// All who wait for the same end under the same name would read the same.
    pub alike: Option<String>,
    /// Whether little is read: then it is read in the commit that ends it.
    pub little: bool,
}

/// Told the last state that was read, and whether it has ended.
type Told<T> = Box<dyn FnOnce(Result<(T, bool)>) + Send>;

/// Reads what is waited for, and whether it has ended.
pub trait Look<T>: Fn(&mut dyn Rows, Now) -> Result<(T, bool)> + Send + Sync + 'static {}
impl<T, F: Fn(&mut dyn Rows, Now) -> Result<(T, bool)> + Send + Sync + 'static> Look<T> for F {}

impl Engine {
    /// Waits until what `look` reads has ended or the bound is reached: its last state, and whether it ended.
    /// Answers at once where it has ended already.
    pub fn await_end<T: Clone + Send + 'static>(
        self: &Arc<Engine>,
        end: End,
        look: impl Look<T>,
        done: impl FnOnce(Result<(T, bool)>) + Send + 'static,
    ) -> Waited<(T, bool)> {
        let look = Arc::new(look);
        if end.bound.is_over() {
            return Waited::Now(self.read(&*look));
        }
        // Whoever wants to wait is entered first and looks afterwards: no end falls between the two.
        let ticket = Ticket::new(&self.upkeep);
        let (sleeper, engine) = (end.bound.sleeper(), Arc::downgrade(self));
        let waiter =
            EndWaiter { engine, end, ticket: ticket.clone(), sleeper, look: look.clone(), done: Box::new(done) };
        Box::new(waiter).enter(self);
        let seen = self.read(&*look);
        let ended = !matches!(seen, Ok((_, false)));
        if ended && ticket.take().is_some() {
            return Waited::Now(seen);
        }
        Waited::Later(ticket)
    }

    /// Claims the next due job, waiting for one until the bound is reached.
    pub fn claim<C: Claiming>(
        self: &Arc<Engine>,
        claiming: C,
        bound: Bound,
        done: impl FnOnce(Result<Option<C::Given>>) + Send + 'static,
    ) -> Waited<Option<C::Given>> {
        let ticket = Ticket::new(&self.upkeep);
        let (sleeper, done) = (bound.sleeper(), Box::new(done));
        let claimer = Claimer { engine: Arc::downgrade(self), claiming, bound, ticket: ticket.clone(), sleeper, done };
        let queue = claimer.queue();
        let claimer = Arc::new(Mutex::new(Some(claimer)));
        // A transaction that finds nothing would hold up those who have something to write. As with an end: first
        // entered, then looked, so that a job that is being queued meanwhile is either seen or told of.
        if !bound.is_over() {
            enter(claimer.clone());
            if !self.may_claim(&claimer) {
                // One may be due later.
                self.upkeep.look_at(queue);
                return Waited::Later(ticket);
            }
            if ticket.take().is_none() {
                return Waited::Later(ticket);
            }
        }
        let (op, later) = (claim_op(&claimer), claimer.clone());
        let answered = self.committer.write(Class::Urgent, bound.patience, op, move |result| claimed(&later, result));
        match answered {
            None => Waited::Later(ticket),
            Some(Ok(None)) if !bound.is_over() => {
                wait(claimer);
                Waited::Later(ticket)
            }
            Some(result) => Waited::Now(result),
        }
    }

    /// Whether there seems to be something for the claim; also where it has to be told of trouble.
    fn may_claim<C: Claiming>(&self, claimer: &SharedClaimer<C>) -> bool {
        let seen = self.read(|rows, now| match &*locked(claimer) {
            Some(claimer) => claimer.claiming.look(rows, now),
            None => Ok(false),
        });
        !matches!(seen, Ok(false))
    }
}

/// A wait for an end among those who wait.
struct EndWaiter<T, L> {
    engine: Weak<Engine>,
    end: End,
    ticket: Ticket,
    sleeper: Option<Thread>,
    look: Arc<L>,
    done: Told<T>,
}

impl<T: Clone + Send + 'static, L: Look<T>> EndWaiter<T, L> {
    fn enter(self: Box<Self>, engine: &Engine) {
        let End { id, bound, little, .. } = &self.end;
        let Bound { deadline, poll_ms, .. } = *bound;
        let waiting = Waiting { topic: Topic::End(id.clone()), deadline, poll_ms, joins: *little };
        self.ticket.clone().wait(&engine.upkeep, waiting, self);
    }
}

impl<T: Clone + Send + 'static, L: Look<T>> Waits for EndWaiter<T, L> {
    fn woken(self: Box<Self>, why: Why, seen: &mut Seen) {
        let Some(engine) = self.engine.upgrade().filter(|_| why != Why::Closed) else {
            return (self.done)(Err(Error::Closed));
        };
        let ended = |seen: &Result<(T, bool)>| matches!(seen, Ok((_, true)));
        match (why, seen.once(self.end.alike.as_deref(), || engine.read(&*self.look), ended)) {
            // It ended and was queued again meanwhile.
            (Why::News, Ok((_, false))) => {
                let (ticket, look) = (self.ticket.clone(), self.look.clone());
                self.enter(&engine);
                // As at first: an end between this look and that may have been told while nobody waited.
                if matches!(engine.read(&*look), Ok((_, true)))
                    && let Some(call) = ticket.take()
                {
                    call.woken(Why::News, &mut Seen::default());
                }
            }
            (Why::News | Why::Deadline | Why::Closed, seen) => (self.done)(seen),
        }
    }

    fn join(self: Box<Self>) -> Box<dyn Queued> {
        let (look, sleeper) = (self.look.clone(), self.sleeper.clone());
        let op = move |work: &mut Work| {
            let (rows, now) = work.rows();
            look(rows, now)
        };
        operation::queued_for(sleeper, op, move |result| match result {
            Ok((_, true)) => (self.done)(result),
            // The transaction is not there, or it has not ended with it: it looks by itself.
            Ok((_, false)) | Err(_) => self.woken(Why::News, &mut Seen::default()),
        })
    }
}

/// How a job is claimed for a caller, and given back where the caller is gone.
pub trait Claiming: Send + 'static {
    /// What the caller is given.
    type Given: Send + 'static;

    fn claim(&self) -> &Claim;

    /// Whether there may be something for it: only then it is worth a transaction.
    fn look(&self, rows: &mut dyn Rows, now: Now) -> Result<bool>;

    /// Claims in a transaction; it may be run more than once.
    fn run(&self, work: &mut Work) -> Result<Option<Self::Given>>;

    /// Undoes it for a caller that gave up.
    fn undo(&self, work: &mut Work, given: &Self::Given) -> Result<()>;
}

/// Told what was claimed, if anything.
type Claimed<T> = Box<dyn FnOnce(Result<Option<T>>) + Send>;

/// A claim that may have to wait.
struct Claimer<C: Claiming> {
    engine: Weak<Engine>,
    claiming: C,
    bound: Bound,
    ticket: Ticket,
    sleeper: Option<Thread>,
    done: Claimed<C::Given>,
}

/// Whoever takes the claim out tells its caller.
type SharedClaimer<C> = Arc<Mutex<Option<Claimer<C>>>>;

fn locked<C: Claiming>(claimer: &SharedClaimer<C>) -> MutexGuard<'_, Option<Claimer<C>>> {
    claimer.lock().unwrap_or_else(PoisonError::into_inner)
}

fn claim_op<C: Claiming>(
    claimer: &SharedClaimer<C>,
) -> impl FnMut(&mut Work) -> Result<Option<C::Given>> + Send + 'static + use<C> {
    let claimer = claimer.clone();
    move |work| match &*locked(&claimer) {
        Some(claimer) if !claimer.ticket.is_forgotten() => claimer.claiming.run(work),
        Some(_) | None => Ok(None),
    }
}

/// Takes the result of a try; where there was no job, waits for one.
fn claimed<C: Claiming>(shared: &SharedClaimer<C>, result: Result<Option<C::Given>>) {
    let mut place = locked(shared);
    let Some(claimer) = place.take() else { return };
    if matches!(result, Ok(None)) && !claimer.bound.is_over() && !claimer.ticket.is_forgotten() {
        *place = Some(claimer);
        drop(place);
        return wait(shared.clone());
    }
    drop(place);
    match result {
        Ok(Some(given)) if claimer.ticket.is_forgotten() => claimer.give_back(given),
        result => {
            if !matches!(result, Ok(Some(_))) {
                claimer.pass_on();
            }
            (claimer.done)(result);
        }
    }
}

/// Waits for a job.
fn wait<C: Claiming>(shared: SharedClaimer<C>) {
    let queue = locked(&shared).as_ref().and_then(|claimer| Some((claimer.engine.upgrade()?, claimer.queue())));
    enter(shared);
    // One may have been queued since it tried.
    queue.into_iter().for_each(|(engine, queue)| engine.upkeep.look_at(queue));
}

/// Enters the claim among those who wait, in its place.
fn enter<C: Claiming>(shared: SharedClaimer<C>) {
    let mut place = locked(&shared);
    let Some(claimer) = &*place else { return };
    let Some(engine) = claimer.engine.upgrade() else {
        let claimer = place.take();
        drop(place);
        return claimer.into_iter().for_each(|claimer| (claimer.done)(Err(Error::Closed)));
    };
    let Bound { deadline, poll_ms, .. } = claimer.bound;
    let topic = Topic::Claimable(claimer.queue());
    let ticket = claimer.ticket.clone();
    drop(place);
    ticket.wait(&engine.upkeep, Waiting { topic, deadline, poll_ms, joins: true }, Box::new(Waiter(shared)));
}

impl<C: Claiming> Claimer<C> {
    /// It was woken for a job that it does not take: another may.
    fn pass_on(&self) {
        if let Some(engine) = self.engine.upgrade() {
            engine.upkeep.look_at(self.queue());
        }
    }

    fn queue(&self) -> Queue {
        let Claim { workspace, job_type, batch_id, .. } = self.claiming.claim().clone();
        Queue { workspace, job_type, batch_id }
    }

    /// The caller gave up while the job was being claimed for it.
    fn give_back(self, given: C::Given) {
        let Some(engine) = self.engine.upgrade() else { return };
        let claiming = self.claiming;
        // Where this fails the lease runs out instead.
        engine.committer.enqueue(Class::Urgent, move |work| claiming.undo(work, &given), |_| {});
    }
}

/// A claim among those who wait.
struct Waiter<C: Claiming>(SharedClaimer<C>);

impl<C: Claiming> Waits for Waiter<C> {
    fn woken(self: Box<Self>, why: Why, _seen: &mut Seen) {
        let engine = locked(&self.0).as_ref().and_then(|claimer| claimer.engine.upgrade());
        if let (Why::News, Some(engine)) = (why, &engine) {
            let claimer = self.0.clone();
            let done = move |result| claimed(&claimer, result);
            return engine.committer.enqueue(Class::Urgent, claim_op(&self.0), done);
        }
        let claimer = locked(&self.0).take();
        let answer = |why, engine: Option<_>| match (why, engine) {
            (Why::Deadline, Some(_)) => Ok(None),
            (Why::News | Why::Closed, _) | (_, None) => Err(Error::Closed),
        };
        claimer.into_iter().for_each(|claimer| (claimer.done)(answer(why, engine.clone())));
    }

    fn join(self: Box<Self>) -> Box<dyn Queued> {
        let (op, sleeper) = (claim_op(&self.0), locked(&self.0).as_ref().and_then(|claimer| claimer.sleeper.clone()));
        operation::queued_for(sleeper, op, move |result| match result {
            // The transaction is not there, for a reason that may be another's: it tries by itself.
            Err(Error::Conflict) => self.woken(Why::News, &mut Seen::default()),
            Err(Error::Store(trouble)) if !matches!(trouble, store::Error::Unknown(_)) => {
                self.woken(Why::News, &mut Seen::default())
            }
            result => claimed(&self.0, result),
        })
    }
}
