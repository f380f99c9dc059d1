//! Waiting for a job to claim. It does not know how a job is claimed for a caller, nor what the caller is given.

use super::{Bound, Ticket, Waited};
use crate::engine::error::{Error, Result};
use crate::engine::lease::Claim;
use crate::engine::operation::{self, Queued};
use crate::engine::waiters::{Queue, Seen, Topic, Waiting, Waits, Why};
use crate::engine::work::Work;
use crate::engine::{Class, Engine, Now};
use crate::store::{self, Rows};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::Thread;

/// How a job is claimed for a caller, and given back where the caller is gone.
pub trait Claiming: Send + Sync + 'static {
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

impl Engine {
    /// Claims the next due job, waiting for one until the bound is reached.
    pub fn claim<C: Claiming>(
        self: &Arc<Engine>,
        claiming: C,
        bound: Bound,
        done: impl FnOnce(Result<Option<C::Given>>) + Send + 'static,
    ) -> Waited<Option<C::Given>> {
        let ticket = Ticket::new(&self.upkeep);
        let (sleeper, done) = (bound.sleeper(), Box::new(done));
        let claiming = Arc::new(claiming);
        let (engine, looked) = (Arc::downgrade(self), claiming.clone());
        let claimer = Claimer { engine, claiming, bound, ticket: ticket.clone(), sleeper, done };
        let queue = claimer.queue();
        let claimer = Arc::new(Mutex::new(Some(claimer)));
        // A transaction that finds nothing would hold up those who have something to write. As with an end: first
        // entered, then looked, so that a job that is being queued meanwhile is either seen or told of.
        if !bound.is_over() {
            enter(claimer.clone());
            if !self.may_claim(&*looked) {
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
    /// It does not hold the claim meanwhile: the writer may be taking it along just now, and is not to wait for a read.
    fn may_claim(&self, claiming: &impl Claiming) -> bool {
        !matches!(self.read(|rows, now| claiming.look(rows, now)), Ok(false))
    }
}

/// Told what was claimed, if anything.
type Claimed<T> = Box<dyn FnOnce(Result<Option<T>>) + Send>;

/// A claim that may have to wait.
struct Claimer<C: Claiming> {
    engine: Weak<Engine>,
    claiming: Arc<C>,
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
