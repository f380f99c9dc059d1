//! Waiting without a thread that waits: the ticket and the bound of a wait under way.
//! It does not know what is waited for: `wait/end.rs` and `wait/claim.rs` do.

mod claim;
mod end;

pub use claim::Claiming;
pub use end::End;

use super::error::Result;
use super::upkeep::Upkeep;
use super::waiters::{Call, Waiting};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
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
