//! The queue from the engine's threads to the one Java thread that asks for events: replies by ticket, and background
//! events by the negated ticket of the `open` they belong to. It does not know who waits for a ticket.

use super::request::write_reply;
use crate::api::{Code, Error, Reply};
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A batch ends once it is so large, so that one answer is not held up by the encoding of many.
const BATCH_BYTES: usize = 1 << 20;

/// Replies and events, in the order in which they came.
pub struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    /// What was taken out and did not fit into the last batch. Held by whoever makes a batch.
    taken: Mutex<Entries>,
}

type Entries = VecDeque<(i64, Reply)>;

struct State {
    entries: Entries,
    /// Whether somebody sleeps until there is an entry: only then a push has to wake anybody.
    awaited: bool,
    /// Whether nobody is to sleep here any more.
    ending: bool,
}

/// The queue of this copy of the library.
pub static QUEUE: Queue = Queue::new();

impl Queue {
    const fn new() -> Queue {
        let state = State { entries: VecDeque::new(), awaited: false, ending: false };
        Queue { state: Mutex::new(state), filled: Condvar::new(), taken: Mutex::new(VecDeque::new()) }
    }

    /// Adds the reply of a ticket. It never blocks for longer than another push takes.
    pub fn push(&self, ticket: i64, reply: Reply) {
        let mut state = lock(&self.state);
        state.entries.push_back((ticket, reply));
        let awaited = std::mem::take(&mut state.awaited);
        drop(state);
        if awaited {
            self.filled.notify_one();
        }
    }

    /// From now on nobody sleeps here: a batch may be empty. At its end a JVM waits for threads that are in native code.
    pub fn end(&self) {
        lock(&self.state).ending = true;
        self.filled.notify_all();
    }

    /// Waits until there is something, and gives the next batch: for each entry the ticket (8 bytes), the length of
    /// the reply (4 bytes) and the reply, numbers in big-endian order.
    pub fn next_batch(&self) -> Vec<u8> {
        let mut taken = lock(&self.taken);
        if taken.is_empty() {
            *taken = self.wait();
        }
        let mut out = Vec::new();
        while let Some((ticket, reply)) = taken.pop_front() {
            out.extend_from_slice(&ticket.to_be_bytes());
            let length_at = out.len();
            out.extend_from_slice(&[0; 4]);
            write_reply(&reply, &mut out);
            // A reply is at most 64 MiB of EDN text, far below what four bytes hold.
            let length = (out.len() - length_at - 4) as u32;
            out[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
            if out.len() >= BATCH_BYTES {
                break;
            }
        }
        out
    }

    /// Answers the tickets of a batch that could not be handed over, so that nobody waits for ever.
    pub fn refuse(&self, batch: &[u8]) {
        for (ticket, length) in entries(batch).filter(|(ticket, _)| *ticket > 0) {
            let message =
                format!("reply of {length} bytes, or one beside it, does not fit into the memory of this JVM");
            self.push(ticket, Err(Error::new(Code::Unavailable, message).with("outcome", "unknown")));
        }
    }

    /// All that is there, once there is something.
    fn wait(&self) -> Entries {
        let mut state = lock(&self.state);
        while state.entries.is_empty() && !state.ending {
            state.awaited = true;
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::take(&mut state.entries)
    }
}

/// A panic while a lock is held cannot leave the queue half changed, so poison is ignored.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ticket and length of each reply in a batch.
fn entries(batch: &[u8]) -> impl Iterator<Item = (i64, usize)> {
    let mut rest = batch;
    std::iter::from_fn(move || {
        let (ticket, tail) = rest.split_first_chunk::<8>()?;
        let (length, tail) = tail.split_first_chunk::<4>()?;
        let length = u32::from_be_bytes(*length) as usize;
        rest = tail.get(length..)?;
        Some((i64::from_be_bytes(*ticket), length))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;

    fn tickets(batch: &[u8]) -> Vec<i64> {
        entries(batch).map(|(ticket, _)| ticket).collect()
    }

    #[test]
    fn who_waits_for_a_batch_that_cannot_be_handed_over_is_told_so() {
        let queue = Queue::new();
        for ticket in [7, -3, 9] {
            queue.push(ticket, Ok(Value::Nil));
        }
        queue.refuse(&queue.next_batch());
        assert_eq!(tickets(&queue.next_batch()), [7, 9], "events that belong to nobody's call are dropped");
    }

    #[test]
    fn a_batch_holds_what_is_there_in_order() {
        let queue = Queue::new();
        for ticket in [7, -3, 9] {
            queue.push(ticket, Ok(Value::Nil));
        }
        assert_eq!(tickets(&queue.next_batch()), [7, -3, 9]);
    }

    #[test]
    fn an_empty_queue_waits_for_the_next_entry() {
        let queue = Queue::new();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| tickets(&queue.next_batch()));
            queue.push(1, Ok(Value::Int(1)));
            assert_eq!(waiter.join().expect("the waiter does not panic"), [1]);
        });
    }
}
