//! Waiting for the end of a job or batch. It does not know what is read of it.

use super::{Bound, Ticket, Waited};
use crate::engine::error::{Error, Result};
use crate::engine::operation::{self, Queued};
use crate::engine::waiters::{Seen, Topic, Waiting, Waits, Why};
use crate::engine::work::Work;
use crate::engine::{Engine, Now};
use crate::store::Rows;
use std::sync::{Arc, Weak};
use std::thread::Thread;

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
