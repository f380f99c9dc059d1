//! The queue from the engine's threads to the one Java thread that asks for events: replies by ticket, and background
//! events by the negated ticket of the `open` they belong to. It does not know who waits for a ticket.

use super::request::write_reply;
use crate::api::Reply;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A batch ends once it is so large, so that one answer is not held up by the encoding of many.
const BATCH_BYTES: usize = 1 << 20;

/// Replies and events, in the order in which they came.
pub struct Queue {
    entries: Mutex<VecDeque<(i64, Reply)>>,
    filled: Condvar,
}

/// The queue of this copy of the library.
pub static QUEUE: Queue = Queue::new();

impl Queue {
    const fn new() -> Queue {
        Queue { entries: Mutex::new(VecDeque::new()), filled: Condvar::new() }
    }

    /// Adds the reply of a ticket. It never blocks for longer than another push takes.
    pub fn push(&self, ticket: i64, reply: Reply) {
        self.lock().push_back((ticket, reply));
        self.filled.notify_one();
    }

    /// Waits until there is something, and gives the next batch: for each entry the ticket (8 bytes), the length of
    /// the reply (4 bytes) and the reply, numbers in big-endian order.
    pub fn next_batch(&self) -> Vec<u8> {
        let mut out = Vec::new();
        while let Some((ticket, reply)) = if out.is_empty() { Some(self.wait()) } else { self.lock().pop_front() } {
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

    fn wait(&self) -> (i64, Reply) {
        let mut entries = self.lock();
        loop {
            if let Some(entry) = entries.pop_front() {
                return entry;
            }
            entries = self.filled.wait(entries).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A panic while the lock is held cannot leave the queue half changed, so poison is ignored.
    fn lock(&self) -> MutexGuard<'_, VecDeque<(i64, Reply)>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;

    fn tickets(batch: &[u8]) -> Vec<i64> {
        let mut tickets = Vec::new();
        let mut rest = batch;
        while let Some((head, tail)) = rest.split_first_chunk::<12>() {
            let (ticket, length) = head.split_first_chunk::<8>().expect("twelve bytes hold eight");
            tickets.push(i64::from_be_bytes(*ticket));
            let length: [u8; 4] = length.try_into().expect("twelve bytes less eight are four");
            rest = &tail[u32::from_be_bytes(length) as usize..];
        }
        tickets
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
