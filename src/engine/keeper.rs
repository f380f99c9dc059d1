//! The engine's own thread: ends leases that are over, looks for what other processes did and for jobs that became
//! due, forgets old answers. It does not decide what may happen to a job.

use super::commit::Committer;
use super::error::Error;
use super::upkeep::{State, Upkeep, call_all, call_each};
use super::waiters::{Call, Queue, Why};
use super::{Class, Notice, Tell};
use crate::store::{self, Rows, Store};
use std::collections::HashSet;
use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant};

/// The longest time between two looks for leases that are over, where nothing else is asked for.
pub const SWEEP: Duration = Duration::from_secs(1);
/// How many leases one commit ends at most.
const SWEEP_JOBS: i64 = 200;
/// Time between two looks for answers that were kept long enough.
const FORGET: Duration = Duration::from_secs(60);
/// How many answers one commit forgets at most.
const FORGET_ANSWERS: i64 = 200;
/// How many endings of other processes are looked through for those that are waited for.
const ENDED_MAX: i64 = 10_000;

/// The thread's own side.
pub struct Keeper {
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
    pub fn new(upkeep: Arc<Upkeep>, store: Arc<dyn Store>, committer: Arc<Committer>, tell: Tell) -> Keeper {
        Keeper {
            upkeep,
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
        }
    }

    /// Looks after them until the engine closes.
    pub fn run(mut self) {
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
        self.committer.enqueue(Class::Urgent, |work| work.expire(SWEEP_JOBS), done);
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
    committer.enqueue(Class::Bulk, |work| work.forget_old(FORGET_ANSWERS), done);
}

fn unique(queues: Vec<Queue>) -> HashSet<Queue> {
    queues.into_iter().collect()
}
