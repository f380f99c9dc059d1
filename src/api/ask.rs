//! Asking, and sleeping on the caller's own thread until the reply is there.
//! It does not know commands.

use super::command::command;
use super::error::{Code, Error};
use super::shown::shown;
use super::{Answer, Call, Client, Names, Reply};
use crate::value::Value;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// How long a caller that was woken without a reply stays awake for it: it was alerted that the commit is under way that
/// it waits for, and to be woken from sleep takes as long as half a commit.
const ALERT: Duration = Duration::from_micros(300);

/// Runs a command and waits for its reply on this thread.
pub fn ask(client: &dyn Client, name: &str, args: Value, names: Names) -> Reply {
    let Some(command) = command(name) else {
        return Err(Error::new(Code::InvalidArgument, format!("command {} is unknown", shown(&name.into()))));
    };
    let place: Place = Arc::default();
    let told = Told { place: place.clone(), caller: std::thread::current() };
    let done = Box::new(move |reply| told.tell(reply));
    match client.call_within(Call { command, args, names }, Duration::MAX, done) {
        Answer::Now(reply) => reply,
        Answer::Later(_) => wait(&place),
    }
}

type Place = Arc<Mutex<Option<Reply>>>;

fn take(place: &Place) -> Option<Reply> {
    place.lock().unwrap_or_else(PoisonError::into_inner).take()
}

fn wait(place: &Place) -> Reply {
    let mut awake_until = None;
    loop {
        if let Some(reply) = take(place) {
            return reply;
        }
        match awake_until {
            Some(at) if at > Instant::now() => std::thread::yield_now(),
            Some(_) | None => {
                std::thread::park();
                awake_until = Some(Instant::now() + ALERT);
            }
        }
    }
}

/// Wakes the caller with the reply; where it is dropped without one, the engine is gone.
struct Told {
    place: Place,
    caller: Thread,
}

impl Told {
    fn tell(self, reply: Reply) {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = Some(reply);
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        place.get_or_insert_with(|| Err(Error::new(Code::Closed, "engine was closed")));
        drop(place);
        // Who tells itself does not sleep.
        if self.caller.id() != std::thread::current().id() {
            self.caller.unpark();
        }
    }
}
