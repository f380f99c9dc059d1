//! Calls under way: each ends in exactly one reply, unless it is forgotten first.
//! It does not know what was asked.

use super::closed;
use crate::api::{Answer, Code, Done, Error, Pending, Reply};
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

/// The calls of one client.
#[derive(Default)]
pub struct UnderWay(Mutex<Calls>);

#[derive(Default)]
struct Calls {
    closed: bool,
    next: u64,
    calls: HashMap<u64, One>,
}

struct One {
    done: Done,
    task: AbortHandle,
}

impl UnderWay {
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Lets `asking` run; `done` is told its reply.
    pub fn start(
        self: &Arc<UnderWay>,
        runtime: Handle,
        done: Done,
        asking: impl Future<Output = Reply> + Send + 'static,
    ) -> Answer {
        let mut calls = self.lock();
        if calls.closed {
            return Answer::Now(Err(closed()));
        }
        calls.next += 1;
        let ending = Ending { all: Arc::clone(self), number: calls.next };
        let number = ending.number;
        // The lock is held until the call is entered, so that a quick reply finds it.
        let task = runtime.spawn(async move {
            let reply = asking.await;
            ending.all.end(ending.number, reply);
        });
        calls.calls.insert(number, One { done, task: task.abort_handle() });
        let all = Arc::clone(self);
        Answer::Later(Pending(Box::new(move || {
            if let Some(one) = all.take(number) {
                one.task.abort();
            }
        })))
    }

    /// Ends every call with `closed`; later ones are refused.
    pub fn close(&self) {
        let mut calls = self.lock();
        calls.closed = true;
        let all = std::mem::take(&mut calls.calls);
        drop(calls);
        for one in all.into_values() {
            one.task.abort();
            (one.done)(Err(closed()));
        }
    }

    fn end(&self, number: u64, reply: Reply) {
        if let Some(one) = self.take(number) {
            (one.done)(reply);
        }
    }

    fn take(&self, number: u64) -> Option<One> {
        self.lock().calls.remove(&number)
    }

    /// No foreign code runs under the lock, so poison is ignored.
    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held by a call's task: where that ends without a reply, by a fault, its caller is told so.
struct Ending {
    all: Arc<UnderWay>,
    number: u64,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.all.end(self.number, Err(Error::new(Code::Internal, "call ended by a fault of the client")));
    }
}
