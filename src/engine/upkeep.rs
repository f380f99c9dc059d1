//! The engine's own thread: wakes who waits, ends leases that are over, looks for what other processes did.
//! It does not decide what may happen to a job.

use super::commit::Committer;
use super::error::Error;
use super::operation::Queued;
use super::waiters::{Call, Queue, Seen, Topic, Waiters, Waiting, Why};
use super::work::{Claimable, News};
use super::{Notice, Tell};
use crate::store::{self, Rows, Store};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// The longest time between two looks for leases that are over, where nothing else is asked for.
pub const SWEEP: Duration = Duration::from_secs(1);
/// How many leases one commit ends at most.
const SWEEP_JOBS: i64 = 200;
/// Time between two looks for answers that were kept long enough.
const FORGET: Duration = Duration::from_secs(60);
/// How many answers one commit forgets at most.
const FORGET_ANSWERS: i64 = 200;
/// How many look within the commit of an end; and how many are told of one by the thread that committed it, where it has
/// nothing else to do.
const AT_ONCE: usize = 2;
/// How many claims that wait share the commit that queues jobs for them.
const JOIN_MAX: usize = 16;
/// How many endings of other processes are looked through for those that are waited for.
const ENDED_MAX: i64 = 10_000;

/// Who waits, and the thread that looks after them.
pub struct Upkeep {
    state: Mutex<State>,
    /// The last number that a waiter was given.
    numbers: AtomicI64,
    signal: Condvar,
    fallback_poll: Option<Duration>,
    sweep_every: Duration,
}

#[derive(Default)]
struct State {
    waiters: Waiters,
    /// Ids whose end was told.
    ended: Vec<String>,
    /// Queues to be looked at.
    check: Vec<Queue>,
    /// Queues to be looked at later, and when.
    later: BTreeSet<(Instant, Queue)>,
    later_at: HashMap<Queue, Instant>,
    /// Another process may have committed.
    outside: bool,
    sweep: bool,
    closed: bool,
    watch: Option<Box<dyn Send + Sync>>,
    watching: bool,
    /// When the thread goes on by itself at the latest; nothing before it first sleeps.
    looks_at: Option<Instant>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Upkeep {
    pub fn new(fallback_poll: Option<Duration>, sweep_every: Duration) -> Arc<Upkeep> {
        let (state, numbers, signal) = (Mutex::default(), AtomicI64::new(0), Condvar::new());
        Arc::new(Upkeep { state, numbers, signal, fallback_poll, sweep_every })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the thread.
    pub fn start(
        self: &Arc<Upkeep>,
        store: Arc<dyn Store>,
        committer: Arc<Committer>,
        tell: Tell,
    ) -> std::io::Result<()> {
        let keeper = Keeper {
            upkeep: self.clone(),
            store,
            committer,
            tell,
            rows: None,
            version: None,
            ended_seq: None,
            sweep_at: Instant::now(),
            forget_at: Instant::now() + FORGET,
            poll_at: None,
            failed: false,
        };
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

    fn outside(&self) {
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
fn call_all(calls: Vec<Call>, why: Why) {
    let mut seen = Seen::default();
    for call in calls {
        // A panic of one caller's callback is not the others' business.
        let _ = catch_unwind(AssertUnwindSafe(|| call.woken(why, &mut seen)));
    }
}

/// Calls those who wait for several things.
fn call_each(calls: Vec<Call>, why: Why) {
    calls.into_iter().for_each(|call| call_all(vec![call], why));
}

/// The thread's own side.
struct Keeper {
    upkeep: Arc<Upkeep>,
    store: Arc<dyn Store>,
    committer: Arc<Committer>,
    tell: Tell,
    rows: Option<Box<dyn Rows + Send>>,
    version: Option<i64>,
    ended_seq: Option<i64>,
    sweep_at: Instant,
    forget_at: Instant,
    poll_at: Option<Instant>,
    /// Whether the last round met trouble: what it was to look at is not known to be done.
    failed: bool,
}

/// What is to be done in one round.
struct Round {
    ended: Vec<String>,
    overdue: Vec<Call>,
    check: Vec<Queue>,
    outside: bool,
    sweep: bool,
    start_watch: bool,
}

impl Keeper {
    fn run(mut self) {
        while let Some(round) = self.next_round() {
            if let Err(error) = self.act(round) {
                // A fresh connection may help; with the next sweep everything is looked at again.
                self.rows = None;
                // Its version says nothing about the next one's.
                self.version = None;
                self.ended_seq = None;
                self.failed = true;
                (self.tell)(Notice { event: "upkeep-failed", message: error.to_string() });
            }
        }
    }

    /// Waits until something is to be done; nothing when the engine closes.
    fn next_round(&mut self) -> Option<Round> {
        let upkeep = self.upkeep.clone();
        let mut state = upkeep.state();
        loop {
            if state.closed {
                return None;
            }
            let now = Instant::now();
            self.schedule_poll(&state, now);
            let polled = self.poll_at.is_some_and(|at| at <= now);
            let swept = state.sweep || self.sweep_at <= now;
            let overdue = state.waiters.overdue(now);
            state.take_due_queues(now);
            let told = !state.ended.is_empty() || !state.check.is_empty() || state.outside;
            // At once: what other processes commit is not seen before.
            let start_watch = !state.watching && !state.waiters.is_empty();
            if polled || swept || told || start_watch || !overdue.is_empty() {
                if polled {
                    self.poll_at = None;
                }
                state.watching |= start_watch;
                state.sweep = false;
                return Some(Round {
                    ended: std::mem::take(&mut state.ended),
                    overdue,
                    check: std::mem::take(&mut state.check),
                    outside: std::mem::take(&mut state.outside)
                        || polled
                        || (swept && std::mem::take(&mut self.failed)),
                    sweep: swept,
                    start_watch,
                });
            }
            let next = [Some(self.sweep_at), self.poll_at, state.waiters.next_deadline(), state.next_due_queue()];
            let next = next.into_iter().flatten().min().unwrap_or(self.sweep_at);
            let wait = next.saturating_duration_since(now);
            state.looks_at = Some(next);
            state = upkeep.signal.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn schedule_poll(&mut self, state: &State, now: Instant) {
        let asked = match (self.upkeep.fallback_poll, state.waiters.poll()) {
            (Some(fallback), Some(asked)) => Some(fallback.min(asked)),
            (fallback, asked) => fallback.or(asked),
        };
        let next = asked.filter(|_| !state.waiters.is_empty()).map(|poll| now + poll);
        self.poll_at = match (self.poll_at, next) {
            (Some(at), Some(next)) => Some(at.min(next)),
            (_, next) => next,
        };
    }

    fn act(&mut self, round: Round) -> Result<(), Error> {
        let Round { ended, overdue, check, outside, sweep, start_watch } = round;
        call_each(overdue, Why::Deadline);
        self.wake_ended(ended);
        if start_watch {
            self.start_watch();
        }
        let looked = self.look(check, outside || start_watch);
        // Trouble with the one must not keep the other from being done.
        let swept = if sweep { self.sweep() } else { Ok(()) };
        looked.and(swept)
    }

    /// Wakes whom there is something for: in the queues to be checked, and by what other processes did.
    fn look(&mut self, mut check: Vec<Queue>, outside: bool) -> Result<(), Error> {
        if outside {
            check.extend(self.look_outside()?);
        }
        for queue in unique(check) {
            self.wake_claims(&queue)?;
        }
        Ok(())
    }

    fn rows(&mut self) -> store::Result<&mut dyn Rows> {
        if self.rows.is_none() {
            self.rows = Some(self.store.reader()?);
        }
        match &mut self.rows {
            Some(rows) => Ok(&mut **rows),
            None => unreachable!("it was just made"),
        }
    }

    fn wake_ended(&self, ended: Vec<String>) {
        for id in ended {
            let calls = self.upkeep.state().waiters.ended(&id);
            call_all(calls, Why::News);
        }
    }

    fn start_watch(&mut self) {
        let upkeep: Weak<Upkeep> = Arc::downgrade(&self.upkeep);
        let watch = self.store.watch(Box::new(move || {
            if let Some(upkeep) = upkeep.upgrade() {
                upkeep.outside();
            }
        }));
        match watch {
            Ok(watch) => {
                let mut state = self.upkeep.state();
                if !state.closed {
                    state.watch = Some(watch);
                }
            }
            Err(error) => (self.tell)(Notice { event: "watch-failed", message: error.to_string() }),
        }
    }

    /// Wakes those whose job or batch ended by another process's commit; gives the queues to be looked at.
    fn look_outside(&mut self) -> Result<Vec<Queue>, Error> {
        let version = self.rows()?.version()?;
        let known = self.ended_seq.is_some();
        if known && self.version == Some(version) {
            return Ok(Vec::new());
        }
        self.version = Some(version);
        let waited_for = self.upkeep.state().waiters.awaits_ends();
        let ended = match self.ended_seq {
            // Whoever begins to wait looks by itself.
            Some(_) if !waited_for => Vec::new(),
            since => {
                let last = self.rows()?.last_ended_seq()?;
                match since.filter(|since| last - since <= ENDED_MAX) {
                    Some(since) => {
                        let (ended, last) = self.rows()?.ended_since(since)?;
                        self.ended_seq = Some(last);
                        ended
                    }
                    None => {
                        self.ended_seq = Some(last);
                        self.upkeep.state().waiters.ends()
                    }
                }
            }
        };
        self.wake_ended(ended);
        Ok(self.upkeep.state().waiters.queues())
    }

    /// Wakes as many as there are jobs for; where there is none yet, looks again when the next is due.
    fn wake_claims(&mut self, queue: &Queue) -> Result<(), Error> {
        let waiting = self.upkeep.state().waiters.waiting(queue);
        if waiting == 0 {
            return Ok(());
        }
        let now = self.committer.now();
        let rows = self.rows()?;
        let batch_seq = match &queue.batch_id {
            Some(batch_id) => match rows.batch_by_id(batch_id)?.filter(|batch| batch.workspace_id == queue.workspace) {
                Some(batch) => Some(batch.seq),
                None => return Ok(()),
            },
            None => None,
        };
        let of = store::Queue { workspace_id: &queue.workspace, job_type: &queue.job_type, batch_seq };
        let claimable = rows.claimable(&of, now.store_ms, waiting as i64)?.len();
        if claimable < waiting
            && let Some(due_ms) = rows.next_due(&of, now.store_ms)?
        {
            let delay = Duration::from_millis((due_ms - now.store_ms).max(1) as u64);
            self.upkeep.state().look_later(queue.clone(), Instant::now() + delay);
        }
        for _ in 0..claimable {
            let call = self.upkeep.state().waiters.first(queue);
            call_all(call.into_iter().collect(), Why::News);
        }
        Ok(())
    }

    fn sweep(&mut self) -> Result<(), Error> {
        // Set first: where the store fails, it is not asked again at once.
        let sweep_every = self.upkeep.sweep_every;
        self.sweep_at = Instant::now() + sweep_every;
        let now_ms = self.committer.now().store_ms;
        let next = self.rows()?.next_expiry()?;
        let wait = match next {
            Some(next_ms) if next_ms <= now_ms => {
                self.end_leases();
                sweep_every
            }
            Some(next_ms) => Duration::from_millis((next_ms - now_ms) as u64 + 1).min(sweep_every),
            None => sweep_every,
        };
        self.sweep_at = Instant::now() + wait;
        if self.forget_at <= Instant::now() {
            self.forget_at = Instant::now() + FORGET;
            if self.rows()?.next_operation_until()?.is_some_and(|until_ms| until_ms <= now_ms) {
                forget_answers(&self.committer, &self.tell);
            }
        }
        Ok(())
    }

    fn end_leases(&self) {
        let (upkeep, tell) = (self.upkeep.clone(), self.tell.clone());
        let done = move |result: Result<usize, Error>| match result {
            Ok(ended) => {
                // None where another process was first.
                if ended > 0 {
                    tell(Notice { event: "leases-expired", message: format!("{ended} leases were over") });
                }
                // There may be more, and the next lease may end soon.
                upkeep.sweep();
            }
            Err(Error::Closed) => {}
            Err(error) => tell(Notice { event: "sweep-failed", message: error.to_string() }),
        };
        self.committer.enqueue(super::Class::Urgent, |work| work.expire(SWEEP_JOBS), done);
    }
}

/// Forgets old answers a few at a time, so that nobody waits long behind it.
fn forget_answers(committer: &Arc<Committer>, tell: &Tell) {
    let (again, told) = (Arc::downgrade(committer), tell.clone());
    let done = move |result: Result<usize, Error>| match (result, again.upgrade()) {
        (Ok(forgotten), Some(committer)) if forgotten as i64 == FORGET_ANSWERS => forget_answers(&committer, &told),
        (Ok(_) | Err(Error::Closed), _) => {}
        (Err(error), _) => told(Notice { event: "forget-failed", message: error.to_string() }),
    };
    committer.enqueue(super::Class::Bulk, |work| work.forget_old(FORGET_ANSWERS), done);
}

impl State {
    fn look_later(&mut self, queue: Queue, at: Instant) {
        if let Some(before) = self.later_at.insert(queue.clone(), at) {
            self.later.remove(&(before, queue.clone()));
        }
        self.later.insert((at, queue));
    }

    fn take_due_queues(&mut self, now: Instant) {
        while self.later.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, queue)) = self.later.pop_first() {
                self.later_at.remove(&queue);
                self.check.push(queue);
            }
        }
    }

    fn next_due_queue(&self) -> Option<Instant> {
        self.later.first().map(|(at, _)| *at)
    }
}

fn unique(queues: Vec<Queue>) -> HashSet<Queue> {
    queues.into_iter().collect()
}
