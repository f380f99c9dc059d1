//! The thread that prunes from time to time, and keeps the store's log short.
//! It does not know what is old.

use super::error::Error;
use super::log::LogTold;
use super::{Engine, Notice, Tell};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Time between two looks at the length of the store's log.
const LOG_LOOK: Duration = Duration::from_secs(2);

/// What follows a round, on the same thread: bytes of files are somebody else's.
pub type AfterPrune = Arc<dyn Fn(&Engine) + Send + Sync>;

/// The thread that prunes from time to time, and keeps the store's log short.
#[derive(Default)]
pub struct Pruner {
    closed: Mutex<bool>,
    signal: Condvar,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Pruner {
    /// Starts the thread.
    pub(super) fn start(
        self: &Arc<Pruner>,
        engine: Weak<Engine>,
        every: Duration,
        after: AfterPrune,
        tell: Tell,
    ) -> std::io::Result<()> {
        let pruner = self.clone();
        let run = move || {
            let (mut due, mut told) = (Instant::now() + every, LogTold::default());
            while pruner.wait(every.min(LOG_LOOK)) {
                let Some(engine) = engine.upgrade() else { return };
                if let Some(notice) = engine.shorten_log(&mut told) {
                    tell(notice);
                }
                if Instant::now() < due {
                    continue;
                }
                due = Instant::now() + every;
                match engine.prune(None, None, None) {
                    Ok(_) => after(&engine),
                    // Where it was opened again meanwhile there is a next round.
                    Err(Error::Closed) => {}
                    Err(error) => tell(Notice { event: "prune-failed", message: error.to_string() }),
                }
            }
        };
        let thread = std::thread::Builder::new().name("errand-prune".into()).spawn(run)?;
        *lock(&self.thread) = Some(thread);
        Ok(())
    }

    /// Waits for the next round; false where there is none any more.
    fn wait(&self, every: Duration) -> bool {
        let closed = lock(&self.closed);
        let waited = self.signal.wait_timeout_while(closed, every, |closed| !*closed);
        let (closed, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !*closed
    }

    pub(super) fn close(&self) {
        *lock(&self.closed) = true;
        self.signal.notify_all();
        match lock(&self.thread).take() {
            // The last handle may be dropped by the thread itself.
            Some(thread) if thread.thread().id() != std::thread::current().id() => {
                // Its trouble was told; there is nothing more to learn from it.
                let _ = thread.join();
            }
            Some(_) | None => {}
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
