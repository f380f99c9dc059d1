//! Waiting for the end of a job or batch, and for a job to claim, without a thread that waits.

use super::error::{Error, Result};
use super::lease::Claim;
use super::operation::{self, Queued};
use super::upkeep::{Upkeep, Waiting};
use super::waiters::{Call, Claims, Queue, Seen, Topic, Why};
use super::work::Work;
use super::{Class, Engine, Now};
use crate::store::{self, Rows};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// A wait under way, by which it can be given up.
#[derive(Clone)]
pub struct Ticket(Arc<Mutex<Place>>);

enum Place {
    /// Between two waits, or not waiting yet.
    Moving,
    Waiting(Weak<Upkeep>, i64),
    Forgotten,
}

impl Ticket {
    fn new() -> Ticket {
        Ticket(Arc::new(Mutex::new(Place::Moving)))
    }

    /// Gives the wait up: nobody is told. A job that is being claimed for it is released.
    pub fn forget(&self) {
        let before = std::mem::replace(&mut *self.place(), Place::Forgotten);
        if let Place::Waiting(upkeep, number) = before
            && let Some(upkeep) = upkeep.upgrade()
        {
            drop(upkeep.take(number));
        }
    }

    fn is_forgotten(&self) -> bool {
        matches!(*self.place(), Place::Forgotten)
    }

    fn place(&self) -> std::sync::MutexGuard<'_, Place> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waits(&self, upkeep: &Arc<Upkeep>, number: i64) {
        let mut place = self.place();
        match *place {
            Place::Forgotten => {
                drop(place);
                drop(upkeep.take(number));
            }
            Place::Moving | Place::Waiting(..) => *place = Place::Waiting(Arc::downgrade(upkeep), number),
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
    /// How long a commit may be waited for on the caller's own thread.
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
}

/// Told the last state that was read, and whether it has ended.
type Told<T> = Box<dyn FnOnce(Result<(T, bool)>) + Send>;

/// Reads what is waited for, and whether it has ended.
pub trait Look<T>: Fn(&mut dyn Rows, Now) -> Result<(T, bool)> + Send + 'static {}
impl<T, F: Fn(&mut dyn Rows, Now) -> Result<(T, bool)> + Send + 'static> Look<T> for F {}

impl Engine {
    /// Waits until what `look` reads has ended or the bound is reached: its last state, and whether it ended.
    /// `id` is the job's or batch's. Answers at once where it has ended already.
    pub fn await_end<T: Clone + Send + 'static>(
        self: &Arc<Engine>,
        id: &str,
        bound: Bound,
        look: impl Look<T>,
        done: impl FnOnce(Result<(T, bool)>) + Send + 'static,
    ) -> Waited<(T, bool)> {
        self.await_end_alike(id, bound, None, look, done)
    }

    /// As `await_end`, where all who wait for the same end under the same name `alike` would read the same.
    pub fn await_end_alike<T: Clone + Send + 'static>(
        self: &Arc<Engine>,
        id: &str,
        bound: Bound,
        alike: Option<String>,
        look: impl Look<T>,
        done: impl FnOnce(Result<(T, bool)>) + Send + 'static,
    ) -> Waited<(T, bool)> {
        if bound.is_over() {
            return Waited::Now(self.read(|rows, now| look(rows, now)));
        }
        // Whoever wants to wait is entered first and looks afterwards: no end falls between the two.
        let look = Arc::new(Mutex::new(look));
        let ticket = Ticket::new();
        let awaiting = Awaiting { id: id.into(), bound, alike, ticket: ticket.clone(), done: Box::new(done) };
        let number = self.enter_await(awaiting, look.clone(), false);
        let seen = self.look(&look);
        let ended = !matches!(seen, Ok((_, false)));
        if ended && self.upkeep.take(number).is_some() {
            return Waited::Now(seen);
        }
        Waited::Later(ticket)
    }

    fn look<T, L: Look<T>>(&self, look: &Mutex<L>) -> Result<(T, bool)> {
        let look = look.lock().unwrap_or_else(PoisonError::into_inner);
        self.read(|rows, now| look(rows, now))
    }

    fn enter_await<T: Clone + Send + 'static>(
        self: &Arc<Engine>,
        awaiting: Awaiting<T>,
        look: Arc<Mutex<impl Look<T>>>,
        again: bool,
    ) -> i64 {
        let engine = Arc::downgrade(self);
        let (topic, entered, bound) = (Topic::End(awaiting.id.clone()), awaiting.ticket.clone(), awaiting.bound);
        let call = move |why, seen: &mut Seen| {
            let Some(engine) = engine.upgrade().filter(|_| why != Why::Closed) else {
                return (awaiting.done)(Err(Error::Closed));
            };
            let ended = |seen: &Result<(T, bool)>| matches!(seen, Ok((_, true)));
            match (why, seen.once(awaiting.alike.as_deref(), || engine.look(&look), ended)) {
                // It ended and was queued again meanwhile.
                (Why::News, Ok((_, false))) => {
                    let number = engine.enter_await(awaiting, look.clone(), true);
                    // As at first: an end between this look and that may have been told while nobody waited.
                    if matches!(engine.look(&look), Ok((_, true)))
                        && let Some(call) = engine.upkeep.take(number)
                    {
                        call.call(Why::News, &mut Seen::default());
                    }
                }
                (Why::News | Why::Deadline | Why::Closed, seen) => (awaiting.done)(seen),
            }
        };
        let waiting = Waiting { topic, deadline: bound.deadline, poll_ms: bound.poll_ms, again };
        let number = self.upkeep.add(waiting, Call::Await(Box::new(call)));
        entered.waits(&self.upkeep, number);
        number
    }

    /// Claims the next due job, waiting for one until the bound is reached.
    pub fn claim<C: Claiming>(
        self: &Arc<Engine>,
        claiming: C,
        bound: Bound,
        done: impl FnOnce(Result<Option<C::Given>>) + Send + 'static,
    ) -> Waited<Option<C::Given>> {
        let ticket = Ticket::new();
        let claimer =
            Claimer { engine: Arc::downgrade(self), claiming, bound, ticket: ticket.clone(), done: Box::new(done) };
        let claimer = Arc::new(Mutex::new(Some(claimer)));
        let (op, later) = (claim_op(&claimer), claimer.clone());
        let answered = self.committer.write(Class::Urgent, bound.patience, op, move |result| {
            if let Some(claimer) = take(&later) {
                claimer.claimed(result, false);
            }
        });
        match answered {
            None => Waited::Later(ticket),
            Some(Ok(None)) if !bound.is_over() => {
                if let Some(claimer) = take(&claimer) {
                    claimer.wait(false);
                }
                Waited::Later(ticket)
            }
            Some(result) => Waited::Now(result),
        }
    }
}

/// A wait for an end, without what is looked at.
struct Awaiting<T> {
    id: String,
    bound: Bound,
    alike: Option<String>,
    ticket: Ticket,
    done: Told<T>,
}

/// How a job is claimed for a caller, and given back where the caller is gone.
pub trait Claiming: Send + 'static {
    /// What the caller is given.
    type Given: Send + 'static;

    fn claim(&self) -> &Claim;

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
    done: Claimed<C::Given>,
}

type SharedClaimer<C> = Arc<Mutex<Option<Claimer<C>>>>;

fn take<C: Claiming>(claimer: &SharedClaimer<C>) -> Option<Claimer<C>> {
    claimer.lock().unwrap_or_else(PoisonError::into_inner).take()
}

fn claim_op<C: Claiming>(
    claimer: &SharedClaimer<C>,
) -> impl FnMut(&mut Work) -> Result<Option<C::Given>> + Send + 'static + use<C> {
    let claimer = claimer.clone();
    move |work| match &*claimer.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(claimer) if !claimer.ticket.is_forgotten() => claimer.claiming.run(work),
        Some(_) | None => Ok(None),
    }
}

impl<C: Claiming> Claimer<C> {
    /// Takes the result of a try; where there was no job, waits for one.
    fn claimed(self, result: Result<Option<C::Given>>, again: bool) {
        match result {
            Ok(Some(given)) if self.ticket.is_forgotten() => self.give_back(given),
            Ok(None) if !self.bound.is_over() && !self.ticket.is_forgotten() => self.wait(again),
            result => {
                if !matches!(result, Ok(Some(_))) {
                    self.pass_on();
                }
                (self.done)(result);
            }
        }
    }

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

    fn wait(self, again: bool) {
        let Some(engine) = self.engine.upgrade() else { return (self.done)(Err(Error::Closed)) };
        let topic = Topic::Claimable(self.queue());
        let waiting = Waiting { topic, deadline: self.bound.deadline, poll_ms: self.bound.poll_ms, again };
        let ticket = self.ticket.clone();
        let number = engine.upkeep.add(waiting, Call::Claim(Box::new(self)));
        ticket.waits(&engine.upkeep, number);
    }

    /// The caller gave up while the job was being claimed for it.
    fn give_back(self, given: C::Given) {
        let Some(engine) = self.engine.upgrade() else { return };
        let claiming = self.claiming;
        // Where this fails the lease runs out instead.
        engine.committer.enqueue(Class::Urgent, move |work| claiming.undo(work, &given), |_| {});
    }
}

impl<C: Claiming> Claims for Claimer<C> {
    fn woken(self: Box<Self>, why: Why) {
        match (why, self.engine.upgrade()) {
            (Why::News, Some(engine)) => {
                let claimer = Arc::new(Mutex::new(Some(*self)));
                let op = claim_op(&claimer);
                engine.committer.enqueue(Class::Urgent, op, move |result| {
                    if let Some(claimer) = take(&claimer) {
                        claimer.claimed(result, true);
                    }
                });
            }
            (Why::Deadline, Some(_)) => (self.done)(Ok(None)),
            (Why::Closed, _) | (_, None) => (self.done)(Err(Error::Closed)),
        }
    }

    fn join(self: Box<Self>) -> Box<dyn Queued> {
        let claimer = Arc::new(Mutex::new(Some(*self)));
        operation::queued(claim_op(&claimer), move |result| match (take(&claimer), result) {
            (None, _) => {}
            // The transaction is not there, for a reason that may be another's: it tries by itself.
            (Some(claimer), Err(Error::Conflict)) => Box::new(claimer).woken(Why::News),
            (Some(claimer), Err(Error::Store(trouble))) if !matches!(trouble, store::Error::Unknown(_)) => {
                Box::new(claimer).woken(Why::News)
            }
            (Some(claimer), result) => claimer.claimed(result, true),
        })
    }
}
