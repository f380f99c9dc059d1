//! Who waits for what: endings, claimable jobs, and until when. Data only: `upkeep.rs` and `keeper.rs` act on it.

use super::operation::Queued;
use std::any::Any;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::time::{Duration, Instant};

/// Why a waiter is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// What it waits for may have happened.
    News,
    /// Its bound is reached.
    Deadline,
    /// The engine is closing.
    Closed,
}

/// What a waiter waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// The end of a job or batch, by its id.
    End(String),
    /// A claimable job of a type in a workspace, perhaps of one batch.
    Claimable(Queue),
}

/// Which queue a claim is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Queue {
    pub workspace: String,
    pub job_type: String,
    pub batch_id: Option<String>,
}

/// One that waits. It is called once, on a thread that must not be blocked.
pub trait Waits: Send {
    /// Looks or tries by itself, or gives up; it may use what others have read.
    fn woken(self: Box<Self>, why: Why, seen: &mut Seen);
    /// Its look or try as a part of the transaction in which what it waits for happens.
    fn join(self: Box<Self>) -> Box<dyn Queued>;
}

pub type Call = Box<dyn Waits>;

/// What those who are woken together have read: who would read the same is given the same.
#[derive(Default)]
pub struct Seen(HashMap<String, Box<dyn Any>>);

impl Seen {
    /// What was read under this name, or what `read` reads now and `keep` says is worth keeping.
    pub fn once<T: Clone + 'static>(
        &mut self,
        name: Option<&str>,
        read: impl FnOnce() -> T,
        keep: impl FnOnce(&T) -> bool,
    ) -> T {
        let known = name.and_then(|name| self.0.get(name)).and_then(|known| known.downcast_ref::<T>());
        if let Some(known) = known {
            return known.clone();
        }
        let read = read();
        if let Some(name) = name
            && keep(&read)
        {
            self.0.insert(name.into(), Box::new(read.clone()));
        }
        read
    }
}

struct Waiter {
    topic: Topic,
    poll_ms: Option<u64>,
    joins: bool,
    call: Call,
}

/// What a waiter waits for, until when, and how often it wants a look besides.
pub struct Waiting {
    pub topic: Topic,
    pub deadline: Instant,
    pub poll_ms: Option<u64>,
    /// Whether it is to join the commit of what it waits for.
    pub joins: bool,
}

/// All that wait, with what is to be done about them.
#[derive(Default)]
pub struct Waiters {
    waiters: HashMap<i64, Waiter>,
    by_end: HashMap<String, BTreeSet<i64>>,
    by_queue: BTreeMap<Queue, BTreeSet<i64>>,
    deadlines: BinaryHeap<Reverse<(Instant, i64)>>,
    polls: BTreeMap<u64, usize>,
}

impl Waiters {
    /// Adds one under a number to forget it by. The lower ones come first; one that was woken in vain keeps its own.
    pub fn add(&mut self, number: i64, waiting: Waiting, call: Call) {
        let Waiting { topic, deadline, poll_ms, joins } = waiting;
        match &topic {
            Topic::End(id) => self.by_end.entry(id.clone()).or_default().insert(number),
            Topic::Claimable(queue) => self.by_queue.entry(queue.clone()).or_default().insert(number),
        };
        self.deadlines.push(Reverse((deadline, number)));
        if let Some(poll_ms) = poll_ms {
            *self.polls.entry(poll_ms).or_default() += 1;
        }
        self.waiters.insert(number, Waiter { topic, poll_ms, joins, call });
    }

    /// Takes one out, if it still waits.
    pub fn take(&mut self, number: i64) -> Option<Call> {
        let waiter = self.waiters.remove(&number)?;
        if let Some(poll_ms) = waiter.poll_ms {
            self.unpoll(poll_ms);
        }
        match &waiter.topic {
            Topic::End(id) => {
                if self.by_end.get_mut(id).is_some_and(|numbers| is_last(numbers, number)) {
                    self.by_end.remove(id);
                }
            }
            Topic::Claimable(queue) => {
                if self.by_queue.get_mut(queue).is_some_and(|numbers| is_last(numbers, number)) {
                    self.by_queue.remove(queue);
                }
            }
        }
        self.drop_stale_deadlines();
        Some(waiter.call)
    }

    fn unpoll(&mut self, poll_ms: u64) {
        if let Some(count) = self.polls.get_mut(&poll_ms) {
            *count -= 1;
            if *count == 0 {
                self.polls.remove(&poll_ms);
            }
        }
    }

    /// Deadlines of waiters that are gone must not outnumber those that wait.
    fn drop_stale_deadlines(&mut self) {
        if self.deadlines.len() > 64 && self.deadlines.len() > 2 * self.waiters.len() {
            let waiters = &self.waiters;
            self.deadlines.retain(|Reverse((_, number))| waiters.contains_key(number));
        }
    }

    /// Takes out all that wait for the end of `id`.
    pub fn ended(&mut self, id: &str) -> Vec<Call> {
        let numbers = self.by_end.remove(id).unwrap_or_default();
        numbers.into_iter().filter_map(|number| self.take(number)).collect()
    }

    /// How many wait for the end of `id`.
    pub fn awaiting(&self, id: &str) -> usize {
        self.by_end.get(id).map_or(0, BTreeSet::len)
    }

    /// Takes out those that wait longest for the end of `id` and join its commit: at most so many.
    pub fn joining(&mut self, id: &str, most: usize) -> Vec<Call> {
        let numbers = self.by_end.get(id).into_iter().flatten();
        let joins = |number: &&i64| self.waiters.get(number).is_some_and(|waiter| waiter.joins);
        let first: Vec<i64> = numbers.filter(joins).take(most).copied().collect();
        first.into_iter().filter_map(|number| self.take(number)).collect()
    }

    /// How many wait for a job of the queue.
    pub fn waiting(&self, queue: &Queue) -> usize {
        self.by_queue.get(queue).map_or(0, BTreeSet::len)
    }

    /// The ids whose end somebody waits for.
    pub fn ends(&self) -> Vec<String> {
        self.by_end.keys().cloned().collect()
    }

    /// Takes out the one that waits longest for a job of the queue.
    pub fn first(&mut self, queue: &Queue) -> Option<Call> {
        let number = *self.by_queue.get(queue)?.first()?;
        self.take(number)
    }

    /// The queues that somebody waits for.
    pub fn queues(&self) -> Vec<Queue> {
        self.by_queue.keys().cloned().collect()
    }

    /// The queues of that type that somebody waits for: first the one of all its jobs.
    pub fn queues_of(&self, workspace: &str, job_type: &str) -> impl Iterator<Item = &Queue> {
        self.of_type(workspace, job_type).map(|(queue, _)| queue)
    }

    fn of_type(&self, workspace: &str, job_type: &str) -> impl Iterator<Item = (&Queue, &BTreeSet<i64>)> {
        let first = Queue { workspace: workspace.into(), job_type: job_type.into(), batch_id: None };
        let (workspace, job_type) = (first.workspace.clone(), first.job_type.clone());
        let queues = self.by_queue.range(first..);
        queues.take_while(move |(queue, _)| queue.workspace == workspace && queue.job_type == job_type)
    }

    /// Takes out those that wait longest for jobs of the type: at most `plain` that take any of them, and where some are
    /// `in_batch` also those that wait for a batch's, `all` together at most.
    pub fn first_of(&mut self, workspace: &str, job_type: &str, plain: usize, in_batch: bool, all: usize) -> Vec<Call> {
        let mut first = BTreeSet::new();
        for (queue, numbers) in self.of_type(workspace, job_type) {
            let most = match queue.batch_id {
                None => plain.min(all),
                Some(_) if in_batch => all,
                Some(_) => break,
            };
            first.extend(numbers.iter().take(most));
        }
        first.into_iter().take(all).filter_map(|number| self.take(number)).collect()
    }

    /// Whether anybody waits for an end.
    pub fn awaits_ends(&self) -> bool {
        !self.by_end.is_empty()
    }

    pub fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// Takes out those whose bound is reached.
    pub fn overdue(&mut self, now: Instant) -> Vec<Call> {
        let mut calls = Vec::new();
        while let Some(Reverse((at, number))) = self.deadlines.peek().copied() {
            if at > now && self.waiters.contains_key(&number) {
                break;
            }
            self.deadlines.pop();
            calls.extend(self.take(number));
        }
        calls
    }

    /// When the next bound is reached.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.peek().map(|Reverse((at, _))| *at)
    }

    /// The shortest delay between looks that anybody asked for.
    pub fn poll(&self) -> Option<Duration> {
        self.polls.keys().next().map(|ms| Duration::from_millis(*ms))
    }

    /// Takes out everybody.
    pub fn all(&mut self) -> Vec<Call> {
        let numbers: Vec<i64> = self.waiters.keys().copied().collect();
        numbers.into_iter().filter_map(|number| self.take(number)).collect()
    }
}

/// Removes the number; whether none is left.
fn is_last(numbers: &mut BTreeSet<i64>, number: i64) -> bool {
    numbers.remove(&number);
    numbers.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::error::Error;
    use std::sync::mpsc::{Sender, channel};

    struct Numbered(i64, Sender<i64>);

    impl Waits for Numbered {
        fn woken(self: Box<Self>, _why: Why, _seen: &mut Seen) {
            self.1.send(self.0).expect("the test listens");
        }

        fn join(self: Box<Self>) -> Box<dyn Queued> {
            crate::engine::operation::queued(crate::engine::Class::Urgent, |_| Err::<(), _>(Error::Closed), |_| {})
        }
    }

    fn queue(batch_id: Option<&str>) -> Queue {
        Queue { workspace: "w".into(), job_type: "kind".into(), batch_id: batch_id.map(str::to_string) }
    }

    fn add(waiters: &mut Waiters, number: i64, batch_id: Option<&str>, told: &Sender<i64>) {
        let (topic, deadline) = (Topic::Claimable(queue(batch_id)), Instant::now());
        let waiting = Waiting { topic, deadline, poll_ms: None, joins: false };
        waiters.add(number, waiting, Box::new(Numbered(number, told.clone())));
    }

    fn call(calls: impl IntoIterator<Item = Call>) {
        calls.into_iter().for_each(|call| call.woken(Why::News, &mut Seen::default()));
    }

    #[test]
    fn those_who_were_woken_in_vain_keep_their_order() {
        let (told, tell) = channel();
        let mut waiters = Waiters::default();
        (1..=3).for_each(|number| add(&mut waiters, number, None, &told));
        (0..2).for_each(|_| call(waiters.first(&queue(None))));
        // They come back while the third waits still.
        (1..=2).for_each(|number| add(&mut waiters, number, None, &told));
        (0..3).for_each(|_| call(waiters.first(&queue(None))));
        assert_eq!(tell.try_iter().collect::<Vec<_>>(), [1, 2, 1, 2, 3]);
    }

    #[test]
    fn those_who_wait_for_a_batch_come_in_their_order_among_the_others() {
        let (told, tell) = channel();
        let mut waiters = Waiters::default();
        let batches = [Some("a"), None, Some("b"), None, None];
        batches.iter().zip(1..).for_each(|(batch, number)| add(&mut waiters, number, *batch, &told));
        call(waiters.first_of("w", "kind", 1, true, 4));
        assert_eq!(tell.try_iter().collect::<Vec<_>>(), [1, 2, 3]);
        call(waiters.first_of("w", "kind", 2, false, 4));
        assert_eq!(tell.try_iter().collect::<Vec<_>>(), [4, 5]);
        call(waiters.first_of("w", "other", 2, true, 4));
        assert!(tell.try_recv().is_err() && waiters.is_empty());
    }
}
