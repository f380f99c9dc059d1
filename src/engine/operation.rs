//! Operations that wait for a commit, and how their callers are told. It does not commit.

use super::commit::Class;
use super::error::{Error, Result};
use super::seat::{Seat, Sleepers};
use super::work::Work;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::Thread;

/// An operation that waits for a commit.
pub trait Queued: Send {
    fn class(&self) -> Class;
    /// Runs it; an error if it is not to be kept.
    fn run(&mut self, work: &mut Work) -> std::result::Result<(), Error>;
    /// Tells its caller what it gave, or the trouble of the commit that it rests on. Callers who sleep are left to `sleepers`.
    fn settle(self: Box<Self>, trouble: Option<Error>, sleepers: &Arc<Sleepers>);
    /// Its caller will be told soon.
    fn alert(&self, sleepers: &Arc<Sleepers>);
}

/// An operation and how its caller is told.
struct Operation<T, O, A> {
    class: Class,
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
    class: Class,
    op: impl FnMut(&mut Work) -> Result<T> + Send + 'static,
    done: impl FnOnce(Result<T>) + Send + 'static,
) -> Box<dyn Queued> {
    Box::new(Operation { class, op, result: None, answer: Callback(done, None) })
}

/// As `queued`, for an urgent caller that sleeps until it is told: to be woken takes as long as half a commit, so it is
/// alerted before.
pub fn queued_for<T: Send + 'static>(
    sleeper: Option<Thread>,
    op: impl FnMut(&mut Work) -> Result<T> + Send + 'static,
    done: impl FnOnce(Result<T>) + Send + 'static,
) -> Box<dyn Queued> {
    Box::new(Operation { class: Class::Urgent, op, result: None, answer: Callback(done, sleeper) })
}

/// An operation whose caller waits on its own thread.
pub fn seated<T: Send + 'static, O: FnMut(&mut Work) -> Result<T> + Send + 'static>(
    class: Class,
    op: O,
    seat: Arc<Seat<T, O, impl FnOnce(Result<T>) + Send + 'static>>,
) -> Box<dyn Queued> {
    Box::new(Operation { class, op, result: None, answer: seat })
}

impl<T, O, A> Queued for Operation<T, O, A>
where
    T: Send,
    O: FnMut(&mut Work) -> Result<T> + Send,
    A: Answer<T, O>,
{
    fn class(&self) -> Class {
        self.class
    }

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
        let Operation { op, result, answer, .. } = *self;
        // Also what a rule refused: the fact that it named may be one that never was.
        let result = match trouble {
            Some(trouble) => Err(trouble),
            None => result.unwrap_or(Err(Error::Closed)),
        };
        // A panic of one caller's callback is not the others' business.
        let _ = catch_unwind(AssertUnwindSafe(|| answer.give(op, result, sleepers)));
    }
}

/// Runs an operation so that its panic is its error.
pub(super) fn guarded<T>(op: &mut impl FnMut(&mut Work) -> Result<T>, work: &mut Work) -> Result<T> {
    catch_unwind(AssertUnwindSafe(|| op(work))).unwrap_or_else(|panic| Err(Error::Panicked(panic_text(&*panic))))
}

pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".into())
}

/// Tells the callers of operations that shared a commit, with its trouble if there was any.
pub(super) fn settle_all(operations: Vec<Box<dyn Queued>>, trouble: Option<&Error>) {
    if operations.is_empty() {
        return;
    }
    let sleepers = Arc::default();
    operations.into_iter().for_each(|operation| operation.settle(trouble.cloned(), &sleepers));
    sleepers.wake();
}
