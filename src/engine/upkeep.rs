//! Those who wait in this process, and what their thread is to look at next: they are told by commits of this process,
//! by the thread of `keeper.rs`, and when their time is over. It does not look into the store.

use super::Tell;
use super::commit::Committer;
use super::keeper::Keeper;
use super::operation::Queued;
use super::waiters::{Call, Queue, Seen, Topic, Waiters, Waiting, Why};
use super::work::{Claimable, News};
use crate::store::Store;
use std::collections::{BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many look within the commit of an end; and how many are told of one by the thread that committed it, where it has
/// nothing else to do.
const AT_ONCE: usize = 2;
/// How many claims that wait share the commit that queues jobs for them.
const JOIN_MAX: usize = 16;

/// Who waits, and the thread that looks after them.
pub struct Upkeep {
    state: Mutex<State>,
    /// The last number that a waiter was given.
    numbers: AtomicI64,
    pub signal: Condvar,
    pub fallback_poll: Option<Duration>,
    pub sweep_every: Duration,
}

/// What the thread is to do, and who waits.
#[derive(Default)]
pub struct State {
    pub waiters: Waiters,
    /// Ids whose end was told.
    pub ended: Vec<String>,
    /// Queues to be looked at.
    pub check: Vec<Queue>,
    /// Queues to be looked at later, and when.
    later: BTreeSet<(Instant, Queue)>,
    later_at: HashMap<Queue, Instant>,
    /// Another process may have committed.
    pub outside: bool,
    pub sweep: bool,
    pub closed: bool,
    pub watch: Option<Box<dyn Send + Sync>>,
    pub watching: bool,
    /// When the thread goes on by itself at the latest; nothing before it first sleeps.
    pub looks_at: Option<Instant>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Upkeep {
    pub fn new(fallback_poll: Option<Duration>, sweep_every: Duration) -> Arc<Upkeep> {
        let (state, numbers, signal) = (Mutex::default(), AtomicI64::new(0), Condvar::new());
        Arc::new(Upkeep { state, numbers, signal, fallback_poll, sweep_every })
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the thread.
    pub fn start(
        self: &Arc<Upkeep>,
        store: Arc<dyn Store>,
        committer: Arc<Committer>,
        tell: Tell,
    ) -> std::io::Result<()> {
        let keeper = Keeper::new(self.clone(), store, committer, tell);
        let thread = std::thread::Builder::new().name("errand-upkeep".into()).spawn(move || keeper.run())?;
        self.state().thread = Some(thread);
        Ok(())
    }

    /// Takes the news of a commit of this process. `free` says that this thread has nothing else to do.
    pub fn news(&self, news: News, free: bool) {
        let mut state = self.state();
        if state.waiters.is_empty() {
            return;
        }
        let mut calls = Vec::new();
        for id in news.ended {
            match state.waiters.awaiting(&id) {
                0 => {}
                few if free && calls.len() + few <= AT_ONCE => calls.extend(state.waiters.ended(&id)),
                _ => state.ended.push(id),
            }
        }
        for Claimable { workspace, job_type, .. } in &news.queued {
            let queues: Vec<_> = state.waiters.queues_of(workspace, job_type).cloned().collect();
            state.check.extend(queues);
        }
        let wake = !state.ended.is_empty() || !state.check.is_empty();
        drop(state);
        if wake {
            self.signal.notify_one();
        }
        call_each(calls, Why::News);
    }

    /// Who waits for what is being queued or ended, and is to share its commit.
    pub fn joining(&self, news: &News) -> Vec<Box<dyn Queued>> {
        if news.queued.is_empty() && news.ended.is_empty() {
            return Vec::new();
        }
        let mut state = self.state();
        if state.waiters.is_empty() || state.closed {
            return Vec::new();
        }
        let mut calls = Vec::new();
        for id in &news.ended {
            let room = AT_ONCE - calls.len();
            calls.extend(state.waiters.joining(id, room));
        }
        for Claimable { workspace, job_type, jobs, in_batch } in &news.queued {
            let jobs = usize::try_from(*jobs).unwrap_or(0);
            calls.extend(state.waiters.first_of(workspace, job_type, jobs, *in_batch, JOIN_MAX));
        }
        calls.into_iter().map(|call| call.join()).collect()
    }

    /// A number for one that is going to wait; those with lower ones come first.
    pub fn number(&self) -> i64 {
        self.numbers.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Adds a waiter; what it waits for is to be looked at after this, not before.
    pub fn add(self: &Arc<Upkeep>, number: i64, waiting: Waiting, call: Call) {
        let mut state = self.state();
        if state.closed {
            drop(state);
            return call.woken(Why::Closed, &mut Seen::default());
        }
        // Whoever waits for a job lets it be looked at.
        let signal = matches!(waiting.topic, Topic::End(_)) && !self.looks_before(&state, &waiting);
        state.waiters.add(number, waiting, call);
        drop(state);
        if signal {
            self.signal.notify_one();
        }
    }

    /// Whether the thread goes on early enough for the one that waits, without being told of it.
    fn looks_before(&self, state: &State, waiting: &Waiting) -> bool {
        let polls = [waiting.poll_ms.map(Duration::from_millis), self.fallback_poll];
        let polls_at = polls.into_iter().flatten().min().map(|poll| Instant::now() + poll);
        let wanted = polls_at.map_or(waiting.deadline, |at| at.min(waiting.deadline));
        state.watching && state.looks_at.is_some_and(|at| at <= wanted)
    }

    /// Takes a waiter out, if it still waits.
    pub fn take(&self, number: i64) -> Option<Call> {
        self.state().waiters.take(number)
    }

    /// Looks for jobs of the queue, if anybody waits for one.
    pub fn look_at(&self, queue: Queue) {
        let mut state = self.state();
        if state.waiters.waiting(&queue) > 0 {
            state.check.push(queue);
            drop(state);
            self.signal.notify_one();
        }
    }

    /// Looks for leases that are over now.
    pub fn sweep(&self) {
        self.state().sweep = true;
        self.signal.notify_one();
    }

    pub fn outside(&self) {
        self.state().outside = true;
        self.signal.notify_one();
    }

    /// Tells everybody that the engine is closing, and ends the thread.
    pub fn close(&self) {
        let (thread, watch) = {
            let mut state = self.state();
            state.closed = true;
            (state.thread.take(), state.watch.take())
        };
        self.signal.notify_all();
        drop(watch);
        match thread {
            // The last handle may be dropped in a callback of the thread itself.
            Some(thread) if thread.thread().id() != std::thread::current().id() => {
                // Its panics were told; there is nothing more to learn from it.
                let _ = thread.join();
            }
            Some(_) | None => {}
        }
        let calls = self.state().waiters.all();
        call_each(calls, Why::Closed);
    }
}

/// Calls those who wait for one thing.
pub fn call_all(calls: Vec<Call>, why: Why) {
    let mut seen = Seen::default();
    for call in calls {
        // A panic of one caller's callback is not the others' business.
        let _ = catch_unwind(AssertUnwindSafe(|| call.woken(why, &mut seen)));
    }
}

/// Calls those who wait for several things.
pub fn call_each(calls: Vec<Call>, why: Why) {
    calls.into_iter().for_each(|call| call_all(vec![call], why));
}

impl State {
    pub fn look_later(&mut self, queue: Queue, at: Instant) {
        if let Some(before) = self.later_at.insert(queue.clone(), at) {
            self.later.remove(&(before, queue.clone()));
        }
        self.later.insert((at, queue));
    }

    pub fn take_due_queues(&mut self, now: Instant) {
        while self.later.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, queue)) = self.later.pop_first() {
                self.later_at.remove(&queue);
                self.check.push(queue);
            }
        }
    }

    pub fn next_due_queue(&self) -> Option<Instant> {
        self.later.first().map(|(at, _)| *at)
    }
}
