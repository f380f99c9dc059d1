//! Where a caller waits, on its own thread, for the shared commit of its operation.
//! Those who are answered wake each other, so that the writer does not spend its time on it. It does not commit.

use super::error::Result;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// How many others each one wakes.
const WOKEN_BY_EACH: usize = 2;
/// How long a caller sleeps before it looks by itself whether it was answered: whoever was to wake it may be held up.
const NAP: Duration = Duration::from_millis(5);

/// How long a caller stays awake for the end of a commit that is under way: to be woken from sleep takes as long as half
/// a commit. On a disk that is slower than this it sleeps again.
const ALERT: Duration = Duration::from_micros(300);

/// Those of one commit who are answered and not awake yet.
#[derive(Default)]
pub struct Sleepers(Mutex<Vec<Thread>>);

impl Sleepers {
    fn add(&self, thread: Thread) {
        self.threads().push(thread);
    }

    /// Wakes a few, who wake the others.
    pub fn wake(&self) {
        for _ in 0..WOKEN_BY_EACH {
            self.wake_first();
        }
    }

    /// Wakes one, who wakes the others: for the thread that all wait for.
    pub fn wake_first(&self) {
        let thread = self.threads().pop();
        thread.iter().for_each(Thread::unpark);
    }

    fn threads(&self) -> MutexGuard<'_, Vec<Thread>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One caller's. `O` is its operation, which is given back to it: so it is also dropped there.
pub struct Seat<T, O, D>(Mutex<State<T, O, D>>);

enum State<T, O, D> {
    /// `alert` says who is to be woken besides, while the caller stays awake for its answer.
    Waiting {
        thread: Thread,
        done: D,
        alert: Option<Arc<Sleepers>>,
    },
    Answered {
        result: Result<T>,
        op: O,
        done: D,
        others: Arc<Sleepers>,
        /// Who was alerted with the caller: they may sleep still, where the commit was quick.
        alerted: Option<Arc<Sleepers>>,
    },
    /// The caller waits no longer: its callback is to be told.
    Left(D),
    Over,
}

impl<T, O, D: FnOnce(Result<T>)> Seat<T, O, D> {
    /// A seat for this thread.
    pub fn take(done: D) -> Arc<Seat<T, O, D>> {
        Arc::new(Seat(Mutex::new(State::Waiting { thread: std::thread::current(), done, alert: None })))
    }

    /// Waits for the answer for as long as `patience`; after that `done` is told it.
    pub fn wait(&self, patience: Duration) -> Option<Result<T>> {
        let until = Instant::now().checked_add(patience);
        let mut awake_until = None;
        loop {
            let left = until.map_or(NAP, |until| until.saturating_duration_since(Instant::now()));
            match awake_until {
                Some(at) if at > Instant::now() => std::thread::yield_now(),
                Some(_) | None if left.is_zero() => {}
                Some(_) | None => std::thread::park_timeout(left.min(NAP)),
            }
            let mut state = self.state();
            match std::mem::replace(&mut *state, State::Over) {
                State::Answered { result, op, done, others, alerted } => {
                    drop(state);
                    others.wake();
                    alerted.iter().for_each(|alerted| alerted.wake());
                    drop((op, done));
                    return Some(result);
                }
                State::Waiting { done, alert, .. } if left.is_zero() => {
                    *state = State::Left(done);
                    drop(state);
                    alert.iter().for_each(|alerted| alerted.wake());
                    return None;
                }
                State::Waiting { thread, done, alert: Some(others) } if awake_until.is_none() => {
                    *state = State::Waiting { thread, done, alert: Some(others.clone()) };
                    drop(state);
                    awake_until = Some(Instant::now() + ALERT);
                    others.wake();
                }
                // It takes longer: this one is to be woken as the others are.
                State::Waiting { thread, done, alert: Some(_) }
                    if awake_until.is_some_and(|at| at <= Instant::now()) =>
                {
                    *state = State::Waiting { thread, done, alert: None };
                }
                waiting => *state = waiting,
            }
        }
    }

    /// Its answer will be there soon: the caller is to be awake by then.
    pub fn alert(&self, sleepers: &Arc<Sleepers>) {
        if let State::Waiting { thread, alert, .. } = &mut *self.state() {
            *alert = Some(sleepers.clone());
            sleepers.add(thread.clone());
        }
    }

    /// Answers: the caller is to be woken by `sleepers`.
    pub fn answer(&self, op: O, result: Result<T>, sleepers: &Arc<Sleepers>) {
        let mut state = self.state();
        match std::mem::replace(&mut *state, State::Over) {
            State::Waiting { thread, done, alert } => {
                // Who was alerted is woken by that.
                if alert.is_none() {
                    sleepers.add(thread);
                }
                *state = State::Answered { result, op, done, others: sleepers.clone(), alerted: alert };
            }
            State::Left(done) => {
                drop(state);
                drop(op);
                done(result);
            }
            State::Answered { .. } | State::Over => unreachable!("an operation is answered once"),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T, O, D>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    type Told = mpsc::Sender<Result<i32>>;

    fn seat(told: Told) -> Arc<Seat<i32, (), impl FnOnce(Result<i32>)>> {
        Seat::take(move |result| drop(told.send(result)))
    }

    #[test]
    fn all_who_are_answered_together_wake_each_other() {
        let (tell, told) = mpsc::channel();
        let (sit, seated) = mpsc::channel();
        std::thread::scope(|scope| {
            let waiter = |nth: i32| {
                let (tell, sit) = (tell.clone(), sit.clone());
                move || {
                    let seat = seat(tell);
                    sit.send((nth, seat.clone())).expect("the test waits for it");
                    assert!(matches!(seat.wait(Duration::MAX), Some(Ok(given)) if given == nth));
                }
            };
            (0..9).for_each(|nth| drop(scope.spawn(waiter(nth))));
            let sleepers = Arc::default();
            for (nth, seat) in seated.iter().take(9) {
                seat.answer((), Ok(nth), &sleepers);
            }
            sleepers.wake();
        });
        assert!(told.try_recv().is_err(), "who waits is not told in another way");
    }

    #[test]
    fn who_went_on_is_told_by_callback() {
        let (tell, told) = mpsc::channel();
        let seat = seat(tell);
        assert!(seat.wait(Duration::ZERO).is_none());
        seat.answer((), Ok(3), &Arc::default());
        assert!(matches!(told.recv(), Ok(Ok(3))));
    }

    #[test]
    fn who_was_alerted_is_woken_also_where_the_commit_was_quick() {
        let (tell, _told) = mpsc::channel();
        let (sit, seated) = mpsc::channel();
        let alerted: Arc<Sleepers> = Arc::default();
        std::thread::scope(|scope| {
            for _ in 0..32 {
                let (tell, sit) = (tell.clone(), sit.clone());
                scope.spawn(move || {
                    let seat = seat(tell);
                    sit.send(seat.clone()).expect("the test waits for it");
                    assert!(matches!(seat.wait(Duration::MAX), Some(Ok(7))));
                });
            }
            let seats: Vec<_> = seated.iter().take(32).collect();
            let sleepers = Arc::default();
            seats.iter().for_each(|seat| seat.alert(&alerted));
            seats.iter().for_each(|seat| seat.answer((), Ok(7), &sleepers));
            alerted.wake();
            sleepers.wake();
        });
        assert!(alerted.threads().is_empty(), "somebody slept until the end of a nap");
    }
}
