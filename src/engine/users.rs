//! Who uses an engine. When the last of them goes, what the engine does by itself ends at its next step, so that the store
//! is let go of then and not when a long work is done.
//! It does not end calls: their makers do.

use super::Engine;
use std::ops::Deref;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How long the last user waits at most for a step that is under way.
const LAST_STEP: Duration = Duration::from_secs(1);

#[derive(Default)]
pub struct Users(Mutex<Count>);

#[derive(Default)]
struct Count {
    users: usize,
    left: bool,
}

impl Users {
    fn come(&self) {
        let mut count = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (count.users, count.left) = (count.users + 1, false);
    }

    fn go(&self) {
        let mut count = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        count.users -= 1;
        count.left = count.users == 0;
    }

    /// Whether there were any, and all are gone.
    pub fn have_left(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).left
    }
}

/// Told when an engine has let go of its store.
#[derive(Default)]
struct Gone(Mutex<bool>, Condvar);

impl Gone {
    fn wait(&self) {
        let gone = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Who holds the engine for longer lets go of it when it has done.
        drop(self.1.wait_timeout_while(gone, LAST_STEP, |gone| !*gone));
    }
}

/// Tells when it is dropped.
#[derive(Default)]
pub struct Going(Arc<Gone>);

impl Drop for Going {
    fn drop(&mut self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.1.notify_all();
    }
}

/// The engine in the hands of a user of it.
pub struct Used(Arc<Engine>);

impl Used {
    pub fn new(engine: Arc<Engine>) -> Used {
        engine.users.come();
        Used(engine)
    }

    /// As dropping it, but waits for a moment until the store is let go of where this was the last user.
    pub fn leave(self) {
        let (users, gone) = (self.0.users.clone(), self.0.gone.0.clone());
        drop(self);
        if users.have_left() {
            gone.wait();
        }
    }
}

impl Deref for Used {
    type Target = Arc<Engine>;

    fn deref(&self) -> &Arc<Engine> {
        &self.0
    }
}

impl Drop for Used {
    fn drop(&mut self) {
        self.0.users.go();
    }
}
