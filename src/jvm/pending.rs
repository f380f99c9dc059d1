//! Calls that were not answered at once, by the ticket that Java gave them: each ends in exactly one entry of the
//! event queue unless it is forgotten first. It does not know what was asked.

use super::events::QUEUE;
use crate::api::{Answer, Code, Done, Error, Pending, Reply};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Whom a late reply is told: the event queue, or a test.
type Tell = fn(i64, Reply);

/// The calls of one engine that are under way.
pub struct PendingCalls {
    calls: Mutex<HashMap<i64, Pending>>,
    tell: Tell,
}

impl Default for PendingCalls {
    fn default() -> PendingCalls {
        PendingCalls { calls: Mutex::default(), tell: |ticket, reply| QUEUE.push(ticket, reply) }
    }
}

/// How far one call is, as seen by the thread that made it and by the one that answers it.
#[derive(Clone, Copy, PartialEq)]
enum Progress {
    /// `Client::call` has not returned.
    Asking,
    /// It returned `Later`.
    Waiting,
    /// The reply is in the queue.
    Answered,
    /// `done` was dropped uncalled before `Client::call` returned: as it should be where that gives `Now`.
    Dropped,
}

impl PendingCalls {
    /// Makes a call by `ask`. Gives its reply where it came at once; otherwise `ticket` will get it.
    pub fn start(self: &Arc<Self>, ticket: i64, ask: impl FnOnce(Done) -> Answer) -> Option<Reply> {
        let progress = Arc::new(Mutex::new(Progress::Asking));
        let answer = Answering { calls: Arc::clone(self), ticket, progress: Arc::clone(&progress) };
        match ask(Box::new(move |reply| answer.finish(reply))) {
            Answer::Now(reply) => Some(reply),
            Answer::Later(pending) => {
                let mut progress = lock(&progress);
                match *progress {
                    Progress::Asking => {
                        *progress = Progress::Waiting;
                        lock(&self.calls).insert(ticket, pending);
                        None
                    }
                    Progress::Dropped => Some(Err(gone())),
                    Progress::Answered => None,
                    Progress::Waiting => unreachable!("only this thread sets a call to waiting, and it did not"),
                }
            }
        }
    }

    /// Gives up a call; nothing where it was answered.
    pub fn forget(&self, ticket: i64) {
        let pending = lock(&self.calls).remove(&ticket);
        if let Some(pending) = pending {
            pending.forget();
        }
    }
}

/// The other end of `done`: it also notices when an engine lets go of a call without answering it.
struct Answering {
    calls: Arc<PendingCalls>,
    ticket: i64,
    progress: Arc<Mutex<Progress>>,
}

impl Answering {
    fn finish(self, reply: Reply) {
        self.settle(Progress::Answered);
        (self.calls.tell)(self.ticket, reply);
    }

    /// Marks the end of the call; tells whether somebody waits who was not answered.
    fn settle(&self, end: Progress) -> bool {
        let mut progress = lock(&self.progress);
        let before = *progress;
        if matches!(before, Progress::Asking | Progress::Waiting) {
            *progress = end;
        }
        drop(progress);
        before == Progress::Waiting && lock(&self.calls.calls).remove(&self.ticket).is_some()
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if self.settle(Progress::Dropped) {
            (self.calls.tell)(self.ticket, Err(gone()));
        }
    }
}

fn gone() -> Error {
    Error::new(Code::Closed, "engine was closed")
}

/// None of these locks is held while foreign code runs, so poison is ignored.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;
    use std::cell::RefCell;

    thread_local! {
        static TOLD: RefCell<Vec<(i64, Reply)>> = const { RefCell::new(Vec::new()) };
    }

    fn calls() -> Arc<PendingCalls> {
        let tell: Tell = |ticket, reply| TOLD.with_borrow_mut(|told| told.push((ticket, reply)));
        Arc::new(PendingCalls { calls: Mutex::default(), tell })
    }

    fn told() -> Vec<(i64, Result<Value, Code>)> {
        TOLD.with_borrow_mut(std::mem::take).into_iter().map(|(t, r)| (t, r.map_err(|error| error.code))).collect()
    }

    fn later() -> Answer {
        Answer::Later(Pending(Box::new(|| ())))
    }

    #[test]
    fn a_reply_at_once_tells_nobody_else() {
        assert_eq!(calls().start(1, |_| Answer::Now(Ok(Value::Int(1)))), Some(Ok(Value::Int(1))));
        assert_eq!(told(), []);
    }

    #[test]
    fn a_reply_that_overtakes_the_call_is_told_once_and_leaves_nothing() {
        let calls = calls();
        let answer = calls.start(2, |done| {
            done(Ok(Value::Int(2)));
            later()
        });
        assert_eq!(answer, None);
        assert_eq!(told(), [(2, Ok(Value::Int(2)))]);
        assert!(lock(&calls.calls).is_empty());
    }

    #[test]
    fn a_late_reply_is_told_once_and_leaves_nothing() {
        let calls = calls();
        let mut kept = None;
        assert_eq!(
            calls.start(3, |done| {
                kept = Some(done);
                later()
            }),
            None
        );
        assert_eq!(lock(&calls.calls).len(), 1);
        kept.take().expect("the call was made")(Ok(Value::Nil));
        assert_eq!(told(), [(3, Ok(Value::Nil))]);
        assert!(lock(&calls.calls).is_empty());
    }

    #[test]
    fn a_call_that_the_engine_lets_go_of_is_closed() {
        let calls = calls();
        let mut kept = None;
        calls.start(4, |done| {
            kept = Some(done);
            later()
        });
        drop(kept);
        assert_eq!(told(), [(4, Err(Code::Closed))]);
        let at_once = calls.start(5, |_| later());
        assert_eq!(at_once.map(|reply| reply.map_err(|error| error.code)), Some(Err(Code::Closed)));
    }

    #[test]
    fn a_forgotten_call_is_given_up_and_tells_nothing() {
        let calls = calls();
        let forgotten = Arc::new(Mutex::new(false));
        let flag = Arc::clone(&forgotten);
        let mut kept = None;
        calls.start(6, |done| {
            kept = Some(done);
            Answer::Later(Pending(Box::new(move || *lock(&flag) = true)))
        });
        calls.forget(6);
        drop(kept);
        assert!(*lock(&forgotten));
        assert_eq!(told(), []);
    }
}
